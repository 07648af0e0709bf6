//! A word to whoever waits: look again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::lock::{AtomicUsize, Lock, Ordering};
use super::waiters::{Calls, Key, WaitList};

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
    /// The calls of `notify_waiters` so far. Changed under the lock; read without it when a future is made.
    rounds: AtomicUsize,
    state: Lock<State>,
}

struct State {
    /// `notify_one` found nobody. Then nobody waits, either.
    has_permit: bool,
    waiters: WaitList<(), Call>,
}

/// Which of the two woke a waiter.
#[derive(Clone, Copy)]
enum Call {
    One,
    All,
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
        Self { rounds: AtomicUsize::new(0), state: Lock::new(State { has_permit: false, waiters: WaitList::new() }) }
    }

    #[cfg(loom)]
    #[allow(missing_docs)]
    pub fn new() -> Self {
        Self { rounds: AtomicUsize::new(0), state: Lock::new(State { has_permit: false, waiters: WaitList::new() }) }
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
        Notified { notify: self, rounds: self.rounds.load(Ordering::Acquire), key: None }
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
        let mut state = self.state.lock();
        let called = state.call_one();
        drop(state);
        if let Some(waker) = called {
            waker.wake();
        }
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
        let mut calls = Calls::default();
        let mut state = self.state.lock();
        self.rounds.fetch_add(1, Ordering::Release);
        while !state.waiters.is_empty() {
            calls.add(state.waiters.call_first(Call::All));
        }
        drop(state);
        calls.wake();
    }
}

impl State {
    /// The waker is to be woken without the lock.
    fn call_one(&mut self) -> Option<std::task::Waker> {
        let called = self.waiters.call_first(Call::One);
        self.has_permit |= called.is_none();
        called
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").field("has_permit", &self.state.lock().has_permit).finish_non_exhaustive()
    }
}

/// What [`Notify::notified`] gives.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// The calls of `notify_waiters` before this was made.
    rounds: usize,
    key: Option<Key>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut state = this.notify.state.lock();
        if this.key.is_some() {
            let word = state.waiters.take_word(&mut this.key, context.waker());
            drop(state);
            // A waker that was replaced is dropped here, after the lock was released.
            return if word.is_ok() { Poll::Ready(()) } else { Poll::Pending };
        }
        // The permit is left to others where a round has come: one notification is enough.
        if this.notify.rounds.load(Ordering::Relaxed) != this.rounds || std::mem::take(&mut state.has_permit) {
            return Poll::Ready(());
        }
        this.key = Some(state.waiters.push((), context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut state = self.notify.state.lock();
        let left = state.waiters.remove(&key);
        let called = if matches!(left, Ok(Call::One)) { state.call_one() } else { None };
        drop(state);
        drop(left);
        if let Some(waker) = called {
            waker.wake();
        }
    }
}
