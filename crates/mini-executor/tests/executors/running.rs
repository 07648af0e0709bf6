//! Tasks that run, take turns, and are joined.

use super::*;

macro_rules! properties {
    ($kind:ident, $executor:ident, $run:ident) => {
        mod $kind {
            use super::*;

            #[test]
            fn a_task_runs_and_its_result_arrives() {
                let executor = $executor::new();
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
                let executor = $executor::new();
                executor.spawn(async { has_run.store(true, Ordering::Relaxed) }).detach();
                assert!(!has_run.load(Ordering::Relaxed));
                assert!(executor.try_tick() && has_run.load(Ordering::Relaxed));
                assert!(!executor.try_tick());
            }

            #[test]
            fn tasks_run_in_the_order_they_were_spawned_and_yield_to_one_another() {
                let order = Mutex::new(Vec::new());
                let executor = $executor::new();
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
                let turns = &AtomicU32::new(0);
                let executor = $executor::new();
                let spin = || async {
                    loop {
                        turns.fetch_add(1, Ordering::Relaxed);
                        yield_now().await;
                    }
                };
                let read = || async { turns.load(Ordering::Relaxed) };
                // Queued before anybody runs the executor, and by who runs it.
                let (spinner, sibling) = (executor.spawn(spin()), executor.spawn(read()));
                assert_eq!(block_on(executor.run(sibling)), 1);
                drop(spinner);
                while executor.try_tick() {}
                turns.store(0, Ordering::Relaxed);
                let turns_before = block_on(executor.run(async {
                    let spinner = executor.spawn(spin());
                    let turns_before = executor.spawn(read()).await;
                    drop(spinner);
                    turns_before
                }));
                assert_eq!(turns_before, 1);
            }

            #[test]
            fn a_task_woken_by_a_spinner_runs_after_one_yield_of_it() {
                let executor = $executor::new();
                let (sender, receiver) = mpsc::channel::<Waker>();
                let mut is_told = false;
                let turns = block_on(executor.run(async {
                    let sibling = executor.spawn(poll_fn(move |context| {
                        sender.send(context.waker().clone()).unwrap();
                        if std::mem::replace(&mut is_told, true) { Poll::Ready(()) } else { Poll::Pending }
                    }));
                    let spinner = executor.spawn(async move {
                        receiver.recv().unwrap().wake();
                        let mut turns = 0;
                        while !sibling.is_finished() {
                            turns += 1;
                            yield_now().await;
                        }
                        turns
                    });
                    spinner.await
                }));
                assert_eq!(turns, 1);
            }

            #[test]
            fn many_tasks_and_large_ones() {
                let executor = $executor::new();
                let sum = $run(&executor, async {
                    let many: Vec<Task<u64>> =
                        (0..10_000).map(|number| executor.spawn(async move { number })).collect();
                    let large = executor.spawn(async {
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
                assert_eq!(sum, 30_000 + 49_995_000);
            }

            #[test]
            fn several_executors_run_inside_one_another() {
                let (inner, outer) = ($executor::new(), $executor::new());
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
                let (here, there) = ($executor::new(), $executor::new());
                let produced = here.spawn(async {
                    yield_now().await;
                    5
                });
                let consumed = there.spawn(async { produced.await + 1 });
                assert_eq!(block_on(here.run(there.run(consumed))), 6);
            }

            #[test]
            #[should_panic(expected = "block_on inside block_on")]
            fn block_on_inside_a_task_names_the_mistake() {
                let executor = $executor::new();
                let task = executor.spawn(async { block_on(async {}) });
                block_on(executor.run(task));
            }

            #[test]
            fn a_task_tells_its_name_and_where_it_was_spawned() {
                let executor = $executor::new();
                let task = executor.spawn_named("ticker", async {});
                assert_eq!(task.name(), Some("ticker"));
                assert!(task.spawned().file().ends_with("running.rs"));
                assert!(format!("{task:?}").contains("\"ticker\""));
                drop(task);
            }
        }
    };
}

properties!(local, LocalExecutor, on_one_thread);
properties!(shared, Executor, on_three_threads);
