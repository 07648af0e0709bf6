//! Tasks without an executor of this crate: a future, and a function that is called whenever it is to be polled.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::Location;

use super::Task;
use super::core::{Name, make_scheduled};
use super::shared::{Scheduled, Turn};
use crate::heritage::heir;
use crate::places::SOMEWHERE;
use crate::strangers::reported;

/// Makes a task for an executor of your own: `schedule` is called with the right to poll it, once whenever it is woken.
///
/// It is not called for the first time: what this gives is [run](Runnable::run) or [scheduled](Runnable::schedule) by who calls it. The
/// same function stands behind this crate's own pool for [calls that block](crate::spawn_blocking).
///
/// `schedule` may be called on any thread, and while locks are held by whoever wakes the task; it should put the task into a queue and no more.
/// It is dropped with the last of the task's handle and wakers.
///
/// ```
/// use mini_executor::{block_on, task, yield_now};
/// use std::sync::mpsc;
///
/// // An executor in three lines: a queue, a way into it, and a loop.
/// let (sender, queue) = mpsc::channel();
/// let (first, task) = task::spawn(
///     async {
///         yield_now().await;
///         6 * 7
///     },
///     // Where the queue has gone the task is dropped, and so cancelled.
///     move |runnable| drop(sender.send(runnable)),
/// );
/// first.schedule();
/// while let Ok(runnable) = queue.try_recv() {
///     runnable.run();
/// }
/// assert_eq!(block_on(task), 42);
/// ```
#[track_caller]
pub fn spawn<F>(future: F, schedule: impl Fn(Runnable) + Send + Sync + 'static) -> (Runnable, Task<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    spawn_at(Location::caller(), future, schedule)
}

/// The same, called in `place`.
pub(crate) fn spawn_at<F>(
    place: &'static Location<'static>,
    future: F,
    schedule: impl Fn(Runnable) + Send + Sync + 'static,
) -> (Runnable, Task<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    // SAFETY: future and output are `Send` and `'static`.
    let (task, scheduled) = unsafe { make_scheduled(schedule, place, heir(future)) };
    // SAFETY: a task that was just made, with that output; the second of its two references.
    (Runnable::new(scheduled), unsafe { Task::new(task) })
}

/// The right to poll a task: see [`spawn`]. There is one, or none, for each. Dropping it cancels the task.
#[must_use = "the task is cancelled when this is dropped: run or schedule it"]
pub struct Runnable(
    /// Taken by those who consume it.
    Option<Scheduled>,
);

impl Runnable {
    pub(super) fn new(task: Scheduled) -> Self {
        Self(Some(task))
    }

    fn take(mut self) -> Scheduled {
        self.0.take().expect("who consumes it does so once")
    }

    /// Polls the task, or drops its future if it was cancelled. A panic ends the task and no more: it is the outcome. Tells whether the task
    /// was woken meanwhile, and has been scheduled again.
    pub fn run(self) -> bool {
        self.take().run() == Turn::IsReady
    }

    /// Calls the task's function with it.
    pub fn schedule(self) {
        self.take().schedule();
    }

    /// Where the task was spawned.
    pub fn spawned(&self) -> &'static Location<'static> {
        self.0.as_ref().map_or(SOMEWHERE, Scheduled::spawned)
    }
}

impl Drop for Runnable {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            // Who awaits it may be a stranger, and panic.
            reported(task.spawned(), || task.close());
        }
    }
}

impl fmt::Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runnable").field("spawned", &format_args!("{}", self.spawned())).finish_non_exhaustive()
    }
}

/// The function of such a task, which it keeps in the place of a name.
pub(super) struct Scheduler<S>(pub(super) S);

impl<S: 'static> Name for Scheduler<S> {}
