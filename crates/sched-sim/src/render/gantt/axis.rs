//! The time axis: which part of the run is shown, in which unit, and where the marks are.

use super::super::number::number;
use crate::scenario::TimeUnit;

/// The shown part of a run, from left to right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) left: f64,
    pub(super) width: f64,
    /// What a time of the outcome is multiplied by to be read.
    factor: f64,
    pub(super) unit: &'static str,
}

impl Axis {
    /// An axis over a part of the time, in a unit in which its end has few digits.
    pub(super) fn new(from: f64, to: f64, unit: TimeUnit, left: f64, width: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        let names = ["ns", "us", "ms", "s"];
        let named = match unit {
            TimeUnit::Ns => 0,
            TimeUnit::Us => 1,
            TimeUnit::Ms => 2,
            TimeUnit::Tick | TimeUnit::ServiceMean => {
                let unit = if unit == TimeUnit::Tick { "ticks" } else { "mean service times" };
                return Self { from, to, left, width, factor: 1.0, unit };
            }
        };
        let (mut factor, mut shown) = (1.0, named);
        while to * factor >= 10_000.0 && shown + 1 < names.len() {
            factor /= 1_000.0;
            shown += 1;
        }
        Self { from, to, left, width, factor, unit: names[shown] }
    }

    /// Where a time is; beyond the edges: on them.
    pub(super) fn x(&self, time: f64) -> f64 {
        self.left + self.width * ((time - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    /// A time or a length to be read, without its unit.
    pub(super) fn read(&self, time: f64) -> String {
        number(time * self.factor)
    }

    /// The marks: where, and what stands there.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        let step = round_step((self.to - self.from) * self.factor / 8.0);
        let first = libm::ceil(self.from * self.factor / step - 1e-9);
        let mark = |number: u32| (first + f64::from(number)) * step;
        let times = (0..20).map(mark).take_while(|time| *time <= self.to * self.factor * (1.0 + 1e-9));
        times.map(|time| (self.x(time / self.factor), number(time))).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least so large.
fn round_step(least: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(least)));
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(from: f64, to: f64, unit: TimeUnit) -> (String, &'static str) {
        let axis = Axis::new(from, to, unit, 0.0, 100.0);
        let labels: Vec<String> = axis.marks().into_iter().map(|(_, label)| label).collect();
        (labels.join(" "), axis.unit)
    }

    #[test]
    fn marks_are_round_and_short() {
        assert_eq!(labels(0.0, 34.0, TimeUnit::Tick), ("0 5 10 15 20 25 30".into(), "ticks"));
        assert_eq!(labels(0.0, 100_000.0, TimeUnit::Us), ("0 20 40 60 80 100".into(), "ms"));
        assert_eq!(labels(0.0, 2.5e9, TimeUnit::Ns), ("0 500 1000 1500 2000 2500".into(), "ms"));
        assert_eq!(labels(0.3, 0.9, TimeUnit::Ms), ("0.3 0.4 0.5 0.6 0.7 0.8 0.9".into(), "ms"));
    }

    #[test]
    fn what_is_outside_is_on_the_edge() {
        let axis = Axis::new(10.0, 20.0, TimeUnit::Tick, 100.0, 1000.0);
        assert!([(5.0, 100.0), (15.0, 600.0), (99.0, 1100.0)].iter().all(|(time, x)| (axis.x(*time) - x).abs() < 1e-9));
    }
}
