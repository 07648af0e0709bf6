//! What tasks need to wait for one another: channels, locks, permits, notifications.
//!
//! ```
//! use mini_executor::sync::{mpsc, oneshot};
//! use mini_executor::{LocalExecutor, block_on};
//!
//! // A task that owns a number, and answers whoever asks.
//! let (sender, mut receiver) = mpsc::bounded::<(u32, oneshot::Sender<u32>)>(16);
//! let executor = LocalExecutor::new();
//! executor.spawn(async move {
//!     let mut sum = 0;
//!     while let Some((number, answer)) = receiver.recv().await {
//!         sum += number;
//!         answer.send(sum).ok();
//!     }
//! }).detach();
//! let asking = executor.run(async {
//!     let mut last = 0;
//!     for number in 1..=4 {
//!         let (answer, answered) = oneshot::channel();
//!         sender.send((number, answer)).await.unwrap();
//!         last = answered.await.unwrap();
//!     }
//!     last
//! });
//! assert_eq!(block_on(asking), 10);
//! ```
//!
//! # Which to take
//!
//! | to | take |
//! |---|---|
//! | give one answer | [`oneshot`] |
//! | hand work to one task, and have the senders wait when it cannot keep up | [`mpsc::bounded`] |
//! | the same where senders cannot wait (in a destructor, outside of tasks) and cannot outrun it either | [`mpsc::unbounded`] |
//! | change something in several steps with awaits between | [`Mutex`] |
//! | change something in one go | `std::sync::Mutex`, or a `Cell` on one thread: they are faster |
//! | have at most so many of something at once | [`Semaphore`] |
//! | say that something has changed, which is to be looked at | [`Notify`] |
//!
//! # What they have in common
//! - **Any runtime will do**, or none: they know `std::task::Waker` and no more. Both ends may be on different threads, on different
//!   executors, in [`block_on`](crate::block_on()).
//! - **First come, first served.** Who waits is served in the order of its first poll, and newcomers do not overtake. That costs a
//!   switch of tasks where overtaking would save one, and nobody starves.
//! - **Cancel-safe.** Every future may be dropped at any time, as in a `timeout`: a message is sent if and only if its `send` came to
//!   its end, none is lost by dropping a `recv`, and who is dropped when its turn has just come passes the turn on.
//! - Nothing is lost in an error: what could not be sent comes back in it.
//! - Wakers are called, and messages dropped, while no lock is held.
//!
//! # What is not here
//! - Guards and permits without a lifetime. Tasks of this crate may borrow; else put the `Arc` into the task and borrow from it there.
//! - A read-write lock, a barrier, broadcast, channels of many receivers: async-lock, async-broadcast and async-channel have them, and
//!   run here.
//! - Several permits at once, and a limit that changes. Closing, too: a channel ends with its receiver or its last sender, and that
//!   something is over can be told by a [`Notify`].
//! - Blocking variants: `block_on(receiver.recv())` is one.
//! - A cooperative budget. A loop over a channel that is never empty keeps its thread for as long as that lasts; a
//!   [`yield_now`](crate::yield_now()) once in a while lets others in.
//!
//! # Inside
//! | file | its one subject |
//! |---|---|
//! | `line` | who waits, in the order of coming, and how many of them may go; begin here |
//! | `semaphore` | permits |
//! | `mutex` | a semaphore of one permit, with data; the only unsafe code among these |
//! | `notify` | notifications |
//! | `oneshot` | a channel for one message |
//! | `mpsc` | a channel for many |

mod line;
pub mod mpsc;
mod mutex;
mod notify;
pub mod oneshot;
mod semaphore;

pub use mutex::{Locking, Mutex, MutexGuard};
pub use notify::{Notified, Notify};
pub use semaphore::{Acquiring, Permit, Semaphore};
