//! The heat map: workloads down, contenders across, the multiple of the best in every cell.

use minijinja::Value;
use serde::Serialize;

use super::super::missing;
use super::multiples::{multiple_text, multiples, plain};
use super::svg::escaped;
use super::uses::grouped;
use crate::plan::FLOOR;
use crate::report::{Comparison, ContenderResult, Report, Status};

/// Up to which multiple each step of the colours goes; what is larger has the last one.
const STEPS: [f64; 8] = [1.1, 1.5, 2.2, 5.0, 10.0, 30.0, 100.0, 1000.0];

/// The whole table.
#[derive(Serialize)]
pub(super) struct Heat {
    contenders: Vec<Value>,
    /// Columns in all.
    span: usize,
    groups: Vec<Group>,
    legend: Vec<Cell>,
}

#[derive(Serialize)]
struct Group {
    title: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: String,
    workload: Value,
    place: &'static str,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    class: String,
    text: String,
    /// What the word stands for.
    title: String,
}

/// The table of a whole report; `ids` are the sections' names in links.
pub(super) fn heat(report: &Report, contenders: &[&str], ids: &[String]) -> Heat {
    let row = |(index, comparison): (usize, &Comparison)| {
        let multiples = multiples(comparison);
        Row {
            id: ids[index].clone(),
            workload: breakable(&comparison.workload),
            place: comparison.placement.name(),
            cells: contenders.iter().map(|name| cell(comparison, multiples.get(name).copied(), name)).collect(),
        }
    };
    let group = |(kind, comparisons): (super::uses::Use, Vec<(usize, &Comparison)>)| {
        // One runtime against itself has no place beside others.
        let rows: Vec<Row> =
            comparisons.into_iter().filter(|(_, comparison)| !comparison.varies_one()).map(row).collect();
        (!rows.is_empty()).then_some(Group { title: kind.title, rows })
    };
    Heat {
        contenders: contenders.iter().map(|name| breakable(name)).collect(),
        span: contenders.len() + 1,
        groups: grouped(&report.comparisons).into_iter().filter_map(group).collect(),
        legend: legend(),
    }
}

/// A name that may go on in a new line where a variant begins.
fn breakable(name: &str) -> Value {
    Value::from_safe_string(escaped(name).replace('@', "@<wbr>").replace('/', "/<wbr>"))
}

fn cell(comparison: &Comparison, times: Option<f64>, name: &str) -> Cell {
    let Some(row) = comparison.contender(name) else {
        return Cell { class: "absent".to_owned(), text: "·".to_owned(), title: "does not take part".to_owned() };
    };
    if row.status != Status::Ok {
        return absent(row);
    }
    if comparison.error.is_some() {
        return Cell { class: "fail".to_owned(), text: "error".to_owned(), title: "not the same work".to_owned() };
    }
    match (times, plain(comparison, row)) {
        (Some(times), figure) => {
            let title = figure.unwrap_or_default();
            if name == FLOOR {
                return Cell { class: "floor".to_owned(), text: multiple_text(times), title };
            }
            let open = comparison.headline.as_ref().is_some_and(|line| line.open.iter().any(|other| other == name));
            let title = if open { format!("{title}; not certainly behind the best") } else { title };
            let sign = if open { " ?" } else { "" };
            Cell { class: format!("h{}", step(times)), text: format!("{}{sign}", multiple_text(times)), title }
        }
        (None, Some(text)) => Cell { class: "plain".to_owned(), text, title: String::new() },
        (None, None) => Cell { class: "absent".to_owned(), text: "–".to_owned(), title: "not measured".to_owned() },
    }
}

fn absent(row: &ContenderResult) -> Cell {
    let left_out = row.reason.as_deref().is_some_and(|reason| reason.starts_with("left out"));
    let (class, text) = match row.status {
        Status::Failed => ("fail", "failed"),
        _ if left_out => ("none", "left out"),
        _ => ("none", "none"),
    };
    Cell { class: class.to_owned(), text: text.to_owned(), title: missing(row) }
}

fn step(times: f64) -> usize {
    STEPS.iter().position(|limit| times <= *limit).unwrap_or(STEPS.len())
}

fn legend() -> Vec<Cell> {
    let text = |index: usize| match STEPS.get(index) {
        Some(limit) if *limit < 1_000.0 => format!("≤ {limit}x"),
        Some(_) => "≤ 1,000x".to_owned(),
        None => "more".to_owned(),
    };
    let steps =
        (0..=STEPS.len()).map(|index| Cell { class: format!("h{index}"), text: text(index), title: String::new() });
    let word = |class: &str, text: &str| Cell { class: class.to_owned(), text: text.to_owned(), title: String::new() };
    steps
        .chain([word("none", "none: no such thing"), word("fail", "failed"), word("floor", "floor: by hand")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast of two colours (WCAG 2.2).
    fn contrast(left: &str, right: &str) -> f64 {
        let luminance = |colour: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (left, right) = (luminance(left), luminance(right));
        (left.max(right) + 0.05) / (left.min(right) + 0.05)
    }

    #[test]
    fn text_stands_out_from_every_colour_in_both_schemes() {
        let css = include_str!("page.css");
        let all = |name: String| -> Vec<&str> {
            css.match_indices(&name).map(|(at, _)| &css[at + name.len()..at + name.len() + 7]).collect()
        };
        for step in 0..=STEPS.len() {
            let (grounds, texts) = (all(format!("--h{step}: ")), all(format!("--t{step}: ")));
            assert_eq!((grounds.len(), texts.len()), (2, 2), "a colour for light and for dark");
            for (ground, text) in grounds.into_iter().zip(texts) {
                assert!(contrast(ground, text) >= 4.5, "{step}: {text} on {ground}: {:.2}", contrast(ground, text));
            }
        }
    }
}
