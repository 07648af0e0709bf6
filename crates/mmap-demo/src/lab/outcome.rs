//! What an experiment found, as data, as text, and as a picture.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::chart;

/// What an experiment found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) experiment: String,
    /// How to do it again.
    pub(crate) command: String,
    pub(crate) question: String,
    pub(crate) machine: String,
    pub(crate) result: Findings,
    pub(crate) verdicts: Vec<Verdict>,
    /// Figures that the lab's claims are judged by: the same each time, but for what they are rounded to.
    pub(crate) values: BTreeMap<&'static str, f64>,
    /// Why there is nothing to be found out here.
    pub(crate) skipped: Option<Skipped>,
}

/// Why an experiment can't be made on this machine.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Skipped {
    /// A word for programs.
    pub(crate) reason: &'static str,
    /// A sentence for people.
    pub(crate) why: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Findings {
    Costs(Vec<Cost>),
    Steps(Vec<Step>),
}

/// What one way of doing something costs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cost {
    pub(crate) name: String,
    /// ns an operation; `None` if it could not be measured here, for the reason below.
    pub(crate) ns: Option<f64>,
    pub(crate) operation: String,
    pub(crate) note: String,
    /// A word for programs, why it could not be measured, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
}

/// A step of a walk, and the memory after it, bytes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) mapped: u64,
    pub(crate) resident: u64,
    pub(crate) note: String,
}

/// What became of a claim.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) claim: String,
    pub(crate) judged: Judged,
    /// With the figures.
    pub(crate) why: String,
    /// Of one that was skipped, a word for programs, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Judged {
    True,
    False,
    Depends,
    Open,
    Skipped,
}

impl Outcome {
    pub(crate) fn new(experiment: &str, question: &str, result: Findings, verdicts: Vec<Verdict>) -> Self {
        Self {
            experiment: experiment.to_owned(),
            command: format!("cargo run --release -p mmap-demo -- {experiment}"),
            question: question.to_owned(),
            machine: machine(),
            result,
            verdicts,
            values: BTreeMap::new(),
            skipped: None,
        }
    }

    pub(crate) fn with_values(mut self, values: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        self.values.extend(values);
        self
    }
}

impl Verdict {
    /// True if it holds, false if not.
    pub(crate) fn of(claim: &str, holds: bool, why: String) -> Self {
        Self::judged(claim, if holds { Judged::True } else { Judged::False }, why)
    }

    pub(crate) fn judged(claim: &str, judged: Judged, why: String) -> Self {
        Self { claim: claim.to_owned(), judged, why, reason: None }
    }

    /// It could not be looked at.
    pub(crate) fn skipped(claim: &str, why: &str) -> Self {
        Self::judged(claim, Judged::Skipped, why.to_owned())
    }

    /// The same with a word for programs.
    pub(crate) fn skipped_because(claim: &str, reason: &'static str, why: &str) -> Self {
        Self { reason: Some(reason), ..Self::skipped(claim, why) }
    }
}

fn machine() -> String {
    let system = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    format!("{model} · {cpus} CPUs · {} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.question)?;
        match &self.result {
            Findings::Costs(costs) => costs.iter().try_for_each(|cost| write_cost(f, cost, costs))?,
            Findings::Steps(steps) => {
                writeln!(f, "  {:<58} {:>11} {:>11}", "", "virtual", "resident")?;
                for step in steps {
                    let (mapped, resident) = (bytes(step.mapped), bytes(step.resident));
                    write!(f, "  {:<58} {mapped:>11} {resident:>11}", step.what)?;
                    writeln!(f, "{}{}", if step.note.is_empty() { "" } else { "   " }, step.note)?;
                }
            }
        }
        writeln!(f)?;
        for verdict in &self.verdicts {
            let mark = match verdict.judged {
                Judged::True => "✔ true:",
                Judged::False => "✘ false:",
                Judged::Depends => "~ depends:",
                Judged::Open => "? open:",
                Judged::Skipped => "- skipped:",
            };
            writeln!(f, "{mark} {}\n    {}", verdict.claim, verdict.why)?;
        }
        writeln!(f, "\n{}\n{}", self.machine, self.command)
    }
}

fn write_cost(f: &mut fmt::Formatter<'_>, cost: &Cost, all: &[Cost]) -> fmt::Result {
    let Some(ns) = cost.ns else {
        return writeln!(f, "  {:<34} skipped: {}", cost.name, cost.note);
    };
    let most = all.iter().filter_map(|cost| cost.ns).fold(f64::MIN_POSITIVE, f64::max);
    let bar = "█".repeat(((ns / most * 24.0).round() as usize).max(1));
    let figure = format!("{} a {}", time(ns), cost.operation);
    write!(f, "  {:<34} {figure:>24}  {bar}", cost.name)?;
    writeln!(f, "{}{}", if cost.note.is_empty() { "" } else { "  " }, cost.note)
}

/// Three digits and a unit.
pub(crate) fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// In MiB, so that steps can be compared at a glance.
pub(crate) fn bytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// A growth in whole MiB: what is less is the measuring's own.
pub(crate) fn mib(growth: i64) -> f64 {
    // No negative zero.
    (growth as f64 / 1_048_576.0).round().max(0.0) + 0.0
}

/// Which share of `whole` a growth is, in whole tens: so far measuring it disturbs it.
pub(crate) fn percent(growth: i64, whole: usize) -> f64 {
    // No negative zero.
    (growth as f64 / whole as f64 * 10.0).round().max(0.0) * 10.0 + 0.0
}

/// The picture of an outcome.
pub(crate) fn svg(outcome: &Outcome) -> String {
    chart::svg(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_less_than_half_a_mib_of_8_gib_is_the_measurings_own_and_nothing_more_is() {
        assert_eq!([-5 << 20, 0, 64 << 10, 600 << 10, 3 << 20].map(|growth| mib(growth) as u32), [0, 0, 0, 1, 3]);
    }
}
