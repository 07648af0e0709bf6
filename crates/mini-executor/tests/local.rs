//! What a local executor promises.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use mini_executor::{LocalExecutor, Task, block_on, yield_now};

/// Counts how often it is dropped.
struct Dropped<'a>(&'a Cell<u32>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_task_runs_and_its_result_arrives() {
    let executor = LocalExecutor::new();
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
    let has_run = Cell::new(false);
    let executor = LocalExecutor::new();
    executor.spawn(async { has_run.set(true) }).detach();
    assert!(!has_run.get());
    assert!(executor.try_tick() && has_run.get());
    assert!(!executor.try_tick());
}

#[test]
fn tasks_run_in_the_order_they_were_spawned_and_yield_to_one_another() {
    let order = RefCell::new(Vec::new());
    let executor = LocalExecutor::new();
    let mut tasks = Vec::new();
    let unit = |number| {
        let order = &order;
        async move {
            for turn in 0..3 {
                order.borrow_mut().push((turn, number));
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
    let mut sorted = order.borrow().clone();
    sorted.sort_unstable();
    assert_eq!(*order.borrow(), sorted);
}

#[test]
fn a_ready_sibling_runs_after_one_yield_of_a_spinner() {
    let turns = Cell::new(0);
    let sibling_after = Cell::new(None);
    let executor = LocalExecutor::new();
    let spinner = executor.spawn(async {
        loop {
            turns.set(turns.get() + 1);
            yield_now().await;
        }
    });
    executor.spawn(async { sibling_after.set(Some(turns.get())) }).detach();
    block_on(executor.run(async {
        while sibling_after.get().is_none() {
            yield_now().await;
        }
    }));
    drop(spinner);
    assert_eq!(sibling_after.get(), Some(1));
}

#[test]
fn dropping_the_handle_drops_the_future_at_the_next_turn() {
    let drops = Cell::new(0);
    let executor = LocalExecutor::new();
    let guard = Dropped(&drops);
    let task = executor.spawn(async {
        let _guard = guard;
        pending::<()>().await;
    });
    assert!(executor.try_tick());
    drop(task);
    assert_eq!(drops.get(), 0);
    assert!(executor.try_tick());
    assert_eq!(drops.get(), 1);
    assert!(executor.is_empty());
}

#[test]
fn a_handle_dropped_before_the_first_turn_keeps_the_task_from_running() {
    let drops = Cell::new(0);
    let has_run = Cell::new(false);
    let executor = LocalExecutor::new();
    let guard = Dropped(&drops);
    let has_run_too = &has_run;
    drop(executor.spawn(async move {
        let _guard = guard;
        has_run_too.set(true);
    }));
    while executor.try_tick() {}
    assert_eq!((has_run.get(), drops.get()), (false, 1));
}

#[test]
fn cancel_waits_for_the_destructors_and_gives_a_result_that_was_there() {
    let drops = Cell::new(0);
    let executor = LocalExecutor::new();
    let guard = Dropped(&drops);
    let waiting = executor.spawn(async {
        let _guard = guard;
        pending::<u32>().await
    });
    let done = executor.spawn(async { 7 });
    block_on(executor.run(async {
        yield_now().await;
        while !done.is_finished() {
            yield_now().await;
        }
        assert_eq!(waiting.cancel().await, None);
        assert_eq!(drops.get(), 1);
        assert_eq!(done.cancel().await, Some(7));
    }));
}

#[test]
fn a_task_that_drops_its_own_handle_ends_at_its_next_wait() {
    let executor = LocalExecutor::new();
    let own: Rc<RefCell<Option<Task<()>>>> = Rc::default();
    let (steps, handle) = (Rc::new(Cell::new(0)), own.clone());
    let counted = steps.clone();
    *own.borrow_mut() = Some(executor.spawn(async move {
        counted.set(1);
        drop(handle.borrow_mut().take());
        yield_now().await;
        counted.set(2);
    }));
    while executor.try_tick() {}
    assert_eq!(steps.get(), 1);
    assert_eq!(Rc::strong_count(&steps), 1, "the future was dropped");
}

#[test]
fn dropping_the_executor_drops_all_futures_and_wakes_who_joins() {
    let drops = Cell::new(0);
    let executor = LocalExecutor::new();
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
    drop(executor);
    assert_eq!(drops.get(), 10);
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
    let executor = LocalExecutor::new();
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
    let executor = LocalExecutor::new();
    let task = executor.spawn(pending::<()>());
    drop(executor);
    block_on(task);
}

#[test]
fn a_panic_arrives_at_the_join_and_the_executor_lives() {
    let executor = LocalExecutor::new();
    let failing: Task<()> = executor.spawn(async { panic!("on purpose") });
    let caught = catch_unwind(AssertUnwindSafe(|| block_on(executor.run(failing))));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert_eq!(block_on(executor.run(executor.spawn(async { 1 }))), 1);
}

#[test]
fn wakers_may_be_kept_past_the_task_and_past_the_executor() {
    let kept: RefCell<Vec<Waker>> = RefCell::default();
    let keep = async || {
        poll_fn(|context| {
            kept.borrow_mut().push(context.waker().clone());
            Poll::Ready(())
        })
        .await;
    };
    let executor = LocalExecutor::new();
    block_on(executor.run(executor.spawn(keep())));
    let waits = async {
        keep().await;
        pending::<()>().await;
    };
    executor.spawn(waits).detach();
    while executor.try_tick() {}
    kept.borrow()[0].wake_by_ref();
    assert!(!executor.try_tick(), "a done task is not polled again");
    kept.borrow()[1].wake_by_ref();
    assert!(executor.try_tick());
    drop(executor);
    let wakers = kept.take();
    for waker in &wakers {
        waker.wake_by_ref();
    }
    let another = LocalExecutor::new();
    another.spawn(pending::<()>()).detach();
    std::thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
}

#[test]
fn tasks_are_woken_from_other_threads() {
    let executor = LocalExecutor::new();
    let wakes = Arc::new(AtomicU32::new(0));
    let (sender, receiver) = mpsc::channel::<Waker>();
    let counted = wakes.clone();
    let waking = std::thread::spawn(move || {
        for waker in receiver {
            counted.fetch_add(1, Ordering::Relaxed);
            waker.wake();
        }
    });
    let seen = wakes.clone();
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
    block_on(executor.run(task));
    waking.join().unwrap();
    assert_eq!(wakes.load(Ordering::Relaxed), 1_000);
}

#[test]
fn handles_may_be_joined_cancelled_and_dropped_on_other_threads() {
    for round in 0..300 {
        let executor = LocalExecutor::new();
        let spawn = |number: u32| {
            executor.spawn(async move {
                for _ in 0..(round + number) % 7 {
                    yield_now().await;
                }
                vec![number]
            })
        };
        let (joined, cancelled, dropped, detached) = (spawn(0), spawn(1), spawn(2), spawn(3));
        let others = std::thread::spawn(move || {
            drop(dropped);
            detached.detach();
            let cancelled = block_on(cancelled.cancel());
            assert!(cancelled.is_none_or(|result| result == [1]));
            block_on(joined)
        });
        block_on(executor.run(async {
            while !others.is_finished() {
                yield_now().await;
            }
        }));
        assert_eq!(others.join().unwrap(), [0]);
        while executor.try_tick() {}
        assert!(executor.is_empty());
    }
}

#[test]
fn an_executor_is_dropped_while_other_threads_wake_and_drop() {
    for _ in 0..300 {
        let executor = LocalExecutor::new();
        let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
        let mut handles = Vec::new();
        for _ in 0..4 {
            let wakers = wakers.clone();
            handles.push(executor.spawn(async move {
                poll_fn(|context| {
                    wakers.borrow_mut().push(context.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            }));
        }
        while executor.try_tick() {}
        let taken = wakers.take();
        let others = std::thread::spawn(move || {
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
    }
}

#[test]
fn several_executors_run_inside_one_another() {
    let inner = LocalExecutor::new();
    let outer = LocalExecutor::new();
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
fn a_task_is_joined_from_another_executor() {
    let (here, there) = (LocalExecutor::new(), LocalExecutor::new());
    let produced = here.spawn(async {
        yield_now().await;
        5
    });
    let consumed = there.spawn(async { produced.await + 1 });
    assert_eq!(block_on(here.run(there.run(consumed))), 6);
}

#[test]
fn an_executor_at_rest_is_woken_by_a_spawn_and_by_a_wake() {
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(count.clone());
    let mut context = Context::from_waker(&waker);
    let executor = LocalExecutor::new();
    let mut running = pin!(executor.run(pending::<()>()));
    assert!(running.as_mut().poll(&mut context).is_pending());
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    executor.spawn(async {}).detach();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(running.as_mut().poll(&mut context).is_pending());
    assert!(executor.is_empty());
}

#[test]
fn many_tasks_and_large_ones() {
    let executor = LocalExecutor::new();
    let many: Vec<Task<u64>> = (0..10_000).map(|number| executor.spawn(async move { number })).collect();
    let large = executor.spawn(async {
        let block = [3_u8; 10_000];
        yield_now().await;
        block.iter().map(|&byte| u64::from(byte)).sum::<u64>()
    });
    let sum = block_on(executor.run(async {
        let mut sum = large.await;
        for task in many {
            sum += task.await;
        }
        sum
    }));
    assert_eq!(sum, 30_000 + 49_995_000);
}

#[test]
#[should_panic(expected = "block_on inside block_on")]
fn block_on_inside_a_task_names_the_mistake() {
    let executor = LocalExecutor::new();
    let task = executor.spawn(async { block_on(async {}) });
    block_on(executor.run(task));
}

#[test]
fn a_task_tells_its_name_and_where_it_was_spawned() {
    let executor = LocalExecutor::new();
    let task = executor.spawn_named("ticker", async {});
    assert_eq!(task.name(), Some("ticker"));
    assert!(task.spawned().file().ends_with("local.rs"));
    assert!(format!("{task:?}").contains("\"ticker\""));
    drop(task);
    block_on(async { std::thread::sleep(Duration::ZERO) });
}

/// The runner that was polled last is the one that is woken; when it ends, another has to take over.
#[test]
fn when_one_of_two_runs_ends_the_other_runs_the_tasks() {
    let executor = LocalExecutor::new();
    let (sender, receiver) = mpsc::channel::<Waker>();
    let waking = std::thread::spawn(move || {
        let waker = receiver.recv().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        waker.wake();
    });
    let mut turns = 0;
    let late = executor.spawn(poll_fn(move |context| {
        turns += 1;
        if turns == 1 {
            sender.send(context.waker().clone()).unwrap();
            return Poll::Pending;
        }
        Poll::Ready(turns)
    }));
    let short = executor.spawn(async {});
    let (mut first, mut second) = (pin!(executor.run(late)), pin!(executor.run(short)));
    let mut is_second_done = false;
    let turns = block_on(poll_fn(|context| {
        let done = first.as_mut().poll(context);
        if !is_second_done {
            is_second_done = second.as_mut().poll(context).is_ready();
        }
        done
    }));
    assert_eq!(turns, 2);
    waking.join().unwrap();
}
