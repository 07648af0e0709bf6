//! What the statistics cost: they run after every look, between rounds.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use bench_harness::rng::SplitMix64;
use bench_harness::stats::{rank_sum, signed_rank};
use criterion::{Criterion, criterion_group, criterion_main};

fn statistics(criterion: &mut Criterion) {
    let mut rng = SplitMix64::new(1);
    let rounds: Vec<f64> = (0..32).map(|_| rng.unit()).collect();
    criterion.bench_function("signed-rank interval of 32 rounds", |bencher| {
        bencher.iter(|| signed_rank::interval(black_box(&rounds), 0.95));
    });
    criterion.bench_function("rank-sum interval of 32 and 32 rounds", |bencher| {
        bencher.iter(|| rank_sum::interval(black_box(&rounds), black_box(&rounds), 0.95));
    });
}

criterion_group!(benches, statistics);
criterion_main!(benches);
