//! Traces of any program.

mod decode;
pub mod encode;
pub mod format;
pub mod huffman;
