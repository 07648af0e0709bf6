//! What one of the two kinds alone promises.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;

#[test]
fn tasks_of_a_local_executor_need_not_be_send_and_may_borrow() {
    let order = RefCell::new(Vec::new());
    let sum = Rc::new(Cell::new(0));
    let executor = LocalExecutor::new();
    let tasks = [1, 2, 3].map(|number| {
        let (order, sum) = (&order, sum.clone());
        executor.spawn(async move {
            sum.set(sum.get() + number);
            yield_now().await;
            order.borrow_mut().push(number);
            Rc::new(number)
        })
    });
    let results = block_on(executor.run(async {
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await);
        }
        results
    }));
    assert_eq!((sum.get(), order.take(), results), (6, vec![1, 2, 3], [1, 2, 3].map(Rc::new).into()));
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
