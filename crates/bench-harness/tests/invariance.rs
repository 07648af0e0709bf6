//! What a change of units, of origin, of sign or of order may do to an answer: exactly what it does to the data.
//!
//! All numbers are multiples of 1/1024 below 2^20, so that sums, differences and halves are exact and so is equality.

use bench_harness::rng::SplitMix64;
use bench_harness::stats::{
    Alternative, Interval, median, multiple, quantile, rank_sum, rounds_needed, signed_rank, variance,
};
use proptest::prelude::*;

fn grid() -> impl Strategy<Value = f64> {
    (-(1_i32 << 20)..1 << 20).prop_map(|steps| f64::from(steps) / 1024.0)
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    // Small numbers give ties and zeros.
    let tied = (-4_i32..8).prop_map(f64::from);
    prop_oneof![prop::collection::vec(grid(), 6..40), prop::collection::vec(tied, 6..40)]
}

fn power_of_two() -> impl Strategy<Value = f64> {
    (-20_i32..20).prop_map(|exponent| 2_f64.powi(exponent))
}

fn map(values: &[f64], change: impl Fn(f64) -> f64) -> Vec<f64> {
    values.iter().copied().map(change).collect()
}

fn ends(interval: Option<Interval>) -> Option<(f64, f64)> {
    interval.map(|interval| (interval.low, interval.high))
}

proptest! {
    // What a failure found becomes a test by its name, not a line in a file.
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn another_origin_or_unit_changes_the_answer_like_the_data(x in sample(), by in grid(), unit in power_of_two()) {
        let change = |value: f64| (value + by) * unit;
        let moved = map(&x, change);
        prop_assert_eq!(median(&moved), median(&x).map(change));
        prop_assert_eq!(signed_rank::hodges_lehmann(&moved), signed_rank::hodges_lehmann(&x).map(change));
        prop_assert_eq!(
            ends(signed_rank::interval(&moved, 0.95)),
            ends(signed_rank::interval(&x, 0.95)).map(|(low, high)| (change(low), change(high)))
        );
        prop_assert_eq!(
            signed_rank::p_value(&moved, change(1.0), Alternative::Less),
            signed_rank::p_value(&x, 1.0, Alternative::Less)
        );
    }

    #[test]
    fn the_other_sign_mirrors_the_answer(x in sample()) {
        let mirrored = map(&x, |value| 0.0 - value);
        prop_assert_eq!(signed_rank::hodges_lehmann(&mirrored), signed_rank::hodges_lehmann(&x).map(|value| 0.0 - value));
        prop_assert_eq!(
            ends(signed_rank::interval(&mirrored, 0.9)),
            ends(signed_rank::interval(&x, 0.9)).map(|(low, high)| (0.0 - high, 0.0 - low))
        );
        prop_assert_eq!(
            signed_rank::p_value(&mirrored, 0.0, Alternative::Greater),
            signed_rank::p_value(&x, 0.0, Alternative::Less)
        );
    }

    #[test]
    fn order_does_not_matter(x in sample(), y in sample(), seed: u64, q in 0.0..1.0) {
        let mut rng = SplitMix64::new(seed);
        let (mut p, mut r) = (x.clone(), y.clone());
        rng.shuffle(&mut p);
        rng.shuffle(&mut r);
        prop_assert_eq!(quantile(&p, q), quantile(&x, q));
        prop_assert_eq!(signed_rank::hodges_lehmann(&p), signed_rank::hodges_lehmann(&x));
        prop_assert_eq!(signed_rank::interval(&p, 0.95), signed_rank::interval(&x, 0.95));
        prop_assert_eq!(
            signed_rank::p_value(&p, 0.5, Alternative::TwoSided),
            signed_rank::p_value(&x, 0.5, Alternative::TwoSided)
        );
        prop_assert_eq!(rank_sum::shift(&p, &r), rank_sum::shift(&x, &y));
        prop_assert_eq!(rank_sum::interval(&p, &r, 0.95), rank_sum::interval(&x, &y, 0.95));
        prop_assert_eq!(
            rank_sum::p_value(&p, &r, Alternative::Less),
            rank_sum::p_value(&x, &y, Alternative::Less)
        );
    }

    #[test]
    fn an_interval_holds_its_estimate_and_those_of_lower_levels(x in sample(), y in sample()) {
        let estimate = signed_rank::hodges_lehmann(&x).unwrap();
        let shift = rank_sum::shift(&x, &y).unwrap();
        let mut inner = [(estimate, estimate), (shift, shift)];
        for confidence in [0.5, 0.9, 0.95, 0.99, 0.999] {
            let both = [signed_rank::interval(&x, confidence), rank_sum::interval(&x, &y, confidence)];
            for (outer, inner) in both.into_iter().zip(&mut inner) {
                let Some(outer) = outer else { continue };
                prop_assert!(outer.contains(inner.0) && outer.contains(inner.1));
                *inner = (outer.low, outer.high);
            }
        }
    }

    #[test]
    fn an_interval_holds_just_the_centers_that_the_test_accepts(x in prop::collection::vec(grid(), 6..40), center in grid()) {
        // No ties, or the test would not be the exact one.
        let sizes = map(&x, |value| (value - center).abs());
        let distinct: std::collections::BTreeSet<_> = sizes.iter().map(|size| size.to_bits()).collect();
        prop_assume!(distinct.len() == x.len() && !sizes.contains(&0.0));
        let p = signed_rank::p_value(&x, center, Alternative::TwoSided).unwrap();
        if let Some(interval) = signed_rank::interval(&x, 0.95) {
            prop_assert_eq!(interval.contains(center), p > 1.0 - 0.95);
        }
    }

    #[test]
    fn exchanging_the_samples_turns_the_shift_round(x in sample(), y in sample()) {
        prop_assert_eq!(rank_sum::shift(&y, &x), rank_sum::shift(&x, &y).map(|shift| 0.0 - shift));
        prop_assert_eq!(
            ends(rank_sum::interval(&y, &x, 0.95)),
            ends(rank_sum::interval(&x, &y, 0.95)).map(|(low, high)| (0.0 - high, 0.0 - low))
        );
    }

    #[test]
    fn a_change_of_both_samples_leaves_their_shift(x in sample(), y in sample(), by in grid(), unit in power_of_two()) {
        let change = |value: f64| (value + by) * unit;
        prop_assert_eq!(
            rank_sum::shift(&map(&x, change), &map(&y, change)),
            rank_sum::shift(&x, &y).map(|shift| shift * unit)
        );
    }

    #[test]
    fn adjusting_raises_every_p_value_and_keeps_their_order(p in prop::collection::vec(0.0..=1.0, 0..30)) {
        for adjusted in [multiple::benjamini_hochberg(&p), multiple::holm(&p)] {
            prop_assert_eq!(adjusted.len(), p.len());
            for (i, (&raw, &raised)) in p.iter().zip(&adjusted).enumerate() {
                prop_assert!(raw <= raised && raised <= 1.0);
                for (&other, &other_raised) in p.iter().zip(&adjusted).skip(i) {
                    prop_assert!((raw <= other && raised <= other_raised) || (raw >= other && raised >= other_raised));
                }
            }
        }
        for (false_discovery, family) in multiple::benjamini_hochberg(&p).iter().zip(multiple::holm(&p)) {
            prop_assert!(*false_discovery <= family);
        }
    }

    #[test]
    fn a_share_is_a_share_whatever_the_unit(rounds in prop::collection::vec(sample(), 2..6), unit in power_of_two()) {
        let share = variance::between_share(&rounds);
        let scaled: Vec<_> = rounds.iter().map(|round| map(round, |value| value * unit)).collect();
        prop_assert_eq!(variance::between_share(&scaled), share);
        prop_assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)));
    }

    #[test]
    fn after_the_rounds_needed_the_bound_is_outside(
        rounds in 1_u32..1_000, low in 0.01..5.0_f64, high in 0.01..5.0_f64, bound in -5.0..5.0_f64
    ) {
        let interval = Interval { low: -low, high, confidence: 0.95 };
        let Some(more) = rounds_needed(rounds, 0.0, interval, &[bound]) else { return Ok(()) };
        let shrink = (f64::from(rounds) / f64::from(rounds + more)).sqrt() * (1.0 - 1e-12);
        let later = Interval { low: -low * shrink, high: high * shrink, confidence: 0.95 };
        prop_assert!(!later.contains(bound));
        if more > 1 {
            let shrink = (f64::from(rounds) / f64::from(rounds + more - 1)).sqrt() * (1.0 + 1e-12);
            let earlier = Interval { low: -low * shrink, high: high * shrink, confidence: 0.95 };
            prop_assert!(earlier.contains(bound));
        }
    }
}
