//! What threads share: the standard library's types, or those of loom or shuttle where a model is checked.
//!
//! [loom](https://docs.rs/loom) runs a test in every order in which the threads' steps may fall, with every value that a load may see;
//! [shuttle](https://docs.rs/shuttle) in very many random ones. Both have to see each step for that.

#[cfg(not(any(loom, shuttle)))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread_local as per_thread;
}

#[cfg(loom)]
mod real {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

#[cfg(all(shuttle, not(loom)))]
mod real {
    pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}

#[cfg(loom)]
pub(crate) use loom::thread_local as watched;
#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::thread_local as watched;

/// Theirs know no initializers in `const`.
#[cfg(any(loom, shuttle))]
macro_rules! per_thread {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const { $initial:expr };)*) => {
        $crate::primitives::watched! { $($(#[$attribute])* static $name: $type = $initial;)* }
    };
}
#[cfg(any(loom, shuttle))]
pub(crate) use per_thread;

pub(crate) use real::*;
