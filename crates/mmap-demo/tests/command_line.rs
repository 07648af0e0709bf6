//! The program as a person meets it.

mod waiting;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use waiting::Waiting;

fn mmap_demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmap-demo")).args(arguments).output().unwrap()
}

/// A process with a file mapped that others have, too.
fn waiting() -> Waiting {
    Waiting::of(&mut Command::new("cat"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_list_names_experiments_that_have_help_with_an_example() {
    let listed = text(&mmap_demo(&["list"]).stdout);
    let names: Vec<&str> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(names.len() >= 10 && names.contains(&"reserve"), "{listed}");
    for name in names {
        let help = mmap_demo(&[name, "--help"]);
        assert!(help.status.success() && text(&help.stdout).contains(&format!("Example: mmap-demo {name}")), "{name}");
    }
}

#[test]
fn walks_come_to_their_verdicts_and_draw_them() {
    let directory = TempDir::new().unwrap();
    // What is said to be false here is what people say and what isn't so.
    let walks = [
        ("reserve", "true true true"),
        ("malloc", "depends true true true true"),
        ("cow", "true true true"),
        ("advise", "true false true true"),
        ("stack", "true false true"),
        ("shr", "true false true"),
        ("zero", "true"),
        ("truncation", "true true"),
    ];
    for (name, expected) in walks {
        let picture = directory.path().join(name);
        let output = mmap_demo(&[name, "--json", "-", "--svg", picture.to_str().unwrap()]);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdicts = outcome["verdicts"].as_array().unwrap();
        // What the notes claim of glibc and Linux, and no figure that a clock has a part in.
        let judged: Vec<&str> = verdicts.iter().map(|verdict| verdict["judged"].as_str().unwrap()).collect();
        assert_eq!(judged.join(" "), expected, "{name}: {verdicts:?}");
        let svg = std::fs::read_to_string(&picture).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}");
    }
}

#[test]
fn faults_wait_for_a_disk_where_there_is_one() {
    let outcome: serde_json::Value = serde_json::from_slice(&mmap_demo(&["faults", "--json", "-"]).stdout).unwrap();
    assert_eq!(outcome["values"]["fresh_major_percent"], 0.0, "{outcome}");
    assert_eq!(outcome["verdicts"][0]["judged"], "false", "{outcome}");
    // Where temporary files are in memory none of them is ever cold.
    let waits = outcome["verdicts"][1]["judged"].as_str().unwrap();
    assert!(["true", "skipped"].contains(&waits), "{outcome}");
}

#[test]
fn a_walk_takes_part_in_the_labs_comparisons_with_its_figures() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mmap-demo"))
        .args(["contender", "reserve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let said = [
        r#"{"prepare":{"workload":"memory-reserve","params":{},"seed":1}}"#,
        r#"{"run":{"block":1,"iters":1}}"#,
        r#"{"bye":true}"#,
    ];
    for line in said {
        writeln!(input, "{line}").unwrap();
    }
    let heard: Vec<serde_json::Value> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(heard[0]["hello"]["workloads"][0], "memory-reserve");
    assert_eq!(
        heard[2]["done"]["values"],
        serde_json::json!({"touched_percent": 100.0, "untouched_resident_mib": 0.0})
    );
    assert!(child.wait().unwrap().success());
}

#[test]
fn where_proc_is_not_mounted_that_is_said() {
    let script = "mount -t tmpfs none /proc && exec \"$0\" map";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_mmap-demo")])
        .output();
    match output.map(|output| text(&output.stderr)) {
        Ok(said) if said.contains("process") => assert!(said.contains("/proc is not mounted"), "{said}"),
        _ => eprintln!("SKIPPED: nothing can be mounted here"),
    }
}

#[test]
fn what_was_written_is_not_judged_where_there_is_no_disk() {
    if !std::path::Path::new("/dev/shm").is_dir() {
        eprintln!("SKIPPED: no file system in memory");
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmap-demo"));
    let output = command.args(["durable", "--json", "-"]).env("TMPDIR", "/dev/shm").output().unwrap();
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["verdicts"][0]["judged"], "skipped", "{outcome}");
    assert!(outcome["verdicts"][0]["why"].as_str().unwrap().contains("on no disk"), "{outcome}");
}

#[test]
fn what_dies_for_an_experiment_leaves_no_core_file() {
    let directory = TempDir::new().unwrap();
    for name in ["truncation", "stack"] {
        let output = Command::new("sh")
            .args(["-c", "ulimit -c unlimited 2> /dev/null; exec \"$0\" \"$1\"", env!("CARGO_BIN_EXE_mmap-demo"), name])
            .current_dir(&directory)
            .output()
            .unwrap();
        assert!(output.status.success() && text(&output.stdout).contains("signal: "), "{output:?}");
        assert!(!text(&output.stdout).contains("core dumped"), "{}", text(&output.stdout));
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_process_is_looked_at_and_one_that_is_not_there_is_an_error() {
    let output = mmap_demo(&["map", &std::process::id().to_string()]);
    let shown = text(&output.stdout);
    assert!(shown.contains("[heap]") && shown.contains("proportional"), "{shown}");
    for command in ["map", "snapshot"] {
        let output = mmap_demo(&[command, "4294967295"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("has ended, or there never was one"), "{}", text(&output.stderr));
        assert!(text(&mmap_demo(&[command, "--help"]).stdout).contains(&format!("Examples: mmap-demo {command} ")));
    }
    assert_eq!(mmap_demo(&["no-such"]).status.code(), Some(2));
}

#[test]
fn who_shares_a_file_is_named() {
    let (one, other) = (waiting(), waiting());
    let [one, other] = [&one, &other].map(|process| process.0.id().to_string());
    let shown = text(&mmap_demo(&["map", &one, "--sharers"]).stdout);
    let of_cat = shown.lines().find(|line| line.contains("/cat")).unwrap_or_else(|| panic!("{shown}"));
    assert!(of_cat.contains(&format!("cat ({other})")) && !of_cat.contains(&format!("({one})")), "{shown}");
}

#[test]
fn what_has_changed_since_is_said_of_the_map_and_of_the_figures() {
    let directory = TempDir::new().unwrap();
    let waits = waiting();
    let pid = waits.0.id().to_string();
    let before = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (map, figures) = (before("map.json"), before("figures.json"));
    // Nothing is printed where a file was asked for but what is asked for besides.
    mmap_demo(&["map", &pid, "--json", &map]);
    mmap_demo(&["snapshot", &pid, "--json", &figures, "--detail", "kinds"]);
    let since = |command: &str, file: &str| text(&mmap_demo(&[command, &pid, "--since", file]).stdout);
    assert_eq!(since("map", &map), "nothing has changed\n");
    assert_eq!(
        text(&mmap_demo(&["snapshot", &pid, "--after", "0", "--detail", "kinds"]).stdout),
        "nothing has changed\n"
    );
    // As if it had been otherwise: a mapping that there was not, and fewer faults.
    let edit = |file: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        let mut json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        edit(&mut json);
        std::fs::write(file, json.to_string()).unwrap();
    };
    edit(&map, &|json| drop(json["regions"].as_array_mut().unwrap().remove(0)));
    let changed = since("map", &map);
    assert!(changed.starts_with("+ ") && changed.lines().count() == 1 && changed.contains("/cat"), "{changed}");
    edit(&figures, &|json| {
        let faults = &mut json["figures"]["minor_faults"];
        *faults = (faults.as_u64().unwrap() - 7).into();
    });
    let changed = since("snapshot", &figures);
    assert!(changed.contains("minor_faults") && changed.contains("+7"), "{changed}");
    // Of another process it would be nonsense.
    let output = mmap_demo(&["map", &std::process::id().to_string(), "--since", &map]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("can't be compared"), "{}", text(&output.stderr));
    assert_eq!(mmap_demo(&["map", "--since", &before("none")]).status.code(), Some(2));
    assert_eq!(mmap_demo(&["map", "--after", "-1"]).status.code(), Some(2));
}

#[test]
fn a_way_takes_part_in_the_labs_comparisons() {
    let listed = text(&mmap_demo(&["contender"]).stdout);
    assert!(listed.lines().any(|name| name == "fault-anonymous"), "{listed}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mmap-demo"))
        .args(["contender", "fault-anonymous"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut hear = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    assert_eq!(hear()["hello"]["workloads"][0], "memory-fault");
    let mut ask = |request: &str| writeln!(input, "{request}").unwrap();
    ask("nonsense");
    assert_eq!(hear()["error"]["kind"], "bad_params");
    ask(r#"{"run":{"block":1,"iters":1}}"#);
    assert_eq!(hear()["error"]["kind"], "failed");
    ask(r#"{"prepare":{"workload":"other","params":{},"seed":1}}"#);
    assert_eq!(hear()["error"]["kind"], "unsupported");
    ask(r#"{"prepare":{"workload":"memory-fault","params":{},"seed":1}}"#);
    assert!(hear()["ready"].is_object());
    ask(r#"{"run":{"block":3,"iters":2}}"#);
    let done = hear()["done"].clone();
    assert_eq!((done["block"].as_u64(), done["iters"].as_u64(), done["ops"].as_u64()), (Some(3), Some(2), Some(2048)));
    assert_eq!(done["checksum"], "0000000000000400");
    assert!(done["t1_ns"].as_u64() > done["t0_ns"].as_u64());
    assert!(done["usage"]["minor_faults"].as_u64() >= Some(2048), "{done}");
    ask(r#"{"bye":true}"#);
    assert!(child.wait().unwrap().success());
}
