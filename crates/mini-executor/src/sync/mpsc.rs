//! A channel from many senders to one receiver.
//!
//! # How it works
//! A queue of messages behind a lock, and beside it its free places with a line (`sync/line.rs`) of senders that wait for one. A sender keeps
//! its message in its own hands until it has a place.
//!
//! The receiver of an unbounded channel takes the whole queue at once and leaves it the empty one of the round before: a burst
//! of messages costs it one locking, not one each. With a bound it cannot, for each message that it takes makes room.

mod receiver;
mod sender;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use super::line::Line;
use crate::primitives::Mutex;
pub use receiver::{Receiver, Receiving};
pub use sender::{Sender, Sending};
/// The standard library's: they say the same here, and hold the message that was not sent.
pub use std::sync::mpsc::{SendError, TryRecvError, TrySendError};

/// What both ends share.
struct State<T> {
    queue: VecDeque<T>,
    /// Places for messages, and the senders that wait for one; `None` where there is no bound.
    room: Option<Line>,
    senders: usize,
    /// Of the task that waits for a message.
    receiver: Option<Waker>,
    /// There is no receiver any more.
    is_closed: bool,
}

type Channel<T> = Arc<Mutex<State<T>>>;

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
    channel(Some(Line::new(capacity)))
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
    channel(None)
}

fn channel<T>(room: Option<Line>) -> (Sender<T>, Receiver<T>) {
    let state = State { queue: VecDeque::new(), room, senders: 1, receiver: None, is_closed: false };
    let channel = Arc::new(Mutex::new(state));
    (Sender::new(channel.clone()), Receiver::new(channel))
}
