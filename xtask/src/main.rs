//! The lab's command line: parses, calls the crates, prints. Whatever it starts to measure is a process of its own; it links
//! no runtime, so that it builds in seconds.
#![forbid(unsafe_code)]

mod claims;
mod compare;
mod contender;
mod output;
mod progress;
mod replay;
mod self_test;
mod simulate;
mod subjects;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything went well.
const FINE: u8 = 0;
/// A claim or baseline was refuted, and `--gate` was given; or a contender is none.
const REFUTED: u8 = 1;
/// Usage or bad input.
const BAD_INPUT: u8 = 2;
/// The machine is too noisy to say anything.
const TOO_NOISY: u8 = 3;

/// Find out, on your own machine, what is true about concurrency.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_help = "Start with: cargo xtask compare-runtimes --quick"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare runtimes on this machine: time, CPU, switches and tails per unit of work, with intervals and verdicts.
    CompareRuntimes(Box<compare::Runtimes>),
    /// Compare memory allocators: time a malloc and free, memory over what is live, page faults, what goes back and when.
    CompareAllocators(Box<compare::Allocators>),
    /// The sentences people repeat about concurrency, each with its verdict on this machine.
    Claims(claims::Options),
    /// For who brings a contender: is it one?
    #[command(subcommand)]
    Contender(contender::Command),
    /// What would happen: one scenario (a machine, a policy, costs, tasks), simulated exactly.
    Simulate(simulate::Options),
    /// Test the harness itself: does it tell a program from itself, does it find a slowdown of 3 %?
    SelfTest(self_test::Options),
    /// Who allocates in a program, how much, and what of it stays.
    Trace(trace::Options),
    /// Print the JSON schema of a document.
    Schema {
        /// Which document: `report` of a comparison, `scenario` and `result` of a simulation.
        #[arg(value_parser = ["report", "scenario", "result"])]
        name: String,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_INPUT } else { FINE });
        }
    };
    let outcome = match cli.command {
        Command::CompareRuntimes(options) => compare::runtimes(&options),
        Command::CompareAllocators(options) => compare::allocators(&options),
        Command::Claims(options) => claims::run(&options),
        Command::Contender(command) => contender::run(&command),
        Command::SelfTest(options) => self_test::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Trace(options) => trace::run(&options),
        Command::Schema { name } if name != "report" => simulate::schema(&name),
        Command::Schema { name: _ } => {
            output::json_to_stdout(&bench_harness::report::Report::json_schema()).map(|()| FINE)
        }
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            anstream::eprintln!("\x1b[31merror\x1b[0m: {error:#}");
            ExitCode::from(BAD_INPUT)
        }
    }
}
