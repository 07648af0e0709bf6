//! What threads share: the standard library's types, or loom's where a model is checked.
//!
//! loom runs a test once for every order in which the threads' steps may fall, and needs to see each step. See `src/models.rs`.

#[cfg(not(loom))]
mod real {
    pub(crate) use std::cell::Cell;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};
    pub(crate) use std::thread::yield_now;
}

#[cfg(loom)]
mod real {
    pub(crate) use loom::cell::Cell;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};
    pub(crate) use loom::thread::yield_now;
}

pub(crate) use real::*;

/// A value with a cache line to itself: two threads that write to neighbours would take the line from one another. Two lines, for
/// processors fetch them in pairs.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Line<T>(pub(crate) T);

/// Locks. What a panic left half done is not an issue: no code of users runs under our locks.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
