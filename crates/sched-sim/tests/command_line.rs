//! The program: what it prints, where errors point, and that a sweep's shards do not matter.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sched-sim-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sched_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sched-sim")).args(arguments).output().unwrap()
}

const TWO: &str = r#"{"schema":"sched-scenario/0","machine":{"cores":1},"policy":{"kind":"rr","quantum":2},
  "tasks":[{"id":0,"program":[{"cpu":3}]},{"id":1,"program":[{"cpu":3}]}]}"#;

#[test]
fn each_file_gives_a_line_of_json() {
    let folder = Folder::new("lines");
    let one = folder.file("one.json", TWO);
    let other = folder.file("two.toml", "schema = 'sched-scenario/0'\nmachine = { cores = 1 }\npolicy = { kind = 'fifo' }\ntasks = [{ id = 4, program = [{ cpu = 1 }] }]\n");
    let output = sched_sim(&["run", &one, &other, "--json", "-"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["schema"], "sched-result/0");
    assert_eq!(lines[0]["tasks"][0]["finish"], 5.0);
    assert_eq!(lines[1]["tasks"][0]["id"], 4);
    assert_eq!(lines[0]["digest"].as_str().unwrap().len(), 16);
}

#[test]
fn errors_name_file_line_key_and_fix() {
    let folder = Folder::new("errors");
    let wrong = folder.file("wrong.json", &TWO.replace("{\"cpu\":3}]},{", "\n{\"cpu\":-3}]},{"));
    let typo = folder.file(
        "typo.toml",
        "schema = 'sched-scenario/0'\nmachine = { cores = 1 }\npolicy = { kind = 'fifo', quantun = 3 }\n",
    );
    let output = sched_sim(&["check", &wrong, &typo]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("wrong.json:3: tasks[0].program[0].cpu: -3 is no time; give a number that is not negative"),
        "{text}"
    );
    assert!(text.contains("typo.toml:3: policy"), "{text}");
    assert!(text.contains("quantun"), "{text}");
}

const GRID: &str =
    r#"{"scenario":"base.json","vary":{"policy.quantum":[1,2,3],"costs.context_switch":[0,0.5]},"replicates":2}"#;

/// A folder with a grid of twelve runs.
fn swept(name: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    folder.file("base.json", TWO);
    let grid = folder.file("grid.json", GRID);
    (folder, grid)
}

/// Does the shards, and merges them in this order.
fn merged(folder: &Folder, grid: &str, shards: &[&str]) -> Value {
    let files: Vec<String> =
        shards.iter().map(|shard| folder.path(&format!("{}.jsonl", shard.replace('/', "-")))).collect();
    for (shard, file) in shards.iter().zip(&files) {
        assert!(sched_sim(&["sweep", grid, "--shard", shard, "--out", file]).status.success());
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = sched_sim(&[&["merge"], &files[..]].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"", "nothing is missing");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn neither_order_nor_number_of_shards_changes_a_sweep() {
    let (folder, grid) = swept("sweep");
    let whole = merged(&folder, &grid, &["1/1"]);
    assert_eq!(whole["runs"].as_array().unwrap().len(), 12);
    assert_eq!(merged(&folder, &grid, &["3/3", "1/3", "2/3"]), whole);
    assert_eq!(merged(&folder, &grid, &["12/12", "1/2", "2/2"]), whole, "a run done twice counts once");
    // Nor does the number of threads.
    let alone =
        Command::new(env!("CARGO_BIN_EXE_sched-sim")).args(["sweep", &grid]).env("RAYON_NUM_THREADS", "1").output();
    let several =
        Command::new(env!("CARGO_BIN_EXE_sched-sim")).args(["sweep", &grid]).env("RAYON_NUM_THREADS", "5").output();
    assert_eq!(alone.unwrap().stdout, several.unwrap().stdout);
}

#[test]
fn a_shard_done_again_is_the_same_file() {
    let (folder, grid) = swept("again");
    let out = folder.path("2.jsonl");
    let text = || {
        assert!(sched_sim(&["sweep", &grid, "--shard", "2/5", "--out", &out]).status.success());
        fs::read_to_string(&out).unwrap()
    };
    let first = text();
    assert_eq!(first.lines().count(), 3, "runs 1, 6 and 11");
    assert_eq!(text(), first);
    assert!(!fs::exists(format!("{out}.partial")).unwrap());
}

#[test]
fn values_that_do_not_go_together_are_told_before_anything_is_run() {
    let folder = Folder::new("together");
    folder.file("base.json", &TWO.replace("\"cores\":1", "\"cores\":2"));
    let grid = r#"{"scenario":"base.json","vary":{"machine.cores":[2,1],"tasks.0.affinity":[[0],[1]]},"replicates":2}"#;
    let (grid, out) = (folder.file("grid.json", grid), folder.path("out.jsonl"));
    let output = sched_sim(&["sweep", &grid, "--out", &out]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("grid.json: tasks[0].affinity: there is no core 1"), "{said}");
    assert!(said.contains("run 6, with machine.cores = 1, tasks.0.affinity = [1]"), "{said}");
    assert!(!said.contains("runs done"), "{said}");
    // The other shard has only good ones.
    let first = sched_sim(&["sweep", &grid, "--shard", "1/4", "--out", &out]);
    assert!(first.status.success(), "{first:?}");
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 2, "runs 0 and 4");
}

#[test]
fn a_missing_shard_is_said_and_strangers_are_refused() {
    let (folder, grid) = swept("missing");
    let [two, three] = ["2/3", "3/3"].map(|shard| {
        let out = folder.path(&format!("{}.jsonl", &shard[..1]));
        assert!(sched_sim(&["sweep", &grid, "--shard", shard, "--out", &out]).status.success());
        out
    });
    let output = sched_sim(&["merge", &three, &two]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("4 of the runs 0 to 11 are missing"), "{said}");
    let other = folder.file("other.json", &GRID.replace("[1,2,3]", "[1,2,2.5]"));
    let out = folder.path("other.jsonl");
    assert!(sched_sim(&["sweep", &other, "--out", &out]).status.success());
    let output = sched_sim(&["merge", &two, &out]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("merge only shards of one grid"));
    let broken = folder.file("broken.jsonl", "{\"run\": 1}\n");
    let output = sched_sim(&["merge", &broken]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("broken.jsonl:1: values: it is missing"));
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_sweep_with_the_runs_that_are_done() {
    let (folder, _) = swept("ctrl-c");
    // The second run would take until tomorrow: only a signal ends it.
    let base = TWO.replacen("{\"cpu\":3}", "{\"repeat\":[1,[{\"cpu\":3},{\"io\":1}]]}", 1);
    folder.file("base.json", &base.replace("\"tasks\":[", "\"limits\":{\"events\":1000000000000000},\"tasks\":["));
    let grid = |times: &str| GRID_OF_REPEATS.replace("TIMES", times);
    let short = sched_sim(&["sweep", &folder.file("short.json", &grid("[1]"))]).stdout;
    let (long, out) = (folder.file("long.json", &grid("[1,4000000000]")), folder.path("partial.jsonl"));
    let mut sweep = Command::new(env!("CARGO_BIN_EXE_sched-sim"))
        .args(["sweep", &long, "--out", &out])
        .env("RAYON_NUM_THREADS", "2")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(sweep.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().unwrap(), "2 runs; Ctrl-C ends with those that are done");
    assert_eq!(said.next().unwrap(), "1 of 2 runs done");
    let signalled = Command::new("kill").args(["-INT", &sweep.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    assert_eq!(sweep.wait().unwrap().code(), Some(130));
    assert_eq!(said.next().unwrap(), "interrupted: 1 of 2 runs are written; the same command does them all");
    assert_eq!(fs::read(&out).unwrap(), short, "the run that was done, and nothing of the one that was cut short");
}

const GRID_OF_REPEATS: &str = r#"{"scenario":"base.json","vary":{"tasks.0.program.0.repeat.0":TIMES}}"#;

#[test]
fn the_schema_is_printed() {
    for of in ["scenario", "result", "grid", "sweep"] {
        let output = sched_sim(&["schema", of]);
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(schema["properties"].is_object(), "{of}");
    }
}

#[test]
fn pictures_and_traces_are_written() {
    let folder = Folder::new("pictures");
    let (scenario, picture, trace) = (folder.file("s.json", TWO), folder.path("s.svg"), folder.path("t.json"));
    let json = folder.path("r.json");
    let output = sched_sim(&["run", &scenario, "--svg", &picture, "--trace", &trace, "--json", &json]);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("ended at 6"), "the table, beside the JSON");
    let written = fs::read_to_string(json).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap()["finish_time"], 6.0);
    let plain = sched_sim(&["run", &scenario, "--json", "-"]).stdout;
    assert_eq!(written, String::from_utf8(plain).unwrap(), "a picture takes nothing from the result");
    assert!(fs::read_to_string(picture).unwrap().contains("task 1"));
    let trace: Value = serde_json::from_str(&fs::read_to_string(trace).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().iter().any(|event| event["ph"] == "X"));
}

#[test]
fn a_part_of_the_time_can_be_drawn() {
    let folder = Folder::new("window");
    let (scenario, picture) = (folder.file("s.json", TWO), folder.path("s.svg"));
    assert!(sched_sim(&["run", &scenario, "--svg", &picture, "--window", "2..4"]).status.success());
    let picture = fs::read_to_string(picture).unwrap();
    assert!(picture.contains("task 1 from 2 for 2 ticks") && !picture.contains("task 0 from 0"), "{picture}");
    let output = sched_sim(&["run", &scenario, "--svg", "-", "--window", "4..2"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("give FROM..TO with 0 <= FROM < TO"));
}

#[test]
fn generated_tasks_are_drawn_without_being_asked_for() {
    let folder = Folder::new("generated");
    let scenario = TWO.split("\"tasks\"").next().unwrap().to_owned()
        + r#""generator":{"arrivals":{"kind":"poisson","rate":0.2},"service":{"kind":"exp","mean":3},"count":500}}"#;
    let (scenario, picture) = (folder.file("s.json", &scenario), folder.path("s.svg"));
    assert!(sched_sim(&["run", &scenario, "--svg", &picture]).status.success());
    let picture = fs::read_to_string(picture).unwrap();
    assert!(picture.contains("core 0") && picture.contains("ready tasks"));
}
