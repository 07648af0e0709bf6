//! The report, `lab-report/0`: plain data that everything else (tables, Markdown, CSV, pages) is made from.
//!
//! Raw blocks stay in it, so that every figure and verdict can be computed again without measuring: see
//! [`analyse`](crate::analysis::analyse).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::placement::Placement;
use crate::protocol::{Done, Params};
use crate::stats::Looks;

/// The report's format and version.
pub const SCHEMA: &str = "lab-report/0";

/// Everything one run found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Whether the run was cut short.
    pub partial: bool,
    /// The seed of all orders and inputs.
    pub seed: u64,
    /// How much was to be measured: `quick`, `default` or `full`.
    pub effort: String,
    /// When the run began, seconds since 1970.
    pub began_unix: u64,
    /// Time spent measuring, seconds, over all runs that this report was resumed in.
    pub measured_s: f64,
    /// The command that made it.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// How quiet the machine was.
    pub noise: Noise,
    /// What was compared.
    pub comparisons: Vec<Comparison>,
    /// What that says about the claims.
    pub claims: Vec<ClaimResult>,
}

/// How quiet the machine was, judged by the reference's twin in every comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Noise {
    /// `A` to `D`, by the median half width of the twins' intervals: at most 1 %, 3 %, 10 %, or more. Tails don't count where rates
    /// were measured: they scatter on the quietest machine.
    pub grade: String,
    /// That median half width, as a ratio's distance from 1; `None` before there is an interval.
    pub half_width: Option<f64>,
    /// Twins that were told from their reference: false alarms.
    pub aa_flagged: u32,
    /// Twins.
    pub aa_total: u32,
    /// Rounds that did not count.
    pub void_rounds: u32,
}

/// What sort of question a workload asks, and so how its trials are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Time per operation: rounds of paired blocks.
    Rate,
    /// Something that happens at times: a trial is one run in a fresh child.
    Event,
    /// What happens at all: a few runs that must agree.
    Behaviour,
    /// Bytes per unit: the slope over sizes.
    Memory,
}

/// All rounds of one workload in one placement, and what follows from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Workload with variant.
    pub workload: String,
    /// What it does, in a sentence; empty where nobody said.
    #[serde(default)]
    pub summary: String,
    /// The kind of work that it tells about; those of a kind stand together.
    #[serde(default)]
    pub topic: String,
    /// How it is counted.
    pub kind: Kind,
    /// The workload's parameters.
    pub params: Params,
    /// Where it ran.
    pub placement: Placement,
    /// What one operation is, as `unit` or `round trip`.
    pub operation: String,
    /// The figure that is compared: `wall_ns` per operation, or the name of one of the workload's values.
    pub metric: String,
    /// The contender all ratios are against.
    pub reference: String,
    /// Ratios this close to 1 count as equal.
    pub margin: f64,
    /// After how many rounds it was looked at; `None` where the number of trials was fixed beforehand.
    #[serde(default)]
    pub looks: Option<Looks>,
    /// Why there are no figures: the contenders did not do the same work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The share of the log-ratios' variance that lies between rounds (the rest lies between blocks of a round): the median
    /// over contenders.
    #[serde(default)]
    pub between_round_share: Option<f64>,
    /// The reference's twin against the reference.
    #[serde(default)]
    pub twin: Option<Ratio>,
    /// Who is ahead, and of whom that is certain.
    #[serde(default)]
    pub headline: Option<Headline>,
    /// What a reader has to know of the comparison as a whole, as that the time was up before its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// One row a contender.
    pub contenders: Vec<ContenderResult>,
    /// The raw data.
    pub rounds: Vec<Round>,
}

/// Who is ahead in a comparison, the floor aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Headline {
    /// The contender with the lowest figure.
    pub leader: String,
    /// Those it is not certainly ahead of.
    pub open: Vec<String>,
    /// How many others there are.
    pub others: u32,
    /// The sentence.
    pub text: String,
}

/// How a contender came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did the work.
    Ok,
    /// It has no such thing, or it was left out for a stated reason.
    Unsupported,
    /// It failed, hung, or lied.
    Failed,
}

/// One row of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContenderResult {
    /// Its name.
    pub name: String,
    /// Runtime and version.
    pub version: String,
    /// What makes it not quite comparable.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How it came through.
    pub status: Status,
    /// Why not, where it did not; with `ok`, why it does not reach the largest size of a workload over sizes.
    pub reason: Option<String>,
    /// Iterations in a block, as calibrated.
    #[serde(default)]
    pub iters: u64,
    /// From start to `hello`, ns: the median over rounds.
    #[serde(default)]
    pub startup_ns: Option<f64>,
    /// Rounds in which its time was still falling when the warm-up limit came.
    #[serde(default)]
    pub not_flat: u32,
    /// Medians per operation.
    pub per_op: Option<PerOp>,
    /// Quantiles of its latencies over all rounds, where enough events carry them.
    pub quantiles_ns: BTreeMap<String, f64>,
    /// The same quantiles round by round, where a round has enough events: median and range.
    #[serde(default)]
    pub quantile_spread_ns: BTreeMap<String, Spread>,
    /// Other figures: median over rounds.
    pub values: BTreeMap<String, Spread>,
    /// Largest resident size of the process, bytes.
    pub peak_rss_bytes: Option<u64>,
    /// Against the reference, by metric.
    pub ratio: BTreeMap<String, Ratio>,
    /// The figure over the floor's.
    pub floor_multiple: Option<f64>,
}

/// Medians per operation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PerOp {
    /// Wall time, ns.
    pub wall_ns: f64,
    /// CPU time, ns.
    pub cpu_ns: Option<f64>,
    /// Switches because a thread blocked or yielded.
    pub voluntary_switches: Option<f64>,
    /// Switches because the scheduler took the core.
    pub involuntary_switches: Option<f64>,
    /// Page faults without a disk.
    pub minor_faults: Option<f64>,
    /// Time spent runnable without a core, ns.
    #[serde(default)]
    pub run_queue_wait_ns: Option<f64>,
    /// Instructions, where the machine counts them.
    #[serde(default)]
    pub instructions: Option<f64>,
}

/// A figure over rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// A ratio with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// Hodges and Lehmann's estimate over rounds, as a ratio.
    pub estimate: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// How sure: over all looks together where there were several.
    pub confidence: f64,
    /// Rounds behind it.
    pub rounds: u32,
    /// Whether the interval lies wholly on one side of 1, or wholly within the margin that counts as equal.
    pub decided: bool,
    /// About how many more rounds would decide it, where that can be said.
    #[serde(default)]
    pub needs_rounds: Option<u32>,
}

/// One fresh child per contender and the blocks they ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// Its number, from 1.
    pub round: u32,
    /// Why it does not count, if it does not.
    pub void: Option<String>,
    /// From start to `hello`, ns.
    #[serde(default)]
    pub startup_ns: BTreeMap<String, u64>,
    /// Contenders whose warm-up ended at the limit, not because it was flat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_flat: Vec<String>,
    /// The timed blocks.
    pub blocks: Vec<Block>,
}

/// One timed run of every contender.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// In which order they ran.
    pub order: Vec<String>,
    /// What each said. A contender whose block was void is missing here and named in `void`.
    pub done: BTreeMap<String, Done>,
    /// Why a contender's block does not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub void: BTreeMap<String, String>,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval lies in what the claim predicts.
    Confirmed,
    /// The interval lies outside of it.
    Refuted,
    /// The interval reaches over the edge.
    Inconclusive,
    /// It was not measured, for the reason given.
    Skipped,
    /// No single machine can tell.
    OutOfScope,
}

/// A claim with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// Its name.
    pub id: String,
    /// The sentence people repeat.
    pub text: String,
    /// Where it is said.
    pub source: String,
    /// What came of it here.
    pub verdict: Verdict,
    /// The figure of the leg that decided.
    pub estimate: Option<f64>,
    /// Its interval's lower end.
    pub low: Option<f64>,
    /// Its interval's upper end.
    pub high: Option<f64>,
    /// One clause that names the figures, or why there are none.
    pub why: String,
    /// Benjamini and Hochberg's adjusted p over all claims decided here.
    #[serde(default)]
    pub adjusted_p: Option<f64>,
    /// Every measured part of it.
    #[serde(default)]
    pub legs: Vec<LegResult>,
}

/// One measured part of a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LegResult {
    /// What it looks at.
    pub label: String,
    /// Its own verdict.
    pub verdict: Verdict,
    /// The figure with its interval, where it was measured.
    pub figure: Option<Ratio>,
    /// What the figure is: `x` for a ratio, else its unit.
    pub unit: String,
    /// Why there is no figure.
    pub missing: Option<String>,
    /// The least value the claim predicts.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// The largest value the claim predicts.
    #[serde(default)]
    pub at_most: Option<f64>,
}

impl Report {
    /// The JSON schema of this format.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Report).to_value()
    }

    /// Reads a report and checks that it is one.
    ///
    /// # Errors
    /// With what is wrong and where: not JSON, another format, another version, or keys that don't fit.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(ReadError::NotJson)?;
        match value.get("schema").and_then(serde_json::Value::as_str) {
            Some(SCHEMA) => {
                let report: Self = serde_json::from_value(value).map_err(ReadError::Shape)?;
                report.check()?;
                Ok(report)
            }
            Some(other) => Err(ReadError::Foreign(format!("it says {other:?}"))),
            None => Err(ReadError::Foreign("it has no key `schema`".to_owned())),
        }
    }

    /// Checks what the figures are computed from: a file may have been written by anybody.
    fn check(&self) -> Result<(), ReadError> {
        for comparison in &self.comparisons {
            for round in &comparison.rounds {
                for (name, done) in round.blocks.iter().flat_map(|block| &block.done) {
                    let whole = done.iters > 0 && done.ops > 0 && done.ops.is_multiple_of(done.iters);
                    if !whole || done.t1_ns <= done.t0_ns {
                        let title = format!("{} · {}", comparison.workload, comparison.placement.name());
                        return Err(ReadError::Impossible(format!(
                            "{title}, round {}, {name}: {} operations in {} iterations from {} to {} ns",
                            round.round, done.ops, done.iters, done.t0_ns, done.t1_ns
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    /// The comparison of `workload` in `placement`.
    pub fn comparison(&self, workload: &str, placement: Placement) -> Option<&Comparison> {
        self.comparisons.iter().find(|comparison| comparison.workload == workload && comparison.placement == placement)
    }
}

impl ContenderResult {
    /// A contender of which nothing is known yet.
    pub fn unmeasured(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: String::new(),
            tags: Vec::new(),
            status: Status::Ok,
            reason: None,
            iters: 0,
            startup_ns: None,
            not_flat: 0,
            per_op: None,
            quantiles_ns: BTreeMap::new(),
            quantile_spread_ns: BTreeMap::new(),
            values: BTreeMap::new(),
            peak_rss_bytes: None,
            ratio: BTreeMap::new(),
            floor_multiple: None,
        }
    }
}

impl Comparison {
    /// The row of `name`.
    pub fn contender(&self, name: &str) -> Option<&ContenderResult> {
        self.contenders.iter().find(|contender| contender.name == name)
    }

    /// Whether it varies a parameter of one contender (`thread`, `thread@4x`, ...) and compares no others.
    pub fn varies_one(&self) -> bool {
        let base = |row: &ContenderResult| row.name.split('@').next().unwrap_or_default().to_owned();
        self.contenders.iter().any(|row| row.name.contains('@'))
            && self.contenders.iter().all(|row| base(row) == base(&self.contenders[0]))
    }

    /// The rounds that count.
    pub fn valid_rounds(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(|round| round.void.is_none())
    }
}

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Broken off or damaged.
    #[error("it is not JSON, or damaged: {0}")]
    NotJson(#[source] serde_json::Error),
    /// Some other document.
    #[error("it is not a {SCHEMA} document: {0}")]
    Foreign(String),
    /// Holds a block that can't have been measured.
    #[error("it holds a block that can't be: {0}")]
    Impossible(String),
    /// Says it is one, but isn't.
    #[error("it says {SCHEMA} but does not fit: {0}")]
    Shape(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_and_a_foreign_file_are_told_apart() {
        let damaged = Report::parse("{\"schema\":\"lab-rep").unwrap_err().to_string();
        assert!(damaged.contains("damaged"), "{damaged}");
        let foreign = Report::parse("{\"schema\":\"sched-result/0\"}").unwrap_err().to_string();
        assert!(foreign.contains("sched-result/0"), "{foreign}");
        let bare = Report::parse("[]").unwrap_err().to_string();
        assert!(bare.contains("no key `schema`"), "{bare}");
        let shape = Report::parse("{\"schema\":\"lab-report/0\"}").unwrap_err().to_string();
        assert!(shape.contains("missing field"), "{shape}");
    }
}
