//! The statistics behind a comparison: estimates with intervals that stay honest with few rounds, heavy tails and
//! repeated looks, and the step from an interval to a decision.
//!
//! ```
//! use bench_harness::stats::{Decision, Region, judge, signed_rank};
//!
//! // Log ratios of the times of eight pairs: B took about 10 % longer than A.
//! let pairs = [0.11, 0.09, 0.12, 0.08, 0.10, 0.13, 0.07, 0.105];
//! let interval = signed_rank::interval(&pairs, 0.95).unwrap();
//! assert_eq!(judge(interval, Region::above(0.01)), Decision::Inside);
//! ```
//!
//! Every function is pure and takes finite numbers. None panics: an empty sample, a number that is not finite or a
//! level outside (0, 1) gives `None`, and so does a sample too small to carry the answer.
//!
//! Why ranks and not means or a bootstrap: the t interval is valid but wide on heavy tails, and the bootstrap is
//! narrower than its level says below about a hundred pairs. The signed-rank interval is exact for every symmetric
//! distribution at every sample size; `tests/calibration.rs` shows it, `tests/oracle.rs` holds the arithmetic
//! against `SciPy`.

mod interval;
pub mod multiple;
mod normal;
mod null;
mod order;
pub mod rank_sum;
mod ranks;
pub mod sequential;
pub mod signed_rank;
pub mod slope;
pub mod variance;
pub mod verdict;

pub use interval::Interval;
pub use order::{median, quantile};
pub use sequential::{Looks, rounds_needed};
pub use signed_rank::Alternative;
pub use verdict::{Decision, Region, judge};

fn all_finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// The probability that an interval of this confidence may leave out on each side; `None` unless the confidence lies
/// strictly between 0 and 1.
fn tail_of(confidence: f64) -> Option<f64> {
    (confidence > 0.0 && confidence < 1.0).then(|| (1.0 - confidence) / 2.0)
}
