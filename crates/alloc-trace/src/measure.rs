//! What a call allocates.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::counters::{self, Begin};
use crate::stats::Stats;

/// What this thread allocates in a call. What the call returns is dropped afterwards, unmeasured.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);
/// let stats = alloc_trace::measure(|| {
///     let mut numbers = Vec::with_capacity(4);
///     numbers.extend([1_u32, 2, 3, 4]);
///     numbers.push(5); // 16 bytes become 32
/// });
/// assert_eq!((stats.allocations, stats.bytes, stats.peak), (2, 16 + 32, 32));
/// assert_eq!((stats.frees, stats.retained()), (2, 0));
/// ```
///
/// Measures may be nested; the outer one has what the inner ones have. Other threads, whatever they do, have no part in it: for work
/// that goes on elsewhere there is [`Scope`](crate::Scope), for futures [`count`](crate::count).
///
/// # Panics
/// If the call does, or if no [`Tracked`](crate::Tracked) is installed.
#[track_caller]
pub fn measure<R>(work: impl FnOnce() -> R) -> Stats {
    measure_with_result(work).1
}

/// What a call returns, and what this thread has allocated in it: see [`measure`].
///
/// # Panics
/// If the call does, or if no [`Tracked`](crate::Tracked) is installed.
#[track_caller]
pub fn measure_with_result<R>(work: impl FnOnce() -> R) -> (R, Stats) {
    require_installed();
    let measure = Measure(Begin::now());
    let result = work();
    let stats = measure.0.stats();
    (result, stats)
}

/// An open measure; it ends even if the call panics.
struct Measure(Begin);

impl Drop for Measure {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What all threads have allocated since the process began, ended ones included: a sum over the threads' own counters, whose
/// [`peak`](Stats::peak) is zero because nobody knows it. Costs the threads nothing.
///
/// Threads go on while it adds up: of what happens meanwhile it has some and lacks some.
///
/// # Panics
/// If no [`Tracked`](crate::Tracked) is installed.
#[track_caller]
pub fn process_totals() -> Stats {
    require_installed();
    counters::sum()
}

/// Whether a [`Tracked`](crate::Tracked) is this program's global allocator. Tries it out, the first time.
pub fn is_installed() -> bool {
    static KNOWN: AtomicBool = AtomicBool::new(false);
    if !KNOWN.load(Relaxed) {
        KNOWN.store(counters::are_asked(), Relaxed);
    }
    KNOWN.load(Relaxed)
}

/// # Panics
/// If nothing is counted.
#[track_caller]
pub(crate) fn require_installed() {
    assert!(
        is_installed(),
        "nothing is counted: alloc_trace::Tracked is not this program's global allocator. Add to the program, or to the test file:\n\n    \
         #[global_allocator]\n    \
         static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);\n"
    );
}
