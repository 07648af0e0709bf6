//! Is B slower than A, by how much, and how sure are we? For closures in one process and for programs in any language, on
//! machines that are noisy.
//!
//! ```
//! use bench_harness::Compare;
//!
//! let numbers: Vec<u64> = (0..10_000).collect();
//! let result = Compare::new("sum")
//!     .contender("forwards", || numbers.iter().sum::<u64>())
//!     .contender("backwards", || numbers.iter().rev().sum::<u64>())
//!     .block(std::time::Duration::from_micros(100))
//!     .watch(false) // this example runs beside others
//!     .run()?;
//! let ratio = result.contender("backwards").unwrap().ratio["wall_ns"];
//! println!("{:.3}x [{:.3}, {:.3}]", ratio.estimate, ratio.low, ratio.high);
//! # Ok::<(), bench_harness::CompareError>(())
//! ```
//!
//! # What it is not
//!
//! No profiler, no statistics of single calls, no load generator but one for TCP echo servers ([`load`]).
//! Linux only.
//!
//! # The design
//!
//! - A **round** is one fresh child process per contender (for closures: a fresh warm-up), warmed up until flat, and then four
//!   **blocks**; in a block every contender runs once, in random order ([`rng`]: seeded, recorded). Drift of the machine hits
//!   all alike, and what differs from process to process differs between rounds.
//! - A round gives **one log-ratio** per pair of contenders: the median over its blocks. Across rounds the Hodges-Lehmann
//!   estimate with the exact Wilcoxon interval ([`stats::signed_rank`]), which needs no normal distribution and at least six rounds.
//! - **Looks** after 8, 16 and 32 rounds share the error between them ([`stats::Looks`]), so that stopping early costs no honesty;
//!   a [`session`] spends its time on whatever is least decided.
//! - The reference takes part **twice**. Its twin says how noisy the machine is, and a twin that is told from it is a false alarm.
//! - Contenders that did not do **the same work** (operations, checksum) are not compared. Rounds that others disturbed are void, by
//!   limits fixed beforehand.
//! - The [`report`] keeps every raw block; [`analysis`], [`claim`] and [`change`] are functions of it.
//!
//! Why pairs and ranks: on a 2-core virtual machine, in one run of `cargo xtask self-test --full` in the workspace (2026-11-21),
//! criterion's compare told a program from itself in 11 of 40 comparisons, this crate in 5 of 200.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod change;
pub mod child;
pub mod claim;
mod counters;
mod entrants;
pub mod host;
mod in_process;
pub mod load;
pub mod machine;
mod noise;
pub mod placement;
pub mod plan;
pub mod protocol;
#[cfg(feature = "render")]
pub mod render;
pub mod report;
pub mod rest;
pub mod rng;
mod round;
pub mod session;
pub mod stats;
pub mod tails;
pub mod units;
mod usage;

pub use in_process::{Compare, CompareError};
pub use usage::monotonic_ns;
