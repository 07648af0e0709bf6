//! alloc-trace's allocator around mimalloc: the properties are the same.

use alloc_trace::Tracked;

mod around;

#[global_allocator]
static ALLOCATOR: Tracked<mimalloc::MiMalloc> = Tracked::new(mimalloc::MiMalloc);
