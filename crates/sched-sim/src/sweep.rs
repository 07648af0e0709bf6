//! Many runs of one scenario: every combination of some values, each with several seeds, in shards that any machine can do.
//!
//! A sweep's runs are numbered. Shard i of N does the runs whose number is i - 1 modulo N; a run's seed is a hash of its scenario and replicate, so
//! it comes out the same wherever and however often it is done. [`merge`] puts results into the order of their numbers and drops repetitions:
//! neither the order nor the number of shards changes the result or its digest.

pub mod read;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::Problems;
use crate::engine::{RunOptions, simulate};
use crate::outcome::{Aggregate, Counters, Means, StopReason};
use crate::random::mix;
use crate::scenario::{self, Scenario};

/// A scenario and what of it varies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The scenario; keys of `vary` replace what stands in it.
    pub scenario: Value,
    /// Values by key (`policy.quantum`, `tasks.0.nice`): all combinations are run.
    #[serde(default)]
    pub vary: BTreeMap<String, Vec<Value>>,
    /// Seeds per combination.
    #[serde(default = "one")]
    pub replicates: u32,
}

fn one() -> u32 {
    1
}

/// What is kept of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// Its number.
    pub run: u64,
    /// What `vary` set.
    pub values: BTreeMap<String, Value>,
    /// Which of the seeds, from 0.
    pub replicate: u32,
    /// The seed.
    pub seed: u64,
    /// Why it ended.
    pub stopped: StopReason,
    /// When.
    pub finish_time: f64,
    /// Means over its listed tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Means>,
    /// What was counted.
    pub counters: Counters,
    /// What queueing theory would predict.
    pub aggregates: BTreeMap<String, Aggregate>,
    /// The digest of its events.
    pub digest: String,
}

/// All runs of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sweep {
    /// In order.
    pub runs: Vec<RunSummary>,
    /// A hash of all runs' numbers and digests.
    pub digest: String,
}

impl Grid {
    /// How many runs there are; [`u64::MAX`] if more.
    pub fn len(&self) -> u64 {
        self.checked_len().unwrap_or(u64::MAX)
    }

    fn checked_len(&self) -> Option<u64> {
        let mut lengths = self.vary.values().map(|values| values.len() as u64);
        lengths.try_fold(u64::from(self.replicates), u64::checked_mul)
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of a shard's runs; `shard` counts from 1 to `shards`.
    pub fn shard(&self, shard: u64, shards: u64) -> impl Iterator<Item = u64> + use<> {
        (shard.saturating_sub(1)..self.len()).step_by(shards.max(1) as usize)
    }

    /// The scenario of a run, with its values, replicate and seed.
    ///
    /// # Errors
    ///
    /// A key of `vary` has no values or is not in the scenario, or what comes out is no scenario.
    pub fn run(&self, run: u64) -> Result<(Scenario, BTreeMap<String, Value>, u32), Problems> {
        let (mut point, replicate) = (run / u64::from(self.replicates.max(1)), run % u64::from(self.replicates.max(1)));
        let mut scenario = self.scenario.clone();
        let mut values = BTreeMap::new();
        for (key, choices) in &self.vary {
            if choices.is_empty() {
                return Err(Problems::one(format!("vary.{key}"), "no value", "give one, or leave the key out"));
            }
            let value = &choices[(point % choices.len() as u64) as usize];
            point /= choices.len() as u64;
            set(&mut scenario, key, value.clone())?;
            values.insert(key.clone(), value.clone());
        }
        let read = scenario::read::value(&scenario);
        let mut scenario: Scenario = read.map_err(|problems| in_run(problems, run, &values))?;
        scenario.seed = Self::seed(&scenario, replicate);
        Ok((scenario, values, replicate as u32))
    }

    /// A hash of the scenario and the replicate.
    fn seed(scenario: &Scenario, replicate: u64) -> u64 {
        let text = serde_json::to_string(scenario).unwrap_or_default();
        mix(hash(text.bytes()) ^ mix(replicate))
    }

    /// Looks a run's scenario over without running it.
    ///
    /// # Errors
    ///
    /// As [`Grid::run`], and whatever is wrong with the scenario, with the values that make it so.
    pub fn check(&self, run: u64) -> Result<(), Problems> {
        let (scenario, values, _) = self.run(run)?;
        crate::check::check(&scenario).map_err(|problems| in_run(problems, run, &values))
    }

    /// Runs one run.
    ///
    /// # Errors
    ///
    /// As [`Grid::check`].
    pub fn simulate(&self, run: u64, options: &RunOptions) -> Result<RunSummary, Problems> {
        let (mut scenario, values, replicate) = self.run(run)?;
        // Means and quantiles, but no timeline, which nobody would see.
        let record = scenario.record.take().unwrap_or_else(|| {
            let mut record = scenario.recorded_by_default();
            record.retain(|what| !what.is_timeline());
            record
        });
        scenario.record = Some(record);
        let outcome = simulate(&scenario, &RunOptions { digest: true, ..options.clone() })
            .map_err(|problems| in_run(problems, run, &values))?;
        Ok(RunSummary {
            run,
            values,
            replicate,
            seed: scenario.seed,
            stopped: outcome.stopped,
            finish_time: outcome.finish_time,
            mean: outcome.mean,
            counters: outcome.counters,
            aggregates: outcome.aggregates,
            digest: outcome.digest.unwrap_or_default(),
        })
    }
}

/// Says in which run something is wrong, and with which values: each may be right with others.
fn in_run(mut problems: Problems, run: u64, values: &BTreeMap<String, Value>) -> Problems {
    let values: Vec<String> = values.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    for problem in &mut problems.0 {
        problem.what = format!("{} (run {run}, with {})", problem.what, values.join(", "));
    }
    problems
}

/// Puts the runs of all shards together.
///
/// # Errors
///
/// Two results of one run differ: the shards are not of the same sweep.
pub fn merge(shards: impl IntoIterator<Item = RunSummary>) -> Result<Sweep, Problems> {
    let mut runs: BTreeMap<u64, RunSummary> = BTreeMap::new();
    for run in shards {
        if let Some(known) = runs.get(&run.run).filter(|known| **known != run) {
            let what = format!("run {} has digests {} and {}", run.run, known.digest, run.digest);
            return Err(Problems::one("run", what, "merge only shards of one grid, done by one version"));
        }
        runs.insert(run.run, run);
    }
    let digest = runs
        .values()
        .fold(0, |sum, run| u64::wrapping_add(sum, mix(mix(run.run.wrapping_add(1)) ^ hash(run.digest.bytes()))));
    Ok(Sweep { runs: runs.into_values().collect(), digest: format!("{digest:016x}") })
}

fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0x6a09_e667_f3bc_c908, |hash: u64, byte| mix(hash.rotate_left(9) ^ u64::from(byte)))
}

fn set(scenario: &mut Value, key: &str, value: Value) -> Result<(), Problems> {
    let mut place = scenario;
    for part in key.split('.') {
        let missing = || {
            Problems::one(format!("vary.{key}"), format!("there is no {part:?} in it"), "name a key of the scenario")
        };
        place = match place {
            Value::Array(list) => {
                part.parse::<usize>().ok().and_then(|index| list.get_mut(index)).ok_or_else(missing)?
            }
            Value::Object(map) => map.entry(part).or_insert_with(|| Value::Object(serde_json::Map::new())),
            _ => return Err(missing()),
        };
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_values_is_an_error_and_no_division_by_zero() {
        let scenario = serde_json::json!({
            "schema": "sched-scenario/0", "machine": { "cores": 1 }, "policy": { "kind": "fifo" },
            "tasks": [{ "id": 0, "program": [{ "cpu": 1 }] }],
        });
        let grid = Grid { scenario, vary: BTreeMap::from([("seed".to_owned(), vec![])]), replicates: 1 };
        assert!(grid.is_empty());
        assert!(grid.run(0).unwrap_err().to_string().starts_with("vary.seed: no value"));
    }
}
