//! An async executor that is small enough to read in an evening.
//!
//! ```
//! use mini_executor::{LocalExecutor, block_on, yield_now};
//!
//! let executor = LocalExecutor::new();
//! let task = executor.spawn(async {
//!     yield_now().await;
//!     "done"
//! });
//! assert_eq!(block_on(executor.run(task)), "done");
//! ```

mod block_on;
mod blocking;
mod clock;
mod driver;
mod executor;
mod group;
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
mod primitives;
mod queue;
mod reactor;
mod runtime;
mod sleep;
#[cfg(tsan)]
mod spin;
pub mod sync;
mod task;
mod thread;
mod timers;
#[cfg(feature = "tokio-io")]
mod tokio_io;
mod unhandled;
mod worker;
mod yield_now;

pub use block_on::block_on;
pub use blocking::{Blocking, spawn_blocking};
pub use executor::Executor;
pub use group::{
    Cause, Child, Failure, GroupError, Panicked, SendTaskGroup, TaskGroup, group, send_group, try_group, try_send_group,
};
pub use io::Async;
pub use local::LocalExecutor;
pub use runtime::{Handle, Report, Runtime, Stuck, StuckIn};
pub use sleep::{Interval, Sleep, TimedOut, interval, sleep, sleep_until, timeout};
pub use task::{FallibleTask, Task};
#[cfg(feature = "tokio-io")]
pub use tokio_io::TokioIo;
pub use unhandled::{Unhandled, set_unhandled_hook};
pub use yield_now::{YieldNow, yield_now};
