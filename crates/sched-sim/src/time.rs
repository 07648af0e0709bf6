//! Time inside a run: an integer count of sub-ticks, so that sums are exact and the same everywhere.
//!
//! How many sub-ticks make a unit depends on the unit and on the numbers in the scenario. All times with up to nine decimals are
//! exact (a burst of 7.5 ticks is). On top of that comes a power of two that keeps what is not given but computed (random
//! times, shares of a core) fine enough:
//!
//! | unit | sub-ticks, at least | a run can last |
//! |---|---|---|
//! | `service-mean` | 2^32 | 4 x 10^9 units |
//! | `tick`, `ms` | 2^20 | 1.7 x 10^13 units |
//! | `us` | 2^10 | 570 years |
//! | `ns` | 1, or 2^8 where something is random or shared | 580 or 2 years |
//!
//! A scenario with longer times gets coarser ones, down to what its numbers need to be exact.

use crate::scenario::TimeUnit;

/// Later than anything: no event is due.
pub(crate) const NEVER: u64 = u64::MAX;

/// No run goes on from here: sums of a few times more still fit.
pub(crate) const END: u64 = 1 << 63;

/// The largest time a scenario may name, in sub-ticks: far enough from overflow that sums of a few are safe.
pub(crate) const LATEST: u64 = 1 << 61;

/// How many sub-ticks make a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeScale {
    per_unit: u64,
}

impl TimeScale {
    /// The scale for a unit and the numbers that have to be exact. `computed` says that times come up which nobody gave.
    ///
    /// If one of the numbers is very large, what is not needed for exactness is given up for it.
    pub fn new(unit: TimeUnit, exact: impl IntoIterator<Item = f64>, computed: bool) -> Self {
        let (mut fraction, mut largest) = (0, 1.0_f64);
        for number in exact {
            fraction = fraction.max(decimals(number));
            largest = largest.max(number);
        }
        let decimals = fraction;
        // 10^d = 2^d x 5^d: the power of two is there anyway.
        let five = 5_u64.pow(decimals);
        let twos = match unit {
            TimeUnit::ServiceMean => 32,
            TimeUnit::Tick | TimeUnit::Ms => 20,
            TimeUnit::Us => 10,
            TimeUnit::Ns if computed => 8,
            TimeUnit::Ns => 0,
        };
        // A power of five coarsens nothing: it comes on top, less the bits it brings.
        let mut spare = twos.max(decimals).saturating_sub(five.ilog2()).max(decimals);
        while spare > decimals && largest * (five << spare) as f64 > LATEST as f64 {
            spare -= 1;
        }
        Self { per_unit: five << spare }
    }

    /// Sub-ticks per unit.
    pub fn per_unit(self) -> u64 {
        self.per_unit
    }

    /// A time in units as sub-ticks, to the nearest. What is negative becomes 0, what is too large [`LATEST`].
    pub(crate) fn ticks(self, units: f64) -> u64 {
        let ticks = libm::rint(units * self.per_unit as f64);
        if ticks >= LATEST as f64 { LATEST } else { ticks as u64 }
    }

    /// Sub-ticks as units: exact up to 2^53, as whole numbers where they are whole.
    pub(crate) fn units(self, ticks: u64) -> f64 {
        // The whole part apart, so that long times keep their fractions.
        (ticks / self.per_unit) as f64 + (ticks % self.per_unit) as f64 / self.per_unit as f64
    }

    /// A sum of many times as units.
    pub(crate) fn units_wide(self, ticks: u128) -> f64 {
        let per_unit = u128::from(self.per_unit);
        (ticks / per_unit) as f64 + (ticks % per_unit) as f64 / self.per_unit as f64
    }
}

/// How many digits after the point the shortest way to write the number has; at most 9.
fn decimals(number: f64) -> u32 {
    if !number.is_finite() || number.fract().abs() < f64::EPSILON {
        return 0;
    }
    let text = format!("{number}");
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u32);
    // 16 digits are the nearest to something like a third: nothing to be exact about.
    if digits > 9 { 0 } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_fractions_are_exact() {
        for number in [7.5, 0.1, 0.05, 1.4, 1.000_000_001, 3.0] {
            let scale = TimeScale::new(TimeUnit::Tick, [number], false);
            let ticks = scale.ticks(number);
            let back = scale.units(ticks);
            assert!((back - number).abs() < 1e-15, "{number} came back as {back}");
            assert_eq!(scale.ticks(number * 1000.0), ticks * 1000, "{number}");
        }
    }

    #[test]
    fn each_unit_is_as_fine_as_promised() {
        assert_eq!(TimeScale::new(TimeUnit::ServiceMean, [], true).per_unit(), 1 << 32);
        assert_eq!(TimeScale::new(TimeUnit::Ns, [5.0], false).per_unit(), 1);
        assert!(TimeScale::new(TimeUnit::Tick, [0.001], false).per_unit() >= 1 << 20);
    }

    #[test]
    fn long_times_make_sub_ticks_coarser() {
        let scale = TimeScale::new(TimeUnit::Ms, [1e15, 0.5], false);
        assert_eq!(scale.ticks(1e15), scale.per_unit() * 1_000_000_000_000_000);
        assert_eq!(scale.ticks(0.5) * 2, scale.per_unit());
    }

    #[test]
    fn what_is_too_large_or_negative_is_cut() {
        let scale = TimeScale::new(TimeUnit::Ns, [], false);
        assert_eq!(scale.ticks(1e300), LATEST);
        assert_eq!(scale.ticks(-1.0), 0);
    }
}
