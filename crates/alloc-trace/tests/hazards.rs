//! Programs in states that a library in them must not make worse, and must not tell wrong things of.
//!
//! Needs `cc`; skipped with a reason where there is none, unless `LAB_REQUIRE` names `cc`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod tracing;

use tracing::Program;

#[test]
fn a_stack_of_which_a_part_has_gone_is_not_read_there() {
    let Some(program) = Program::build("borrowed") else { return };
    let (output, analysis) = program.trace(&[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(program.own(&analysis)[..3], [4, 400, 4]);
}
