//! The workloads, in the order in which they are measured: the cheapest and most telling first, for time may run out.

use bench_harness::placement::Placement::{self, Free, Pinned};
use bench_harness::plan::WALL;
use bench_harness::report::Kind;

/// One workload with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Name with variant, as the contenders know it.
    pub workload: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// How it is counted.
    pub kind: Kind,
    /// What one operation is.
    pub operation: &'static str,
    /// What is compared: [`WALL`] or one of the workload's values.
    pub metric: &'static str,
    /// Its parameters; units and meaning stand in the contenders' docs.
    pub params: &'static [(&'static str, u64)],
    /// The contender that ratios are against.
    pub reference: &'static str,
    /// Who takes part.
    pub field: Field,
    /// Where it runs.
    pub placements: &'static [Placement],
    /// Where it runs with `--quick`.
    pub quick: &'static [Placement],
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Every runtime there is.
    All,
    /// These.
    Only(&'static [&'static str]),
    /// One runtime with several values of a parameter; the first is the reference. Named `thread`, `thread@4x`, ...
    Varied {
        /// The runtime.
        runtime: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// Its values.
        values: &'static [u64],
    },
}

const RATE: Experiment = Experiment {
    workload: "",
    summary: "",
    kind: Kind::Rate,
    operation: "unit",
    metric: WALL,
    params: &[],
    reference: "tokio-ct",
    field: Field::All,
    placements: &[Pinned, Free],
    quick: &[Pinned],
};

/// A job in the comparison of threads with pools.
const JOB: Experiment = Experiment {
    operation: "job",
    reference: "thread-pool",
    field: Field::Only(&["thread-pool", "thread", "process", "floor"]),
    placements: &[Free, Pinned],
    quick: &[],
    ..RATE
};

/// All workloads.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn experiments() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "spawn-join/one-by-one",
            summary: "spawn a unit that returns a number, join it, spawn the next",
            params: &[("n", 200)],
            ..RATE
        },
        Experiment {
            workload: "yield/one",
            summary: "one unit yields again and again, with nobody else to run",
            operation: "yield",
            params: &[("n", 10_000)],
            placements: &[Pinned],
            ..RATE
        },
        Experiment {
            workload: "yield/many",
            summary: "1,000 units live at once and yield in turn: every yield switches to another",
            operation: "yield",
            params: &[("tasks", 1_000), ("n", 25)],
            ..RATE
        },
        Experiment {
            workload: "ping-pong/channel",
            summary: "two units bounce a number over channels",
            operation: "round trip",
            params: &[("n", 1_000)],
            quick: &[Pinned, Free],
            ..RATE
        },
        Experiment {
            workload: "ping-pong/park",
            summary: "two units wake each other in turn, with nothing to carry",
            operation: "round trip",
            params: &[("n", 1_000)],
            ..RATE
        },
        Experiment {
            workload: "ping-pong/pipe",
            summary: "two units bounce a byte over two pipes of the operating system",
            operation: "round trip",
            params: &[("n", 200)],
            ..RATE
        },
        Experiment {
            workload: "fork-join/sum",
            summary: "a sum of 2^20 mixed numbers in 16 parts; the floor is the plain loop",
            operation: "sum",
            params: &[("len", 1 << 20), ("parts", 16)],
            placements: &[Free, Pinned],
            quick: &[Free],
            ..RATE
        },
        Experiment {
            workload: "fork-join/fib",
            summary: "Fibonacci by recursion, each call forked down to a cutoff; the floor is the plain recursion",
            operation: "fib",
            params: &[("n", 27), ("cutoff", 17)],
            placements: &[Free, Pinned],
            quick: &[Free],
            ..RATE
        },
        Experiment {
            workload: "blocked-loop",
            summary: "a ticker every 5 ms beside a unit that computes for 300 ms without yielding; the floor is the ticker alone",
            kind: Kind::Event,
            operation: "tick",
            metric: "worst_lateness_ns",
            params: &[("period_us", 5_000), ("hog_ms", 300)],
            placements: &[Free, Pinned],
            quick: &[Free],
            ..RATE
        },
        Experiment {
            workload: "oversubscription/sum",
            summary: "the same CPU work shared by 1, 4, 16 and 64 threads a core",
            operation: "sum",
            params: &[("len", 1 << 24), ("threads_per_core", 1)],
            reference: "thread",
            field: Field::Varied { runtime: "thread", parameter: "threads_per_core", values: &[1, 4, 16, 64] },
            placements: &[Free],
            quick: &[Free],
            ..RATE
        },
        Experiment {
            workload: "spawn-join/compute-10us",
            summary: "jobs that compute for about 10 us, one by one",
            params: &[("n", 50), ("steps", 10_000)],
            ..JOB
        },
        Experiment {
            workload: "spawn-join/compute-100us",
            summary: "jobs that compute for about 100 us, one by one",
            params: &[("n", 10), ("steps", 100_000)],
            ..JOB
        },
        Experiment {
            workload: "spawn-join/compute-1ms",
            summary: "jobs that compute for about 1 ms, one by one",
            params: &[("n", 5), ("steps", 1_000_000)],
            ..JOB
        },
        Experiment {
            workload: "spawn-join/sleep-1ms",
            summary: "jobs that sleep for 1 ms, one by one",
            params: &[("n", 5), ("sleep_us", 1_000)],
            ..JOB
        },
        Experiment {
            workload: "spawn-join/batch",
            summary: "spawn 10,000 units, then join them all",
            params: &[("n", 10_000)],
            ..RATE
        },
    ]
}
