//! Order statistics: what lies at a given share of a sorted sample.

use super::all_finite;

/// The middle of the sample: the mean of the two middle values where their number is even. In the unit of the data.
///
/// `None` when the sample is empty or holds a number that is not finite.
///
/// ```
/// assert_eq!(bench_harness::stats::median(&[3.0, 1.0, 2.0, 10.0]), Some(2.5));
/// ```
pub fn median(values: &[f64]) -> Option<f64> {
    median_in_place(&mut usable(values)?)
}

/// The value below which the share `q` of the sample lies, straight between neighbours: definition 7 of Hyndman and
/// Fan ("Sample quantiles in statistical packages", The American Statistician 50, 1996), `NumPy`'s and R's default.
/// In the unit of the data.
///
/// `None` when the sample is empty or holds a number that is not finite, or when `q` is not in [0, 1].
///
/// ```
/// assert_eq!(bench_harness::stats::quantile(&[1.0, 2.0, 3.0, 4.0], 0.25), Some(1.75));
/// ```
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let mut values = usable(values)?;
    let position = q * (values.len() - 1) as f64;
    let below = position.floor();
    let (_, &mut low, above) = values.select_nth_unstable_by(below as usize, f64::total_cmp);
    // Nothing is above the largest, and there the fraction is 0.
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    let fraction = position - below;
    // Not low + fraction * (high - low): the difference of two huge numbers of opposite sign overflows.
    Some(low * (1.0 - fraction) + high * fraction)
}

/// [`median`] of numbers that are known to be finite; leaves them in another order.
pub(super) fn median_in_place(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, &mut middle, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    if odd {
        return Some(middle);
    }
    let other = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(other, middle))
}

/// The value with `rank` smaller ones before it and the one with `rank` larger ones behind it; leaves the values in
/// another order. `None` when `rank` lies beyond the middle.
pub(super) fn symmetric_pair(values: &mut [f64], rank: usize) -> Option<(f64, f64)> {
    let mirrored = values.len().checked_sub(rank + 1).filter(|&mirrored| mirrored >= rank)?;
    let (_, &mut low, rest) = values.select_nth_unstable_by(rank, f64::total_cmp);
    if mirrored == rank {
        return Some((low, low));
    }
    let (_, &mut high, _) = rest.select_nth_unstable_by(mirrored - rank - 1, f64::total_cmp);
    Some((low, high))
}

fn usable(values: &[f64]) -> Option<Vec<f64>> {
    (!values.is_empty() && all_finite(values)).then(|| values.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_middle_and_one_is_its_own() {
        assert_eq!(median(&[]), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(quantile(&[7.0], 1.0), Some(7.0));
    }

    #[test]
    fn what_is_not_a_number_gets_no_answer() {
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(quantile(&[1.0, f64::INFINITY], 0.0), None);
        assert_eq!(quantile(&[1.0], f64::NAN), None);
        assert_eq!(quantile(&[1.0], 1.1), None);
    }

    #[test]
    fn the_ends_of_the_quantile_are_the_extremes() {
        let values = [5.0, -3.0, 8.0, 1.0];
        assert_eq!((quantile(&values, 0.0), quantile(&values, 1.0)), (Some(-3.0), Some(8.0)));
    }

    #[test]
    fn huge_values_do_not_overflow() {
        assert_eq!(median(&[-f64::MAX, f64::MAX]), Some(0.0));
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
        assert!(quantile(&[-f64::MAX, f64::MAX], 0.75).unwrap().is_finite());
    }

    #[test]
    fn a_symmetric_pair_counts_from_both_ends() {
        let sorted = |rank| symmetric_pair(&mut [4.0, 2.0, 5.0, 1.0, 3.0], rank);
        assert_eq!(sorted(0), Some((1.0, 5.0)));
        assert_eq!(sorted(1), Some((2.0, 4.0)));
        assert_eq!(sorted(2), Some((3.0, 3.0)));
        assert_eq!(sorted(3), None);
        assert_eq!(sorted(9), None);
    }
}
