//! Where the variance comes from: between rounds or within them.

use super::all_finite;

/// The share of the variance that lies between rounds, from 0 (rounds are interchangeable) to 1 (each round repeats
/// one number): the intraclass correlation of the one-way random-effects model,
/// `s2_between / (s2_between + s2_within)`, by the analysis-of-variance estimator
/// `s2_within = MSW`, `s2_between = (MSB - MSW) / n0`, `n0 = (N - sum(n_i^2) / N) / (k - 1)` for k rounds of
/// `n_1..n_k` values, N in all (Searle, Casella & `McCulloch`, "Variance Components", 1992, ch. 3), cut off at 0 where
/// the rounds differ less than chance makes them.
///
/// Rounds may be of unequal size; empty ones are left out. `None` with fewer than two rounds, when no round has two
/// values, when all values are equal, or when one is not finite.
///
/// ```
/// use bench_harness::stats::variance::between_share;
///
/// let share = between_share(&[vec![1.0, 1.1], vec![5.0, 5.1], vec![9.0, 9.1]]).unwrap();
/// assert!(share > 0.99);
/// ```
pub fn between_share(rounds: &[Vec<f64>]) -> Option<f64> {
    let rounds: Vec<&[f64]> = rounds.iter().map(Vec::as_slice).filter(|round| !round.is_empty()).collect();
    let count: usize = rounds.iter().map(|round| round.len()).sum();
    if rounds.len() < 2 || count == rounds.len() || !rounds.iter().all(|round| all_finite(round)) {
        return None;
    }
    let mut all = rounds.iter().copied().flatten();
    let first = all.next()?;
    // Asked here and not of the variances: the mean of equal numbers is rounded, and the rest would pass for variance.
    #[expect(clippy::float_cmp, reason = "only what is exactly equal has no variance")]
    let constant = all.all(|value| value == first);
    if constant {
        return None;
    }
    let (k, n) = (rounds.len() as f64, count as f64);
    let grand_mean = rounds.iter().copied().flatten().sum::<f64>() / n;
    let (mut between, mut within, mut squared_sizes) = (0.0, 0.0, 0.0);
    for round in &rounds {
        let size = round.len() as f64;
        let mean = round.iter().sum::<f64>() / size;
        between += size * (mean - grand_mean).powi(2);
        within += round.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        squared_sizes += size * size;
    }
    let (between, within) = (between / (k - 1.0), within / (n - k));
    let typical_size = (n - squared_sizes / n) / (k - 1.0);
    let of_rounds = ((between - within) / typical_size).max(0.0);
    let share = of_rounds / (of_rounds + within);
    // Numbers so huge or tiny that their squares leave the range have no share.
    share.is_finite().then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;

    #[test]
    fn the_share_of_unequal_rounds_is_that_of_the_book_formula_by_hand() {
        // Means 2, 6, 4; grand mean 11/3. SSB = 3*(5/3)^2 + 2*(7/3)^2 + (1/3)^2 = 58/3; SSW = 2 + 2 = 4.
        let rounds = [vec![1.0, 2.0, 3.0], vec![5.0, 7.0], vec![4.0]];
        let (between, within, typical) = (58.0 / 3.0 / 2.0, 4.0 / 3.0, (6.0 - 14.0 / 6.0) / 2.0);
        let of_rounds = (between - within) / typical;
        let expected: f64 = of_rounds / (of_rounds + within);
        assert!((between_share(&rounds).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn rounds_that_differ_less_than_chance_share_nothing() {
        assert_eq!(between_share(&[vec![1.0, 9.0], vec![9.0, 1.0], vec![1.0, 9.0]]), Some(0.0));
    }

    #[test]
    fn rounds_that_repeat_one_number_share_all() {
        assert_eq!(between_share(&[vec![1.0, 1.0], vec![2.0, 2.0]]), Some(1.0));
    }

    #[test]
    fn the_share_put_in_comes_out() {
        let mut rng = SplitMix64::new(11);
        // Sums of uniforms: variance 4 between rounds, 1 within.
        let mut draw = |scale: f64| (0..12).map(|_| rng.unit()).sum::<f64>() * scale;
        let rounds: Vec<Vec<f64>> = (0..400)
            .map(|_| {
                let middle = draw(2.0);
                (0..5).map(|_| middle + draw(1.0)).collect()
            })
            .collect();
        let share = between_share(&rounds).unwrap();
        assert!((share - 0.8).abs() < 0.04, "{share}");
    }

    #[test]
    fn what_cannot_be_told_apart_gets_no_answer() {
        assert_eq!(between_share(&[]), None);
        assert_eq!(between_share(&[vec![1.0, 2.0]]), None);
        assert_eq!(between_share(&[vec![1.0, 2.0], vec![]]), None);
        assert_eq!(between_share(&[vec![1.0], vec![2.0]]), None);
        assert_eq!(between_share(&[vec![0.1, 0.1, 0.1], vec![0.1]]), None);
        assert_eq!(between_share(&[vec![1.0, f64::NAN], vec![2.0]]), None);
    }
}
