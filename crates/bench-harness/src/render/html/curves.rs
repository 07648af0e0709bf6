//! Curves over a logarithmic height, each named at its end.

use std::fmt::Write;

use minijinja::Value;

use super::scale::LogScale;
use super::svg::{Anchor, Px, Svg, WIDTH, fit};

const LEFT: f64 = 46.0;
const NAMES: f64 = 92.0;
const TOP: f64 = 10.0;
/// The least distance of two names.
const LINE: f64 = 13.5;

/// One contender's curve.
pub(super) struct Curve {
    pub(super) name: String,
    /// Its place among all contenders, which decides its colour and dashes.
    pub(super) rank: usize,
    /// Across from 0 to 1, and the value there; rising across.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether the points themselves are drawn.
    pub(super) dotted: bool,
}

/// What is around the curves.
pub(super) struct Frame<'a> {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) figures: String,
    /// Where on the way across which label stands.
    pub(super) across: Vec<(f64, String)>,
    pub(super) tick: &'a dyn Fn(f64) -> String,
}

/// The chart; `None` without a curve.
pub(super) fn curves(frame: &Frame<'_>, curves: &[Curve]) -> Option<Value> {
    let height = (LINE * curves.len() as f64 + 14.0).max(220.0);
    let bottom = TOP + height;
    let right = WIDTH - NAMES - 14.0;
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1));
    let scale = LogScale::over(values, bottom, TOP)?;
    let x = |across: f64| LEFT + across * (right - LEFT);
    let mut svg = Svg::new();
    for tick in scale.ticks(8) {
        svg.line((LEFT, scale.at(tick)), (right, scale.at(tick)), "grid");
        svg.text(LEFT - 5.0, scale.at(tick) + 4.0, Anchor::End, "tick", &(frame.tick)(tick));
    }
    for (across, label) in &frame.across {
        svg.line((x(*across), TOP), (x(*across), bottom), "grid");
        svg.text(x(*across), bottom + 15.0, Anchor::Middle, "tick", label);
    }
    let ends: Vec<f64> = curves.iter().map(|curve| curve.points.last().map_or(bottom, |end| scale.at(end.1))).collect();
    let places = apart(&ends, TOP + 4.0, bottom - 8.0);
    for ((curve, end), place) in curves.iter().zip(ends).zip(places) {
        draw(&mut svg, curve, &scale, &x);
        let from = curve.points.last().map_or(right, |point| x(point.0));
        svg.line((from + 2.0, end), (right + 10.0, place), "leader");
        svg.text(
            right + 13.0,
            place + 4.0,
            Anchor::Start,
            &format!("name k{}", curve.rank % 8),
            &fit(&curve.name, NAMES),
        );
    }
    Some(svg.finish(&frame.id, bottom + 22.0, &frame.name, &frame.figures))
}

fn draw(svg: &mut Svg, curve: &Curve, scale: &LogScale, x: &dyn Fn(f64) -> f64) {
    let mut d = String::new();
    for (index, (across, value)) in curve.points.iter().enumerate() {
        let step = if index == 0 { 'M' } else { 'L' };
        let _ = write!(d, "{step}{} {}", Px(x(*across)), Px(scale.at(*value)));
        if curve.dotted || curve.points.len() == 1 {
            svg.dot(x(*across), scale.at(*value), 2.5, &format!("mark k{}", curve.rank % 8));
        }
    }
    svg.path(&format!("mark curve k{} d{}", curve.rank % 8, curve.rank % 5), &d);
}

/// Heights near `wanted`, no two nearer than a line, within the chart where there is room.
fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&left, &right| wanted[left].total_cmp(&wanted[right]));
    let mut places = wanted.to_vec();
    let mut free = top;
    for &index in &order {
        places[index] = places[index].max(free);
        free = places[index] + LINE;
    }
    let mut free = bottom;
    for &index in order.iter().rev() {
        places[index] = places[index].min(free);
        free = places[index] - LINE;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_apart_and_inside() {
        let places = apart(&[100.0, 101.0, 99.0, 10.0], 10.0, 110.0);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= LINE - 1e-9), "{places:?}");
        assert!(sorted[0] >= 10.0 && sorted[3] <= 110.0, "{places:?}");
        assert!(places[2] < places[0] && places[0] < places[1], "{places:?}");
    }
}
