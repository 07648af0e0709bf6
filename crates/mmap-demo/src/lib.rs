//! Memory maps made visible.
#![deny(unsafe_code)]

mod advice;
mod figure;
mod process;
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
pub use process::{Process, ProcessError};
pub use sealed::Sealed;
pub use snapshot::{Detail, MemoryChange, MemorySnapshot};
pub use timeline::{Recorder, Sample, Timeline};
pub use view::{Access, Choice, FileView, Method, ViewError, ViewOptions, Windows};
