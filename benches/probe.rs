//! The self-test's four pieces of work under criterion, so that its compare stands beside ours on the same functions.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use contenders::workloads::probe::{PipeGame, alloc, cpu, thread};
use criterion::{Criterion, criterion_group, criterion_main};

fn probe(criterion: &mut Criterion) {
    criterion.bench_function("cpu", |bencher| bencher.iter(|| cpu(black_box(1_000), 0)));
    criterion.bench_function("alloc", |bencher| bencher.iter(|| alloc(black_box(1_000), 0)));
    criterion.bench_function("thread", |bencher| bencher.iter(|| thread(black_box(10), 0)));
    let mut game = PipeGame::new().expect("two pipes and a thread");
    criterion.bench_function("pipe", |bencher| bencher.iter(|| game.play(black_box(100), 0)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(800)).sample_size(50).without_plots();
    targets = probe
}
criterion_main!(benches);
