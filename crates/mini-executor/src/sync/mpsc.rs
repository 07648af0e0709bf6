//! A channel from many senders to one receiver.
//!
//! # How it works
//! A queue of messages behind a lock, with room counted beside it. A sender that finds no room waits, and every place that becomes free
//! is promised to the sender that has waited longest: it counts as taken until that sender comes and uses it, or is dropped and hands
//! the promise on. So there is never free room while somebody waits, and a sender keeps its message in its own hands until it is sent.
//!
//! The receiver of an unbounded channel takes the whole queue at once and leaves it the empty one of the round before: a burst
//! of messages costs it one locking, not one each. With a bound it cannot, for each message that it takes makes room.

mod receiver;
mod sender;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

pub use super::error::{SendError, TryRecvError, TrySendError};
use super::lock::{AtomicUsize, Lock};
use super::waiters::WaitList;
pub use receiver::{Receiver, Receiving};
pub use sender::{Sender, Sending};

/// The room of a channel without a bound: more than there is memory for.
const UNBOUNDED: usize = usize::MAX;

/// What both ends share.
struct Channel<T> {
    capacity: usize,
    senders: AtomicUsize,
    state: Lock<State<T>>,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Places that are neither taken nor promised. While there are any, no sender waits.
    room: usize,
    /// Senders that wait for room.
    waiters: WaitList<(), Call>,
    /// Of the task that waits for a message.
    receiver: Option<Waker>,
    /// Nothing can be sent any more: the receiver was closed or dropped, or all senders were.
    is_closed: bool,
}

/// What a waiting sender is called for.
#[derive(Clone, Copy)]
enum Call {
    /// It has a place.
    Promised,
    /// The receiver was closed.
    Closed,
}

/// A channel that holds up to `capacity` messages; a sender waits while it is full.
///
/// # Panics
/// If the capacity is 0: no message would ever get in. A message is handed over with the sender waiting for the answer by sending a
/// [`oneshot`](super::oneshot) along.
///
/// ```
/// use mini_executor::sync::mpsc;
/// use mini_executor::{LocalExecutor, block_on};
///
/// let (sender, mut receiver) = mpsc::bounded(2);
/// let executor = LocalExecutor::new();
/// executor.spawn(async move {
///     for number in 0..5 {
///         sender.send(number).await.unwrap();
///     }
/// }).detach();
/// let received = executor.run(async {
///     let mut received = Vec::new();
///     while let Some(number) = receiver.recv().await {
///         received.push(number);
///     }
///     received
/// });
/// assert_eq!(block_on(received), [0, 1, 2, 3, 4]);
/// ```
#[track_caller]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity > 0,
        "a channel of capacity 0 would never take a message: give it 1, and send a oneshot along where the sender is to wait"
    );
    channel(capacity)
}

/// A channel that holds as many messages as memory does: [`Sender::try_send`] fails only when the receiver has gone, and
/// [`Sender::send`] never waits.
///
/// If messages come faster than they are taken, for long, the program runs out of memory; a [`bounded`] one slows the senders down.
///
/// ```
/// use mini_executor::{block_on, sync::mpsc};
///
/// let (sender, mut receiver) = mpsc::unbounded();
/// sender.try_send("anywhere").unwrap();
/// assert_eq!(block_on(receiver.recv()), Some("anywhere"));
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(UNBOUNDED)
}

fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state =
        State { queue: VecDeque::new(), room: capacity, waiters: WaitList::new(), receiver: None, is_closed: false };
    let channel = Arc::new(Channel { capacity, senders: AtomicUsize::new(1), state: Lock::new(state) });
    (Sender::new(channel.clone()), Receiver::new(channel))
}

impl<T> State<T> {
    /// Puts a message into a place that was free or promised. The waker is to be woken without the lock.
    #[inline]
    fn push(&mut self, message: T) -> Option<Waker> {
        self.queue.push_back(message);
        self.receiver.take()
    }

    /// A place has become free: it goes to the sender that has waited longest. The waker is to be woken without the lock.
    #[inline]
    fn free_a_place(&mut self) -> Option<Waker> {
        let called = self.waiters.call_first(Call::Promised);
        if called.is_none() {
            self.room += 1;
        }
        called
    }
}
