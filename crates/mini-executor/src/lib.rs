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
mod executor;
mod home;
mod hub;
mod idle;
mod local;
#[cfg(all(test, loom))]
mod models;
mod queue;
mod sync;
mod task;
mod thread;
mod unhandled;
mod worker;
mod yield_now;

pub use block_on::block_on;
pub use executor::Executor;
pub use local::LocalExecutor;
pub use task::{FallibleTask, Task};
pub use unhandled::{Unhandled, set_unhandled_hook};
pub use yield_now::{YieldNow, yield_now};
