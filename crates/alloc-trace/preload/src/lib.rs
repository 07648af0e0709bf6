//! See alloc-trace.
