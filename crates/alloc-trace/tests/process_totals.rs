//! Sums over threads. One test: others beside it would count as well.

use std::alloc::System;
use std::cell::RefCell;
use std::thread;

use alloc_trace::{Stats, Tracked, process_totals};

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

fn since(before: Stats) -> (u64, u64, u64) {
    let now = process_totals();
    (now.allocations - before.allocations, now.bytes - before.bytes, now.freed_bytes - before.freed_bytes)
}

/// Allocates when its thread's storage is torn down.
struct Last(usize);

impl Drop for Last {
    fn drop(&mut self) {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(self.0)));
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

#[test]
fn threads_that_ended_are_in_the_sum_with_all_they_did() {
    const BLOCK: usize = 1 << 20;
    let before = process_totals();
    for _ in 0..100 {
        let threads = [(); 3].map(|()| {
            thread::spawn(|| {
                LAST.set(Some(Last(BLOCK)));
                for _ in 0..10 {
                    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    }
    let (allocations, bytes, freed_bytes) = since(before);
    let expected = 100 * 3 * 11;
    // A thread needs a few small blocks itself.
    assert!(allocations >= expected, "{allocations}");
    assert_eq!(bytes / BLOCK as u64, expected, "{bytes}");
    assert!(bytes - freed_bytes < BLOCK as u64, "{bytes} {freed_bytes}");
}
