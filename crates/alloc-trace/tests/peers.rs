//! What other tracers see of the same program is what alloc-trace sees, but for the differences that the README lists.
//!
//! Needs `cc` and valgrind, heaptrack, or memray (`pip install memray`); skipped with a reason where one isn't there, unless `LAB_REQUIRE` names it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod tracing;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use alloc_trace::trace::{Analysis, TraceFile};
use serde_json::Value;
use tempfile::TempDir;
use tracing::{Program, alloc_trace, is_required};

/// What a peer's command printed; `None`, with a reason, where it can't be run.
fn peer(name: &str, command: &mut Command) -> Option<Output> {
    match command.env("LC_ALL", "C").output() {
        Ok(output) if output.status.success() => Some(output),
        other => {
            assert!(!is_required(name), "LAB_REQUIRE names {name}, but it can't be run: {other:?}");
            eprintln!("skipped: {name} can't be run");
            None
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn valgrinds_dhat_counts_the_same_calls_bytes_peak_and_leaks() {
    let Some(program) = Program::build("peers") else { return };
    let (_, analysis) = program.trace(&[]);
    let file = program.file("dhat");
    let mut command = Command::new("valgrind");
    command.arg("--tool=dhat").arg(format!("--dhat-out-file={}", file.display())).arg(&program.path);
    if peer("valgrind", &mut command).is_none() {
        return;
    }
    let found = json(&file);
    let points = found["pps"].as_array().unwrap();
    let sum = |field: &str| points.iter().map(|point| point[field].as_u64().unwrap()).sum::<u64>();
    let total = analysis.total;
    assert_eq!([sum("tbk"), sum("tb")], [total.allocations, total.bytes]);
    assert_eq!([sum("gbk"), sum("gb")], [analysis.blocks_at_peak, total.at_peak]);
    assert_eq!([sum("ebk"), sum("eb")], [total.live, total.live_bytes]);
    assert_eq!([total.allocations, total.live, total.live_bytes], [1302, 250, 150_250]);
}

/// heaptrack's figures: calls, temporary blocks, bytes at the peak, bytes leaked. It prints thousands of bytes with two decimals.
fn heaptrack(program: &Program, arguments: &[&str]) -> Option<[f64; 4]> {
    let to = program.file(&format!("heaptrack{}", arguments.len()));
    peer("heaptrack", Command::new("heaptrack").arg("-o").arg(&to).arg(&program.path).args(arguments))?;
    let name = to.file_name().unwrap().to_str().unwrap();
    let files = std::fs::read_dir(program.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let file: PathBuf = files.into_iter().find(|path| path.to_string_lossy().contains(&format!("{name}."))).unwrap();
    let output = peer("heaptrack", Command::new("heaptrack_print").arg(file))?;
    let text = String::from_utf8(output.stdout).unwrap();
    let figure = |title: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(title)).unwrap_or_else(|| panic!("{title}: {text}"));
        let word = line.split_whitespace().next().unwrap();
        let unit = match word.as_bytes()[word.len() - 1] {
            b'K' => 1e3,
            b'M' => 1e6,
            _ => 1.0,
        };
        word.trim_end_matches(['B', 'K', 'M']).parse::<f64>().unwrap() * unit
    };
    Some([
        figure("calls to allocation functions:"),
        figure("temporary memory allocations:"),
        figure("peak heap memory consumption:"),
        figure("total memory leaked:"),
    ])
}

#[test]
fn heaptrack_counts_the_same_beyond_what_its_own_library_asks_for() {
    let Some(program) = Program::build("peers") else { return };
    let (_, analysis) = program.trace(&[]);
    let (Some(whole), Some(own)) = (heaptrack(&program, &[]), heaptrack(&program, &["none"])) else { return };
    let [calls, temporary, peak, leaked] = std::array::from_fn(|index| whole[index] - own[index]);
    let total = analysis.total;
    assert_eq!(calls as u64, total.allocations);
    // The last block of its own library and the first of the program's are not one after the other.
    assert!((temporary - total.temporary as f64).abs() <= 1.0, "{temporary} {total:?}");
    // As exactly as both are printed.
    assert!((peak - total.at_peak as f64).abs() <= 20.0, "{peak} {total:?}");
    assert!((leaked - total.live_bytes as f64).abs() <= 20.0, "{leaked} {total:?}");
}

#[test]
fn memray_counts_the_same_from_where_it_begins() {
    const ARENA: u64 = 1 << 20;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/peers.py");
    let code = "import memray, sys; print(sys.executable)";
    let Some(python) = peer("memray", Command::new("python3").args(["-c", code])) else { return };
    let python = String::from_utf8(python.stdout).unwrap().trim().to_owned();
    let directory = TempDir::new().unwrap();
    // It begins with the script, when Python has started: the difference between two runs is the script's alone.
    let [few, many] = ["0000", "5000"].map(|count| {
        let [trace, memory, figures] =
            ["trace", "memory", "figures"].map(|name| directory.path().join(name).join(count));
        for file in [&trace, &memory, &figures] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        }
        // The same start-up each time, with arguments of the same length.
        let with_hashes = |command: &mut Command| command.env("PYTHONHASHSEED", "0").output().unwrap();
        let output =
            with_hashes(alloc_trace().args(["run", "-o"]).arg(&trace).arg("--").arg(&python).arg(&script).arg(count));
        assert!(output.status.success(), "{output:?}");
        let analysis = Analysis::of(TraceFile::open(&trace).unwrap(), |_| {});
        let memray = |arguments: &[&str]| {
            let mut command = Command::new(&python);
            command.args(["-m", "memray"]).args(arguments);
            command
        };
        let run = with_hashes(memray(&["run", "-q", "-o"]).arg(&memory).arg(&script).arg(count));
        assert!(run.status.success(), "{run:?}");
        let told = memray(&["stats", "--json", "-f", "-o"]).arg(&figures).arg(&memory).output().unwrap();
        assert!(told.status.success(), "{told:?}");
        (analysis.total, json(&figures))
    });
    let ours = [many.0.allocations - few.0.allocations, many.0.bytes - few.0.bytes];
    let figure = |of: fn(&Value) -> &Value| of(&many.1).as_u64().unwrap() - of(&few.1).as_u64().unwrap_or(0);
    // What Python maps for its objects counts as an allocation there; here it is a mapping.
    let arenas = figure(|told| &told["allocator_type_distribution"]["MMAP"]);
    let calls = figure(|told| &told["total_num_allocations"]);
    let bytes = figure(|told| &told["total_bytes_allocated"]);
    assert_eq!(ours, [calls - arenas, bytes - arenas * ARENA]);
    assert!(ours[0] >= 5500, "{ours:?}");
}
