//! What a person sees, as it is: tables, results, pictures, traces, and what is said about each of `tests/malformed`.
//!
//! After a change that is meant: `cargo insta review`, or `INSTA_UPDATE=always cargo test -p sched-sim --test snapshots`, and a look at the diff.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use sched_sim::render::{Picture, chrome_trace, gantt, table};
use sched_sim::scenario::Scenario;
use sched_sim::scenario::read;
use sched_sim::{Outcome, RunOptions, simulate, sweep};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn scenario(name: &str) -> Scenario {
    read::file(&folder("scenarios").join(format!("{name}.toml"))).unwrap_or_else(|problems| panic!("{problems}"))
}

fn run(name: &str) -> Outcome {
    simulate(&scenario(name), &RunOptions::default()).unwrap()
}

fn picture(name: &str) -> String {
    gantt(&run(name), &Picture { title: name, window: None })
}

/// The files of a folder, by name.
fn files(name: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn tables() {
    let names = [
        "three-tasks",
        "gil-convoy",
        "deadlock",
        "lock-killed",
        "event-loop-blocked",
        "requests-thread-pool",
        "mlfq-boost",
    ];
    let tables = names.map(|name| format!("== {name}\n{}", table(&run(name))));
    insta::assert_snapshot!(tables.join("\n"));
}

#[test]
fn results() {
    insta::assert_snapshot!("three_tasks", serde_json::to_string_pretty(&run("three-tasks")).unwrap());
    insta::assert_snapshot!("deadlock", serde_json::to_string_pretty(&run("deadlock")).unwrap());
}

#[test]
fn traces() {
    insta::assert_snapshot!("trace_of_priority_inversion", format!("{:#}", chrome_trace(&run("priority-inversion"))));
}

#[test]
fn a_table_says_how_many_cores_it_leaves_out() {
    let table = table(&run("cores-64"));
    assert!(table.contains("core  15 ") && table.contains("\n     ... and 48 more\n"), "{table}");
}

#[test]
fn pictures() {
    insta::assert_snapshot!("picture_of_three_tasks", picture("three-tasks"));
    insta::assert_snapshot!("picture_of_a_deadlock", picture("deadlock"));
    insta::assert_snapshot!(
        "picture of many in columns",
        gantt(&run("gil-interval-0.05ms"), &Picture { title: "", window: Some((0.0, 50_000.0)) })
    );
}

/// The README shows them: they are what `run --svg` draws today.
#[test]
fn pictures_in_the_documentation_are_up_to_date() {
    for name in ["three-tasks", "gil-convoy"] {
        let kept = folder("docs").join(format!("{name}.svg"));
        if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
            std::fs::write(&kept, picture(name)).unwrap();
        }
        assert!(std::fs::read_to_string(kept).unwrap() == picture(name), "docs/{name}.svg is not what is drawn today");
    }
}

#[test]
fn every_malformed_scenario_is_told_file_line_key_and_remedy() {
    let mut said = String::new();
    for file in files("tests/malformed") {
        let problems = read::file(&file).expect_err(&file.display().to_string());
        for mut problem in problems.0 {
            assert!(problem.line.is_some() && !problem.fix.is_empty(), "{problem}");
            problem.file = file.file_name().map(|name| name.to_string_lossy().into_owned());
            writeln!(said, "{problem}").unwrap();
        }
    }
    insta::assert_snapshot!(said);
}

#[test]
fn every_malformed_grid_is_told_the_same() {
    let mut said = String::new();
    for file in files("tests/malformed-grids").iter().filter(|file| !file.ends_with("base.toml")) {
        let problems = sweep::read::file(file).expect_err(&file.display().to_string());
        for mut problem in problems.0 {
            let name = |file: &str| Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned());
            problem.file = problem.file.as_deref().and_then(name);
            writeln!(said, "{}: {problem}", file.file_stem().unwrap().to_string_lossy()).unwrap();
        }
    }
    insta::assert_snapshot!(said);
}

#[test]
fn schemas() {
    let schema = schemars::schema_for!(Scenario);
    insta::assert_snapshot!("schema_of_a_scenario", serde_json::to_string_pretty(&schema).unwrap());
}
