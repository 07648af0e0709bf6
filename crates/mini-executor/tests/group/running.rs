//! Children that run, borrow, and are joined.

use super::*;

macro_rules! properties {
    ($kind:ident, $group:ident) => {
        mod $kind {
            use super::*;

            #[test]
            fn children_run_in_the_order_they_were_spawned_and_take_turns() {
                let log = Log::default();
                block_on($group(async |group| {
                    for name in ["a", "b", "c"] {
                        let log = &log;
                        group.spawn(async move {
                            log.note(format!("{name}1"));
                            yield_now().await;
                            log.note(format!("{name}2"));
                        });
                    }
                    log.note("body");
                }));
                assert_eq!(log.take(), ["body", "a1", "b1", "c1", "a2", "b2", "c2"]);
            }

            #[test]
            fn the_scope_ends_after_its_children_and_gives_the_body_s_result() {
                let log = Log::default();
                let result = block_on($group(async |group| {
                    let child = log.guard("child");
                    group.spawn(async move {
                        let _child = child;
                        for _ in 0..5 {
                            yield_now().await;
                        }
                    });
                    7
                }));
                log.note("after");
                assert_eq!((result, log.take()), (7, vec!["child dropped".to_owned(), "after".to_owned()]));
            }

            #[test]
            fn children_borrow_what_was_declared_before_the_group() {
                let sum = block_on(async {
                    let numbers: Vec<u64> = (0..100).collect();
                    let total = Mutex::new(0);
                    $group(async |group| {
                        for part in numbers.chunks(7) {
                            let total = &total;
                            group.spawn(async move {
                                yield_now().await;
                                *total.lock().unwrap() += part.iter().sum::<u64>();
                            });
                        }
                    })
                    .await;
                    drop(numbers);
                    total.into_inner().unwrap()
                });
                assert_eq!(sum, 4_950);
            }

            #[test]
            fn a_handle_that_is_dropped_lets_its_child_go_on() {
                let log = Log::default();
                block_on($group(async |group| {
                    drop(group.spawn(async {
                        yield_now().await;
                        log.note("went on");
                    }));
                }));
                assert_eq!(log.take(), ["went on"]);
            }

            #[test]
            fn children_are_joined_by_the_body_and_by_siblings() {
                let sum = block_on($group(async |group| {
                    let first = group.spawn(async {
                        yield_now().await;
                        20
                    });
                    let second = group.spawn(async move { first.await + 1 });
                    let early = group.spawn(ready(21));
                    for _ in 0..3 {
                        yield_now().await;
                    }
                    second.await + early.await
                }));
                assert_eq!(sum, 42);
            }

            #[test]
            fn children_spawn_further_children_and_the_group_waits_for_all() {
                let log = Log::default();
                block_on($group(async |group| {
                    let (inner, log) = (group.clone(), &log);
                    group.spawn(async move {
                        let deepest = inner.clone();
                        inner.spawn(async move {
                            yield_now().await;
                            deepest.spawn(async move {
                                yield_now().await;
                                log.note("grandchild");
                            });
                        });
                    });
                }));
                assert_eq!(log.take(), ["grandchild"]);
            }

            #[test]
            fn children_are_woken_by_timers_and_by_other_threads() {
                let sum = block_on($group(async |group| {
                    let slept = group.spawn(async {
                        sleep(Duration::from_millis(2)).await;
                        1
                    });
                    let called = group.spawn(spawn_blocking(|| {
                        std::thread::sleep(Duration::from_millis(3));
                        2
                    }));
                    slept.await + called.await
                }));
                assert_eq!(sum, 3);
            }

            #[test]
            fn timers_are_served_while_children_yield_and_compute() {
                let is_over = AtomicBool::new(false);
                block_on($group(async |group| {
                    for _ in 0..100 {
                        group.spawn(async {
                            while !is_over.load(Ordering::Relaxed) {
                                let begin = Instant::now();
                                while begin.elapsed() < Duration::from_micros(20) {}
                                yield_now().await;
                            }
                        });
                    }
                    let due = Instant::now() + Duration::from_millis(5);
                    sleep_until(due).await;
                    is_over.store(true, Ordering::Relaxed);
                }));
                // That it comes to this is the proof: they would spin for ever.
            }

            #[test]
            fn ten_thousand_children() {
                let count = AtomicU32::new(0);
                let sum: u64 = block_on($group(async |group| {
                    let mut children = Vec::new();
                    for number in 0..10_000_u64 {
                        let count = &count;
                        children.push(group.spawn(async move {
                            yield_now().await;
                            count.fetch_add(1, Ordering::Relaxed);
                            number
                        }));
                    }
                    let mut sum = 0;
                    for child in children {
                        sum += child.await;
                    }
                    sum
                }));
                assert_eq!((sum, count.into_inner()), (49_995_000, 10_000));
            }

            #[test]
            fn a_group_inside_a_task_shares_the_executor_with_other_tasks() {
                let log = Log::default();
                let executor = LocalExecutor::new();
                let task = executor.spawn($group(async |group| {
                    let log = &log;
                    for _ in 0..200 {
                        group.spawn(async move {
                            yield_now().await;
                            log.note("child");
                        });
                    }
                }));
                let other = executor.spawn(async {
                    yield_now().await;
                    log.note("other");
                });
                block_on(executor.run(async {
                    task.await;
                    other.await;
                }));
                let events = log.take();
                assert_eq!(events.len(), 201);
                let at = events.iter().position(|event| event == "other").unwrap();
                assert!(at < 200, "the other task had its turn before all children had theirs");
            }
        }
    };
}

properties!(local, group);
properties!(send, send_group);
