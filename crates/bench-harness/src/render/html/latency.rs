//! Latencies by percentile, the tail drawn wide.

use minijinja::Value;

use super::curves::{Curve, Frame, curves};
use super::multiples::measured;
use super::scale::time_tick;
use crate::report::{Comparison, ContenderResult};
use crate::tails::Tails;
use crate::units::time;

/// The percentiles with a name, as shares.
const NAMED: [(f64, &str); 5] = [(0.5, "50 %"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99")];
/// Points per factor of ten in what lies beyond.
const FINE: i32 = 8;

/// The chart; `None` where nobody has latencies. `rank` is a contender's place among all.
pub(super) fn latency(comparison: &Comparison, id: &str, rank: &dyn Fn(&str) -> usize) -> Option<Value> {
    let all: Vec<(&ContenderResult, Tails)> = measured(comparison)
        .filter_map(|row| Some((row, tails(comparison, &row.name)?)))
        .filter(|(_, tails)| tails.median().is_some_and(|median| median > 0))
        .collect();
    // As far as the contender with the most events goes.
    let last = NAMED.iter().rposition(|(q, _)| all.iter().any(|(_, tails)| tails.quantile(*q).is_some()))?;
    let shown = &NAMED[..=last.max(1)];
    let (first, end) = (beyond(NAMED[0].0), beyond(shown[shown.len() - 1].0));
    let across = |depth: f64| (depth - first) / (end - first);
    let drawn: Vec<Curve> = all
        .iter()
        .map(|(row, tails)| Curve {
            name: row.name.clone(),
            rank: rank(&row.name),
            points: points(tails, first, end).into_iter().map(|(depth, ns)| (across(depth), ns)).collect(),
            dotted: false,
        })
        .collect();
    let frame = Frame {
        id: format!("{id}-latency"),
        name: format!("{}: latency by percentile", comparison.workload),
        figures: all.iter().map(|(row, tails)| sentence(&row.name, tails)).collect::<Vec<_>>().join("; "),
        across: shown.iter().map(|(q, label)| (across(beyond(*q)), (*label).to_owned())).collect(),
        tick: &time_tick,
    };
    curves(&frame, &drawn)
}

/// All of a contender's latencies; `None` where it has none.
fn tails(comparison: &Comparison, name: &str) -> Option<Tails> {
    let mut tails = Tails::new();
    let blocks = comparison.valid_rounds().flat_map(|round| &round.blocks);
    for latency in blocks.filter_map(|block| block.done.get(name)?.latency.as_ref()) {
        tails.add(latency).ok()?;
    }
    (tails.events() > 0).then_some(tails)
}

/// How deep in the tail a quantile lies: 1 for 90 %, 2 for 99 %.
fn beyond(q: f64) -> f64 {
    -(1.0 - q).log10()
}

/// From the median as deep as there are events enough.
fn points(tails: &Tails, first: f64, end: f64) -> Vec<(f64, f64)> {
    let fine = f64::from(FINE);
    let steps = (first * fine).ceil() as i32..=(end * fine).round() as i32;
    let depths = std::iter::once(first).chain(steps.map(|step| f64::from(step) / fine));
    let at = |depth: f64| Some((depth, tails.quantile(1.0 - 10_f64.powf(-depth))?.max(1) as f64));
    depths.map_while(at).collect()
}

fn sentence(name: &str, tails: &Tails) -> String {
    let figures = NAMED.iter().filter_map(|(q, _)| Some((q, tails.quantile(*q)?)));
    let texts = figures.map(|(q, ns)| format!("p{} {}", 100.0 * q, time(ns as f64)));
    format!("{name}: {}", texts.collect::<Vec<_>>().join(", "))
}
