//! A program whose files nobody else has mapped: so that no other process's beginning or end changes its share of a page, not even that of the
//! tool which looks at it.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The command that runs copies of a program, of its libraries and of the loader; `None` where `ldd` doesn't name them, or they don't run.
pub(crate) fn command(program: &str, directory: &TempDir) -> Option<Command> {
    let output = Command::new("ldd").arg(program).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut loader = None;
    for path in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = directory.path().join(Path::new(path).file_name()?);
        std::fs::copy(path, &copy).ok()?;
        if path.contains("/ld-") {
            loader = Some(copy);
        }
    }
    let copy = directory.path().join(Path::new(program).file_name()?);
    std::fs::copy(program, &copy).ok()?;
    let mut command = Command::new(loader?);
    // No files with translations and the like.
    command.env("LC_ALL", "C").arg("--library-path").arg(directory.path()).arg(copy);
    let runs = Command::new(command.get_program()).args(command.get_args()).arg("--version").output();
    runs.is_ok_and(|output| output.status.success()).then_some(command)
}
