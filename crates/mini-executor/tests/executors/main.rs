//! Executors, by property. What both kinds promise, the one for a single thread and the one for several, is tested of both.

mod ending;
mod one_kind;
mod running;
mod waking;

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use mini_executor::{Executor, LocalExecutor, Task, block_on, yield_now};

/// Counts how often it is dropped.
struct Dropped<'a>(&'a AtomicU32);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Count {
    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the executor on so many threads beside this one, until `work` is over.
fn with_workers<T>(executor: &Executor<'_>, workers: usize, work: impl FnOnce() -> T) -> T {
    struct Stop<'a>(&'a Mutex<Vec<Waker>>, &'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.1.store(true, Ordering::SeqCst);
            self.0.lock().unwrap().drain(..).for_each(Waker::wake);
        }
    }
    let (wakers, is_over) = (Mutex::new(Vec::<Waker>::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                block_on(executor.run(poll_fn(|context| {
                    wakers.lock().unwrap().push(context.waker().clone());
                    if is_over.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                })));
            });
        }
        let _stop = Stop(&wakers, &is_over);
        work()
    })
}

/// Runs a local executor with all the threads it can have: this one.
fn on_one_thread<T>(executor: &LocalExecutor<'_>, future: impl Future<Output = T>) -> T {
    block_on(executor.run(future))
}

/// Runs an executor on this thread and on two others.
fn on_three_threads<T>(executor: &Executor<'_>, future: impl Future<Output = T>) -> T {
    with_workers(executor, 2, || block_on(executor.run(future)))
}
