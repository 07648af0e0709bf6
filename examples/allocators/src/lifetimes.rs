//! Blocks that live for different lengths of time, and what they keep of the memory around them.

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};
use bench_harness::rng::SplitMix64;

use crate::block::{Block, numbers};
use crate::footprint::{Footprint, percent};

/// The first phase's blocks have from so many bytes to three times as many.
const SMALLEST: u64 = 32;
/// One block in so many outlives its phase.
const KEPT: u64 = 8;

pub(crate) fn prepare(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let n = params.integer("n", 1..=1_000_000)? as usize;
    let phases = params.integer("phases", 1..=10)? as usize;
    // Tables that need no memory any more, while it is looked at.
    let table = |places: usize| {
        let mut table: Vec<Block> = (0..places).map(|_| Block::none()).collect();
        table.clear();
        table
    };
    Ok(Box::new(Lifetimes { n, phases, seed, passing: table(n), kept: table(n * phases) }))
}

struct Lifetimes {
    n: usize,
    phases: usize,
    seed: u64,
    passing: Vec<Block>,
    kept: Vec<Block>,
}

/// How far the process has grown over what is live.
struct Grown {
    first: Footprint,
    last: Footprint,
    live: usize,
    most_live: usize,
}

impl Lifetimes {
    /// All phases, and the sum of the numbers of what was freed.
    fn pass(&mut self) -> Result<(Grown, u64), Refusal> {
        let first = Footprint::now()?;
        let mut rng = SplitMix64::new(!self.seed);
        let mut numbers = numbers(self.seed);
        let (mut sum, mut live, mut most_live) = (0_u64, 0, 0);
        for phase in 0..self.phases {
            for number in numbers.by_ref().take(self.n) {
                let smallest = SMALLEST << phase;
                let block = Block::new((smallest + rng.below(2 * smallest + 1)) as usize, number);
                live += block.bytes();
                self.passing.push(block);
            }
            most_live = most_live.max(live);
            for block in self.passing.drain(..) {
                if rng.below(KEPT) == 0 {
                    self.kept.push(block);
                } else {
                    live -= block.bytes();
                    sum = sum.wrapping_add(block.number());
                }
            }
        }
        Ok((Grown { first, last: Footprint::now()?, live, most_live }, sum))
    }

    fn once(&mut self) -> Result<(Vec<(String, f64)>, u64), Refusal> {
        let (grown, mut sum) = self.pass()?;
        for block in self.kept.drain(..) {
            sum = sum.wrapping_add(block.number());
        }
        let end = Footprint::now()?;
        let over = |now: u64, first: u64, live: usize| now.saturating_sub(first) as f64 / live.max(1) as f64;
        let Grown { first, last, live, most_live } = grown;
        let found = [
            ("resident_over_live", over(last.resident, first.resident, live)),
            ("mapped_over_live", over(last.mapped, first.mapped, live)),
            ("peak_resident_over_live", over(last.peak, first.resident, most_live)),
            ("left_resident_percent", percent(end.resident, first.resident, most_live)),
        ];
        Ok((found.map(|(name, value)| (name.to_owned(), value)).into(), sum))
    }
}

impl Prepared for Lifetimes {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let (mut found, mut sum) = self.once()?;
        for _ in 1..iters {
            (found, sum) = self.once()?;
        }
        let operations = iters * (self.n * self.phases) as u64;
        Ok(Work { values: found.into_iter().collect(), ..Work::new(operations, sum) })
    }
}
