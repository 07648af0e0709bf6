//! What the executor for several threads promises.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

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
fn a_task_tells_its_name_and_where_it_was_spawned() {
    let executor = Executor::new();
    let task = executor.spawn_named("ticker", async {});
    assert_eq!(task.name(), Some("ticker"));
    assert!(task.spawned().file().ends_with("executor.rs"));
    assert!(format!("{task:?}").contains("\"ticker\""));
    drop(task);
}
