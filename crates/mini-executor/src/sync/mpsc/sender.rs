//! The end that sends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::super::lock::Ordering;
use super::super::waiters::Key;
use super::{Call, Channel, SendError, TrySendError, UNBOUNDED};
use crate::awaits;

/// Sends messages. There may be many: clone it. When the last is dropped the channel is closed.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Self {
        Self { channel }
    }

    /// Sends a message, once there is room and all that asked for it before are served. Cancel-safe: the message is sent if and only if
    /// the future comes to its end.
    ///
    /// # Errors
    /// If the receiver is closed or dropped, before or meanwhile: the message is in the error.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::mpsc};
    ///
    /// let (sender, receiver) = mpsc::bounded(1);
    /// block_on(sender.send(1)).unwrap();
    /// drop(receiver);
    /// assert_eq!(block_on(sender.send(2)), Err(mpsc::SendError(2)));
    /// ```
    #[inline]
    pub fn send(&self, message: T) -> Sending<'_, T> {
        Sending { channel: &self.channel, message: Some(message), key: None }
    }

    /// Sends a message, if there is room and nobody waits for it.
    ///
    /// # Errors
    /// If not, or if the receiver is closed or dropped. The message is in the error.
    ///
    /// ```
    /// use mini_executor::sync::mpsc::{self, TrySendError};
    ///
    /// let (sender, _receiver) = mpsc::bounded(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// ```
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut state = self.channel.state.lock();
        // Who fails drops nothing here, so the lock need not be released first.
        if state.is_closed {
            return Err(TrySendError::Closed(message));
        }
        if state.room == 0 {
            return Err(TrySendError::Full(message));
        }
        state.room -= 1;
        let receiver = state.push(message);
        drop(state);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        Ok(())
    }

    /// Whether nobody takes messages any more.
    ///
    /// ```
    /// let (sender, receiver) = mini_executor::sync::mpsc::unbounded::<u32>();
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.channel.state.lock().is_closed
    }

    /// How many messages the channel holds at most; `None` if there is no bound.
    ///
    /// ```
    /// assert_eq!(mini_executor::sync::mpsc::bounded::<u32>(4).0.capacity(), Some(4));
    /// ```
    pub fn capacity(&self) -> Option<usize> {
        Some(self.channel.capacity).filter(|capacity| *capacity != UNBOUNDED)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        // Relaxed: a sender is made from one that is there, as in `Arc`, whose own count runs over first and aborts.
        self.channel.senders.fetch_add(1, Ordering::Relaxed);
        Self { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.channel.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut state = self.channel.state.lock();
            state.is_closed = true;
            let receiver = state.receiver.take();
            drop(state);
            if let Some(receiver) = receiver {
                receiver.wake();
            }
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpsc::Sender").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// What [`Sender::send`] gives. It enters the queue for room when it is polled for the first time.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Sending<'a, T> {
    channel: &'a Channel<T>,
    /// None once it was sent or has come back.
    message: Option<T>,
    key: Option<Key>,
}

// The message is only ever moved.
impl<T> Unpin for Sending<'_, T> {}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    #[track_caller]
    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(this.message.is_some(), "a send was polled after it had come to its end");
        let mut state = this.channel.state.lock();
        let is_refused = if this.key.is_some() {
            match state.waiters.take_word(&mut this.key, context.waker()) {
                // It may have been closed after the promise was made.
                Ok(Call::Promised) => state.is_closed,
                Ok(Call::Closed) => true,
                Err(former) => {
                    drop(state);
                    drop(former);
                    awaits::here();
                    return Poll::Pending;
                }
            }
        } else if state.is_closed {
            true
        } else if state.room == 0 {
            this.key = Some(state.waiters.push((), context.waker().clone()));
            awaits::here();
            return Poll::Pending;
        } else {
            state.room -= 1;
            false
        };
        let message = this.message.take().expect("it was there above");
        if is_refused {
            return Poll::Ready(Err(SendError(message)));
        }
        let receiver = state.push(message);
        drop(state);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for Sending<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut state = self.channel.state.lock();
        let left = state.waiters.remove(&key);
        let called = if matches!(left, Ok(Call::Promised)) { state.free_a_place() } else { None };
        drop(state);
        drop(left);
        if let Some(sender) = called {
            sender.wake();
        }
    }
}

impl<T> fmt::Debug for Sending<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("has_ended", &self.message.is_none()).finish_non_exhaustive()
    }
}
