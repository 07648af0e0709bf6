//! A block of memory that can be told from others, and how large blocks are.

use std::hint::black_box;

use bench_harness::protocol::{Params, Refusal};
use bench_harness::rng::SplitMix64;

/// The smallest block: one number.
pub(crate) const LEAST: u64 = 8;
const PAGE: usize = 4096;

/// A block from the allocator, with a number at its beginning and nothing else written.
pub(crate) struct Block(Vec<u8>);

impl Block {
    /// A block of `bytes`, at least [`LEAST`].
    #[inline]
    pub(crate) fn new(bytes: usize, number: u64) -> Self {
        let mut memory = Vec::with_capacity(bytes.max(LEAST as usize));
        memory.extend_from_slice(&number.to_le_bytes());
        // Or the compiler could see that nobody needs the memory.
        Self(black_box(memory))
    }

    /// Has a byte of each of its pages written.
    pub(crate) fn touched(mut self) -> Self {
        for byte in self.0.spare_capacity_mut().iter_mut().step_by(PAGE) {
            byte.write(1);
        }
        Self(black_box(self.0))
    }

    /// Whether it is longer than a page.
    #[inline]
    pub(crate) fn has_pages(&self) -> bool {
        self.bytes() > PAGE
    }

    /// Makes it this long, at least [`LEAST`], and has a byte of each page that is new written.
    pub(crate) fn resize(&mut self, bytes: usize) {
        let had = self.bytes();
        if bytes > had {
            self.0.reserve_exact(bytes - self.0.len());
            let had = had - self.0.len();
            for byte in self.0.spare_capacity_mut()[had..].iter_mut().step_by(PAGE) {
                byte.write(1);
            }
        } else {
            self.0.shrink_to(bytes.max(LEAST as usize));
        }
        black_box(&mut self.0);
    }

    /// No memory, for a table that is to be as large as it will get.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The number that it was made with.
    #[inline]
    pub(crate) fn number(&self) -> u64 {
        number_at(&self.0, 0)
    }

    /// Its size, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// The number that stands at this place; 0 where there is none.
#[inline]
pub(crate) fn number_at(bytes: &[u8], place: usize) -> u64 {
    let number = bytes.get(place..).and_then(|bytes| bytes.first_chunk());
    number.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The numbers that blocks are given: the same for everybody with this seed, and the lab's in its test vectors.
pub(crate) fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    // The generator takes a step before its first number, and the vectors' first one is the seed's own.
    let mut numbers = SplitMix64::new(seed.wrapping_sub(0x9e37_79b9_7f4a_7c15));
    std::iter::repeat_with(move || numbers.next_u64())
}

/// How large blocks are, bytes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    least: u64,
    most: u64,
}

impl Sizes {
    pub(crate) fn of(params: &Params) -> Result<Self, Refusal> {
        let least = params.integer("least", LEAST..=1 << 30)?;
        Ok(Self { least, most: params.integer("most", least..=1 << 30)? })
    }

    pub(crate) fn draw(self, rng: &mut SplitMix64) -> usize {
        (self.least + rng.below(self.most - self.least + 1)) as usize
    }
}
