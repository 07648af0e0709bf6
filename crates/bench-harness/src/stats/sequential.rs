//! Looking several times while the rounds come in, without being wrong more often for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Interval;

/// When to look, and how often all looks together may be wrong.
///
/// Who looks at a 95 % interval after 8, 16 and 32 rounds and stops at the first that decides is wrong in about 10 %
/// of the cases and not 5 % (`tests/calibration.rs`). Here every look gets an equal part of the error (Bonferroni's
/// inequality), so that the chance of *any* of the intervals missing the truth is at most `error`, whenever and for
/// whatever reason one stops. Group sequential boundaries (Pocock 1977) would give slightly narrower intervals, but
/// rest on normal increments; this rests on each interval's own level alone.
///
/// ```
/// use bench_harness::stats::Looks;
///
/// let looks = Looks::default();
/// assert_eq!(looks.next_after(0), Some(8));
/// assert_eq!(looks.next_after(8), Some(16));
/// assert_eq!(looks.next_after(32), None);
/// assert_eq!(looks.confidence(), 1.0 - 0.05 / 3.0);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Looks {
    /// After how many rounds to look, rising.
    pub rounds: Vec<u32>,
    /// The probability that any look's interval misses the truth, at most; in (0, 1).
    pub error: f64,
}

impl Default for Looks {
    /// After 8, 16 and 32 rounds, wrong at most once in 20.
    fn default() -> Self {
        Self { rounds: vec![8, 16, 32], error: 0.05 }
    }
}

impl Looks {
    /// The confidence each look's interval has to have: `1 - error / looks`.
    pub fn confidence(&self) -> f64 {
        1.0 - self.error / self.rounds.len().max(1) as f64
    }

    /// The next look when `rounds` are done; `None` when that was the last.
    pub fn next_after(&self, rounds: u32) -> Option<u32> {
        self.rounds.iter().copied().filter(|&look| look > rounds).min()
    }
}

/// About how many more rounds, after `rounds`, until the interval excludes those of the `bounds` that now lie in it.
///
/// Supposes that the estimate stays and that its distances to both ends shrink with 1/sqrt(rounds), as they do for
/// independent rounds: a bound at distance d inside an arm of length h is passed after `rounds * (h / d)^2`. An
/// extrapolation for the reader ("needs about 40 more"), not part of the error control; as the estimate itself may
/// be off by the interval's width, so may this be, by a multiple.
///
/// `Some(0)` when no bound lies in the interval. `None` when the estimate sits on one (no number of rounds
/// decides that), when the estimate is not in the interval, when there are no rounds to extrapolate from, or when
/// the number is beyond all use (does not fit the type).
///
/// ```
/// use bench_harness::stats::{Interval, rounds_needed};
///
/// // The bound lies half way between estimate and end: the interval has to become half as wide.
/// let interval = Interval { low: 0.96, high: 1.04, confidence: 0.95 };
/// assert_eq!(rounds_needed(8, 1.0, interval, &[1.02]), Some(24));
/// ```
pub fn rounds_needed(rounds: u32, estimate: f64, interval: Interval, bounds: &[f64]) -> Option<u32> {
    if rounds == 0 || !interval.contains(estimate) {
        return None;
    }
    let inside = bounds.iter().filter(|&&bound| interval.contains(bound));
    let totals = inside.map(|&bound| {
        let (arm, distance) = if bound < estimate {
            (estimate - interval.low, estimate - bound)
        } else {
            (interval.high - estimate, bound - estimate)
        };
        // A distance of 0 makes this infinite, or NaN where the arm is 0 too.
        f64::from(rounds) * (arm / distance).powi(2)
    });
    let mut needed = 0;
    for total in totals {
        if total.is_nan() || total > f64::from(u32::MAX) {
            return None;
        }
        // Where the end touches the bound already, one more has to do.
        let more = (total - f64::from(rounds)).ceil().max(1.0);
        needed = needed.max(more as u32);
    }
    Some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Interval = Interval { low: 0.9, high: 1.2, confidence: 0.95 };

    #[test]
    fn the_parts_of_the_error_add_up_to_it() {
        for looks in 1..=10 {
            let plan = Looks { rounds: (1..=looks).map(|look| look * 8).collect(), error: 0.05 };
            assert!((f64::from(looks) * (1.0 - plan.confidence()) - 0.05).abs() < 1e-12);
        }
    }

    #[test]
    fn looks_in_any_order_are_taken_in_theirs() {
        let looks = Looks { rounds: vec![40, 10, 20], error: 0.1 };
        assert_eq!([0, 10, 15, 39, 40].map(|n| looks.next_after(n)), [Some(10), Some(20), Some(20), Some(40), None]);
        assert_eq!(Looks { rounds: vec![], error: 0.1 }.next_after(0), None);
    }

    #[test]
    fn the_bound_that_takes_longest_decides() {
        // Arms of 0.1 below and 0.2 above: 4 times and 16 times as many.
        assert_eq!(rounds_needed(10, 1.0, INTERVAL, &[0.95]), Some(30));
        assert_eq!(rounds_needed(10, 1.0, INTERVAL, &[0.95, 1.05, 7.0]), Some(150));
    }

    #[test]
    fn nothing_to_exclude_needs_nothing() {
        assert_eq!(rounds_needed(10, 1.0, INTERVAL, &[]), Some(0));
        assert_eq!(rounds_needed(10, 1.0, INTERVAL, &[0.8, 1.3]), Some(0));
    }

    #[test]
    fn an_end_on_the_bound_needs_one_more() {
        assert_eq!(rounds_needed(10, 1.0, INTERVAL, &[1.2]), Some(1));
    }

    #[test]
    fn what_no_number_of_rounds_decides_gets_none() {
        assert_eq!(rounds_needed(10, 1.0, INTERVAL, &[1.0]), None);
        assert_eq!(rounds_needed(10, 1.0, INTERVAL, &[1.0 + 1e-9]), None);
        assert_eq!(rounds_needed(10, 2.0, INTERVAL, &[1.0]), None);
        assert_eq!(rounds_needed(0, 1.0, INTERVAL, &[1.1]), None);
        let point = Interval { low: 1.0, high: 1.0, confidence: 0.95 };
        assert_eq!(rounds_needed(10, 1.0, point, &[1.0]), None);
    }
}
