//! Nothing but a place for the benches to hang on.
