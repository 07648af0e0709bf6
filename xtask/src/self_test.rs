//! `self-test`: how often does the harness cry wolf here, and does it hear one?

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bench_harness::host::{Interrupt, Launch};
use bench_harness::rng::SplitMix64;
use bench_harness::stats::median;
use clap::Args;
use experiments::self_test::{SLOWDOWN_PERMILLE, SLOWED, Trial, WORKLOADS, coverage, overhead, trial};

use crate::{FINE, REFUTED, output, subjects};

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask self-test          a short look, about a minute and a half
  cargo xtask self-test --full   the proof, about 20 minutes; nothing else may run meanwhile

Exit code: 0 all bars held, 1 one was missed, 2 bad input.")]
pub(crate) struct Options {
    /// 200 comparisons of a program with itself, 2 x 50 with a slowed copy, criterion's own compare beside them.
    #[arg(long)]
    full: bool,
    /// Seeds every order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How much of everything.
struct Size {
    aa_per_workload: u32,
    slowed_per_workload: u32,
    coverage_tries: u32,
    overhead_children: u32,
    criterion_per_workload: u32,
}

/// What is to be held, for the full test: the numbers stand in the issue that asked for them.
const MOST_FLAGGED_OF_200: u32 = 16;
const LEAST_FOUND: f64 = 0.9;
const COVERAGE: std::ops::RangeInclusive<f64> = 0.93..=0.97;
const SEQUENTIAL_COVERAGE: f64 = 0.95;
const MOST_OVERHEAD: f64 = 0.005;

/// One line of the result.
struct Bar {
    what: String,
    measured: String,
    wanted: String,
    held: bool,
}

/// Runs the proof and tells the exit code.
pub(crate) fn run(options: &Options) -> Result<u8> {
    let size = if options.full {
        Size {
            aa_per_workload: 50,
            slowed_per_workload: 50,
            coverage_tries: 4_000,
            overhead_children: 40,
            criterion_per_workload: 10,
        }
    } else {
        Size {
            aa_per_workload: 3,
            slowed_per_workload: 3,
            coverage_tries: 1_000,
            overhead_children: 10,
            criterion_per_workload: 0,
        }
    };
    let interrupt = subjects::interrupt()?;
    let binary = subjects::build(false)?;
    let probe = Launch { program: binary, args: vec!["probe".to_owned()] };
    let criterion = if size.criterion_per_workload > 0 {
        Some(subjects::built(&["bench", "--no-run", "--package", "benches", "--bench", "probe"], "probe")?)
    } else {
        None
    };
    let begin = Instant::now();
    let mut seeds = SplitMix64::new(options.seed);
    let mut bars = Vec::new();

    // The comparisons of a thing with itself, ours and criterion's in one run, workload by workload in turn.
    let mut ours: Vec<Vec<Trial>> = vec![Vec::new(); WORKLOADS.len()];
    let mut theirs: Vec<Vec<bool>> = vec![Vec::new(); WORKLOADS.len()];
    for pass in 0..size.aa_per_workload {
        let flagged = ours.iter().flatten().filter(|trial| trial.flagged()).count();
        let so_far = pass as usize * WORKLOADS.len();
        say(
            begin,
            &format!(
                "itself against itself, pass {} of {}, {flagged} of {so_far} flagged",
                pass + 1,
                size.aa_per_workload
            ),
        );
        for (index, workload) in WORKLOADS.iter().enumerate() {
            ours[index].push(one(&probe, workload, 0, &mut seeds, &interrupt)?);
            let due = size.criterion_per_workload * (pass + 1) / size.aa_per_workload;
            if let Some(criterion) = &criterion
                && (theirs[index].len() as u32) < due
            {
                theirs[index].push(criterion_flags(criterion, workload.trim_start_matches("probe/"))?);
            }
        }
    }
    let mut table = aa_table(&ours, &theirs);
    let comparisons: u32 = ours.iter().map(|trials| trials.len() as u32).sum();
    let flagged: u32 = ours.iter().flatten().filter(|trial| trial.flagged()).count() as u32;
    // Fewer comparisons, proportionally fewer flags, but one is always within chance.
    let most = (MOST_FLAGGED_OF_200 * comparisons / 200).max(1);
    bars.push(Bar {
        what: "told from itself".to_owned(),
        measured: format!("{flagged} of {comparisons}"),
        wanted: format!("at most {most}"),
        held: flagged <= most,
    });
    if !theirs[0].is_empty() {
        let count = theirs.iter().map(Vec::len).sum::<usize>();
        let wolf = theirs.iter().flatten().filter(|flagged| **flagged).count();
        let _ = writeln!(table, "criterion's own compare, in the same run: {wolf} of {count} told from themselves");
    }

    for workload in SLOWED {
        bars.push(slowdown_bar(workload, size.slowed_per_workload, begin, &mut |slowdown| {
            one(&probe, workload, slowdown, &mut seeds, &interrupt)
        })?);
    }

    bars.extend(coverage_bars(&ours, size.coverage_tries, seeds.next_u64()));
    say(begin, "what measuring costs");
    let cost = overhead(&probe, size.overhead_children, seeds.next_u64(), &interrupt).map_err(anyhow::Error::msg)?;
    let percent = |ratio: f64| format!("{:+.2} %", 100.0 * (ratio - 1.0));
    bars.push(Bar {
        what: "measuring a block of 1 ms costs".to_owned(),
        measured: format!("{} [{}, {}]", percent(cost.estimate), percent(cost.low), percent(cost.high)),
        wanted: format!("below {:.1} %", 100.0 * MOST_OVERHEAD),
        held: cost.high < 1.0 + MOST_OVERHEAD,
    });
    output::to_stdout(&format!("{table}\n{}", bar_table(&bars)))?;
    anstream::eprintln!("took {:.0} s", begin.elapsed().as_secs_f64());
    Ok(if bars.iter().all(|bar| bar.held) { FINE } else { REFUTED })
}

/// How often intervals hold a truth that is known, on the rounds that were just measured.
fn coverage_bars(ours: &[Vec<Trial>], tries: u32, seed: u64) -> Vec<Bar> {
    let pools: Vec<Vec<f64>> =
        ours.iter().map(|trials| trials.iter().flat_map(|trial| trial.rounds.iter().copied()).collect()).collect();
    let Some(coverage) = coverage(&pools, tries, seed) else { return Vec::new() };
    vec![
        Bar {
            what: format!("fixed-n 95 % intervals hold the truth, {} resampled tries", coverage.tries),
            measured: format!("{:.1} %", 100.0 * coverage.fixed),
            wanted: "93 to 97 %".to_owned(),
            held: COVERAGE.contains(&coverage.fixed),
        },
        Bar {
            what: "sequential ones".to_owned(),
            measured: format!("{:.1} %", 100.0 * coverage.sequential),
            wanted: "at least 95 %".to_owned(),
            held: coverage.sequential >= SEQUENTIAL_COVERAGE,
        },
    ]
}

/// How often a slowed copy is found out.
fn slowdown_bar(
    workload: &str,
    tries: u32,
    begin: Instant,
    compare: &mut dyn FnMut(u64) -> Result<Trial>,
) -> Result<Bar> {
    let mut found = Vec::new();
    for attempt in 0..tries {
        say(begin, &format!("{workload} slowed by 3 %, try {} of {tries}", attempt + 1));
        found.push(compare(SLOWDOWN_PERMILLE)?);
    }
    let hits = found.iter().filter(|trial| trial.found_slower()).count();
    let middle = |figure: fn(&Trial) -> f64| median(&found.iter().map(figure).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    Ok(Bar {
        what: format!("a 3 % slowdown found, {workload}"),
        measured: format!(
            "{hits} of {tries} (median estimate {:.4}x, {:.1} s a try)",
            middle(|trial| trial.ratio.estimate),
            middle(|trial| trial.seconds)
        ),
        wanted: format!("at least {:.0} %", 100.0 * LEAST_FOUND),
        held: hits as f64 >= LEAST_FOUND * f64::from(tries),
    })
}

fn one(probe: &Launch, workload: &str, slowdown: u64, seeds: &mut SplitMix64, interrupt: &Interrupt) -> Result<Trial> {
    /// How often a comparison that others disturbed is made again. Whether it was disturbed does not depend on its outcome.
    const ATTEMPTS: u32 = 5;
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        // Whole seeds up to 2^53 travel through JSON unharmed.
        match trial(probe, workload, slowdown, seeds.next_u64() >> 11, interrupt) {
            Ok(trial) => return Ok(trial),
            Err(reason) => why = reason,
        }
        if interrupt.is_set() {
            break;
        }
        anstream::eprintln!("         {workload}: {why}; once more");
    }
    bail!("{workload}: {why}")
}

fn say(begin: Instant, what: &str) {
    anstream::eprintln!("{:>5.0} s  {what}", begin.elapsed().as_secs_f64());
}

fn aa_table(ours: &[Vec<Trial>], theirs: &[Vec<bool>]) -> String {
    let mut text = format!(
        "{:<14} {:>11} {:>8} {:>14} {:>12} {:>16}\n",
        "workload", "comparisons", "flagged", "median change", "half width", "criterion flags"
    );
    for ((workload, trials), flags) in WORKLOADS.iter().zip(ours).zip(theirs) {
        let off: Vec<f64> = trials.iter().map(|trial| 100.0 * (trial.ratio.estimate - 1.0).abs()).collect();
        let half: Vec<f64> = trials.iter().map(|trial| 50.0 * (trial.ratio.high / trial.ratio.low).ln()).collect();
        let wolf = flags.iter().filter(|flagged| **flagged).count();
        let _ = writeln!(
            text,
            "{workload:<14} {:>11} {:>8} {:>12.2} % {:>10.2} % {:>16}",
            trials.len(),
            trials.iter().filter(|trial| trial.flagged()).count(),
            median(&off).unwrap_or(f64::NAN),
            median(&half).unwrap_or(f64::NAN),
            if flags.is_empty() { "-".to_owned() } else { format!("{wolf} of {}", flags.len()) }
        );
    }
    text
}

fn bar_table(bars: &[Bar]) -> String {
    let mut text = String::new();
    for bar in bars {
        let mark = if bar.held { "\x1b[32m✔\x1b[0m" } else { "\x1b[31m✘ MISSED\x1b[0m" };
        let _ = writeln!(text, "{mark} {}: {}   ({})", bar.what, bar.measured, bar.wanted);
    }
    text
}

/// Whether criterion's compare, with a fresh baseline, tells the benchmark from itself. The baseline lies in the target folder.
fn criterion_flags(bench: &Path, name: &str) -> Result<bool> {
    let run = |flag: &str| -> Result<String> {
        let mut command = Command::new(bench);
        command.args(["--bench", flag, "self", "--exact", name, "--noplot"]);
        let home = bench.parent().and_then(Path::parent).context("the bench lies in the target folder")?;
        let output = command.env("CRITERION_HOME", home.join("criterion-self-test")).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    run("--save-baseline")?;
    let text = run("--baseline")?;
    if !text.contains("change:") {
        bail!("criterion compared nothing for {name:?}: {}", text.lines().next().unwrap_or("no output"));
    }
    Ok(text.contains("Performance has improved") || text.contains("Performance has regressed"))
}
