//! What reaches the allocator that is wrapped, and what it answers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::Mutex;

use alloc_trace::{Tracked, measure};

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

/// Writes down what it is asked for; has no more than one block of 64 bytes, which no call moves unless it asks for 32.
#[derive(Default)]
struct Notes(Mutex<Vec<(&'static str, usize, usize, usize)>>);

#[repr(align(64))]
struct Memory(#[expect(dead_code, reason = "only its address counts")] [u8; 128]);

static MEMORY: Memory = Memory([0; 128]);

fn first() -> *mut u8 {
    (&raw const MEMORY).cast_mut().cast()
}

impl Notes {
    fn note(&self, call: &'static str, layout: Layout, size: usize) {
        self.0.lock().unwrap().push((call, layout.size(), layout.align(), size));
    }
}

// SAFETY: the blocks are never read nor written by the test.
unsafe impl GlobalAlloc for Notes {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note("alloc", layout, 0);
        if layout.size() > 64 { null_mut() } else { first() }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.note("dealloc", layout, block.addr() - first().addr());
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note("alloc_zeroed", layout, 0);
        if layout.size() > 64 { null_mut() } else { first() }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.note("realloc", layout, size);
        match size {
            65.. => null_mut(),
            32 => block.wrapping_add(64),
            _ => block,
        }
    }
}

#[test]
fn sizes_alignments_and_answers_are_the_wrapped_ones() {
    let tracked = Tracked::new(Notes::default());
    tracked.inner().0.lock().unwrap().reserve(100);
    let layout = |size, align| Layout::from_size_align(size, align).unwrap();
    let stats = measure(|| {
        // SAFETY: sizes are not zero, and blocks are those of the calls before.
        unsafe {
            assert_eq!(tracked.alloc(layout(3, 1)), first());
            assert_eq!(tracked.alloc_zeroed(layout(64, 4096)), first());
            assert!(tracked.alloc(layout(65, 8)).is_null());
            assert!(tracked.alloc_zeroed(layout(66, 8)).is_null());
            assert_eq!(tracked.realloc(first(), layout(3, 2), 5), first());
            assert_eq!(tracked.realloc(first(), layout(5, 2), 32), first().wrapping_add(64), "it moves");
            assert!(tracked.realloc(first().wrapping_add(64), layout(32, 2), 100).is_null());
            tracked.dealloc(first().wrapping_add(64), layout(32, 2));
        }
    });
    let notes = tracked.inner().0.lock().unwrap();
    assert_eq!(
        *notes,
        [
            ("alloc", 3, 1, 0),
            ("alloc_zeroed", 64, 4096, 0),
            ("alloc", 65, 8, 0),
            ("alloc_zeroed", 66, 8, 0),
            ("realloc", 3, 2, 5),
            ("realloc", 5, 2, 32),
            ("realloc", 32, 2, 100),
            ("dealloc", 32, 2, 64),
        ]
    );
    // What failed is not counted.
    assert_eq!((stats.allocations, stats.bytes), (4, 3 + 64 + 5 + 32));
    assert_eq!((stats.frees, stats.freed_bytes), (3, 3 + 5 + 32));
    assert_eq!(stats.peak, 3 + 64 - 3 + 5 - 5 + 32);
}
