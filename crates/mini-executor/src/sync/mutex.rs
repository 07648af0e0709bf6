//! A lock that may be held while a task waits.
//!
//! It is a [`Semaphore`] of one permit and the data beside it; the guard holds the permit.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::semaphore::{Acquiring, Permit, Semaphore};

/// Lets one task at a time at its data, across awaits, in the order they asked.
///
/// Where the guard isn't held across an await, `std::sync::Mutex` is as good and smaller; on one thread, a `RefCell` is.
/// There is no poison: when a task panics with the guard held, the mutex is unlocked and the data is as the task left it.
///
/// ```
/// use mini_executor::sync::Mutex;
/// use mini_executor::{LocalExecutor, block_on, yield_now};
///
/// let counter = Mutex::new(0);
/// let executor = LocalExecutor::new();
/// let mut tasks = Vec::new();
/// let increment = async || {
///     let mut counter = counter.lock().await;
///     let before = *counter;
///     // Without the lock all tasks would read the same, and all but one of the increments would be lost.
///     yield_now().await;
///     *counter = before + 1;
/// };
/// executor.spawn_many((0..100).map(|_| increment()), &mut tasks);
/// block_on(executor.run(async {
///     for task in tasks {
///         task.await;
///     }
/// }));
/// assert_eq!(*counter.try_lock().unwrap(), 100);
/// ```
pub struct Mutex<T: ?Sized> {
    turn: Semaphore,
    data: UnsafeCell<T>,
}

// SAFETY: who shares the mutex reaches the data only through the guard of whoever holds the one permit: one thread at a time, and
// what one did happened before what the next does, by the semaphore's lock. So it is enough that the data may be sent.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked mutex.
    ///
    /// ```
    /// use mini_executor::sync::Mutex;
    ///
    /// static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    /// NAMES.try_lock().unwrap().push("Ada".into());
    /// ```
    #[cfg(not(loom))]
    pub const fn new(data: T) -> Self {
        Self { turn: Semaphore::new(1), data: UnsafeCell::new(data) }
    }

    #[cfg(loom)]
    #[allow(missing_docs)]
    pub fn new(data: T) -> Self {
        Self { turn: Semaphore::new(1), data: UnsafeCell::new(data) }
    }

    /// The data, once nobody shares the mutex any more.
    ///
    /// ```
    /// assert_eq!(mini_executor::sync::Mutex::new(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for its turn, after all that asked before. Cancel-safe: who is dropped while it waits leaves the line, and if it was its
    /// turn, it is the next one's.
    ///
    /// Locking a mutex twice in one task waits for ever.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Mutex};
    ///
    /// let mutex = Mutex::new(String::from("a"));
    /// block_on(async { mutex.lock().await.push('b') });
    /// assert_eq!(mutex.into_inner(), "ab");
    /// ```
    #[inline]
    pub fn lock(&self) -> Locking<'_, T> {
        Locking { mutex: self, turn: self.turn.acquire() }
    }

    /// Locks it, if it is unlocked and nobody waits for it.
    ///
    /// ```
    /// let mutex = mini_executor::sync::Mutex::new(1);
    /// let guard = mutex.try_lock();
    /// assert!(guard.is_some() && mutex.try_lock().is_none());
    /// ```
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let turn = self.turn.try_acquire()?;
        Some(MutexGuard { mutex: self, _turn: turn, data: PhantomData })
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("Mutex").field("data", &&*guard).finish(),
            None => f.debug_struct("Mutex").field("data", &format_args!("<locked>")).finish(),
        }
    }
}

/// What [`Mutex::lock`] gives. It enters the queue when it is polled for the first time.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Locking<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    turn: Acquiring<'a>,
}

impl<'a, T: ?Sized> Future for Locking<'a, T> {
    type Output = MutexGuard<'a, T>;

    #[track_caller]
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        let mutex = self.mutex;
        Pin::new(&mut self.turn).poll(context).map(|turn| MutexGuard { mutex, _turn: turn, data: PhantomData })
    }
}

impl<T: ?Sized> fmt::Debug for Locking<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locking").finish_non_exhaustive()
    }
}

/// The data of a locked [`Mutex`]; dropping it unlocks.
///
/// May be held across awaits, and sent to another thread if the data may.
#[must_use = "the mutex is unlocked when the guard is dropped: bind it to a name"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    _turn: Permit<'a>,
    /// It stands for this reference: may be sent or shared where that may. So this is refused, for two threads would have the `Cell`:
    ///
    /// ```compile_fail
    /// fn share(_: impl Sync) {}
    /// let mutex = mini_executor::sync::Mutex::new(std::cell::Cell::new(0));
    /// share(mutex.try_lock().unwrap());
    /// ```
    data: PhantomData<&'a mut T>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the one permit, so there is no other guard; a `&mut` from this one borrows it exclusively.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and no `&` from this guard lives on, for it is borrowed exclusively.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
