//! The preload library as it is built without optimisation: it does each walk that begins where the last one ended, and each of a stack that is
//! remembered, a second time from one end to the other, and ends the program at a difference.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds it, if need be. Its file.
pub(crate) fn library() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload/Cargo.toml");
    let target = Path::new(env!("CARGO_BIN_EXE_alloc-trace")).parent().unwrap().parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(target);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug/liballoc_trace_preload.so")
}
