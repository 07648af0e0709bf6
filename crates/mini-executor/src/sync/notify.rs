//! A word to whoever waits: look again.
//!
//! # How it works
//! A notification of one is a permit in a [`Line`], of which never more than one lies there unused. A notification of all sends everybody away,
//! and counts the rounds: a future remembers the round that it was made in, and if there was another when it is polled, it was notified.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::line::{Line, wake};
use crate::awaits;
use crate::primitives::{Mutex, lock};
use crate::strangers::ToTheLast;

/// Wakes tasks that wait for something to have changed, and holds nothing itself.
///
/// [`notify_one`](Self::notify_one) wakes the one that waits longest, and if nobody waits, leaves one permit for the next that will.
/// [`notify_waiters`](Self::notify_waiters) wakes all that wait, and leaves nothing. What changed is told some other way: in a `Cell`,
/// an atomic, behind a lock.
///
/// So that no notification falls between looking and waiting, ask for the future first, then look, then await it:
///
/// ```
/// use mini_executor::sync::Notify;
/// use mini_executor::{LocalExecutor, block_on};
/// use std::cell::Cell;
///
/// let (is_open, changed) = (Cell::new(false), Notify::new());
/// let executor = LocalExecutor::new();
/// let through = executor.spawn(async {
///     loop {
///         let notified = changed.notified();
///         if is_open.get() {
///             return "through";
///         }
///         notified.await;
///     }
/// });
/// executor.spawn(async {
///     is_open.set(true);
///     changed.notify_waiters();
/// }).detach();
/// assert_eq!(block_on(executor.run(through)), "through");
/// ```
pub struct Notify {
    state: Mutex<State>,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}

struct State {
    line: Line,
    /// Calls of `notify_waiters`.
    rounds: u64,
}

impl Notify {
    /// Without a permit, and nobody waiting.
    ///
    /// ```
    /// static SETTINGS_CHANGED: mini_executor::sync::Notify = mini_executor::sync::Notify::new();
    /// SETTINGS_CHANGED.notify_waiters();
    /// ```
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { line: Line::new(0), rounds: 0 }) }
    }

    #[cfg(loom)]
    #[allow(missing_docs)]
    pub fn new() -> Self {
        Self { state: Mutex::new(State { line: Line::new(0), rounds: 0 }) }
    }

    /// Waits for a notification.
    ///
    /// A permit or a `notify_one` counts from the first poll, a `notify_waiters` from this call on, whether polled or not. Cancel-safe:
    /// who is dropped when `notify_one` had just chosen it passes that on to the next, or leaves it as the permit.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Notify};
    ///
    /// let notify = Notify::new();
    /// let notified = notify.notified();
    /// notify.notify_waiters();
    /// block_on(notified);
    /// ```
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: lock(&self.state).rounds, number: None }
    }

    /// Wakes the one that waits longest; if nobody does, the next that waits need not. There is one such permit: a second call while it
    /// is unused changes nothing.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Notify};
    ///
    /// let notify = Notify::new();
    /// notify.notify_one();
    /// block_on(notify.notified());
    /// ```
    pub fn notify_one(&self) {
        let mut state = lock(&self.state);
        let called = if state.line.spare() == 0 { state.line.give() } else { None };
        drop(state);
        wake(called);
    }

    /// Wakes all that wait, be it that they have only asked for the future yet.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::Notify};
    ///
    /// let notify = Notify::new();
    /// let (first, second) = (notify.notified(), notify.notified());
    /// notify.notify_waiters();
    /// block_on(async { (first.await, second.await) });
    /// ```
    pub fn notify_waiters(&self) {
        let mut state = lock(&self.state);
        state.rounds += 1;
        let all = state.line.send_away();
        drop(state);
        let mut strangers = ToTheLast::default();
        all.for_each(|waker| strangers.call(|| waker.wake()));
        strangers.end();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Notify::notified`] gives.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// The calls of `notify_waiters` before this was made.
    round: u64,
    /// While it stands in the line.
    number: Option<u64>,
}

impl Future for Notified<'_> {
    type Output = ();

    #[track_caller]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut state = lock(&this.notify.state);
        // A permit is left to others where a round has come: one notification is enough.
        if state.rounds != this.round {
            // Who was called before that round has its permit, and who was not is not in the line any more.
            let _ = this.number.take().map(|number| state.line.leave(number));
            return Poll::Ready(());
        }
        let taken = state.line.take_or_wait(&mut this.number, context.waker());
        drop(state);
        match taken {
            Ok(()) => Poll::Ready(()),
            Err(_former) => awaits::pending(Poll::Pending),
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let left = lock(&self.notify.state).line.leave(number);
            if left.is_ok() {
                self.notify.notify_one();
            }
        }
    }
}
