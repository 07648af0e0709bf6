//! A word to whoever waits: look again.
//!
//! # How it works
//! As in the [semaphore](super::Semaphore) one word tells everything while nobody waits: whether there is a permit, and how many
//! rounds of `notify_waiters` there were. A future remembers the round it was made in, and if the word has another when it is polled,
//! it was notified. Once somebody waits the flag [`WAITING`] sends everybody who notifies to the lock.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::lock::{AtomicUsize, Lock, Ordering};
use super::waiters::{Calls, Key, WaitList};
use crate::awaits;

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
    /// [`PERMIT`], [`WAITING`], and above them the count of rounds.
    state: AtomicUsize,
    waiters: Lock<Waiters>,
}

/// `notify_one` found nobody. Never set together with [`WAITING`].
const PERMIT: usize = 1;
/// Somebody is in the queue. Set and cleared under the lock; while it is set nothing in the word changes without the lock.
const WAITING: usize = 1 << 1;
/// One call of `notify_waiters`.
const ROUND: usize = 1 << 2;

type Waiters = WaitList<(), Call>;

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
        Self { state: AtomicUsize::new(0), waiters: Lock::new(Waiters::new()) }
    }

    #[cfg(loom)]
    #[allow(missing_docs)]
    pub fn new() -> Self {
        Self { state: AtomicUsize::new(0), waiters: Lock::new(Waiters::new()) }
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
        Notified { notify: self, round: self.state.load(Ordering::Acquire) / ROUND, key: None }
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
        if self.try_change(|state| state | PERMIT) {
            return;
        }
        let mut waiters = self.waiters.lock();
        let called = self.call_one(&mut waiters);
        drop(waiters);
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
        if self.try_change(|state| state.wrapping_add(ROUND)) {
            return;
        }
        let mut calls = Calls::default();
        let mut waiters = self.waiters.lock();
        while !waiters.is_empty() {
            calls.add(waiters.call_first(Call::All));
        }
        // The last may have left meanwhile, and a permit have come: all but the flag is to stay.
        self.state.fetch_and(!WAITING, Ordering::AcqRel);
        self.state.fetch_add(ROUND, Ordering::AcqRel);
        drop(waiters);
        calls.wake();
    }

    /// Changes the word, if nobody waits.
    #[inline]
    fn try_change(&self, change: impl Fn(usize) -> usize) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & WAITING == 0 {
            // Written even where the permit is there already: who takes it is to see what was done before this notification, too.
            match self.state.compare_exchange_weak(state, change(state), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => state = changed,
            }
        }
        false
    }

    /// With the lock held; the waker is to be woken without.
    fn call_one(&self, waiters: &mut Waiters) -> Option<Waker> {
        let called = waiters.call_first(Call::One);
        if called.is_none() {
            self.state.fetch_or(PERMIT, Ordering::AcqRel);
        } else {
            self.settle(waiters);
        }
        called
    }

    /// Somebody has left the queue. With the lock held.
    fn settle(&self, waiters: &Waiters) {
        if waiters.is_empty() {
            self.state.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("has_permit", &(self.state.load(Ordering::Relaxed) & PERMIT != 0))
            .finish_non_exhaustive()
    }
}

/// What [`Notify::notified`] gives.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// The calls of `notify_waiters` before this was made.
    round: usize,
    key: Option<Key>,
}

impl Notified<'_> {
    /// Enters the queue, unless a notification has come.
    fn enter(&mut self, waker: &Waker) -> Poll<()> {
        let Notify { state: word, waiters } = self.notify;
        let mut state = word.load(Ordering::Acquire);
        // Whoever has to wait: the lock, and a waker that was cloned before. They are released in this order.
        let mut waiting = None;
        loop {
            // A permit is left to others where a round has come: one notification is enough.
            if state / ROUND != self.round {
                return Poll::Ready(());
            }
            let is_permitted = state & PERMIT != 0;
            if !is_permitted && waiting.is_none() {
                let waker = waker.clone();
                waiting = Some((waiters.lock(), waker));
                state = word.load(Ordering::Acquire);
                continue;
            }
            let after = if is_permitted { state & !PERMIT } else { state | WAITING };
            match word.compare_exchange_weak(state, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if is_permitted => return Poll::Ready(()),
                Ok(_) => break,
                Err(changed) => state = changed,
            }
        }
        self.key = waiting.map(|(mut waiters, waker)| waiters.push((), waker));
        Poll::Pending
    }
}

impl Future for Notified<'_> {
    type Output = ();

    #[track_caller]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.key.is_none() {
            return awaits::pending(this.enter(context.waker()));
        }
        // The lock is a temporary: it is released at the end of this line, before a waker may be dropped.
        let word = this.notify.waiters.lock().take_word(&mut this.key, context.waker());
        if word.is_ok() { Poll::Ready(()) } else { awaits::pending(Poll::Pending) }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut waiters = self.notify.waiters.lock();
        let left = waiters.remove(&key);
        let called = match left {
            Ok(Call::One) => self.notify.call_one(&mut waiters),
            Ok(Call::All) => None,
            Err(_) => {
                self.notify.settle(&waiters);
                None
            }
        };
        drop(waiters);
        drop(left);
        if let Some(waker) = called {
            waker.wake();
        }
    }
}
