//! Context variables that follow the work.
#![warn(unsafe_code)]

mod context;
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
