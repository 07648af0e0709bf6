//! How many times the best: the one number by which contenders are set side by side across workloads.

use std::collections::BTreeMap;

use super::super::{figure, figure_text};
use crate::plan::FLOOR;
use crate::report::{Comparison, ContenderResult, Kind, Spread, Status};
use crate::units::{bytes, significant, time, whole};

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

/// Whether all of the comparison's values of this name answer yes or no.
pub(super) fn yes_or_no(comparison: &Comparison, name: &str) -> bool {
    let answer = |value: f64| value == 0.0 || (value - 1.0).abs() < f64::EPSILON;
    comparison.kind == Kind::Behaviour
        && comparison
            .contenders
            .iter()
            .filter_map(|row| row.values.get(name))
            .all(|spread| answer(spread.low) && answer(spread.high))
}

/// One of a contender's values, as `297 ms [290, 310]`.
pub(super) fn value_text(comparison: &Comparison, name: &str, spread: &Spread) -> String {
    let text = |value: f64| one_value(comparison, name, value);
    if text(spread.low) == text(spread.high) {
        return text(spread.median);
    }
    format!("{} [{}, {}]", text(spread.median), text(spread.low), text(spread.high))
}

fn one_value(comparison: &Comparison, name: &str, value: f64) -> String {
    if yes_or_no(comparison, name) {
        // Between the two where runs disagree.
        return if value >= 0.75 {
            "yes"
        } else if value <= 0.25 {
            "no"
        } else {
            "mixed"
        }
        .to_owned();
    }
    if name.ends_with("_ns") {
        time(value)
    } else if name.contains("bytes") {
        bytes(value)
    } else if comparison.kind == Kind::Behaviour {
        if value >= 0.0 && value.fract() == 0.0 { whole(value as u64) } else { format!("{value}") }
    } else {
        significant(value, 3)
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

/// A value's name as a heading.
pub(super) fn value_heading(name: &str) -> String {
    name.trim_end_matches("_ns").replace('_', " ")
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
