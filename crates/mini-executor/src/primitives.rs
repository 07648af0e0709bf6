//! What threads share: the standard library's types, or loom's where a model is checked.
//!
//! [loom](https://docs.rs/loom) runs a test once for every order in which the threads' steps may fall and for every value that a load may
//! see under the memory model, and reports plain data that two threads touch without one having waited for the other. It has to
//! see each step for that, so all that tasks and homes are made of comes from here. See `task/loom_tests.rs`.

#[cfg(not(loom))]
mod real {
    pub(crate) use std::cell::Cell;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};
    #[cfg(not(tsan))]
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;
    pub(crate) use std::thread_local as per_thread;

    #[cfg(tsan)]
    pub(crate) use crate::spin::{Mutex, MutexGuard};

    /// The standard library's, with loom's way of asking for what is inside. A value lies where its cell does.
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline]
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `access` with a pointer to the value. Who uses it makes sure that nobody else does.
        #[inline]
        pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            access(self.0.get())
        }
    }
}

#[cfg(loom)]
mod real {
    pub(crate) use loom::cell::{Cell, UnsafeCell};
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;

    /// loom's knows no initializers in `const`.
    macro_rules! per_thread {
        ($($(#[$attribute:meta])* static $name:ident: $type:ty = const { $initial:expr };)*) => {
            loom::thread_local! { $($(#[$attribute])* static $name: $type = $initial;)* }
        };
    }
    pub(crate) use per_thread;
}

pub(crate) use real::*;
use std::sync::{LockResult, PoisonError};

/// Locks that no model looks at: the standard library's, or the thread sanitizer's.
pub(crate) mod plain {
    #[cfg(not(tsan))]
    pub(crate) use std::sync::{Mutex, MutexGuard};

    #[cfg(tsan)]
    pub(crate) use crate::spin::{Mutex, MutexGuard};
}

/// A value with a cache line to itself: two threads that write to neighbours would take the line from one another. Two lines, for
/// processors fetch them in pairs.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Line<T>(pub(crate) T);

/// Locks.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The guard of any kind of lock. What a panic left half done is not an issue: no code of users runs under our locks.
#[inline]
pub(crate) fn unpoisoned<G>(guard: LockResult<G>) -> G {
    guard.unwrap_or_else(PoisonError::into_inner)
}
