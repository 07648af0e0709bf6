//! A child of a group, seen from both ends: the future that the group polls, and the handle.
//!
//! The member stands between the child's future and whatever polls it. It catches what the future throws, be it polled or dropped, and
//! notes it as the group's failure; it keeps the future from being polled once the group has failed; and its own drop, which is
//! the last that is seen of a child, tells the group that there is one less.
//!
//! A child that failed has no result, and its handle has nothing to give. Whoever joins it inside the group waits, and is dropped
//! with the rest. So no code is needed for joining a child that failed, and none can be wrong.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use super::failure::{Cause, Record};
use crate::awaits;
use crate::primitives::{AtomicBool, Mutex, MutexGuard, lock};
use crate::strangers::{WakerSlot, wake};
use crate::unhandled;

/// A child's future, and what the group has to know of it. Polling it never panics.
pub(super) struct Member<F: Future, T, E> {
    /// Until it came to its end. Boxed, so that it can be dropped before the member without moving it, and without `unsafe`.
    future: Option<Pin<Box<F>>>,
    /// What its output means.
    judge: fn(F::Output) -> Result<T, E>,
    place: Arc<Place<T>>,
    record: Arc<Record<E>>,
}

impl<F: Future, T, E> Member<F, T, E> {
    pub(super) fn new(
        record: &Arc<Record<E>>,
        future: F,
        judge: fn(F::Output) -> Result<T, E>,
        spawned: &'static Location<'static>,
    ) -> (Self, Child<T>) {
        record.enter();
        let state = State { stage: Stage::Living, joiner: None, is_abandoned: false };
        let place = Arc::new(Place {
            spawned,
            is_cancelled: AtomicBool::new(false),
            member: WakerSlot::default(),
            state: Mutex::new(state),
        });
        let future = Some(Box::pin(future));
        (Self { future, judge, place: place.clone(), record: record.clone() }, Child { place })
    }

    /// Strangers' destructors: one that panics has failed.
    fn discard<V>(&self, value: V) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            self.record.fail_by(self.place.spawned, panic);
        }
    }

    /// The future came to its end, by itself or by [`Child::cancel`].
    fn end(&mut self, output: Option<T>) {
        let future = self.future.take();
        self.discard(future);
        // A member that failed has no result, or whoever joins it would go on.
        let (output, failed) = if self.record.has_failed() { (None, output) } else { (output, None) };
        self.discard(failed);
        let unwanted = self.place.end(output);
        self.discard(unwanted);
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
        // In this order: who cancels it on another thread finds the waker, or is found here.
        this.place.member.set(context.waker());
        if this.place.is_cancelled.load(Ordering::Acquire) {
            this.end(None);
            return Poll::Ready(());
        }
        let future = this.future.as_mut().expect("a group polls nobody who came to his end");
        let output = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => match (this.judge)(output) {
                Ok(output) => Some(output),
                Err(error) => {
                    this.record.fail(this.place.spawned, Cause::Error(error));
                    None
                }
            },
            Err(panic) => {
                this.record.fail_by(this.place.spawned, panic);
                None
            }
        };
        this.end(output);
        Poll::Ready(())
    }
}

impl<F: Future, T, E> Drop for Member<F, T, E> {
    fn drop(&mut self) {
        let spawned = self.place.spawned;
        if let Some(future) = self.future.take() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
                if self.record.has_failed() {
                    self.record.fail_by(spawned, panic);
                } else {
                    // The scope was dropped: it brings no outcome that could carry the panic.
                    unhandled::report(None, spawned, panic);
                }
            }
            self.place.end(None);
        }
        self.record.leave(spawned);
    }
}

/// What a member and its handle share.
struct Place<T> {
    spawned: &'static Location<'static>,
    /// The handle asks for the end.
    is_cancelled: AtomicBool,
    /// Wakes the member, for whoever cancels it.
    member: WakerSlot,
    state: Mutex<State<T>>,
}

struct State<T> {
    stage: Stage<T>,
    /// Who awaits the handle.
    joiner: Option<Waker>,
    /// The handle was dropped.
    is_abandoned: bool,
}

enum Stage<T> {
    Living,
    Done(T),
    /// There will never be a result, or it was taken.
    Ended,
}

impl<T> Place<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }

    /// The member is gone. An output that nobody will come for is given back.
    fn end(&self, output: Option<T>) -> Option<T> {
        let mut state = self.state();
        let (stage, unwanted) = match output {
            Some(output) if state.is_abandoned => (Stage::Ended, Some(output)),
            Some(output) => (Stage::Done(output), None),
            None => (Stage::Ended, None),
        };
        state.stage = stage;
        let joiner = state.joiner.take();
        drop(state);
        drop(self.member.take());
        if let Some(joiner) = joiner {
            wake(joiner, self.spawned);
        }
        unwanted
    }

    /// The result, or `None` if there will never be one.
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.state();
        if !state.is_living() {
            return Poll::Ready(state.take());
        }
        if state.joiner.as_ref().is_some_and(|joiner| joiner.will_wake(context.waker())) {
            return Poll::Pending;
        }
        drop(state);
        let waker = context.waker().clone();
        let mut state = self.state();
        // It may have ended while the lock was not held.
        if !state.is_living() {
            let output = state.take();
            drop(state);
            drop(waker);
            return Poll::Ready(output);
        }
        let former = state.joiner.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl<T> State<T> {
    fn is_living(&self) -> bool {
        matches!(self.stage, Stage::Living)
    }

    /// The result of a child that came to its end.
    fn take(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Done(output) => Some(output),
            _ => None,
        }
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
    place: Arc<Place<T>>,
}

impl<T> Child<T> {
    /// Ends this child alone before its time, and waits until its destructors have run. The result, if it came to one before.
    ///
    /// Should this future be dropped before, the child is cancelled all the same.
    ///
    /// ```
    /// use mini_executor::{block_on, group, interval};
    /// use std::time::Duration;
    ///
    /// block_on(group(async |group| {
    ///     let ticker = group.spawn(async {
    ///         let mut ticks = interval(Duration::from_millis(1));
    ///         loop {
    ///             ticks.tick().await;
    ///         }
    ///     });
    ///     // ... the work that the ticker goes with, and then:
    ///     assert_eq!(ticker.cancel().await, None::<()>);
    /// }));
    /// ```
    #[track_caller]
    pub fn cancel(self) -> impl Future<Output = Option<T>> {
        let place = Location::caller();
        self.place.is_cancelled.store(true, Ordering::Release);
        // One that was never polled is about to be.
        if let Some(member) = self.place.member.take() {
            member.wake();
        }
        async move { awaits::from(place, std::future::poll_fn(|context| self.place.poll(context))).await }
    }

    /// Whether it came to its end.
    ///
    /// ```
    /// use mini_executor::{block_on, group, yield_now};
    ///
    /// block_on(group(async |group| {
    ///     let child = group.spawn(async {});
    ///     assert!(!child.is_finished());
    ///     while !child.is_finished() {
    ///         yield_now().await;
    ///     }
    /// }));
    /// ```
    pub fn is_finished(&self) -> bool {
        !self.place.state().is_living()
    }

    /// Where it was spawned.
    ///
    /// ```
    /// use mini_executor::{block_on, group};
    ///
    /// let line = block_on(group(async |group| group.spawn(async {}).spawned().line()));
    /// assert!(line > 0);
    /// ```
    pub fn spawned(&self) -> &'static Location<'static> {
        self.place.spawned
    }
}

impl<T> Future for Child<T> {
    type Output = T;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let spawned = self.spawned();
        awaits::pending(self.place.poll(context)).map(|output| {
            output.unwrap_or_else(|| {
                panic!("the child spawned at {spawned} has no result: it failed, its group ended before it, or the result was taken")
            })
        })
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        let mut state = self.place.state();
        state.is_abandoned = true;
        let joiner = state.joiner.take();
        let output = if state.is_living() { None } else { state.take() };
        drop(state);
        drop((joiner, output));
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("spawned", &format_args!("{}", self.spawned()))
            .field("is_finished", &self.is_finished())
            .finish()
    }
}
