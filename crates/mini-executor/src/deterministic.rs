#![doc = include_str!("docs/deterministic.md")]
//!
//! # The files
//! | file | its one subject |
//! |---|---|
//! | `simulation` | the loop: collects what is ready, has one picked, runs it |
//! | `schedule` | who goes on next, by the seed |
//! | `root` | the future given to `block_on` |
//! | `runtime` | what [`Runtime`](crate::Runtime) has of it |
//! | `trace` | what ran, for people to read |
//! | `explore` | one test under many schedules |

mod explore;
mod root;
mod runtime;
mod schedule;
mod simulation;
mod trace;

/// Steps of one run: who takes more is taken for one that never ends.
pub(crate) const MOST_STEPS: u64 = 1_000_000;

pub use explore::{Explored, Failed, explore, try_explore};
pub(crate) use simulation::Simulation;
pub use trace::Trace;
