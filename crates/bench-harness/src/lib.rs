//! Fair A/B measurement.

pub mod analysis;
pub mod change;
pub mod child;
pub mod claim;
mod counters;
pub mod host;
mod in_process;
pub mod machine;
mod noise;
pub mod placement;
pub mod plan;
pub mod protocol;
#[cfg(feature = "render")]
pub mod render;
pub mod report;
pub mod rng;
mod round;
pub mod session;
pub mod stats;
pub mod tails;
pub mod units;
mod usage;

pub use in_process::{Compare, CompareError};
pub use usage::monotonic_ns;
