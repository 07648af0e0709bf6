//! What a measure counts, and where it ends.

use std::alloc::System;
use std::cell::RefCell;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use alloc_trace::{Stats, Tracked, is_installed, measure, measure_with_result};
use proptest::prelude::*;

mod model;

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

fn figures(stats: Stats) -> [u64; 5] {
    [stats.allocations, stats.bytes, stats.frees, stats.freed_bytes, stats.peak]
}

/// An allocation that no optimisation takes away.
fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_calls_come_to_what_the_model_says(rounds in prop::collection::vec(model::calls(), 1..4)) {
        // From the second round on there are blocks that are older than the measure.
        let mut blocks = model::Blocks::default();
        for calls in &rounds {
            blocks.check(calls);
        }
    }

    #[test]
    fn they_do_so_in_a_thread_that_is_ending(calls in model::calls()) {
        thread_local! {
            static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
        }
        struct Last(Vec<model::Call>, mpsc::Sender<()>);
        impl Drop for Last {
            fn drop(&mut self) {
                model::Blocks::default().check(&self.0);
                self.1.send(()).unwrap();
            }
        }
        let (sender, done) = mpsc::channel();
        let last = Last(calls, sender);
        thread::spawn(|| LAST.set(Some(last))).join().unwrap();
        prop_assert!(done.recv().is_ok(), "the check in the destructor failed");
    }
}

#[test]
fn it_is_installed() {
    assert!(is_installed());
}

#[test]
fn nothing_is_nothing() {
    assert_eq!(figures(measure(|| ())), [0; 5]);
}

#[test]
fn measures_around_have_what_measures_within_have() {
    let mut inner = Stats::default();
    let outer = measure(|| {
        let first = block(10);
        inner = measure(|| drop(block(100)));
        drop(first);
    });
    assert_eq!(figures(inner), [1, 100, 1, 100, 100]);
    assert_eq!(figures(outer), [2, 110, 2, 110, 110]);
}

#[test]
fn a_peak_before_a_measure_within_is_not_forgotten() {
    let outer = measure(|| {
        drop(block(1000));
        assert_eq!(measure(|| drop(block(10))).peak, 10);
        drop(block(20));
    });
    assert_eq!(outer.peak, 1000);
}

#[test]
fn older_blocks_are_freed_within_and_the_peak_stays_at_zero() {
    let older = block(1000);
    let stats = measure(|| {
        drop(older);
        drop(block(900));
    });
    assert_eq!(figures(stats), [1, 900, 2, 1900, 0]);
    assert_eq!(stats.retained(), -1000);
}

#[test]
fn a_result_is_dropped_outside() {
    assert_eq!(figures(measure(|| block(10))), [1, 10, 0, 0, 10]);
    let (result, stats) = measure_with_result(|| block(10));
    assert_eq!((result.capacity(), stats.retained()), (10, 10));
}

#[test]
fn a_panic_ends_its_measure_and_no_other() {
    let outer = measure(|| {
        let panicked = catch_unwind(|| {
            measure(|| {
                drop(block(5000));
                // Without the hook, which prints and allocates.
                resume_unwind(Box::new(7));
            })
        });
        assert!(panicked.is_err());
        drop(panicked);
        assert_eq!(figures(measure(|| drop(block(3)))), [1, 3, 1, 3, 3]);
    });
    assert!(outer.allocations >= 2 && outer.peak >= 5000, "{outer:?}");
    assert_eq!(outer.retained(), 0, "{outer:?}");
}

#[test]
fn other_threads_have_no_part_in_it() {
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !end.load(Ordering::Relaxed) {
                    drop(block(100));
                }
            });
        }
        for _ in 0..1000 {
            assert_eq!(figures(measure(|| drop(block(7)))), [1, 7, 1, 7, 7]);
        }
        end.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_block_freed_by_another_thread_is_freed_there() {
    let block = block(100);
    let stats = thread::spawn(move || measure(|| drop(block))).join().unwrap();
    assert_eq!(figures(stats), [0, 0, 1, 100, 0]);
}

#[test]
fn a_vector_that_grows_counts_each_time() {
    let stats = measure(|| {
        let mut vector = block(16);
        vector.resize(16, 0);
        vector.reserve_exact(100_000);
        vector.shrink_to(20);
    });
    let grown = 16 + 100_000;
    assert_eq!(figures(stats), [3, 16 + grown + 20, 3, 16 + grown + 20, grown]);
}
