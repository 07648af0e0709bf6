//! What each thread has allocated, counted where no other thread writes.
//!
//! A thread's counters are a block of their own, which the thread takes at its first allocation and gives back at its end, with the figures in
//! it: another thread counts on from there, so that the sum over all blocks is what the process has allocated, ended threads included. The
//! blocks are in a list that only grows, read without a lock. They do not lie in thread-local storage, which ends with its thread, and in a
//! forked child is used again without one.
//!
//! The short way, [`allocated`] and [`freed`], is two loads that are always the same, a branch, and additions. Whatever else there may be to do
//! (the first allocation of a thread, scopes, a thread that is ending) is the long way's.
#![allow(
    clippy::inline_always,
    reason = "each call of the allocator passes through: 2026-11-22, half a nanosecond for both ways"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, null, null_mut};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64};

use crate::process;
use crate::scope::{Entered, Tally};
use crate::stats::Stats;
use crate::system_arc::{Shared, SystemArc};

/// One call of the allocator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The size of the block that was returned, if one was.
    pub(crate) allocated: Option<usize>,
    /// The size of the block that was given back.
    pub(crate) freed: Option<usize>,
}

/// A thread's figures. Only the thread they belong to writes; atomic so that others may read.
///
/// On cache lines of their own, and on pairs of them: processors fetch two at a time.
#[derive(Debug)]
#[repr(align(128))]
struct Counters {
    allocations: AtomicU64,
    bytes: AtomicU64,
    frees: AtomicU64,
    freed_bytes: AtomicU64,
    /// The highest balance since the innermost measure began.
    peak: AtomicI64,
    /// Whether they are a thread's.
    taken: AtomicBool,
    /// The next one in the list.
    next: AtomicPtr<Counters>,
}

impl Counters {
    const fn new() -> Self {
        Self {
            allocations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            peak: AtomicI64::new(0),
            taken: AtomicBool::new(true),
            next: AtomicPtr::new(null_mut()),
        }
    }

    #[inline(always)]
    fn allocated(&self, size: usize) {
        add(&self.allocations, 1);
        add(&self.bytes, size as u64);
        let balance = self.balance();
        if balance > self.peak.load(Relaxed) {
            self.peak.store(balance, Relaxed);
        }
    }

    #[inline(always)]
    fn freed(&self, size: usize) {
        add(&self.frees, 1);
        add(&self.freed_bytes, size as u64);
    }

    /// The free first, so that the balance never has both blocks.
    #[inline]
    fn count(&self, call: Call) {
        if let Some(size) = call.freed {
            self.freed(size);
        }
        if let Some(size) = call.allocated {
            self.allocated(size);
        }
    }

    #[inline(always)]
    fn balance(&self) -> i64 {
        self.bytes.load(Relaxed).wrapping_sub(self.freed_bytes.load(Relaxed)).cast_signed()
    }

    /// The figures, without a peak.
    fn stats(&self) -> Stats {
        Stats {
            allocations: self.allocations.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            frees: self.frees.load(Relaxed),
            freed_bytes: self.freed_bytes.load(Relaxed),
            peak: 0,
        }
    }
}

/// Adds where nobody else writes: no locked instruction.
#[inline(always)]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// All counters there are.
static ALL: AtomicPtr<Counters> = AtomicPtr::new(null_mut());

/// What was counted for the process by threads that had given their counters back already, or had got none. Here several write.
static LATE: Counters = Counters::new();

/// What the allocator knows of its thread.
#[derive(Debug)]
struct Thread {
    /// Whether the long way has to be taken.
    long_way: Cell<bool>,
    /// Null before the thread's first allocation, `own` after its end.
    counters: Cell<*const Counters>,
    /// The innermost scope that it is in, or null. Whoever has entered it holds a reference.
    scope: Cell<*const Shared<Tally>>,
    /// Whether this is the long way already.
    busy: Cell<bool>,
    /// Whether this allocation is only to find out that we are asked.
    probe: Cell<Probe>,
    /// For what is allocated while the thread's storage is torn down.
    own: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    None,
    Waiting,
    Seen,
}

// Without a destructor: it is there at any time, be it before the thread's first instruction of ours or after its last.
thread_local! {
    static THREAD: Thread = const {
        Thread {
            long_way: Cell::new(true),
            counters: Cell::new(null()),
            scope: Cell::new(null()),
            busy: Cell::new(false),
            probe: Cell::new(Probe::None),
            own: Counters::new(),
        }
    };
}

/// Tells of a thread's end. Registered at its first allocation, it is among the last to be dropped.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        THREAD.with(|thread| {
            let counters = thread.counters.replace(&raw const thread.own);
            thread.long_way.set(true);
            if counters != &raw const thread.own {
                // SAFETY: the thread has taken counters before it registered its end; they are never freed.
                unsafe { &*counters }.taken.store(false, Release);
            }
        });
    }
}

thread_local! {
    static END: End = const { End };
}

#[inline(always)]
pub(crate) fn allocated(size: usize) {
    THREAD.with(|thread| {
        if thread.long_way.get() || process::is_watched() {
            return thread.count(Call { allocated: Some(size), freed: None });
        }
        // SAFETY: off the long way a thread has counters, which are never freed.
        unsafe { &*thread.counters.get() }.allocated(size);
    });
}

#[inline(always)]
pub(crate) fn freed(size: usize) {
    THREAD.with(|thread| {
        if thread.long_way.get() || process::is_watched() {
            return thread.count(Call { allocated: None, freed: Some(size) });
        }
        // SAFETY: off the long way a thread has counters, which are never freed.
        unsafe { &*thread.counters.get() }.freed(size);
    });
}

#[inline]
pub(crate) fn reallocated(old: usize, new: usize) {
    THREAD.with(|thread| {
        let call = Call { allocated: Some(new), freed: Some(old) };
        if thread.long_way.get() || process::is_watched() {
            return thread.count(call);
        }
        // SAFETY: off the long way a thread has counters, which are never freed.
        unsafe { &*thread.counters.get() }.count(call);
    });
}

impl Thread {
    #[cold]
    #[inline(never)]
    fn count(&self, call: Call) {
        if self.probe.get() != Probe::None {
            self.probe.set(Probe::Seen);
            return;
        }
        // What this very function asks for is nobody's.
        if self.busy.replace(true) {
            return;
        }
        let counters = self.counters();
        counters.count(call);
        if ptr::eq(counters, &raw const self.own) {
            LATE.count_shared(call);
        }
        let mut scope = self.scope.get();
        // SAFETY: whoever has entered the scope holds a reference until it is left, and scopes hold those that they are parts of.
        while let Some(shared) = unsafe { scope.as_ref() } {
            shared.value.count(call);
            scope = shared.value.outer.as_ref().map_or(null(), SystemArc::as_ptr);
        }
        process::count(call);
        self.busy.set(false);
        self.choose_way();
    }

    /// The thread's counters, which it has from now on.
    fn counters(&self) -> &Counters {
        if self.counters.get().is_null() {
            self.counters.set(take().unwrap_or(&raw const self.own));
            // Since Rust 1.93 std may be asked for this by an allocator.
            let _ = END.try_with(|_| ());
        }
        // SAFETY: not null any more; counters are never freed, and its own outlive all that the thread does.
        unsafe { &*self.counters.get() }
    }

    fn choose_way(&self) {
        let late = ptr::eq(self.counters.get(), &raw const self.own);
        self.long_way.set(self.counters.get().is_null() || late || !self.scope.get().is_null());
    }
}

impl Counters {
    /// Counts where others do, too.
    fn count_shared(&self, call: Call) {
        if let Some(size) = call.freed {
            self.frees.fetch_add(1, Relaxed);
            self.freed_bytes.fetch_add(size as u64, Relaxed);
        }
        if let Some(size) = call.allocated {
            self.allocations.fetch_add(1, Relaxed);
            self.bytes.fetch_add(size as u64, Relaxed);
        }
    }
}

/// All blocks of counters.
fn all() -> impl Iterator<Item = &'static Counters> {
    let mut next = ALL.load(Acquire);
    std::iter::from_fn(move || {
        // SAFETY: what is in the list was initialised before it came there, and stays.
        let counters = unsafe { next.as_ref() }?;
        next = counters.next.load(Relaxed);
        Some(counters)
    })
}

/// Counters that nobody has, or new ones. None if there is no memory.
fn take() -> Option<*const Counters> {
    for counters in all() {
        // Acquire: to count on from where the thread before has ended.
        if !counters.taken.load(Relaxed) && counters.taken.compare_exchange(false, true, Acquire, Relaxed).is_ok() {
            return Some(counters);
        }
    }
    // SAFETY: the layout has a size.
    #[expect(clippy::cast_ptr_alignment, reason = "the layout has the alignment")]
    let new = unsafe { System.alloc(Layout::new::<Counters>()) }.cast::<Counters>();
    if new.is_null() {
        return None;
    }
    // SAFETY: memory of that layout, nobody else's yet.
    unsafe { new.write(Counters::new()) };
    let mut head = ALL.load(Relaxed);
    loop {
        // SAFETY: it was initialised above.
        unsafe { &*new }.next.store(head, Relaxed);
        match ALL.compare_exchange_weak(head, new, Release, Relaxed) {
            Ok(_) => return Some(new),
            Err(other) => head = other,
        }
    }
}

/// The sum over all threads, ended ones included, without a peak.
pub(crate) fn sum() -> Stats {
    all().chain([&LATE]).map(Counters::stats).fold(Stats::default(), |sum, stats| Stats {
        allocations: sum.allocations.wrapping_add(stats.allocations),
        bytes: sum.bytes.wrapping_add(stats.bytes),
        frees: sum.frees.wrapping_add(stats.frees),
        freed_bytes: sum.freed_bytes.wrapping_add(stats.freed_bytes),
        peak: 0,
    })
}

/// The beginning of a measure on this thread.
#[derive(Debug)]
pub(crate) struct Begin {
    stats: Stats,
    balance: i64,
    /// What the peak was for whoever measures around.
    outer_peak: i64,
}

impl Begin {
    pub(crate) fn now() -> Self {
        THREAD.with(|thread| {
            let counters = thread.counters();
            thread.choose_way();
            let balance = counters.balance();
            let outer_peak = counters.peak.swap(balance, Relaxed);
            Self { stats: counters.stats(), balance, outer_peak }
        })
    }

    /// What this thread has allocated since.
    pub(crate) fn stats(&self) -> Stats {
        THREAD.with(|thread| {
            let counters = thread.counters();
            let now = counters.stats();
            let peak = counters.peak.load(Relaxed).wrapping_sub(self.balance);
            Stats {
                allocations: now.allocations.wrapping_sub(self.stats.allocations),
                bytes: now.bytes.wrapping_sub(self.stats.bytes),
                frees: now.frees.wrapping_sub(self.stats.frees),
                freed_bytes: now.freed_bytes.wrapping_sub(self.stats.freed_bytes),
                peak: peak.max(0).cast_unsigned(),
            }
        })
    }

    /// Whoever measures around has seen this peak, too.
    pub(crate) fn end(&self) {
        THREAD.with(|thread| {
            let peak = &thread.counters().peak;
            peak.store(peak.load(Relaxed).max(self.outer_peak), Relaxed);
        });
    }
}

/// Enters a scope, or none, on this thread, and leaves those it was in.
pub(crate) fn enter(scope: Option<&SystemArc<Tally>>) -> Entered<'_> {
    THREAD.with(|thread| {
        let outer = thread.scope.replace(scope.map_or(null(), SystemArc::as_ptr));
        thread.choose_way();
        Entered { outer, scope: PhantomData }
    })
}

/// Back to where it was entered from.
pub(crate) fn leave(entered: &Entered<'_>) {
    THREAD.with(|thread| {
        thread.scope.set(entered.outer);
        thread.choose_way();
    });
}

/// The innermost scope that this thread is in.
pub(crate) fn current() -> Option<SystemArc<Tally>> {
    let scope = THREAD.with(|thread| thread.scope.get());
    // SAFETY: whoever has entered it holds a reference until it is left.
    (!scope.is_null()).then(|| unsafe { SystemArc::from_ptr(scope) })
}

/// Whether an allocation with the global allocator comes here. It isn't counted.
pub(crate) fn are_asked() -> bool {
    THREAD.with(|thread| {
        thread.probe.set(Probe::Waiting);
        thread.long_way.set(true);
        let layout = Layout::new::<u64>();
        // SAFETY: the layout has a size, and the block is given back with it.
        unsafe {
            let block = std::hint::black_box(std::alloc::alloc(layout));
            if !block.is_null() {
                std::alloc::dealloc(block, layout);
            }
        }
        let seen = thread.probe.replace(Probe::None) == Probe::Seen;
        thread.choose_way();
        seen
    })
}
