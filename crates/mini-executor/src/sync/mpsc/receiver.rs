//! The end that receives.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem::{swap, take};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::super::line::{Line, wake};
use super::{Channel, TryRecvError};
use crate::awaits;
use crate::primitives::lock;
use crate::strangers::ToTheLast;

/// Receives the messages, each sender's in the order they were sent. Dropping it drops those that are left, and who sends, or waits to, gets its
/// message back.
pub struct Receiver<T> {
    channel: Channel<T>,
    /// Messages that are out of the shared queue: of an unbounded channel.
    batch: VecDeque<T>,
}

impl<T> Receiver<T> {
    pub(super) fn new(channel: Channel<T>) -> Self {
        Self { channel, batch: VecDeque::new() }
    }

    /// Waits for a message; `None` once the channel is empty and no sender is left. Cancel-safe: a message is taken only when it is given.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::mpsc};
    ///
    /// let (sender, mut receiver) = mpsc::bounded(1);
    /// sender.try_send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(block_on(receiver.recv()), Some(1));
    /// assert_eq!(block_on(receiver.recv()), None);
    /// ```
    #[inline]
    pub fn recv(&mut self) -> Receiving<'_, T> {
        Receiving { receiver: self }
    }

    /// A message, if there is one.
    ///
    /// # Errors
    /// If there is none now, or if there will be none.
    ///
    /// ```
    /// use mini_executor::sync::mpsc::{self, TryRecvError};
    ///
    /// let (sender, mut receiver) = mpsc::bounded(1);
    /// sender.try_send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.poll(None) {
            Poll::Ready(message) => message.ok_or(TryRecvError::Disconnected),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// `waker`, if there is one, is woken by the next message.
    #[inline]
    fn poll(&mut self, waker: Option<&Waker>) -> Poll<Option<T>> {
        if let Some(message) = self.batch.pop_front() {
            return Poll::Ready(Some(message));
        }
        let mut state = lock(&self.channel);
        if let Some(message) = state.queue.pop_front() {
            if let Some(room) = &mut state.room {
                let called = room.give();
                drop(state);
                if called.is_some() {
                    // Kept meanwhile: a waker may panic, and the message would be lost.
                    self.batch.push_back(message);
                    wake(called);
                    return Poll::Ready(self.batch.pop_front());
                }
            } else {
                // What a burst took is given back by halves, once there are far fewer messages a round.
                if self.batch.capacity() / 8 > state.queue.len().max(128) {
                    self.batch.shrink_to(self.batch.capacity() / 2);
                }
                swap(&mut state.queue, &mut self.batch);
            }
            return Poll::Ready(Some(message));
        }
        if state.senders == 0 {
            return Poll::Ready(None);
        }
        if let Some(waker) = waker
            && !state.receiver.as_ref().is_some_and(|receiver| receiver.will_wake(waker))
        {
            let former = state.receiver.replace(waker.clone());
            drop(state);
            drop(former);
        }
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.channel);
        state.is_closed = true;
        let senders = state.room.as_mut().map(Line::send_away);
        let left = (take(&mut state.queue), state.receiver.take());
        drop(state);
        let mut strangers = ToTheLast::default();
        senders.into_iter().flatten().for_each(|waker| strangers.call(|| waker.wake()));
        strangers.call(|| drop(left));
        strangers.end();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpsc::Receiver").finish_non_exhaustive()
    }
}

/// What [`Receiver::recv`] gives.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct Receiving<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Future for Receiving<'_, T> {
    type Output = Option<T>;

    #[track_caller]
    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        awaits::pending(self.get_mut().receiver.poll(Some(context.waker())))
    }
}
