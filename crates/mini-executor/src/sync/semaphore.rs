//! Permits, of which there is a limited number: a [`Line`] behind a lock.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::line::{Line, wake};
use crate::awaits;
use crate::primitives::{Mutex, lock};

/// Hands out a limited number of permits, in the order they were asked for.
///
/// To have no more than so many of something at once: requests to a server, files open, tasks that hold much memory.
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
///     let _permit = semaphore.acquire().await;
///     now.set(now.get() + 1);
///     most.set(most.get().max(now.get()));
///     yield_now().await;
///     now.set(now.get() - 1);
/// };
/// executor.spawn_many((0..10).map(|_| request()), &mut tasks);
/// block_on(executor.run(async {
///     for task in tasks {
///         task.await;
///     }
/// }));
/// assert_eq!(most.get(), 3);
/// ```
pub struct Semaphore {
    line: Mutex<Line>,
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Read before it is written to what is a stranger's: not under the lock.
        f.debug_struct("Semaphore").field("available_permits", &self.available_permits()).finish_non_exhaustive()
    }
}

impl Semaphore {
    /// A semaphore with so many permits.
    ///
    /// ```
    /// use mini_executor::sync::Semaphore;
    ///
    /// static CONNECTIONS: Semaphore = Semaphore::new(100);
    /// assert_eq!(CONNECTIONS.available_permits(), 100);
    /// ```
    #[cfg(not(loom))]
    pub const fn new(permits: usize) -> Self {
        Self { line: Mutex::new(Line::new(permits)) }
    }

    #[cfg(loom)]
    #[allow(missing_docs)]
    pub fn new(permits: usize) -> Self {
        Self { line: Mutex::new(Line::new(permits)) }
    }

    /// Waits for a permit, and for all that asked before. Cancel-safe: who is dropped while it waits leaves the line, and if it was its turn,
    /// it is the next one's.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Semaphore};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = block_on(semaphore.acquire());
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    #[inline]
    pub fn acquire(&self) -> Acquiring<'_> {
        Acquiring { semaphore: self, number: None }
    }

    /// A permit, if one is available and nobody waits for it.
    ///
    /// ```
    /// let semaphore = mini_executor::sync::Semaphore::new(1);
    /// let permit = semaphore.try_acquire();
    /// assert!(permit.is_some() && semaphore.try_acquire().is_none());
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let is_taken = lock(&self.line).try_take();
        is_taken.then(|| Permit { semaphore: self })
    }

    /// The permits that could be had now. By the time one looks at the number it may be another.
    ///
    /// ```
    /// assert_eq!(mini_executor::sync::Semaphore::new(7).available_permits(), 7);
    /// ```
    pub fn available_permits(&self) -> usize {
        lock(&self.line).spare()
    }

    #[inline]
    fn give(&self) {
        let called = lock(&self.line).give();
        wake(called);
    }
}

/// What [`Semaphore::acquire`] gives. It enters the line when it is polled for the first time.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct Acquiring<'a> {
    semaphore: &'a Semaphore,
    /// While it stands in the line.
    number: Option<u64>,
}

impl<'a> Future for Acquiring<'a> {
    type Output = Permit<'a>;

    #[track_caller]
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit<'a>> {
        let semaphore = self.semaphore;
        // The lock is a temporary: it is released at the end of this line, before a waker may be dropped.
        let taken = lock(&semaphore.line).take_or_wait(&mut self.number, context.waker());
        match taken {
            Ok(()) => Poll::Ready(Permit { semaphore }),
            Err(_former) => awaits::pending(Poll::Pending),
        }
    }
}

impl Drop for Acquiring<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let left = lock(&self.semaphore.line).leave(number);
            if left.is_ok() {
                self.semaphore.give();
            }
        }
    }
}

/// A permit of a [`Semaphore`]; dropping it gives it back.
#[must_use = "the permit is given back when it is dropped: bind it to a name"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.give();
    }
}
