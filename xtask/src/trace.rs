//! `trace`: a program through alloc-trace, which is a process of its own, and what came of it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::{BAD_INPUT, subjects};

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask trace -- python3 -m json.tool FILE
  cargo xtask trace --html allocations.html -- ./server --port 8080         Ctrl-C ends the server, and shows what it did
  cargo xtask trace -o server.trace -- ./server                             keep the trace under a name

More can be made of a trace: `cargo run --release --package alloc-trace --bin alloc-trace -- --help`.

Exit code: the program's own; 2 where it could not be traced.")]
pub(crate) struct Options {
    /// Where the trace goes [default: PROGRAM.PID.trace].
    #[arg(short, long, value_name = "F")]
    output: Option<PathBuf>,
    /// Write a page to F: memory over time, a flame graph, stacks to sort and search.
    #[arg(long, value_name = "F")]
    html: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Runs the program, shows what it allocated, and tells its exit code.
pub(crate) fn run(options: &Options) -> Result<u8> {
    let name = options.program.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default();
    let of_program = || PathBuf::from(format!("{}.{}.trace", name.display(), std::process::id()));
    let trace = options.output.clone().unwrap_or_else(of_program);
    let binary = subjects::alloc_trace()?;
    let alloc_trace = || Command::new(&binary);
    // On Ctrl-C the program ends as it likes; what it did until then is shown.
    subjects::interrupt()?;
    let was_there = trace.exists();
    let traced = alloc_trace().args(["run", "-o"]).arg(&trace).arg("--").args(&options.program).status();
    let code = traced.context("alloc-trace could not be started")?.code();
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(BAD_INPUT);
    // One that was there before is left alone, and is not this program's.
    if was_there || !trace.exists() {
        return Ok(code);
    }
    alloc_trace().arg("summary").arg(&trace).status().context("alloc-trace could not be started")?;
    if let Some(page) = &options.html {
        let file = File::create(page).with_context(|| format!("{} can't be written", page.display()))?;
        alloc_trace().arg("html").arg(&trace).stdout(file).status().context("alloc-trace could not be started")?;
    }
    Ok(code)
}
