//! The statistics against `SciPy`, statsmodels and `NumPy`: frozen vectors, written by `oracle/generate.py`.

use std::collections::BTreeSet;

use bench_harness::stats::{Alternative, Interval, median, multiple, quantile, rank_sum, signed_rank, slope, variance};
use serde::Deserialize;

/// Relative. What is left after it is the last digits of sums taken in another order.
const TOLERANCE: f64 = 1e-9;

const ALTERNATIVES: [Alternative; 3] = [Alternative::TwoSided, Alternative::Less, Alternative::Greater];

#[derive(Deserialize)]
struct Vectors {
    alternatives: Vec<String>,
    signed_rank: Vec<OneSample>,
    rank_sum: Vec<TwoSamples>,
    quantile: Vec<Quantiles>,
    multiple: Vec<Adjusted>,
    variance: Vec<Share>,
    slope: Vec<Slope>,
}

#[derive(Deserialize)]
struct OneSample {
    name: String,
    values: Vec<f64>,
    hodges_lehmann: f64,
    tests: Vec<Test>,
    intervals: Vec<Ends>,
}

#[derive(Deserialize)]
struct Test {
    center: f64,
    /// One for each of the alternatives.
    p: [Option<f64>; 3],
}

#[derive(Deserialize)]
struct Ends {
    confidence: f64,
    ends: Option<(f64, f64)>,
}

#[derive(Deserialize)]
struct TwoSamples {
    name: String,
    a: Vec<f64>,
    b: Vec<f64>,
    shift: f64,
    p: [Option<f64>; 3],
    intervals: Vec<Ends>,
}

#[derive(Deserialize)]
struct Quantiles {
    values: Vec<f64>,
    shares: Vec<f64>,
    theirs: Vec<f64>,
    median: f64,
}

#[derive(Deserialize)]
struct Adjusted {
    p: Vec<f64>,
    benjamini_hochberg: Vec<f64>,
    holm: Vec<f64>,
}

#[derive(Deserialize)]
struct Share {
    rounds: Vec<Vec<f64>>,
    share: f64,
}

#[derive(Deserialize)]
struct Slope {
    points: Vec<(f64, f64)>,
    slope: f64,
}

fn vectors() -> Vectors {
    let vectors: Vectors = serde_json::from_str(include_str!("oracle/vectors.json")).unwrap();
    assert_eq!(vectors.alternatives, ["two-sided", "less", "greater"]);
    vectors
}

#[track_caller]
fn close(ours: Option<f64>, theirs: Option<f64>, what: &str) {
    match (ours, theirs) {
        (None, None) => {}
        (Some(ours), Some(theirs)) => {
            let error = (ours - theirs).abs();
            assert!(error <= TOLERANCE * theirs.abs(), "{what}: {ours:e} here, {theirs:e} there");
        }
        _ => panic!("{what}: {ours:?} here, {theirs:?} there"),
    }
}

#[track_caller]
fn same_ends(ours: Option<Interval>, theirs: &Ends, what: &str) {
    let what = format!("{what} at {}", theirs.confidence);
    close(ours.map(|ours| ours.low), theirs.ends.map(|ends| ends.0), &what);
    close(ours.map(|ours| ours.high), theirs.ends.map(|ends| ends.1), &what);
    assert!(ours.is_none_or(|ours| ours.confidence.to_bits() == theirs.confidence.to_bits()), "{what}");
}

#[test]
fn estimates_of_one_sample_are_numpys() {
    for case in vectors().signed_rank {
        close(signed_rank::hodges_lehmann(&case.values), Some(case.hodges_lehmann), &case.name);
    }
}

#[test]
fn signed_rank_p_values_are_scipys() {
    for case in vectors().signed_rank {
        for test in case.tests {
            for (alternative, theirs) in ALTERNATIVES.into_iter().zip(test.p) {
                let ours = signed_rank::p_value(&case.values, test.center, alternative);
                close(ours, theirs, &format!("{} about {}, {alternative:?}", case.name, test.center));
            }
        }
    }
}

#[test]
fn signed_rank_intervals_end_where_scipys_test_rejects() {
    let (mut given, mut refused, mut sizes) = (0, 0, BTreeSet::new());
    for case in vectors().signed_rank {
        for theirs in case.intervals {
            let ours = signed_rank::interval(&case.values, theirs.confidence);
            same_ends(ours, &theirs, &case.name);
            given += usize::from(ours.is_some());
            refused += usize::from(ours.is_none());
            sizes.insert(case.values.len());
        }
    }
    // The vectors hold what they are meant to.
    assert!(given > 150 && refused > 10, "{given} intervals, {refused} refusals");
    assert!([6, 8, 16, 32, 64, 65, 90].iter().all(|size| sizes.contains(size)), "{sizes:?}");
}

#[test]
fn rank_sum_estimates_p_values_and_intervals_are_scipys() {
    for case in vectors().rank_sum {
        close(rank_sum::shift(&case.a, &case.b), Some(case.shift), &case.name);
        for (alternative, theirs) in ALTERNATIVES.into_iter().zip(case.p) {
            let ours = rank_sum::p_value(&case.a, &case.b, alternative);
            close(ours, theirs, &format!("{}, {alternative:?}", case.name));
        }
        for theirs in case.intervals {
            same_ends(rank_sum::interval(&case.a, &case.b, theirs.confidence), &theirs, &case.name);
        }
    }
}

#[test]
fn quantiles_are_numpys() {
    for case in vectors().quantile {
        close(median(&case.values), Some(case.median), "median");
        for (share, theirs) in case.shares.into_iter().zip(case.theirs) {
            // Between two neighbours of opposite sign what is left may be small against both: so against the extremes.
            let scale = case.values.iter().fold(0.0_f64, |scale, value| scale.max(value.abs()));
            let ours = quantile(&case.values, share).unwrap();
            assert!((ours - theirs).abs() <= TOLERANCE * scale, "{share}: {ours:e} here, {theirs:e} there");
        }
    }
}

#[test]
fn adjusted_p_values_are_scipys_and_statsmodels() {
    for case in vectors().multiple {
        let ours = multiple::benjamini_hochberg(&case.p).into_iter().zip(multiple::holm(&case.p));
        for ((bh, holm), (their_bh, their_holm)) in ours.zip(case.benjamini_hochberg.into_iter().zip(case.holm)) {
            close(Some(bh), Some(their_bh), "Benjamini-Hochberg");
            close(Some(holm), Some(their_holm), "Holm");
        }
    }
}

#[test]
fn shares_of_variance_follow_from_scipys_f() {
    for case in vectors().variance {
        close(variance::between_share(&case.rounds), Some(case.share), &format!("{:?}", case.rounds));
    }
}

#[test]
fn slopes_are_scipys() {
    for case in vectors().slope {
        close(slope::theil_sen(&case.points), Some(case.slope), &format!("{} points", case.points.len()));
    }
}
