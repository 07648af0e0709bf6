//! Python programs that tell where they are; their traces have to tell the same.
//!
//! Needs `python3`; skipped with a reason where there is none, unless `LAB_REQUIRE` names `python`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod checking;
mod tracing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloc_trace::trace::format::{END_OF_CHAIN, KINDS, MOST_PYTHON_FRAMES, TOO_DEEP};
use alloc_trace::trace::{Analysis, Symbols, TraceFile};
use tempfile::TempDir;
use tracing::is_required;

/// The system's Pythons, each once, with their versions: a `python3` may be a script that looks for another.
fn pythons() -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for name in ["python3", "/usr/bin/python3", "python3.11", "python3.12", "python3.13"] {
        let code = "import sys; print(sys.hexversion, sys.executable)";
        let Ok(output) = Command::new(name).args(["-c", code]).output() else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some((version, path)) = text.trim().split_once(' ') else { continue };
        let Ok(path) = Path::new(path).canonicalize() else { continue };
        if !found.iter().any(|(known, _)| *known == path) {
            found.push((path, version.parse().unwrap()));
        }
    }
    assert!(!is_required("python") || !found.is_empty(), "LAB_REQUIRE names python, but it can't be run");
    if found.is_empty() {
        eprintln!("skipped: python3 can't be run");
    }
    found
}

/// Runs a program and reads its trace; what it printed.
fn traced(python: &Path, program: &str) -> (Analysis, String) {
    traced_with(&[], None, python, program)
}

/// With options of `run`, and with another library.
fn traced_with(options: &[&str], library: Option<&Path>, python: &Path, program: &str) -> (Analysis, String) {
    let directory = TempDir::new().unwrap();
    let trace = directory.path().join("trace");
    let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-trace"));
    if let Some(library) = library {
        command.env("ALLOC_TRACE_PRELOAD", library);
    }
    let output = command
        .args(["run", "-o"])
        .arg(&trace)
        .args(options)
        .arg("--")
        .arg(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(program))
        .env("PYTHONIOENCODING", "utf-8")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", python.display());
    let analysis = Analysis::of(TraceFile::open(&trace).unwrap(), |_| {});
    assert_eq!(analysis.damage, [], "{}", python.display());
    (analysis, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn modules_that_lie_where_others_lay_are_told_apart() {
    for (python, _) in pythons() {
        let (analysis, _) = traced(&python, "plugins.py");
        if !analysis.context.python.is_readable {
            continue;
        }
        let mut symbols = Symbols::default();
        for number in 0..60 {
            let index = analysis.by_site.iter().position(|blocks| blocks.bytes == 1_000_001 + number).unwrap();
            let stack = symbols.stack(&analysis.context, analysis.context.sites.get(index as u32).unwrap());
            let file = format!("plugin{number:02}.py");
            let places: Vec<(String, u32)> =
                stack.into_iter().filter_map(|frame| frame.location).filter(|(of, _)| *of == file).collect();
            let [ask, whole] = [2 + number as u32 % 2, 3 + number as u32 % 2].map(|line| (file.clone(), line));
            assert_eq!(places, [ask, whole], "{number} of {}", python.display());
        }
    }
}

/// Python's frames of a stack, the outermost first, each with the name that traceback gives and its line.
fn python_frames(symbols: &mut Symbols, analysis: &Analysis, site: u32) -> Vec<String> {
    let is_python = |file: &str| Path::new(file).extension().is_some_and(|end| end == "py") || file.starts_with('<');
    let mut frames = Vec::new();
    for frame in symbols.stack(&analysis.context, analysis.context.sites.get(site).unwrap()) {
        assert!(!frame.function.starts_with("_PyEval_EvalFrameDefault"), "{frame:?}");
        if let Some((file, line)) = frame.location
            && is_python(&file)
        {
            // Qualified names here, simple ones there.
            frames.push(format!("{}:{line}", frame.function.rsplit('.').next().unwrap_or_default()));
        }
    }
    frames.reverse();
    frames
}

#[test]
fn stacks_that_come_again_are_those_that_traceback_tells() {
    let checking = checking::library();
    for (python, version) in pythons() {
        if !(0x030b_0000..0x030e_0000).contains(&version) {
            continue;
        }
        for library in [None, Some(&*checking)] {
            let (analysis, text) = traced_with(&[], library, &python, "frames.py");
            let mut told: BTreeMap<String, u64> = BTreeMap::new();
            for line in text.lines() {
                let (bytes, stack) = line.split_once(' ').unwrap();
                *told.entry(stack.to_owned()).or_default() += bytes.parse::<u64>().unwrap();
            }
            assert!(told.len() > 150, "{}", told.len());
            let asks = told.keys().next().and_then(|stack| stack.rsplit(' ').next()).unwrap().to_owned();
            let mut found: BTreeMap<String, u64> = BTreeMap::new();
            let mut symbols = Symbols::default();
            for (index, blocks) in analysis.by_site.iter().enumerate() {
                let site = analysis.context.sites.get(index as u32).unwrap();
                if blocks.allocations == 0 || KINDS[usize::from(site.kind)] != "malloc" {
                    continue;
                }
                let frames = python_frames(&mut symbols, &analysis, index as u32);
                if frames.last() == Some(&asks) {
                    *found.entry(frames.join(" ")).or_default() += blocks.bytes;
                }
            }
            for (stack, bytes) in &told {
                assert_eq!(found.get(stack), Some(bytes), "{stack} of {} by {library:?}", python.display());
            }
            assert_eq!(found.len(), told.len(), "{}", python.display());
        }
    }
}

#[test]
fn every_object_is_noted_where_that_is_wanted() {
    let checking = checking::library();
    for (python, version) in pythons() {
        if !(0x030b_0000..0x030e_0000).contains(&version) {
            continue;
        }
        let (without, _) = traced(&python, "objects.py");
        assert!(!without.context.python.has_objects && without.total.allocations < 10_000);
        for library in [None, Some(&*checking)] {
            let (analysis, text) = traced_with(&["--python-objects"], library, &python, "objects.py");
            assert!(analysis.context.python.has_objects);
            assert_eq!((analysis.missed(), analysis.strangers()), (0, 0), "{}", python.display());
            let mut symbols = Symbols::default();
            let (mut found, mut kinds) = (BTreeMap::new(), Vec::new());
            for (index, blocks) in analysis.by_site.iter().enumerate().filter(|(_, blocks)| blocks.allocations > 0) {
                let site = analysis.context.sites.get(index as u32).unwrap();
                let kind = KINDS[usize::from(site.kind)];
                let Some(place) = python_frames(&mut symbols, &analysis, index as u32).pop() else { continue };
                if kind == "python malloc" {
                    let sum = found.entry(place).or_insert([0; 3]);
                    for (sum, figure) in sum.iter_mut().zip([blocks.allocations, blocks.bytes, blocks.live]) {
                        *sum += figure;
                    }
                } else if place.starts_with("grow_and_shrink") {
                    kinds.push(kind);
                    assert_eq!(blocks.live, 0, "{kind} of {}", python.display());
                    let stack = symbols.stack(&analysis.context, site);
                    assert!(stack.iter().all(|frame| !frame.function.contains("alloc_trace")), "{stack:?}");
                }
            }
            for line in text.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let figures = [2, 3, 4].map(|index| words[index].parse::<u64>().unwrap());
                let place = format!("{}:{}", words[0], words[1]);
                assert_eq!(found.get(&place), Some(&figures), "{place} of {} by {library:?}", python.display());
            }
            // From small to large and on, and back.
            assert!(["python realloc", "malloc", "realloc"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
        }
    }
}

#[test]
fn stacks_are_those_that_traceback_tells() {
    for (python, version) in pythons() {
        let (analysis, text) = traced(&python, "stacks.py");
        let is_known = (0x030b_0000..0x030e_0000).contains(&version);
        assert_eq!(analysis.context.python.is_readable, is_known, "{} {version:x}", python.display());
        assert_eq!(text.lines().count(), 8, "{text}");
        if !is_known {
            continue;
        }
        let mut symbols = Symbols::default();
        for line in text.lines() {
            let (size, told) = line.split_once(' ').unwrap();
            // A bytearray has a zero at its end.
            let size: u64 = size.parse::<u64>().unwrap() + 1;
            let index = analysis.by_site.iter().position(|blocks| blocks.bytes == size);
            let frames = python_frames(&mut symbols, &analysis, index.unwrap() as u32);
            let told: Vec<&str> = told.split(' ').collect();
            assert_eq!(frames, told, "{size} of {}", python.display());
        }
    }
}

#[test]
fn a_stack_with_more_of_python_s_frames_than_there_is_room_for_is_told_as_cut() {
    for (python, version) in pythons() {
        if !(0x030b_0000..0x030e_0000).contains(&version) {
            continue;
        }
        let (analysis, _) = traced(&python, "deep.py");
        let mut symbols = Symbols::default();
        for (size, end, calls) in [(100_001, END_OF_CHAIN, 101), (200_001, TOO_DEEP, MOST_PYTHON_FRAMES)] {
            let index = analysis.by_site.iter().position(|blocks| blocks.bytes == size).unwrap();
            let site = analysis.context.sites.iter().nth(index).unwrap();
            assert_eq!(u64::from(site.end), end, "{size} of {}", python.display());
            let frames = python_frames(&mut symbols, &analysis, index as u32);
            assert_eq!(frames.iter().filter(|frame| frame.contains("deep")).count(), calls, "{frames:?}");
        }
    }
}
