//! Ranks, with the mean rank for values that are tied.

/// What ranking a sample gives.
pub(super) struct Ranked {
    /// For each value, in input order: its rank from 1, or the mean of the ranks that it shares.
    pub(super) ranks: Vec<f64>,
    /// The sum of t^3 - t over groups of t equal values: by so much ties lower the variance of rank statistics.
    /// 0 when there are none.
    pub(super) ties: f64,
}

/// Ranks finite numbers.
pub(super) fn rank(values: &[f64]) -> Ranked {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&left, &right| values[left].total_cmp(&values[right]));
    let mut ranked = Ranked { ranks: vec![0.0; values.len()], ties: 0.0 };
    let mut before = 0;
    // Tied is what is exactly equal (0 and -0 are, and are neighbours in the total order).
    #[expect(clippy::float_cmp, reason = "a margin would tie values that differ")]
    let groups = order.chunk_by(|&left, &right| values[left] == values[right]);
    for group in groups {
        let size = group.len() as f64;
        for &index in group {
            ranked.ranks[index] = before as f64 + f64::midpoint(1.0, size);
        }
        before += group.len();
        ranked.ties += size * size * size - size;
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tied_values_share_the_mean_rank() {
        let ranked = rank(&[30.0, 10.0, 10.0, 20.0, 10.0]);
        assert_eq!(ranked.ranks, [5.0, 2.0, 2.0, 4.0, 2.0]);
        assert!((ranked.ties - 24.0).abs() < 1e-15);
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(rank(&[0.0, -0.0]).ranks, [1.5, 1.5]);
    }
}
