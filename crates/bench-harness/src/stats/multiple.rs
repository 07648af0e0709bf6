//! Many tests at once: p-values raised so that a whole set of claims can be held against one level.

/// P-values adjusted so that those at most q, taken as findings, hold a share of at most q of false ones on average
/// (Benjamini & Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57,
/// 1995). In input order: the i-th smallest of m becomes the smallest `p_(j) * m / j` over `j >= i`.
///
/// For independent or positively dependent tests. The p-values have to lie in [0, 1].
///
/// ```
/// assert_eq!(bench_harness::stats::multiple::benjamini_hochberg(&[0.01, 0.5, 0.03]), [0.03, 0.5, 0.045]);
/// ```
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let total = p_values.len() as f64;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (index, &place) in ascending(p_values).iter().enumerate().rev() {
        // The factor first: p * m / m may round to less than p.
        smallest = smallest.min(p_values[place] * (total / (index + 1) as f64));
        adjusted[place] = smallest;
    }
    adjusted
}

/// P-values adjusted so that those at most q, taken as findings, hold any false one with probability at most q,
/// however the tests depend on each other (Holm, "A simple sequentially rejective multiple test procedure",
/// Scandinavian Journal of Statistics 6, 1979). In input order: the i-th smallest of m becomes the largest
/// `p_(j) * (m - j + 1)` over `j <= i`, and at most 1.
///
/// The p-values have to lie in [0, 1].
///
/// ```
/// assert_eq!(bench_harness::stats::multiple::holm(&[0.01, 0.5, 0.03]), [0.03, 0.5, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (index, &place) in ascending(p_values).iter().enumerate() {
        largest = largest.max(p_values[place] * (p_values.len() - index) as f64).min(1.0);
        adjusted[place] = largest;
    }
    adjusted
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_test_needs_no_adjustment_and_none_gives_none() {
        assert_eq!(benjamini_hochberg(&[0.04]), [0.04]);
        assert_eq!(holm(&[0.04]), [0.04]);
        assert!(benjamini_hochberg(&[]).is_empty() && holm(&[]).is_empty());
    }

    #[test]
    fn equal_p_values_stay_equal() {
        assert_eq!(benjamini_hochberg(&[0.02; 4]), [0.02; 4]);
        assert_eq!(holm(&[0.02; 4]), [0.08; 4]);
        assert_eq!(holm(&[0.6; 4]), [1.0; 4]);
    }

    #[test]
    fn rounding_never_lowers_a_p_value() {
        let mut p = [0.0; 19];
        p[1] = 0.880_706_428_465_884_9;
        assert!(benjamini_hochberg(&p)[1] >= p[1]);
    }
}
