//! What operations execute, counted under valgrind: figures that do not depend on the machine's mood. Skipped where there is no valgrind
//! or no release build of the example to count:
//!
//!     cargo build --release --package ctxvar --example operations && cargo test --package ctxvar --test instructions -- --nocapture
#![allow(clippy::print_stdout, reason = "it shows what it counted")]

use std::path::{Path, PathBuf};
use std::process::Command;

const FEW: u64 = 10_000;
const MANY: u64 = 110_000;

/// Whether both are required: a skipped check is no check.
fn is_required(what: &str) -> bool {
    std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split_whitespace().any(|one| one == what))
}

/// The example, beside the tests' own folder.
fn operations() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let path = target.join("release/examples/operations");
    path.exists().then_some(path)
}

fn executed(operations: &Path, name: &str, count: u64) -> Option<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(operations)
        .arg(name)
        .arg(count.to_string());
    let output = valgrind.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok())
}

/// How often the operation's function contains an instruction that locks the bus, by objdump.
fn locked(operations: &Path, function: &str) -> Option<usize> {
    let output = Command::new("objdump")
        .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
        .arg(operations)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let body = text.split("\n\n").find(|body| body.lines().next().is_some_and(|line| line.contains(function)))?;
    Some(body.lines().filter(|line| line.contains("lock ") || line.contains("xchg")).count())
}

#[test]
fn operations_execute_no_more_than_they_should() {
    let Some(operations) = operations() else {
        assert!(!is_required("valgrind"), "build the example first");
        println!("SKIPPED: there is no release build of the example `operations`");
        return;
    };
    let each = |name: &str| {
        let (few, many) = (executed(&operations, name, FEW)?, executed(&operations, name, MANY)?);
        Some((many - few) as f64 / (MANY - FEW) as f64)
    };
    let Some(nothing) = each("nothing") else {
        assert!(!is_required("valgrind"), "there is no valgrind");
        println!("SKIPPED: there is no valgrind");
        return;
    };
    // Each is a call of a function, return included, without the loop around it.
    let count = |name: &str, limit: f64| {
        let count = each(name).expect("counted before") - nothing;
        println!("{name:<10} {count:>6.1} instructions, at most {limit}");
        assert!(count <= limit, "{name} executes {count} instructions, more than {limit}");
        count
    };
    count("get", 25.0);
    count("default", 25.0);
    count("with", 30.0);
    count("snapshot", 30.0);
    let bare = count("bare-poll", 20.0);
    let poll = count("poll", 40.0);
    println!("a context adds {:.1} to a poll", poll - bare);
    match locked(&operations, "probe_get") {
        Some(locked) => assert_eq!(locked, 0, "to read locks nothing"),
        None => println!("SKIPPED: there is no objdump"),
    }
}
