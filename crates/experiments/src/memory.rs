//! Memory and maps: the workloads of the programs `mmap-demo` and `allocators`, what people say about memory, and test vectors.
//!
//! Names and questions are those of `mmap-demo list`; a workload is `memory-` and such a name. The usual comparison leaves them out, for its
//! first build is long enough: `cargo xtask claims` and whoever asks for one by its name have the programs built.

use bench_harness::claim::{Claim, Leg};
use bench_harness::placement::Placement::{Free, Pinned};
use bench_harness::plan::WALL;
use bench_harness::protocol::Params;
use bench_harness::report::Kind;

use crate::claims::{at_least, claim, figure};
use crate::vectors::Vector;
use crate::workloads::{Experiment, FREE, Field, PINNED, Program, RATE};

/// A comparison of ways of doing the same thing.
const COST: Experiment =
    Experiment { program: Program::MmapDemo, operation: "4 KiB page", standard: PINNED, full: PINNED, ..RATE };

/// What is found step by step: figures that are the same each time.
const FOUND: Experiment = Experiment { kind: Kind::Behaviour, operation: "walk", ..COST };

/// All of them.
pub(crate) fn experiments() -> Vec<Experiment> {
    [costs(), files(), walks()].concat()
}

fn costs() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "memory-fault",
            summary: "the first touch of a page: fresh, the zero page, shared, of a file in the page cache and on the disk",
            reference: "fault-anonymous",
            field: Field::Only(&[
                "fault-anonymous",
                "fault-zero-page",
                "fault-shared",
                "fault-populate",
                "fault-dev-zero",
                "fault-file",
                "fault-file-major",
                "fault-none",
            ]),
            ..COST
        },
        Experiment {
            workload: "memory-huge",
            summary: "2 MiB touched: in one huge page, checked to have come, and in 512 small ones",
            operation: "2 MiB",
            reference: "huge-small-pages",
            field: Field::Only(&["huge-small-pages", "huge-page"]),
            ..COST
        },
        Experiment {
            workload: "memory-unmap",
            summary: "munmap, mprotect and madvise of a page, each call alone, by itself and with a thread that computes on another core",
            operation: "call",
            reference: "unmap-alone",
            field: Field::Only(&[
                "unmap-alone",
                "unmap-with-thread",
                "protect-alone",
                "protect-with-thread",
                "dontneed-alone",
                "dontneed-with-thread",
            ]),
            standard: FREE,
            full: FREE,
            ..COST
        },
        Experiment {
            workload: "memory-malloc-cost",
            summary: "200,000 bytes allocated, touched at the beginning and freed, from the heap or as a mapping",
            operation: "malloc and free",
            reference: "malloc-heap",
            field: Field::Only(&["malloc-heap", "malloc-map"]),
            ..COST
        },
        Experiment {
            workload: "memory-fork",
            summary: "a child begun and ended, by what its parent has mapped and touched",
            operation: "child",
            reference: "fork-small",
            field: Field::Only(&["fork-small", "fork-256m-untouched", "fork-256m", "fork-256m-shared"]),
            ..COST
        },
        Experiment {
            workload: "memory-cow-cost",
            summary: "a child's first write to a page: its parent's, shared with it, nobody's yet",
            reference: "cow-fresh",
            field: Field::Only(&["cow-fresh", "cow-copied", "cow-shared"]),
            ..COST
        },
    ]
}

fn files() -> Vec<Experiment> {
    vec![
        Experiment {
            workload: "memory-sequential",
            summary: "64 MiB in the page cache from one end to the other",
            operation: "MiB",
            reference: "sequential-read-64k",
            field: Field::Only(&[
                "sequential-read-4k",
                "sequential-read-64k",
                "sequential-read-1m",
                "sequential-stream-64k",
                "sequential-direct-1m",
                "sequential-uring-64k",
                "sequential-map",
                "sequential-map-advised",
                "sequential-map-populate",
            ]),
            ..COST
        },
        Experiment {
            workload: "memory-random",
            summary: "8 bytes, and 4 KiB, here and there of 256 MiB in the page cache",
            operation: "access",
            reference: "random-pread",
            field: Field::Only(&[
                "random-pread",
                "random-pread-4k",
                "random-map",
                "random-map-4k",
                "random-map-advised",
                "random-map-advised-4k",
                "random-direct-4k",
                "random-uring-16",
            ]),
            ..COST
        },
        Experiment {
            workload: "memory-cold-sequential",
            summary: "16 MiB that are not in the page cache, from one end to the other",
            operation: "MiB",
            reference: "cold-sequential-read-64k",
            field: Field::Only(&[
                "cold-sequential-read-64k",
                "cold-sequential-map",
                "cold-sequential-map-advised",
                "cold-sequential-direct-1m",
                "cold-sequential-uring-64k",
            ]),
            ..COST
        },
        Experiment {
            workload: "memory-cold-random",
            summary: "4 KiB here and there of 128 MiB that are not in the page cache",
            operation: "access",
            reference: "cold-random-pread",
            field: Field::Only(&[
                "cold-random-pread",
                "cold-random-map",
                "cold-random-map-advised",
                "cold-random-direct",
                "cold-random-uring-16",
            ]),
            ..COST
        },
        Experiment {
            workload: "memory-durable",
            summary: "4 KiB written, and written to the disk",
            operation: "write",
            reference: "durable-write",
            field: Field::Only(&["durable-write", "durable-fsync"]),
            ..COST
        },
    ]
}

fn walks() -> Vec<Experiment> {
    macro_rules! walk {
        ($name:literal, $metric:literal, $summary:literal) => {
            Experiment {
                workload: concat!("memory-", $name),
                summary: $summary,
                metric: $metric,
                reference: $name,
                field: Field::Only(&[$name]),
                ..FOUND
            }
        };
    }
    vec![
        walk!("reserve", "untouched_resident_mib", "8 GiB mapped, 256 MiB of it touched: how much becomes resident"),
        walk!("malloc", "first_mapped_kib", "the smallest request that malloc maps, and what free gives back"),
        walk!(
            "faults",
            "fresh_major_percent",
            "which faults waited for a disk: on fresh memory, a warm file, a cold file"
        ),
        walk!("cow", "fork_copied_percent", "what of 128 MiB a forked child has for its own, and after writing"),
        walk!("advise", "dontneed_given_back_percent", "what MADV_COLD, MADV_FREE and MADV_DONTNEED give back"),
        walk!("stack", "thread_resident_percent", "how stacks grow, and what stops them"),
        walk!("shr", "shared_percent", "64 MiB of a file that nobody else has mapped: in SHR, and shared"),
        walk!("zero", "dev_zero_percent", "64 MiB of /dev/zero, private, beside 64 MiB without a file"),
        walk!(
            "truncation",
            "bare_map_dies",
            "a file that is cut under its reader: who dies of it, and who gets an error"
        ),
        walk!("gpu", "context_virtual_gib", "a GPU's context, 1 GiB of its memory, 256 MiB pinned: what the host pays"),
        Experiment {
            workload: "memory-free",
            summary: "64 MiB in blocks of 1 KiB freed but for one in a hundred, then all: what is still resident and mapped, in percent",
            metric: "resident_percent",
            reference: "glibc",
            field: Field::Only(&["glibc", "jemalloc", "mimalloc"]),
            program: Program::Allocators,
            ..FOUND
        },
    ]
}

/// What people say about memory.
pub(crate) fn claims() -> Vec<Claim> {
    [allocating(), touching(), reading(), telling(), on_a_gpu()].concat()
}

/// A figure that a walk finds.
fn found(label: &str, contender: &str, workload: &str, metric: &str) -> Leg {
    figure(label, &format!("memory-{workload}"), Pinned, metric, contender)
}

/// The time of a way over another's.
fn cost(label: &str, workload: &str, contender: &str, versus: &str) -> Leg {
    Leg { versus: Some(versus.to_owned()), ..found(label, contender, workload, WALL) }
}

fn at_most(bound: f64, leg: Leg) -> Leg {
    Leg { at_most: Some(bound), ..leg }
}

fn within(low: f64, high: f64, leg: Leg) -> Leg {
    at_least(low, at_most(high, leg))
}

fn allocating() -> Vec<Claim> {
    let malloc = |label: &str, metric: &str| found(label, "malloc", "malloc", metric);
    let free = |label: &str, who: &str, metric: &str| found(label, who, "free", metric);
    vec![
        claim(
            "malloc-128k",
            "malloc uses mmap above 128 KiB",
            "KiB of the smallest request that is mapped while the heap has no room; and whether the same request is mapped again once it \
             was freed, 1 or 0: each free of a mapped block raises the threshold to its size, up to 32 MiB",
            vec![
                within(127.0, 129.0, malloc("the first one", "first_mapped_kib")),
                at_least(1.0, malloc("the same again", "again_mapped")),
            ],
        ),
        claim(
            "malloc-fresh-heap",
            "on a fresh heap malloc maps only larger requests",
            "bytes by which the first request that is mapped is larger than once the heap's room is used up: what fits there comes from the heap, \
             of which a program without a start-up of its own has 3.4 KiB more than 128 KiB, and Rust's some hundred bytes",
            vec![within(16.0, 3_440.0, malloc("more", "fresh_more_bytes"))],
        ),
        claim(
            "free-gives-back",
            "free of a mapped block gives it back at once, of a heap block not",
            "percent of what was freed that is no longer resident; malloc_trim gives the heap's back",
            vec![
                at_least(90.0, malloc("40 MiB mapped", "mapped_given_back_percent")),
                at_most(10.0, malloc("38 MiB in blocks of the heap", "heap_given_back_percent")),
            ],
        ),
        claim(
            "jemalloc-keeps",
            "jemalloc keeps memory for reuse instead of unmapping it",
            "percent of 64 MiB in blocks of 1 KiB, right after all were freed",
            vec![
                at_least(80.0, free("still mapped", "jemalloc", "mapped_percent")),
                at_least(80.0, free("still resident", "jemalloc", "resident_percent")),
            ],
        ),
        claim(
            "allocators-give-back",
            "glibc gives small blocks back when all of them are freed, jemalloc and mimalloc keep them",
            "percent of 64 MiB in blocks of 1 KiB that are still resident",
            vec![
                at_most(20.0, free("glibc", "glibc", "resident_percent")),
                at_least(80.0, free("jemalloc", "jemalloc", "resident_percent")),
                at_least(80.0, free("mimalloc", "mimalloc", "resident_percent")),
            ],
        ),
        claim(
            "mapping-per-request",
            "a mapping for each request costs a hundred times as much as the heap",
            "200,000 bytes",
            vec![at_least(100.0, cost("mapping over heap", "malloc-cost", "malloc-map", "malloc-heap"))],
        ),
    ]
}

fn touching() -> Vec<Claim> {
    let reserve = |label: &str, metric: &str| found(label, "reserve", "reserve", metric);
    let cow = |label: &str, metric: &str| found(label, "cow", "cow", metric);
    vec![
        claim(
            "untouched-memory",
            "virtual memory costs nothing until touched",
            "MiB of 8 GiB that are resident before a byte is touched, and percent of 256 MiB after all were",
            vec![
                at_most(1.0, reserve("8 GiB mapped, MiB", "untouched_resident_mib")),
                within(90.0, 110.0, reserve("256 MiB touched, percent", "touched_percent")),
            ],
        ),
        claim(
            "fault-cost",
            "a page fault costs about a microsecond",
            "about means a third to three times",
            vec![within(333.0, 3_000.0, found("fresh memory", "fault-anonymous", "fault", WALL))],
        ),
        claim(
            "faults-are-swap",
            "a page fault means the page was swapped to disk",
            "percent of the pages whose fault waited for a disk",
            vec![
                at_least(90.0, found("fresh memory", "faults", "faults", "fresh_major_percent")),
                at_least(90.0, found("a file in the page cache", "faults", "faults", "warm_file_major_percent")),
            ],
        ),
        claim(
            "fork-copies-little",
            "fork copies little memory, but its cost grows with the resident size",
            "percent of 128 MiB that the child has for its own; and the time of a fork over that of a small process",
            vec![
                at_most(10.0, cow("copied by the fork", "fork_copied_percent")),
                within(90.0, 110.0, cow("copied when written to", "private_copied_percent")),
                at_least(3.0, cost("256 MiB resident", "fork", "fork-256m", "fork-small")),
                within(0.67, 1.5, cost("256 MiB mapped", "fork", "fork-256m-untouched", "fork-small")),
            ],
        ),
        claim(
            "copy-on-write",
            "a child's first write to a page costs a copy of it, and of shared memory none",
            "page by page, of 8 MiB: over a page that nobody had, and over one that is copied",
            vec![
                at_least(1.1, cost("copied over fresh", "cow-cost", "cow-copied", "cow-fresh")),
                at_most(0.8, cost("shared over copied", "cow-cost", "cow-shared", "cow-copied")),
            ],
        ),
        claim(
            "huge-page",
            "a huge page costs less than the 512 small ones that it stands for",
            "2 MiB, each small page of it written to; less means by a fifth",
            vec![at_most(0.8, cost("one fault over 512", "huge", "huge-page", "huge-small-pages"))],
        ),
        claim(
            "advice-gives-back",
            "madvise gives memory back at once",
            "percent of 64 MiB that are no longer resident",
            vec![
                at_least(90.0, found("MADV_DONTNEED", "advise", "advise", "dontneed_given_back_percent")),
                at_least(90.0, found("MADV_FREE", "advise", "advise", "free_given_back_percent")),
                at_least(90.0, found("MADV_COLD", "advise", "advise", "cold_given_back_percent")),
            ],
        ),
        claim(
            "stack-grows",
            "a stack costs what is used of it, and ends at a page that may not be touched",
            "percent of 4 MiB that the main thread's grew by, and of 64 MiB that a thread's costs when it begins; 1 if who runs off the end dies",
            vec![
                at_least(80.0, found("the main thread's", "stack", "stack", "main_grown_percent")),
                at_most(10.0, found("a thread's", "stack", "stack", "thread_resident_percent")),
                at_least(1.0, found("the end", "stack", "stack", "stopped")),
            ],
        ),
        claim(
            "anonymous-is-zero",
            "an anonymous map has no file: it equals a private map of /dev/zero",
            "percent of what was written to that counts as anonymous; and the time of a first touch",
            vec![
                within(90.0, 110.0, found("/dev/zero", "zero", "zero", "dev_zero_percent")),
                within(90.0, 110.0, found("no file", "zero", "zero", "anonymous_percent")),
                within(0.8, 1.25, cost("a first touch", "fault", "fault-dev-zero", "fault-anonymous")),
            ],
        ),
        claim(
            "shootdown",
            "a thread on another core makes munmap and mprotect dearer",
            "its TLB has to be told; dearer means by a third",
            vec![
                Leg { placement: Free, ..at_least(1.33, cost("munmap", "unmap", "unmap-with-thread", "unmap-alone")) },
                Leg {
                    placement: Free,
                    ..at_least(1.33, cost("mprotect", "unmap", "protect-with-thread", "protect-alone"))
                },
            ],
        ),
    ]
}

fn reading() -> Vec<Claim> {
    vec![
        claim(
            "map-saves-copy",
            "mapping a file saves a copy",
            "a file in the page cache, every 64th byte looked at; saves means by a twentieth",
            vec![at_most(0.95, cost("map over read", "sequential", "sequential-map", "sequential-read-64k"))],
        ),
        claim(
            "small-reads",
            "for small pieces of a file in memory a call to the kernel is many times as dear as a load from a mapping",
            "8 bytes here and there of 256 MiB; many means five",
            vec![at_least(5.0, cost("pread over a load", "random", "random-pread", "random-map"))],
        ),
        claim(
            "cold-map",
            "of a cold file it makes no difference whether it is mapped or read",
            "no difference means less than a factor of 1.5; here and there with nothing read ahead",
            vec![
                within(
                    0.67,
                    1.5,
                    cost(
                        "from one end to the other",
                        "cold-sequential",
                        "cold-sequential-map",
                        "cold-sequential-read-64k",
                    ),
                ),
                within(
                    0.67,
                    1.5,
                    cost("here and there", "cold-random", "cold-random-map-advised", "cold-random-pread"),
                ),
            ],
        ),
        claim(
            "cut-kills",
            "a mapped file that is cut kills its reader",
            "1 if it does: of a bare mapping, and of a view, which should give an error",
            vec![
                at_least(1.0, found("a bare mapping dies", "truncation", "truncation", "bare_map_dies")),
                at_least(1.0, found("a view gives an error", "truncation", "truncation", "view_gives_error")),
            ],
        ),
        claim(
            "written-is-safe",
            "what is written is safe",
            "were it on the disk when write returns, fsync would find nothing to do: at most 1.5x",
            vec![at_most(1.5, cost("write and fsync over write", "durable", "durable-fsync", "durable-write"))],
        ),
    ]
}

fn telling() -> Vec<Claim> {
    vec![claim(
        "shr-is-shared",
        "shared in top's columns means shared",
        "percent of 64 MiB of a file that nobody else has mapped",
        vec![
            within(90.0, 110.0, found("in SHR", "shr", "shr", "shr_percent")),
            at_least(90.0, found("mapped by others, too", "shr", "shr", "shared_percent")),
        ],
    )]
}

/// The notes' one sentence about GPUs, in three.
fn on_a_gpu() -> Vec<Claim> {
    let gpu = |label: &str, metric: &str| found(label, "gpu", "gpu", metric);
    vec![
        claim(
            "gpu-context-virtual",
            "a GPU's context reserves virtual memory",
            "GiB of VIRT that driver and context add",
            vec![at_least(1.0, gpu("driver and context", "context_virtual_gib"))],
        ),
        claim(
            "gpu-allocation",
            "a device allocation raises host VIRT and RES",
            "percent of 1 GiB on the device",
            vec![
                at_least(50.0, gpu("VIRT", "memory_virtual_percent")),
                at_least(50.0, gpu("RES", "memory_resident_percent")),
            ],
        ),
        claim(
            "gpu-bookkeeping",
            "a GPU's bookkeeping adds resident memory",
            "1 if driver and context add a MiB of RES or more",
            vec![at_least(1.0, gpu("driver and context", "context_adds_resident"))],
        ),
    ]
}

/// What one iteration of each comes to: an operation is what its summary names, and the checksum counts those of one iteration.
pub(crate) fn vectors() -> Vec<Vector> {
    let operations = |workload: &str| match workload {
        "memory-fault" => 1_024,
        "memory-cow-cost" => 2_048,
        "memory-sequential" | "memory-cold-random" => 64,
        "memory-cold-sequential" => 16,
        _ => 1,
    };
    let vector = |experiment: Experiment| Vector {
        workload: experiment.workload,
        params: Params::default(),
        ops: operations(experiment.workload),
        checksum: operations(experiment.workload),
    };
    experiments().into_iter().map(vector).collect()
}
