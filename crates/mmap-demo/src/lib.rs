//! Memory maps made visible.
#![deny(unsafe_code)]

mod advice;
mod figure;
#[allow(unsafe_code, reason = "one system call that rustix doesn't have")]
mod page_cache;
mod process;
mod regions;
mod registry;
mod sealed;
#[allow(unsafe_code, reason = "a signal handler")]
mod sigbus;
mod size;
mod snapshot;
mod timeline;
mod view;

pub use advice::{Advice, Advised};
pub use figure::{Figure, Source, Unit};
pub use page_cache::cached_pages;
pub use process::{Process, ProcessError};
pub use regions::{
    FileId, PageState, Permissions, Region, RegionChange, RegionDifference, RegionKind, RegionMap, Sharers,
};
pub use sealed::Sealed;
pub use snapshot::{Detail, MemoryChange, MemorySnapshot};
pub use timeline::{Recorder, Sample, Timeline};
pub use view::{Access, Choice, FileView, Method, ViewError, ViewOptions, Windows};
