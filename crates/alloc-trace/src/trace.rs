//! Traces of any program: reading what the preload library wrote, and what it comes to.
//!
//! ```no_run
//! use std::path::Path;
//! use alloc_trace::trace::{Analysis, Symbols, TraceFile, summary};
//!
//! let file = TraceFile::open(Path::new("program.trace"))?;
//! let analysis = Analysis::of(file, |_progress| {});
//! println!("{} bytes at the peak", analysis.total.at_peak);
//! println!("{}", summary(&analysis, &mut Symbols::default()));
//! # Ok::<(), alloc_trace::trace::TraceError>(())
//! ```
//!
//! [`mod@format`] describes the file, [`encode`] how events are packed; both are part of the preload library, too. A file that is cut or damaged
//! is read as far as it goes: each part that could not be read is told with its offset ([`Damage`]).

mod analysis;
pub mod bits;
mod decode;
mod dhat;
pub mod encode;
mod events;
mod file;
mod flamegraph;
pub mod format;
mod heaptrack;
mod html;
pub mod huffman;
mod measure;
mod memory;
mod perfetto;
mod places;
mod pprof;
mod python;
mod sites;
mod summary;
mod symbols;
mod system;
mod timeline;
mod weight;

pub use analysis::{Analysis, Blocks, Mapped};
pub use dhat::dhat;
pub use events::{Context, Event, Thread};
pub use file::{Damage, Origin, TraceError, TraceFile};
pub use flamegraph::flamegraph;
pub use heaptrack::heaptrack;
pub use html::html;
pub use measure::{Measure, collapsed, stacks};
pub use memory::Memory;
pub use perfetto::perfetto;
pub use pprof::pprof;
pub use python::Python;
pub use sites::{Address, Site, Sites};
pub use summary::{difference, sampled, stats, summary};
pub use symbols::{Frame, LIBRARY, Symbols};
pub use system::System;
pub use timeline::Timeline;

pub use crate::modules::Modules;
