//! `compare-allocators --replay`: what a person's program allocates, as its trace has it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use bench_harness::plan::Plan;
use experiments::Selection;

use crate::{output, subjects};

/// How a trace is come by.
const REMEDY: &str = "make a trace: cargo xtask trace -o F -- PROGRAM";

/// Has a recording made of the trace, for the contenders to replay, and plans that.
pub(crate) fn plans(trace: &Path, recording: &Path, selection: &Selection) -> Result<Vec<Plan>> {
    // What can be seen at once is said before anything is built.
    let about = File::open(trace).and_then(|file| file.metadata());
    let about = about.map_err(|error| anyhow!("{} can't be read: {error}; {REMEDY}", trace.display()))?;
    if !about.is_file() || about.len() == 0 {
        let what = if about.is_file() { "is empty" } else { "is no file" };
        bail!("{} {what}; {REMEDY}", trace.display());
    }
    output::check_writable(recording)?;
    let program = "trace-to-replay";
    let program = subjects::built(&["build", "--release", "--package", "allocators", "--bin", program], program)?;
    let made = Command::new(program).arg(trace).arg(recording).stderr(Stdio::piped()).output();
    let made = made.context("the program that reads the trace could not be started")?;
    if !made.status.success() {
        bail!("{}", String::from_utf8_lossy(&made.stderr).trim_end());
    }
    let said = String::from_utf8_lossy(&made.stdout);
    let (blocks, sentence) = said.trim_end().split_once('\t').context("what was read of the trace is not told")?;
    let blocks = blocks.parse().context("how many blocks there are is not told")?;
    anstream::eprintln!("{sentence}");
    let recording = recording.to_str().context("the folder's name is no text")?;
    let contenders = subjects::allocators(&["--replay", recording])?;
    Ok(experiments::replay(blocks, sentence, selection, &contenders)?)
}
