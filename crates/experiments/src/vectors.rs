//! The workloads' test vectors: what one small iteration of each comes to.
//!
//! They are the workloads' definitions computed a second time, in the plainest way, so that neither this nor a contender can be wrong
//! alone. The definitions stand in the table of workloads in the contenders' docs.

use bench_harness::protocol::Params;

/// The seed that they are for.
pub const SEED: u64 = 42;

/// What one iteration comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// The workload's name with variant.
    pub workload: &'static str,
    /// Its parameters: small ones, for nothing is measured.
    pub params: Params,
    /// Operations in one iteration.
    pub ops: u64,
    /// The checksum of one iteration.
    pub checksum: u64,
}

/// The `index`th number from a seed (splitmix64, Steele et al. 2014, which takes a step before each number but the first).
fn mix(seed: u64, index: u64) -> u64 {
    let mut mixed = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `steps` dependent multiplications and rotations.
fn chain(value: u64, steps: u64) -> u64 {
    (0..steps).fold(value, |value, _| value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))
}

fn sum(range: std::ops::Range<u64>, term: impl Fn(u64) -> u64) -> u64 {
    range.map(term).fold(0, u64::wrapping_add)
}

/// The sum of the first `count` numbers.
pub(crate) fn mixed(count: u64) -> u64 {
    sum(0..count, |index| mix(SEED, index))
}

/// A byte that came back from a pipe, one larger.
fn bumped(index: u64) -> u64 {
    u64::from((mix(SEED, index) as u8).wrapping_add(1))
}

fn mixed_params(cpu_percent: u64) -> [(&'static str, u64); 5] {
    [("n", 20), ("connections", 2), ("rate_per_s", 9), ("cpu_percent", cpu_percent), ("slice_us", 200)]
}

/// One for each workload, in the order of the table.
pub fn vectors() -> Vec<Vector> {
    let vector = |workload, params: &[(&str, u64)], ops, checksum| {
        let params = Params(params.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect());
        Vector { workload, params, ops, checksum }
    };
    let turns = |count| (0..count).fold(SEED, |number, _| mix(number, 1));
    let chained = sum(0..1_000, |index| chain(mix(SEED, index), 4));
    vec![
        vector("spawn-join/one-by-one", &[("n", 7)], 7, mixed(7)),
        vector("spawn-join/batch", &[("n", 60)], 60, mixed(60)),
        vector("spawn-join/compute-10us", &[("n", 3), ("steps", 500)], 3, sum(0..3, |i| chain(mix(SEED, i), 500))),
        vector("spawn-join/compute-100us", &[("n", 2), ("steps", 9)], 2, sum(0..2, |i| chain(mix(SEED, i), 9))),
        vector("spawn-join/compute-1ms", &[("n", 1), ("steps", 10)], 1, chain(mix(SEED, 0), 10)),
        vector("spawn-join/sleep-1ms", &[("n", 2), ("sleep_us", 50)], 2, mixed(2)),
        vector("skynet", &[("levels", 2)], 111, mixed(100)),
        vector("yield/one", &[("n", 9)], 9, mixed(9)),
        vector("yield/many", &[("tasks", 20), ("n", 5)], 100, mixed(20)),
        vector("ping-pong/channel", &[("n", 11)], 11, turns(11)),
        vector("ping-pong/park", &[("n", 11)], 11, turns(22)),
        vector("ping-pong/pipe", &[("n", 6)], 6, sum(0..6, bumped)),
        vector("ping-pong/pipe-ballast", &[("n", 6), ("ballast_mib", 3)], 6, sum(0..6, bumped)),
        vector("channel/one-to-one", &[("n", 50)], 50, mixed(50)),
        vector("channel/fan-in", &[("n", 50), ("units", 3)], 50, mixed(50)),
        vector("channel/fan-out", &[("n", 50), ("units", 3)], 50, mixed(50)),
        vector("channel/bounded", &[("n", 50), ("capacity", 4)], 50, mixed(50)),
        vector("channel/shared", &[("n", 50)], 50, mixed(50)),
        vector("mutex/uncontended", &[("n", 30)], 30, turns(30)),
        vector("mutex/waiters-8", &[("n", 30), ("units", 8)], 30, turns(30)),
        vector("mutex/waiters-64", &[("n", 30), ("units", 64)], 30, turns(30)),
        vector("timers/fire", &[("n", 40), ("span_ms", 5)], 40, mixed(40)),
        vector("timers/fire-late", &[("n", 40), ("span_ms", 5)], 40, mixed(40)),
        vector("timers/cancel", &[("n", 40)], 40, mixed(40)),
        vector("timers/cancel-earliest", &[("n", 40)], 40, mixed(40)),
        vector("tcp-echo/1", &[("n", 20), ("connections", 1)], 20, mixed(20)),
        vector("tcp-echo/100", &[("n", 20), ("connections", 2)], 20, mixed(20)),
        vector("tcp-echo/1000", &[("n", 20), ("connections", 3)], 20, mixed(20)),
        vector("tcp-echo/open-rate", &[("n", 20), ("connections", 2), ("rate_per_s", 9)], 20, mixed(20)),
        vector("tcp-echo/open-50", &[("n", 20), ("connections", 2), ("capacity_permille", 9)], 20, mixed(20)),
        vector("tcp-echo/open-80", &[("n", 20), ("connections", 2), ("capacity_permille", 9)], 20, mixed(20)),
        vector("offload/round-trip", &[("n", 7)], 7, mixed(7)),
        vector("blocked-loop", &[("period_us", 1_000), ("hog_ms", 4)], 10, sum(1..11, |tick| mix(SEED, tick))),
        vector("offload/ticker", &[("period_us", 1_000), ("hog_ms", 4)], 10, sum(1..11, |tick| mix(SEED, tick))),
        vector("fairness/sibling", &[("most_turns", 1_000)], 1, mix(SEED, 1)),
        vector("fairness/timer", &[("spin_ms", 3), ("due_ms", 1), ("times", 2)], 1, mix(SEED, 1)),
        vector("fairness/pipe", &[("spin_ms", 3), ("due_ms", 1), ("times", 2)], 1, mix(SEED, 1)),
        vector("panic/joined", &[], 1, mix(SEED, 1)),
        vector("panic/detached", &[], 1, mix(SEED, 1)),
        vector("context", &[("units", 5), ("turns", 3)], 1, mix(SEED, 1)),
        vector("cancel/pending", &[("n", 40)], 40, mixed(40)),
        vector("cancel/shutdown", &[("stuck_ms", 2)], 1, mix(SEED, 1)),
        vector("memory/pending", &[("n", 50)], 50, mix(SEED, 1)),
        vector("memory/sleeping", &[("n", 50)], 50, mix(SEED, 1)),
        vector("fork-join/sum", &[("len", 1_000), ("parts", 7)], 1, chained),
        vector("fork-join/fib", &[("n", 12), ("cutoff", 8)], 1, 144 + SEED),
        vector("oversubscription/sum", &[("len", 1_000), ("threads_per_core", 3)], 1, chained),
        vector(
            "oversubscription/wait",
            &[("len", 20), ("threads_per_core", 3), ("wait_us", 50)],
            1,
            sum(0..20, |index| chain(mix(SEED, index), 4)),
        ),
        vector("mixed/0", &mixed_params(0), 20, mixed(20)),
        vector("mixed/50", &mixed_params(50), 20, mixed(20)),
        vector("mixed/100", &mixed_params(100), 20, mixed(20)),
        vector("foreign-wake", &[("n", 9)], 9, turns(9)),
        vector("probe/cpu", &[("slowdown_permille", 30)], 1_000, chain(1, 20_000).wrapping_add(SEED)),
        vector("probe/alloc", &[("slowdown_permille", 0)], 1_000, sum(0..1_000, |i| 16 + mix(7, i) % 2_048) + SEED),
        vector("probe/thread", &[("slowdown_permille", 500)], 10, sum(0..10, |i| mix(7, i)).wrapping_add(SEED)),
        vector("probe/pipe", &[("slowdown_permille", 0)], 100, (0..100).sum::<u64>() + SEED),
        vector("probe/overhead", &[("slowdown_permille", 0)], 1_000, chain(1, 20_000).wrapping_add(SEED)),
    ]
}
