//! What the tests share.

use std::process::Command;

/// Whether a tool is there. One that `LAB_REQUIRE` names has to be.
///
/// # Panics
/// When it is named there and is not.
pub fn has(tool: &str, program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let required = std::env::var("LAB_REQUIRE").is_ok_and(|list| list.split([' ', ',']).any(|name| name == tool));
    assert!(there || !required, "LAB_REQUIRE names {tool}, but {program} can't be run");
    if !there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}
