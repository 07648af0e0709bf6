//! The program: what it prints, where errors point, and that a sweep's shards do not matter.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

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

#[test]
fn shards_of_a_sweep_merge_to_the_same() {
    let folder = Folder::new("sweep");
    folder.file("base.json", TWO);
    let grid = folder.file(
        "grid.json",
        r#"{"scenario":"base.json","vary":{"policy.quantum":[1,2,3],"costs.context_switch":[0,0.5]},"replicates":2}"#,
    );
    let merged = |shards: &[&str]| {
        let files: Vec<String> =
            shards.iter().map(|shard| folder.path(&format!("{}.jsonl", shard.replace('/', "-")))).collect();
        for (shard, file) in shards.iter().zip(&files) {
            assert!(sched_sim(&["sweep", &grid, "--shard", shard, "--out", file]).status.success());
        }
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let output = sched_sim(&[&["merge"], &files[..]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let whole = merged(&["1/1"]);
    assert_eq!(whole["runs"].as_array().unwrap().len(), 12);
    assert_eq!(merged(&["3/3", "1/3", "2/3"]), whole);
    assert_eq!(merged(&["1/2", "2/2", "1/1"]), whole, "a shard done twice counts once");
}

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
    assert!(sched_sim(&["run", &scenario, "--svg", &picture, "--trace", &trace]).status.success());
    assert!(fs::read_to_string(picture).unwrap().contains("task 1"));
    let trace: Value = serde_json::from_str(&fs::read_to_string(trace).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().iter().any(|event| event["ph"] == "X"));
}
