//! `sweep` and `merge`.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use sched_sim::scenario::read::Format;
use sched_sim::sweep::{Grid, RunSummary, merge};
use sched_sim::{Control, Problems, RunOptions};

use super::{Failure, progress, stop_on_ctrl_c, write};

/// Run a grid: a scenario, what of it varies, and how many seeds.
///
/// A grid is JSON or TOML: `{"scenario": {..}, "vary": {"policy.quantum": [1, 10]}, "replicates": 5}`; the scenario may also be the name of a
/// file beside it. On Ctrl-C the runs that are done are written.
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
        let grid = read_grid(&self.grid)?;
        let control = Control::default();
        stop_on_ctrl_c(&control);
        let options = RunOptions { digest: true, control: control.clone() };
        let numbers: Vec<u64> = grid.shard(self.shard.0, self.shard.1).collect();
        let bar = progress("runs", Some(numbers.len() as u64));
        let runs = numbers.into_par_iter().map(|number| {
            if control.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let run = grid.simulate(number, &options)?;
            bar.inc(1);
            // A run that was interrupted is not what its number stands for.
            Ok((!control.stop.load(Ordering::Relaxed)).then_some(run))
        });
        let runs = runs.collect::<Result<Vec<Option<RunSummary>>, Problems>>()?;
        bar.finish_and_clear();
        let mut text = String::new();
        for run in runs.into_iter().flatten() {
            text += &serde_json::to_string(&run).map_err(|error| Failure::File(error.to_string()))?;
            text.push('\n');
        }
        write(&self.out, &text)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::File(format!("{}: can't be read: {error}", path.display())))
}

fn read_value(path: &Path) -> Result<serde_json::Value, Failure> {
    let text = read(path)?;
    let value = match Format::of(path) {
        Format::Json => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Format::Toml => toml::from_str(&text).map_err(|error| error.to_string()),
    };
    value.map_err(|error| Failure::File(format!("{}: {error}", path.display())))
}

fn read_grid(path: &Path) -> Result<Grid, Failure> {
    let mut value = read_value(path)?;
    if let Some(name) = value.get("scenario").and_then(|name| name.as_str()) {
        let scenario = read_value(&path.parent().unwrap_or(Path::new(".")).join(name))?;
        value["scenario"] = scenario;
    }
    serde_json::from_value(value).map_err(|error| Failure::File(format!("{}: {error}", path.display())))
}

/// Put the shards of a sweep together: runs in order, each once, with one digest over all.
#[derive(Debug, clap::Args)]
pub(crate) struct Merge {
    /// Results of shards, in any order.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Where the sweep goes; `-` is standard output.
    #[arg(long, default_value = "-")]
    out: PathBuf,
}

impl Merge {
    pub(crate) fn execute(self) -> Result<(), Failure> {
        let mut runs = Vec::new();
        for path in &self.shards {
            for (number, line) in read(path)?.lines().enumerate() {
                let run: RunSummary = serde_json::from_str(line)
                    .map_err(|error| Failure::File(format!("{}:{}: {error}", path.display(), number + 1)))?;
                runs.push(run);
            }
        }
        let sweep = merge(runs)?;
        let text = serde_json::to_string(&sweep).map_err(|error| Failure::File(error.to_string()))?;
        write(&self.out, &format!("{text}\n"))
    }
}
