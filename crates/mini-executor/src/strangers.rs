//! Code that is not ours: wakers, hooks, destructors. It may do anything, so it is called without a lock, and it may panic where we have
//! to go on.
//!
//! "Anything" is meant; `tests/hostile.rs` does much of this:
//!
//! | it | with a lock held, or without care | so |
//! |---|---|---|
//! | a waker that is cloned, woken or dropped runs the executor | waits for ever for the lock that its own thread holds | cloned before the lock is taken, dropped after it is given back (`sync` clones under its locks, where a second lock for each wait would cost more: there a clone only counts, or waits for ever) |
//! | a waker panics, and others wait behind it in a list | they are never woken | [`ToTheLast`]: all are called, then the first panic goes on |
//! | a destructor panics while a panic is under way | the process ends | [`discard`], or a report to the hook |
//! | what was thrown panics when it is dropped, and throws such a thing again | for ever | [`discard`] gives up after eight, and leaks the ninth |
//! | a hook replaces itself | waits for ever for its own lock | [`Hook`] calls a clone |

use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::{Arc, RwLock};
use std::task::Waker;

use crate::primitives::{Mutex, lock, unpoisoned};
use crate::unhandled;

/// Drops what was thrown, and what that throws when it is dropped. Never panics.
pub(crate) fn discard(mut panic: Box<dyn Any + Send>) {
    // It might go on for ever.
    for _ in 0..8 {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(next) => panic = next,
        }
    }
    std::mem::forget(panic);
}

/// What was thrown, as text: `panic!` throws a string.
pub(crate) fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    let literal = panic.downcast_ref::<&'static str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

/// Calls strangers from a place that has to go on. What they throw is reported, as of a task spawned at `spawned`.
pub(crate) fn reported(spawned: &'static Location<'static>, strangers: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(strangers)) {
        unhandled::report(None, spawned, panic);
    }
}

/// Wakes from a place that has to go on.
pub(crate) fn wake(waker: Waker, spawned: &'static Location<'static>) {
    reported(spawned, || waker.wake());
}

/// Several calls that are to be made to the last, whichever panics. The first panic goes on at the end: it is nearest to the cause, and the
/// later ones have been printed by Rust's own hook.
#[derive(Default)]
pub(crate) struct ToTheLast {
    first_panic: Option<Box<dyn Any + Send>>,
}

impl ToTheLast {
    /// Makes a call.
    pub(crate) fn call(&mut self, strangers: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(strangers)) {
            match self.first_panic {
                None => self.first_panic = Some(panic),
                Some(_) => discard(panic),
            }
        }
    }

    /// Goes on with the first panic, if there was one.
    pub(crate) fn end(self) {
        match self.first_panic {
            // A second one at a time would end the process.
            Some(panic) if std::thread::panicking() => discard(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}

/// A place for one waker: cloned and dropped outside the lock.
#[derive(Default)]
pub(crate) struct WakerSlot(Mutex<Option<Waker>>);

impl WakerSlot {
    /// Puts a waker there, unless one that wakes the same stands there already.
    pub(crate) fn set(&self, waker: &Waker) {
        let is_known = lock(&self.0).as_ref().is_some_and(|known| known.will_wake(waker));
        if !is_known {
            let waker = waker.clone();
            let former = lock(&self.0).replace(waker);
            drop(former);
        }
    }

    /// Takes the waker out.
    pub(crate) fn take(&self) -> Option<Waker> {
        lock(&self.0).take()
    }
}

/// A function that the program may set, in place of what this crate does.
pub(crate) struct Hook<F: ?Sized>(RwLock<Option<Arc<F>>>);

impl<F: ?Sized> Hook<F> {
    pub(crate) const fn new() -> Self {
        Self(RwLock::new(None))
    }

    /// Replaces it.
    pub(crate) fn set(&self, hook: Arc<F>) {
        let former = unpoisoned(self.0.write()).replace(hook);
        // Only here, where the lock is not held: its destructors may do anything.
        drop(former);
    }

    /// Has `call` call it; `None` where none was set. Never panics.
    pub(crate) fn call(&self, call: impl FnOnce(Option<&F>)) {
        let called = catch_unwind(AssertUnwindSafe(|| {
            // Called outside the lock: a hook may replace itself.
            let hook = unpoisoned(self.0.read()).clone();
            call(hook.as_deref());
        }));
        if let Err(panic) = called {
            // Its own message has been printed by Rust's hook.
            discard(panic);
        }
    }
}
