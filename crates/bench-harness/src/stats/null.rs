//! The distribution of a rank statistic when nothing is going on: symmetric, on the whole numbers from 0 to its top.

use super::normal;

/// Levels and probabilities are rounded; two that differ by less than this share count as equal, so that a level that
/// a sample can just carry is not lost to the last bit.
const ROUNDING: f64 = 1e-12;

/// An exact null distribution, by counting.
pub(super) struct Null {
    /// P(statistic <= index) up to the middle; the rest follows from symmetry.
    at_most: Vec<f64>,
    top: usize,
}

impl Null {
    /// From the number of equally likely cases for each value from 0 to `top / 2`.
    pub(super) fn of_counts(counts: &[u128], top: usize, cases: f64) -> Self {
        debug_assert_eq!(counts.len(), top / 2 + 1);
        let at_most = counts.iter().scan(0_u128, |sum, &count| {
            *sum += count;
            Some(*sum as f64 / cases)
        });
        Self { at_most: at_most.collect(), top }
    }

    /// P(statistic <= `value`).
    pub(super) fn at_most(&self, value: usize) -> f64 {
        match self.at_most.get(value) {
            Some(&probability) => probability,
            None if value >= self.top => 1.0,
            None => 1.0 - self.at_most[self.top - value - 1],
        }
    }

    /// P(statistic >= `value`).
    pub(super) fn at_least(&self, value: usize) -> f64 {
        self.top.checked_sub(value).map_or(0.0, |mirrored| self.at_most(mirrored))
    }

    /// The largest value whose lower tail is at most `tail`; `None` when even that of 0 is larger.
    pub(super) fn critical(&self, tail: f64) -> Option<usize> {
        self.at_most.partition_point(|&probability| probability <= tail * (1.0 + ROUNDING)).checked_sub(1)
    }
}

/// [`Null::critical`] by the normal approximation with continuity correction: the largest whole number t with
/// `Phi((t + 1/2 - mean) / deviation) <= tail`.
pub(super) fn normal_critical(mean: f64, deviation: f64, tail: f64) -> Option<usize> {
    let critical = (mean - 0.5 - normal::upper_quantile(tail) * deviation).floor();
    (critical >= 0.0).then_some(critical as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads of four coins: 1, 4, 6, 4, 1 of 16.
    fn coins() -> Null {
        Null::of_counts(&[1, 4, 6], 4, 16.0)
    }

    #[test]
    fn tails_are_symmetric() {
        let null = coins();
        for value in 0..=4 {
            assert!((null.at_most(value) - null.at_least(4 - value)).abs() < 1e-15);
        }
        assert!((null.at_most(3) - 15.0 / 16.0).abs() < 1e-15);
        assert!((null.at_least(1) - 15.0 / 16.0).abs() < 1e-15);
        assert!((null.at_most(9) - 1.0).abs() < 1e-15 && null.at_least(5).abs() < 1e-15);
    }

    #[test]
    fn the_critical_value_never_takes_more_than_the_tail() {
        let null = coins();
        assert_eq!(null.critical(0.06), None);
        assert_eq!(null.critical(1.0 / 16.0), Some(0));
        assert_eq!(null.critical(0.3), Some(0));
        assert_eq!(null.critical(5.0 / 16.0), Some(1));
    }

    #[test]
    fn a_tail_that_misses_by_a_rounding_error_counts() {
        // 1 - 0.9 is less than 0.1 in floating point.
        let null = Null::of_counts(&[1, 1, 2, 3, 3], 9, 20.0);
        assert_eq!(null.critical((1.0 - 0.9) / 2.0), Some(0));
    }

    #[test]
    fn the_approximation_refuses_below_zero() {
        assert_eq!(normal_critical(10.0, 10.0, 0.025), None);
        assert_eq!(normal_critical(100.0, 10.0, 0.025), Some(79));
    }
}
