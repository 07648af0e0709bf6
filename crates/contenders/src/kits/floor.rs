//! What the floor's tasks talk through: the least that a channel and a lock need on one thread.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::capability::{Channel, Kit, Lock, NoPipes, NoTcp};

/// Queues and locks for one thread. The standard lock inside is never waited for: it costs a compare and a store.
pub(crate) struct FloorKit;

impl Kit for FloorKit {
    type Channel = Queue;
    type Lock = TurnLock;
    type Pipe = NoPipes;
    type Tcp = NoTcp;
}

/// A channel: numbers, and the waker of whoever waits for them.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    messages: VecDeque<u64>,
    capacity: usize,
    senders: usize,
    receiver: Option<Waker>,
    waiting: VecDeque<Waker>,
}

pub(crate) struct QueueSender(Arc<Queue>);

impl Clone for QueueSender {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for QueueSender {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let waker = if state.senders == 0 { state.receiver.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel for Queue {
    type Sender = QueueSender;
    type Receiver = Arc<Self>;

    fn open(capacity: Option<usize>) -> (QueueSender, Arc<Self>) {
        let queue = Arc::new(Self::default());
        *queue.lock() = QueueState { capacity: capacity.unwrap_or(usize::MAX), senders: 1, ..QueueState::default() };
        (QueueSender(Arc::clone(&queue)), queue)
    }

    fn send(sender: &mut QueueSender, message: u64) -> impl Future<Output = ()> + Send {
        poll_fn(move |context| {
            let mut state = sender.0.lock();
            if state.messages.len() >= state.capacity {
                state.waiting.push_back(context.waker().clone());
                return Poll::Pending;
            }
            state.messages.push_back(message);
            let waker = state.receiver.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
            Poll::Ready(())
        })
    }

    fn receive(receiver: &mut Arc<Self>) -> impl Future<Output = Option<u64>> + Send {
        poll_fn(move |context| {
            let mut state = receiver.lock();
            if let Some(message) = state.messages.pop_front() {
                let waker = state.waiting.pop_front();
                drop(state);
                waker.into_iter().for_each(Waker::wake);
                return Poll::Ready(Some(message));
            }
            if state.senders == 0 {
                return Poll::Ready(None);
            }
            state.receiver = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

/// A lock whose holder may be away; whoever comes first when it is free has it.
pub(crate) struct TurnLock {
    turns: Mutex<(bool, VecDeque<Waker>)>,
    number: Mutex<u64>,
}

pub(crate) struct TurnGuard<'a> {
    lock: &'a TurnLock,
    /// Written back when the guard goes: a standard guard can't be kept over an await.
    number: u64,
}

impl TurnLock {
    fn turns(&self) -> MutexGuard<'_, (bool, VecDeque<Waker>)> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock for TurnLock {
    type Guard<'a> = TurnGuard<'a>;

    fn new(value: u64) -> Self {
        Self { turns: Mutex::default(), number: Mutex::new(value) }
    }

    fn lock(&self) -> impl Future<Output = TurnGuard<'_>> + Send {
        poll_fn(|context| {
            let mut turns = self.turns();
            if std::mem::replace(&mut turns.0, true) {
                turns.1.push_back(context.waker().clone());
                return Poll::Pending;
            }
            let number = *self.number.lock().unwrap_or_else(PoisonError::into_inner);
            Poll::Ready(TurnGuard { lock: self, number })
        })
    }
}

impl Deref for TurnGuard<'_> {
    type Target = u64;

    fn deref(&self) -> &u64 {
        &self.number
    }
}

impl DerefMut for TurnGuard<'_> {
    fn deref_mut(&mut self) -> &mut u64 {
        &mut self.number
    }
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        *self.lock.number.lock().unwrap_or_else(PoisonError::into_inner) = self.number;
        let mut turns = self.lock.turns();
        let next = turns.1.pop_front();
        turns.0 = false;
        drop(turns);
        next.into_iter().for_each(Waker::wake);
    }
}
