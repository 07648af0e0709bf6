//! A channel for one message: an answer.
//!
//! # How it works
//! Both ends share one allocation: a lock around the message and the receiver's waker. The last to leave it needs no lock, for it owns
//! what is inside: the receiver looks whether the sender has gone, which is one plain load, and then takes the allocation apart.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub use super::error::{RecvError, SendError, TryRecvError};
use super::lock::Lock;
use crate::awaits;

struct State<T> {
    message: Option<T>,
    /// Of the task that awaits the message.
    receiver: Option<Waker>,
    /// The sender was dropped, with or without having sent.
    is_sender_gone: bool,
    /// The receiver was dropped, or closed.
    is_closed: bool,
}

type Shared<T> = Arc<Lock<State<T>>>;

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
    let state = State { message: None, receiver: None, is_sender_gone: false, is_closed: false };
    let shared = Arc::new(Lock::new(state));
    (Sender { shared: Some(shared.clone()) }, Receiver { shared: Some(shared) })
}

/// Sends one message. Dropping it instead tells the receiver that there will be none.
pub struct Sender<T> {
    /// None once it has sent.
    shared: Option<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the message. Does not wait.
    ///
    /// # Errors
    /// If the receiver was closed or dropped: the message is in the error. A receiver may also be dropped later, without having looked;
    /// then the message is dropped with it.
    ///
    /// ```
    /// use mini_executor::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send("too late"), Err(oneshot::SendError("too late")));
    /// ```
    #[inline]
    pub fn send(mut self, message: T) -> Result<(), SendError<T>> {
        // It is there: only this function and the destructor take it, and both come last.
        let Some(shared) = self.shared.take() else { return Err(SendError(message)) };
        let mut state = shared.lock();
        if state.is_closed {
            drop(state);
            return Err(SendError(message));
        }
        state.message = Some(message);
        let receiver = state.take_leave();
        drop(state);
        leave(shared, receiver);
        Ok(())
    }

    /// Whether nobody will take the message any more.
    ///
    /// ```
    /// let (sender, receiver) = mini_executor::sync::oneshot::channel::<u32>();
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.lock().is_closed)
    }
}

impl<T> State<T> {
    /// The sender goes; the waker is to be woken without the lock.
    #[inline]
    fn take_leave(&mut self) -> Option<Waker> {
        self.is_sender_gone = true;
        self.receiver.take()
    }
}

/// The sender wakes the receiver after it has let go of what they share, so that the receiver finds itself alone with it.
#[inline]
fn leave<T>(shared: Shared<T>, receiver: Option<Waker>) {
    drop(shared);
    if let Some(receiver) = receiver {
        receiver.wake();
    }
}

impl<T> Drop for Sender<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            let receiver = shared.lock().take_leave();
            leave(shared, receiver);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Sender").field("is_closed", &self.is_closed()).finish()
    }
}

/// A future of the message. Cancel-safe: await it by `&mut`, give up waiting, and the message is still to be had later.
///
/// # Panics
/// When it is polled after it gave the message or the error.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Receiver<T> {
    /// None once it has given its result.
    shared: Option<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The message, if it has come.
    ///
    /// # Errors
    /// If it has not come yet, or was taken before, or never will come.
    ///
    /// ```
    /// use mini_executor::sync::oneshot::{self, TryRecvError};
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let Some(shared) = &self.shared else { return Err(TryRecvError::Closed) };
        let mut state = shared.lock();
        let message = state.message.take();
        if message.is_none() && !state.is_sender_gone && !state.is_closed {
            return Err(TryRecvError::Empty);
        }
        drop(state);
        self.shared = None;
        message.ok_or(TryRecvError::Closed)
    }

    /// Takes no message from now on. One that has come before may still be received.
    ///
    /// ```
    /// let (sender, mut receiver) = mini_executor::sync::oneshot::channel();
    /// receiver.close();
    /// assert!(sender.send(1).is_err());
    /// assert!(receiver.try_recv().is_err());
    /// ```
    pub fn close(&mut self) {
        if let Some(shared) = &self.shared {
            shared.lock().is_closed = true;
        }
    }

    /// What there is, once the sender has let go of what the two share.
    #[inline]
    fn finish(&mut self) -> Result<T, RecvError> {
        let state = self.shared.take().and_then(Arc::into_inner).map(Lock::into_inner);
        state.and_then(|state| state.message).ok_or(RecvError)
    }

    #[inline]
    fn poll_locked(&mut self, waker: &Waker) -> Poll<Result<T, RecvError>> {
        let shared = self.shared.as_ref().expect("a oneshot's receiver was polled after it had given its result");
        let mut state = shared.lock();
        let message = state.message.take();
        if message.is_none() && !state.is_sender_gone && !state.is_closed {
            let is_same = state.receiver.as_ref().is_some_and(|receiver| receiver.will_wake(waker));
            let former = if is_same { None } else { state.receiver.replace(waker.clone()) };
            drop(state);
            drop(former);
            return Poll::Pending;
        }
        drop(state);
        self.shared = None;
        Poll::Ready(message.ok_or(RecvError))
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[track_caller]
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // One reference is our own, and nobody makes new ones.
        if self.shared.as_ref().is_some_and(|shared| Arc::strong_count(shared) == 1) {
            return Poll::Ready(self.finish());
        }
        awaits::pending(self.poll_locked(context.waker()))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let mut state = shared.lock();
        state.is_closed = true;
        let (message, receiver) = (state.message.take(), state.receiver.take());
        drop(state);
        drop((message, receiver));
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Receiver").field("has_ended", &self.shared.is_none()).finish()
    }
}
