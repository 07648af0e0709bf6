//! What of memory that was freed is still resident, and still mapped, for one allocator after the other: each a binary of its own, that
//! differs in its `#[global_allocator]` alone. They take part in the lab's comparison `memory-free`:
//!
//! ```sh
//! cargo xtask claims --only jemalloc-keeps
//! cargo run --release -p allocators --bin free-jemalloc -- --print
//! ```
//!
//! Its tests put alloc-trace's allocator around the same ones. A package of its own, so that nothing else has to build an allocator written in C.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;

use bench_harness::child::{BlockClock, Contender, Prepared, Work, serve};
use bench_harness::protocol::{Hello, PROTO, Prepare, Refusal};
use mmap_demo::{Detail, Figure, MemorySnapshot, Process};

/// The workload's name.
pub const WORKLOAD: &str = "memory-free";
/// How much is allocated, in blocks of [`BLOCK`] bytes.
const TOTAL: usize = 64 << 20;
const BLOCK: usize = 1024;
/// One block in so many is kept for a while.
const KEPT: usize = 100;
/// A block that stands alone.
const LARGE: usize = 40 << 20;

/// Takes part in the lab's comparison under this name; with `--print` prints what there is to be found, in percent.
///
/// # Errors
/// When the process can't be looked at, or nobody listens.
pub fn run(name: &'static str) -> std::io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("--print") {
        let found = found().map_err(std::io::Error::other)?;
        let mut out = std::io::stdout().lock();
        return found.iter().try_for_each(|(name, percent)| writeln!(out, "{name:<24} {percent:>4}"));
    }
    serve(&mut Free(name))
}

struct Free(&'static str);

impl Contender for Free {
    fn hello(&self) -> Hello {
        Hello {
            proto: PROTO,
            name: self.0.into(),
            lang: "rust".into(),
            runtime: self.0.trim_start_matches("free-").into(),
            workloads: vec![WORKLOAD.into()],
            clock: "CLOCK_MONOTONIC".into(),
            threads: 1,
            tags: Vec::new(),
        }
    }

    fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
        if request.workload == WORKLOAD {
            Ok(Box::new(Once))
        } else {
            Err(Refusal::unsupported(format!("it does {WORKLOAD} and nothing else")))
        }
    }
}

struct Once;

impl Prepared for Once {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let found = found().map_err(Refusal::failed)?;
        Ok(Work { values: found.into_iter().collect(), ..Work::new(iters, 1) })
    }
}

/// VIRT and RES, bytes.
fn memory() -> Result<[u64; 2], String> {
    let own = Process::own().and_then(|own| MemorySnapshot::of(&own, Detail::Sharing));
    let own = own.map_err(|error| error.to_string())?;
    Ok([Figure::Virtual, Figure::ResidentExact].map(|figure| own.get(figure).unwrap_or(0)))
}

/// Which share of `whole` there is above what there was at first, in whole tens of a percent.
fn percent(now: u64, first: u64, whole: usize) -> f64 {
    (now.saturating_sub(first) as f64 / whole as f64 * 10.0).round() * 10.0
}

fn found() -> Result<BTreeMap<String, f64>, String> {
    let mut found = BTreeMap::new();
    let first = memory()?;
    let mut note = |when: &str, whole: usize, first: [u64; 2]| -> Result<(), String> {
        let [mapped, resident] = memory()?;
        found.insert(format!("{when}mapped_percent"), percent(mapped, first[0], whole));
        found.insert(format!("{when}resident_percent"), percent(resident, first[1], whole));
        Ok(())
    };
    let mut blocks: Vec<Vec<u8>> = (0..TOTAL / BLOCK).map(|_| black_box(vec![1; BLOCK])).collect();
    let mut index = 0;
    blocks.retain(|_| {
        index += 1;
        index % KEPT == 0
    });
    note("sparse_", TOTAL, first)?;
    drop(blocks);
    note("", TOTAL, first)?;
    let first = memory()?;
    drop(black_box(vec![1_u8; LARGE]));
    note("large_", LARGE, first)?;
    Ok(found)
}
