//! Who allocates: a global allocator to wrap, and traces of any program.

#[cfg(feature = "report")]
pub mod trace;
