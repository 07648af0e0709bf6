//! What can go wrong, as values. Whatever was to be sent comes back in them.

use std::error::Error;
use std::fmt;

/// A message that was not sent, for there is no receiver any more: it was closed or dropped. Holds the message.
///
/// ```
/// use mini_executor::{block_on, sync::mpsc};
///
/// let (sender, receiver) = mpsc::bounded(1);
/// drop(receiver);
/// assert_eq!(block_on(sender.send("back again")).unwrap_err().0, "back again");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why a message was not sent at once. Holds the message.
///
/// ```
/// use mini_executor::sync::mpsc::{self, TrySendError};
///
/// let (sender, receiver) = mpsc::bounded(1);
/// assert_eq!(sender.try_send(1), Ok(()));
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// drop(receiver);
/// assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The channel has as many messages as it may, or others wait for room and are first.
    Full(T),
    /// There is no receiver any more: it was closed or dropped.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

/// Why there is no message at once.
///
/// ```
/// use mini_executor::sync::mpsc::{self, TryRecvError};
///
/// let (sender, mut receiver) = mpsc::bounded::<u32>(1);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none now; there may be one later.
    Empty,
    /// There will never be one: whoever could send was dropped, or the receiver was closed.
    Closed,
}

/// A oneshot's sender was dropped without sending, or its receiver was closed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

/// The semaphore was closed: there will be no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError;

/// Why there is no permit at once.
///
/// ```
/// use mini_executor::sync::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(1);
/// let _permit = semaphore.try_acquire().unwrap();
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// Fewer are available than were asked for, or others wait for theirs and are first.
    NoPermits,
    /// The semaphore was closed: there will be none.
    Closed,
}

/// Somebody else has the mutex locked, or others wait for it and are first.
///
/// ```
/// use mini_executor::sync::{Mutex, TryLockError};
///
/// let mutex = Mutex::new(7);
/// let guard = mutex.try_lock().unwrap();
/// assert_eq!(mutex.try_lock().unwrap_err(), TryLockError);
/// drop(guard);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryLockError;

/// Messages need not be `Debug` for their errors to be.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the receiver was closed or dropped: the message was not sent")
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel is full: the message was not sent",
            Self::Closed(_) => "the receiver was closed or dropped: the message was not sent",
        })
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no message now",
            Self::Closed => "there will be no message: the channel is closed and empty",
        })
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there will be no message: the sender was dropped without sending, or the receiver closed before")
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed: there will be no permit")
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPermits => "too few permits are available now",
            Self::Closed => "the semaphore is closed: there will be no permit",
        })
    }
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mutex is locked, or others wait for it")
    }
}

impl<T> Error for SendError<T> {}
impl<T> Error for TrySendError<T> {}
impl Error for TryRecvError {}
impl Error for RecvError {}
impl Error for AcquireError {}
impl Error for TryAcquireError {}
impl Error for TryLockError {}
