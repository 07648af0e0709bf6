//! Claims as cards, each with its legs' intervals beside what it predicts.

use minijinja::Value;
use serde::Serialize;

use super::super::mark;
use super::scale::{LogScale, ratio_tick, time_tick};
use super::svg::{Anchor, Svg, WIDTH, fit};
use crate::report::{ClaimResult, LegResult, Ratio, Verdict};

const ROW: f64 = 34.0;
const TOP: f64 = 4.0;
/// Room for a leg's figure beside its label.
const FIGURE: f64 = 60.0;

/// One card.
#[derive(Serialize)]
pub(super) struct Card {
    id: String,
    class: &'static str,
    sign: &'static str,
    word: &'static str,
    text: String,
    why: String,
    count: usize,
    legs: Vec<String>,
    source: String,
    charts: Vec<Value>,
}

/// All cards, and how many came to what.
pub(super) fn cards(claims: &[ClaimResult]) -> Vec<Card> {
    claims.iter().enumerate().map(|(index, claim)| card(claim, &format!("claim-{}", index + 1))).collect()
}

fn card(claim: &ClaimResult, id: &str) -> Card {
    let (sign, word) = mark(claim.verdict);
    let class = match claim.verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Refuted => "refuted",
        _ => "left",
    };
    let lines = claim.legs.iter().map(|leg| format!("{} {}", mark(leg.verdict).0, leg.sentence()));
    Card {
        id: id.to_owned(),
        class,
        sign,
        word,
        text: claim.text.clone(),
        why: claim.why.clone(),
        count: claim.legs.len(),
        legs: if claim.legs.len() > 3 { lines.collect() } else { Vec::new() },
        source: claim.source.clone(),
        charts: charts(claim, id),
    }
}

/// One chart per unit: ratios and times have no common axis.
fn charts(claim: &ClaimResult, id: &str) -> Vec<Value> {
    let mut units: Vec<&str> = claim.legs.iter().map(|leg| leg.unit.as_str()).collect();
    units.sort_unstable();
    units.dedup();
    let chart_of = |unit: &str| {
        let legs = claim.legs.iter().filter(|leg| leg.unit == unit);
        let legs: Vec<(&LegResult, &Ratio)> = legs.filter_map(|leg| Some((leg, leg.figure.as_ref()?))).collect();
        chart(claim, &legs, unit, id)
    };
    units.into_iter().filter_map(chart_of).collect()
}

fn chart(claim: &ClaimResult, legs: &[(&LegResult, &Ratio)], unit: &str, id: &str) -> Option<Value> {
    if legs.is_empty() {
        return None;
    }
    let values = legs.iter().flat_map(|(leg, figure)| {
        [figure.low, figure.estimate, figure.high].into_iter().chain(leg.at_least).chain(leg.at_most)
    });
    let one = if unit == "x" { Some(1.0) } else { None };
    let scale = LogScale::over(values.chain(one), 2.0, WIDTH - 2.0)?;
    let bottom = TOP + ROW * legs.len() as f64;
    let tick_text = |tick: f64| match unit {
        "x" => ratio_tick(tick),
        "ns" => time_tick(tick),
        _ => format!("{tick}"),
    };
    let mut svg = Svg::new();
    let ticks = scale.ticks(5);
    for (index, (leg, figure)) in legs.iter().enumerate() {
        row(&mut svg, &scale, TOP + ROW * index as f64, leg, figure, &ticks);
    }
    for tick in ticks {
        svg.text(scale.at(tick).clamp(14.0, WIDTH - 14.0), bottom + 13.0, Anchor::Middle, "tick", &tick_text(tick));
    }
    let sentences: Vec<String> = legs.iter().map(|(leg, _)| format!("{}{}", leg.sentence(), predicted(leg))).collect();
    let id = format!("{id}-{}", if unit.is_empty() { "value" } else { unit });
    Some(svg.finish(&id, bottom + 19.0, &claim.text, &sentences.join("; ")))
}

fn row(svg: &mut Svg, scale: &LogScale, top: f64, leg: &LegResult, figure: &Ratio, ticks: &[f64]) {
    let y = top + 23.0;
    let end = |bound: Option<f64>, without: f64| bound.map_or(without, |bound| scale.at(bound));
    let (from, to) = (end(leg.at_least, 2.0), end(leg.at_most, WIDTH - 2.0));
    if leg.at_least.is_some() || leg.at_most.is_some() {
        svg.rect(from, y - 6.0, (to - from).max(1.0), 12.0, "predicted");
    }
    for tick in ticks {
        svg.line((scale.at(*tick), y - 6.0), (scale.at(*tick), y + 6.0), "grid");
    }
    for bound in leg.at_least.into_iter().chain(leg.at_most) {
        svg.line((scale.at(bound), y - 7.0), (scale.at(bound), y + 7.0), "edge");
    }
    let (sign, word) = mark(leg.verdict);
    let state = if leg.verdict == Verdict::Inconclusive { "open" } else { "decided" };
    svg.text(2.0, top + 11.0, Anchor::Start, "", &fit(&leg.label, WIDTH - FIGURE - 44.0));
    svg.text(WIDTH - 2.0, top + 11.0, Anchor::End, "figure", &format!("{} {}", brief(leg, figure), sign));
    svg.line((scale.at(figure.low), y), (scale.at(figure.high), y), &format!("mark interval {state} {word}"));
    svg.dot(scale.at(figure.estimate), y, 3.5, &format!("mark {state} {word}"));
}

fn brief(leg: &LegResult, figure: &Ratio) -> String {
    match leg.unit.as_str() {
        "x" => super::multiples::multiple_text(figure.estimate),
        "ns" => super::scale::short_time(figure.estimate),
        unit => format!("{} {unit}", crate::units::significant(figure.estimate, 3)).trim().to_owned(),
    }
}

fn predicted(leg: &LegResult) -> String {
    let number = |value: f64| match leg.unit.as_str() {
        "x" => format!("{value}x"),
        "ns" => crate::units::time(value),
        _ => format!("{value}"),
    };
    match (leg.at_least, leg.at_most) {
        (Some(least), Some(most)) => format!(", predicted {} to {}", number(least), number(most)),
        (Some(least), None) => format!(", predicted at least {}", number(least)),
        (None, Some(most)) => format!(", predicted at most {}", number(most)),
        (None, None) => String::new(),
    }
}
