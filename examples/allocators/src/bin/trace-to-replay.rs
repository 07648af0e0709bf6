//! Makes a recording for replays of a trace of alloc-trace's, and says in a line what it is: the number of its blocks, a tab, a sentence.
//!
//! ```sh
//! cargo run --release -p alloc-trace --bin alloc-trace -- run -o app.trace -- ./app
//! cargo run --release -p allocators --bin trace-to-replay -- app.trace app.recording
//! ```
//!
//! `cargo xtask compare-allocators --replay app.trace` does both the recording and the replaying.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use allocators::replay::{recording, traced};

/// Bad input.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [trace, to] = &words[..] else {
        return told("usage: trace-to-replay TRACE RECORDING\nTRACE: from `alloc-trace run -o TRACE -- PROGRAM`");
    };
    match convert(trace.as_ref(), to.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error),
    }
}

#[expect(clippy::print_stderr, reason = "it is how a program says no")]
fn told(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::from(BAD_INPUT)
}

fn convert(trace: &Path, to: &Path) -> Result<(), String> {
    let traced = traced::calls(trace).map_err(|error| error.to_string())?;
    let recorded = recording::write(&traced.program, &traced.calls);
    let recorded = recorded.map_err(|error| format!("{}: {error}", trace.display()))?;
    let unwritable = |error| format!("{} can't be written: {error}", to.display());
    std::fs::write(to, &recorded.bytes).map_err(unwritable)?;
    let sentence = traced.sentence(recorded.most_live);
    writeln!(std::io::stdout(), "{}\t{sentence}", recorded.blocks).map_err(|error| error.to_string())
}
