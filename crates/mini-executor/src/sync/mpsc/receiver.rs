//! The end that receives.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem::{swap, take};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::super::waiters::Calls;
use super::{Call, Channel, State, TryRecvError, UNBOUNDED};
use crate::awaits;

/// Receives the messages, each sender's in the order they were sent. Dropping it drops those that are left.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// Messages that are out of the shared queue: of an unbounded channel.
    batch: VecDeque<T>,
}

impl<T> Receiver<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Self {
        Self { channel, batch: VecDeque::new() }
    }

    /// Waits for a message; `None` once the channel is closed and empty. Cancel-safe: a message is taken only when it is given.
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
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.poll_with(None) {
            Poll::Ready(message) => message.ok_or(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// As [`recv`](Self::recv), for futures and streams written by hand.
    ///
    /// ```
    /// use mini_executor::{block_on, sync::mpsc};
    /// use std::future::poll_fn;
    ///
    /// let (sender, mut receiver) = mpsc::unbounded();
    /// sender.try_send(1).unwrap();
    /// assert_eq!(block_on(poll_fn(|context| receiver.poll_recv(context))), Some(1));
    /// ```
    #[track_caller]
    #[inline]
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        awaits::pending(self.poll_with(Some(context.waker())))
    }

    /// `waker`, if there is one, is woken by the next message.
    #[inline]
    fn poll_with(&mut self, waker: Option<&Waker>) -> Poll<Option<T>> {
        if let Some(message) = self.batch.pop_front() {
            return Poll::Ready(Some(message));
        }
        let mut state = self.channel.state.lock();
        if let Some(message) = state.queue.pop_front() {
            if self.channel.capacity == UNBOUNDED {
                // What a burst took is given back by halves, once there are far fewer messages a round.
                if self.batch.capacity() / 8 > state.queue.len().max(128) {
                    self.batch.shrink_to(self.batch.capacity() / 2);
                }
                state.room += 1 + state.queue.len();
                swap(&mut state.queue, &mut self.batch);
            } else {
                let called = state.free_a_place();
                drop(state);
                if let Some(sender) = called {
                    sender.wake();
                }
            }
            return Poll::Ready(Some(message));
        }
        if state.is_closed {
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

    /// Takes no message from now on: who sends, or waits to, gets it back. Those that are in the channel may still be received.
    ///
    /// ```
    /// use mini_executor::sync::mpsc;
    ///
    /// let (sender, mut receiver) = mpsc::bounded(2);
    /// sender.try_send("in time").unwrap();
    /// receiver.close();
    /// assert!(sender.try_send("late").is_err());
    /// assert_eq!(receiver.try_recv(), Ok("in time"));
    /// assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Closed));
    /// ```
    pub fn close(&mut self) {
        self.close_and(|_| ());
    }

    /// Closes, and takes something along under the same lock.
    fn close_and<R>(&self, and: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut calls = Calls::default();
        let mut state = self.channel.state.lock();
        state.is_closed = true;
        while !state.waiters.is_empty() {
            calls.add(state.waiters.call_first(Call::Closed));
        }
        let taken = and(&mut state);
        drop(state);
        calls.wake();
        taken
    }

    /// The messages in the channel.
    ///
    /// ```
    /// let (sender, receiver) = mini_executor::sync::mpsc::unbounded();
    /// sender.try_send('a').unwrap();
    /// assert_eq!(receiver.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.batch.len() + self.channel.state.lock().queue.len()
    }

    /// Whether there is no message in the channel.
    ///
    /// ```
    /// assert!(mini_executor::sync::mpsc::unbounded::<u32>().1.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Dropped here, after the lock was released.
        let _left = self.close_and(|state| (take(&mut state.queue), state.receiver.take()));
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpsc::Receiver").field("len", &self.len()).finish_non_exhaustive()
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
        self.get_mut().receiver.poll_recv(context)
    }
}
