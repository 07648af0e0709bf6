//! How a group fails: what a caller is told, and where it is kept until then.

use std::any::Any;
use std::fmt;
use std::panic::{Location, resume_unwind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::primitives::{AtomicBool, AtomicUsize, Mutex, MutexGuard, lock};
use crate::strangers::{WakerSlot, wake};
use crate::unhandled::{self, Unhandled};

/// Why a group came to no result: the first error, and what else failed while the rest was cancelled.
///
/// There is none for a group whose first failure was a panic: that goes on in whoever awaits the group.
///
/// ```
/// use mini_executor::{block_on, try_group};
/// use std::error::Error;
///
/// let outcome = block_on(try_group(async |group| {
///     group.try_spawn(async { "many".parse::<u32>() });
///     Ok(())
/// }));
/// let error = outcome.unwrap_err();
/// assert_eq!(error.first, "many".parse::<u32>().unwrap_err());
/// assert!(error.to_string().starts_with("a group failed: its member of "), "{error}");
/// assert_eq!(error.source().unwrap().to_string(), "invalid digit found in string");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct GroupError<E> {
    /// The error that ended the group.
    pub first: E,
    /// Where the child that returned it was spawned; if it was the body, where the group was made.
    pub spawned: &'static Location<'static>,
    /// What failed after it, in order. No child takes another step after the first failure: these are mostly panics of destructors.
    pub others: Vec<Failure<E>>,
}

impl<E> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a group failed: its member of {} returned an error", self.spawned)?;
        for other in &self.others {
            write!(f, "; then that of {} ", other.spawned)?;
            match &other.cause {
                Cause::Error(_) => f.write_str("did, too")?,
                Cause::Panic(panic) => write!(f, "panicked: {}", panic.message().unwrap_or("(no message)"))?,
            }
        }
        Ok(())
    }
}

impl<E: std::error::Error + 'static> std::error::Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.first)
    }
}

/// One failure among those that followed the first: see [`GroupError::others`].
///
/// ```
/// use mini_executor::{Cause, block_on, try_group, yield_now};
///
/// struct Careless;
/// impl Drop for Careless {
///     fn drop(&mut self) {
///         panic!("in a destructor");
///     }
/// }
///
/// let outcome: Result<(), _> = block_on(try_group(async |group| {
///     group.spawn(async {
///         let _careless = Careless;
///         std::future::pending::<()>().await;
///     });
///     yield_now().await;
///     Err("refused")
/// }));
/// let error = outcome.unwrap_err();
/// let [other] = &error.others[..] else { unreachable!() };
/// let Cause::Panic(panic) = &other.cause else { unreachable!() };
/// assert_eq!((error.first, panic.message()), ("refused", Some("in a destructor")));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure<E> {
    /// Where the child was spawned; if it was the body, where the group was made.
    pub spawned: &'static Location<'static>,
    /// What it did.
    pub cause: Cause<E>,
}

/// The two ways to fail. For an example see [`Failure`].
#[derive(Debug)]
pub enum Cause<E> {
    /// It returned an error.
    Error(E),
    /// It panicked.
    Panic(Panicked),
}

/// What somebody panicked with. For an example see [`Failure`].
pub struct Panicked {
    /// Behind a lock for one reason: what is thrown need not be `Sync`, and an error that is not can't be handed to most code for errors.
    payload: std::sync::Mutex<Box<dyn Any + Send>>,
    message: Option<String>,
}

impl Panicked {
    fn new(spawned: &'static Location<'static>, payload: Box<dyn Any + Send>) -> Self {
        let unhandled = Unhandled { name: None, spawned, payload };
        let message = unhandled.message().map(str::to_owned);
        Self { payload: std::sync::Mutex::new(unhandled.payload), message }
    }

    /// The message, if the panic had one: `panic!` makes a string.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// What was thrown, for [`resume_unwind`].
    ///
    /// Whoever catches a group's panic only to clean up goes on with it so:
    ///
    /// ```
    /// use mini_executor::{Cause, GroupError, block_on, group, try_group, yield_now};
    /// use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    ///
    /// struct Careless;
    /// impl Drop for Careless {
    ///     fn drop(&mut self) {
    ///         panic!("in a destructor");
    ///     }
    /// }
    ///
    /// let outcome: Result<(), GroupError<&str>> = block_on(try_group(async |group| {
    ///     group.spawn(async {
    ///         let _careless = Careless;
    ///         std::future::pending::<()>().await;
    ///     });
    ///     yield_now().await;
    ///     Err("refused")
    /// }));
    /// let Cause::Panic(panic) = outcome.unwrap_err().others.remove(0).cause else { unreachable!() };
    /// let caught = catch_unwind(AssertUnwindSafe(|| resume_unwind(panic.into_payload())));
    /// assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"in a destructor"));
    /// ```
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panicked").field("message", &self.message).finish_non_exhaustive()
    }
}

/// A group's state: what its members and its scope tell each other.
pub(super) struct Record<E> {
    has_failed: AtomicBool,
    /// Children whose future was not dropped yet.
    living: AtomicUsize,
    failures: Mutex<Vec<Failure<E>>>,
    /// Who awaits the group.
    waiter: WakerSlot,
}

impl<E> Record<E> {
    pub(super) fn new() -> Self {
        Self {
            has_failed: AtomicBool::new(false),
            living: AtomicUsize::new(0),
            failures: Mutex::new(Vec::new()),
            waiter: WakerSlot::default(),
        }
    }

    /// Whether everybody is to stop.
    pub(super) fn has_failed(&self) -> bool {
        // Relaxed: who sees it too late takes one more step.
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Somebody failed. The first to do so ends the group.
    pub(super) fn fail(&self, spawned: &'static Location<'static>, cause: Cause<E>) {
        self.failures().push(Failure { spawned, cause });
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            self.wake(spawned);
        }
    }

    /// The same for what was thrown.
    pub(super) fn fail_by(&self, spawned: &'static Location<'static>, panic: Box<dyn Any + Send>) {
        self.fail(spawned, Cause::Panic(Panicked::new(spawned, panic)));
    }

    /// A child comes.
    pub(super) fn enter(&self) {
        self.living.fetch_add(1, Ordering::Relaxed);
    }

    /// A child is gone, and its destructors have run.
    pub(super) fn leave(&self, spawned: &'static Location<'static>) {
        // Release: who sees that nobody is left sees what they did, too.
        if self.living.fetch_sub(1, Ordering::Release) == 1 {
            self.wake(spawned);
        }
    }

    /// Whether no child is left.
    pub(super) fn is_deserted(&self) -> bool {
        self.living.load(Ordering::Acquire) == 0
    }

    /// Has `waker` woken when somebody fails, or the last child is gone.
    pub(super) fn wait(&self, waker: &Waker) {
        self.waiter.set(waker);
    }

    fn wake(&self, spawned: &'static Location<'static>) {
        if let Some(waiter) = self.waiter.take() {
            wake(waiter, spawned);
        }
    }

    /// What the group came to. A panic that was the first failure goes on here.
    pub(super) fn conclude(&self) -> Result<(), GroupError<E>> {
        let mut failures = std::mem::take(&mut *self.failures());
        if failures.is_empty() {
            return Ok(());
        }
        let Failure { spawned, cause } = failures.remove(0);
        match cause {
            Cause::Error(first) => Err(GroupError { first, spawned, others: failures }),
            Cause::Panic(panic) => {
                for Failure { spawned, cause } in failures {
                    // Only one panic can go on.
                    if let Cause::Panic(another) = cause {
                        unhandled::report(None, spawned, another.into_payload());
                    }
                }
                resume_unwind(panic.into_payload())
            }
        }
    }

    fn failures(&self) -> MutexGuard<'_, Vec<Failure<E>>> {
        lock(&self.failures)
    }
}
