//! Programs in states that a library in them must not make worse, and must not tell wrong things of.
//!
//! Needs `cc`; skipped with a reason where there is none, unless `LAB_REQUIRE` names `cc`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod tracing;

use std::process::Command;

use alloc_trace::trace::format::UNKNOWN_STACK;
use alloc_trace::trace::{Analysis, Measure, Symbols, TraceFile, stacks};
use tempfile::TempDir;
use tracing::{Program, told};

#[test]
fn a_stack_of_which_a_part_has_gone_is_not_read_there() {
    let Some(program) = Program::build("borrowed") else { return };
    let (output, analysis) = program.trace(&[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(program.own(&analysis)[..3], [4, 400, 4]);
}

/// More switches than there may be looks at what is mapped.
#[test]
fn coroutines_stacks_are_known_however_often_they_change() {
    let Some(program) = Program::build("switches") else { return };
    let (output, analysis) = program.trace(&[]);
    assert!(output.status.success(), "{output:?}");
    let found = stacks(&analysis, Measure::Allocations, &mut Symbols::default());
    let of_coroutines =
        found.iter().filter(|(stack, _)| stack.ends_with(&["body", "works", "malloc"].map(str::to_owned)));
    assert_eq!(of_coroutines.map(|(_, calls)| calls).sum::<u64>(), 8 * 1000, "{found:?}");
}

/// It grows by pages, of which there are more than there may be looks at what is mapped.
#[test]
fn the_first_threads_stack_is_known_however_far_it_grows() {
    for program in Program::build_all("deepens") {
        let (output, analysis) = program.trace(&[]);
        assert!(output.status.success(), "{output:?}");
        for (site, blocks) in analysis.context.sites.iter().zip(&analysis.by_site) {
            assert!(u64::from(site.end) != UNKNOWN_STACK || blocks.allocations == 0, "{blocks:?}");
        }
        assert_eq!(program.own(&analysis)[..3], [1000, 10_000, 1000]);
    }
}

/// Again and again, while its threads' buffers are written.
#[test]
fn a_program_that_closes_all_files_closes_the_trace_for_no_thread() {
    for program in Program::build_all("closing") {
        let (output, analysis) = program.trace(&[]);
        let [calls, bytes, frees, ..] = told(&output);
        assert_eq!(program.own(&analysis)[..3], [calls, bytes, frees]);
    }
}

#[test]
fn without_room_in_the_file_or_in_memory_what_was_noted_stays_right() {
    let Some(program) = Program::build("cornered") else { return };
    // The first is too small for the header, which is there.
    for limits in [&["1"][..], &["4096"], &["4096", "and memory"]] {
        let trace = program.file("trace");
        let output = program.run(limits);
        assert!(output.status.success(), "{limits:?}: {output:?}");
        let analysis = Analysis::of(TraceFile::open(&trace).unwrap(), |_| {});
        let [damage] = &analysis.damage[..] else { panic!("{limits:?}: {:?}", analysis.damage) };
        assert!(damage.what.starts_with("the trace stops after"), "{damage}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("the trace stops after"), "{output:?}");
        let [calls, bytes, frees, ..] = program.own(&analysis);
        assert!((1000..100_000).contains(&calls), "{calls}");
        assert_eq!(bytes, 100_000 + 5 * (calls - 1));
        assert!(frees == calls || frees + 1 == calls, "{calls} calls, {frees} frees");
        std::fs::remove_file(trace).unwrap();
    }
}

#[test]
fn a_program_that_may_write_no_files_runs_untraced() {
    let directory = TempDir::new().unwrap();
    // Has the library built, which takes files.
    let known = tracing::alloc_trace();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 0; exec \"$0\" run -o \"$1\" -- ls /"]).arg(known.get_program());
    limited.arg(directory.path().join("trace")).envs(known.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was recorded"), "{output:?}");
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let Some(program) = Program::build("names") else { return };
    let output = program.run(&["\u{1b}[2J", "line\nline"]);
    assert!(output.status.success(), "{output:?}");
    let output = tracing::alloc_trace().arg("summary").arg(program.file("trace")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'), "{text:?}");
    assert!(text.lines().any(|line| line.ends_with("a\u{fffd}[31m\u{fffd}b")), "{text}");
    assert!(text.lines().next().is_some_and(|line| line.ends_with(" \u{fffd}[2J line\u{fffd}line")), "{text}");
}
