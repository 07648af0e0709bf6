//! The system's allocator with three counters: how often it was asked, what is out, and the most that ever was.
//!
//! For tests and benches, which claim that a run's events allocate nothing and that a task takes so many bytes. The counters are
//! global: whoever compares two readings must be the only one who allocates in between.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering::Relaxed};

/// To be set as `#[global_allocator]`.
#[derive(Debug)]
pub(crate) struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// What some work asked of the allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Calls that wanted memory: allocations and reallocations.
    pub(crate) calls: u64,
    /// The most bytes that were out at one time, beyond those that were before.
    pub(crate) peak_bytes: isize,
}

/// Does some work and says what it asked for.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> (T, Asked) {
    let (calls, live) = (CALLS.load(Relaxed), LIVE.load(Relaxed));
    PEAK.store(live, Relaxed);
    COUNTING.store(true, Relaxed);
    let result = work();
    COUNTING.store(false, Relaxed);
    (result, Asked { calls: CALLS.load(Relaxed) - calls, peak_bytes: PEAK.load(Relaxed) - live })
}

/// Outside `during` this is a load and a branch: whoever is timed beside allocates at the usual price.
fn count(calls: u64, bytes: isize) {
    if COUNTING.load(Relaxed) {
        CALLS.fetch_add(calls, Relaxed);
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: each call is handed on as it is to the system's allocator, which keeps the contract; counting touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size().cast_signed());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size().cast_signed());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, -(layout.size().cast_signed()));
        // SAFETY: `place` came from `System` with this layout, for all of ours do.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it moves, both places are out.
        count(1, size.cast_signed());
        // SAFETY: `place` came from `System` with this layout, for all of ours do; `size` is the caller's promise.
        let moved = unsafe { System.realloc(place, layout, size) };
        count(0, -(layout.size().cast_signed()));
        moved
    }
}
