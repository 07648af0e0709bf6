//! `simulate`: one scenario through sched-sim, which is a process of its own and writes what it is asked for.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::{BAD_INPUT, subjects};

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask simulate crates/sched-sim/scenarios/three-tasks.toml          a table
  cargo xtask simulate crates/sched-sim/scenarios/gil-convoy.toml --svg convoy.svg --trace convoy.json
  cargo xtask simulate crates/sched-sim/scenarios/gil-interval-5ms.toml --svg trips.svg --window 0..50000
  cargo xtask simulate mine.toml --json - | jq .mean                        for a program to read

More scenarios, each with what to look for: crates/sched-sim/scenarios. What a scenario may contain: crates/sched-sim/docs/scenario.md, and
`cargo xtask schema scenario`. Grids of scenarios: `cargo run --release --package sched-sim -- sweep --help`.

Exit code: 0 fine, 2 bad input.")]
pub(crate) struct Options {
    /// The scenario: TOML where its name says so, JSON otherwise.
    file: PathBuf,
    /// Write the result as JSON to F, beside the table; `-` prints it in the table's place.
    #[arg(long, value_name = "F")]
    json: Option<PathBuf>,
    /// Write the timeline to F, for <https://ui.perfetto.dev>.
    #[arg(long, value_name = "F")]
    trace: Option<PathBuf>,
    /// Write the timeline to F as a picture: who had which core, lock and GIL, and when.
    #[arg(long, value_name = "F")]
    svg: Option<PathBuf>,
    /// Draw only this part of the time, in the scenario's unit.
    #[arg(long, value_name = "FROM..TO", requires = "svg")]
    window: Option<String>,
    /// Another seed than the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Runs the scenario and tells the exit code, which is sched-sim's own.
pub(crate) fn run(options: &Options) -> Result<u8> {
    let mut command = Command::new(sched_sim()?);
    command.arg("run");
    for (flag, file) in [("--json", &options.json), ("--trace", &options.trace), ("--svg", &options.svg)] {
        if let Some(file) = file {
            command.arg(flag).arg(file);
        }
    }
    if let Some(window) = &options.window {
        command.args(["--window", window]);
    }
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    // After `--` no file is taken for a flag.
    command.arg("--").arg(&options.file);
    // On Ctrl-C the simulator writes what it has; we only have to be there until then.
    subjects::interrupt()?;
    let status = command.status().context("sched-sim could not be started")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(BAD_INPUT))
}

/// The JSON schema of a document of sched-sim's, as it prints it.
pub(crate) fn schema(of: &str) -> Result<u8> {
    let status = Command::new(sched_sim()?).args(["schema", of]).status().context("sched-sim could not be started")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(BAD_INPUT))
}

fn sched_sim() -> Result<PathBuf> {
    subjects::built(&["build", "--release", "--package", "sched-sim", "--bin", "sched-sim"], "sched-sim")
}
