//! Do the intervals miss as often as they say? Synthetic data with a known truth, seeds fixed: the same answer every
//! time. Each rate is held against its exact or promised value with four standard deviations of a binomial count as
//! slack, which a right rate exceeds once in 16,000 seeds. To see the rates:
//! `cargo test -p bench-harness --test calibration -- --nocapture`

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use bench_harness::rng::SplitMix64;
use bench_harness::stats::{Decision, Looks, Region, judge, multiple, rank_sum, signed_rank};

const TRIES: u32 = 3_000;

/// Symmetric about 0, from well-behaved to a variance that does not exist.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Normal,
    Laplace,
    /// Student's t with 2 degrees of freedom.
    HeavyTailed,
}

const SHAPES: [Shape; 3] = [Shape::Normal, Shape::Laplace, Shape::HeavyTailed];

impl Shape {
    fn draw(self, rng: &mut SplitMix64) -> f64 {
        // The middles of 2^52 equal parts of (0, 1): the inverses have no value at its ends.
        let unit = ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        match self {
            // Box and Muller 1958.
            Shape::Normal => (-2.0 * unit.ln()).sqrt() * (2.0 * std::f64::consts::PI * rng.unit()).cos(),
            Shape::Laplace if unit < 0.5 => (2.0 * unit).ln(),
            Shape::Laplace => -(2.0 * (1.0 - unit)).ln(),
            Shape::HeavyTailed => (2.0 * unit - 1.0) / (2.0 * unit * (1.0 - unit)).sqrt(),
        }
    }

    /// A stream of its own: the tests see only signs and order, so one stream would give all shapes the same answers.
    fn seeded(self, seed: u64) -> SplitMix64 {
        SplitMix64::new(seed * 16 + self as u64)
    }

    fn sample(self, n: usize, rng: &mut SplitMix64) -> Vec<f64> {
        (0..n).map(|_| self.draw(rng)).collect()
    }
}

/// Four standard deviations of an observed rate.
fn slack(rate: f64, tries: u32) -> f64 {
    4.0 * (rate * (1.0 - rate) / f64::from(tries)).sqrt()
}

/// The share of tries for which `happens` is true.
fn rate(tries: u32, mut happens: impl FnMut() -> bool) -> f64 {
    f64::from((0..tries).map(|_| u32::from(happens())).sum::<u32>()) / f64::from(tries)
}

#[test]
fn intervals_of_95_percent_cover_as_often_as_counting_says() {
    // 1 - 2 P(T <= t) with the largest t that 5 % allows, by counting patterns of signs: the same for every shape.
    for (n, exact) in [(8, 0.960_937_5), (16, 0.955_688_5), (32, 0.950_230_6)] {
        for shape in SHAPES {
            let mut rng = shape.seeded(n);
            let coverage =
                rate(TRIES, || signed_rank::interval(&shape.sample(n as usize, &mut rng), 0.95).unwrap().contains(0.0));
            println!("{shape:?}, n = {n}: {:.2} % of 95 % intervals cover", coverage * 100.0);
            assert!((coverage - exact).abs() <= slack(exact, TRIES), "{shape:?}, n = {n}: {coverage}");
            assert!((0.93..=0.975).contains(&coverage), "{shape:?}, n = {n}: {coverage}");
        }
    }
}

#[test]
fn two_sample_intervals_of_95_percent_cover_at_least_that_often() {
    for shape in SHAPES {
        let mut rng = shape.seeded(2);
        let coverage = rate(TRIES, || {
            let (a, b) = (shape.sample(8, &mut rng), shape.sample(12, &mut rng));
            rank_sum::interval(&a, &b, 0.95).unwrap().contains(0.0)
        });
        println!("{shape:?}, 8 and 12 values: {:.2} % of 95 % intervals cover", coverage * 100.0);
        // P(U <= 22) = 0.023672 at each end.
        assert!((coverage - 0.952_655).abs() <= slack(0.952_655, TRIES), "{shape:?}: {coverage}");
    }
}

/// How often any of the intervals after 8, 16 and 32 rounds, each of this confidence, misses the truth.
fn any_look_misses(shape: Shape, confidence: f64, seed: u64) -> f64 {
    let mut rng = shape.seeded(seed);
    rate(TRIES, || {
        let sample = shape.sample(32, &mut rng);
        [8, 16, 32].iter().any(|&n| !signed_rank::interval(&sample[..n], confidence).unwrap().contains(0.0))
    })
}

#[test]
fn all_looks_together_miss_at_most_as_often_as_promised() {
    let looks = Looks::default();
    assert_eq!(looks.rounds, [8, 16, 32]);
    for shape in SHAPES {
        let missed = any_look_misses(shape, looks.confidence(), 3);
        println!("{shape:?}: any of three looks misses in {:.2} %", missed * 100.0);
        assert!(missed <= looks.error, "{shape:?}: {missed}");
        // The first look alone misses in 1.5625 %; below that the simulation would not be looking.
        assert!(missed >= 0.015_625, "{shape:?}: {missed}");
    }
}

#[test]
fn peeking_at_95_percent_misses_in_more_than_8_percent() {
    // What the looks are for, and the proof that the test above can fail.
    for shape in SHAPES {
        let missed = any_look_misses(shape, 0.95, 3);
        println!("{shape:?}: any of three naive looks misses in {:.2} %", missed * 100.0);
        assert!(missed - slack(missed, TRIES) > 0.08, "{shape:?}: {missed}");
    }
}

/// Looks until an interval decides whether the middle lies above `bound`; tells (the last interval missed the truth,
/// 0; the decision was wrong).
fn stop_when_decided(shape: Shape, bound: f64, rng: &mut SplitMix64) -> (bool, bool) {
    let looks = Looks::default();
    let region = Region::above(bound);
    let mut sample = Vec::new();
    loop {
        let next = looks.next_after(sample.len() as u32).expect("the last look ends it");
        sample.resize_with(next as usize, || shape.draw(rng));
        let interval = signed_rank::interval(&sample, looks.confidence()).unwrap();
        let decision = judge(interval, region);
        if decision != Decision::Straddles || looks.next_after(next).is_none() {
            let right = if region.contains(0.0) { Decision::Inside } else { Decision::Outside };
            return (!interval.contains(0.0), decision != right && decision != Decision::Straddles);
        }
    }
}

#[test]
fn stopping_when_decided_keeps_the_coverage_and_decides_right() {
    for shape in SHAPES {
        // From a claim that is false by next to nothing to one that the first look mostly settles.
        for bound in [1e-9, 0.3, 1.0, -0.6] {
            let mut rng = shape.seeded(4);
            let (mut missed, mut wrong) = (0, 0);
            for _ in 0..TRIES / 2 {
                let (miss, error) = stop_when_decided(shape, bound, &mut rng);
                missed += u32::from(miss);
                wrong += u32::from(error);
            }
            let share = |count: u32| f64::from(count) / f64::from(TRIES / 2);
            println!(
                "{shape:?}, bound {bound}: last misses {:.2} %, wrong {:.2} %",
                share(missed) * 100.0,
                share(wrong) * 100.0
            );
            assert!(share(missed) <= 0.05, "{shape:?}, bound {bound}: {missed} missed");
            // Wrong means an error to one side, and there is half of the whole error's for each.
            assert!(share(wrong) <= 0.025 + slack(0.025, TRIES / 2), "{shape:?}, bound {bound}: {wrong} wrong");
        }
    }
}

#[test]
fn corrections_for_many_tests_keep_their_levels() {
    // 30 tests of pairs, 10 of them with an effect.
    let mut rng = SplitMix64::new(5);
    let (tries, level) = (400, 0.1);
    let (mut false_share, mut any_false, mut any_uncorrected) = (0.0, 0, 0);
    for _ in 0..tries {
        let p: Vec<f64> = (0..30)
            .map(|test| {
                let center = if test < 10 { 1.5 } else { 0.0 };
                let sample = Shape::Normal.sample(12, &mut rng);
                signed_rank::p_value(&sample, center, signed_rank::Alternative::TwoSided).unwrap()
            })
            .collect();
        let found = |p: &[f64]| p.iter().filter(|&&p| p <= level).count();
        let discoveries = multiple::benjamini_hochberg(&p);
        false_share += found(&discoveries[10..]) as f64 / found(&discoveries).max(1) as f64;
        any_false += u32::from(found(&multiple::holm(&p)[10..]) > 0);
        any_uncorrected += u32::from(found(&p[10..]) > 0);
    }
    let of_tries = |count: u32| f64::from(count) / f64::from(tries);
    println!(
        "false discoveries {:.2} %, any false by Holm {:.2} %, any uncorrected {:.2} %",
        false_share / f64::from(tries) * 100.0,
        of_tries(any_false) * 100.0,
        of_tries(any_uncorrected) * 100.0
    );
    assert!(false_share / f64::from(tries) <= level);
    assert!(of_tries(any_false) <= level + slack(level, tries));
    assert!(of_tries(any_uncorrected) > 0.5, "without correction something is nearly always found");
}
