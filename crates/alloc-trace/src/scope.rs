//! What a piece of work allocates, on whatever threads it goes on.

use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::counters::{self, Call};
use crate::future::InScope;
use crate::measure::require_installed;
use crate::sites::Sites;
use crate::stats::Stats;
use crate::system_arc::SystemArc;

/// Counts what one piece of work allocates: what is called in it or polled in it, on this thread or on others, one after the other or at
/// the same time.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);
/// use alloc_trace::{Handle, Scope};
///
/// let scope = Scope::new();
/// scope.enter(|| {
///     let here = vec![0_u8; 100];
///     let handle = Handle::current(); // carries the scope to the thread
///     std::thread::scope(|threads| {
///         threads.spawn(|| handle.enter(|| assert_eq!(vec![0_u8; 1000].len(), 1000)));
///         threads.spawn(|| assert_eq!(vec![0_u8; 5000].len(), 5000)); // without it: not counted
///     });
///     drop(here);
/// });
/// assert!(scope.stats().bytes > 1100 && scope.stats().bytes < 5000); // a thread takes some memory, too
/// ```
///
/// A scope made within another one is part of it: what counts here, counts there. What is entered within another scope and is no part of it, by
/// a handle or because the scope is older, counts to its own scope and not to the other: a pool's thread that takes up somebody else's
/// job while it waits doesn't charge the waiter. But that somebody else's job has to have a handle. One without counts to the scope that the
/// thread is in.
#[derive(Debug)]
pub struct Scope(SystemArc<Tally>);

impl Scope {
    /// A scope in which nothing was done yet; part of the one that this thread is in, if it is in one.
    ///
    /// # Panics
    /// If no [`Tracked`](crate::Tracked) is installed.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it is a part of the scope around")]
    pub fn new() -> Self {
        require_installed();
        Self::of(Tally::new())
    }

    pub(crate) fn of(tally: Tally) -> Self {
        Self(SystemArc::new(tally))
    }

    /// Calls in this scope: what this thread allocates meanwhile counts.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = counters::enter(Some(&self.0));
        work()
    }

    /// A future that is polled and dropped in this scope.
    pub fn wrap<F>(&self, future: F) -> InScope<F> {
        self.handle().wrap(future)
    }

    /// Carries the scope elsewhere.
    pub fn handle(&self) -> Handle {
        Handle(Some(self.0.clone()))
    }

    /// What was allocated in it until now. If work goes on in other threads meanwhile, some of it is there and some not.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    pub(crate) fn tally(&self) -> &SystemArc<Tally> {
        &self.0
    }
}

/// Carries a scope to where its work goes on: a thread, a task, a job in a pool.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);
/// # use alloc_trace::{Handle, Scope};
/// let scope = Scope::new();
/// let total: usize = scope.enter(|| {
///     let handle = Handle::current();
///     let (left, right) = rayon::join(
///         || handle.enter(|| vec![0_u8; 100].len()),
///         || handle.enter(|| vec![0_u8; 200].len()),
///     );
///     left + right
/// });
/// assert_eq!(total, 300);
/// assert!(scope.stats().bytes >= 300);
/// ```
///
/// While a handle's scope is entered, the scopes that the thread was in before are left, but for those that the handle's is a part of.
#[derive(Clone, Debug)]
pub struct Handle(Option<SystemArc<Tally>>);

impl Handle {
    /// The scope that this thread is in: the innermost. If it is in none, what the handle carries is in none, too.
    pub fn current() -> Self {
        Self(counters::current())
    }

    /// Calls in the scope.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = self.entered();
        work()
    }

    /// A future that is polled and dropped in the scope, whoever does it: for what is spawned.
    pub fn wrap<F>(&self, future: F) -> InScope<F> {
        InScope::new(self.clone(), future)
    }

    pub(crate) fn entered(&self) -> Entered<'_> {
        counters::enter(self.0.as_ref())
    }
}

/// On this thread, until it is dropped, a scope is entered. Dropped in the order of a stack: nobody outside gets one.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    pub(crate) outer: *const crate::system_arc::Shared<Tally>,
    pub(crate) scope: PhantomData<&'a Tally>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        counters::leave(self);
    }
}

/// A scope's figures, which several threads write.
#[derive(Debug)]
pub(crate) struct Tally {
    allocations: AtomicU64,
    bytes: AtomicU64,
    frees: AtomicU64,
    freed_bytes: AtomicU64,
    balance: AtomicI64,
    peak: AtomicI64,
    /// The scope that this one is a part of.
    pub(crate) outer: Option<SystemArc<Tally>>,
    /// Under a budget, who allocates.
    sites: Option<Sites>,
}

impl Tally {
    /// Part of the thread's current scope.
    pub(crate) fn new() -> Self {
        Self::part_of(counters::current())
    }

    pub(crate) fn part_of(outer: Option<SystemArc<Self>>) -> Self {
        Self {
            allocations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            balance: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            outer,
            sites: None,
        }
    }

    /// With a note of who allocates.
    pub(crate) fn with_sites(self, sites: Sites) -> Self {
        Self { sites: Some(sites), ..self }
    }

    pub(crate) fn sites(&self) -> Option<&Sites> {
        self.sites.as_ref()
    }

    pub(crate) fn count(&self, call: Call) {
        let mut change = 0;
        if let Some(size) = call.freed {
            self.frees.fetch_add(1, Relaxed);
            self.freed_bytes.fetch_add(size as u64, Relaxed);
            change -= size.cast_signed() as i64;
        }
        if let Some(size) = call.allocated {
            self.allocations.fetch_add(1, Relaxed);
            self.bytes.fetch_add(size as u64, Relaxed);
            change += size.cast_signed() as i64;
            if let Some(sites) = &self.sites {
                sites.note(size);
            }
        }
        // One addition, so that the highest balance of any thread's is the highest there was.
        let balance = self.balance.fetch_add(change, Relaxed) + change;
        if balance > self.peak.load(Relaxed) {
            self.peak.fetch_max(balance, Relaxed);
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            allocations: self.allocations.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            frees: self.frees.load(Relaxed),
            freed_bytes: self.freed_bytes.load(Relaxed),
            peak: self.peak.load(Relaxed).cast_unsigned(),
        }
    }
}
