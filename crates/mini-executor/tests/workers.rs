//! What an executor promises that several threads run.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use mini_executor::{Executor, Task, block_on, yield_now};

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

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

#[test]
fn a_panic_arrives_at_the_join_and_the_workers_live() {
    let executor = Executor::new();
    with_workers(&executor, 2, || {
        for _ in 0..10 {
            let failing: Task<()> = executor.spawn(async { panic!("on purpose") });
            let caught = catch_unwind(AssertUnwindSafe(|| block_on(failing)));
            assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on purpose"));
        }
        assert_eq!(block_on(executor.spawn(async { 1 })), 1);
    });
}

#[test]
fn several_workers_share_the_work_of_one() {
    static EXECUTOR: Executor<'static> = Executor::new();
    static BOTH: Barrier = Barrier::new(2);
    // Neither ends before the other has begun, on another thread.
    let meets = async || {
        BOTH.wait();
        thread::current().id()
    };
    let root = EXECUTOR.spawn(async move {
        let (first, second) = (EXECUTOR.spawn(meets()), EXECUTOR.spawn(meets()));
        (first.await, second.await)
    });
    let (first, second) = with_workers(&EXECUTOR, 2, || block_on(root));
    assert_ne!(first, second);
}

#[test]
fn a_task_moves_between_threads() {
    let executor = Executor::new();
    let task = executor.spawn(async {
        let first = thread::current().id();
        yield_now().await;
        (first, thread::current().id())
    });
    thread::scope(|scope| scope.spawn(|| assert!(executor.try_tick())).join().unwrap());
    let (first, second) = block_on(executor.run(task));
    assert_eq!(second, thread::current().id());
    assert_ne!(first, second);
}

#[test]
fn a_task_woken_by_one_that_then_blocks_is_taken_by_a_sibling_that_is_awake() {
    static EXECUTOR: Executor<'static> = Executor::new();
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel::<Waker>();
    let mut is_told = false;
    let woken = EXECUTOR.spawn(poll_fn(move |context| {
        sender.send(context.waker().clone()).unwrap();
        IS_DONE.store(is_told, Ordering::Release);
        if std::mem::replace(&mut is_told, true) { Poll::Ready(()) } else { Poll::Pending }
    }));
    let blocks = EXECUTOR.spawn(async move {
        receiver.recv().unwrap().wake();
        // A new task has a sibling woken, who then finds the first one, too.
        EXECUTOR.spawn(async {}).detach();
        let begin = Instant::now();
        while !IS_DONE.load(Ordering::Acquire) && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        IS_DONE.load(Ordering::Acquire)
    });
    with_workers(&EXECUTOR, 2, || {
        assert!(block_on(blocks));
        block_on(woken);
    });
}

#[test]
fn handles_may_be_joined_cancelled_and_dropped_on_other_threads() {
    for round in 0..300 {
        let executor = Executor::new();
        with_workers(&executor, 2, || {
            let spawn = |number: u32| {
                executor.spawn(async move {
                    for _ in 0..(round + number) % 7 {
                        yield_now().await;
                    }
                    vec![number]
                })
            };
            let (joined, cancelled, dropped, detached) = (spawn(0), spawn(1), spawn(2), spawn(3));
            drop(dropped);
            detached.detach();
            let cancelled = block_on(cancelled.cancel());
            assert!(cancelled.is_none_or(|result| result == [1]));
            assert_eq!(block_on(joined), [0]);
        });
        while executor.try_tick() {}
        assert!(executor.is_empty());
    }
}

#[test]
fn an_executor_is_dropped_while_other_threads_wake_join_and_drop() {
    for _ in 0..300 {
        let executor = Executor::new();
        let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
        let mut handles = Vec::new();
        for _ in 0..4 {
            let wakers = wakers.clone();
            handles.push(executor.spawn(poll_fn(move |context| {
                wakers.lock().unwrap().push(context.waker().clone());
                Poll::<()>::Pending
            })));
        }
        while executor.try_tick() {}
        let taken = std::mem::take(&mut *wakers.lock().unwrap());
        let joined = handles.pop().unwrap();
        let joining = thread::spawn(move || block_on(joined.fallible()));
        let others = thread::spawn(move || {
            for waker in taken {
                waker.wake_by_ref();
                drop(waker.clone());
                waker.wake();
            }
            drop(handles);
        });
        executor.try_tick();
        drop(executor);
        others.join().unwrap();
        assert_eq!(joining.join().unwrap(), None);
        assert_eq!(Arc::strong_count(&wakers), 1);
    }
}

#[test]
fn tasks_are_woken_from_other_threads() {
    let wakes = AtomicU32::new(0);
    let executor = Executor::new();
    let (sender, receiver) = mpsc::channel::<Waker>();
    thread::scope(|scope| {
        scope.spawn(|| {
            for waker in receiver {
                wakes.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            }
        });
        let seen = &wakes;
        let task = executor.spawn(async move {
            for round in 0..1_000 {
                let mut sent = false;
                poll_fn(|context| {
                    if !std::mem::replace(&mut sent, true) {
                        sender.send(context.waker().clone()).unwrap();
                    }
                    if seen.load(Ordering::Relaxed) > round { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        });
        with_workers(&executor, 2, || block_on(task));
    });
    assert_eq!(wakes.load(Ordering::Relaxed), 1_000);
}

#[test]
fn workers_come_and_go_and_leave_their_tasks_to_the_others() {
    static EXECUTOR: Executor<'static> = Executor::new();
    static ENDS: AtomicU32 = AtomicU32::new(0);
    let stays = EXECUTOR.spawn(async {
        for _ in 0..1_000 {
            let spawned = EXECUTOR.spawn(async {
                yield_now().await;
                ENDS.fetch_add(1, Ordering::Relaxed);
            });
            spawned.detach();
            yield_now().await;
        }
        while ENDS.load(Ordering::Relaxed) < 1_000 {
            yield_now().await;
        }
    });
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..300 {
                    // One that ends, and one that is dropped in the middle of its work.
                    block_on(EXECUTOR.run(yield_now()));
                    let mut running = pin!(EXECUTOR.run(pending::<()>()));
                    let _ = running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                }
            });
        }
        block_on(EXECUTOR.run(stays));
    });
    while EXECUTOR.try_tick() {}
    assert!(EXECUTOR.is_empty());
}

#[test]
fn an_executor_at_rest_is_woken_by_a_spawn_and_only_one_worker_is() {
    let counts = [(); 3].map(|()| Arc::new(Count::default()));
    let wakers = counts.each_ref().map(|count| Waker::from(count.clone()));
    let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
    let executor = Executor::new();
    let mut first = pin!(executor.run(pending::<()>()));
    let mut second = pin!(executor.run(pending::<()>()));
    let mut ticks = pin!(executor.tick());
    assert!(first.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
    assert!(ticks.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
    assert_eq!(woken(), [0, 0, 0]);
    executor.spawn(async {}).detach();
    executor.spawn(async {}).detach();
    assert_eq!(woken(), [0, 0, 1]);
    // It has one task for itself, and wakes the next for the other.
    assert!(second.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
    assert!(executor.is_empty());
    executor.spawn(async {}).detach();
    assert!(ticks.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_ready());
    assert!(executor.is_empty());
}

#[test]
fn a_worker_that_was_woken_and_is_dropped_passes_it_on() {
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let wakers = counts.each_ref().map(|count| Waker::from(count.clone()));
    let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
    let executor = Executor::new();
    let mut first = pin!(executor.run(pending::<()>()));
    assert!(first.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
    let mut second = Box::pin(executor.run(pending::<()>()));
    assert!(second.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
    executor.spawn(async {}).detach();
    assert_eq!(woken(), [0, 1]);
    drop(second);
    assert_eq!(woken(), [1, 1]);
}

#[test]
fn a_leaked_worker_does_not_spoil_the_next_executor() {
    static LEAKED: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
    let executor = Executor::new();
    let mut leaked = Box::pin(executor.run(pending::<()>()));
    assert!(leaked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    executor.spawn(async {}).detach();
    // Leaked, but not out of sight of tools that look for leaks.
    LEAKED.store(std::ptr::from_ref(&*leaked).cast_mut().cast(), Ordering::Relaxed);
    std::mem::forget(leaked);
    drop(executor);
    let executor = Executor::new();
    with_workers(&executor, 1, || {
        for number in 0..10 {
            thread::sleep(Duration::from_millis(1));
            assert_eq!(block_on(executor.spawn(async move { number })), number);
        }
    });
}

#[test]
fn many_tasks_and_large_ones() {
    static EXECUTOR: Executor<'static> = Executor::new();
    let root = EXECUTOR.spawn(async {
        let many: Vec<Task<u64>> = (0..10_000).map(|number| EXECUTOR.spawn(async move { number })).collect();
        let large = EXECUTOR.spawn(async {
            let block = [3_u8; 10_000];
            yield_now().await;
            block.iter().map(|&byte| u64::from(byte)).sum::<u64>()
        });
        let mut sum = large.await;
        for task in many {
            sum += task.await;
        }
        sum
    });
    assert_eq!(with_workers(&EXECUTOR, 3, || block_on(root)), 30_000 + 49_995_000);
}
