//! A child of a group, seen from both ends: the future that the group polls, and the handle.
//!
//! The member stands between the child's future and whatever polls it. It catches what the future throws, be it polled or dropped, and
//! notes it as the group's failure; it keeps the future from being polled once the group has failed; and its own drop, which is
//! the last that is seen of a child, tells the group that there is one less. The group's body is a member, too.
//!
//! The result goes to the handle through a [`oneshot`]. A child that failed has none to give: whoever joins it inside the group waits,
//! and is dropped with the rest.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::failure::Record;
use crate::strangers::reported;
use crate::sync::oneshot;
use crate::unhandled;

/// A child's future, and what the group has to know of it. Polling it never panics.
pub(super) struct Member<F: Future, T, E> {
    /// Until it came to its end. Boxed, so that it can be dropped before the member without moving it, and without `unsafe`.
    future: Option<Pin<Box<F>>>,
    /// What its output means.
    judge: fn(F::Output) -> Result<T, E>,
    /// Where its result goes, until it has one.
    result: Option<oneshot::Sender<T>>,
    record: Arc<Record<E>>,
    spawned: &'static Location<'static>,
}

impl<F: Future, T, E> Member<F, T, E> {
    pub(super) fn new(
        record: &Arc<Record<E>>,
        future: F,
        judge: fn(F::Output) -> Result<T, E>,
        spawned: &'static Location<'static>,
    ) -> (Self, Child<T>) {
        record.enter();
        let (sender, receiver) = oneshot::channel();
        let future = Some(Box::pin(future));
        let member = Self { future, judge, result: Some(sender), record: record.clone(), spawned };
        (member, Child { result: receiver, spawned })
    }

    /// What the output means, if that is not an error.
    fn judged(&self, output: F::Output) -> Option<T> {
        (self.judge)(output).map_err(|error| self.record.fail(self.spawned, error)).ok()
    }

    /// The future came to its end, with an output if it has not failed.
    fn end(&mut self, output: Option<T>) {
        let future = self.future.take();
        self.record.attempt(self.spawned, || drop(future));
        // Its destructors may have failed. Who failed has no result, or whoever joins it would go on.
        let unwanted = match (output, self.result.take()) {
            (Some(output), Some(result)) if !self.record.has_failed() => {
                let mut unwanted = None;
                reported(self.spawned, || unwanted = result.send(output).err());
                unwanted
            }
            (output, result) => {
                reported(self.spawned, || drop(result));
                output
            }
        };
        self.record.attempt(self.spawned, || drop(unwanted));
    }
}

impl<F: Future, T, E> Future for Member<F, T, E> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.record.has_failed() {
            // Not one more step. The scope was woken, and drops it.
            return Poll::Pending;
        }
        let future = this.future.as_mut().expect("a group polls nobody who came to his end");
        let output = match this.record.attempt(this.spawned, || future.as_mut().poll(context)) {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(output)) => this.judged(output),
            None => None,
        };
        this.end(output);
        Poll::Ready(())
    }
}

impl<F: Future, T, E> Drop for Member<F, T, E> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            let end = AssertUnwindSafe(|| drop(future));
            if self.record.has_failed() {
                self.record.attempt(self.spawned, end);
            } else if let Err(panic) = catch_unwind(end) {
                // The scope was dropped: it brings no outcome that could carry the panic.
                unhandled::report(None, self.spawned, panic);
            }
            let result = self.result.take();
            reported(self.spawned, || drop(result));
        }
        self.record.leave(self.spawned);
    }
}

/// A handle to a child of a group: a future of its result.
///
/// **Dropping it cancels nothing**, unlike a [`Task`](crate::Task): the group waits for the child in any case.
///
/// # Panics
/// When it is awaited outside the group and there is no result: because the child failed, or the group ended. Inside the group nobody sees
/// that, for a child that fails takes the rest with it. And when it is polled after it has given its result.
///
/// ```
/// use mini_executor::{block_on, group};
///
/// let sum = block_on(group(async |group| {
///     let (one, two) = (group.spawn(async { 1 }), group.spawn(async { 2 }));
///     one.await + two.await
/// }));
/// assert_eq!(sum, 3);
/// ```
pub struct Child<T> {
    result: oneshot::Receiver<T>,
    spawned: &'static Location<'static>,
}

impl<T> Future for Child<T> {
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let spawned = self.spawned;
        Pin::new(&mut self.result).poll(context).map(|result| {
            result.unwrap_or_else(|oneshot::RecvError| {
                panic!("the child spawned at {spawned} has no result: it failed, its group ended before it, or the result was taken")
            })
        })
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("spawned", &format_args!("{}", self.spawned)).finish_non_exhaustive()
    }
}
