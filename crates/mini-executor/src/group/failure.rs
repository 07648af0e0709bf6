//! How a group fails: what a caller is told, and where it is kept until then.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::task::Waker;

use crate::primitives::{Mutex, lock};
use crate::strangers::{WakerSlot, discard, message, reported, wake};
use crate::unhandled;

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
    /// What panicked after it, in order: destructors, for no child takes another step after the first failure.
    pub others: Vec<Panicked>,
}

impl<E> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a group failed: its member of {} returned an error", self.spawned)?;
        self.others
            .iter()
            .try_for_each(|other| write!(f, "; then that of {} panicked: {}", other.spawned, other.message))
    }
}

impl<E: std::error::Error + 'static> std::error::Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.first)
    }
}

/// A panic that followed the first failure: see [`GroupError::others`].
///
/// ```
/// use mini_executor::{block_on, try_group, yield_now};
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
/// assert_eq!((error.first, &*error.others[0].message), ("refused", "in a destructor"));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Panicked {
    /// Where the child was spawned; if it was the body, where the group was made.
    pub spawned: &'static Location<'static>,
    /// Its message.
    pub message: String,
}

/// A group's state: what its members and its scope tell each other.
pub(super) struct Record<E> {
    state: Mutex<State<E>>,
    /// Who awaits the group.
    waiter: WakerSlot,
}

struct State<E> {
    /// Members whose future was not dropped yet.
    living: usize,
    first: Option<(&'static Location<'static>, Cause<E>)>,
    others: Vec<Panicked>,
}

enum Cause<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

impl<E> Record<E> {
    pub(super) fn new() -> Self {
        let state = State { living: 0, first: None, others: Vec::new() };
        Self { state: Mutex::new(state), waiter: WakerSlot::default() }
    }

    /// Whether everybody is to stop.
    pub(super) fn has_failed(&self) -> bool {
        lock(&self.state).first.is_some()
    }

    /// A member returned an error. That is the first failure: after it nobody takes a step any more.
    pub(super) fn fail(&self, spawned: &'static Location<'static>, error: E) {
        lock(&self.state).first = Some((spawned, Cause::Error(error)));
        self.wake(spawned);
    }

    /// Calls strangers for a member: one that panics has failed, and the others are called all the same.
    pub(super) fn attempt<R>(&self, spawned: &'static Location<'static>, strangers: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(strangers)) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.has_panicked(spawned, panic);
                None
            }
        }
    }

    fn has_panicked(&self, spawned: &'static Location<'static>, panic: Box<dyn Any + Send>) {
        let mut state = lock(&self.state);
        if state.first.is_none() {
            state.first = Some((spawned, Cause::Panic(panic)));
            drop(state);
            self.wake(spawned);
        } else {
            state.others.push(Panicked { spawned, message: message(&*panic).unwrap_or("(no message)").to_owned() });
            drop(state);
            discard(panic);
        }
    }

    /// A member comes.
    pub(super) fn enter(&self) {
        lock(&self.state).living += 1;
    }

    /// A member is gone, and its destructors have run.
    pub(super) fn leave(&self, spawned: &'static Location<'static>) {
        let mut state = lock(&self.state);
        state.living -= 1;
        let is_last = state.living == 0;
        drop(state);
        if is_last {
            self.wake(spawned);
        }
    }

    /// Whether no member is left, or one has failed.
    pub(super) fn has_ended(&self) -> bool {
        let state = lock(&self.state);
        state.living == 0 || state.first.is_some()
    }

    /// Has `waker` woken when somebody fails, or the last member is gone.
    pub(super) fn wait(&self, waker: &Waker) {
        self.waiter.set(waker);
    }

    fn wake(&self, spawned: &'static Location<'static>) {
        if let Some(waiter) = self.waiter.take() {
            wake(waiter, spawned);
        }
    }

    fn take(&self) -> (Option<(&'static Location<'static>, Cause<E>)>, Vec<Panicked>) {
        let mut state = lock(&self.state);
        (state.first.take(), std::mem::take(&mut state.others))
    }

    /// Why a group that has failed did. A panic that was the first failure goes on here.
    pub(super) fn conclude(&self) -> GroupError<E> {
        let (first, others) = self.take();
        match first.expect("the group has failed") {
            (spawned, Cause::Error(first)) => GroupError { first, spawned, others },
            (_, Cause::Panic(panic)) => {
                // Only one panic can go on.
                others.into_iter().for_each(Panicked::report);
                resume_unwind(panic)
            }
        }
    }

    /// Nobody awaits the group any more. Panics that nobody was told of are reported; from here on members report their own.
    pub(super) fn abandon(&self) {
        let (first, others) = self.take();
        match first {
            Some((spawned, Cause::Panic(panic))) => unhandled::report(None, spawned, panic),
            Some((spawned, Cause::Error(error))) => reported(spawned, || drop(error)),
            None => {}
        }
        others.into_iter().for_each(Panicked::report);
        // A handle to the group may live on, and is not to keep the task that awaited it.
        drop(self.waiter.take());
    }
}

impl Panicked {
    fn report(self) {
        unhandled::report(None, self.spawned, Box::new(self.message));
    }
}
