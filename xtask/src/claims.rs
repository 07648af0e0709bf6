//! `claims`: each sentence people repeat, with its verdict on this machine, and nothing measured that none of them needs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bench_harness::claim::{Claim, Leg};
use bench_harness::plan::{Effort, Plan};
use bench_harness::render::{html, terminal};
use bench_harness::report::Report;
use bench_harness::session::Session;
use clap::Args;
use experiments::{Contender, Selection};

use crate::progress::Display;
use crate::{FINE, compare, output, subjects};

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask claims --list                        the sentences and their names, nothing measured
  cargo xtask claims                               all of them, about 8 minutes of measuring
  cargo xtask claims --only async-switch           one, in seconds
  cargo xtask claims --html claims.html            with the charts of what was measured

Exit code: 0 fine, 2 bad input, 3 machine too noisy to say anything.")]
pub(crate) struct Options {
    /// Only these, by name.
    #[arg(long, value_delimiter = ',', value_name = "ID,..")]
    only: Vec<String>,
    /// Say which there are, and measure nothing.
    #[arg(long, conflicts_with_all = ["json", "html"])]
    list: bool,
    /// Write the report as JSON to F; `-` prints it in place of the verdicts.
    #[arg(long, value_name = "F")]
    json: Option<PathBuf>,
    /// Write the page, one file that opens in any browser, to F.
    #[arg(long, value_name = "F")]
    html: Option<PathBuf>,
    /// Seeds orders and inputs; the same seed gives the same order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Judges the claims and tells the exit code.
pub(crate) fn run(options: &Options) -> Result<u8> {
    let claims = chosen(&options.only)?;
    if options.list {
        output::to_stdout(&claims.iter().map(listed).collect::<String>())?;
        return Ok(FINE);
    }
    let files: Vec<&PathBuf> = options.json.iter().chain(&options.html).collect();
    files.iter().try_for_each(|path| output::check_writable(path))?;
    let printed = files.iter().filter(|path| output::is_stdout(path)).count();
    if printed > 1 {
        bail!("only one of --json and --html can go to stdout");
    }
    let interrupt = subjects::interrupt()?;
    let contenders = subjects::all(&selection(&claims).programs(), false)?;
    let plans = compare::without_second_core(plans(&claims, &contenders)?)?;
    let mut display = Display::new();
    let session = Session::new(plans, Effort::standard(), options.seed, compare::command_line(), interrupt);
    let report = session.run(&claims, &mut |progress| display.show(progress));
    display.end();
    if printed == 0 {
        output::to_stdout(&(terminal::claims(&report) + &terminal::machine_line(&report)))?;
    }
    write(options, &report)?;
    Ok(compare::exit_code(false, &report, None))
}

fn write(options: &Options, report: &Report) -> Result<()> {
    if let Some(path) = &options.json {
        output::write(path, &(serde_json::to_string(report).context("the report can't be put into JSON")? + "\n"))?;
    }
    if let Some(path) = &options.html {
        output::write(path, &html::report(report))?;
    }
    Ok(())
}

/// The claims of these names; all, if none is named.
fn chosen(only: &[String]) -> Result<Vec<Claim>> {
    let all = experiments::claims();
    if let Some(unknown) = only.iter().find(|id| all.iter().all(|claim| claim.id != **id)) {
        let known: Vec<&str> = all.iter().map(|claim| claim.id.as_str()).collect();
        bail!("there is no claim {unknown:?}; there are: {}", known.join(", "));
    }
    Ok(all.into_iter().filter(|claim| only.is_empty() || only.contains(&claim.id)).collect())
}

fn listed(claim: &Claim) -> String {
    format!("\x1b[1m{}\x1b[0m  {}\n    {}\n", claim.id, claim.text, claim.source)
}

/// All that they are about, by whole names: so each is there in every placement it has.
fn selection(claims: &[Claim]) -> Selection {
    let workloads = claims.iter().flat_map(|claim| &claim.legs).map(|leg| leg.workload.clone());
    Selection { only: workloads.collect(), ..Selection::default() }
}

/// What has to be measured for them: the comparisons that a leg is about, with the contenders that it names.
fn plans(claims: &[Claim], contenders: &[Contender]) -> Result<Vec<Plan>> {
    let legs: Vec<&Leg> = claims.iter().flat_map(|claim| &claim.legs).collect();
    let mut plans = experiments::plans(&selection(claims), contenders)?;
    for plan in &mut plans {
        let mut named: Vec<&str> = Vec::new();
        for leg in legs.iter().filter(|leg| leg.is_about(plan)) {
            named.push(&leg.contender);
            named.extend(leg.versus.as_deref());
        }
        // Where no leg is about it, nobody is left.
        let reference = plan.reference.clone();
        plan.entries
            .retain(|entry| named.contains(&entry.name.as_str()) || (!named.is_empty() && entry.name == reference));
    }
    plans.retain(|plan| !plan.entries.is_empty());
    Ok(plans)
}
