//! Hands the versions of the measured libraries and the compiler to the code, so that no report carries a stale one.

use std::path::Path;
use std::process::Command;

const MEASURED: [&str; 11] = [
    "async-executor",
    "async-std",
    "compio",
    "corosensei",
    "crossbeam-channel",
    "crossbeam-utils",
    "glommio",
    "may",
    "monoio",
    "rayon",
    "tokio",
];

fn main() {
    let lock = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(&lock).unwrap_or_default();
    for library in MEASURED {
        let variable = library.to_uppercase().replace('-', "_");
        println!("cargo::rustc-env=VERSION_{variable}={}", version(&text, library).unwrap_or("unknown"));
    }
    let rustc = std::env::var_os("RUSTC").expect("cargo sets it");
    let output = Command::new(rustc).arg("--version").output().expect("the compiler that builds us runs");
    let compiler = String::from_utf8_lossy(&output.stdout);
    println!("cargo::rustc-env=VERSION_RUST={}", compiler.split_whitespace().nth(1).unwrap_or("unknown"));
}

/// The version that follows a package's name in the lock file.
fn version<'a>(lock: &'a str, library: &str) -> Option<&'a str> {
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{library}\"\n")))?;
    entry.lines().find_map(|line| line.strip_prefix("version = \""))?.strip_suffix('"')
}
