#![doc = include_str!("docs/deterministic.md")]
//!
//! # The files
//! | file | its one subject |
//! |---|---|
//! | `simulation` | the loop: collects what is ready, has one picked, runs it |
//! | `schedule` | who goes on next, by the seed |
//! | `trace` | what ran, for people to read |
//! | `explore` | one test under many schedules |

mod explore;
mod schedule;
mod simulation;
mod trace;

pub use explore::{Explored, Explorer, Failed, Why, explore, try_explore};
pub(crate) use simulation::{Limits, Simulation, Stop};
pub use trace::{Outcome, Step, Trace, Who};
