//! The end that sends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::super::line::{Line, wake};
use super::{Channel, SendError, TrySendError};
use crate::awaits;
use crate::primitives::lock;

/// Sends messages. There may be many: clone it. When the last is dropped, the receiver comes to an end.
pub struct Sender<T> {
    channel: Channel<T>,
}

impl<T> Sender<T> {
    pub(super) fn new(channel: Channel<T>) -> Self {
        Self { channel }
    }

    /// Sends a message, once there is room and all that asked for it before are served. Cancel-safe: the message is sent if and only if
    /// the future comes to its end.
    ///
    /// # Errors
    /// [`SendError`] if the receiver is dropped, before or meanwhile: the message is in the error.
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
        Sending { channel: &self.channel, message: Some(message), number: None }
    }

    /// Sends a message, if there is room and nobody waits for it.
    ///
    /// # Errors
    /// [`TrySendError`] if not, or if the receiver is dropped. The message is in the error.
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
        let mut state = lock(&self.channel);
        // Who fails drops nothing here, so the lock need not be released first.
        if state.is_closed {
            return Err(TrySendError::Disconnected(message));
        }
        if !state.room.as_mut().is_none_or(Line::try_take) {
            return Err(TrySendError::Full(message));
        }
        state.queue.push_back(message);
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.channel).senders += 1;
        Self { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.channel);
        state.senders -= 1;
        let receiver = if state.senders == 0 { state.receiver.take() } else { None };
        drop(state);
        wake(receiver);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpsc::Sender").finish_non_exhaustive()
    }
}

/// What [`Sender::send`] gives. It enters the line for room when it is polled for the first time.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Sending<'a, T> {
    channel: &'a Channel<T>,
    /// None once it was sent or has come back.
    message: Option<T>,
    /// While it stands in the line.
    number: Option<u64>,
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
        let mut state = lock(this.channel);
        if state.is_closed {
            return Poll::Ready(Err(SendError(this.message.take().expect("it was there above"))));
        }
        if let Some(room) = &mut state.room
            && let Err(former) = room.take_or_wait(&mut this.number, context.waker())
        {
            drop(state);
            drop(former);
            return awaits::pending(Poll::Pending);
        }
        state.queue.push_back(this.message.take().expect("it was there above"));
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for Sending<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = lock(self.channel);
        let Some(room) = &mut state.room else { return };
        let left = room.leave(number);
        let called = if left.is_ok() { room.give() } else { None };
        drop(state);
        drop(left);
        wake(called);
    }
}

impl<T> fmt::Debug for Sending<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}
