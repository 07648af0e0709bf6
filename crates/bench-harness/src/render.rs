//! A report as people read it: terminal, a page, Markdown, CSV. Consumers of the data, never part of measuring.

pub mod csv;
pub mod html;
pub mod markdown;
pub mod terminal;

use crate::plan::{CPU, WALL};
use crate::report::{ClaimResult, Comparison, ContenderResult, Kind, Ratio, Spread, Status, Verdict};
use crate::units::{about, bytes, significant, time, whole};

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
        bytes(value)
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

/// Whether all of the comparison's values of this name answer yes or no.
fn yes_or_no(comparison: &Comparison, name: &str) -> bool {
    let answer = |value: f64| value == 0.0 || (value - 1.0).abs() < f64::EPSILON;
    comparison.kind == Kind::Behaviour
        && comparison
            .contenders
            .iter()
            .filter_map(|row| row.values.get(name))
            .all(|spread| answer(spread.low) && answer(spread.high))
}

/// One of a contender's values, as `297 ms [290, 310]`.
fn value_text(comparison: &Comparison, name: &str, spread: &Spread) -> String {
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

/// A value's name as a heading.
fn value_heading(name: &str) -> String {
    name.trim_end_matches("_ns").replace('_', " ")
}

/// What happens at all, as a table: a row a contender, a column a value; and the rows of those that have none, with the reason.
fn behaviour(comparison: &Comparison) -> Behaviour<'_> {
    let measured = |row: &&ContenderResult| row.status == Status::Ok && !row.values.is_empty();
    let mut names: Vec<&str> = Vec::new();
    for name in comparison.contenders.iter().filter(measured).flat_map(|row| row.values.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    // What the comparison is about comes first.
    names.sort_by_key(|name| *name != comparison.metric);
    let text = |row: &ContenderResult, name: &str| {
        row.values.get(name).map_or_else(|| "-".to_owned(), |spread| value_text(comparison, name, spread))
    };
    let rows = comparison.contenders.iter().filter(measured);
    let rows = rows.map(|row| (row.name.as_str(), names.iter().map(|name| text(row, name)).collect())).collect();
    let without = comparison.contenders.iter().filter(|row| !measured(row));
    let missing = without.map(|row| (row.name.as_str(), missing(row))).collect();
    Behaviour { headings: names.into_iter().map(value_heading).collect(), rows, missing }
}

/// See [`behaviour`].
struct Behaviour<'a> {
    headings: Vec<String>,
    rows: Vec<(&'a str, Vec<String>)>,
    missing: Vec<(&'a str, String)>,
}
