//! What small requests make the process grow by, in the main thread and in a second one.
//!
//! The C library's allocator gives a thread an arena when it first asks for memory, and in Rust that is before the thread's own code runs: its
//! start asks for the stack's bounds (`pthread_getattr_np`, which allocates), so that the arena is there with any other allocator, too.

use std::sync::{Arc, Barrier};
use std::thread;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};

use crate::block::{Block, numbers};
use crate::footprint::{Footprint, mebibytes};

/// How large the requests are, bytes.
const BLOCK: usize = 64;
/// The second thread's stack, bytes, which is none of the allocator's.
const STACK: usize = 1 << 20;

pub(crate) fn prepare(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    Ok(Box::new(SecondThread { n: params.integer("n", 1..=1_000_000)? as usize, seed }))
}

struct SecondThread {
    n: usize,
    seed: u64,
}

impl SecondThread {
    /// Allocates the blocks.
    fn blocks(n: usize, seed: u64) -> Vec<Block> {
        numbers(seed).take(n).map(|number| Block::new(BLOCK, number)).collect()
    }

    fn once(&self) -> Result<(Vec<(String, f64)>, u64), Refusal> {
        let &Self { n, seed } = self;
        let first = Footprint::now()?;
        let own = Self::blocks(n, seed);
        // A barrier, for it needs no memory.
        let turns = Arc::new(Barrier::new(2));
        let before = Footprint::now()?;
        let work = {
            let turns = Arc::clone(&turns);
            move || {
                turns.wait();
                turns.wait();
                let blocks = Self::blocks(n, seed);
                turns.wait();
                turns.wait();
                sum(&blocks)
            }
        };
        let second = thread::Builder::new().stack_size(STACK).spawn(work);
        let second = second.map_err(|error| Refusal::failed(error.to_string()))?;
        let begun = look_between(&turns);
        let after = look_between(&turns);
        let second = second.join().map_err(|_| Refusal::failed("the second thread died"))?;
        let (begun, after) = (begun?, after?);
        if sum(&own) != second {
            return Err(Refusal::failed("two threads came to different sums"));
        }
        let found = [
            ("main_mapped_mib", mebibytes(before.mapped, first.mapped)),
            ("second_begun_mapped_mib", mebibytes(begun.mapped, before.mapped + STACK as u64)),
            ("second_mapped_mib", mebibytes(after.mapped, before.mapped + STACK as u64)),
            ("second_resident_mib", mebibytes(after.resident, before.resident)),
        ];
        Ok((found.map(|(name, value)| (name.to_owned(), value)).into(), second))
    }
}

/// Looks while the other thread waits between two turns.
fn look_between(turns: &Barrier) -> Result<Footprint, Refusal> {
    turns.wait();
    let seen = Footprint::now();
    turns.wait();
    seen
}

fn sum(blocks: &[Block]) -> u64 {
    blocks.iter().fold(0, |sum, block| sum.wrapping_add(block.number()))
}

impl Prepared for SecondThread {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let (mut found, mut sum) = self.once()?;
        for _ in 1..iters {
            (found, sum) = self.once()?;
        }
        Ok(Work { values: found.into_iter().collect(), ..Work::new(iters, sum) })
    }
}
