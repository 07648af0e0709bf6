//! Who allocates, and how much: a global allocator to wrap, budgets for tests, and traces of any program.
//!
//! # A budget in a test, in a minute
//! In `Cargo.toml`, under `[dev-dependencies]`:
//! ```toml
//! alloc-trace = { version = "0.1", default-features = false, features = ["macros", "sites"] }
//! ```
//! In the test's file:
//! ```
//! use alloc_trace::{Tracked, alloc_budget, assert_no_alloc};
//!
//! #[global_allocator]
//! static ALLOCATOR: Tracked = Tracked::new(std::alloc::System);
//!
//! // with #[test] above
//! #[alloc_budget(max_allocs = 1, max_peak = 64)]
//! fn a_buffer_takes_one_allocation() {
//!     let mut buffer = Vec::with_capacity(8);
//!     assert_no_alloc!(buffer.extend([1_u64, 2, 3]));
//! }
//! # a_buffer_takes_one_allocation();
//! ```
//! When it is exceeded, the test fails and says where it was:
//! ```text
//! more was allocated than the budget at tests/buffer.rs:7:5 has
//!   allocations: 2, at most 1 allowed
//!   bytes: 192
//!   bytes at the peak: 128, at most 64 allowed
//! allocated by
//!   1 x, 128 bytes: src/buffer.rs:31 in buffer::Buffer::grow
//!       called from tests/buffer.rs:10 in buffer::a_buffer_takes_one_allocation
//!   1 x, 64 bytes: tests/buffer.rs:9 in buffer::a_buffer_takes_one_allocation
//! ```
//! What other threads do has no part in it, be it the test harness, other tests or a runtime: such tests don't flake.
//!
//! # What there is
//! | for | take |
//! |---|---|
//! | counting at all | [`Tracked`], over the system's allocator, jemalloc, mimalloc, or any other |
//! | what a call allocates | [`measure`] |
//! | what a future allocates, over its awaits and on all threads that poll it | [`count`] |
//! | a piece of work that goes on in threads, pools and spawned tasks | [`Scope`], and the [`Handle`] that carries it there |
//! | a limit | `#[alloc_budget(..)]`, [`assert_no_alloc!`], [`Budget`] |
//! | the process | [`process_totals`] at any time, [`measure_process`] with a peak |
//! | any program, without a change to it | the program `alloc-trace`, and [`trace`](mod@trace) (feature `report`) |
//!
//! [`Stats`] says what exactly the figures mean, `realloc` included.
//!
//! # What it costs
//! Each thread counts in memory of its own: two loads, a branch and a few additions a call, no locked instruction, however many threads there
//! are. In a scope or under a budget it is a few locked instructions more (40 ns a pair), and under a budget a walk along the stack.
//! `cargo bench --package benches --bench alloc_trace` has the figures for your machine.
//!
//! # Why this and not …
//! | | whose allocations | per call | says which lines |
//! |---|---|---|---|
//! | `stats_alloc`, `cap`, `peak_alloc` | the process's: other tests' too | counters that threads share: 3 to 56 ns | no |
//! | `allocation-counter` | the thread's | 5 ns | no |
//! | `dhat` | the process's, one profiler at a time | 1.7 µs | yes, in a file |
//! | this crate | the thread's, the task's, the process's | below 2 ns | yes |
//!
//! (ns more than the system's allocator, with one and two threads, measured 2026-11-21 on two cores of an AMD EPYC.)
//!
//! # What it is not
//! A way to see what a C library allocates: that never comes to Rust's global allocator. A trace of the whole program does.
//!
//! # Features
//! `macros` (default): the attribute. `sites`: lines in the messages. `report` (default): traces, the command line, and `sites`. Without
//! any there is no dependency.
#![warn(unsafe_code)]
#![cfg_attr(not(feature = "report"), allow(rustdoc::broken_intra_doc_links, reason = "`trace` is not there"))]

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

/// Gives a function an allocation budget, as [`Budget`] does: it panics if it allocates more.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);
/// use alloc_trace::alloc_budget;
///
/// #[alloc_budget(max_allocs = 0)]
/// fn sum(numbers: &[u32]) -> u32 {
///     numbers.iter().sum()
/// }
///
/// #[alloc_budget(max_allocs = 2, max_bytes = 64 * 1024, max_peak = 40_000)]
/// async fn both() -> usize {
///     let buffer = vec![0_u8; 30_000];
///     std::future::ready(()).await;
///     buffer.len()
/// }
/// # assert_eq!((sum(&[1, 2]), futures::executor::block_on(both())), (3, 30_000));
/// ```
///
/// | argument | at most |
/// |---|---|
/// | `max_allocs` | so many allocations, reallocations included |
/// | `max_bytes` | so many bytes in all allocations together |
/// | `max_peak` | so many bytes more in use, at any time, than at the beginning |
///
/// Values are expressions of type `u64`. What counts is the function's own work, in an async function over all its awaits, and what
/// [`Handle::current`] carries elsewhere; `scope = thread` and `scope = task` say so to readers. `scope = process` counts what all threads
/// do ([`Budget::whole_process`]).
///
/// With `#[test]` it goes above or below. Above `#[tokio::test]` and the like, it sees the async function; below, what they make of it, which starts a
/// runtime, too.
///
/// It needs a package named `alloc-trace` among the dependencies, under that name.
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
