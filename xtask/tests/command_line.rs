//! The command line as a person meets it: help, mistakes, Ctrl-C, going on, comparing.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bench_harness::report::Report;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn xtask(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(words).stdin(Stdio::null()).env_remove("CARGO_TERM_COLOR");
    command
}

fn output(words: &[&str]) -> Output {
    xtask(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exits with 2 and says all of `sentences` on stderr, nothing on stdout.
#[track_caller]
fn assert_refused(words: &[&str], sentences: &[&str]) {
    let output = output(words);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(text(&output.stdout), "", "nothing but results on stdout");
    for sentence in sentences {
        assert!(stderr.contains(sentence), "{stderr:?} should say {sentence:?}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = output(&["compare-runtimes", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout);
    for needed in ["Examples:", "--resume", "Exit code: 0 fine", "--contender <CMD>"] {
        assert!(help.contains(needed), "{help}");
    }
    let help = text(&output(&["compare-allocators", "--help"]).stdout);
    for needed in [
        "Examples:",
        "--allocator <A,..>",
        "[possible values: glibc, ",
        "--replay <F>",
        "--json <F>",
        "Exit code: 0 fine",
    ] {
        assert!(help.contains(needed), "{help}");
    }
}

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    assert_refused(
        &["compare-runtimes", "--only", "ping-pnog"],
        &["ping-pnog", "did you mean \"ping-pong\"?", "fork-join"],
    );
    assert_refused(&["compare-runtimes", "--quick", "--full"], &["cannot be used with"]);
    assert_refused(&["compare-runtimes", "--json", "-", "--md", "-"], &["only one of --html, --json, --md and --csv"]);
    assert_refused(&["compare-runtimes", "--json", "/proc/no/report.json"], &["/proc/no/report.json can't be written"]);
    assert_refused(&["compare-runtimes", "--compare", "/nonexistent.json"], &["/nonexistent.json can't be read"]);
    assert_refused(&["compare-allocators", "--only", "alloc/chrun"], &["did you mean \"alloc/churn\"?"]);
    // A runtime's workload is none of an allocator's.
    assert_refused(&["compare-allocators", "--only", "ping-pong"], &["there is no workload \"ping-pong\"", "alloc"]);
    assert_refused(&["compare-allocators", "--allocator", "jemaloc"], &["jemaloc", "jemalloc"]);
    let trace = "make a trace: cargo xtask trace -o F -- PROGRAM";
    assert_refused(&["compare-allocators", "--replay", "/nonexistent"], &["/nonexistent can't be read", trace]);
    assert_refused(&["compare-allocators", "--replay", "/"], &["/ is no file", trace]);
    assert_refused(&["compare-allocators", "--only", "alloc/replay"], &["a program of yours", "--replay F"]);
    assert_refused(&["compare-allocators", "--only", "alloc", "--replay", "F"], &["cannot be used with"]);
    assert_refused(&["schema", "everything"], &["report"]);
    assert_refused(&["claims", "--only", "async"], &["there is no claim \"async\"", "async-switch"]);
    assert_refused(&["claims", "--json", "-", "--html", "-"], &["only one of --json and --html"]);
    assert_refused(&["contender", "check"], &["<CMD>"]);
}

#[test]
fn claims_are_listed_without_measuring() {
    let listed = output(&["claims", "--list", "--only", "async-switch"]);
    assert_eq!(listed.status.code(), Some(0));
    assert_eq!(
        text(&listed.stdout),
        "async-switch  an async switch is cheaper than a thread switch\n    study notes\n"
    );
}

#[test]
fn a_program_that_is_no_contender_is_told_why() {
    let checked = output(&["contender", "check", "--json", "-", "true"]);
    assert_eq!(checked.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(found["is_right"], false);
    assert_eq!(found["findings"][0]["about"], "hello");
    let checked = output(&["contender", "check", "true", "--its", "own", "--flags"]);
    assert!(text(&checked.stdout).contains("1 thing is wrong"), "{}", text(&checked.stdout));
}

#[test]
fn a_damaged_or_foreign_report_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let damaged = file("damaged.json", "{\"schema\":\"lab-report/0\",\"partial\":tr");
    let foreign = file("foreign.json", "{\"schema\":\"sched-result/0\"}");
    for flag in ["--compare", "--resume"] {
        assert_refused(&["compare-runtimes", flag, &damaged], &["damaged.json", "not JSON, or damaged"]);
        assert_refused(
            &["compare-runtimes", flag, &foreign],
            &["foreign.json", "not a lab-report/0 document", "sched-result/0"],
        );
    }
}

#[test]
fn the_schema_is_one_json_document() {
    let schema = output(&["schema", "report"]);
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert_eq!(schema["title"], "Report");
    for (name, title) in [("scenario", "Scenario"), ("result", "Outcome")] {
        let schema = output(&["schema", name]);
        let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
        assert_eq!(schema["title"], title);
    }
}

/// A scenario of sched-sim's gallery.
fn scenario(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("crates/sched-sim/scenarios").join(name).display().to_string()
}

#[test]
fn a_scenario_is_simulated_printed_drawn_and_traced() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, svg, trace, json) = (scenario("gil-convoy.toml"), path("o.svg"), path("o.json"), path("r.json"));
    let simulated = output(&["simulate", &file, "--svg", &svg, "--trace", &trace, "--json", &json]);
    assert_eq!(simulated.status.code(), Some(0), "{}", text(&simulated.stderr));
    assert!(text(&simulated.stdout).contains("mark:wait: p50"), "a table, even beside the JSON in a file");
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
    let json_of = |path: &str| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    assert!(!json_of(&trace)["traceEvents"].as_array().unwrap().is_empty());
    let whole = json_of(&json);
    assert_eq!(whole["schema"], "sched-result/0");
    let printed = output(&["simulate", &file, "--json", "-"]);
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed["digest"], whole["digest"]);
    let (part, all) = (path("part.svg"), path("o.svg"));
    let drawn = output(&["simulate", &file, "--svg", &part, "--window", "0..20000"]);
    assert_eq!(drawn.status.code(), Some(0), "{}", text(&drawn.stderr));
    let [part, all] = [part, all].map(|path| std::fs::read_to_string(path).unwrap());
    assert!(part.starts_with("<svg") && part.len() < all.len(), "a part of the time");
    assert_refused(&["simulate", &file, "--svg", &path("none.svg"), "--window", "2..1"], &["--window", "FROM < TO"]);
    assert_refused(&["simulate", &file, "--window", "0..20000"], &["--svg"]);
}

#[test]
fn a_scenario_that_is_wrong_is_refused_with_file_line_key_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    let source = std::fs::read_to_string(scenario("three-tasks.toml")).unwrap();
    std::fs::write(&file, source.replace("cpu = 10", "cpu = -10")).unwrap();
    let name = file.display().to_string();
    let place = format!("{name}:7: tasks[1].program[0].cpu");
    assert_refused(&["simulate", &name], &[&place, "-10", "not negative"]);
    assert_refused(&["simulate", "/nonexistent.toml"], &["/nonexistent.toml: can't be read"]);
    assert_refused(&["simulate"], &["<FILE>"]);
    let help = text(&output(&["simulate", "--help"]).stdout);
    assert!(help.contains("Examples:") && help.contains("Exit code:"), "{help}");
}

#[test]
fn a_program_is_traced_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let traced = output(&["trace", "-o", &path("t"), "--html", &path("t.html"), "--", "sh", "-c", "exit 7"]);
    assert_eq!(traced.status.code(), Some(7), "{}", text(&traced.stderr));
    assert!(text(&traced.stdout).contains("blocks given back"), "{}", text(&traced.stdout));
    assert!(std::fs::read_to_string(path("t.html")).unwrap().starts_with("<!DOCTYPE html>"));
    assert_refused(&["trace", "-o", &path("t"), "--", "true"], &["is there already"]);
    // What has built alloc-trace has it beside this profile's programs.
    let tracer = Path::new(env!("CARGO_BIN_EXE_xtask")).ancestors().nth(2).unwrap().join("release/alloc-trace");
    python_is_a_contender(&tracer.display().to_string());
    assert_refused(&["trace", "--", "/nonexistent"], &["/nonexistent: there is no such program"]);
    let help = text(&output(&["trace", "--help"]).stdout);
    assert!(help.contains("Examples:") && help.contains("Exit code:"), "{help}");
}

/// The script behind the claims about Python's memory speaks the protocol, and each figure can be had.
fn python_is_a_contender(tracer: &str) {
    if Command::new("python3").arg("--version").output().is_err() {
        let required = std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split([' ', ',']).any(|name| name == "python"));
        assert!(!required, "LAB_REQUIRE names python, but it can't be run");
        eprintln!("skipped: python3 can't be run");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/allocators/python_malloc.py");
    let checked = output(&["contender", "check", "python3", script, tracer]);
    let said = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains("alloc/python"), "{said}");
}

/// A small comparison, so that the whole way is walked in seconds (after the contenders are built).
const SMALL: [&str; 7] =
    ["compare-runtimes", "--quick", "--only", "yield/one", "--runtime", "smol-local,floor", "--md"];

fn small(folder: &Path, more: &[&str]) -> Command {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = xtask(&SMALL);
    command.args([&path("r.md"), "--csv", &path("r.csv"), "--json", &path("r.json")]);
    command.args(["--html", &path("r.html")]).args(more);
    command
}

#[test]
fn from_measuring_over_ctrl_c_and_going_on_to_comparing() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("r.json");
    let read = || Report::parse(&std::fs::read_to_string(&json).unwrap()).unwrap();

    // Ctrl-C after the first round is drawn.
    let mut running = small(folder.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let drawn = lines.by_ref().map(Result::unwrap).find(|line| line.contains("yield/one · pinned · round"));
    assert!(drawn.is_some(), "no round was drawn");
    kill(Pid::from_raw(running.id().cast_signed()), Signal::SIGINT).unwrap();
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    let mut printed = String::new();
    running.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(0), "{said:?}");
    assert!(printed.contains("PARTIAL"), "{printed}");
    let partial = read();
    assert!(partial.partial);
    let rounds = partial.comparisons[0].rounds.len();
    assert!(rounds >= 1);

    // What is not asked for the same way is not gone on with.
    let other_seed = small(folder.path(), &["--resume", &json.display().to_string(), "--seed", "9"]).output().unwrap();
    assert_eq!(other_seed.status.code(), Some(2));
    assert!(text(&other_seed.stderr).contains("the seed was 1, now it is 9"), "{}", text(&other_seed.stderr));

    // Going on.
    let resumed = small(folder.path(), &["--resume", &json.display().to_string()]).output().unwrap();
    assert!([Some(0), Some(3)].contains(&resumed.status.code()), "{}", text(&resumed.stderr));
    let whole = read();
    assert!(!whole.partial && whole.comparisons[0].rounds.len() > rounds);
    assert_eq!(whole.comparisons[0].rounds[..rounds], partial.comparisons[0].rounds[..], "what was measured is kept");
    let printed = text(&resumed.stdout);
    for needed in ["yield/one · pinned to one core", "smol-local", "vs tokio-ct", "x floor", "Noise"] {
        assert!(printed.contains(needed), "{printed}");
    }
    assert!(!printed.contains('\x1b'), "no colours where nobody sees them");
    assert!(std::fs::read_to_string(folder.path().join("r.md")).unwrap().contains("| smol-local |"));
    assert!(text(&resumed.stderr).contains("r.html (open it)"), "{}", text(&resumed.stderr));
    // In the heat map, be all rounds disturbed by others.
    assert!(std::fs::read_to_string(folder.path().join("r.html")).unwrap().contains("yield/<wbr>one"));
    let csv = std::fs::read_to_string(folder.path().join("r.csv")).unwrap();
    assert!(csv.starts_with("workload,placement,") && csv.lines().count() == 4, "{csv}");

    // A finished report is not gone on with; compared with itself measured again it says what changed.
    let finished = small(folder.path(), &["--resume", &json.display().to_string()]).output().unwrap();
    assert!(text(&finished.stderr).contains("it is complete"), "{}", text(&finished.stderr));
    let old = folder.path().join("old.json");
    std::fs::rename(&json, &old).unwrap();
    let compared = small(folder.path(), &["--compare", &old.display().to_string()]).output().unwrap();
    // How many there are depends on whether others disturbed the rounds of either run.
    assert!(text(&compared.stdout).contains("ratios changed"), "{}", text(&compared.stdout));

    // A full disk costs the file, not the result.
    let full = xtask(&SMALL)
        .args(["/dev/null", "--html", "/dev/null", "--csv", "/dev/null", "--json", "/dev/full"])
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(2));
    assert!(text(&full.stderr).contains("/dev/full can't be written"), "{}", text(&full.stderr));
    assert!(text(&full.stdout).contains("smol-local"), "the tables are printed all the same");

    // JSON on stdout is one document and nothing else.
    let piped =
        xtask(&SMALL).args(["/dev/null", "--html", "/dev/null", "--csv", "/dev/null", "--json", "-"]).output().unwrap();
    Report::parse(&text(&piped.stdout)).unwrap();

    // An unknown runtime is found out before anything is measured.
    let unknown = output(&["compare-runtimes", "--runtime", "tokyo-ct"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean \"tokio-ct\"?"), "{}", text(&unknown.stderr));
}
