//! A channel for one message: an answer.
//!
//! # How it works
//! Both ends share one allocation with a lock around one of four states. Each end goes by putting its last word there: the message or the end of
//! the sender, the end of the receiver. The other one finds it.

use std::fmt;
use std::future::Future;
use std::mem::replace;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::awaits;
use crate::primitives::{Mutex, lock};

/// The standard library's: there will be no message, for the sender was dropped without sending.
pub use std::sync::mpsc::RecvError;

enum State<T> {
    /// Nothing has happened yet.
    Open,
    /// A task awaits the message.
    Awaited(Waker),
    Sent(T),
    /// One end is gone, without a message; or it was received.
    Closed,
}

type Shared<T> = Arc<Mutex<State<T>>>;

/// A sender and a receiver for one message.
///
/// ```
/// use mini_executor::sync::oneshot;
/// use mini_executor::{LocalExecutor, block_on};
///
/// let (sender, receiver) = oneshot::channel();
/// let executor = LocalExecutor::new();
/// executor.spawn(async { sender.send(6 * 7).unwrap() }).detach();
/// assert_eq!(block_on(executor.run(receiver)), Ok(42));
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(State::Open));
    (Sender { shared: Some(shared.clone()) }, Receiver { shared })
}

/// Sends one message. Dropping it instead tells the receiver that there will be none.
pub struct Sender<T> {
    /// Until it has sent.
    shared: Option<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the message. Does not wait.
    ///
    /// # Errors
    /// If the receiver was dropped: the message comes back. A receiver may also be dropped later, without having looked; then the
    /// message is dropped with it.
    ///
    /// ```
    /// use mini_executor::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send("too late"), Err("too late"));
    /// ```
    #[inline]
    pub fn send(mut self, message: T) -> Result<(), T> {
        // It is there: only this function and the destructor take it, and both come last.
        let Some(shared) = self.shared.take() else { return Err(message) };
        let mut state = lock(&shared);
        if let State::Closed = *state {
            return Err(message);
        }
        let former = replace(&mut *state, State::Sent(message));
        drop(state);
        former.wake();
        Ok(())
    }
}

impl<T> State<T> {
    /// Wakes who awaits the message, if anybody does: without the lock.
    #[inline]
    fn wake(self) {
        if let Self::Awaited(waker) = self {
            waker.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let former = replace(&mut *lock(shared), State::Closed);
            former.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Sender").finish_non_exhaustive()
    }
}

/// A future of the message. Cancel-safe: await it by `&mut`, give up waiting, and the message is still to be had later.
///
/// After it has given the message, it says that there will be none.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Receiver<T> {
    shared: Shared<T>,
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[track_caller]
    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.shared);
        if let State::Open | State::Awaited(_) = *state {
            let former = replace(&mut *state, State::Awaited(context.waker().clone()));
            drop(state);
            drop(former);
            return awaits::pending(Poll::Pending);
        }
        match replace(&mut *state, State::Closed) {
            State::Sent(message) => Poll::Ready(Ok(message)),
            _ => Poll::Ready(Err(RecvError)),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Where the sender is gone, what is left goes with what they shared.
        if Arc::strong_count(&self.shared) > 1 {
            // The lock is a temporary: this is dropped after it.
            let _left = replace(&mut *lock(&self.shared), State::Closed);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Receiver").finish_non_exhaustive()
    }
}
