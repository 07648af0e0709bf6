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
//! | `alloc/large` | as `churn`, a byte in each page touched; what is resident over what is live | a malloc and a free |
//! | `alloc/fragmentation` | `phases` of `n` blocks, each twice as large as those before; one in eight is kept | a malloc and a free |
//! | `alloc/give-back` | 64 MiB in blocks of 1 KiB freed: what is resident at once, `idle_ms` later, and when others were allocated | all of it |
//! | `alloc/second-thread` | `n` small blocks, by the main thread and by a second one: what the process grows by | all of it |
//! | `alloc/replay-python`, `alloc/replay-gcc` | the first `n` blocks of a program's, as it allocated, resized and freed them | a malloc and a free |
//! | `alloc/replay` | the same of a program that you have traced: `cargo xtask compare-allocators --replay F`, or the argument `--replay` | a malloc and a free |
//! | `memory-free` | what is resident and mapped when 64 MiB were freed but for a hundredth, then all | all of it |
//!
//! A block begins with a number that whoever frees it adds up: the checksum is the sum of them all. Rust's collections say how large the
//! block is that they free, and jemalloc makes use of it.
//!
//! What a replay keeps of a program, and what not, and how the two recordings were made, stands in [`replay`].
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
pub mod replay;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use bench_harness::child::{Contender, Prepared, serve};
use bench_harness::protocol::{Hello, PROTO, Params, Prepare, Refusal};

/// What sets a workload up, from its parameters and a seed.
type SetUp = fn(&Params, u64) -> Result<Box<dyn Prepared>, Refusal>;

/// The workloads.
const WORKLOADS: [(&str, SetUp); 13] = [
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
    ("alloc/replay-python", replay::python),
    ("alloc/replay-gcc", replay::gcc),
    ("memory-free", give_back::sparse),
];

/// What a person's own recording is called.
const REPLAY: &str = "alloc/replay";

/// Takes part in the lab's comparisons under this name; with `--print` prints what there is to be found in `memory-free`, in percent. With
/// `--replay F` it has a workload more, the recording in the file F.
///
/// # Errors
/// When the process can't be looked at, or nobody listens.
pub fn run(name: &'static str) -> std::io::Result<()> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == "--print") {
        let found = give_back::found().map_err(std::io::Error::other)?;
        let mut out = std::io::stdout().lock();
        return found.iter().try_for_each(|(name, percent)| writeln!(out, "{name:<24} {percent:>4}"));
    }
    let asked = words.iter().position(|word| word == "--replay");
    let recording = asked.and_then(|place| words.get(place + 1)).map(PathBuf::from);
    serve(&mut Program { name, recording })
}

struct Program {
    name: &'static str,
    /// A person's own.
    recording: Option<PathBuf>,
}

impl Contender for Program {
    fn hello(&self) -> Hello {
        let own = self.recording.iter().map(|_| REPLAY);
        Hello {
            proto: PROTO,
            name: self.name.into(),
            lang: "rust".into(),
            runtime: self.name.into(),
            workloads: WORKLOADS.iter().map(|(name, _)| *name).chain(own).map(str::to_owned).collect(),
            clock: "CLOCK_MONOTONIC".into(),
            threads: 1,
            tags: Vec::new(),
        }
    }

    fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
        if request.workload == REPLAY
            && let Some(recording) = &self.recording
        {
            return replay::of(recording, &request.params, request.seed);
        }
        let known = WORKLOADS.iter().find(|(name, _)| *name == request.workload);
        let (_, set_up) =
            known.ok_or_else(|| Refusal::unsupported(format!("{:?} is none of its", request.workload)))?;
        set_up(&request.params, request.seed)
    }
}
