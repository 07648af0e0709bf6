//! Fair A/B measurement.

pub mod analysis;
pub mod child;
pub mod claim;
mod counters;
pub mod host;
pub mod machine;
mod noise;
pub mod placement;
pub mod protocol;
pub mod plan;
pub mod report;
pub mod rng;
pub mod stats;
pub mod tails;
mod round;
pub mod units;
mod usage;

pub use usage::monotonic_ns;
