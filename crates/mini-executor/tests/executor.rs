//! What the executor for several threads promises.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
fn a_task_runs_and_its_result_arrives() {
    let executor = Executor::new();
    assert!(executor.is_empty());
    let task = executor.spawn(async {
        yield_now().await;
        String::from("here")
    });
    assert!(!executor.is_empty() && !task.is_finished());
    assert_eq!(block_on(executor.run(task)), "here");
    assert!(executor.is_empty());
}

#[test]
fn nothing_runs_before_the_executor_does() {
    let has_run = AtomicBool::new(false);
    let executor = Executor::new();
    executor.spawn(async { has_run.store(true, Ordering::Relaxed) }).detach();
    assert!(!has_run.load(Ordering::Relaxed));
    assert!(executor.try_tick() && has_run.load(Ordering::Relaxed));
    assert!(!executor.try_tick());
}

#[test]
fn tasks_run_in_the_order_they_were_spawned_and_yield_to_one_another() {
    let order = Mutex::new(Vec::new());
    let executor = Executor::new();
    let mut tasks = Vec::new();
    let unit = |number| {
        let order = &order;
        async move {
            for turn in 0..3 {
                order.lock().unwrap().push((turn, number));
                yield_now().await;
            }
        }
    };
    executor.spawn_many((0..4).map(unit), &mut tasks);
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    let mut sorted = order.lock().unwrap().clone();
    sorted.sort_unstable();
    assert_eq!(*order.lock().unwrap(), sorted);
}

#[test]
fn a_ready_sibling_runs_after_one_yield_of_a_spinner() {
    static EXECUTOR: Executor<'static> = Executor::new();
    let turns = Arc::new(AtomicU32::new(0));
    let root = EXECUTOR.spawn(async {
        let (counted, read) = (turns.clone(), turns);
        let spinner = EXECUTOR.spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let sibling_after = EXECUTOR.spawn(async move { read.load(Ordering::Relaxed) }).await;
        drop(spinner);
        sibling_after
    });
    assert_eq!(block_on(EXECUTOR.run(root)), 1);
}

#[test]
fn a_task_woken_by_a_spinner_runs_after_one_yield_of_it() {
    static EXECUTOR: Executor<'static> = Executor::new();
    let root = EXECUTOR.spawn(async {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let mut is_told = false;
        let sibling = EXECUTOR.spawn(poll_fn(move |context| {
            sender.send(context.waker().clone()).unwrap();
            if std::mem::replace(&mut is_told, true) { Poll::Ready(()) } else { Poll::Pending }
        }));
        let spinner = EXECUTOR.spawn(async move {
            receiver.recv().unwrap().wake();
            let mut turns = 0;
            while !sibling.is_finished() {
                turns += 1;
                yield_now().await;
            }
            turns
        });
        spinner.await
    });
    assert_eq!(block_on(EXECUTOR.run(root)), 1);
}

#[test]
fn two_that_wake_each_other_do_not_starve_a_third_nor_those_queued_for_all() {
    static EXECUTOR: Executor<'static> = Executor::new();
    static TURNS: AtomicU32 = AtomicU32::new(0);
    static PLAYERS: [Mutex<Option<Waker>>; 2] = [const { Mutex::new(None) }; 2];
    let player = |own: usize| {
        poll_fn(move |context| {
            *PLAYERS[own].lock().unwrap() = Some(context.waker().clone());
            let turn = TURNS.fetch_add(1, Ordering::Relaxed);
            if let Some(other) = PLAYERS[1 - own].lock().unwrap().take() {
                other.wake();
            }
            if turn > 100_000 { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let root = EXECUTOR.spawn(async move {
        let players = [0, 1].map(|own| EXECUTOR.spawn(player(own)));
        let third = EXECUTOR.spawn(async { TURNS.load(Ordering::Relaxed) });
        let outer = thread::spawn(|| EXECUTOR.spawn(async { TURNS.load(Ordering::Relaxed) })).join().unwrap();
        let result = (third.await, outer.await);
        drop(players);
        result
    });
    let (third, outer) = block_on(EXECUTOR.run(root));
    // One turn each, then three out of the slot.
    assert!(third <= 5, "{third}");
    assert!(outer <= 70, "{outer}");
}

#[test]
fn dropping_the_handle_drops_the_future_at_the_next_turn() {
    let drops = AtomicU32::new(0);
    let executor = Executor::new();
    let guard = Dropped(&drops);
    let task = executor.spawn(async {
        let _guard = guard;
        pending::<()>().await;
    });
    assert!(executor.try_tick());
    drop(task);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    assert!(executor.try_tick());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    assert!(executor.is_empty());
}

#[test]
fn a_handle_dropped_before_the_first_turn_keeps_the_task_from_running() {
    let (drops, has_run) = (AtomicU32::new(0), AtomicBool::new(false));
    let executor = Executor::new();
    let guard = Dropped(&drops);
    let has_run_too = &has_run;
    drop(executor.spawn(async move {
        let _guard = guard;
        has_run_too.store(true, Ordering::Relaxed);
    }));
    while executor.try_tick() {}
    assert_eq!((has_run.load(Ordering::Relaxed), drops.load(Ordering::Relaxed)), (false, 1));
}

#[test]
fn cancel_waits_for_the_destructors_and_gives_a_result_that_was_there() {
    let drops = AtomicU32::new(0);
    let executor = Executor::new();
    let guard = Dropped(&drops);
    let waiting = executor.spawn(async {
        let _guard = guard;
        pending::<u32>().await
    });
    let done = executor.spawn(async { 7 });
    block_on(executor.run(async {
        while !done.is_finished() {
            yield_now().await;
        }
        assert_eq!(waiting.cancel().await, None);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert_eq!(done.cancel().await, Some(7));
    }));
}

#[test]
fn a_task_that_drops_its_own_handle_ends_at_its_next_wait() {
    let executor = Executor::new();
    let own: Arc<Mutex<Option<Task<()>>>> = Arc::default();
    let (steps, handle) = (Arc::new(AtomicU32::new(0)), own.clone());
    let counted = steps.clone();
    *own.lock().unwrap() = Some(executor.spawn(async move {
        counted.store(1, Ordering::Relaxed);
        drop(handle.lock().unwrap().take());
        yield_now().await;
        counted.store(2, Ordering::Relaxed);
    }));
    while executor.try_tick() {}
    assert_eq!(steps.load(Ordering::Relaxed), 1);
    assert_eq!(Arc::strong_count(&steps), 1, "the future was dropped");
}

#[test]
fn dropping_the_executor_drops_all_futures_and_wakes_who_joins() {
    let drops = AtomicU32::new(0);
    let executor = Executor::new();
    let count = Arc::new(Count::default());
    let mut handles: Vec<Task<()>> = Vec::new();
    for number in 0..10 {
        let guard = Dropped(&drops);
        handles.push(executor.spawn(async move {
            let _guard = guard;
            if number % 2 == 0 {
                pending::<()>().await;
            }
            yield_now().await;
            pending::<()>().await;
        }));
    }
    for _ in 0..7 {
        executor.try_tick();
    }
    let waker = Waker::from(count.clone());
    let mut joined = handles.pop().unwrap().fallible();
    assert!(pin!(&mut joined).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(executor);
    assert_eq!((drops.load(Ordering::Relaxed), count.0.load(Ordering::Relaxed)), (10, 1));
    assert_eq!(block_on(joined), None);
    for handle in handles {
        assert!(handle.is_finished());
        assert_eq!(block_on(handle.fallible()), None);
    }
}

#[test]
fn a_future_that_wakes_and_cancels_its_siblings_while_the_executor_is_dropped() {
    struct Meddler(Option<Task<()>>, Waker);
    impl Drop for Meddler {
        fn drop(&mut self) {
            self.1.wake_by_ref();
            drop(self.0.take());
        }
    }
    let executor = Executor::new();
    let mut previous = None;
    for _ in 0..5 {
        let sibling = previous.take();
        previous = Some(executor.spawn(async move {
            let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            let _meddler = Meddler(sibling, waker);
            pending::<()>().await;
        }));
    }
    while executor.try_tick() {}
    previous.unwrap().detach();
    drop(executor);
}

#[test]
#[should_panic(expected = "was cancelled, or its executor dropped")]
fn awaiting_a_task_whose_executor_was_dropped_says_so() {
    let executor = Executor::new();
    let task = executor.spawn(pending::<()>());
    drop(executor);
    block_on(task);
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
fn wakers_may_be_kept_past_the_task_and_past_the_executor() {
    let kept: Mutex<Vec<Waker>> = Mutex::default();
    let keep = async || {
        poll_fn(|context| {
            kept.lock().unwrap().push(context.waker().clone());
            Poll::Ready(())
        })
        .await;
    };
    let executor = Executor::new();
    block_on(executor.run(executor.spawn(keep())));
    let waits = async {
        keep().await;
        pending::<()>().await;
    };
    executor.spawn(waits).detach();
    while executor.try_tick() {}
    kept.lock().unwrap()[0].wake_by_ref();
    assert!(!executor.try_tick(), "a done task is not polled again");
    kept.lock().unwrap()[1].wake_by_ref();
    assert!(executor.try_tick());
    drop(executor);
    let wakers = std::mem::take(&mut *kept.lock().unwrap());
    for waker in &wakers {
        waker.wake_by_ref();
    }
    let another = Executor::new();
    another.spawn(pending::<()>()).detach();
    thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
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
fn several_executors_run_inside_one_another() {
    let (inner, outer) = (Executor::new(), Executor::new());
    let task = outer.spawn(async {
        let sum = inner.spawn(async {
            yield_now().await;
            20
        });
        let other = inner.spawn(async { 1 });
        inner.run(async { sum.await + other.await }).await
    });
    let twice = async { task.await * 2 };
    assert_eq!(block_on(inner.run(outer.run(twice))), 42);
}

#[test]
fn tasks_are_joined_from_other_executors_of_either_kind() {
    let (here, there, local) = (Executor::new(), Executor::new(), LocalExecutor::new());
    let produced = here.spawn(async {
        yield_now().await;
        5
    });
    let passed_on = there.spawn(async { produced.await + 1 });
    let consumed = local.spawn(async { passed_on.await + 1 });
    assert_eq!(block_on(here.run(there.run(local.run(consumed)))), 7);
    let produced = local.spawn(async {
        yield_now().await;
        5
    });
    let consumed = here.spawn(async { produced.await + 1 });
    assert_eq!(block_on(local.run(here.run(consumed))), 6);
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
    let executor = Executor::new();
    let mut leaked = Box::pin(executor.run(pending::<()>()));
    assert!(leaked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    executor.spawn(async {}).detach();
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

#[test]
fn a_task_tells_its_name_and_where_it_was_spawned() {
    let executor = Executor::new();
    let task = executor.spawn_named("ticker", async {});
    assert_eq!(task.name(), Some("ticker"));
    assert!(task.spawned().file().ends_with("executor.rs"));
    assert!(format!("{task:?}").contains("\"ticker\""));
    drop(task);
}
