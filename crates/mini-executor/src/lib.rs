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
mod home;
mod io;
mod local;
mod reactor;
mod sleep;
mod task;
mod thread;
mod timers;
mod unhandled;
pub mod watchdog;
mod yield_now;

pub use block_on::block_on;
pub use blocking::{Blocking, spawn_blocking};
pub use io::Async;
pub use local::LocalExecutor;
pub use sleep::{Interval, Sleep, TimedOut, interval, sleep, sleep_until, timeout};
pub use task::{FallibleTask, Task};
pub use unhandled::{Unhandled, set_unhandled_hook};
pub use watchdog::{Hang, set_hang_hook, set_hang_signal, set_hang_threshold};
pub use yield_now::{YieldNow, yield_now};
