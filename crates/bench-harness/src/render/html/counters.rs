//! What it cost beside time: CPU, context switches, page faults.

use std::fmt::Write;

use minijinja::Value;

use super::super::{sorted, switches_per_1k};
use super::scale::{short_count, short_time};
use super::svg::{Anchor, Px, Svg, fit};
use crate::report::{Comparison, ContenderResult};

const NAMES: f64 = 92.0;
const COLUMN: f64 = 88.0;
/// The longest bar.
const BAR: f64 = 30.0;
const ROW: f64 = 18.0;
const TOP: f64 = 22.0;

/// One of the columns.
struct Counter {
    heading: &'static str,
    pick: fn(&ContenderResult) -> Option<f64>,
    text: fn(f64) -> String,
}

const COUNTERS: [Counter; 3] = [
    Counter { heading: "CPU", pick: |row| row.per_op.as_ref()?.cpu_ns, text: short_time },
    Counter { heading: "switches/1k", pick: switches_per_1k, text: short_count },
    Counter { heading: "faults/1k", pick: |row| Some(1000.0 * row.per_op.as_ref()?.minor_faults?), text: short_count },
];

/// The chart; `None` where nothing was counted.
pub(super) fn counters(comparison: &Comparison, id: &str) -> Option<Value> {
    let rows: Vec<&ContenderResult> = sorted(comparison)
        .into_iter()
        .filter(|row| COUNTERS.iter().any(|counter| (counter.pick)(row).is_some()))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = Svg::new();
    for (index, row) in rows.iter().enumerate() {
        svg.text(NAMES, TOP + ROW * (index as f64 + 0.5) + 4.0, Anchor::End, "", &fit(&row.name, NAMES));
    }
    for (index, counter) in COUNTERS.iter().enumerate() {
        column(&mut svg, counter, NAMES + 8.0 + COLUMN * index as f64, &rows);
    }
    let sentences: Vec<String> = rows.iter().map(|row| sentence(row)).collect();
    let name = format!("{}: what it cost per operation", comparison.workload);
    Some(svg.finish(&format!("{id}-counters"), bottom + 4.0, &name, &sentences.join("; ")))
}

fn column(svg: &mut Svg, counter: &Counter, x: f64, rows: &[&ContenderResult]) {
    svg.text(x, 12.0, Anchor::Start, "tick", counter.heading);
    let most = rows.iter().filter_map(|row| (counter.pick)(row)).fold(f64::MIN_POSITIVE, f64::max);
    let mut bars = String::new();
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        let Some(value) = (counter.pick)(row) else { continue };
        let length = BAR * value / most;
        if value > 0.0 {
            let _ = write!(bars, "M{} {}h{}", Px(x), Px(y), Px(length.max(1.0)));
        }
        svg.text(
            x + if value > 0.0 { length + 4.0 } else { 0.0 },
            y + 4.0,
            Anchor::Start,
            "figure",
            &(counter.text)(value),
        );
    }
    svg.path("mark bars", &bars);
}

fn sentence(row: &ContenderResult) -> String {
    let texts = COUNTERS
        .iter()
        .filter_map(|counter| Some(format!("{} {}", counter.heading, (counter.text)((counter.pick)(row)?))));
    format!("{}: {}", row.name, texts.collect::<Vec<_>>().join(", "))
}
