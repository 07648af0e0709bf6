//! Rounds in the order in which they were measured, so that drift shows.

use std::fmt::Write;

use minijinja::Value;

use super::super::sorted;
use super::svg::{Anchor, Px, Svg, WIDTH, fit};
use crate::analysis::figure;
use crate::report::{Comparison, Round};
use crate::stats::{median, quantile};

const NAMES: f64 = 92.0;
const ROW: f64 = 20.0;
const TOP: f64 = 4.0;
/// How far a row may reach from its middle line: not into its neighbours.
const REACH: f64 = 8.0;
/// The least length of a stroke.
const LEAST: f64 = 2.5;
/// What a row may span above and below its median, as shares.
const SPANS: [f64; 12] = [0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0, 9.0, 99.0];

/// A contender's rounds: where each lies from the contender's own median, its blocks from least to most, on the log scale.
struct Track {
    name: String,
    rounds: Vec<Option<(f64, f64)>>,
}

/// The chart; `None` with fewer than two rounds.
pub(super) fn strip(comparison: &Comparison, id: &str) -> Option<Value> {
    let tracks: Vec<Track> = sorted(comparison).into_iter().filter_map(|row| track(comparison, &row.name)).collect();
    let count = comparison.rounds.len();
    if tracks.is_empty() || count < 2 {
        return None;
    }
    let span = span(&tracks);
    let bottom = TOP + ROW * tracks.len() as f64;
    let step = (WIDTH - NAMES - 14.0) / count as f64;
    let x = |index: usize| NAMES + 10.0 + step * (index as f64 + 0.5);
    let mut svg = Svg::new();
    for (index, _) in comparison.rounds.iter().enumerate().filter(|(_, round)| round.void.is_some()) {
        svg.rect(x(index) - step / 2.0, TOP, step, bottom - TOP, "void");
    }
    let middle = |index: usize| TOP + ROW * (index as f64 + 0.5);
    let mut middles = String::new();
    for index in 0..tracks.len() {
        let _ = write!(middles, "M{} {}H{}", Px(NAMES + 10.0), Px(middle(index)), Px(WIDTH - 4.0));
    }
    svg.path("grid", &middles);
    for (index, track) in tracks.iter().enumerate() {
        let y = middle(index);
        svg.text(NAMES, y + 4.0, Anchor::End, "", &fit(&track.name, NAMES));
        svg.path("mark rounds", &marks(track, &x, y, span.ln_1p()));
    }
    svg.text(NAMES + 10.0, bottom + 14.0, Anchor::Start, "tick", "first round");
    svg.text(WIDTH - 4.0, bottom + 14.0, Anchor::End, "tick", &format!("round {count}"));
    let name = format!("{}: rounds in the order of measuring", comparison.workload);
    let chart = svg.finish(&format!("{id}-rounds"), bottom + 20.0, &name, &figures(comparison, &tracks, span));
    Some(chart)
}

/// What the chart's rows span, for its caption.
pub(super) fn span_text(comparison: &Comparison) -> String {
    let tracks: Vec<Track> = sorted(comparison).into_iter().filter_map(|row| track(comparison, &row.name)).collect();
    reach_text(span(&tracks))
}

fn reach_text(span: f64) -> String {
    if span > 1.0 { format!("up to {}x", span + 1.0) } else { format!("{:.0} %", 100.0 * span) }
}

fn figures(comparison: &Comparison, tracks: &[Track], span: f64) -> String {
    let void = comparison.rounds.iter().filter(|round| round.void.is_some()).count();
    let drift = tracks.iter().filter_map(|track| {
        let middles: Vec<f64> = track.rounds.iter().flatten().map(|(low, high)| (low + high) / 2.0).collect();
        let (early, late) = middles.split_at(middles.len() / 2);
        let change = 100.0 * (median(late)? - median(early)?).exp_m1();
        Some(format!("{} {change:+.1} %", track.name))
    });
    let drift: Vec<String> = drift.collect();
    let void = if void > 0 { format!("{void} void rounds. ") } else { String::new() };
    format!("{void}Rows reach {} from their median. Second half against first: {}.", reach_text(span), drift.join(", "))
}

/// The smallest round number that holds nine in ten of the rounds.
fn span(tracks: &[Track]) -> f64 {
    let far: Vec<f64> = tracks
        .iter()
        .flat_map(|track| track.rounds.iter().flatten())
        .map(|(low, high)| low.abs().max(high.abs()).exp_m1())
        .collect();
    let most = quantile(&far, 0.9).unwrap_or(0.0);
    SPANS.into_iter().find(|span| *span >= most).unwrap_or(SPANS[SPANS.len() - 1])
}

/// A stroke per round from its lowest to its highest block.
fn marks(track: &Track, x: &dyn Fn(usize) -> f64, y: f64, span: f64) -> String {
    let mut d = String::new();
    let mut pen = (0.0, 0.0);
    for (index, round) in track.rounds.iter().enumerate() {
        let Some((low, high)) = round else { continue };
        let at = |value: f64| y - REACH * (value / span).clamp(-1.0, 1.0);
        // A single block is a stroke of no length: it would not be drawn.
        let length = (at(*high) - at(*low)).min(-LEAST);
        let from = ((at(*low) + at(*high) - length) / 2.0).clamp(y - REACH - length, y + REACH);
        // Steps from stroke to stroke are shorter to write than places. They are taken from where rounding left the pen.
        let step = (tenths(x(index) - pen.0), tenths(from - pen.1));
        let length = tenths(length);
        let gap = if step.1 < 0.0 { "" } else { " " };
        let _ = write!(d, "m{}{gap}{}v{}", Px(step.0), Px(step.1), Px(length));
        pen = (pen.0 + step.0, pen.1 + step.1 + length);
    }
    d
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The reference is compared with its own median, for with itself its ratio is always 1.
fn track(comparison: &Comparison, name: &str) -> Option<Track> {
    let itself = name == comparison.reference;
    let of_round = |round: &Round| {
        let values = round.blocks.iter().filter_map(|block| {
            let value = figure(block.done.get(name)?, &comparison.metric)?.ln();
            let base =
                if itself { 0.0 } else { figure(block.done.get(&comparison.reference)?, &comparison.metric)?.ln() };
            Some(value - base)
        });
        values.collect::<Vec<f64>>()
    };
    let rounds: Vec<Vec<f64>> =
        comparison.rounds.iter().map(|round| if round.void.is_some() { Vec::new() } else { of_round(round) }).collect();
    let medians: Vec<f64> = rounds.iter().filter_map(|blocks| median(blocks)).collect();
    let middle = median(&medians)?;
    let ends = |blocks: &Vec<f64>| {
        let (low, high) = (blocks.iter().copied().reduce(f64::min)?, blocks.iter().copied().reduce(f64::max)?);
        Some((low - middle, high - middle))
    };
    Some(Track { name: name.to_owned(), rounds: rounds.iter().map(ends).collect() })
}
