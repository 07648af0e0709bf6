//! Tasks: a future on its way, and the handle to it.
//!
//! | file | its one subject |
//! |---|---|
//! | `state` | the two words a task's state is kept in; begin here |
//! | `header` | what every task has, whatever its future |
//! | `core` | the allocation: header, future, outcome |
//! | `local` | what happens to a local executor's task: woken, polled, closed, done |
//! | `join` | what its handle does: await, cancel, leave it alone |
//! | `shared_state`, `shared` | the same two for tasks that move between threads |
//! | `lists` | tasks in a row: those that wait for a worker, and all that there are |
//! | `runnable` | tasks without an executor of this crate |
//! | `waker` | what wakes a task |
//! | `packed` | a waker in one word |
//! | `record` | where it was spawned, where it awaits, how often it was polled |
#![allow(unsafe_code)]

mod core;
mod header;
mod join;
mod lists;
mod local;
#[cfg(all(test, loom))]
mod loom_tests;
mod packed;
mod record;
mod runnable;
mod shared;
mod shared_state;
mod state;
mod waker;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{awaits, unhandled};
pub(crate) use core::{Name, Named, make, make_shared};
use header::Outcome;
pub(crate) use header::TaskRef;
pub(crate) use lists::{Family, Links, Row};
pub(crate) use local::{arrive, close, phase as local_phase, run};
pub use record::set_busy_times;
pub(crate) use record::{awaited, awaits};
pub(crate) use runnable::spawn_at;
pub use runnable::{Runnable, spawn};
pub(crate) use shared::{Scheduled, Turn, phase as shared_phase};

/// A handle to a task that was spawned: a future of its result.
///
/// **Dropping it cancels the task.** [`detach`](Self::detach) lets the task go on with nobody waiting for it; `cancel().await` asks for
/// its end and waits until its destructors have run.
///
/// # Panics
/// Awaiting it panics as the task did, if the task panicked. It panics, too, when the task will never have a result: because its executor
/// was dropped. [`fallible`](Self::fallible) gives `None` then.
///
/// ```
/// use mini_executor::{LocalExecutor, block_on};
///
/// let executor = LocalExecutor::new();
/// let task = executor.spawn(async { 6 * 7 });
/// assert_eq!(block_on(executor.run(task)), 42);
/// ```
#[must_use = "a task is cancelled when its handle is dropped: await it, or `detach` it"]
pub struct Task<T> {
    inner: TaskRef,
    /// It was awaited to its end.
    has_ended: bool,
    output: PhantomData<T>,
}

// SAFETY: the handle reaches the task's flags, count and awaiter, which it does by the protocol for its thread, and the output, which
// may be sent. The future stays with its executor.
unsafe impl<T: Send> Send for Task<T> {}
// SAFETY: by reference a handle tells whether the task is done, and where it was spawned: no `T` is reached.
unsafe impl<T> Sync for Task<T> {}
impl<T> Unpin for Task<T> {}
impl<T> UnwindSafe for Task<T> {}
impl<T> RefUnwindSafe for Task<T> {}

impl<T> Task<T> {
    /// # Safety
    /// A task whose output is a `T`, and its handle's reference.
    pub(crate) unsafe fn new(task: TaskRef) -> Self {
        Self { inner: task, has_ended: false, output: PhantomData }
    }

    /// Lets the task run to its end with nobody waiting for it. If it panics, the [hook](crate::set_unhandled_hook) is told.
    ///
    /// ```
    /// use mini_executor::LocalExecutor;
    /// use std::cell::Cell;
    ///
    /// let has_run = Cell::new(false);
    /// let executor = LocalExecutor::new();
    /// executor.spawn(async { has_run.set(true) }).detach();
    /// assert!(executor.try_tick());
    /// assert!(has_run.get());
    /// ```
    pub fn detach(self) {
        if !self.has_ended {
            let this = ManuallyDrop::new(self);
            // SAFETY: the handle's reference; the handle is not used again.
            unsafe { join::abandon(this.inner) }
        }
    }

    /// Ends the task before its time, and waits until its executor has dropped its future. The result, if it came to one before.
    ///
    /// # Panics
    /// As the task did, if it panicked before.
    ///
    /// What the task holds is dropped on its executor's thread, and not here: files are closed and locks given back when this has its result,
    /// which is what dropping the handle alone does not promise.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, block_on};
    /// use std::future::pending;
    /// use std::rc::Rc;
    ///
    /// let held = Rc::new(());
    /// let holds = held.clone();
    /// let executor = LocalExecutor::new();
    /// let task = executor.spawn(async move {
    ///     let _holds = holds;
    ///     pending::<()>().await;
    /// });
    /// assert_eq!(block_on(executor.run(task.cancel())), None);
    /// assert_eq!(Rc::strong_count(&held), 1);
    /// ```
    #[track_caller]
    pub fn cancel(self) -> impl Future<Output = Option<T>> {
        let place = Location::caller();
        async move {
            join::cancel(self.inner);
            awaits::from(place, self.fallible()).await
        }
    }

    /// Whether the task came to its end, panicked, or was stopped.
    ///
    /// Its result waits in the handle then, and awaiting that takes no time.
    ///
    /// ```
    /// let executor = mini_executor::LocalExecutor::new();
    /// let task = executor.spawn(async {});
    /// assert!(!task.is_finished());
    /// executor.try_tick();
    /// assert!(task.is_finished());
    /// ```
    pub fn is_finished(&self) -> bool {
        self.has_ended || join::is_done(self.inner)
    }

    /// A future that gives `None` where awaiting the handle would panic because the task was cancelled.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, block_on};
    ///
    /// let executor = LocalExecutor::new();
    /// let task = executor.spawn(std::future::pending::<()>()).fallible();
    /// drop(executor);
    /// assert_eq!(block_on(task), None);
    /// ```
    pub fn fallible(self) -> FallibleTask<T> {
        FallibleTask(self)
    }

    /// The task's name, if it was given one.
    ///
    /// ```
    /// let executor = mini_executor::LocalExecutor::new();
    /// assert_eq!(executor.spawn_named("ticker", async {}).name(), Some("ticker"));
    /// assert_eq!(executor.spawn(async {}).name(), None);
    /// ```
    pub fn name(&self) -> Option<&str> {
        let name = self.inner.name()?;
        // SAFETY: the handle keeps the task alive, and names do not change.
        Some(unsafe { &*std::ptr::from_ref(name) })
    }

    /// Where it was spawned. In a program with more than 65,535 places that spawn or await, some place in this crate for those that came last.
    ///
    /// ```
    /// let executor = mini_executor::LocalExecutor::new();
    /// let task = executor.spawn(async {});
    /// println!("{}", task.spawned()); // src/main.rs:3:21
    /// # assert!(task.spawned().line() > 1);
    /// ```
    pub fn spawned(&self) -> &'static Location<'static> {
        self.inner.spawned()
    }

    #[cold]
    fn fail(&self) -> T {
        let spawned = self.spawned();
        panic!("the task spawned at {spawned} was cancelled, or its executor dropped: it has no result")
    }

    /// The result, or `None` if there will never be one.
    #[track_caller]
    #[inline]
    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        assert!(!self.has_ended, "a task's handle was polled after it had given its result");
        let Poll::Ready(has_output) = join::poll_join(self.inner, context) else {
            awaits::here();
            return Poll::Pending;
        };
        self.has_ended = true;
        if !has_output {
            return Poll::Ready(None);
        }
        // SAFETY: there is an outcome, of this type, and it is taken once, for `has_ended` is set.
        let outcome: Outcome<T> = unsafe { self.inner.take_output() };
        Poll::Ready(Some(outcome.unwrap_or_else(|panic| resume_unwind(*panic))))
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.poll_outcome(context).map(|output| output.unwrap_or_else(|| self.fail()))
    }
}

impl<T> Drop for Task<T> {
    #[inline]
    fn drop(&mut self) {
        if self.has_ended {
            // SAFETY: the handle's reference, of a task that is done; the handle is not used again.
            unsafe { local::drop_shared_reference(self.inner) }
        } else {
            // Who is woken for that may be a stranger, and panic.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| join::cancel(self.inner))) {
                unhandled::report(None, self.spawned(), panic);
            }
            // SAFETY: the handle's reference; the handle is not used again.
            unsafe { join::abandon(self.inner) }
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name())
            .field("spawned", &format_args!("{}", self.spawned()))
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

/// A handle that gives `None` for a task that was cancelled. Dropping it cancels the task. See [`Task::fallible`].
///
/// ```
/// use mini_executor::{FallibleTask, LocalExecutor, block_on};
///
/// let executor = LocalExecutor::new();
/// let mut tasks: Vec<FallibleTask<u32>> = (0..3).map(|number| executor.spawn(async move { number }).fallible()).collect();
/// assert_eq!(block_on(executor.run(tasks.remove(1))), Some(1));
/// ```
#[must_use = "a task is cancelled when its handle is dropped: await it, or `detach` it"]
#[derive(Debug)]
pub struct FallibleTask<T>(Task<T>);

impl<T> FallibleTask<T> {
    /// As [`Task::detach`].
    pub fn detach(self) {
        self.0.detach();
    }
}

impl<T> Future for FallibleTask<T> {
    type Output = Option<T>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_outcome(context)
    }
}
