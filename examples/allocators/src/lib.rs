//! One and the same program with one allocator after the other: each a binary of its own, that differs in its `#[global_allocator]` alone.
//! They take part in the lab's comparison of allocators, and in the claims about them:
//!
//! ```sh
//! cargo xtask compare-allocators
//! cargo xtask claims --only jemalloc-keeps
//! cargo run --release -p allocators --bin free-jemalloc -- --print
//! ```
//!
//! | workload | what it does | an operation |
//! |---|---|---|
//! | `alloc/churn` | `live` blocks of `least` to `most` bytes, of which a new one takes the place of any, `n` times | a malloc and a free |
//! | `alloc/threads-small`, `alloc/threads-medium` | the same in `threads` threads at once, each with blocks of its own; beside one there is one that computes | a malloc and a free of one thread |
//! | `alloc/handover` | one thread allocates `n` blocks, another frees them | a malloc and a free |
//! | `alloc/realloc`, `alloc/realloc-large` | `buffers` grow in turn from 64 bytes, by a half in each of `steps` | a step |
//! | `alloc/large` | as `churn`, a byte in each page touched | a malloc and a free |
//! | `alloc/fragmentation` | `phases` of `n` blocks, each twice as large as those before; one in eight is kept | a malloc and a free |
//! | `alloc/give-back` | 64 MiB in blocks of 1 KiB freed: what is resident at once, `idle_ms` later, and when others were allocated | all of it |
//! | `alloc/second-thread` | `n` small blocks, by the main thread and by a second one: what the process grows by | all of it |
//! | `memory-free` | what is resident and mapped when 64 MiB were freed but for a hundredth, then all | all of it |
//!
//! A block begins with a number that whoever frees it adds up: the checksum is the sum of them all. Rust's collections say how large the
//! block is that they free, and jemalloc makes use of it.
//!
//! Beside them `python_malloc.py` takes part: which of Python's requests come to the C library's allocator.
//!
//! Its tests put alloc-trace's allocator around the same ones. A package of its own, so that nothing else has to build an allocator written in C.
#![forbid(unsafe_code)]

mod arenas;
mod block;
mod churn;
mod footprint;
mod give_back;
mod growth;
mod handover;
mod lifetimes;

use std::io::Write;

use bench_harness::child::{Contender, Prepared, serve};
use bench_harness::protocol::{Hello, PROTO, Params, Prepare, Refusal};

/// What sets a workload up, from its parameters and a seed.
type SetUp = fn(&Params, u64) -> Result<Box<dyn Prepared>, Refusal>;

/// The workloads.
const WORKLOADS: [(&str, SetUp); 11] = [
    ("alloc/churn", churn::alone),
    ("alloc/threads-small", churn::threads),
    ("alloc/threads-medium", churn::threads),
    ("alloc/handover", handover::prepare),
    ("alloc/realloc", growth::prepare),
    ("alloc/realloc-large", growth::prepare),
    ("alloc/large", churn::touching),
    ("alloc/fragmentation", lifetimes::prepare),
    ("alloc/give-back", give_back::prepare),
    ("alloc/second-thread", arenas::prepare),
    ("memory-free", give_back::sparse),
];

/// Takes part in the lab's comparisons under this name; with `--print` prints what there is to be found in `memory-free`, in percent.
///
/// # Errors
/// When the process can't be looked at, or nobody listens.
pub fn run(name: &'static str) -> std::io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("--print") {
        let found = give_back::found().map_err(std::io::Error::other)?;
        let mut out = std::io::stdout().lock();
        return found.iter().try_for_each(|(name, percent)| writeln!(out, "{name:<24} {percent:>4}"));
    }
    serve(&mut Program(name))
}

struct Program(&'static str);

impl Contender for Program {
    fn hello(&self) -> Hello {
        Hello {
            proto: PROTO,
            name: self.0.into(),
            lang: "rust".into(),
            runtime: self.0.into(),
            workloads: WORKLOADS.map(|(name, _)| name.into()).into(),
            clock: "CLOCK_MONOTONIC".into(),
            threads: 1,
            tags: Vec::new(),
        }
    }

    fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
        let known = WORKLOADS.iter().find(|(name, _)| *name == request.workload);
        let (_, set_up) =
            known.ok_or_else(|| Refusal::unsupported(format!("{:?} is none of its", request.workload)))?;
        set_up(&request.params, request.seed)
    }
}
