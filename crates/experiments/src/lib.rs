//! The catalogue, as data: which workloads are compared with which parameters, who takes part, and which claims they judge.
//!
//! It links no runtime. Adding a workload is one entry in [`workloads`], adding a claim one entry in [`claims()`].
#![forbid(unsafe_code)]

mod allocators;
pub mod check;
pub mod claims;
mod memory;
pub mod select;
pub mod self_test;
pub mod vectors;
pub mod workloads;

pub use allocators::{REPLAY, replay};
pub use check::check;
pub use claims::claims;
pub use select::{Contender, Programme, SelectError, Selection, plans};
pub use vectors::vectors;
pub use workloads::{Experiment, Program, experiments};
