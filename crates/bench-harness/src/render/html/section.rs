//! One comparison: its table, its charts, its values.

use minijinja::Value;
use serde::Serialize;

use super::super::{
    cpu_text, figure, figure_heading, figure_text, footer, missing, ratio_text, sorted, switches_per_1k, value_heading,
    value_text, word,
};
use super::multiples::measured;
use super::scale::short_count;
use super::{counters, forest, latency, memory, strip};
use crate::placement::Placement;
use crate::report::{Comparison, ContenderResult, Kind, Status};
use crate::units::{significant, time};

/// A full bar stands for the largest figure, but not for more than this many times the reference's: small ones would vanish.
const LONGEST: f64 = 24.0;

/// Everything about one comparison.
#[derive(Serialize)]
pub(super) struct Section {
    id: String,
    workload: String,
    place: &'static str,
    summary: String,
    params: String,
    problem: Option<String>,
    headline: Option<String>,
    /// Whether it has times and ratios: what happens at all has values alone.
    timed: bool,
    heading: String,
    versus: String,
    rows: Vec<Row>,
    values: Option<Values>,
    charts: Vec<Chart>,
    footer: String,
    /// What has it measured again.
    pub(super) command: String,
}

#[derive(Serialize)]
struct Row {
    name: String,
    tags: String,
    missing: Option<String>,
    failed: bool,
    figure: String,
    /// The bar's length, per cent.
    bar: String,
    beyond: bool,
    versus: String,
    word: String,
    tone: &'static str,
    cpu: String,
    switches: String,
    floor: String,
}

/// Every value beside the metric.
#[derive(Serialize)]
struct Values {
    headings: Vec<String>,
    /// Columns beside the name.
    span: usize,
    rows: Vec<ValueRow>,
    /// Those of whom there are none, with the reason.
    missing: Vec<(String, String)>,
}

#[derive(Serialize)]
struct ValueRow {
    name: String,
    cells: Vec<String>,
}

/// A drawing with what to know for reading it.
#[derive(Serialize)]
struct Chart {
    title: String,
    caption: String,
    svg: Value,
}

/// The section with this name in links; `rank` is a contender's place among all.
pub(super) fn section(comparison: &Comparison, id: &str, rank: &dyn Fn(&str) -> usize, subject: &str) -> Section {
    let problem = comparison.error.clone().or_else(|| comparison.note.clone());
    let told = comparison.error.is_none() && measured(comparison).next().is_some();
    let timed = comparison.kind != Kind::Behaviour;
    let params: Vec<String> = comparison.params.0.iter().map(|(key, value)| format!("{key} {value}")).collect();
    Section {
        id: id.to_owned(),
        workload: comparison.workload.clone(),
        place: match comparison.placement {
            Placement::Pinned => "pinned to one core",
            Placement::Free => "free on all cores",
        },
        summary: sentence(&comparison.summary),
        params: params.join(" · "),
        // Behaviour has no best.
        headline: comparison.headline.as_ref().filter(|_| told && timed).map(|line| sentence(&line.text)),
        timed,
        heading: figure_heading(comparison),
        versus: format!("vs {}", comparison.reference),
        rows: if timed && (told || problem.is_none()) { rows(comparison) } else { Vec::new() },
        values: if told || !timed { values(comparison) } else { None },
        charts: if told && timed { charts(comparison, id, rank) } else { Vec::new() },
        footer: if comparison.rounds.is_empty() { String::new() } else { footer(comparison) },
        command: format!(
            "cargo xtask compare-{subject}s --only {} --placement {}",
            word_of_command(&comparison.workload),
            comparison.placement.name()
        ),
        problem,
    }
}

/// As a shell takes it for one word.
fn word_of_command(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/_-.,@".contains(letter);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let Some(first) = letters.next() else { return String::new() };
    // A contender's name keeps its small letter.
    if text.contains(" is ") && text.split(' ').nth(1) == Some("is") {
        return format!("{}.", text.trim_end_matches('.'));
    }
    first.to_uppercase().chain(letters).chain(['.']).collect()
}

fn rows(comparison: &Comparison) -> Vec<Row> {
    let figures = || measured(comparison).filter_map(|row| figure(comparison, row));
    let largest = figures().fold(f64::MIN_POSITIVE, f64::max);
    let reference = comparison.contender(&comparison.reference).and_then(|row| figure(comparison, row));
    let full = reference.filter(|value| *value > 0.0).map_or(largest, |value| largest.min(LONGEST * value));
    sorted(comparison).into_iter().map(|row| table_row(comparison, row, full)).collect()
}

fn table_row(comparison: &Comparison, row: &ContenderResult, full: f64) -> Row {
    let value = figure(comparison, row).filter(|_| row.status == Status::Ok);
    let ratio = row.ratio.get(&comparison.metric);
    let verdict = ratio.map_or_else(String::new, |ratio| word(comparison, ratio));
    let mut tags = row.tags.clone();
    if row.not_flat > 0 {
        let plural = if row.not_flat == 1 { "" } else { "s" };
        tags.push(format!("still warming up in {} round{plural}", row.not_flat));
    }
    Row {
        name: row.name.clone(),
        tags: tags.join(", "),
        missing: value.is_none().then(|| missing(row)),
        failed: row.status == Status::Failed,
        figure: figure_text(comparison, row).unwrap_or_default(),
        bar: format!("{:.1}", 100.0 * (value.unwrap_or(0.0) / full).clamp(0.005, 1.0)),
        beyond: value.is_some_and(|value| value > full * (1.0 + 1e-9)),
        versus: match ratio {
            Some(ratio) => ratio_text(ratio),
            None if row.name == comparison.reference => "1".to_owned(),
            None => "too few rounds".to_owned(),
        },
        tone: match verdict.as_str() {
            "faster" | "lower" => "good",
            "slower" | "higher" => "bad",
            _ => "",
        },
        word: verdict,
        cpu: cpu_text(row),
        switches: switches_per_1k(row)
            .map_or_else(|| "-".to_owned(), |count| if count < 0.05 { "0".to_owned() } else { short_count(count) }),
        floor: row.floor_multiple.map_or_else(|| "-".to_owned(), |multiple| significant(multiple, 3)),
    }
}

/// The table of values and latency percentiles; `None` where the metric is the only one.
fn values(comparison: &Comparison) -> Option<Values> {
    let whole = comparison.kind == Kind::Behaviour;
    let mut names: Vec<&String> = comparison.contenders.iter().flat_map(|row| row.values.keys()).collect();
    names.sort_unstable();
    names.dedup();
    // Bytes at several sizes are no one figure; their slope is.
    names.retain(|name| comparison.kind != Kind::Memory || **name != comparison.metric);
    // What is compared comes first; alone it is in the other table already, but for behaviour, which has no other.
    names.sort_by_key(|name| **name != comparison.metric);
    let mut quantiles: Vec<&String> = comparison.contenders.iter().flat_map(|row| row.quantiles_ns.keys()).collect();
    quantiles.sort_unstable_by_key(|name| (name.len(), name.as_str()));
    quantiles.dedup();
    if !whole && quantiles.is_empty() && names.iter().all(|name| **name == comparison.metric) {
        return None;
    }
    let cells = |row: &ContenderResult| {
        let of_value = |name: &&String| row.values.get(*name).map(|spread| value_text(comparison, name, spread));
        let of_quantile = |name: &&String| row.quantiles_ns.get(*name).map(|ns| time(*ns));
        let cells = names.iter().map(of_value).chain(quantiles.iter().map(of_quantile));
        cells.map(|text| text.unwrap_or_else(|| "-".to_owned())).collect()
    };
    let (there, not): (Vec<_>, Vec<_>) =
        sorted(comparison).into_iter().partition(|row| row.status == Status::Ok && !row.values.is_empty());
    let there: Vec<_> =
        there.into_iter().chain(not.iter().copied().filter(|row| !row.quantiles_ns.is_empty())).collect();
    Some(Values {
        span: names.len() + quantiles.len(),
        headings: names
            .iter()
            .map(|name| value_heading(name))
            .chain(quantiles.iter().map(|name| (*name).clone()))
            .collect(),
        rows: there.iter().map(|row| ValueRow { name: row.name.clone(), cells: cells(row) }).collect(),
        missing: if whole { not.iter().map(|row| (row.name.clone(), missing(row))).collect() } else { Vec::new() },
    })
}

fn charts(comparison: &Comparison, id: &str, rank: &dyn Fn(&str) -> usize) -> Vec<Chart> {
    let chart = |title: &str, caption: String, svg: Option<Value>| {
        svg.map(|svg| Chart { title: title.to_owned(), caption, svg })
    };
    let memory_kind = comparison.kind == Kind::Memory;
    let ratios = chart(
        &format!("Ratio to {}", comparison.reference),
        "Estimate and interval. Solid: decided; hollow: still open.".to_owned(),
        forest::forest(comparison, id),
    );
    let curves = chart(
        "Latency by percentile",
        "Further right is rarer. Curves end where events are too few.".to_owned(),
        latency::latency(comparison, id, rank),
    );
    let order = if memory_kind {
        chart(
            "Bytes by number of units",
            "Both axes logarithmic. The figure in the table is the slope.".to_owned(),
            memory::memory(comparison, id, rank),
        )
    } else {
        let void = if comparison.rounds.iter().any(|round| round.void.is_some()) { " Shaded: void." } else { "" };
        let reach = strip::span_text(comparison);
        let caption = format!("From lowest to highest block. Rows reach {reach} from their median.{void}");
        chart("Rounds in order", caption, strip::strip(comparison, id))
    };
    let costs = chart(
        &format!("Cost per {}", comparison.operation),
        "CPU time; context switches and page faults per 1,000.".to_owned(),
        counters::counters(comparison, id),
    );
    [ratios, curves, order, costs].into_iter().flatten().collect()
}
