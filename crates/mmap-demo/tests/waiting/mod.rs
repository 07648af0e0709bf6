//! A process to look at.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// One that waits for its input to end, and has its memory as it will be. It ends with the test.
pub(crate) struct Waiting(pub(crate) Child);

impl Waiting {
    /// A program that gives back what it is given, as `cat` does.
    pub(crate) fn of(program: &mut Command) -> Self {
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It answers: so it has begun, and waits for more.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
