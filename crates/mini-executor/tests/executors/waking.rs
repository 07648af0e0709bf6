//! Wakes: from other threads, too late, and of executors that have nothing to do.

use super::*;

macro_rules! properties {
    ($kind:ident, $executor:ident, $run:ident) => {
        mod $kind {
            use super::*;

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
                let executor = $executor::new();
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
                let another = $executor::new();
                another.spawn(pending::<()>()).detach();
                thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
            }

            #[test]
            fn tasks_are_woken_from_other_threads() {
                let wakes = AtomicU32::new(0);
                let executor = $executor::new();
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
                    $run(&executor, task);
                });
                assert_eq!(wakes.load(Ordering::Relaxed), 1_000);
            }

            #[test]
            fn an_executor_at_rest_is_woken_by_a_spawn_and_by_a_wake() {
                let count = Arc::new(Count::default());
                let waker = Waker::from(count.clone());
                let mut context = Context::from_waker(&waker);
                let executor = $executor::new();
                let mut running = pin!(executor.run(pending::<()>()));
                assert!(running.as_mut().poll(&mut context).is_pending());
                assert_eq!(count.get(), 0);
                let (sender, receiver) = mpsc::channel::<Waker>();
                let mut is_told = false;
                let waits = executor.spawn(poll_fn(move |context| {
                    sender.send(context.waker().clone()).unwrap();
                    if std::mem::replace(&mut is_told, true) { Poll::Ready(()) } else { Poll::Pending }
                }));
                assert_eq!(count.get(), 1);
                assert!(running.as_mut().poll(&mut context).is_pending());
                assert_eq!(count.get(), 1);
                receiver.recv().unwrap().wake();
                assert_eq!(count.get(), 2);
                assert!(running.as_mut().poll(&mut context).is_pending());
                assert!(waits.is_finished() && executor.is_empty());
            }

            /// The one that was polled last is the one that is woken; when it ends, another has to take over.
            #[test]
            fn when_one_of_two_runs_ends_the_other_runs_the_tasks() {
                let executor = $executor::new();
                let (sender, receiver) = mpsc::channel::<Waker>();
                let waking = thread::spawn(move || {
                    let waker = receiver.recv().unwrap();
                    thread::sleep(Duration::from_millis(20));
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
        }
    };
}

properties!(local, LocalExecutor, on_one_thread);
properties!(shared, Executor, on_three_threads);
