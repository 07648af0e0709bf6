//! What all threads allocate. One test: others beside it would count as well.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use alloc_trace::{Budget, Tracked, measure, measure_process};

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

const BLOCK: u64 = 1 << 20;

#[test]
fn all_threads_count_while_it_is_open_with_an_exact_peak() {
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                barrier.wait(); // the measure is open
                let block = black_box(Vec::<u8>::with_capacity(BLOCK as usize));
                barrier.wait(); // all have one
                drop(block);
                barrier.wait(); // none has one
                drop(black_box(Vec::<u8>::with_capacity(BLOCK as usize)));
                barrier.wait(); // the end
                barrier.wait(); // the measure is closed
                drop(black_box(Vec::<u8>::with_capacity(BLOCK as usize)));
            });
        }
        let stats = measure_process(|| {
            for _ in 0..4 {
                barrier.wait();
            }
            // One within is one more who asks.
            assert_eq!(measure_process(|| drop(black_box(vec![1_u8]))).allocations, 1);
        });
        barrier.wait();
        assert_eq!(stats.bytes / BLOCK, 6, "{stats:?}");
        // Some bytes less: the threads free what they were started with.
        assert_eq!((stats.peak + 4096) / BLOCK, 3, "{stats:?}");
    });
    // Nobody asks any more.
    assert_eq!(measure(|| drop(black_box(vec![1_u8]))).allocations, 1);

    // A budget for the process: another thread's block is one too many.
    let elsewhere = || thread::spawn(|| drop(black_box(Vec::<u8>::with_capacity(BLOCK as usize)))).join().unwrap();
    let budget = Budget::new().max_bytes(BLOCK).whole_process();
    budget.check(|| ());
    let exceeded = budget.try_check(elsewhere).unwrap_err();
    assert!((BLOCK..BLOCK + 10_000).contains(&exceeded.stats.bytes), "{exceeded}");
    let caught = std::panic::catch_unwind(|| drop(budget.wrap(async {})));
    assert!(caught.is_err(), "futures have no budget for the process");

    let caught = std::panic::catch_unwind(|| nest(17));
    assert!(caught.unwrap_err().downcast_ref::<String>().unwrap().contains("16 others"));
    assert_eq!(measure_process(|| drop(black_box(vec![1_u8]))).allocations, 1, "all have ended");
}

fn nest(depth: u32) {
    if depth > 0 {
        measure_process(|| nest(depth - 1));
    }
}
