//! What counts to a scope: by threads, pools, tasks.
#![allow(clippy::cast_possible_wrap, reason = "blocks are small")]

use std::alloc::System;
use std::future::poll_fn;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;

use alloc_trace::{Handle, Scope, Stats, Tracked, count, measure};
use proptest::prelude::*;

mod model;

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

fn figures(stats: Stats) -> [u64; 5] {
    [stats.allocations, stats.bytes, stats.frees, stats.freed_bytes, stats.peak]
}

/// Allocates and frees a block.
fn churn(size: usize) {
    drop(black_box(Vec::<u8>::with_capacity(size)));
}

/// Lets others go on. Tokio's own may allocate a list of those who wait, at the cost of whoever comes first.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_scope_on_one_thread_counts_as_a_measure_does(calls in model::calls()) {
        let mut blocks = model::Blocks::default();
        let scope = Scope::new();
        let expected = scope.enter(|| blocks.check(&calls));
        prop_assert_eq!(scope.stats(), expected);
    }

    #[test]
    fn threads_with_handles_add_up(works in prop::collection::vec(model::calls(), 2..5)) {
        let scope = Scope::new();
        let around = Barrier::new(works.len());
        let expected: Vec<Stats> = thread::scope(|threads| {
            let mut running = Vec::new();
            for calls in &works {
                let (around, handle) = (&around, scope.handle());
                running.push(threads.spawn(move || {
                    let mut blocks = model::Blocks::default();
                    around.wait();
                    handle.enter(|| blocks.check(calls))
                }));
            }
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sum = |of: fn(&Stats) -> u64| expected.iter().map(of).sum::<u64>();
        let found = scope.stats();
        prop_assert_eq!(found.allocations, sum(|stats| stats.allocations));
        prop_assert_eq!(found.bytes, sum(|stats| stats.bytes));
        prop_assert_eq!(found.frees, sum(|stats| stats.frees));
        prop_assert_eq!(found.freed_bytes, sum(|stats| stats.freed_bytes));
        prop_assert!(found.peak <= sum(|stats| stats.peak));
        prop_assert!(found.peak as i64 >= expected.iter().map(Stats::retained).sum::<i64>());
    }
}

#[test]
fn only_what_is_entered_counts() {
    let scope = Scope::new();
    churn(1);
    scope.enter(|| churn(10));
    churn(2);
    scope.enter(|| churn(20));
    assert_eq!(figures(scope.stats()), [2, 30, 2, 30, 20]);
}

#[test]
fn a_scope_itself_costs_nobody_an_allocation() {
    let stats = measure(|| {
        let scope = Scope::new();
        scope.enter(|| drop(Handle::current()));
        drop(scope.handle());
    });
    assert_eq!(figures(stats), [0; 5]);
}

#[test]
fn scopes_within_are_part_of_scopes_around() {
    let outer = Scope::new();
    let inner = outer.enter(|| {
        churn(1);
        Scope::new()
    });
    // Wherever it is entered: on another thread, and when nobody is in the outer one.
    thread::spawn(move || {
        inner.enter(|| churn(100));
        assert_eq!(inner.stats().bytes, 100);
    })
    .join()
    .unwrap();
    assert_eq!(figures(outer.stats()), [2, 101, 2, 101, 100]);
}

#[test]
fn entered_twice_counts_once() {
    let scope = Scope::new();
    scope.enter(|| Handle::current().enter(|| scope.enter(|| churn(10))));
    assert_eq!(figures(scope.stats()), [1, 10, 1, 10, 10]);
}

#[test]
fn somebody_elses_job_does_not_charge_the_waiter() {
    let (waiter, other) = (Scope::new(), Scope::new());
    let job = other.handle();
    waiter.enter(|| {
        churn(1);
        job.enter(|| churn(1000)); // as a pool's thread does that steals while it waits
        churn(2);
    });
    assert_eq!((waiter.stats().bytes, other.stats().bytes), (3, 1000));
}

#[test]
fn a_handle_from_nowhere_leads_out_of_all_scopes() {
    let nowhere = Handle::current();
    let scope = Scope::new();
    scope.enter(|| nowhere.enter(|| churn(10)));
    assert_eq!(scope.stats().allocations, 0);
}

#[test]
fn a_panic_leaves_the_scope() {
    let scope = Scope::new();
    let caught = catch_unwind(AssertUnwindSafe(|| scope.enter(|| resume_unwind(Box::new(1_u32)))));
    drop(caught);
    churn(100);
    // The box was allocated inside; it is freed outside.
    assert_eq!(scope.stats().bytes, 4 + scope_of_a_panic());
    scope.enter(|| churn(100));
    assert_eq!(scope.stats().bytes, 104 + scope_of_a_panic());
}

/// What unwinding itself allocates with the global allocator, bytes.
fn scope_of_a_panic() -> u64 {
    let stats = measure(|| {
        let _ = catch_unwind(|| resume_unwind(Box::new(1_u32)));
    });
    stats.bytes - 4
}

#[test]
fn rayon_carries_it_through_all_its_jobs() {
    fn halves(handle: &Handle, jobs: usize) {
        if jobs == 1 {
            return handle.enter(|| churn(10));
        }
        rayon::join(|| halves(handle, jobs / 2), || halves(handle, jobs - jobs / 2));
    }
    // Two scopes share the pool; their jobs steal from each other.
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let scope = Scope::new();
                for _ in 0..20 {
                    halves(&scope.handle(), 100);
                }
                assert_eq!((scope.stats().allocations, scope.stats().bytes), (2000, 20_000));
            });
        }
    });
}

#[test]
fn tasks_keep_their_counts_apart_while_they_move_between_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let task = |size: usize| {
            tokio::spawn(count(async move {
                for _ in 0..100 {
                    churn(size);
                    yield_now().await;
                }
            }))
        };
        let tasks: Vec<_> = (1..=50).map(|size| (size, task(size))).collect();
        for (size, task) in tasks {
            let ((), stats) = task.await.unwrap();
            assert_eq!(figures(stats), [100, 100 * size as u64, 100, 100 * size as u64, size as u64]);
        }
    });
}

#[test]
fn each_poll_on_another_thread_counts_to_the_one_task() {
    let mut future: Pin<Box<dyn Future<Output = ((), Stats)> + Send>> = Box::pin(count(async {
        let mut kept = Vec::with_capacity(10);
        for size in 1..=10 {
            kept.push(black_box(Vec::<u8>::with_capacity(size)));
            yield_now().await;
        }
    }));
    let mut poll = || {
        thread::scope(|threads| {
            threads.spawn(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop()))).join().unwrap()
        })
    };
    for _ in 0..10 {
        assert!(poll().is_pending());
    }
    let Poll::Ready(((), stats)) = poll() else { panic!("it has not ended") };
    let bytes = 55 + 10 * size_of::<Vec<u8>>() as u64;
    assert_eq!(figures(stats), [11, bytes, 11, bytes, bytes]);
}

#[test]
fn what_a_task_spawns_counts_if_it_was_wrapped() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let ((), stats) = runtime.block_on(count(async {
        let wrapped = async {
            churn(1 << 20);
            yield_now().await;
            churn(1 << 20);
        };
        let bare = async { churn(1 << 24) };
        tokio::spawn(Handle::current().wrap(wrapped)).await.unwrap();
        tokio::spawn(bare).await.unwrap();
    }));
    assert!((2 << 20..3 << 20).contains(&stats.bytes), "{stats:?}");
}

#[test]
fn a_future_is_dropped_in_its_scope_even_if_it_never_ends() {
    let scope = Scope::new();
    let outer = measure(|| {
        let future = Box::pin(scope.wrap(async {
            let _kept = black_box(Vec::<u8>::with_capacity(100));
            std::future::pending::<()>().await;
        }));
        let mut future = pin!(future);
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        churn(7);
    });
    assert_eq!(figures(scope.stats()), [1, 100, 1, 100, 100]);
    // Besides its box and the seven bytes.
    assert_eq!((outer.allocations, outer.frees), (3, 3));
}

#[test]
fn branches_of_one_task_are_counted_apart_if_they_are_apart() {
    let branch = |size| {
        count(async move {
            for _ in 0..10 {
                churn(size);
                yield_now().await;
            }
        })
    };
    let (((), few), ((), many)) = futures::executor::block_on(futures::future::join(branch(1), branch(1000)));
    assert_eq!((few.bytes, many.bytes), (10, 10_000));
}

#[test]
fn a_scope_outlives_its_name_as_long_as_work_goes_on_in_it() {
    let outer = Scope::new();
    let handle = outer.enter(|| Scope::new().handle());
    let handle = Arc::new(handle);
    let work = Arc::clone(&handle);
    thread::spawn(move || work.enter(|| churn(10))).join().unwrap();
    drop(handle);
    assert_eq!(outer.stats().bytes, 10);
}
