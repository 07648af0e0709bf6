//! `sweep` and `merge`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sched_sim::outcome::StopReason;
use sched_sim::sweep::{RunSummary, merge, read};
use sched_sim::{Control, Problems, RunOptions, render};

use super::{Failure, progress, stop_on_ctrl_c, write};

/// Run a grid: a scenario, what of it varies, and how many seeds.
///
/// A grid is JSON or TOML: `{"scenario": {..}, "vary": {"policy.quantum": [1, 10]}, "replicates": 5}`; the scenario may also be the name of a
/// file beside it. On Ctrl-C the runs that are done are written. Example: `sched-sim sweep grid.toml --shard 2/8 --out 2.jsonl`
#[derive(Debug, clap::Args)]
pub(crate) struct SweepCommand {
    /// The grid.
    grid: PathBuf,
    /// Only the i-th of N shards, as `i/N`.
    #[arg(long, default_value = "1/1", value_parser = shard)]
    shard: (u64, u64),
    /// Where results go, one line each; `-` is standard output.
    #[arg(long, default_value = "-")]
    out: PathBuf,
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    parts.filter(|(i, n)| (1..=*n).contains(i)).ok_or_else(|| "give i/N with 1 <= i <= N, as 2/8".into())
}

impl SweepCommand {
    pub(crate) fn execute(self) -> Result<(), Failure> {
        let grid = read::file(&self.grid)?;
        let control = Control::default();
        stop_on_ctrl_c(&control);
        let options = RunOptions { digest: true, control: control.clone() };
        let numbers: Vec<u64> = grid.shard(self.shard.0, self.shard.1).collect();
        let all = numbers.len();
        // All combinations before any of them is run: the last may be a bad one. Seeds make none so.
        let mut points = numbers.clone();
        points.dedup_by_key(|number| *number / u64::from(grid.replicates.max(1)));
        let wrong = |number: &u64| grid.check(*number).err().filter(|_| !control.stop.load(Ordering::Relaxed));
        if let Some(mut problems) = points.par_iter().find_map_first(wrong) {
            let file = self.grid.display().to_string();
            problems.0.iter_mut().for_each(|problem| problem.file = Some(file.clone()));
            return Err(problems.into());
        }
        // Where no bar is drawn, a line for every tenth.
        let lines = !std::io::stderr().is_terminal();
        if lines {
            anstream::eprintln!("{all} runs; Ctrl-C ends with those that are done");
        }
        let count = AtomicUsize::new(0);
        let bar = progress("runs", Some(all as u64));
        let runs = numbers.into_par_iter().map(|number| {
            if control.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let run = grid.simulate(number, &options)?;
            if run.stopped == StopReason::Interrupted {
                // It is not what its number stands for.
                return Ok(None);
            }
            bar.inc(1);
            let done = count.fetch_add(1, Ordering::Relaxed) + 1;
            if lines && done.is_multiple_of((all / 10).max(1)) {
                anstream::eprintln!("{done} of {all} runs done");
            }
            Ok(Some(run))
        });
        let runs = runs.collect::<Result<Vec<Option<RunSummary>>, Problems>>()?;
        bar.finish_and_clear();
        let mut text = String::new();
        let done: Vec<RunSummary> = runs.into_iter().flatten().collect();
        for run in &done {
            text += &serde_json::to_string(run).map_err(|error| Failure::File(error.to_string()))?;
            text.push('\n');
        }
        write(&self.out, &text)?;
        if done.len() < all {
            let what = format!("interrupted: {} of {all} runs are written; the same command does them all", done.len());
            return Err(Failure::Interrupted(what));
        }
        Ok(())
    }
}

/// Put the shards of a sweep together: runs in order, each once, with one digest over all.
///
/// Example: `sched-sim merge *.jsonl --table`
#[derive(Debug, clap::Args)]
pub(crate) struct Merge {
    /// Results of shards, in any order.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Where the sweep goes; `-` is standard output.
    #[arg(long, default_value = "-")]
    out: PathBuf,
    /// A table instead of JSON: a line for each combination of values, with means over its seeds.
    #[arg(long)]
    table: bool,
    /// The table's figures, by their paths in a run: `finish_time,mean.wait,aggregates.response_p99,counters.migrations`.
    #[arg(long, value_delimiter = ',', value_name = "FIGURE,..", requires = "table")]
    show: Vec<String>,
}

impl Merge {
    pub(crate) fn execute(self) -> Result<(), Failure> {
        let mut runs = Vec::new();
        for path in &self.shards {
            runs.extend(read::shard(path)?);
        }
        let sweep = merge(runs)?;
        // Of the last runs nobody knows that they are missing; of those between others it shows.
        let most = sweep.runs.last().map_or(0, |run| run.run + 1);
        let missing = most - sweep.runs.len() as u64;
        if missing > 0 {
            anstream::eprintln!("{missing} of the runs 0 to {} are missing: a shard is, or was interrupted", most - 1);
        }
        if self.table {
            let asked: Vec<&str> = self.show.iter().map(String::as_str).collect();
            let figures = if asked.is_empty() { &render::SHOWN[..] } else { &asked };
            return write(&self.out, &render::sweep_table(&sweep, figures));
        }
        let text = serde_json::to_string(&sweep).map_err(|error| Failure::File(error.to_string()))?;
        write(&self.out, &format!("{text}\n"))
    }
}
