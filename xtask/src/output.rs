//! Files and stdout.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Whether the path means stdout.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes a document to a file, or to stdout for `-`. The file is complete or not there: it is written beside its place and
/// then renamed, so that a full disk does not cost the old one.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if is_stdout(path) {
        return to_stdout(text);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        // A device or a pipe can only be written to in place.
        if path.exists() && !path.is_file() {
            return fs::write(path, text);
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let beside = path.with_file_name(name);
        let written = File::create(&beside).and_then(|file| {
            let mut file = BufWriter::new(file);
            file.write_all(text.as_bytes())?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        });
        written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
    };
    attempt().with_context(|| format!("{} can't be written", path.display()))
}

/// Whether a file could be written there: better known before minutes of measuring than after.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    if is_stdout(path) || (path.exists() && !path.is_file()) {
        return Ok(());
    }
    let existed = path.exists();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| File::options().append(true).create(true).open(path).map(drop))
        .with_context(|| format!("{} can't be written", path.display()))?;
    if !existed {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// Prints to stdout, with colours only where a person sees them. A closed pipe (`| head`) is no error.
pub(crate) fn to_stdout(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("stdout can't be written"),
    }
}

/// Prints one JSON document to stdout.
pub(crate) fn json_to_stdout(document: &serde_json::Value) -> Result<()> {
    to_stdout(&format!("{document:#}\n"))
}

/// Whether a person watches stderr.
pub(crate) fn watched() -> bool {
    io::stderr().is_terminal()
}
