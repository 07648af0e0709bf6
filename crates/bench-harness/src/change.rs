//! What changed between two reports, with intervals.
//!
//! The two were measured at different times, on a machine that may have been slower then. So not times are compared but
//! each contender's ratios to its reference, round by round: the machine's pace is in both and drops out.
//!
//! What does not drop out is what differs from session to session and from build to build but hits contenders unequally: the state
//! of the kernel, where the linker puts code. Two runs of one binary on a virtual machine differed in 3 of 18 ratios by 3 to 6 %
//! (`compare-runtimes --only ping-pong --placement pinned`, 2026-11-21), all of them pipes. Within a run contenders are told
//! apart with more right than runs are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{FAMILY_ERROR, log_ratios};
use crate::placement::Placement;
use crate::report::{Report, Status};
use crate::stats::{Alternative, multiple, rank_sum};

/// One contender's ratio to its reference, now over then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Workload with variant.
    pub workload: String,
    /// Where it ran.
    pub placement: Placement,
    /// Whose ratio.
    pub contender: String,
    /// The ratio's reference.
    pub reference: String,
    /// The ratio now over the ratio then: above 1 is slower.
    pub estimate: f64,
    /// The 95 % interval's lower end.
    pub low: f64,
    /// The 95 % interval's upper end.
    pub high: f64,
    /// Benjamini and Hochberg's adjusted p over all changes.
    pub adjusted_p: f64,
    /// Whether it counts as changed: the interval leaves 1 out and so does the family of all comparisons.
    pub changed: bool,
}

/// What two reports have in common, and what differs in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// Every ratio that both have.
    pub changes: Vec<Change>,
    /// What could not be compared, and why.
    pub left_out: Vec<String>,
}

/// Compares the ratios of two reports.
pub fn changes(old: &Report, new: &Report) -> Changes {
    let mut found = Changes::default();
    let mut p_values = Vec::new();
    for comparison in &new.comparisons {
        let title = format!("{} · {}", comparison.workload, comparison.placement.name());
        let Some(before) = old.comparison(&comparison.workload, comparison.placement) else {
            found.left_out.push(format!("{title}: not in the old report"));
            continue;
        };
        if before.params != comparison.params
            || before.reference != comparison.reference
            || before.metric != comparison.metric
        {
            found.left_out.push(format!("{title}: other parameters, reference or metric"));
            continue;
        }
        for row in
            comparison.contenders.iter().filter(|row| row.status == Status::Ok && row.name != comparison.reference)
        {
            let then = log_ratios(before, &row.name, &before.reference, &before.metric);
            let now = log_ratios(comparison, &row.name, &comparison.reference, &comparison.metric);
            let shift = rank_sum::shift(&then, &now).zip(rank_sum::interval(&then, &now, 0.95));
            let Some((estimate, interval)) = shift else {
                found.left_out.push(format!("{title}: {}: {} rounds then, {} now", row.name, then.len(), now.len()));
                continue;
            };
            p_values.push(rank_sum::p_value(&then, &now, Alternative::TwoSided).unwrap_or(1.0));
            found.changes.push(Change {
                workload: comparison.workload.clone(),
                placement: comparison.placement,
                contender: row.name.clone(),
                reference: comparison.reference.clone(),
                estimate: estimate.exp(),
                low: interval.low.exp(),
                high: interval.high.exp(),
                adjusted_p: 1.0,
                changed: interval.low > 0.0 || interval.high < 0.0,
            });
        }
    }
    for (change, adjusted) in found.changes.iter_mut().zip(multiple::benjamini_hochberg(&p_values)) {
        change.adjusted_p = adjusted;
        change.changed &= adjusted <= FAMILY_ERROR;
    }
    found
}
