//! Ratios to the reference with their intervals.

use minijinja::Value;

use super::super::{ratio_text, sorted, word};
use super::multiples::multiple_text;
use super::scale::{LogScale, ratio_tick};
use super::svg::{Anchor, Svg, WIDTH, fit};
use crate::report::{Comparison, Ratio};

const NAMES: f64 = 92.0;
const FIGURES: f64 = 46.0;
const ROW: f64 = 20.0;
const TOP: f64 = 8.0;

/// The chart; `None` without a ratio.
pub(super) fn forest(comparison: &Comparison, id: &str) -> Option<Value> {
    let rows: Vec<(String, &Ratio)> = sorted(comparison)
        .into_iter()
        .filter_map(|row| Some((row.name.clone(), row.ratio.get(&comparison.metric)?)))
        .chain(comparison.twin.iter().map(|twin| ("twin".to_owned(), twin)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let ends = rows.iter().flat_map(|(_, ratio)| [ratio.low, ratio.high, ratio.estimate]);
    let scale = LogScale::over(ends.chain([1.0]), NAMES + 8.0, WIDTH - FIGURES - 6.0)?;
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = Svg::new();
    axis(&mut svg, &scale, bottom);
    for (index, (name, ratio)) in rows.iter().enumerate() {
        draw(&mut svg, &scale, TOP + ROW * (index as f64 + 0.5), name, ratio);
    }
    let figures: Vec<String> = rows
        .iter()
        .map(|(name, ratio)| format!("{name} {} {}", ratio_text(ratio), word(comparison, ratio)).trim().to_owned())
        .collect();
    let name = format!("{}: ratios to {}", comparison.workload, comparison.reference);
    Some(svg.finish(&format!("{id}-ratios"), bottom + 22.0, &name, &figures.join("; ")))
}

fn axis(svg: &mut Svg, scale: &LogScale, bottom: f64) {
    for tick in scale.ticks(5) {
        svg.line((scale.at(tick), TOP), (scale.at(tick), bottom), "grid");
        svg.text(scale.at(tick), bottom + 14.0, Anchor::Middle, "tick", &ratio_tick(tick));
    }
    svg.line((scale.at(1.0), TOP - 4.0), (scale.at(1.0), bottom + 3.0), "one");
}

fn draw(svg: &mut Svg, scale: &LogScale, y: f64, name: &str, ratio: &Ratio) {
    let state = if ratio.decided { "decided" } else { "open" };
    svg.text(NAMES, y + 4.0, Anchor::End, "", &fit(name, NAMES));
    svg.line((scale.at(ratio.low), y), (scale.at(ratio.high), y), &format!("mark interval {state}"));
    svg.dot(scale.at(ratio.estimate), y, 3.5, &format!("mark {state}"));
    svg.text(WIDTH - 2.0, y + 4.0, Anchor::End, "figure", &multiple_text(ratio.estimate));
}
