//! Bytes over the number of units: what a unit costs is how steeply that rises.

use std::collections::BTreeMap;

use minijinja::Value;

use super::super::figure_text;
use super::curves::{Curve, Frame, curves};
use super::multiples::measured;
use super::scale::size_tick;
use crate::report::Comparison;
use crate::stats::median;
use crate::units::significant;

/// The chart; `None` without blocks.
pub(super) fn memory(comparison: &Comparison, id: &str, rank: &dyn Fn(&str) -> usize) -> Option<Value> {
    let all: Vec<(String, BTreeMap<u64, f64>)> = measured(comparison)
        .map(|row| (row.name.clone(), bytes_by_units(comparison, &row.name)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let sizes: std::collections::BTreeSet<u64> = all.iter().flat_map(|(_, points)| points.keys().copied()).collect();
    let (least, most) = ((*sizes.first()? as f64).ln(), (*sizes.last()? as f64).ln());
    let across = |units: u64| if most > least { ((units as f64).ln() - least) / (most - least) } else { 0.5 };
    let drawn: Vec<Curve> = all
        .iter()
        .map(|(name, points)| Curve {
            name: name.clone(),
            rank: rank(name),
            points: points.iter().map(|(&units, &bytes)| (across(units), bytes)).collect(),
            dotted: true,
        })
        .collect();
    let sentences: Vec<String> = measured(comparison)
        .filter_map(|row| Some(format!("{} {} a unit", row.name, figure_text(comparison, row)?)))
        .collect();
    let frame = Frame {
        id: format!("{id}-memory"),
        name: format!("{}: bytes by number of units", comparison.workload),
        figures: sentences.join("; "),
        across: sizes.iter().map(|&units| (across(units), significant(units as f64, 3))).collect(),
        tick: &size_tick,
    };
    curves(&frame, &drawn)
}

/// The median over rounds at every size.
fn bytes_by_units(comparison: &Comparison, name: &str) -> BTreeMap<u64, f64> {
    let mut all: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for done in comparison.valid_rounds().flat_map(|round| &round.blocks).filter_map(|block| block.done.get(name)) {
        if let Some(&bytes) = done.values.get(&comparison.metric)
            && bytes > 0.0
        {
            all.entry(done.ops).or_default().push(bytes);
        }
    }
    all.into_iter().filter_map(|(units, bytes)| Some((units, median(&bytes)?))).collect()
}
