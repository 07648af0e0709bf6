//! `contender check`: what would be wrong with a program as a contender, before a comparison says so in a cell.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bench_harness::host::Launch;
use bench_harness::placement::allowed_cpus;
use clap::{Args, Subcommand};
use experiments::check::{Checked, Finding, Outcome};
use serde_json::{Value, json};

use crate::{FINE, REFUTED, output, subjects};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Does this program speak the contender protocol and do the work? Nothing is measured.
    Check(Options),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask contender check python3 mine.py               each workload it offers, against the test vectors
  cargo xtask contender check --json - ./mine --fast        for a program to read; what follows CMD is CMD's

The protocol, and a contender in one page of Python: docs/add-your-runtime.md.

Exit code: 0 all is right, 1 something is wrong, 2 bad input.")]
pub(crate) struct Options {
    /// Write what was found as JSON to F; `-` prints it in place of the list.
    #[arg(long, value_name = "F")]
    json: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Checks the program and tells the exit code.
pub(crate) fn run(Command::Check(options): &Command) -> Result<u8> {
    if let Some(path) = &options.json {
        output::check_writable(path)?;
    }
    let interrupt = subjects::interrupt()?;
    let (program, args) = options.command.split_first().context("CMD is missing")?;
    let launch = Launch { program: program.into(), args: args.to_vec() };
    let cpus = allowed_cpus().context("the affinity mask can't be read")?;
    let is_listed = options.json.as_deref().is_none_or(|path| !output::is_stdout(path));
    let mut printed = Ok(());
    let checked = experiments::check(&launch, &cpus, &interrupt, &mut |finding| {
        if is_listed && printed.is_ok() {
            printed = output::to_stdout(&line(finding));
        }
    })?;
    printed?;
    if let Some(path) = &options.json {
        output::write(path, &format!("{:#}\n", document(&checked)))?;
    }
    if is_listed {
        output::to_stdout(&summary(&checked))?;
    }
    Ok(if checked.is_right() { FINE } else { REFUTED })
}

fn line(Finding { about, outcome }: &Finding) -> String {
    match outcome {
        Outcome::Right(detail) => format!("\x1b[32m✔\x1b[0m {about:<28} {detail}\n"),
        Outcome::Wrong(detail) => format!("\x1b[31m✘\x1b[0m {about:<28} {detail}\n"),
        Outcome::Skipped(detail) => format!("- {about:<28} {detail}\n"),
    }
}

fn summary(checked: &Checked) -> String {
    let wrong = checked.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Wrong(_))).count();
    match (&checked.hello, wrong) {
        (Some(hello), 0) => {
            format!("{} may take part: cargo xtask compare-runtimes --contender CMD\n", hello.name)
        }
        (_, 1) => "1 thing is wrong\n".to_owned(),
        (_, wrong) => format!("{wrong} things are wrong\n"),
    }
}

fn document(checked: &Checked) -> Value {
    let findings = checked.findings.iter().map(|Finding { about, outcome }| {
        let (outcome, detail) = match outcome {
            Outcome::Right(detail) => ("right", detail),
            Outcome::Wrong(detail) => ("wrong", detail),
            Outcome::Skipped(detail) => ("skipped", detail),
        };
        json!({"about": about, "outcome": outcome, "detail": detail})
    });
    let findings: Vec<Value> = findings.collect();
    json!({"contender": checked.hello, "is_right": checked.is_right(), "findings": findings})
}
