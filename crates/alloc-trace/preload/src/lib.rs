//! The library that `alloc-trace run` loads into a program (`LD_PRELOAD`): it stands before the C library's memory functions and writes
//! down who calls them.
//!
//! # What it does not disturb
//! - It allocates nothing from the program's heap, and calls nothing that does: memory comes from `mmap` by bare system calls.
//! - `errno`, signal masks and file positions stay what they are.
//! - What a signal handler allocates in the midst of a note is not noted, but counted. A block that it frees is missed only until its
//!   address is handed out again.
//! - A forked child finds the library's memory zeroed (`MADV_WIPEONFORK`), whichever way it was forked, and begins a file of its own at its
//!   first allocation. Blocks that it inherits are none of its own: their frees are counted as strangers'. `vfork` shares memory, and
//!   what the child does until `exec` is the parent's. After `exec` the loader loads the library again.
//! - What is noted is in the file at once: the buffers are mapped from it. No handler has to run at exit, and SIGKILL loses nothing.
//!
//! # What is hooked
//! `malloc`, `calloc`, `realloc`, `reallocarray`, `posix_memalign`, `aligned_alloc`, `memalign`, `valloc`, `pvalloc`, `free`, `free_sized`,
//! `free_aligned_sized`, `mmap`, `munmap`, `mremap`, `brk`, `sbrk`, and `dlclose`, which ends what is known about addresses.
//! - `operator new` and `delete` of libstdc++ and libc++ call `malloc` and `free`, and are seen there, with the operator as a frame. A
//!   program that replaces them with a pool of its own is seen as its pool is.
//! - `malloc_usable_size` is not hooked: blocks are the allocator's own, with nothing added, so its answer is right; and there is nothing to note.
//! - Python's allocator, where its objects are wanted (`python::objects`); and the function that ends its code objects, to count them.
//! - The C library's own calls of `mmap` and `brk`, which `malloc` makes, can't be hooked; what they did is seen beside the call (`heap`).
//!
//! # The parts
//! `entry` are the exported functions: a few instructions that pass on where the caller's frame is. `hooks` does what was asked for, and
//! tells `thread`, by way of `inside` and `own`, which keeps a thread's words, sites and numbers. `stack` walks frames, by `rules` where
//! there are no frame pointers, `incremental` no more of them than have changed, `remembered` none where a stack comes again, `live` knows which block is at an address, `modules` where code is, `heap` what `malloc` has asked the system for,
//! `python` which function of Python's runs, `process` the file, `sample`
//! which blocks are noted where not all are. `format`, `encode`, `places`, `bits` and `huffman` are links to
//! the reader's.
//!
//! x86-64 Linux alone, for now; elsewhere the library is empty.
#![cfg_attr(all(panic = "abort", not(test)), no_std)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
// Pointers into mappings are cast to what is kept there; the mappings are aligned to pages.
#![allow(clippy::cast_ptr_alignment)]
// The exported functions are a few hundred instructions, of which none should be a call.
#![allow(clippy::inline_always)]
// Exported to the loader, not to Rust.
#![allow(unreachable_pub)]
#![cfg_attr(test, allow(dead_code))]

#[allow(dead_code)] // the reader uses more of it
mod bits;
#[allow(dead_code)] // the reader uses more of it
mod encode;
#[cfg(not(test))]
mod entry;
mod environment;
#[allow(dead_code)] // the reader uses more of it
mod format;
mod heap;
mod hooks;
#[allow(dead_code)] // the reader uses more of it
mod huffman;
mod incremental;
mod inside;
mod live;
mod memory;
mod modules;
mod own;
#[cfg(all(panic = "abort", not(test)))]
mod panic;
mod places;
mod process;
mod python;
mod real;
mod remembered;
mod rules;
mod sample;
mod sites;
mod stack;
mod system;
mod thread;
#[cfg(test)]
mod weight;
