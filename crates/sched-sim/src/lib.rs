//! Simulates schedulers, locks, the GIL, event loops and thread pools: deterministic, exact where a textbook is exact, and fast.
//!
//! ```
//! use sched_sim::{PolicyKind, Scenario, Step, Task, simulate};
//!
//! // The convoy effect: ten short tasks behind a long one.
//! let tasks = |policy| {
//!     Scenario::new(1, policy)
//!         .task(Task::new(0, [Step::cpu(100.0)]))
//!         .task(Task::new(1, [Step::cpu(1.0)]).count(10))
//! };
//! let fifo = simulate(&tasks(PolicyKind::Fifo), &Default::default())?;
//! let sjf = simulate(&tasks(PolicyKind::Sjf), &Default::default())?;
//! assert!(fifo.mean.unwrap().turnaround > 100.0);
//! assert!(sjf.mean.unwrap().turnaround < 16.0);
//! # Ok::<(), sched_sim::Problems>(())
//! ```
#![forbid(unsafe_code)]

pub mod analysis;
pub mod check;
mod core_tree;
mod engine;
pub mod outcome;
pub mod policy;
mod random;
mod record;
pub mod render;
pub mod scenario;
pub mod sweep;
pub mod time;
pub mod timer_wheel;

pub use check::{Problem, Problems};
pub use engine::{Control, RunOptions, simulate};
pub use outcome::Outcome;
pub use scenario::{Policy, PolicyKind, RuntimeKind, Scenario, Step, Task, TimeUnit};
