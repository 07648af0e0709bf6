//! Random calls of the global allocator beside a model of what they come to.
#![allow(clippy::cast_possible_wrap, reason = "blocks are small")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};

use alloc_trace::{Stats, measure};
use proptest::prelude::*;

/// A call; which block is meant counts from the first that is there.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Allocate {
        size: usize,
        align: usize,
        zeroed: bool,
    },
    Reallocate {
        block: usize,
        size: usize,
    },
    Free {
        block: usize,
    },
    /// A measure within.
    Measure(Vec<Call>),
}

pub(crate) fn calls() -> impl Strategy<Value = Vec<Call>> {
    let size = prop_oneof![6 => 1..200_usize, 3 => 1..5_000_usize, 1 => 100_000..200_000_usize];
    let align = (0..13_u32).prop_map(|power| 1 << power);
    let call = prop_oneof![
        3 => (size.clone(), align, any::<bool>()).prop_map(|(size, align, zeroed)| Call::Allocate { size, align, zeroed }),
        2 => (any::<usize>(), size).prop_map(|(block, size)| Call::Reallocate { block, size }),
        2 => any::<usize>().prop_map(|block| Call::Free { block }),
    ];
    let calls = prop::collection::vec(call, 0..30);
    calls.prop_recursive(3, 200, 6, |inner| {
        (inner.clone(), inner.clone(), inner).prop_map(|(mut before, within, after)| {
            before.push(Call::Measure(within));
            before.extend(after);
            before
        })
    })
}

/// Blocks that are there, each with a byte that all of it is filled with.
pub(crate) struct Blocks {
    blocks: Vec<(*mut u8, Layout, u8)>,
    next: u8,
}

/// What the calls should come to.
#[derive(Default)]
struct Model {
    expected: Stats,
    balance: i64,
}

impl Model {
    fn note(&mut self, allocated: Option<usize>, freed: Option<usize>) {
        if let Some(size) = freed {
            self.expected.frees += 1;
            self.expected.freed_bytes += size as u64;
        }
        if let Some(size) = allocated {
            self.expected.allocations += 1;
            self.expected.bytes += size as u64;
        }
        self.balance += allocated.unwrap_or(0) as i64 - freed.unwrap_or(0) as i64;
        self.expected.peak = self.expected.peak.max(self.balance.max(0) as u64);
    }

    fn absorb(&mut self, inner: &Self) {
        let peak = self.balance + inner.expected.peak as i64;
        self.expected.allocations += inner.expected.allocations;
        self.expected.bytes += inner.expected.bytes;
        self.expected.frees += inner.expected.frees;
        self.expected.freed_bytes += inner.expected.freed_bytes;
        self.expected.peak = self.expected.peak.max(peak.max(0) as u64);
        self.balance += inner.balance;
    }
}

impl Default for Blocks {
    /// The list itself must not grow while things are measured.
    fn default() -> Self {
        Self { blocks: Vec::with_capacity(10_000), next: 1 }
    }
}

impl Blocks {
    /// Makes the calls within a measure, and compares; those of measures within, too. Says what they came to.
    pub(crate) fn check(&mut self, calls: &[Call]) -> Stats {
        self.run(calls).expected
    }

    fn run(&mut self, calls: &[Call]) -> Model {
        let mut model = Model::default();
        let stats = measure(|| {
            for call in calls {
                self.call(call, &mut model);
            }
        });
        assert_eq!(stats, model.expected);
        assert_eq!(stats.retained(), model.balance);
        model
    }

    fn call(&mut self, call: &Call, model: &mut Model) {
        match call {
            Call::Allocate { size, align, zeroed } => {
                let layout = Layout::from_size_align(*size, *align).unwrap();
                // SAFETY: the size is not zero.
                let block = unsafe { if *zeroed { alloc_zeroed(layout) } else { alloc(layout) } };
                assert!(!block.is_null() && block.addr().is_multiple_of(*align));
                if *zeroed {
                    expect_filled(block, *size, 0);
                }
                self.next = self.next.wrapping_add(1);
                // SAFETY: as long as the block.
                unsafe { block.write_bytes(self.next, *size) };
                self.blocks.push((block, layout, self.next));
                model.note(Some(*size), None);
            }
            Call::Reallocate { block, size } if !self.blocks.is_empty() => {
                let index = block % self.blocks.len();
                let (old, layout, fill) = self.blocks[index];
                // SAFETY: the block is there, has that layout, and the size is not zero.
                let new = unsafe { realloc(old, layout, *size) };
                assert!(!new.is_null() && new.addr().is_multiple_of(layout.align()));
                expect_filled(new, layout.size().min(*size), fill);
                // SAFETY: as long as the block.
                unsafe { new.write_bytes(fill, *size) };
                self.blocks[index] = (new, Layout::from_size_align(*size, layout.align()).unwrap(), fill);
                model.note(Some(*size), Some(layout.size()));
            }
            Call::Free { block } if !self.blocks.is_empty() => {
                let (old, layout, fill) = self.blocks.swap_remove(block % self.blocks.len());
                expect_filled(old, layout.size(), fill);
                // SAFETY: the block is there and has that layout.
                unsafe { dealloc(old, layout) };
                model.note(None, Some(layout.size()));
            }
            Call::Measure(calls) => {
                let inner = self.run(calls);
                model.absorb(&inner);
            }
            Call::Reallocate { .. } | Call::Free { .. } => {}
        }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for (block, layout, _) in self.blocks.drain(..) {
            // SAFETY: the block is there and has that layout.
            unsafe { dealloc(block, layout) };
        }
    }
}

fn expect_filled(block: *const u8, size: usize, fill: u8) {
    // SAFETY: all of it was written.
    let bytes = unsafe { std::slice::from_raw_parts(block, size) };
    assert!(bytes.iter().all(|&byte| byte == fill), "a block's content was lost");
}
