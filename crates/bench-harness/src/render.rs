//! A report as people read it: terminal, a page, Markdown, CSV. Consumers of the data, never part of measuring.

pub mod csv;
pub mod html;
pub mod markdown;
pub mod terminal;

use crate::plan::{CPU, WALL};
use crate::report::{ClaimResult, Comparison, ContenderResult, Kind, Ratio, Status, Verdict};
use crate::units::{about, significant, time};

/// What a contender is judged by, in its unit: time per operation, or the median of the comparison's value.
fn figure(comparison: &Comparison, row: &ContenderResult) -> Option<f64> {
    match comparison.metric.as_str() {
        WALL => Some(row.per_op.as_ref()?.wall_ns),
        CPU => row.per_op.as_ref()?.cpu_ns,
        named => Some(row.values.get(value_name(comparison, named).as_str())?.median),
    }
}

/// Under which name a comparison's value stands in the rows: for memory the slope, not the bytes.
fn value_name(comparison: &Comparison, metric: &str) -> String {
    if comparison.kind == Kind::Memory { format!("{metric}_per_unit") } else { metric.to_owned() }
}

/// The heading of the figure's column.
fn figure_heading(comparison: &Comparison) -> String {
    match comparison.metric.as_str() {
        WALL => format!("per {}", comparison.operation),
        CPU => format!("CPU per {}", comparison.operation),
        named => value_name(comparison, named).trim_end_matches("_ns").replace('_', " "),
    }
}

fn figure_text(comparison: &Comparison, row: &ContenderResult) -> Option<String> {
    let value = figure(comparison, row)?;
    Some(if comparison.metric.ends_with("_ns") {
        time(value)
    } else if comparison.kind == Kind::Memory {
        crate::units::bytes(value)
    } else {
        significant(value, 3)
    })
}

/// `1.62x [1.58, 1.66]`, with as many digits as the interval carries.
fn ratio_text(ratio: &Ratio) -> String {
    let digits = if (ratio.high / ratio.low).ln() < 0.1 { 3 } else { 2 };
    let number = |value: f64| significant(value, digits);
    format!("{}x [{}, {}]", number(ratio.estimate), number(ratio.low), number(ratio.high))
}

/// What the ratio comes to, in a word.
fn word(comparison: &Comparison, ratio: &Ratio) -> String {
    let (better, worse) = if comparison.metric == WALL { ("faster", "slower") } else { ("lower", "higher") };
    if ratio.high < 1.0 && ratio.decided {
        better.to_owned()
    } else if ratio.low > 1.0 && ratio.decided {
        worse.to_owned()
    } else if ratio.decided {
        "same".to_owned()
    } else {
        match ratio.needs_rounds {
            Some(more) => format!("? needs {} more rounds", about(more)),
            None => "? too close to tell".to_owned(),
        }
    }
}

/// Rows by figure, the best first; those without one last, by name.
fn sorted(comparison: &Comparison) -> Vec<&ContenderResult> {
    let mut rows: Vec<&ContenderResult> = comparison.contenders.iter().collect();
    let key = |row: &ContenderResult| if row.status == Status::Ok { figure(comparison, row) } else { None };
    rows.sort_by(|left, right| {
        let order = key(left).unwrap_or(f64::INFINITY).total_cmp(&key(right).unwrap_or(f64::INFINITY));
        order.then_with(|| left.name.cmp(&right.name))
    });
    rows
}

/// Why a row has no figure.
fn missing(row: &ContenderResult) -> String {
    let reason = row.reason.as_deref().unwrap_or("no rounds");
    match row.status {
        Status::Unsupported => format!("no such thing: {reason}").replace("no such thing: left out", "left out"),
        Status::Failed => format!("FAILED: {reason}"),
        Status::Ok => "not measured".to_owned(),
    }
}

fn cpu_text(row: &ContenderResult) -> String {
    row.per_op.as_ref().and_then(|per_op| per_op.cpu_ns).map_or_else(|| "-".to_owned(), time)
}

fn cpu_ratio(row: &ContenderResult) -> Option<&Ratio> {
    row.ratio.get(CPU)
}

/// Context switches of both kinds, per 1,000 operations.
fn switches_per_1k(row: &ContenderResult) -> Option<f64> {
    let per_op = row.per_op.as_ref()?;
    Some(1000.0 * (per_op.voluntary_switches? + per_op.involuntary_switches?))
}

/// A comparison's title: what, where, how much, against whom.
fn title(comparison: &Comparison) -> String {
    let place = match comparison.placement {
        crate::placement::Placement::Pinned => "pinned to one core",
        crate::placement::Placement::Free => "free",
    };
    let params: Vec<String> = comparison.params.0.iter().map(|(key, value)| format!("{key} {value}")).collect();
    let params = if params.is_empty() { String::new() } else { format!(" · {}", params.join(", ")) };
    format!("{} · {place}{params} · reference {}", comparison.workload, comparison.reference)
}

/// What holds for the comparison as a whole.
fn footer(comparison: &Comparison) -> String {
    let valid = comparison.valid_rounds().count();
    let void = comparison.rounds.len() - valid;
    let unit = if comparison.kind == Kind::Rate { "round" } else { "trial" };
    let plural = if valid == 1 { "" } else { "s" };
    let mut parts = vec![format!("{valid} {unit}{plural}")];
    if void > 0 {
        parts.push(format!("{void} void"));
    }
    if let Some(twin) = &comparison.twin {
        let alarm = if twin.low > 1.0 || twin.high < 1.0 { " FALSE ALARM" } else { "" };
        parts.push(format!("the reference's twin {}{alarm}", ratio_text(twin)));
    }
    if let Some(share) = comparison.between_round_share {
        parts.push(format!("{:.0} % of the variance between rounds", 100.0 * share));
    }
    parts.join(" · ")
}

/// A mark for a verdict, and the word.
fn mark(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Confirmed => ("✔", "confirmed"),
        Verdict::Refuted => ("✘", "refuted"),
        Verdict::Inconclusive => ("?", "inconclusive"),
        Verdict::Skipped => ("-", "skipped"),
        Verdict::OutOfScope => ("-", "out of scope"),
    }
}

/// How many claims came to what, as `✔ confirmed 3   ✘ refuted 1`.
fn tally(claims: &[ClaimResult]) -> String {
    let verdicts = [Verdict::Confirmed, Verdict::Refuted, Verdict::Inconclusive, Verdict::Skipped];
    let counted = verdicts.into_iter().filter_map(|verdict| {
        let count = claims.iter().filter(|claim| claim.verdict == verdict).count();
        let (sign, name) = mark(verdict);
        (count > 0).then(|| format!("{sign} {name} {count}"))
    });
    counted.collect::<Vec<_>>().join("   ")
}
