//! Who allocates: a global allocator to wrap, and traces of any program.
#![warn(unsafe_code)]

mod budget;
#[cfg(feature = "sites")]
#[cfg_attr(not(feature = "report"), allow(unreachable_pub, reason = "public as part of `trace`"))]
mod code;
#[allow(unsafe_code, reason = "counters outlive their threads")]
mod counters;
#[allow(unsafe_code, reason = "futures stay where they are")]
mod future;
#[cfg(all(feature = "sites", unix, not(target_arch = "arm")))]
mod lines;
mod measure;
#[cfg(feature = "sites")]
#[cfg_attr(not(feature = "report"), allow(unreachable_pub, reason = "public as part of `trace`"))]
mod modules;
mod process;
mod scope;
mod sites;
#[cfg(all(feature = "sites", unix, not(target_arch = "arm")))]
#[allow(unsafe_code, reason = "the unwinder is asked")]
mod stack;
mod stats;
#[allow(unsafe_code, reason = "references are counted")]
mod system_arc;
#[cfg(feature = "report")]
pub mod trace;
#[allow(unsafe_code, reason = "an allocator")]
mod tracked;

#[cfg(feature = "macros")]
pub use alloc_trace_macros::alloc_budget;
pub use budget::{Budget, Exceeded};
pub use future::{Budgeted, Counted, InScope, count};
pub use measure::{is_installed, measure, measure_with_result, process_totals};
pub use process::measure_process;
pub use scope::{Handle, Scope};
pub use sites::{Place, SiteUse};
pub use stats::Stats;
pub use tracked::Tracked;
