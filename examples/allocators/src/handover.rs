//! One thread allocates, another frees.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};
use bench_harness::rng::SplitMix64;

use crate::block::{Block, Sizes, numbers};

/// Blocks go over by so many at once, so that it is the allocator that is measured, and not the channel.
const BATCH: usize = 256;
/// So many such lists go to and fro.
const LISTS: usize = 4;

pub(crate) fn prepare(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let n = params.integer("n", 1..=10_000_000)? as usize;
    let sizes = Sizes::of(params)?;
    let mut rng = SplitMix64::new(!seed);
    let blocks = numbers(seed).take(n).map(|number| (number, sizes.draw(&mut rng))).collect();
    let (full, received) = channel();
    let (emptied, empty) = channel();
    for _ in 0..LISTS {
        // It can't fail: the other end is here.
        let _ = emptied.send(Vec::with_capacity(BATCH));
    }
    let (sums, summed) = channel();
    let consumer = thread::Builder::new()
        .spawn(move || consume(&received, &emptied, &sums))
        .map_err(|error| Refusal::failed(error.to_string()))?;
    Ok(Box::new(Handover { blocks, full: Some(full), empty, summed, consumer: Some(consumer) }))
}

/// Blocks on their way, and whether the iteration ends with them.
type Batch = (Vec<Block>, bool);

/// Frees what comes; says after each iteration what its numbers add up to. It ends when nothing more can come.
fn consume(received: &Receiver<Batch>, emptied: &Sender<Vec<Block>>, sums: &Sender<u64>) {
    let mut sum = 0_u64;
    for (mut blocks, is_last) in received {
        for block in blocks.drain(..) {
            sum = sum.wrapping_add(block.number());
        }
        if emptied.send(blocks).is_err() || (is_last && sums.send(std::mem::take(&mut sum)).is_err()) {
            return;
        }
    }
}

struct Handover {
    /// Number and size of each.
    blocks: Vec<(u64, usize)>,
    full: Option<Sender<Batch>>,
    empty: Receiver<Vec<Block>>,
    summed: Receiver<u64>,
    consumer: Option<JoinHandle<()>>,
}

impl Handover {
    /// Makes all blocks once and sends them off; `None` when the consumer has died.
    fn produce(&self) -> Option<()> {
        let full = self.full.as_ref()?;
        for batch in self.blocks.chunks(BATCH) {
            let mut list = self.empty.recv().ok()?;
            list.extend(batch.iter().map(|&(number, bytes)| Block::new(bytes, number)));
            let is_last = std::ptr::eq(batch.as_ptr_range().end, self.blocks.as_ptr_range().end);
            full.send((list, is_last)).ok()?;
        }
        Some(())
    }

    /// All iterations, and what the last one came to.
    fn iterate(&self, iters: u64) -> Option<u64> {
        (0..iters).try_for_each(|_| self.produce())?;
        (0..iters).try_fold(0, |_, _| self.summed.recv().ok())
    }
}

impl Prepared for Handover {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let sum = self.iterate(iters).ok_or_else(|| Refusal::failed("the thread that frees has died"))?;
        Ok(Work::new(iters * self.blocks.len() as u64, sum))
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.full = None;
        if let Some(consumer) = self.consumer.take() {
            let _ = consumer.join();
        }
    }
}
