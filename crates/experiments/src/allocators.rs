//! Allocators compared: the workloads of the program `allocators`, what people say about them, and test vectors.
//!
//! What each does stands in the docs of `examples/allocators`. The comparison is `cargo xtask compare-allocators`; that of runtimes leaves
//! them out, for a C compiler builds two of them.

use bench_harness::claim::{Claim, Leg};
use bench_harness::placement::Placement::{Free, Pinned};
use bench_harness::plan::{Plan, WALL};
use bench_harness::protocol::Params;
use bench_harness::report::Kind;

use crate::claims::{claim, figure};
use crate::select::{Contender, SelectError, Selection, of_experiments};
use crate::vectors::{Vector, mixed};
use crate::workloads::{Experiment, FREE, Field, PINNED, Program, RATE};

/// What a person's own recording is called.
pub const REPLAY: &str = "alloc/replay";
/// The topic of recordings.
pub(crate) const REPLAYING: &str = "Allocating as real programs did";

/// A cost in one thread.
const COST: Experiment = Experiment {
    operation: "malloc and free",
    reference: "glibc",
    field: Field::Only(&["glibc", "jemalloc", "mimalloc"]),
    program: Program::Allocators,
    quick: PINNED,
    standard: PINNED,
    full: PINNED,
    ..RATE
};

/// A cost in threads that need a core each.
const SHARED: Experiment = Experiment { quick: FREE, standard: FREE, full: FREE, ..COST };

/// The same by one thread, while another computes, and by two at once.
const THREADS: Experiment = Experiment {
    operation: "malloc and free",
    field: Field::Varied {
        runtimes: &["glibc", "glibc-one-arena", "jemalloc", "mimalloc"],
        parameter: "threads",
        unit: "threads",
        values: &[1, 2],
    },
    ..SHARED
};

/// In one thread.
pub(crate) fn alone() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "alloc/churn",
            summary: "16 to 512 bytes, 1,000 blocks live: a new one takes the place of any of them",
            params: &[("n", 4_000), ("live", 1_000), ("least", 16), ("most", 512)],
            ..COST
        },
        Experiment {
            workload: "alloc/realloc",
            summary: "8 buffers grow in turn from 64 bytes to 28 KiB, by a half each time, and are filled",
            operation: "step",
            params: &[("buffers", 8), ("steps", 16)],
            ..COST
        },
        Experiment {
            workload: "alloc/realloc-large",
            summary: "a buffer grows from 64 bytes to 8 MiB, by a half each time, and is filled",
            operation: "step",
            params: &[("buffers", 1), ("steps", 30)],
            ..COST
        },
        Experiment {
            workload: "alloc/large",
            summary: "64 KiB to 4 MiB, 8 blocks live, a byte in each page touched",
            params: &[("n", 16), ("live", 8), ("least", 64 << 10), ("most", 4 << 20)],
            ..COST
        },
    ]
}

/// As programs did.
pub(crate) fn replays() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "alloc/replay-python",
            summary: "what Python asked malloc for while it read and printed a JSON document, recorded: up to 47,117 blocks live, 5.6 MiB",
            params: &[("n", 122_182)],
            ..COST
        },
        Experiment {
            workload: "alloc/replay-gcc",
            summary: "what the C compiler asked malloc for while it compiled a file, recorded: up to 5,401 blocks live, 3.1 MiB",
            params: &[("n", 102_476)],
            ..COST
        },
    ]
}

/// A person's own recording of so many blocks, described in a sentence, as a comparison.
///
/// # Errors
/// When nothing is left of the selection.
pub fn replay(
    blocks: u64,
    summary: &str,
    selection: &Selection,
    contenders: &[Contender],
) -> Result<Vec<Plan>, SelectError> {
    let experiment = Experiment { workload: REPLAY, topic: REPLAYING, ..COST };
    let mut plans = of_experiments(&[experiment], selection, contenders)?;
    for plan in &mut plans {
        summary.clone_into(&mut plan.summary);
        plan.params = Params::from([("n", blocks)]);
    }
    Ok(plans)
}

/// In several.
pub(crate) fn together() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "alloc/handover",
            summary: "16 to 512 bytes, allocated by one thread and freed by another",
            params: &[("n", 4_096), ("least", 16), ("most", 512)],
            ..SHARED
        },
        Experiment {
            workload: "alloc/threads-small",
            summary: "16 to 512 bytes, by one thread beside one that computes, and by two at once: what a thread pays",
            params: &[("n", 4_000), ("live", 1_000), ("least", 16), ("most", 512)],
            ..THREADS
        },
        Experiment {
            workload: "alloc/threads-medium",
            summary: "2 to 8 KiB, more than glibc keeps for a thread, by one thread beside one that computes, and by two at once",
            params: &[("n", 4_000), ("live", 100), ("least", 2_048), ("most", 8_192)],
            ..THREADS
        },
    ]
}

/// What they have of the system's memory.
pub(crate) fn holding() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "alloc/fragmentation",
            summary: "five times 100,000 blocks, each time twice as large, one in eight of which stays: resident over what is live",
            kind: Kind::Event,
            metric: "resident_over_live",
            params: &[("n", 100_000), ("phases", 5)],
            ..COST
        },
        Experiment {
            workload: "alloc/give-back",
            summary: "64 MiB in blocks of 1 KiB freed: percent that is resident at once, a while later, and once others were allocated",
            kind: Kind::Behaviour,
            metric: "at_once_resident_percent",
            params: &[("idle_ms", 1_000)],
            full_params: &[("idle_ms", 12_000)],
            ..COST
        },
        Experiment {
            workload: "alloc/second-thread",
            summary: "20,000 blocks of 64 bytes by the main thread, then by a second one: MiB by which VIRT and RES grow, the stack aside",
            kind: Kind::Behaviour,
            metric: "second_mapped_mib",
            params: &[("n", 20_000)],
            field: Field::Only(&["glibc", "glibc-one-arena", "jemalloc", "mimalloc"]),
            ..COST
        },
    ]
}

/// Python's.
pub(crate) fn python() -> Vec<Experiment> {
    vec![Experiment {
        workload: "alloc/python",
        summary: "which of Python's requests come to malloc, seen by alloc-trace from outside, and which tracemalloc sees: percent",
        kind: Kind::Behaviour,
        operation: "look",
        metric: "object_512_by_malloc_percent",
        params: &[("n", 5_000)],
        reference: "python",
        field: Field::Only(&["python"]),
        program: Program::TracedPython,
        ..COST
    }]
}

/// What people say about them.
pub(crate) fn claims() -> Vec<Claim> {
    [arenas(), pymalloc()].concat()
}

/// What people say about Python's.
fn pymalloc() -> Vec<Claim> {
    let seen = |label: &str, metric: &str, least: Option<f64>, most: Option<f64>| Leg {
        at_least: least,
        at_most: most,
        ..figure(label, "alloc/python", Pinned, metric, "python")
    };
    let (object, native) = ("object_512_by_malloc_percent", "native_by_malloc_percent");
    vec![
        claim(
            "pymalloc-512",
            "PyMalloc serves objects up to 512 bytes, the rest goes to malloc",
            "calls of malloc, percent of 5,000 bytes objects, header and all",
            vec![
                seen("512 bytes", object, None, Some(10.0)),
                seen("513 bytes", "object_513_by_malloc_percent", Some(90.0), Some(110.0)),
            ],
        ),
        claim(
            "pymalloc-bypass",
            "native allocations bypass PyMalloc",
            "calls of malloc, percent of 5,000 requests: of 64 bytes, by a C function called from Python; objects of 512 bytes beside them",
            vec![seen("native", native, Some(90.0), Some(110.0)), seen("objects", object, None, Some(10.0))],
        ),
        claim(
            "tracemalloc-native",
            "tracemalloc doesn't see native allocations; a malloc hook does",
            "percent of 5,000 requests by a C function that knows nothing of Python; a library may tell tracemalloc of its own, as numpy does",
            vec![
                seen("tracemalloc", "native_by_tracemalloc_percent", None, Some(10.0)),
                seen("a hook, alloc-trace", native, Some(90.0), Some(110.0)),
                seen("objects, tracemalloc", "object_by_tracemalloc_percent", Some(90.0), Some(110.0)),
            ],
        ),
    ]
}

/// What people say about the C library's arenas.
fn arenas() -> Vec<Claim> {
    let contended = |label: &str, workload: &str, runtime: &str| Leg {
        versus: Some(runtime.to_owned()),
        at_least: Some(1.25),
        ..figure(label, workload, Free, WALL, &format!("{runtime}@2threads"))
    };
    let grown = |label: &str, metric: &str, contender: &str, least: Option<f64>, most: f64| Leg {
        at_least: least,
        at_most: Some(most),
        ..figure(label, "alloc/second-thread", Pinned, metric, contender)
    };
    vec![
        claim(
            "malloc-lock",
            "malloc takes a lock per arena: threads contend",
            "a pair while another thread does the same, over one while it computes; contend means by a quarter; each thread has its own cache for small \
             blocks, and its own arena while there are few threads",
            vec![
                contended("small blocks", "alloc/threads-small", "glibc"),
                contended("2 to 8 KiB", "alloc/threads-medium", "glibc"),
                contended("small blocks, one arena", "alloc/threads-small", "glibc-one-arena"),
                contended("2 to 8 KiB, one arena", "alloc/threads-medium", "glibc-one-arena"),
            ],
        ),
        claim(
            "second-thread-arena",
            "small requests of a second thread grow VIRT by an arena",
            "MiB, for 20,000 blocks of 64 bytes, the thread's stack aside; an arena has 64, and comes with a thread's first request, which \
             is made by the start of a Rust thread itself",
            vec![
                grown("main thread", "main_mapped_mib", "glibc", None, 4.0),
                grown("second thread", "second_mapped_mib", "glibc", Some(63.0), 66.0),
                grown("its RES", "second_resident_mib", "glibc", None, 4.0),
                grown("second thread where there may be one arena", "second_mapped_mib", "glibc-one-arena", None, 4.0),
            ],
        ),
    ]
}

/// What one small iteration of each comes to: the sum of its blocks' numbers.
pub(crate) fn vectors() -> Vec<Vector> {
    let vector = |workload, params: &[(&str, u64)], ops, blocks| {
        let params = Params(params.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect());
        Vector { workload, params, ops, checksum: mixed(blocks) }
    };
    let churn = |n| [("n", n), ("live", 10), ("least", 16), ("most", 512)];
    let threads = |n| [("n", n), ("live", 10), ("least", 16), ("most", 512), ("threads", 2)];
    vec![
        vector("alloc/churn", &churn(200), 200, 200),
        vector("alloc/threads-small", &threads(200), 200, 200),
        vector("alloc/threads-medium", &threads(100), 100, 100),
        vector("alloc/handover", &[("n", 600), ("least", 16), ("most", 512)], 600, 600),
        vector("alloc/realloc", &[("buffers", 3), ("steps", 9)], 27, 27),
        vector("alloc/realloc-large", &[("buffers", 1), ("steps", 20)], 20, 20),
        vector("alloc/large", &[("n", 20), ("live", 3), ("least", 65_536), ("most", 262_144)], 20, 20),
        vector("alloc/fragmentation", &[("n", 500), ("phases", 3)], 1_500, 1_500),
        vector("alloc/replay-python", &[("n", 3_000)], 3_000, 3_000),
        vector("alloc/replay-gcc", &[("n", 3_000)], 3_000, 3_000),
        vector("alloc/give-back", &[("idle_ms", 1)], 1, 65_536),
        vector("alloc/second-thread", &[("n", 100)], 1, 100),
        vector("alloc/python", &[("n", 2_000)], 1, 1),
    ]
}

#[cfg(test)]
mod tests {
    use bench_harness::host::Launch;

    use super::*;

    #[test]
    fn a_recording_is_compared_as_it_is_described() {
        let launch = Launch { program: "free".into(), args: Vec::new() };
        let contender = |name: &str| Contender { name: name.to_owned(), launch: launch.clone(), added: false };
        let all = ["glibc", "glibc-one-arena", "jemalloc", "mimalloc"].map(contender);
        let of = |allocators: &[&str]| {
            let runtimes = allocators.iter().map(|name| (*name).to_owned()).collect();
            replay(77, "a program", &Selection { runtimes, ..Selection::default() }, &all)
        };
        let [plan] = &of(&[]).unwrap()[..] else { panic!("one workload") };
        assert_eq!((plan.title().as_str(), plan.summary.as_str()), ("alloc/replay · pinned", "a program"));
        assert_eq!((plan.params.integer("n", 0..=100), plan.entries.len()), (Ok(77), 3));
        let names: Vec<String> = of(&["mimalloc"]).unwrap()[0].entries.iter().map(|entry| entry.name.clone()).collect();
        assert_eq!(names, ["glibc", "mimalloc"]);
        assert!(matches!(of(&["mymalloc"]), Err(SelectError::Runtime { .. })));
    }

    #[test]
    fn every_workload_has_a_vector_and_the_parameters_of_one() {
        let experiments = [alone(), replays(), together(), holding(), python()].concat();
        let vectors = vectors();
        assert_eq!(vectors.len(), experiments.len());
        for experiment in experiments {
            let vector = vectors.iter().find(|vector| vector.workload == experiment.workload);
            let mut keys: Vec<&str> = experiment.params.iter().map(|(key, _)| *key).collect();
            if let Field::Varied { parameter, .. } = experiment.field {
                keys.push(parameter);
            }
            keys.sort_unstable();
            let known = vector.map(|vector| vector.params.0.keys().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(known, Some(keys), "{}", experiment.workload);
        }
    }
}
