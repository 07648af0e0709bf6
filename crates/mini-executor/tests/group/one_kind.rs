//! What one of the two kinds alone promises, and bugs there were.

use super::*;

#[test]
fn children_of_a_local_group_need_not_be_send() {
    let shared = Rc::new(Cell::new(0));
    let order = RefCell::new(Vec::new());
    block_on(group(async |group| {
        for number in 0..3 {
            let (shared, order) = (shared.clone(), &order);
            group.spawn(async move {
                shared.set(shared.get() + number);
                yield_now().await;
                order.borrow_mut().push(number);
            });
        }
    }));
    assert_eq!((shared.get(), order.into_inner()), (3, vec![0, 1, 2]));
}

#[test]
fn a_group_cancels_the_tasks_that_its_children_join() {
    let executor = LocalExecutor::new();
    let is_dropped = Arc::new(());
    let held = is_dropped.clone();
    let task: Task<()> = executor.spawn(async move {
        let _ = &held;
        pending::<()>().await;
    });
    let scope = try_group(async |group| {
        group.spawn(task);
        yield_now().await;
        Err::<(), _>("over")
    });
    let outcome = block_on(executor.run(scope));
    assert_eq!(outcome.unwrap_err().first, "over");
    while executor.try_tick() {}
    assert_eq!(Arc::strong_count(&is_dropped), 1);
}

#[test]
fn a_send_group_moves_from_thread_to_thread_between_its_polls() {
    let steps = AtomicU32::new(0);
    let mut scope = Box::pin(send_group(async |group| {
        let mut children = Vec::new();
        for _ in 0..4 {
            children.push(group.spawn(async {
                for _ in 0..50 {
                    steps.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            }));
        }
        for child in children {
            child.await;
        }
    }));
    let mut is_done = false;
    while !is_done {
        (scope, is_done) = std::thread::scope(|threads| {
            let poll = move || {
                let is_done = scope.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
                (scope, is_done)
            };
            threads.spawn(poll).join().unwrap()
        });
    }
    assert_eq!(steps.load(Ordering::Relaxed), 200);
}

#[test]
fn send_groups_run_in_tasks_of_a_runtime_and_join_its_tasks_for_parallel_work() {
    let runtime = Runtime::new(2).unwrap();
    let handle = runtime.handle();
    let mut tasks = Vec::new();
    for number in 0..50_u32 {
        let handle = handle.clone();
        tasks.push(runtime.spawn(async move {
            let numbers: Vec<u32> = (0..100).map(|index| index + number).collect();
            send_group(async |group| {
                let mut parts = Vec::new();
                for part in numbers.chunks(10) {
                    parts.push(group.spawn(async move {
                        yield_now().await;
                        part.iter().sum::<u32>()
                    }));
                }
                let elsewhere = handle.spawn(async { 1 });
                let elsewhere = group.spawn(elsewhere);
                let mut sum = 0;
                for part in parts {
                    sum += part.await;
                }
                sum + elsewhere.await
            })
            .await
        }));
    }
    let sum = runtime.block_on(async {
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        sum
    });
    assert_eq!(sum, 50 * 4_950 + 100 * 1_225 + 50);
}

#[test]
fn others_spawn_into_a_send_group_while_it_runs() {
    for _ in 0..200 {
        let spawned = AtomicU32::new(0);
        block_on(send_group(async |group| {
            let (inner, counted) = (group.clone(), &spawned);
            // Whoever is given the group may be on any thread.
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    let inner = inner.clone();
                    threads.spawn(move || {
                        for _ in 0..5 {
                            inner.spawn(async move {
                                yield_now().await;
                                counted.fetch_add(1, Ordering::Relaxed);
                            });
                        }
                    });
                }
            });
        }));
        assert_eq!(spawned.into_inner(), 10);
    }
}

#[test]
fn wakes_from_other_threads_reach_a_send_group_while_it_runs_and_after() {
    for round in 0..200 {
        let (sender, receiver) = std::sync::mpsc::channel::<(Waker, Arc<AtomicU32>)>();
        let waking = std::thread::spawn(move || {
            for (waker, flag) in receiver {
                flag.store(1, Ordering::Release);
                waker.wake_by_ref();
                waker.wake();
            }
        });
        block_on(send_group(async |group| {
            for _ in 0..round % 8 {
                let (sender, flag) = (sender.clone(), Arc::new(AtomicU32::new(0)));
                group.spawn(async move {
                    let mut is_sent = false;
                    poll_fn(|context| {
                        if !std::mem::replace(&mut is_sent, true) {
                            sender.send((context.waker().clone(), flag.clone())).unwrap();
                        }
                        if flag.load(Ordering::Acquire) == 1 { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                });
            }
        }));
        drop(sender);
        waking.join().unwrap();
    }
}

#[test]
fn an_error_of_a_group_may_be_sent_and_shared() {
    fn assert_both<T: Send + Sync>(_: &T) {}
    let outcome: Result<(), _> = block_on(try_group(async |_| Err(std::fmt::Error)));
    let error = outcome.unwrap_err();
    assert_both(&error);
    assert!(error.spawned.file().ends_with("one_kind.rs"));
    let _boxed: Box<dyn Error + Send + Sync> = Box::new(error);
}

#[test]
fn two_groups_run_side_by_side_in_one_task() {
    let order = RefCell::new(Vec::new());
    let scope = |name: &'static str| {
        let order = &order;
        group(async move |group| {
            group.spawn(async move {
                order.borrow_mut().push(name);
                yield_now().await;
                order.borrow_mut().push(name);
            });
        })
    };
    let (mut first, mut second) = (pin!(scope("first")), pin!(scope("second")));
    let mut done = [false; 2];
    block_on(poll_fn(|context| {
        done[0] = done[0] || first.as_mut().poll(context).is_ready();
        done[1] = done[1] || second.as_mut().poll(context).is_ready();
        if done == [true; 2] { Poll::Ready(()) } else { Poll::Pending }
    }));
    order.borrow_mut().sort_unstable();
    assert_eq!(*order.borrow(), ["first", "first", "second", "second"]);
}

/// `will_wake` may always say no: between two copies of `Waker::noop()`, for one. Once that was an endless loop.
#[test]
fn a_waker_that_does_not_know_its_own_clones_waits_all_the_same() {
    unsafe fn clone(data: *const ()) -> RawWaker {
        RawWaker::new(data.wrapping_byte_add(1), &STRANGER)
    }
    unsafe fn ignore(_: *const ()) {}
    static STRANGER: RawWakerVTable = RawWakerVTable::new(clone, ignore, ignore, ignore);
    // SAFETY: the functions use nothing of what they are given.
    let waker = unsafe { Waker::new(std::ptr::null(), &STRANGER) };
    for is_send in [true, false] {
        let mut scope: std::pin::Pin<Box<dyn Future<Output = i32>>> = if is_send {
            Box::pin(send_group(async |group| group.spawn(async { 7 }).await))
        } else {
            Box::pin(group(async |group| group.spawn(async { 7 }).await))
        };
        let mut context = Context::from_waker(&waker);
        assert!(scope.as_mut().poll(&mut context).is_pending());
        assert_eq!(scope.as_mut().poll(&mut context), Poll::Ready(7));
    }
}
