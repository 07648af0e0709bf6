//! What can be made of a trace, and that it tells what the trace has.
//!
//! Needs `cc`; skipped with a reason where there is none, unless `LAB_REQUIRE` names `cc`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod tracing;

use std::process::Command;

use alloc_trace::trace::format::KINDS;
use alloc_trace::trace::{Analysis, Measure, Symbols, TraceFile, stacks};
use tempfile::TempDir;
use tracing::{Program, alloc_trace};

#[test]
fn reports_are_made_of_a_trace() {
    let Some(program) = Program::build("stacks") else { return };
    program.run(&[]);
    let trace = program.file("trace");
    let bytes = |arguments: &[&str]| {
        let output = alloc_trace().args(arguments).arg(&trace).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let report = |arguments: &[&str]| String::from_utf8(bytes(arguments)).unwrap();
    assert!(report(&["summary"]).contains("4321 B in 1 calls"));
    assert!(report(&["stats"]).contains("malloc"));
    let collapsed = report(&["collapsed"]);
    assert!(collapsed.contains("main;outer;inner;malloc 4321"), "{collapsed}");
    let svg = report(&["flamegraph", "--by", "leaked"]);
    assert!(svg.starts_with("<svg ") && svg.contains("outer: 4321 bytes, 100.00 %"), "{svg}");
    let page = report(&["html", "--before", trace.to_str().unwrap()]);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("4321 B in 1 calls"), "{page}");
    assert!(report(&["perfetto"]).contains("traceEvents"));
    assert!(bytes(&["pprof"]).windows(5).any(|part| part == b"outer"));
    assert!(report(&["diff", trace.to_str().unwrap()]).contains("No site differs"));
}

/// A program whose blocks come from many stacks, grow, are left, and have a peak in its midst.
fn of_all_functions() -> Option<(Program, Analysis)> {
    let program = Program::build("all_functions")?;
    program.run(&[]);
    let analysis = program.read("trace");
    assert!(analysis.total.live_bytes > 0 && analysis.total.at_peak > analysis.total.live_bytes);
    Some((program, analysis))
}

#[test]
fn dhat_s_viewer_finds_what_it_needs_and_the_same_totals() {
    let Some((program, analysis)) = of_all_functions() else { return };
    let output = alloc_trace().arg("dhat").arg(program.file("trace")).output().unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Those that `dh_view.js` of valgrind 3.19 asks for.
    for field in ["mode", "verb", "bkacc", "tu", "Mtu", "tuth", "cmd", "pid", "tg", "te"] {
        assert!(!whole[field].is_null(), "{field}");
    }
    assert_eq!((&whole["dhatFileVersion"], &whole["bklt"]), (&2.into(), &true.into()));
    let texts = whole["ftbl"].as_array().unwrap();
    assert_eq!(texts[0], "[root]");
    let points = whole["pps"].as_array().unwrap();
    let sum = |field: &str| points.iter().map(|point| point[field].as_u64().unwrap()).sum::<u64>();
    let total = analysis.total;
    assert_eq!([sum("tb"), sum("tbk")], [total.bytes, total.allocations]);
    assert_eq!([sum("gb"), sum("gbk")], [total.at_peak, analysis.blocks_at_peak]);
    assert_eq!([sum("eb"), sum("ebk")], [total.live_bytes, total.live]);
    let mut stacks = std::collections::HashSet::new();
    for point in points {
        let stack: Vec<u64> = point["fs"].as_array().unwrap().iter().map(|frame| frame.as_u64().unwrap()).collect();
        assert!(stack.iter().all(|&frame| (1..texts.len() as u64).contains(&frame)), "{stack:?}");
        assert!(stacks.insert(stack), "a stack comes twice: {point}");
        assert!(
            point["mb"].as_u64() >= point["gb"].as_u64() && point["mb"].as_u64() >= point["eb"].as_u64(),
            "{point}"
        );
        assert!(point["tl"].is_u64() && point["mbk"].is_u64(), "{point}");
    }
    // The innermost first.
    let first = points[0]["fs"][0].as_u64().unwrap() as usize;
    assert!(KINDS.iter().any(|kind| texts[first] == *kind), "{}", texts[first]);
}

#[test]
fn heaptrack_prints_the_same_totals() {
    let Some((program, analysis)) = of_all_functions() else { return };
    let output = alloc_trace().arg("heaptrack").arg(program.file("trace")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = program.file("trace.heaptrack");
    std::fs::write(&text, &output.stdout).unwrap();
    let Ok(output) = Command::new("heaptrack_print").arg(&text).env("LC_ALL", "C").output() else {
        eprintln!("skipped: heaptrack_print can't be run");
        return;
    };
    let printed = String::from_utf8(output.stdout).unwrap();
    // As heaptrack writes bytes: powers of ten, two decimals.
    let bytes = |number: u64| match number as f64 {
        small if small < 1e3 => format!("{small}B"),
        medium if medium < 1e6 => format!("{:.2}K", medium / 1e3),
        large => format!("{:.2}M", large / 1e6),
    };
    let total = analysis.total;
    for told in [
        format!("calls to allocation functions: {} (", total.allocations),
        format!("peak heap memory consumption: {}\n", bytes(total.at_peak)),
        format!("total memory leaked: {}\n", bytes(total.live_bytes)),
    ] {
        assert!(printed.contains(&told), "{told} is not in {}", &printed[printed.len().saturating_sub(600)..]);
    }
    assert!(printed.contains("main\n") && printed.contains("all_functions.c:"), "{printed}");
}

#[test]
fn a_sample_can_not_be_told_in_heaptrack_s_format() {
    let Some(program) = Program::build("sampled") else { return };
    assert!(program.command_with(&["--sample", "64K"], &[]).output().unwrap().status.success());
    let output = alloc_trace().arg("heaptrack").arg(program.file("trace")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the trace is a sample"), "{output:?}");
}

/// The reader itself, as a program in Rust: its own blocks are no part of what it tells.
#[test]
fn a_rust_program_is_traced_with_its_functions_names() {
    let directory = TempDir::new().unwrap();
    let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
    let mut command = alloc_trace();
    let output = command.args(["run", "-o"]).arg(&first).args(["--", "ls", "/"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let reader = env!("CARGO_BIN_EXE_alloc-trace");
    let alone = Command::new(reader).arg("stats").arg(&first).output().unwrap();
    let mut command = alloc_trace();
    let traced = command.args(["run", "-o"]).arg(&second).args(["--", reader, "stats"]).arg(&first).output().unwrap();
    assert_eq!(traced.stdout, alone.stdout, "{traced:?}");
    let analysis = Analysis::of(TraceFile::open(&second).unwrap(), |_| {});
    assert_eq!(analysis.total.allocations, analysis.total.frees + analysis.total.live);
    assert!(analysis.total.allocations > 100, "{:?}", analysis.total);
    let found = stacks(&analysis, Measure::Bytes, &mut Symbols::default());
    let of_reader: u64 = found
        .iter()
        .filter(|(stack, _)| stack.iter().any(|frame| frame.contains("alloc_trace::trace::file::TraceFile")))
        .map(|(_, bytes)| bytes)
        .sum();
    assert!(of_reader > 0, "{found:?}");
}
