//! One sample, or differences of pairs: where its middle lies, how sure that is, and whether it is some given value.
//!
//! All of it rests on the signed-rank statistic T: rank the absolute differences from a supposed middle and sum the
//! ranks of the positive ones (Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945). If
//! the distribution is symmetric about that middle, every pattern of signs is equally likely, whatever its shape.
//!
//! Differences of pairs whose sides are interchangeable (the same program twice, in random order) are symmetric about
//! 0, so comparisons of a thing with itself keep the level exactly. Where two programs differ and the differences are
//! skewed, what is estimated is the pseudomedian (the median of the mean of two draws), which lies between median and
//! mean, and the level holds approximately.

use super::normal::upper_tail;
use super::null::{Null, normal_critical};
use super::order::{median_in_place, symmetric_pair};
use super::ranks::rank;
use super::{Interval, all_finite, tail_of};

/// Intervals count T's distribution up to this many values and approximate it beyond, where the error of the
/// approximation is far below a rank. 64 is also where the counts outgrow a 64-bit number.
const INTERVAL_EXACT_UP_TO: usize = 64;

/// P-values count up to this many values, as `SciPy` does.
const P_VALUE_EXACT_UP_TO: usize = 50;

/// With fewer values there is no 95 % interval at all, and a wider level would suggest knowledge that isn't there.
const FEWEST: usize = 6;

/// Which departures from the supposed value count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alternative {
    /// Both.
    TwoSided,
    /// The truth is less.
    Less,
    /// The truth is greater.
    Greater,
}

/// The middle of a symmetric distribution: the median of all Walsh averages `(x_i + x_j) / 2`, `i <= j` (Hodges &
/// Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics 34, 1963). In the unit of
/// the data. Nearly as precise as the mean on normal data (asymptotic efficiency 3/pi), and up to 29 % of wild values
/// cannot carry it away.
///
/// `None` when the sample is empty or holds a number that is not finite. Takes memory for n(n+1)/2 numbers.
///
/// ```
/// // The averages are 1, 1.5, 2, 5.5, 6 and 10.
/// assert_eq!(bench_harness::stats::signed_rank::hodges_lehmann(&[1.0, 2.0, 10.0]), Some(3.75));
/// ```
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    if !all_finite(values) {
        return None;
    }
    median_in_place(&mut walsh_averages(values))
}

/// All middles that the two-sided signed-rank test does not reject at level `1 - confidence`: with critical value t,
/// the largest with P(T <= t) <= (1 - confidence) / 2, it reaches from the (t+1)-th smallest Walsh average to the
/// (t+1)-th largest (Tukey 1949; Hollander, Wolfe & Chicken, "Nonparametric Statistical Methods", 3rd ed., 3.3). In
/// the unit of the data.
///
/// T's distribution is counted exactly up to 64 values; beyond, it is the normal approximation with continuity
/// correction. For symmetric distributions without ties the coverage is at least `confidence` (T comes in whole
/// steps, so it is usually a little more); ties make it more, never less.
///
/// `None` with fewer than 6 values, when the values are too few for the level (2^-n > (1 - confidence) / 2), when one
/// is not finite, or when the level is not in (0, 1). Takes memory for n(n+1)/2 numbers.
///
/// ```
/// use bench_harness::stats::signed_rank::interval;
///
/// let ratios = [1.0, 1.2, 1.1, 0.9, 1.3, 1.15, 1.05];
/// assert!(interval(&ratios, 0.95).unwrap().contains(1.1));
/// // Seven values cannot carry 99 %: even the most extreme pattern of signs has probability 2/128.
/// assert_eq!(interval(&ratios, 0.99), None);
/// ```
pub fn interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let tail = tail_of(confidence)?;
    if values.len() < FEWEST || !all_finite(values) {
        return None;
    }
    let rank = if values.len() <= INTERVAL_EXACT_UP_TO {
        exact_null(values.len()).critical(tail)?
    } else {
        let (mean, variance) = moments(values.len() as f64);
        normal_critical(mean, variance.sqrt(), tail)?
    };
    let (low, high) = symmetric_pair(&mut walsh_averages(values), rank)?;
    Some(Interval { low, high, confidence })
}

/// The probability of a T at least as extreme as this sample's, if the distribution is symmetric about `center`.
/// [`Alternative::Greater`] asks whether the middle lies above `center`.
///
/// The same as `scipy.stats.wilcoxon(values - center, alternative=...)`: exact (`method="exact"`) up to 50 values
/// where no two differences are tied and none is 0; otherwise the normal approximation (`method="asymptotic"`) with
/// zeros left out (Wilcoxon's way), the variance corrected for ties and no continuity correction.
///
/// `None` when the sample is empty or every difference is 0, or when a number is not finite.
///
/// ```
/// use bench_harness::stats::{Alternative, signed_rank::p_value};
///
/// // All five lie above 0: one pattern of 32.
/// assert_eq!(p_value(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.0, Alternative::Greater), Some(1.0 / 32.0));
/// ```
pub fn p_value(values: &[f64], center: f64, alternative: Alternative) -> Option<f64> {
    let differences: Vec<f64> =
        values.iter().map(|value| value - center).filter(|&difference| difference != 0.0).collect();
    if differences.is_empty() || !all_finite(&differences) {
        return None;
    }
    let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let ranked = rank(&sizes);
    let statistic: f64 =
        differences.iter().zip(&ranked.ranks).filter(|(difference, _)| **difference > 0.0).map(|(_, rank)| rank).sum();
    let untied = ranked.ties == 0.0 && differences.len() == values.len();
    let (less, greater) = if untied && values.len() <= P_VALUE_EXACT_UP_TO {
        let null = exact_null(values.len());
        // Without ties the ranks are whole, and so is their sum.
        (null.at_most(statistic as usize), null.at_least(statistic as usize))
    } else {
        let (mean, variance) = moments(differences.len() as f64);
        let z = (statistic - mean) / (variance - ranked.ties / 48.0).sqrt();
        (upper_tail(-z), upper_tail(z))
    };
    Some(match alternative {
        Alternative::Less => less,
        Alternative::Greater => greater,
        Alternative::TwoSided => (2.0 * less.min(greater)).min(1.0),
    })
}

fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let mut averages = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (index, &left) in values.iter().enumerate() {
        // midpoint() and not a sum halved: the sum of two huge values overflows.
        averages.extend(values[index..].iter().map(|&right| f64::midpoint(left, right)));
    }
    averages
}

/// Mean and variance of T without ties (Wilcoxon 1945).
fn moments(n: f64) -> (f64, f64) {
    let pairs = n * (n + 1.0);
    (pairs / 4.0, pairs * (2.0 * n + 1.0) / 24.0)
}

/// T's distribution for up to 64 values: how many of the 2^n subsets of the ranks 1..=n have a given sum, by adding one
/// rank after the other.
fn exact_null(n: usize) -> Null {
    assert!(n <= INTERVAL_EXACT_UP_TO, "the counts of larger samples do not fit");
    let top = n * (n + 1) / 2;
    let half = top / 2;
    let mut counts = vec![0_u64; half + 1];
    let mut next = counts.clone();
    counts[0] = 1;
    for rank in 1..=n {
        // From one array into the other and not in place: so the loop is free of dependencies and runs in vectors.
        let reach = half.min(rank * (rank + 1) / 2);
        let old = rank.min(reach + 1);
        next[..old].copy_from_slice(&counts[..old]);
        for ((sum, &without), &with) in next[old..=reach].iter_mut().zip(&counts[old..=reach]).zip(&counts) {
            *sum = without + with;
        }
        std::mem::swap(&mut counts, &mut next);
    }
    let counts: Vec<u128> = counts.into_iter().map(u128::from).collect();
    Null::of_counts(&counts, top, (1_u128 << n) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_agrees_with_looking_at_every_pattern() {
        for n in 1..=12 {
            let mut patterns = vec![0_u32; n * (n + 1) / 2 + 1];
            for signs in 0..1_u32 << n {
                patterns[(1..=n).filter(|rank| signs >> (rank - 1) & 1 == 1).sum::<usize>()] += 1;
            }
            let null = exact_null(n);
            let mut sum = 0;
            for (value, count) in patterns.iter().enumerate() {
                sum += count;
                let expected = f64::from(sum) / f64::from(1 << n);
                assert!((null.at_most(value) - expected).abs() < 1e-15, "n = {n}, value = {value}");
            }
        }
    }

    #[test]
    fn critical_values_are_those_of_the_printed_table() {
        // Wilcoxon & Wilcox 1964, two-sided 5 %: T is significant at or below.
        for (n, expected) in [(6, 0), (7, 2), (8, 3), (10, 8), (15, 25), (20, 52), (25, 89), (30, 137)] {
            assert_eq!(exact_null(n).critical(0.025), Some(expected), "n = {n}");
        }
    }

    #[test]
    fn the_approximation_continues_the_count() {
        let (mean, variance) = moments(64.0);
        for confidence in [0.9, 0.95, 1.0 - 0.05 / 3.0, 0.99] {
            let tail = tail_of(confidence).unwrap();
            let exact = exact_null(64).critical(tail).unwrap();
            let approximate = normal_critical(mean, variance.sqrt(), tail).unwrap();
            assert!(exact.abs_diff(approximate) <= 3, "{confidence}: {exact} and {approximate}");
        }
    }

    #[test]
    fn too_few_values_get_no_interval() {
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.5), None);
        let six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        // 2 * 2^-6 = 3.125 %
        assert_eq!(interval(&six, 1.0 - 0.03125), Some(Interval { low: 1.0, high: 6.0, confidence: 0.96875 }));
        assert_eq!(interval(&six, 0.97), None);
    }

    #[test]
    fn nonsense_gets_no_answer() {
        let six = [1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN];
        assert_eq!(interval(&six, 0.9), None);
        assert_eq!(hodges_lehmann(&six), None);
        assert_eq!(hodges_lehmann(&[]), None);
        assert_eq!(p_value(&six, 0.0, Alternative::TwoSided), None);
        assert_eq!(p_value(&[1.0], f64::NAN, Alternative::TwoSided), None);
        assert_eq!(p_value(&[3.0, 3.0], 3.0, Alternative::TwoSided), None);
        for confidence in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], confidence), None);
        }
    }

    #[test]
    fn one_wild_round_moves_the_estimate_little() {
        let calm = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99];
        let mut wild = calm;
        wild[0] = 1_000.0;
        assert!((hodges_lehmann(&calm).unwrap() - hodges_lehmann(&wild).unwrap()).abs() < 0.02);
    }
}
