//! Python programs that tell where they are; their traces have to tell the same.
//!
//! Needs `python3`; skipped with a reason where there is none, unless `LAB_REQUIRE` names `python`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::process::Command;

use alloc_trace::trace::{Analysis, Symbols, TraceFile};
use tempfile::TempDir;

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
    let required = std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split([' ', ',']).any(|name| name == "python"));
    assert!(!required || !found.is_empty(), "LAB_REQUIRE names python, but it can't be run");
    if found.is_empty() {
        eprintln!("skipped: python3 can't be run");
    }
    found
}

/// Runs a program and reads its trace; what it printed.
fn traced(python: &Path, program: &str) -> (Analysis, String) {
    let directory = TempDir::new().unwrap();
    let trace = directory.path().join("trace");
    let output = Command::new(env!("CARGO_BIN_EXE_alloc-trace"))
        .args(["run", "-o"])
        .arg(&trace)
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
            let site = analysis.context.sites.get(index.unwrap() as u32).unwrap();
            let mut frames: Vec<String> = Vec::new();
            for frame in symbols.stack(&analysis.context, site) {
                assert!(!frame.function.starts_with("_PyEval_EvalFrameDefault"), "{size} of {}", python.display());
                let is_python =
                    |file: &str| Path::new(file).extension().is_some_and(|end| end == "py") || file.starts_with('<');
                if let Some((file, line)) = frame.location
                    && is_python(&file)
                {
                    // Qualified names here, simple ones there.
                    let simple = frame.function.rsplit('.').next().unwrap_or_default();
                    frames.push(format!("{simple}:{line}"));
                }
            }
            frames.reverse();
            let told: Vec<&str> = told.split(' ').collect();
            assert_eq!(frames, told, "{size} of {}", python.display());
        }
    }
}
