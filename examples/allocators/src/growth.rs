//! Buffers that grow in turn, so that none has only free memory behind it.

use std::hint::black_box;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};

use crate::block::{number_at, numbers};

/// The first size, bytes.
const FIRST: usize = 64;

pub(crate) fn prepare(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let buffers = params.integer("buffers", 1..=1_000)?;
    // The last one has 100 MiB.
    let steps = params.integer("steps", 1..=36)?;
    let sizes = std::iter::successors(Some(FIRST), |size| Some(size + size / 2)).take(steps as usize);
    Ok(Box::new(Growth {
        sizes: sizes.collect(),
        numbers: numbers(seed).take((buffers * steps) as usize).collect(),
        buffers: (0..buffers).map(|_| Vec::new()).collect(),
    }))
}

struct Growth {
    sizes: Vec<usize>,
    numbers: Vec<u64>,
    buffers: Vec<Vec<u8>>,
}

impl Growth {
    /// Has all buffers grow to the last size and frees them; each step's number is at the place where the step began.
    fn once(&mut self) -> u64 {
        let mut numbers = self.numbers.iter();
        for &size in &self.sizes {
            for (buffer, number) in self.buffers.iter_mut().zip(&mut numbers) {
                buffer.reserve_exact(size - buffer.len());
                buffer.extend_from_slice(&number.to_le_bytes());
                buffer.resize(size, 1);
                black_box(buffer);
            }
        }
        let mut sum = 0_u64;
        for buffer in &mut self.buffers {
            for begin in std::iter::once(0).chain(self.sizes.iter().copied().take(self.sizes.len() - 1)) {
                sum = sum.wrapping_add(number_at(buffer, begin));
            }
            *buffer = Vec::new();
        }
        sum
    }
}

impl Prepared for Growth {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let sum = (0..iters).fold(0, |_, _| self.once());
        Ok(Work::new(iters * self.numbers.len() as u64, sum))
    }
}
