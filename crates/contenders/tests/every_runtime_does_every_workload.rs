//! Every runtime does every workload it claims, comes to the same checksum as all others, and refuses the rest in a sentence.
//!
//! Each case is a real child process, as in a comparison. The vectors are the workloads' definitions computed here a second
//! time, in the plainest way.

use std::time::Duration;

use bench_harness::host::{Child, ChildError, Interrupt, Launch, Limits, Stamps};
use bench_harness::placement::allowed_cpus;
use bench_harness::protocol::{Params, Prepare, RefusalKind, Run, checksum_text};
use contenders::workloads::{chain, mix, names};

const SEED: u64 = 42;

struct Vector {
    workload: &'static str,
    params: &'static [(&'static str, u64)],
    ops: u64,
    checksum: u64,
}

fn sum(range: std::ops::Range<u64>, term: impl Fn(u64) -> u64) -> u64 {
    range.map(term).fold(0, u64::wrapping_add)
}

fn vectors() -> Vec<Vector> {
    let vector = |workload, params, ops, checksum| Vector { workload, params, ops, checksum };
    let mixed = |count| sum(0..count, |index| mix(SEED, index));
    let turns = |count| (0..count).fold(SEED, |number, _| mix(number, 1));
    let chained = sum(0..1_000, |index| chain(mix(SEED, index), 4));
    vec![
        vector("spawn-join/one-by-one", &[("n", 7)], 7, mixed(7)),
        vector("spawn-join/batch", &[("n", 60)], 60, mixed(60)),
        vector("spawn-join/compute-10us", &[("n", 3), ("steps", 500)], 3, sum(0..3, |i| chain(mix(SEED, i), 500))),
        vector("spawn-join/compute-100us", &[("n", 2), ("steps", 9)], 2, sum(0..2, |i| chain(mix(SEED, i), 9))),
        vector("spawn-join/compute-1ms", &[("n", 1), ("steps", 10)], 1, chain(mix(SEED, 0), 10)),
        vector("spawn-join/sleep-1ms", &[("n", 2), ("sleep_us", 50)], 2, mixed(2)),
        vector("yield/one", &[("n", 9)], 9, mixed(9)),
        vector("yield/many", &[("tasks", 20), ("n", 5)], 100, mixed(20)),
        vector("ping-pong/channel", &[("n", 11)], 11, turns(11)),
        vector("ping-pong/park", &[("n", 11)], 11, turns(22)),
        vector("ping-pong/pipe", &[("n", 6)], 6, sum(0..6, |i| u64::from((mix(SEED, i) as u8).wrapping_add(1)))),
        vector("fork-join/sum", &[("len", 1_000), ("parts", 7)], 1, chained),
        vector("fork-join/fib", &[("n", 12), ("cutoff", 8)], 1, 144 + SEED),
        vector("blocked-loop", &[("period_us", 1_000), ("hog_ms", 4)], 10, sum(1..11, |tick| mix(SEED, tick))),
        vector("oversubscription/sum", &[("len", 1_000), ("threads_per_core", 3)], 1, chained),
        vector("probe/cpu", &[("slowdown_permille", 30)], 1_000, chain(1, 20_000).wrapping_add(SEED)),
        vector("probe/alloc", &[("slowdown_permille", 0)], 1_000, sum(0..1_000, |i| 16 + mix(7, i) % 2_048) + SEED),
        vector("probe/thread", &[("slowdown_permille", 500)], 10, sum(0..10, |i| mix(7, i)).wrapping_add(SEED)),
        vector("probe/pipe", &[("slowdown_permille", 0)], 100, (0..100).sum::<u64>() + SEED),
        vector("probe/overhead", &[("slowdown_permille", 0)], 1_000, chain(1, 20_000).wrapping_add(SEED)),
    ]
}

fn runtimes() -> Vec<&'static str> {
    contenders::runtimes::runtimes().iter().map(|runtime| runtime.name).collect()
}

fn start(runtime: &str, cpus: &[usize]) -> Child {
    let launch = Launch { program: env!("CARGO_BIN_EXE_contenders").into(), args: vec![runtime.to_owned()] };
    let limits = Limits { block: Duration::from_mins(1), ..Limits::default() };
    Child::start(&launch, cpus, limits, &Interrupt::default()).unwrap()
}

/// Has every runtime do every workload on `cpus`; tells how many cells did and how many refused.
fn check_all(cpus: &[usize]) -> (u32, u32) {
    let (mut did, mut refused) = (0, 0);
    for runtime in runtimes() {
        for vector in vectors() {
            let case = format!("{runtime} on {} with CPUs {cpus:?}", vector.workload);
            let mut child = start(runtime, cpus);
            let claimed = child.hello().workloads.iter().any(|name| name == vector.workload);
            let params =
                Params(vector.params.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect());
            match child.prepare(&Prepare { workload: vector.workload.to_owned(), params, seed: SEED }) {
                Ok(_) => assert!(claimed, "{case}: does what its hello does not claim"),
                Err(ChildError::Refused(refusal)) => {
                    assert_eq!(refusal.kind, RefusalKind::Unsupported, "{case}: {refusal}");
                    assert!(!claimed, "{case}: claimed in hello, then refused: {refusal}");
                    assert!(refusal.message.len() > 10, "{case}: {refusal}");
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{case}: {error}"),
            }
            did += 1;
            for iters in [1, 3] {
                let (done, stamps) =
                    child.run(Run { block: iters, iters }).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(stamps, Stamps::Fit, "{case}");
                assert_eq!(done.ops, iters * vector.ops, "{case}: operations");
                assert_eq!(done.checksum, checksum_text(vector.checksum), "{case}: checksum");
                if vector.workload == "blocked-loop" {
                    let ticks: u64 = done.latency.iter().flatten().map(|(_, count)| count).sum();
                    assert_eq!(ticks, done.ops, "{case}: one latency a tick");
                    assert!(done.values["worst_lateness_ns"] >= 1.0, "{case}");
                }
            }
            child.end();
        }
    }
    (did, refused)
}

#[test]
fn every_workload_has_a_vector() {
    let known: Vec<&str> = vectors().iter().map(|vector| vector.workload).collect();
    assert_eq!(known, names());
}

#[test]
fn free() {
    let (did, refused) = check_all(&allowed_cpus().unwrap());
    // 10 runtimes on 15 workloads and the probe on 4; the count keeps a workload from being refused by everyone unseen.
    assert!(did >= 100 && refused >= 40, "{did} cells did their work, {refused} refused");
}

#[test]
fn pinned_to_one_cpu() {
    let last = *allowed_cpus().unwrap().last().unwrap();
    let (did, _) = check_all(&[last]);
    assert!(did >= 95, "{did} cells did their work");
}

#[test]
fn parameters_that_make_no_sense_are_refused_with_key_and_range() {
    let cpus = allowed_cpus().unwrap();
    for runtime in ["tokio-ct", "thread", "floor"] {
        let mut child = start(runtime, &cpus);
        let request = Prepare { workload: "yield/one".to_owned(), params: Params::from([("n", 0)]), seed: 1 };
        let Err(ChildError::Refused(refusal)) = child.prepare(&request) else { panic!("{runtime} took n = 0") };
        assert_eq!(refusal.kind, RefusalKind::BadParams);
        assert!(refusal.message.contains("`n` is 0"), "{refusal}");
    }
}

#[test]
fn a_slowed_probe_does_more_work_for_the_same_operations() {
    let cpus = allowed_cpus().unwrap();
    let cpu_ns = |slowdown: u64| {
        let mut child = start("probe", &cpus);
        let params = Params::from([("slowdown_permille", slowdown)]);
        child.prepare(&Prepare { workload: "probe/cpu".to_owned(), params, seed: 1 }).unwrap();
        let blocks = (0..5).map(|block| child.run(Run { block, iters: 200 }).unwrap().0.cpu_ns_per_op().unwrap());
        blocks.fold(f64::INFINITY, f64::min)
    };
    let ratio = cpu_ns(1_000) / cpu_ns(0);
    assert!((1.6..2.5).contains(&ratio), "twice the work took {ratio} times the CPU time");
}
