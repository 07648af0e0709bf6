//! A sweep as a table: a line for each combination of values, with means over its seeds.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::number::number;
use crate::sweep::{RunSummary, Sweep};

/// What is shown if nobody says what: of these what the runs have.
pub const SHOWN: [&str; 6] = [
    "finish_time",
    "mean.turnaround",
    "aggregates.mean_response",
    "aggregates.response_p99",
    "aggregates.utilization",
    "counters.switches",
];

/// A line for each combination of values, in the order of the runs; for each figure its mean over the seeds, and with several seeds the
/// mean's standard error.
///
/// Figures are named by their path in a run of the sweep: `finish_time`, `mean.wait`, `aggregates.response_p99`, `counters.migrations`. One
/// that no run has gets no column.
pub fn sweep_table(sweep: &Sweep, figures: &[&str]) -> String {
    let mut lines: Vec<(&BTreeMap<String, Value>, Vec<&RunSummary>)> = Vec::new();
    for run in &sweep.runs {
        match lines.iter_mut().find(|(values, _)| *values == &run.values) {
            Some((_, runs)) => runs.push(run),
            None => lines.push((&run.values, vec![run])),
        }
    }
    let columns: Vec<&str> =
        figures.iter().copied().filter(|name| sweep.runs.iter().any(|run| figure(run, name).is_some())).collect();
    let keys: Vec<&str> =
        lines.first().map(|(values, _)| values.keys().map(String::as_str).collect()).unwrap_or_default();
    let mut rows = vec![keys.iter().chain(&columns).map(|name| (*name).to_owned()).collect::<Vec<String>>()];
    for (values, runs) in &lines {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let cells = keys.iter().map(|key| values.get(*key).map_or_else(String::new, shown));
        rows.push(cells.chain(columns.iter().map(|name| mean_and_error(runs, name))).collect());
    }
    aligned(&rows)
}

fn figure(run: &RunSummary, name: &str) -> Option<f64> {
    let run = serde_json::to_value(run).ok()?;
    name.split('.').try_fold(&run, |place, part| place.get(part))?.as_f64()
}

fn mean_and_error(runs: &[&RunSummary], name: &str) -> String {
    let values: Vec<f64> = runs.iter().filter_map(|run| figure(run, name)).collect();
    if values.is_empty() {
        return "-".into();
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return number(mean);
    }
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (count - 1.0);
    // The mean to the digits that the error leaves meaningful would be a study of its own: six of the one, two of the other.
    format!("{} ± {:.2}", number(mean), libm::sqrt(variance / count))
}

/// All cells of a column end at one place.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        let _ = writeln!(text, "{}", line.join("  ")); // writing to a string can't fail
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PolicyKind, RunOptions, Scenario, Step, Task};

    #[test]
    fn a_line_for_each_combination_with_means_over_seeds() {
        let scenario = Scenario::new(1, PolicyKind::Fifo).task(Task::new(0, [Step::cpu(6.0)]).count(2));
        let grid = crate::sweep::Grid {
            scenario: serde_json::to_value(scenario).unwrap(),
            vary: BTreeMap::from([("machine.cores".into(), vec![1.into(), 2.into()])]),
            replicates: 2,
        };
        let runs = (0..4).map(|run| grid.simulate(run, &RunOptions::default()).unwrap());
        let sweep = crate::sweep::merge(runs).unwrap();
        let table = sweep_table(&sweep, &["finish_time", "mean.turnaround", "no.such.figure"]);
        assert_eq!(
            table,
            "machine.cores  finish_time  mean.turnaround\n            1    12 ± 0.00         9 ± 0.00\n            2     6 ± 0.00         6 ± 0.00\n"
        );
    }
}
