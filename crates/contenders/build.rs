//! Hands the versions of all libraries and of the compiler to the code (`VERSION_TOKIO`), so that no report carries a stale one.

use std::path::Path;
use std::process::Command;

fn main() {
    let lock = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(&lock).unwrap_or_default();
    for (library, version) in packages(&text) {
        println!("cargo::rustc-env=VERSION_{}={version}", library.to_uppercase().replace('-', "_"));
    }
    let rustc = std::env::var_os("RUSTC").expect("cargo sets it");
    let output = Command::new(rustc).arg("--version").output().expect("the compiler that builds us runs");
    let compiler = String::from_utf8_lossy(&output.stdout);
    println!("cargo::rustc-env=VERSION_RUST={}", compiler.split_whitespace().nth(1).unwrap_or("unknown"));
}

/// Every package of the lock file with its version. Where there are several versions of one, the last, newest, counts.
fn packages(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    lock.split("[[package]]").filter_map(|entry| {
        let value = |key| entry.lines().find_map(|line| line.strip_prefix(key)?.strip_suffix('"'));
        value("name = \"").zip(value("version = \""))
    })
}
