//! Who allocates: a global allocator to wrap, and traces of any program.
#![warn(unsafe_code)]

#[allow(unsafe_code, reason = "counters outlive their threads")]
mod counters;
mod measure;
mod stats;
#[cfg(feature = "report")]
pub mod trace;
#[allow(unsafe_code, reason = "an allocator")]
mod tracked;

pub use measure::{is_installed, measure, measure_with_result, process_totals};
pub use stats::Stats;
pub use tracked::Tracked;
