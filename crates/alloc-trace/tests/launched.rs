//! What `run` does around the program: which signals reach it, which traces are told of.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod tracing;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tracing::compile;

fn run(trace: &Path, program: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-trace"));
    command.args(["run", "-o"]).arg(trace).arg("--").args(program);
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a shell that waits for a signal, and sends it once it does: how it ended, and what was told.
fn signalled(name: &str, send: impl FnOnce(&Child)) -> (Option<i32>, String) {
    let directory = TempDir::new().unwrap();
    let trace = directory.path().join("trace");
    let script = format!("trap 'echo taken; exit 9' {name}; echo ready; while :; do sleep 0.05; done");
    let mut running = run(&trace, &["sh", "-c", &script])
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    send(&running);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "taken\n");
    let output = running.wait_with_output().unwrap();
    (output.status.code(), errors(&output))
}

fn process(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

#[test]
fn a_program_that_takes_ctrl_c_is_waited_for() {
    let (code, told) = signalled("INT", |child| killpg(process(child), Signal::SIGINT).unwrap());
    assert_eq!(code, Some(9), "{told}");
    assert!(told.contains("now: alloc-trace summary"), "{told}");
}

#[test]
fn whoever_ends_the_tracing_ends_the_program() {
    for (name, signal) in [("TERM", Signal::SIGTERM), ("HUP", Signal::SIGHUP)] {
        let (code, told) = signalled(name, |child| kill(process(child), signal).unwrap());
        assert_eq!(code, Some(9), "{told}");
        assert!(told.contains("now: alloc-trace summary"), "{told}");
    }
}

#[test]
fn traces_of_earlier_runs_are_not_told_as_this_one_s() {
    let directory = TempDir::new().unwrap();
    let trace = directory.path().join("trace");
    let script = ["sh", "-c", "ls / > /dev/null; exit 0"];
    assert!(run(&trace, &script).output().unwrap().status.success());
    let names = || std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let before = names();
    assert_eq!(before.len(), 2, "{before:?}");
    std::fs::remove_file(&trace).unwrap();
    let told = errors(&run(&trace, &script).output().unwrap());
    let old = before.into_iter().find(|name| *name != trace).unwrap();
    assert!(!told.contains(&format!("{}\n", old.display())), "{told}");
    assert!(told.ends_with(&format!("now: alloc-trace summary {}\n", trace.display())), "{told}");
}

#[test]
fn the_program_s_own_trace_is_named_though_a_child_s_began_before() {
    let directory = TempDir::new().unwrap();
    let trace = directory.path().join("trace");
    let program = directory.path().join("late");
    if !compile("late.c", &program, &[]) {
        return;
    }
    let told = errors(&run(&trace, &[program.to_str().unwrap()]).output().unwrap());
    let line = told.lines().find(|line| line.contains(" late ")).unwrap_or_else(|| panic!("{told}"));
    let own = line.rsplit(' ').next().unwrap();
    assert_ne!(Path::new(own), trace, "the child was the first to ask for memory: {told}");
    assert!(told.ends_with(&format!("now: alloc-trace summary {own}\n")), "{told}");
}

#[test]
fn a_script_that_is_its_own_interpreter_is_refused() {
    let directory = TempDir::new().unwrap();
    let script = directory.path().join("script");
    std::fs::write(&script, format!("#!{}\n", script.display())).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let output = run(&directory.path().join("trace"), &[script.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(errors(&output).contains("a script for a script"), "{output:?}");
}

#[test]
fn a_library_whose_path_the_loader_would_split_is_refused() {
    let directory = TempDir::new().unwrap();
    for name in ["a library.so", "a:library.so"] {
        let library = directory.path().join(name);
        std::fs::write(&library, "").unwrap();
        let mut command = run(&directory.path().join("trace"), &["true"]);
        let output = command.env("ALLOC_TRACE_PRELOAD", &library).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(errors(&output).contains("a space or a colon"), "{output:?}");
    }
}
