//! An async executor that is small enough to read in an evening, as fast as a queue by hand, and that tells what it hides elsewhere:
//! whose panic nobody heard, who [hangs and where](docs::hangs), what could not be ended.
//!
//! ```
//! use mini_executor::{LocalExecutor, block_on, sleep, yield_now};
//! use std::time::Duration;
//!
//! let words = ["tasks", "may", "borrow"];
//! let executor = LocalExecutor::new();
//! let lengths: Vec<_> = words.iter().map(|word| executor.spawn(async move { word.len() })).collect();
//! let sum = executor.run(async {
//!     sleep(Duration::from_millis(1)).await;
//!     let mut sum = 0;
//!     for length in lengths {
//!         yield_now().await;
//!         sum += length.await;
//!     }
//!     sum
//! });
//! assert_eq!(block_on(sum), 14);
//! ```
//!
//! # What there is
//! | for | take |
//! |---|---|
//! | tasks on one thread, which may borrow and need not be `Send` | [`LocalExecutor`] in [`block_on`] |
//! | tasks on several threads of your own | [`Executor`] |
//! | threads, timers, sockets and an orderly end at once | [`Runtime`] |
//! | time | [`sleep`], [`interval`], [`timeout`]; each with a [slack](Sleep::slack) where thousands may be late |
//! | sockets and pipes | [`Async`], with `futures-io`'s traits and (feature `tokio-io`) tokio's |
//! | calls that block | [`spawn_blocking`] |
//! | children that borrow, and end with their scope | [`group`](group()), [`send_group`] |
//! | channels and locks, for tasks of any runtime | [`sync`] |
//! | what is spawned to see the context variables of who spawned it | feature `ctxvar` |
//! | an executor of your own | [`task`](mod@task) |
//! | what every task waits for | [`LocalExecutor::dump`], [`Runtime::dump`]; [`set_deadlock_hook`] |
//! | tests that hold in every order of turns, and repeat what they find | [`explore`], [`Runtime::deterministic`] |
//!
//! # What it is not
//! It runs on Linux alone: epoll, eventfd and timerfd are used directly. It has no files (nothing can wait for them but a thread),
//! no signals and no processes. A task that computes for long without awaiting holds its thread here as everywhere; what it does not do
//! is to keep timers and sockets from being served by another thread of the same [`Runtime`].
//!
//! # Where to begin reading
//! With the pages in [`docs`], or at once with `task/state.rs`: a task's state, and why it is kept in two words. Then the task itself,
//! `task/header.rs`, `task/core.rs`, `task/local.rs` and, for its handle, `task/join.rs`; `home.rs`, the run queue; `local.rs`, the executor;
//! `block_on.rs`, `sleeper.rs` and `driver.rs`, what a thread does when no task is ready; `timers.rs` and `reactor.rs`. What several
//! threads need stands apart, and has a page of its own, [`docs::stealing_and_parking`]: `task/shared.rs`, `hub.rs`, `worker.rs`,
//! `queue.rs`, `idle.rs`, and `steward.rs`, who sees to it that timers are served beside a task that computes.

mod awaits;
mod births;
mod block_on;
mod blocking;
mod clock;
mod deadlock;
pub mod deterministic;
pub mod docs;
mod driver;
mod dump;
mod executor;
mod group;
mod heritage;
mod home;
mod hub;
mod idle;
mod io;
mod local;
#[cfg(all(test, loom))]
mod models;
#[cfg(doctest)]
mod must_not_compile;
mod net;
mod places;
mod primitives;
mod queue;
mod reactor;
mod runtime;
mod sleep;
mod sleeper;
#[cfg(tsan)]
mod spin;
mod steward;
mod strangers;
pub mod sync;
pub mod task;
mod thread;
mod timers;
#[cfg(feature = "tokio-io")]
mod tokio_io;
mod turn;
mod unhandled;
pub mod watchdog;
mod worker;
mod yield_now;

pub use block_on::block_on;
pub use blocking::spawn_blocking;
pub use deadlock::{Deadlock, set_deadlock_after, set_deadlock_hook};
pub use deterministic::{explore, try_explore};
pub use dump::{Dump, Phase, TaskReport};
pub use executor::Executor;
pub use group::{Child, GroupError, Panicked, SendTaskGroup, TaskGroup, group, send_group, try_group, try_send_group};
pub use io::Async;
pub use local::LocalExecutor;
pub use runtime::{Handle, Report, Runtime, Stuck};
pub use sleep::{Interval, Sleep, TimedOut, interval, now, sleep, sleep_until, timeout};
pub use task::{FallibleTask, Task, set_busy_times};
#[cfg(feature = "tokio-io")]
pub use tokio_io::TokioIo;
pub use unhandled::{Unhandled, set_unhandled_hook};
pub use watchdog::{Hang, set_hang_hook, set_hang_threshold};
pub use yield_now::{YieldNow, yield_now};
