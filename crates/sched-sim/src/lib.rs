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
//! A [`Scenario`] is plain data, from Rust, JSON or TOML ([`scenario::read`]); [`simulate`] makes an [`Outcome`] of it, plain data again, and
//! [`render`] shows that to people. `sched-sim run FILE` does all three; `docs/scenario.md` explains the format.
//!
//! # What it is not
//!
//! No generic event simulator (simrs, `NeXosim` and `SimPy` are), and no model of caches line by line, of interrupts, of frequencies or of Linux's
//! load balancer. It knows threads, cores, run queues, locks and runtimes, and what they cost is what the scenario says.
//!
//! # The design
//!
//! - **Time is an integer** ([`time`]): sums are exact, and a textbook's fractions, too.
//! - **All events of an instant come before one scheduling decision**, in an order that is part of the format. So results do not depend on how
//!   the simulator is written, and a digest over all events is the same on every platform, build and number of threads.
//! - **Two layers.** Policies ([`policy`]) see ready tasks and nothing else; runtimes (GIL, loops, pools) see tasks and threads and never a run
//!   queue. Any runtime runs on any policy.
//! - **Policies are compiled into the engine**, one copy each, and so is recording: without it there is no trace of it.
//! - **Nothing is allocated per event.** Tasks are columns indexed by `u32`, timers of cores stand in a line or in a winner tree, timers of tasks a
//!   [`timer_wheel`] that sorts late.
//! - **A run always ends**: deadlocks (with the cycle), loops without time, and limits are told apart in [`outcome::StopReason`].
//!
//! # Speed
//!
//! `cargo run --release -p sched-sim --example speed` measures state changes of tasks per second and the wheel beside the standard library's heap.
//!
//! 64 cores and 100,000 tasks, round robin with a switch cost, as whole simulations by `cargo bench -p benches --bench sched_sim -- robin`, on 2 cores of
//! an Intel Xeon (family 6, model 207; 2026-11-22): 74 million events a second [72, 75], after 41 [34, 44] in the same quarter of an hour. What
//! brought that, in ns an event of `speed "100000 tasks, switch"`, which runs ten times as long: 21.1 before; 19.5 with core timers in a line; 11.9
//! with the shortest way from slice to slice, nothing looked up for a recorder that is not there, and what a migration counts beside what it reads.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod check;
mod core_timers;
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
