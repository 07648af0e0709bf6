//! What of memory that was freed is still resident, and still mapped, and when that changes.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};

use crate::block::{Block, numbers};
use crate::footprint::{Footprint, percent};

/// How much is allocated, in blocks of [`BLOCK`] bytes.
const TOTAL: usize = 64 << 20;
const BLOCK: usize = 1024;
/// One block in so many is kept for a while.
const KEPT: usize = 100;
/// A block that stands alone.
const LARGE: usize = 40 << 20;
/// How many blocks are allocated and freed in the end: allocators look after what is idle while they are asked for something.
const LATER: usize = 10_000;

/// `alloc/give-back`: at once, after a while, and once others were allocated.
pub(crate) fn prepare(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let idle = Duration::from_millis(params.integer("idle_ms", 0..=15_000)?);
    Ok(Box::new(Moments { idle, seed }))
}

/// `memory-free`: all but a hundredth, all, and a large block.
#[expect(clippy::unnecessary_wraps, reason = "all workloads have this form")]
pub(crate) fn sparse(_: &Params, _: u64) -> Result<Box<dyn Prepared>, Refusal> {
    Ok(Box::new(Sparse))
}

struct Moments {
    idle: Duration,
    seed: u64,
}

impl Moments {
    fn once(&self) -> Result<(BTreeMap<String, f64>, u64), Refusal> {
        let mut found = BTreeMap::new();
        let first = Footprint::now()?;
        let mut note = |when: &str| -> Result<(), Refusal> {
            let now = Footprint::now()?;
            found.insert(format!("{when}_resident_percent"), percent(now.resident, first.resident, TOTAL));
            Ok(())
        };
        let blocks: Vec<Block> =
            numbers(self.seed).take(TOTAL / BLOCK).map(|number| Block::new(BLOCK, number)).collect();
        let sum = blocks.iter().fold(0_u64, |sum, block| sum.wrapping_add(block.number()));
        drop(blocks);
        note("at_once")?;
        thread::sleep(self.idle);
        note("after_idle")?;
        for number in numbers(self.seed).take(LATER) {
            drop(Block::new(2 * BLOCK, number));
        }
        note("after_use")?;
        Ok((found, sum))
    }
}

impl Prepared for Moments {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let (mut values, mut sum) = self.once()?;
        for _ in 1..iters {
            (values, sum) = self.once()?;
        }
        Ok(Work { values, ..Work::new(iters, sum) })
    }
}

struct Sparse;

impl Prepared for Sparse {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        Ok(Work { values: found()?, ..Work::new(iters, 1) })
    }
}

/// What `memory-free` finds.
pub(crate) fn found() -> Result<BTreeMap<String, f64>, Refusal> {
    let mut found = BTreeMap::new();
    let first = Footprint::now()?;
    let mut note = |when: &str, whole: usize, first: Footprint| -> Result<(), Refusal> {
        let now = Footprint::now()?;
        found.insert(format!("{when}mapped_percent"), percent(now.mapped, first.mapped, whole));
        found.insert(format!("{when}resident_percent"), percent(now.resident, first.resident, whole));
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
    let first = Footprint::now()?;
    drop(black_box(vec![1_u8; LARGE]));
    note("large_", LARGE, first)?;
    Ok(found)
}
