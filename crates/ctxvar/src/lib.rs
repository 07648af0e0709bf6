//! Context variables that follow the work: through calls, awaits, spawned tasks, threads and pools, on any runtime.
//!
//! ```
//! use ctxvar::{ContextVar, thread};
//!
//! static REQUEST: ContextVar<u64> = ContextVar::with_default("request", 0);
//!
//! fn log(line: &str) -> String {
//!     format!("[request {}] {line}", REQUEST.get())
//! }
//!
//! REQUEST.scope(7, || {
//!     assert_eq!(log("begin"), "[request 7] begin");
//!     let elsewhere = thread::spawn(|| log("in a thread"));
//!     assert_eq!(elsewhere.join().unwrap(), "[request 7] in a thread");
//! });
//! assert_eq!(log("end"), "[request 0] end");
//! ```
//!
//! A thread-local holds what belongs to a thread. With tasks, what one wants to hold belongs to a piece of work: who asks, until when,
//! within which span. Tasks take turns on a thread, so that in a thread-local they see one another's values; and they go on in other
//! threads, where theirs are not. A [`ContextVar`] looks like a thread-local and has the value of the work that reads it. It is Python's
//! `contextvars` ([PEP 567](https://peps.python.org/pep-0567/)) for Rust, with one thing more: each variable says what becomes of it
//! in a child ([`Inherit`]).
//!
//! # What there is
//! | for | take |
//! |---|---|
//! | a value | [`ContextVar::get`], [`try_get`](ContextVar::try_get), [`with`](ContextVar::with) |
//! | another one, for a call | [`ContextVar::scope`] |
//! | for a future | [`with_var`](ContextExt::with_var) |
//! | from here on | [`ContextVar::set`], whose [`Token`] takes it back |
//! | a task, a thread, a job in a pool, as a child | [`thread`], `ctxvar::tokio`, `ctxvar::smol`, `ctxvar::rayon` (features of these names); [`in_context`](ContextExt::in_context) for futures and [`in_context()`] for closures of all others |
//! | all values at once | [`Context`] |
//! | a secret, a transaction, a stack, in a child | [`Inherit::Never`], [`Inherit::Fork`] |
//!
//! # The one rule
//! A task has a context of its own if it was given one: by one of the ways to spawn above. What is spawned bare runs in whatever context
//! the thread is in, which between tasks is the thread's own: what it sets there, the next bare task finds. Clippy finds bare spawns
//! ([`docs::patterns`] has the list to copy).
//! The branches of one `join!` or `select!` are one task, and share its context.
//!
//! # Why this and not …
//! | | reaches spawned work | a value each, in turns on one thread | set from here on | says what children get |
//! |---|---|---|---|---|
//! | `thread_local!` | no | no | yes | no |
//! | tokio's `task_local!` | no: neither `spawn` nor `spawn_blocking` nor threads | yes | no | no |
//! | opentelemetry's `Context` | by hand | by hand; its guard, held over an await, shows the value to others | yes | no |
//! | a parameter everywhere | by hand | yes | by hand | by hand |
//! | this crate | yes | yes | yes | yes |
//!
//! A parameter is still the best way to hand something on where all functions in between are yours. This is for where they are not.
//!
//! # What it costs
//! To read a number takes 16 instructions, none of them a call or locked. A poll in a context of its own takes a nanosecond more than
//! one without, however many variables there are, a snapshot what an `Arc`'s clone does. [`docs::performance`] has all figures beside
//! those of others, and how to get them on your machine.
//!
//! # What it is not
//! A way to pass arguments that a function can't do without: the compiler doesn't check that they are there. Nor a place for what changes
//! often and is read by all: a context's values are seen by its own flow of work and by children born later.
//!
//! # Where to begin reading
//! `var.rs`, `token.rs`, `context.rs` and `future.rs` are what you see from outside. All that is unsafe is in `raw.rs`, which begins with a
//! picture and the five sentences that make it sound. [`docs::semantics`] says what holds, [`docs::performance`] why it is built as it is.
#![warn(unsafe_code)]

mod context;
pub mod docs;
mod far;
mod future;
mod id;
mod primitives;
mod print;
#[allow(unsafe_code, reason = "the one file that needs it")]
mod raw;
#[cfg(feature = "rayon")]
pub mod rayon;
#[cfg(feature = "smol")]
pub mod smol;
pub mod thread;
mod token;
#[cfg(feature = "tokio")]
pub mod tokio;
mod var;

pub use context::Context;
pub use future::{ContextExt, InContext, in_context};
pub use token::{Guard, ResetError, Token};
pub use var::{ContextVar, Inherit};
