//! Two independent samples: how far one lies from the other, how sure that is, and whether they differ.
//!
//! All of it rests on U: how many of the pairs (a, b) have the `a` above the `b`, ties counting half (Mann & Whitney,
//! "On a test of whether one of two random variables is stochastically larger than the other", Annals of Mathematical
//! Statistics 18, 1947). Prefer [`signed_rank`](super::signed_rank) wherever the rounds come in pairs: pairs cancel
//! the machine's drift, and two samples keep it.

use super::normal::upper_tail;
use super::null::{Null, normal_critical};
use super::order::{median_in_place, symmetric_pair};
use super::ranks::rank;
use super::{Alternative, Interval, all_finite, tail_of};

/// U's distribution is counted up to this many values in each sample; C(128, 64) cases just fit 128 bits.
const EXACT_UP_TO: usize = 64;

/// How much further `b` lies than `a`: the median of all differences `b_j - a_i` (Hodges & Lehmann 1963). In the unit
/// of the data.
///
/// `None` when a sample is empty or holds a number that is not finite. Takes memory for one number per pair.
///
/// ```
/// assert_eq!(bench_harness::stats::rank_sum::shift(&[1.0, 2.0], &[11.0, 12.0]), Some(10.0));
/// ```
pub fn shift(a: &[f64], b: &[f64]) -> Option<f64> {
    if !all_finite(a) || !all_finite(b) {
        return None;
    }
    median_in_place(&mut differences(a, b))
}

/// All shifts of `b` against `a` that the two-sided rank-sum test does not reject at level `1 - confidence`: with
/// critical value t, the largest with P(U <= t) <= (1 - confidence) / 2, it reaches from the (t+1)-th smallest
/// difference to the (t+1)-th largest (Moses 1953; Hollander, Wolfe & Chicken, 4.3). In the unit of the data.
///
/// U's distribution is counted exactly up to 64 values a sample; beyond, it is the normal approximation with
/// continuity correction. The coverage is at least `confidence` where both samples have the same shape.
///
/// `None` when the values are too few for the level (three in each, say, for 95 %), when one is not finite, or when
/// the level is not in (0, 1).
///
/// ```
/// use bench_harness::stats::rank_sum::interval;
///
/// let interval = interval(&[1.0, 2.0, 3.0, 4.0], &[11.0, 12.5, 13.0, 14.5], 0.95).unwrap();
/// assert_eq!((interval.low, interval.high), (7.0, 13.5));
/// ```
pub fn interval(a: &[f64], b: &[f64], confidence: f64) -> Option<Interval> {
    let tail = tail_of(confidence)?;
    if a.is_empty() || b.is_empty() || !all_finite(a) || !all_finite(b) {
        return None;
    }
    let rank = if a.len().max(b.len()) <= EXACT_UP_TO {
        exact_null(a.len(), b.len()).critical(tail)?
    } else {
        let (mean, variance) = moments(a.len() as f64, b.len() as f64, 0.0);
        normal_critical(mean, variance.sqrt(), tail)?
    };
    let (low, high) = symmetric_pair(&mut differences(a, b), rank)?;
    Some(Interval { low, high, confidence })
}

/// The probability of a U at least as extreme as that of these samples, if both come from the same distribution.
/// [`Alternative::Less`] asks whether `a` lies below `b`, that is whether the [`shift`] is positive.
///
/// The same as `scipy.stats.mannwhitneyu(a, b, alternative=...)`: exact (`method="exact"`) up to 64 values a sample
/// where no two values are tied; otherwise the normal approximation (`method="asymptotic"`) with the variance
/// corrected for ties and with continuity correction. `SciPy` by itself (`method="auto"`) goes over to the
/// approximation as soon as both samples have more than 8 values.
///
/// `None` when a sample is empty or holds a number that is not finite. 1 when all values are equal.
///
/// ```
/// use bench_harness::stats::{Alternative, rank_sum::p_value};
///
/// // One order of six.
/// assert_eq!(p_value(&[1.0, 2.0], &[3.0, 4.0], Alternative::Less), Some(1.0 / 6.0));
/// ```
pub fn p_value(a: &[f64], b: &[f64], alternative: Alternative) -> Option<f64> {
    if a.is_empty() || b.is_empty() || !all_finite(a) || !all_finite(b) {
        return None;
    }
    let ranked = rank(&[a, b].concat());
    let (n, m) = (a.len() as f64, b.len() as f64);
    let above = ranked.ranks[..a.len()].iter().sum::<f64>() - n * (n + 1.0) / 2.0;
    let (less, greater) = if ranked.ties == 0.0 && a.len().max(b.len()) <= EXACT_UP_TO {
        let null = exact_null(a.len(), b.len());
        (null.at_most(above as usize), null.at_least(above as usize))
    } else {
        let (mean, variance) = moments(n, m, ranked.ties);
        // All equal: the deviation is 0, and the correction makes it -1/2 over 0, a probability of 1.
        let tail = |distance: f64| upper_tail((distance - 0.5) / variance.max(0.0).sqrt());
        (tail(mean - above), tail(above - mean))
    };
    Some(match alternative {
        Alternative::Less => less,
        Alternative::Greater => greater,
        Alternative::TwoSided => (2.0 * less.min(greater)).min(1.0),
    })
}

fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().flat_map(|left| b.iter().map(move |right| right - left)).collect()
}

/// Mean and variance of U (Mann & Whitney 1947); `ties` is the sum of t^3 - t over groups of t equal values.
fn moments(n: f64, m: f64, ties: f64) -> (f64, f64) {
    let all = n + m;
    (n * m / 2.0, n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0))))
}

/// U's distribution for up to 64 values a sample. The number of orders with U = u is the coefficient of q^u in the
/// Gaussian binomial coefficient: the product over i = 1..=n of (1 - q^(m+i)) / (1 - q^i). Each factor turns one such
/// polynomial into the next, so all counts stay below C(128, 64) < 2^128; what passes through in between may wrap, and
/// wraps back.
fn exact_null(a: usize, b: usize) -> Null {
    let (n, m) = (a.min(b), a.max(b));
    assert!(m <= EXACT_UP_TO, "the counts of larger samples do not fit");
    let top = n * m;
    let mut counts = vec![0_u128; top / 2 + 1];
    counts[0] = 1;
    for factor in 1..=n {
        for value in (m + factor..counts.len()).rev() {
            counts[value] = counts[value].wrapping_sub(counts[value - m - factor]);
        }
        for value in factor..counts.len() {
            counts[value] = counts[value].wrapping_add(counts[value - factor]);
        }
    }
    // C(n + m, n): each quotient is a binomial coefficient itself, and whole.
    let cases = (1..=n as u128).fold(1.0, |cases, k| cases * (m as u128 + k) as f64 / k as f64);
    Null::of_counts(&counts, top, cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_agrees_with_looking_at_every_order() {
        for (n, m) in [(1, 1), (1, 7), (3, 3), (4, 5), (5, 4), (6, 8)] {
            let mut orders = vec![0_u32; n * m + 1];
            for chosen in (0..1_u32 << (n + m)).filter(|chosen| chosen.count_ones() as usize == n) {
                let places = (0..n + m).filter(|place| chosen >> place & 1 == 1);
                // The k-th chosen place (from 0) has its number of places before it, less k, from the other sample.
                orders[places.enumerate().map(|(k, place)| place - k).sum::<usize>()] += 1;
            }
            let all: u32 = orders.iter().sum();
            let null = exact_null(n, m);
            let mut sum = 0;
            for (value, count) in orders.iter().enumerate() {
                sum += count;
                let expected = f64::from(sum) / f64::from(all);
                assert!((null.at_most(value) - expected).abs() < 1e-14, "{n} and {m}, value = {value}");
            }
        }
    }

    #[test]
    fn the_largest_count_fits() {
        let null = exact_null(64, 64);
        // Half of the cases lie below the middle, and half of the middle's own.
        let middle = null.at_most(2048) - null.at_most(2047);
        assert!((null.at_most(2047) + middle / 2.0 - 0.5).abs() < 1e-12);
    }

    #[test]
    fn too_few_values_get_no_interval() {
        let three = [1.0, 2.0, 3.0];
        // One order of C(6, 3) = 20 at each end: 90 %.
        assert_eq!(interval(&three, &three, 0.95), None);
        assert_eq!(interval(&three, &three, 0.9), Some(Interval { low: -2.0, high: 2.0, confidence: 0.9 }));
    }

    #[test]
    fn nonsense_gets_no_answer() {
        assert_eq!(shift(&[], &[1.0]), None);
        assert_eq!(shift(&[f64::NAN], &[1.0]), None);
        assert_eq!(interval(&[1.0], &[], 0.1), None);
        assert_eq!(p_value(&[], &[1.0], Alternative::Less), None);
        assert_eq!(p_value(&[f64::INFINITY], &[1.0], Alternative::Less), None);
    }

    #[test]
    fn samples_that_are_all_the_same_do_not_differ() {
        assert_eq!(p_value(&[1.0; 9], &[1.0; 9], Alternative::TwoSided), Some(1.0));
    }
}
