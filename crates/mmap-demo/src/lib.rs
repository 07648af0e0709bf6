//! Memory maps made visible: what a process's memory is, where it lies, and a file view that survives the file's being cut.
//!
//! ```
//! use mmap_demo::{Detail, Figure, FileView, MemorySnapshot, Process, RegionMap};
//!
//! let own = Process::own()?;
//! let before = MemorySnapshot::of(&own, Detail::Kinds)?;
//! let view = FileView::open("/proc/self/exe")?;
//! let mut magic = [0; 4];
//! view.read_exact_at(&mut magic, 0)?;
//! assert_eq!(&magic, b"\x7fELF");
//! let grown = MemorySnapshot::of(&own, Detail::Kinds)?.since(&before);
//! println!("a mapped file costs address space: {:?} bytes", grown.get(Figure::Virtual));
//! println!("{}", RegionMap::of(&own)?.picture(120));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What there is
//! | for | take |
//! |---|---|
//! | what top shows (VIRT, RES, SHR) and what it doesn't: PSS, private and shared, clean and dirty, swap, huge pages, page tables, faults, heap | [`MemorySnapshot`], and [`MemoryChange`] between two |
//! | the same over time | [`Timeline`] |
//! | every mapping, what of it is in memory page by page, dirty, swapped, huge, shared with whom; as text, as a picture, what has changed | [`RegionMap`], [`RegionDifference`], [`Sharers`] |
//! | which pages of a file are in the page cache | [`cached_pages`] |
//! | reading a file in place without dying of SIGBUS | [`FileView`] |
//! | bytes that nobody can change, borrowed | [`Sealed`] |
//!
//! The program `mmap-demo` has experiments: each asks a question, measures, and gives its verdict on the sentences that people repeat about
//! memory. `mmap-demo list` names them.
//!
//! # Why [`FileView`] and not …
//! | | a file that is cut | bytes borrowed in safe code | small random reads | other handlers |
//! |---|---|---|---|---|
//! | `read`, `pread` | fewer bytes | no: copied | a call each, 670 ns here | none needed |
//! | `memmap2::Mmap` | the process dies | no: `unsafe`, for others may write | a load | none |
//! | a handler with `siglongjmp` | an error | no | 2 ns for the guard | one handler, one thread at a time as a rule; jumps over Rust frames, which is undefined |
//! | this crate's [`FileView`] | an error | no: copied; `unsafe` to borrow | a load and a flag | gets only what is its own, and passes on the rest |
//! | this crate's [`Sealed`] | can't be | yes | a load | none needed |
//!
//! # What it is not
//! A way to write to files, nor for systems other than Linux: `/proc`, `mincore`, memory files and signals are used as Linux has them.
//!
//! # What is unsafe
//! The signal handler (`sigbus.rs`), the copy out of a mapping (`view/mapped.rs`, and a few bytes in `view/quick.rs`), one system call
//! (`page_cache.rs`), and in the program `lab/memory.rs` and `lab/uring.rs`, which wrap system calls for the experiments, and `lab/cuda.rs`,
//! which calls a driver that it finds when it runs. Each block says why it is sound; nothing else may have any.
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("mmap-demo knows Linux with 64-bit addresses, and no other system");

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
pub use view::{Access, Choice, FileView, Glance, Method, Reason, ViewError, ViewOptions, Windows};
