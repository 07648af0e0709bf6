//! Logarithmic axes: equal ratios are equally far apart.

use crate::units::significant;

/// The least factor that an axis spans.
const LEAST_SPAN: f64 = 1.04;

/// From values to pixels.
pub(super) struct LogScale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl LogScale {
    /// An axis from pixel `from` to pixel `to` that holds all positive `values`, with a little room at both ends; `None`
    /// without any.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.into_iter().filter(|value| value.is_finite() && *value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return None;
        }
        let room = (0.04 * (high / low).ln()).max((LEAST_SPAN.ln() - (high / low).ln()) / 2.0).exp();
        Some(Self { low: low / room, high: high * room, from, to })
    }

    /// Where `value` lies; what lies beyond the axis stands at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round values along the axis, at most `most`.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        let narrow = self.high / self.low < 3.0;
        let mut candidates = if narrow { self.even() } else { Vec::new() };
        candidates.push(self.decades(&[1.0, 2.0, 5.0], 1));
        candidates.push(self.decades(&[1.0, 3.0], 1));
        candidates.extend((1..=4).map(|step| self.decades(&[1.0], step)));
        candidates.into_iter().find(|ticks| (1..=most).contains(&ticks.len())).unwrap_or_default()
    }

    /// Evenly spaced values, the closest first.
    fn even(&self) -> Vec<Vec<f64>> {
        let magnitude = 10_f64.powf((self.high - self.low).log10().floor() - 1.0);
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|step| step * magnitude);
        let along = |step: f64| {
            let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
            (first..=last).map(|index| rounded(index as f64 * step)).collect()
        };
        steps.map(along).to_vec()
    }

    fn decades(&self, digits: &[f64], step: i32) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let decades = (first..=last).filter(|decade| decade.rem_euclid(step) == 0);
        let values = decades.flat_map(|decade| digits.iter().map(move |digit| rounded(digit * 10_f64.powi(decade))));
        values.filter(|value| (self.low..=self.high).contains(value)).collect()
    }
}

/// Without the last bits that multiplying left behind.
fn rounded(value: f64) -> f64 {
    let text = format!("{value:.6e}");
    text.parse().unwrap_or(value)
}

/// A ratio on an axis, as `0.5x`.
pub(super) fn ratio_tick(value: f64) -> String {
    if value >= 1_000.0 { format!("{}x", significant(value, 1)) } else { format!("{value}x") }
}

/// A time on an axis, as `10 us`.
pub(super) fn time_tick(ns: f64) -> String {
    let (scale, unit) = unit_of(ns);
    format!("{} {unit}", rounded(ns / scale))
}

/// A time where there is little room, as `32.4 us`.
pub(super) fn short_time(ns: f64) -> String {
    let (scale, unit) = unit_of(ns);
    format!("{} {unit}", significant(ns / scale, 3))
}

fn unit_of(ns: f64) -> (f64, &'static str) {
    match ns {
        size if size < 1e3 => (1.0, "ns"),
        size if size < 1e6 => (1e3, "us"),
        size if size < 1e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    }
}

/// A count where there is little room, as `12.3k`.
pub(super) fn short_count(count: f64) -> String {
    match count {
        none if none < 0.0005 => "0".to_owned(),
        size if size < 1e4 => significant(size, 3),
        size if size < 1e6 => format!("{}k", significant(size / 1e3, 3)),
        size => format!("{}M", significant(size / 1e6, 3)),
    }
}

/// A size on an axis, as `64 KiB` is not a round number of bytes: powers of ten.
pub(super) fn size_tick(bytes: f64) -> String {
    match bytes {
        size if size < 1e3 => format!("{} B", rounded(size)),
        size if size < 1e6 => format!("{} kB", rounded(size / 1e3)),
        size if size < 1e9 => format!("{} MB", rounded(size / 1e6)),
        size => format!("{} GB", rounded(size / 1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(low: f64, high: f64) -> Vec<f64> {
        LogScale::over([low, high], 0.0, 100.0).unwrap().ticks(5)
    }

    #[test]
    fn ticks_are_round_and_few_at_every_span() {
        assert_eq!(ticks(0.98, 1.03), [0.98, 1.0, 1.02]);
        assert_eq!(ticks(0.25, 38.0), [0.3, 1.0, 3.0, 10.0, 30.0]);
        assert_eq!(ticks(1.0, 700.0), [1.0, 10.0, 100.0]);
        for span in 1..400 {
            let count = ticks(0.5, 0.5 * 1.1_f64.powi(span)).len();
            assert!((2..=5).contains(&count), "{span}: {count}");
        }
    }

    #[test]
    fn what_lies_beyond_stands_at_the_end() {
        let scale = LogScale::over([1.0, 100.0], 0.0, 100.0).unwrap();
        assert!(scale.at(1e-9).abs() < 1e-9 && (scale.at(1e9) - 100.0).abs() < 1e-9);
        assert!((scale.at(10.0) - 50.0).abs() < 1e-9);
        assert!(LogScale::over([0.0, f64::NAN], 0.0, 1.0).is_none());
    }
}
