//! alloc-trace's allocator around jemalloc: the properties are the same.

use alloc_trace::Tracked;

mod around;

#[global_allocator]
static ALLOCATOR: Tracked<tikv_jemallocator::Jemalloc> = Tracked::new(tikv_jemallocator::Jemalloc);
