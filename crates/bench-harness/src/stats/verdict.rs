//! From an interval to a decision about a claim.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Interval;

/// The values for which a claim holds: all from `low` to `high`, both included, and open-ended where one is missing.
///
/// "Faster" without "by how much" is no region: two equal contenders with an interval of [1, 1] lie in both
/// `below(1)` and `above(1)`. Leave a margin: `below(0.99)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// The least value for which the claim holds; `None` when there is none.
    pub low: Option<f64>,
    /// The greatest value for which the claim holds, not less than `low`; `None` when there is none.
    pub high: Option<f64>,
}

impl Region {
    /// Everything up to `high`.
    pub fn below(high: f64) -> Self {
        Self { low: None, high: Some(high) }
    }

    /// Everything from `low`.
    pub fn above(low: f64) -> Self {
        Self { low: Some(low), high: None }
    }

    /// Everything from `low` to `high`: a claim of being equal, with its margin.
    pub fn within(low: f64, high: f64) -> Self {
        Self { low: Some(low), high: Some(high) }
    }

    /// Whether the claim holds for `value`.
    pub fn contains(&self, value: f64) -> bool {
        self.low.is_none_or(|low| low <= value) && self.high.is_none_or(|high| value <= high)
    }
}

/// What an interval says about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// All values that the data allow are in the region: confirmed.
    Inside,
    /// None is: refuted.
    Outside,
    /// Some are: not decided.
    Straddles,
}

/// Compares the interval with the region. For a region with two ends, [`Decision::Inside`] is the equivalence test by
/// an interval (Schuirmann 1987); with an interval of 95 % its error is at most 2.5 % at each end.
///
/// ```
/// use bench_harness::stats::{Decision, Interval, Region, judge};
///
/// let interval = Interval { low: 0.992, high: 1.004, confidence: 0.95 };
/// assert_eq!(judge(interval, Region::within(0.99, 1.01)), Decision::Inside);
/// assert_eq!(judge(interval, Region::below(0.99)), Decision::Outside);
/// assert_eq!(judge(interval, Region::below(1.0)), Decision::Straddles);
/// ```
pub fn judge(interval: Interval, region: Region) -> Decision {
    if region.contains(interval.low) && region.contains(interval.high) {
        Decision::Inside
    } else if region.low.is_some_and(|low| interval.high < low) || region.high.is_some_and(|high| interval.low > high) {
        Decision::Outside
    } else {
        Decision::Straddles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(low: f64, high: f64, region: Region) -> Decision {
        judge(Interval { low, high, confidence: 0.95 }, region)
    }

    #[test]
    fn the_region_owns_its_ends() {
        assert_eq!(decide(0.0, 1.0, Region::within(0.0, 1.0)), Decision::Inside);
        assert_eq!(decide(0.0, 0.0, Region::within(0.0, 0.0)), Decision::Inside);
        assert_eq!(decide(1.0, 2.0, Region::below(1.0)), Decision::Straddles);
        assert_eq!(decide(1.1, 2.0, Region::below(1.0)), Decision::Outside);
    }

    #[test]
    fn an_interval_that_holds_the_whole_region_decides_nothing() {
        assert_eq!(decide(0.0, 3.0, Region::within(1.0, 2.0)), Decision::Straddles);
    }

    #[test]
    fn without_ends_every_claim_holds() {
        assert_eq!(decide(-1.0, 1.0, Region { low: None, high: None }), Decision::Inside);
    }

    #[test]
    fn an_interval_that_is_not_one_confirms_and_refutes_nothing() {
        assert_eq!(decide(f64::NAN, f64::NAN, Region::above(0.0)), Decision::Straddles);
    }
}
