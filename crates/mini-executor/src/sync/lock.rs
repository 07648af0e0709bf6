//! The lock around what waiters share, and the atomics beside it.
//!
//! It is std's, held for a few instructions: for pushing a value or unlinking a waiter. Never while a waker is called, or a waker or a
//! message is dropped, since that may run anything, be it code that wants the same lock. (A waker may be cloned under it: that only
//! counts.) It is seldom contended for, and costs two atomic operations when it is not; a lock-free queue of waiters costs as many,
//! and needs unsafe code.
//!
//! Built with `--cfg loom` these are loom's, and `tests/sync_loom.rs` goes through every order of what threads do.

pub(super) use std::sync::atomic::Ordering;

use std::sync::PoisonError;

use crate::primitives::lock;
pub(super) use crate::primitives::{AtomicUsize, Mutex, MutexGuard};

/// A lock that knows no poison: nothing of ours can panic halfway through a change.
pub(super) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    #[cfg(not(loom))]
    pub(super) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    #[cfg(loom)]
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.0)
    }

    /// The value, when nobody else has the lock any more.
    #[inline]
    pub(super) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
