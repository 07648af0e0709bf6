//! Budgets beside threads that allocate wildly: not one may be wrong, however many there are.
//!
//!     ALLOC_TRACE_STRESS=10000 cargo test --release -p alloc-trace --test stress
//!
//! That many budgets, 500 if not said, eight at a time.

use std::alloc::System;
use std::future::poll_fn;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::thread;

use alloc_trace::{Budget, Handle, Scope, Tracked, measure};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: Tracked<System> = Tracked::new(System);

fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

/// Allocates, reallocates, frees, sends blocks to others, and starts threads that end at once.
fn wild(end: &AtomicBool) {
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<u8>>();
    thread::scope(|scope| {
        scope.spawn(move || receiver.into_iter().for_each(drop));
        let mut size = 1;
        while !end.load(Relaxed) {
            size = size * 31 % 10_007;
            let mut kept = block(size);
            kept.reserve_exact(2 * size);
            sender.send(kept).unwrap();
            if size % 64 == 0 {
                scope.spawn(move || drop(block(size)));
            }
        }
        drop(sender);
    });
}

/// One budget of each kind, met to the byte.
fn budgets(seed: usize) {
    let size = seed % 1000 + 1;
    Budget::new().max_allocs(0).max_bytes(0).max_peak(0).check(|| black_box(seed));
    Budget::new().max_allocs(3).max_bytes(4 * size as u64).max_peak(3 * size as u64).check(|| {
        let first = block(size);
        drop(block(size));
        drop((first, block(2 * size)));
    });
    assert_eq!(measure(|| drop(block(size))).bytes, size as u64);
    // Not each time: the lines are looked for in the program's own debug information.
    if seed.is_multiple_of(100) {
        let exceeded = Budget::new().max_allocs(1).try_check(|| (block(size), block(size)));
        assert_eq!(exceeded.expect_err("two are more than one").stats.allocations, 2);
    }
}

/// Half of the jobs here, half wherever rayon does them.
fn jobs(handle: &Handle, count: usize, size: usize) {
    if count == 1 {
        return handle.enter(|| drop(block(size)));
    }
    rayon::join(|| jobs(handle, count / 2, size), || jobs(handle, count / 2, size));
}

/// The pool is shared by all: its threads take up each other's jobs while they wait. What rayon needs itself is nobody's.
fn carried(seed: usize) {
    let size = seed % 1000 + 1;
    let scope = Scope::new();
    jobs(&scope.handle(), 8, size);
    assert_eq!((scope.stats().allocations, scope.stats().bytes), (8, 8 * size as u64));
}

/// Lets others go on, without a list of those who wait.
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

/// Tasks of all workers share the runtime.
fn task(runtime: &Runtime, seed: usize) {
    let size = seed % 1000 + 1;
    let work = async move {
        for _ in 0..10 {
            drop(block(size));
            yield_now().await;
        }
    };
    let budget = Budget::new().max_allocs(10).max_bytes(10 * size as u64).max_peak(size as u64);
    runtime.block_on(runtime.spawn(budget.wrap(work))).expect("within its budget");
}

#[test]
fn none_is_wrong() {
    let budgets_to_do: u64 =
        std::env::var("ALLOC_TRACE_STRESS").ok().and_then(|count| count.parse().ok()).unwrap_or(500);
    let (end, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| wild(&end));
        }
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let seed = done.fetch_add(1, Relaxed);
                        if seed >= budgets_to_do {
                            break;
                        }
                        budgets(seed as usize);
                        carried(seed as usize);
                        task(&runtime, seed as usize);
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        end.store(true, Relaxed);
        assert!(outcomes.iter().all(Result::is_ok), "a budget was wrong");
    });
}
