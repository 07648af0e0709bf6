//! Tasks that are cancelled or panic, handles that are dropped, executors that end before their tasks.

use super::*;

macro_rules! properties {
    ($kind:ident, $executor:ident, $run:ident) => {
        mod $kind {
            use super::*;

            #[test]
            fn dropping_the_handle_drops_the_future_at_the_next_turn() {
                let drops = AtomicU32::new(0);
                let executor = $executor::new();
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
                let executor = $executor::new();
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
                let executor = $executor::new();
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
                let executor = $executor::new();
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
                let executor = $executor::new();
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
                let executor = $executor::new();
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
                let executor = $executor::new();
                let task = executor.spawn(pending::<()>());
                drop(executor);
                block_on(task);
            }

            #[test]
            fn a_panic_arrives_at_the_join_and_the_executor_lives() {
                let executor = $executor::new();
                let failing: Task<()> = executor.spawn(async { panic!("on purpose") });
                let caught = catch_unwind(AssertUnwindSafe(|| block_on(executor.run(failing))));
                assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on purpose"));
                assert_eq!(block_on(executor.run(executor.spawn(async { 1 }))), 1);
            }

            #[test]
            fn handles_may_be_joined_cancelled_and_dropped_on_other_threads() {
                for round in 0..300 {
                    let executor = $executor::new();
                    let spawn = |number: u32| {
                        executor.spawn(async move {
                            for _ in 0..(round + number) % 7 {
                                yield_now().await;
                            }
                            vec![number]
                        })
                    };
                    let (joined, cancelled, dropped, detached) = (spawn(0), spawn(1), spawn(2), spawn(3));
                    let others = thread::spawn(move || {
                        drop(dropped);
                        detached.detach();
                        let cancelled = block_on(cancelled.cancel());
                        assert!(cancelled.is_none_or(|result| result == [1]));
                        block_on(joined)
                    });
                    $run(&executor, async {
                        while !others.is_finished() {
                            yield_now().await;
                        }
                    });
                    assert_eq!(others.join().unwrap(), [0]);
                    while executor.try_tick() {}
                    assert!(executor.is_empty());
                }
            }

            #[test]
            fn an_executor_is_dropped_while_other_threads_wake_join_and_drop() {
                for _ in 0..300 {
                    let executor = $executor::new();
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
        }
    };
}

properties!(local, LocalExecutor, on_one_thread);
properties!(shared, Executor, on_three_threads);
