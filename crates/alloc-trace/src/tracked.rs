//! The allocator to install: it hands everything on, and counts.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::counters;

/// Counts what an allocator is asked for. To be installed in place of the allocator that it wraps:
///
/// ```
/// use std::alloc::System;
/// use alloc_trace::Tracked;
///
/// #[global_allocator]
/// static ALLOCATOR: Tracked<System> = Tracked::new(System);
///
/// let stats = alloc_trace::measure(|| drop(vec![0_u8; 100]));
/// assert_eq!((stats.allocations, stats.bytes, stats.frees), (1, 100, 1));
/// ```
///
/// Any other goes as well: `Tracked::new(tikv_jemallocator::Jemalloc)`, `Tracked::new(mimalloc::MiMalloc)`. Requests reach it as they
/// are, sizes and alignments unchanged, and what it returns is returned.
///
/// There is one set of counters in a process: what is allocated with several `Tracked` is counted together, and with one inside the other
/// twice.
#[derive(Debug, Default)]
pub struct Tracked<A = System>(A);

impl<A> Tracked<A> {
    /// Wraps an allocator.
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }

    /// The allocator that is wrapped.
    pub const fn inner(&self) -> &A {
        &self.0
    }
}

// SAFETY: every block is the wrapped allocator's, and is given back to it with the layout it was asked for; counting neither panics nor
// allocates.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Tracked<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: our caller's contract is theirs.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            counters::allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: our caller's contract is theirs, and the block came from there.
        unsafe { self.0.dealloc(block, layout) };
        counters::freed(layout.size());
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: our caller's contract is theirs.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if !block.is_null() {
            counters::allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: our caller's contract is theirs, and the block came from there.
        let moved = unsafe { self.0.realloc(block, layout, size) };
        if !moved.is_null() {
            counters::reallocated(layout.size(), size);
        }
        moved
    }
}
