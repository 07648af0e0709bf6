//! `run`, `check` and `schema`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::prelude::*;
use sched_sim::outcome::Outcome;
use sched_sim::render::{self, Picture};
use sched_sim::scenario::{Record, read};
use sched_sim::{Control, Problems, RunOptions, Scenario, simulate};

use super::{Failure, progress, stop_on_ctrl_c, write};

/// Run scenarios, all at once on all cores, and print results in the order of the files.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Scenarios, JSON or (by name) TOML.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Results as JSON, one a line, beside the table; `-` prints them in the table's place.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
    /// The timeline for <https://ui.perfetto.dev> (one file only).
    #[arg(long, value_name = "OUT")]
    trace: Option<PathBuf>,
    /// The timeline as a picture (one file only).
    #[arg(long, value_name = "OUT")]
    svg: Option<PathBuf>,
    /// Draw only this part of the time, in the scenario's unit.
    #[arg(long, value_name = "FROM..TO", value_parser = window, requires = "svg")]
    window: Option<(f64, f64)>,
    /// Another seed than the scenario's.
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the digest out: faster.
    #[arg(long)]
    no_digest: bool,
}

impl Run {
    pub(crate) fn execute(self) -> Result<(), Failure> {
        if self.files.len() > 1 && (self.trace.is_some() || self.svg.is_some()) {
            return Err(Failure::File("--trace and --svg take one scenario".into()));
        }
        let mut scenarios = read_all(&self.files)?;
        for scenario in &mut scenarios {
            scenario.seed = self.seed.unwrap_or(scenario.seed);
            if self.trace.is_some() || self.svg.is_some() {
                with_timeline(scenario);
            }
        }
        let control = Control::default();
        stop_on_ctrl_c(&control);
        let options = RunOptions { digest: !self.no_digest, control: control.clone() };
        let outcomes = with_progress(&control, || {
            scenarios
                .par_iter()
                .map(|scenario| simulate(scenario, &options))
                .collect::<Result<Vec<Outcome>, Problems>>()
        })?;
        if let (Some(to), [outcome]) = (&self.svg, &outcomes[..]) {
            let title = self.files[0].file_stem().unwrap_or_default().to_string_lossy();
            write(to, &render::gantt(outcome, &Picture { title: &title, window: self.window }))?;
        }
        if let (Some(to), [outcome]) = (&self.trace, &outcomes[..]) {
            write(to, &render::chrome_trace(outcome).to_string())?;
        }
        let mut lines = String::new();
        let mut tables = String::new();
        for (file, outcome) in self.files.iter().zip(&outcomes) {
            if self.json.is_some() {
                lines += &serde_json::to_string(outcome).map_err(|error| Failure::File(error.to_string()))?;
                lines.push('\n');
            }
            if outcomes.len() > 1 {
                let _ = writeln!(tables, "== {}", file.display()); // writing to a string can't fail
            }
            tables += &render::table(outcome);
        }
        let stdout = Path::new("-");
        if let Some(to) = &self.json {
            write(to, &lines)?;
        }
        if [&self.json, &self.svg, &self.trace].iter().all(|to| to.as_deref() != Some(stdout)) {
            write(stdout, &tables)?;
        }
        Ok(())
    }
}

/// From when to when, as `FROM..TO`.
fn window(text: &str) -> Result<(f64, f64), String> {
    let parts = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    parts
        .filter(|(from, to): &(f64, f64)| 0.0 <= *from && from < to && to.is_finite())
        .ok_or_else(|| "give FROM..TO with 0 <= FROM < TO, as 0..5000".into())
}

/// Asks for a timeline, beside whatever else the scenario records.
fn with_timeline(scenario: &mut Scenario) {
    let record = scenario.record.clone().unwrap_or_else(|| scenario.recorded_by_default());
    let record = scenario.record.insert(record);
    record.extend([Record::RunSegments, Record::QueueDepth, Record::Holders]);
}

/// Reads all; says all that is wrong with any.
fn read_all(files: &[PathBuf]) -> Result<Vec<Scenario>, Problems> {
    let mut problems = Vec::new();
    let mut scenarios = Vec::new();
    for file in files {
        match read::file(file) {
            Ok(scenario) => scenarios.push(scenario),
            Err(wrong) => problems.extend(wrong.0),
        }
    }
    if problems.is_empty() { Ok(scenarios) } else { Err(Problems(problems)) }
}

fn with_progress<T>(control: &Control, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let bar = progress("events", None);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                bar.set_position(control.events.load(Ordering::Relaxed));
                std::thread::park_timeout(Duration::from_millis(200));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        bar.finish_and_clear();
        result
    })
}

/// Say what is wrong with scenarios: file, line, key, and what would be right.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Scenarios, JSON or (by name) TOML.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Check {
    pub(crate) fn execute(self) -> Result<(), Failure> {
        read_all(&self.files)?;
        Ok(())
    }
}

/// Print a JSON schema.
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// Of what.
    #[arg(default_value = "scenario")]
    of: SchemaOf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SchemaOf {
    Scenario,
    Result,
    Grid,
    Sweep,
}

impl Schema {
    pub(crate) fn execute(self) -> Result<(), Failure> {
        let schema = match self.of {
            SchemaOf::Scenario => schemars::schema_for!(Scenario),
            SchemaOf::Result => schemars::schema_for!(Outcome),
            SchemaOf::Grid => schemars::schema_for!(sched_sim::sweep::Grid),
            SchemaOf::Sweep => schemars::schema_for!(sched_sim::sweep::Sweep),
        };
        let text = serde_json::to_string_pretty(&schema).map_err(|error| Failure::File(error.to_string()))?;
        write("-".as_ref(), &format!("{text}\n"))
    }
}
