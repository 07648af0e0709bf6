//! The workloads, in the order in which they are measured: the cheapest and most telling first, for time may run out.

use bench_harness::placement::Placement::{self, Free, Pinned};
use bench_harness::plan::{CPU, WALL};
use bench_harness::report::Kind;

/// One workload with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Name with variant, as the contenders know it.
    pub workload: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// The kind of work that it tells about.
    pub topic: &'static str,
    /// How it is counted.
    pub kind: Kind,
    /// What one operation is.
    pub operation: &'static str,
    /// What is compared: [`WALL`], [`CPU`] or one of the workload's values.
    pub metric: &'static str,
    /// Its parameters; units and meaning stand in the contenders' docs.
    pub params: &'static [(&'static str, u64)],
    /// Parameters that replace those with `--full`.
    pub full_params: &'static [(&'static str, u64)],
    /// For memory: how many units, one process each.
    pub sizes: &'static [u64],
    /// Further ones with `--full`.
    pub full_sizes: &'static [u64],
    /// The contender that ratios are against.
    pub reference: &'static str,
    /// Who takes part.
    pub field: Field,
    /// The program that has them.
    pub program: Program,
    /// Where it runs with `--quick`.
    pub quick: &'static [Placement],
    /// Where it runs if nothing else is said.
    pub standard: &'static [Placement],
    /// Where it runs with `--full`, and when it is asked for by its whole name.
    pub full: &'static [Placement],
}

/// A program of ours whose contenders take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// `contenders`: the runtimes.
    Contenders,
    /// `mmap-demo`: ways of using memory and files.
    MmapDemo,
    /// `allocators`: one and the same program with several allocators.
    Allocators,
    /// The system's Python, and `alloc-trace`, which sees what it asks for.
    TracedPython,
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Every runtime there is.
    All,
    /// These.
    Only(&'static [&'static str]),
    /// These with several values of a parameter each; the reference has the first. Named `thread`, `thread@4x`, ...
    Varied {
        /// The runtimes; where there is but one, it is compared with itself.
        runtimes: &'static [&'static str],
        /// The parameter.
        parameter: &'static str,
        /// What follows a value in the name.
        unit: &'static str,
        /// Its values.
        values: &'static [u64],
    },
}

const NOWHERE: &[Placement] = &[];
pub(crate) const PINNED: &[Placement] = &[Pinned];
pub(crate) const FREE: &[Placement] = &[Free];
const BOTH: &[Placement] = &[Pinned, Free];

pub(crate) const RATE: Experiment = Experiment {
    workload: "",
    summary: "",
    topic: "",
    kind: Kind::Rate,
    operation: "unit",
    metric: WALL,
    params: &[],
    full_params: &[],
    sizes: &[],
    full_sizes: &[],
    reference: "tokio-ct",
    field: Field::All,
    program: Program::Contenders,
    quick: NOWHERE,
    standard: PINNED,
    full: BOTH,
};

/// A job in the comparison of threads with pools.
const JOB: Experiment = Experiment {
    operation: "job",
    reference: "thread-pool",
    field: Field::Only(&["thread-pool", "thread", "process", "floor"]),
    standard: FREE,
    ..RATE
};

/// A server, which has a core to itself: the client has the other.
const SERVER: Experiment = Experiment { operation: "request", full: PINNED, ..RATE };

/// A server whose requests come on a schedule. Compared is the p99 of windows; those of all requests stand beside it.
const OPEN: Experiment = Experiment { kind: Kind::Event, metric: "window_p99_ns", ..SERVER };

/// A server that computes beside. Its trials are too short for a p99 of each; that of all trials stands beside.
const MIXED: Experiment = Experiment { kind: Kind::Event, metric: "p90_ns", ..SERVER };

/// Something that happens at times.
const EVENT: Experiment = Experiment { kind: Kind::Event, ..RATE };

/// What happens at all.
const BEHAVIOUR: Experiment = Experiment { kind: Kind::Behaviour, full: PINNED, ..RATE };

/// All workloads.
pub fn experiments() -> Vec<Experiment> {
    let topics = [
        ("Making units of work", units()),
        ("Switching and handing over", [yields(), exchange(), channels()].concat()),
        ("Waiting: connections, timers, calls that block", [servers(), waiting()].concat()),
        ("When something goes wrong", robustness()),
        ("CPU-bound work", computing()),
        ("A new thread per job, or a pool", jobs()),
        ("Memory and maps", crate::memory::experiments()),
        ("Allocating in one thread", crate::allocators::alone()),
        (crate::allocators::REPLAYING, crate::allocators::replays()),
        ("Allocating in several threads", crate::allocators::together()),
        ("What allocators hold", crate::allocators::holding()),
        ("Where Python has its memory from", crate::allocators::python()),
    ];
    let of = |(topic, experiments): (&'static str, Vec<Experiment>)| {
        experiments.into_iter().map(move |experiment| Experiment { topic, ..experiment })
    };
    topics.into_iter().flat_map(of).collect()
}

/// Making units.
fn units() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "spawn-join/one-by-one",
            summary: "spawn a unit that returns a number, join it, spawn the next",
            params: &[("n", 50)],
            quick: PINNED,
            standard: BOTH,
            ..RATE
        },
        Experiment {
            workload: "spawn-join/batch",
            summary: "spawn 1,000 units, then join them all",
            params: &[("n", 1_000)],
            quick: PINNED,
            standard: BOTH,
            ..RATE
        },
        Experiment {
            workload: "skynet",
            summary: "a tree of 1,111 units: each makes ten and adds up what they return",
            params: &[("levels", 3)],
            standard: FREE,
            ..RATE
        },
    ]
}

/// Turns that a unit gives up.
fn yields() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "yield/one",
            summary: "one unit yields again and again, with nobody else to run",
            operation: "yield",
            params: &[("n", 5_000)],
            quick: PINNED,
            full: PINNED,
            ..RATE
        },
        Experiment {
            workload: "yield/many",
            summary: "1,000 units live at once and yield in turn: every yield switches to another",
            operation: "yield",
            params: &[("tasks", 1_000), ("n", 20)],
            quick: PINNED,
            ..RATE
        },
    ]
}

/// Handing something over.
fn exchange() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "ping-pong/channel",
            summary: "two units bounce a number over channels; the same channel, tokio's, on every async runtime",
            operation: "round trip",
            params: &[("n", 100)],
            quick: BOTH,
            standard: BOTH,
            ..RATE
        },
        Experiment {
            workload: "ping-pong/park",
            summary: "two units wake each other in turn, with nothing to carry",
            operation: "round trip",
            params: &[("n", 100)],
            quick: PINNED,
            ..RATE
        },
        Experiment {
            workload: "ping-pong/pipe",
            summary: "two units bounce a byte over two pipes of the operating system",
            operation: "round trip",
            params: &[("n", 100)],
            quick: PINNED,
            ..RATE
        },
        Experiment {
            workload: "ping-pong/pipe-ballast",
            summary: "two processes bounce a byte over two pipes, with 0, 64 and 256 MiB of memory in use in each",
            operation: "round trip",
            params: &[("n", 5_000), ("ballast_mib", 0)],
            reference: "process",
            field: Field::Varied {
                runtimes: &["process"],
                parameter: "ballast_mib",
                unit: "MiB",
                values: &[0, 64, 256],
            },
            full: PINNED,
            ..RATE
        },
        Experiment {
            workload: "foreign-wake",
            summary: "a thread that is none of the runtime's wakes a unit, and the unit wakes the thread",
            operation: "round trip",
            params: &[("n", 100)],
            standard: PINNED,
            ..RATE
        },
    ]
}

/// Channels and locks.
fn channels() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "channel/one-to-one",
            summary: "one unit sends 10,000 messages to another over an unbounded channel of the runtime's own (of tokio's where it has none)",
            operation: "message",
            params: &[("n", 10_000)],
            standard: PINNED,
            ..RATE
        },
        Experiment {
            workload: "channel/fan-in",
            summary: "8 units send to one",
            operation: "message",
            params: &[("n", 10_000), ("units", 8)],
            ..RATE
        },
        Experiment {
            workload: "channel/fan-out",
            summary: "one unit sends to 8 in turn, each with a channel of its own",
            operation: "message",
            params: &[("n", 10_000), ("units", 8)],
            ..RATE
        },
        Experiment {
            workload: "channel/bounded",
            summary: "one unit sends to another over a channel that holds 16 messages",
            operation: "message",
            params: &[("n", 10_000), ("capacity", 16)],
            ..RATE
        },
        Experiment {
            workload: "channel/shared",
            summary: "one unit sends to another over the same channel on every runtime, tokio's",
            operation: "message",
            params: &[("n", 10_000)],
            ..RATE
        },
        Experiment {
            workload: "mutex/uncontended",
            summary: "one unit takes its runtime's lock, changes a number, lets go",
            operation: "turn",
            params: &[("n", 1_000)],
            ..RATE
        },
        Experiment {
            workload: "mutex/waiters-8",
            summary: "8 units take turns with a lock, and yield while they hold it; `fairness` is Jain's index of their shares",
            operation: "turn",
            params: &[("n", 5_000), ("units", 8)],
            ..RATE
        },
        Experiment {
            workload: "mutex/waiters-64",
            summary: "64 units take turns with a lock, and yield while they hold it",
            operation: "turn",
            params: &[("n", 5_000), ("units", 64)],
            ..RATE
        },
    ]
}

/// Servers.
fn servers() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "tcp-echo/1",
            summary: "a server answers one connection, which asks again as soon as it has its answer; the floor is epoll by hand",
            params: &[("n", 50), ("connections", 1)],
            quick: PINNED,
            ..SERVER
        },
        Experiment {
            workload: "tcp-echo/100",
            summary: "a server answers 100 connections, each of which asks again as soon as it has its answer",
            metric: CPU,
            params: &[("n", 400), ("connections", 100)],
            quick: PINNED,
            ..SERVER
        },
        Experiment {
            workload: "tcp-echo/1000",
            summary: "a server answers 1,000 connections, each of which asks again as soon as it has its answer",
            metric: CPU,
            params: &[("n", 1_000), ("connections", 1_000)],
            ..SERVER
        },
        Experiment {
            workload: "tcp-echo/open-rate",
            summary: "25,000 requests a second on a schedule, over 100 connections; latency counts from when a request was due",
            params: &[("n", 5_000), ("connections", 100), ("rate_per_s", 25_000)],
            ..OPEN
        },
        Experiment {
            workload: "tcp-echo/open-50",
            summary: "half of what this very server can just do, on a schedule: a slow one is asked less",
            params: &[("n", 5_000), ("connections", 100), ("capacity_permille", 500)],
            standard: NOWHERE,
            ..OPEN
        },
        Experiment {
            workload: "tcp-echo/open-80",
            summary: "four fifths of what this very server can just do, on a schedule: a slow one is asked less",
            params: &[("n", 5_000), ("connections", 100), ("capacity_permille", 800)],
            ..OPEN
        },
        Experiment {
            workload: "mixed/0",
            summary: "1,900 requests a second on a schedule, over 100 connections; nothing else to do",
            params: const { &mixed(0) },
            ..MIXED
        },
        Experiment {
            workload: "mixed/50",
            summary: "the same, while a unit computes half of the time, 100 us in one go",
            params: const { &mixed(50) },
            ..MIXED
        },
        Experiment {
            workload: "mixed/100",
            summary: "the same, while a unit computes all the time and yields every 100 us",
            params: const { &mixed(100) },
            ..MIXED
        },
    ]
}

/// Waiting for time and for calls that block, and what a unit weighs that waits.
fn waiting() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "timers/fire",
            summary: "20,000 timers over 200 ms, in no order: what one costs in CPU, how late each is",
            operation: "timer",
            metric: CPU,
            params: &[("n", 20_000), ("span_ms", 200)],
            full_params: &[("n", 100_000), ("span_ms", 1_000)],
            ..EVENT
        },
        Experiment {
            workload: "timers/fire-late",
            summary: "the same, of timers that may be late by 1 ms, where the runtime has such",
            operation: "timer",
            metric: CPU,
            params: &[("n", 20_000), ("span_ms", 200)],
            full_params: &[("n", 100_000), ("span_ms", 1_000)],
            standard: NOWHERE,
            ..EVENT
        },
        Experiment {
            workload: "timers/cancel",
            summary: "a timer is armed and dropped, while another is due earlier",
            operation: "timer",
            params: &[("n", 1_000)],
            ..RATE
        },
        Experiment {
            workload: "timers/cancel-earliest",
            summary: "a timer is armed and dropped, and no other is due earlier",
            operation: "timer",
            params: &[("n", 1_000)],
            standard: NOWHERE,
            ..RATE
        },
        Experiment {
            workload: "offload/round-trip",
            summary: "a call that blocks goes to another thread, and its result comes back",
            operation: "call",
            params: &[("n", 50)],
            standard: FREE,
            ..RATE
        },
        Experiment {
            workload: "memory/pending",
            summary: "what a unit weighs that waits for ever",
            metric: "bytes",
            ..MEMORY
        },
        Experiment {
            workload: "memory/sleeping",
            summary: "what a unit weighs that sleeps",
            metric: "bytes",
            ..MEMORY
        },
    ]
}

const MEMORY: Experiment =
    Experiment { kind: Kind::Memory, sizes: &[1_000, 10_000, 100_000], full_sizes: &[1_000_000], full: PINNED, ..RATE };

/// The rate is such that requests fall anywhere in a slice: at 2,000 a second all would fall on one of two moments.
const fn mixed(cpu_percent: u64) -> [(&'static str, u64); 5] {
    [("n", 400), ("connections", 100), ("rate_per_s", 1_900), ("cpu_percent", cpu_percent), ("slice_us", 100)]
}

/// What one unit does to the others, and what happens when one falls.
fn robustness() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "blocked-loop",
            summary: "a ticker every 5 ms beside a unit that computes for 300 ms without yielding; the floor is the ticker alone",
            operation: "tick",
            metric: "worst_lateness_ns",
            params: &[("period_us", 5_000), ("hog_ms", 300)],
            quick: FREE,
            standard: FREE,
            ..EVENT
        },
        Experiment {
            workload: "offload/ticker",
            summary: "how late a tick every 5 ms is (the median) while 150 ms of computing are with the pool for blocking calls",
            operation: "tick",
            metric: "p50_ns",
            params: &[("period_us", 5_000), ("hog_ms", 150)],
            standard: FREE,
            ..EVENT
        },
        Experiment {
            workload: "fairness/sibling",
            summary: "how many turns a unit that yields has had when its sibling, ready from the start, has its first",
            operation: "case",
            metric: "turns_before_sibling",
            params: &[("most_turns", 100_000)],
            full: PINNED,
            ..EVENT
        },
        Experiment {
            workload: "fairness/timer",
            summary: "how late a timer of 4 ms is beside a unit that yields for 12 ms; the median of 9",
            operation: "case",
            metric: "lateness_ns",
            params: &[("spin_ms", 12), ("due_ms", 4), ("times", 9)],
            full: PINNED,
            ..EVENT
        },
        Experiment {
            workload: "fairness/pipe",
            summary: "how late a byte in a pipe is read beside a unit that yields; the median of 9",
            operation: "case",
            metric: "lateness_ns",
            params: &[("spin_ms", 12), ("due_ms", 4), ("times", 9)],
            full: PINNED,
            ..EVENT
        },
        Experiment {
            workload: "panic/joined",
            summary: "a unit panics: is whoever joins it told?",
            operation: "case",
            metric: "told",
            ..BEHAVIOUR
        },
        Experiment {
            workload: "panic/detached",
            summary: "a unit panics that nobody joins: does the process live, and was anybody told?",
            operation: "case",
            metric: "process_lives",
            ..BEHAVIOUR
        },
        Experiment {
            workload: "context",
            summary: "units take turns: which share finds another's number in a thread-local, which in a context variable",
            operation: "case",
            metric: "variable_mixed",
            params: &[("units", 50), ("turns", 20)],
            ..BEHAVIOUR
        },
        Experiment {
            workload: "cancel/pending",
            summary: "units that wait are ended, to the last destructor",
            params: &[("n", 1_000)],
            ..RATE
        },
        Experiment {
            workload: "cancel/shutdown",
            summary: "how long a runtime takes to end while a blocking call sleeps for 100 ms",
            operation: "case",
            metric: "shutdown_ns",
            params: &[("stuck_ms", 100)],
            standard: FREE,
            ..EVENT
        },
    ]
}

/// CPU work in parts.
fn computing() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "fork-join/sum",
            summary: "a sum of 2^20 mixed numbers in 16 parts; the floor is the plain loop",
            operation: "sum",
            params: &[("len", 1 << 20), ("parts", 16)],
            quick: FREE,
            standard: FREE,
            ..RATE
        },
        Experiment {
            workload: "fork-join/fib",
            summary: "Fibonacci by recursion, each call forked down to a cutoff; the floor is the plain recursion",
            operation: "fib",
            params: &[("n", 27), ("cutoff", 17)],
            quick: FREE,
            standard: FREE,
            ..RATE
        },
        Experiment {
            workload: "oversubscription/sum",
            summary: "the same CPU work shared by 1, 4, 16 and 64 threads a core",
            operation: "sum",
            params: &[("len", 1 << 24), ("threads_per_core", 1)],
            reference: "thread",
            field: Field::Varied {
                runtimes: &["thread"],
                parameter: "threads_per_core",
                unit: "x",
                values: &[1, 4, 16, 64],
            },
            standard: FREE,
            full: FREE,
            ..RATE
        },
        Experiment {
            workload: "oversubscription/wait",
            summary: "64 waits of 1 ms a core, as for answers from elsewhere, shared by 1, 4 and 16 threads a core",
            operation: "batch",
            params: &[("len", 64), ("threads_per_core", 1), ("wait_us", 1_000)],
            reference: "thread",
            field: Field::Varied {
                runtimes: &["thread"],
                parameter: "threads_per_core",
                unit: "x",
                values: &[1, 4, 16],
            },
            standard: FREE,
            full: FREE,
            ..RATE
        },
    ]
}

/// A new thread per job against a pool, by the job's length.
fn jobs() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "spawn-join/compute-10us",
            summary: "jobs that compute for about 10 us, one by one",
            params: &[("n", 20), ("steps", 10_000)],
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
    ]
}
