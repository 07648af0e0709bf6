//! The command line: parse, call, print. Results go to stdout or files, progress and errors to stderr.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Simulates schedulers, locks, the GIL, event loops and thread pools.
#[derive(Debug, Parser)]
#[command(
    name = "sched-sim",
    version,
    after_help = "Example: sched-sim run crates/sched-sim/scenarios/gil-convoy.toml --svg convoy.svg\n\
                  Exit codes: 0 fine, 2 bad input, 130 a sweep that Ctrl-C ended (what was done is written)"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run scenarios.
    Run(cli::run::Run),
    /// Say what is wrong with scenarios, without running them.
    Check(cli::run::Check),
    /// Print the JSON schema of a file format.
    Schema(cli::run::Schema),
    /// Run a grid of scenarios, or a shard of it.
    Sweep(cli::sweep::SweepCommand),
    /// Put the shards of a sweep together.
    Merge(cli::sweep::Merge),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(command) => command.execute(),
        Command::Check(command) => command.execute(),
        Command::Schema(command) => command.execute(),
        Command::Sweep(command) => command.execute(),
        Command::Merge(command) => command.execute(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has heard enough.
        Err(cli::Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("{failure}");
            ExitCode::from(if matches!(failure, cli::Failure::Interrupted(_)) { 130 } else { 2 })
        }
    }
}
