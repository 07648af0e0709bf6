//! Fair A/B measurement.

pub mod child;
mod counters;
pub mod protocol;
pub mod rng;
pub mod stats;
pub mod tails;
mod usage;

pub use usage::monotonic_ns;
