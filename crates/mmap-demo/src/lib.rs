//! Memory maps made visible.
#![deny(unsafe_code)]

mod figure;
mod process;
mod size;
mod snapshot;
mod timeline;

pub use figure::{Figure, Source, Unit};
pub use process::{Process, ProcessError};
pub use snapshot::{Detail, MemoryChange, MemorySnapshot};
pub use timeline::{Recorder, Sample, Timeline};
