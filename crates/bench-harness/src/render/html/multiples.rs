//! How many times the best: the one number by which contenders are set side by side across workloads.

use std::collections::BTreeMap;

use super::super::{figure, figure_text, value_text};
use crate::plan::FLOOR;
use crate::report::{Comparison, ContenderResult, Kind, Status};
use crate::units::{significant, whole};

/// Every measured contender's figure as a multiple of the best one, the floor aside. From the paired ratios where all have one,
/// for these are what verdicts are about; else from the figures.
pub(super) fn multiples(comparison: &Comparison) -> BTreeMap<&str, f64> {
    if comparison.kind == Kind::Behaviour || comparison.error.is_some() {
        return BTreeMap::new();
    }
    let of_all = |pick: &dyn Fn(&ContenderResult) -> Option<f64>| {
        measured(comparison).map(|row| Some((row.name.as_str(), pick(row)?))).collect::<Option<BTreeMap<&str, f64>>>()
    };
    let paired = if comparison.kind == Kind::Memory { None } else { of_all(&|row| paired(comparison, row)) };
    let Some(mut values) = paired.or_else(|| of_all(&|row| figure(comparison, row))) else { return BTreeMap::new() };
    let best = values.iter().filter(|(name, _)| **name != FLOOR).map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    // A best of nothing has no multiples.
    if !(best > 0.0 && best.is_finite()) {
        return BTreeMap::new();
    }
    for value in values.values_mut() {
        *value /= best;
    }
    values
}

/// The rows with a figure.
pub(super) fn measured(comparison: &Comparison) -> impl Iterator<Item = &ContenderResult> {
    comparison.contenders.iter().filter(|row| row.status == Status::Ok && figure(comparison, row).is_some())
}

fn paired(comparison: &Comparison, row: &ContenderResult) -> Option<f64> {
    if row.name == comparison.reference {
        return Some(1.0);
    }
    Some(row.ratio.get(&comparison.metric)?.estimate)
}

/// `1.46x`, `3.9x`, `124x`, `>1,000x`: no more digits than a glance takes in.
pub(super) fn multiple_text(times: f64) -> String {
    match times {
        small if small < 0.995 => format!("{}x", significant(small, 2)),
        small if small < 1.995 => format!("{small:.2}x"),
        middling if middling < 9.95 => format!("{middling:.1}x"),
        large if large <= 1_000.0 => format!("{}x", whole(large.round() as u64)),
        _ => ">1,000x".to_owned(),
    }
}

/// A contender's own figure, where it can't be set beside others'.
pub(super) fn plain(comparison: &Comparison, row: &ContenderResult) -> Option<String> {
    match comparison.kind {
        Kind::Behaviour => {
            let spread = row.values.get(&comparison.metric)?;
            Some(value_text(comparison, &comparison.metric, spread))
        }
        _ => figure_text(comparison, row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_read_at_a_glance() {
        let texts = [0.071, 1.0, 1.46, 1.996, 3.94, 9.96, 124.2, 1_000.0, 1_000.1].map(multiple_text);
        assert_eq!(texts, ["0.071x", "1.00x", "1.46x", "2.0x", "3.9x", "10x", "124x", "1,000x", ">1,000x"]);
    }
}
