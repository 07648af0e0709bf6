//! Permits, of which there is a limited number.
//!
//! # How it works
//! One word holds the number of free permits and two flags. While nobody waits, taking and giving back is one compare-and-swap on it.
//! Once somebody waits the flag [`WAITING`] sends everybody to the lock, and nobody changes the word without it: newcomers queue up
//! behind, and what is given back goes to the first in the queue, or stays until there is enough for it. That makes it fair: a
//! stream of small requests cannot starve a large one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::{AcquireError, TryAcquireError};
use super::lock::{AtomicUsize, Lock, Ordering};
use super::waiters::{Calls, Key, WaitList};
use crate::awaits;

/// No permits are given out any more. Set once, under the lock.
const CLOSED: usize = 1;
/// Somebody is in the queue. Set and cleared under the lock; while it is set nothing in the word changes without the lock.
const WAITING: usize = 1 << 1;
/// One permit.
const ONE: usize = 1 << 2;
/// The most permits that fit beside the flags.
const MOST: usize = usize::MAX / ONE;

/// What a waiter is called for.
#[derive(Clone, Copy)]
enum Call {
    /// The permits it wanted are its own.
    Granted,
    /// The semaphore was closed.
    Closed,
}

type Waiters = WaitList<usize, Call>;

/// Hands out a limited number of permits, in the order they were asked for.
///
/// To have no more than so many of something at once: requests to a server, files open, bytes in flight.
///
/// ```
/// use mini_executor::sync::Semaphore;
/// use mini_executor::{LocalExecutor, block_on, yield_now};
/// use std::cell::Cell;
///
/// let semaphore = Semaphore::new(3);
/// let (now, most) = (Cell::new(0), Cell::new(0));
/// let executor = LocalExecutor::new();
/// let mut tasks = Vec::new();
/// let request = async || {
///     let _permit = semaphore.acquire().await?;
///     now.set(now.get() + 1);
///     most.set(most.get().max(now.get()));
///     yield_now().await;
///     now.set(now.get() - 1);
///     Ok::<_, mini_executor::sync::AcquireError>(())
/// };
/// executor.spawn_many((0..10).map(|_| request()), &mut tasks);
/// block_on(executor.run(async {
///     for task in tasks {
///         task.await.unwrap();
///     }
/// }));
/// assert_eq!(most.get(), 3);
/// ```
pub struct Semaphore {
    state: AtomicUsize,
    waiters: Lock<Waiters>,
}

impl Semaphore {
    /// The most permits a semaphore may have.
    pub const MAX_PERMITS: usize = MOST;

    /// A semaphore with so many permits; more may be [added](Self::add_permits).
    ///
    /// # Panics
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// ```
    /// use mini_executor::sync::Semaphore;
    ///
    /// static CONNECTIONS: Semaphore = Semaphore::new(100);
    /// assert_eq!(CONNECTIONS.available_permits(), 100);
    /// ```
    #[cfg(not(loom))]
    pub const fn new(permits: usize) -> Self {
        assert!(permits <= MOST, "a semaphore has at most Semaphore::MAX_PERMITS permits");
        Self { state: AtomicUsize::new(permits * ONE), waiters: Lock::new(Waiters::new()) }
    }

    #[cfg(loom)]
    #[allow(missing_docs)]
    pub fn new(permits: usize) -> Self {
        Self { state: AtomicUsize::new(permits * ONE), waiters: Lock::new(Waiters::new()) }
    }

    /// Waits for a permit, and for all that asked before. Cancel-safe: who is dropped while it waits leaves the queue, and hands on
    /// what it was given a moment ago.
    ///
    /// # Errors
    /// If the semaphore is closed, before or meanwhile.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Semaphore};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = block_on(semaphore.acquire())?;
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # Ok::<(), mini_executor::sync::AcquireError>(())
    /// ```
    #[inline]
    pub fn acquire(&self) -> Acquiring<'_> {
        self.acquire_many(1)
    }

    /// Waits for several permits, which are given all at once. As [`acquire`](Self::acquire) in everything else.
    ///
    /// Who asks for more than there will ever be waits for ever, and so do all behind it.
    ///
    /// # Errors
    /// If the semaphore is closed, before or meanwhile.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Semaphore};
    ///
    /// let bytes = Semaphore::new(4096);
    /// let sending = block_on(bytes.acquire_many(1000))?;
    /// assert_eq!((sending.permits(), bytes.available_permits()), (1000, 3096));
    /// # Ok::<(), mini_executor::sync::AcquireError>(())
    /// ```
    #[inline]
    pub fn acquire_many(&self, permits: usize) -> Acquiring<'_> {
        Acquiring { semaphore: self, permits, key: None }
    }

    /// A permit, if one is available and nobody waits.
    ///
    /// # Errors
    /// If not, or if the semaphore is closed.
    ///
    /// ```
    /// use mini_executor::sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.try_acquire()?;
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// # Ok::<(), TryAcquireError>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Several permits, if they are available and nobody waits.
    ///
    /// # Errors
    /// If not, or if the semaphore is closed.
    ///
    /// ```
    /// let semaphore = mini_executor::sync::Semaphore::new(3);
    /// assert!(semaphore.try_acquire_many(4).is_err());
    /// assert_eq!(semaphore.try_acquire_many(3).unwrap().permits(), 3);
    /// ```
    #[inline]
    pub fn try_acquire_many(&self, permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.try_take(permits)?;
        Ok(Permit { semaphore: self, permits })
    }

    /// Adds permits: for whoever waits, or for later.
    ///
    /// # Panics
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS) available.
    ///
    /// ```
    /// let semaphore = mini_executor::sync::Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    pub fn add_permits(&self, permits: usize) {
        let most = MOST - self.available_permits();
        assert!(permits <= most, "a semaphore has at most Semaphore::MAX_PERMITS permits");
        self.give(permits);
    }

    /// The permits that could be had now. By the time one looks at the number it may be another.
    ///
    /// ```
    /// assert_eq!(mini_executor::sync::Semaphore::new(7).available_permits(), 7);
    /// ```
    pub fn available_permits(&self) -> usize {
        self.state.load(Ordering::Acquire) / ONE
    }

    /// Ends it: who waits, and who asks later, gets an error. Permits that are out stay valid.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Semaphore};
    ///
    /// let semaphore = Semaphore::new(1);
    /// semaphore.close();
    /// assert!(block_on(semaphore.acquire()).is_err());
    /// ```
    pub fn close(&self) {
        let mut calls = Calls::default();
        let mut waiters = self.waiters.lock();
        while !waiters.is_empty() {
            calls.add(waiters.call_first(Call::Closed));
        }
        // One after the other is as good as both at once: while there is either flag nobody gets a permit.
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
        self.state.fetch_and(!WAITING, Ordering::AcqRel);
        drop(waiters);
        calls.wake();
    }

    /// Whether it was closed.
    ///
    /// ```
    /// assert!(!mini_executor::sync::Semaphore::new(1).is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes permits if they are there and nobody waits.
    #[inline]
    pub(super) fn try_take(&self, permits: usize) -> Result<(), TryAcquireError> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if state & WAITING != 0 || state / ONE < permits {
                return Err(TryAcquireError::NoPermits);
            }
            // What was done under the permit before happened before what will be done under it.
            let after = state - permits * ONE;
            match self.state.compare_exchange_weak(state, after, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(changed) => state = changed,
            }
        }
    }

    /// Gives permits back.
    #[inline]
    pub(super) fn give(&self, permits: usize) {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & WAITING == 0 {
            let after = state + permits * ONE;
            match self.state.compare_exchange_weak(state, after, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => state = changed,
            }
        }
        self.give_to_waiters(permits);
    }

    #[cold]
    fn give_to_waiters(&self, permits: usize) {
        let mut waiters = self.waiters.lock();
        let calls = self.settle(&mut waiters, permits);
        drop(waiters);
        calls.wake();
    }

    /// Gives what is free, and what is `given` on top, to whoever is first. With the lock held; the calls are to be made without.
    fn settle(&self, waiters: &mut Waiters, given: usize) -> Calls {
        let mut calls = Calls::default();
        let state = self.state.load(Ordering::Acquire);
        if state & WAITING == 0 {
            // The last one left meanwhile; the next cannot come while we have the lock.
            self.state.fetch_add(given * ONE, Ordering::AcqRel);
            return calls;
        }
        let mut free = state / ONE + given;
        while let Some(wanted) = waiters.first().copied().filter(|wanted| *wanted <= free) {
            free -= wanted;
            calls.add(waiters.call_first(Call::Granted));
        }
        let waiting = if waiters.is_empty() { 0 } else { WAITING };
        // A plain store, for nobody else changes the word now. It passes on what was read above.
        self.state.store((free * ONE) | (state & CLOSED) | waiting, Ordering::Release);
        calls
    }

    /// Enters the queue, unless the permits have come meanwhile.
    #[cold]
    fn enqueue(&self, permits: usize, context: &Context<'_>) -> Result<Option<Key>, AcquireError> {
        let waker = context.waker().clone();
        let mut waiters = self.waiters.lock();
        let mut state = self.state.load(Ordering::Acquire);
        while state & WAITING == 0 {
            if state & CLOSED != 0 {
                drop(waiters);
                return Err(AcquireError);
            }
            let is_enough = state / ONE >= permits;
            let after = if is_enough { state - permits * ONE } else { state | WAITING };
            match self.state.compare_exchange_weak(state, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if is_enough => {
                    drop(waiters);
                    return Ok(None);
                }
                Ok(_) => break,
                Err(changed) => state = changed,
            }
        }
        Ok(Some(waiters.push(permits, waker)))
    }

    /// Leaves the queue, and gives back what it was granted a moment ago.
    #[cold]
    fn leave(&self, key: &Key, permits: usize) {
        let mut waiters = self.waiters.lock();
        let left = waiters.remove(key);
        // The one behind may be content with less, so it is looked at in any case.
        let given = if matches!(left, Ok(Call::Granted)) { permits } else { 0 };
        let calls = self.settle(&mut waiters, given);
        drop(waiters);
        calls.wake();
        drop(left);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// What [`Semaphore::acquire`] and [`Semaphore::acquire_many`] give. It enters the queue when it is polled for the first time.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct Acquiring<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
    key: Option<Key>,
}

impl Acquiring<'_> {
    /// The same without the guard: the permits are the caller's to give back.
    #[track_caller]
    #[inline]
    pub(super) fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        if self.key.is_some() {
            return awaits::pending(self.poll_word(context));
        }
        match self.semaphore.try_take(self.permits) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(TryAcquireError::Closed) => return Poll::Ready(Err(AcquireError)),
            Err(TryAcquireError::NoPermits) => {}
        }
        self.key = self.semaphore.enqueue(self.permits, context)?;
        if self.key.is_some() { awaits::pending(Poll::Pending) } else { Poll::Ready(Ok(())) }
    }

    #[cold]
    fn poll_word(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        // The lock is a temporary: it is released at the end of this line, before a waker may be dropped.
        let word = self.semaphore.waiters.lock().take_word(&mut self.key, context.waker());
        match word {
            Ok(Call::Granted) => Poll::Ready(Ok(())),
            Ok(Call::Closed) => Poll::Ready(Err(AcquireError)),
            Err(_former) => Poll::Pending,
        }
    }
}

impl<'a> Future for Acquiring<'a> {
    type Output = Result<Permit<'a>, AcquireError>;

    #[track_caller]
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (semaphore, permits) = (self.semaphore, self.permits);
        self.poll_take(context).map_ok(|()| Permit { semaphore, permits })
    }
}

impl Drop for Acquiring<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.semaphore.leave(&key, self.permits);
        }
    }
}

/// Permits of a [`Semaphore`]; dropping it gives them back.
#[must_use = "the permit is given back when it is dropped: bind it to a name"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl Permit<'_> {
    /// How many there are.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// Keeps them from being given back: the semaphore has fewer from now on.
    ///
    /// ```
    /// let semaphore = mini_executor::sync::Semaphore::new(2);
    /// semaphore.try_acquire().unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.give(self.permits);
    }
}
