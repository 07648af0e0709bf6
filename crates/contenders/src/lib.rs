//! The runtimes that take part in comparisons, and the work that is asked of them.
//!
//! A runtime is one file in [`runtimes`] and one line in its list. A workload is one file in [`workloads`] and one line in
//! its list; what every workload does, to the operation, stands there. What a runtime must be able to do for which
//! workload is a trait in [`capability`].
#![deny(unsafe_code)]

pub mod capability;
mod kits;
pub mod runtimes;
pub mod workloads;
