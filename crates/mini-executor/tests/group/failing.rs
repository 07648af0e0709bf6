//! A failure ends the group: siblings, body, what is told.

use super::*;

macro_rules! properties {
    ($kind:ident, $group:ident, $try_group:ident) => {
        mod $kind {
            use super::*;

            #[test]
            fn the_first_error_cancels_the_siblings_before_it_is_returned() {
                let log = Log::default();
                let outcome = block_on($try_group(async |group| {
                    let sibling = log.guard("sibling");
                    group.spawn(async move {
                        let _sibling = sibling;
                        pending::<()>().await;
                    });
                    group.try_spawn(async {
                        yield_now().await;
                        Err::<(), _>("refused")
                    });
                    Ok("a result that is there already")
                }));
                assert_eq!(log.take(), ["sibling dropped"]);
                assert_eq!(outcome.unwrap_err().first, "refused");
            }

            #[test]
            fn a_result_that_nobody_gets_does_not_hide_why() {
                let outcome: Result<Grenade, _> = block_on($try_group(async |group| {
                    group.try_spawn(async {
                        yield_now().await;
                        Err::<(), _>("refused")
                    });
                    Ok(Grenade("a result"))
                }));
                let error = outcome.err().unwrap();
                assert_eq!((error.first, &*error.others[0].message), ("refused", "a result"));

                let told = catch_unwind(AssertUnwindSafe(|| {
                    block_on($group(async |group| {
                        group.spawn(async {
                            yield_now().await;
                            std::panic::panic_any("first");
                        });
                        Grenade("a result")
                    }))
                }));
                assert_eq!(told.err().unwrap().downcast_ref(), Some(&"first"));
            }

            #[test]
            fn after_the_first_failure_nobody_takes_another_step() {
                let log = Log::default();
                let outcome: Result<(), _> = block_on($try_group(async |group| {
                    let started = group.try_spawn(async {
                        yield_now().await;
                        Err::<(), _>(1)
                    });
                    for _ in 0..3 {
                        group.try_spawn(async {
                            yield_now().await;
                            log.note("a sibling went on");
                            Err::<(), _>(2)
                        });
                    }
                    started.await;
                    log.note("the body went on");
                    Err(3)
                }));
                let error = outcome.unwrap_err();
                assert_eq!((error.first, error.others.len()), (1, 0));
                assert!(log.take().is_empty());
            }

            #[test]
            fn a_failing_child_cancels_the_body() {
                let log = Log::default();
                let outcome = block_on($try_group(async |group| {
                    let _body = log.guard("body");
                    group.try_spawn(ready(Err::<(), _>("refused")));
                    pending::<()>().await;
                    Ok(())
                }));
                assert_eq!(log.take(), ["body dropped"]);
                assert_eq!(outcome.unwrap_err().first, "refused");
            }

            #[test]
            fn a_body_that_fails_cancels_its_children() {
                let log = Log::default();
                let waiting = async || {
                    let _child = log.guard("child");
                    pending::<()>().await;
                };
                let outcome = block_on($try_group(async |group| {
                    group.spawn(waiting());
                    yield_now().await;
                    Err::<(), _>("no use")
                }));
                assert_eq!(log.take(), ["child dropped"]);
                assert_eq!(outcome.unwrap_err().first, "no use");
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    block_on($group(async |group| {
                        group.spawn(waiting());
                        yield_now().await;
                        panic!("body");
                    }))
                }));
                assert_eq!(message(&*caught.unwrap_err()), "body");
                assert_eq!(log.take(), ["child dropped"]);
            }

            #[test]
            fn a_panic_goes_on_in_whoever_awaits_the_group_after_the_siblings_were_cancelled() {
                let log = Log::default();
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    block_on($group(async |group| {
                        let sibling = log.guard("sibling");
                        group.spawn(async move {
                            let _sibling = sibling;
                            pending::<()>().await;
                        });
                        group.spawn(async {
                            yield_now().await;
                            panic!("on purpose");
                        });
                        pending::<()>().await;
                    }))
                }));
                assert_eq!(message(&*caught.unwrap_err()), "on purpose");
                assert_eq!(log.take(), ["sibling dropped"]);
            }

            #[test]
            fn what_fails_while_the_rest_is_cancelled_is_listed() {
                let outcome: Result<(), _> = block_on($try_group(async |group| {
                    let _body = Grenade("body");
                    for name in ["first", "second"] {
                        group.spawn(async move {
                            let _grenade = Grenade(name);
                            pending::<()>().await;
                        });
                    }
                    yield_now().await;
                    group.try_spawn(ready(Err::<(), _>(std::fmt::Error)));
                    pending().await
                }));
                let error = outcome.unwrap_err();
                let mut others = Vec::new();
                for other in &error.others {
                    assert!(other.spawned.file().ends_with("failing.rs"));
                    others.push(&*other.message);
                }
                others.sort_unstable();
                assert_eq!(others, ["body", "first", "second"]);
                let told = error.to_string();
                assert!(told.contains("returned an error; then that of "), "{told}");
                assert!(told.contains("panicked: second"), "{told}");
                assert_eq!(error.source().unwrap().to_string(), std::fmt::Error.to_string());
            }

            #[test]
            fn a_child_whose_destructor_panics_has_failed() {
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    block_on($group(async |group| {
                        let grenade = Grenade("late");
                        let child = group.spawn(async move {
                            let _grenade = grenade;
                            5
                        });
                        child.await
                    }))
                }));
                assert_eq!(message(&*caught.unwrap_err()), "late");
                // And one whose result nobody wants.
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    block_on($group(async |group| drop(group.spawn(async { Grenade("result") }))))
                }));
                assert_eq!(message(&*caught.unwrap_err()), "result");
            }

            #[test]
            fn groups_are_nested_and_fail_from_inside_out() {
                let log = Log::default();
                let outcome: Result<u32, _> = block_on($try_group(async |outer| {
                    let sibling = log.guard("outer's child");
                    outer.spawn(async move {
                        let _sibling = sibling;
                        pending::<()>().await;
                    });
                    let inner = outer.try_spawn(async {
                        let inner = $try_group(async |inner| {
                            let child = log.guard("inner's child");
                            inner.spawn(async move {
                                let _child = child;
                                pending::<()>().await;
                            });
                            yield_now().await;
                            inner.try_spawn(ready(Err::<(), _>("inside")));
                            Ok(1)
                        });
                        inner.await.map_err(|error| error.first)
                    });
                    Ok::<_, &str>(inner.await)
                }));
                assert_eq!(outcome.unwrap_err().first, "inside");
                assert_eq!(log.take(), ["inner's child dropped", "outer's child dropped"]);
            }

            #[test]
            fn a_destructor_that_spawns_during_the_end_is_not_run() {
                let log = Log::default();
                let outcome: Result<(), _> = block_on($try_group(async |group| {
                    struct Meddler<F: FnMut()>(F);
                    impl<F: FnMut()> Drop for Meddler<F> {
                        fn drop(&mut self) {
                            (self.0)();
                        }
                    }
                    let (inner, log) = (group.clone(), &log);
                    group.spawn(async move {
                        let _meddler = Meddler(|| drop(inner.spawn(async move { log.note("ran") })));
                        pending::<()>().await;
                    });
                    yield_now().await;
                    yield_now().await;
                    Err("over")
                }));
                assert_eq!(outcome.unwrap_err().first, "over");
                assert!(log.take().is_empty());
            }

            #[test]
            fn of_ten_thousand_children_one_fails_and_all_are_dropped() {
                let alive = Arc::new(());
                let outcome: Result<(), _> = block_on($try_group(async |group| {
                    for number in 0..10_000 {
                        let alive = alive.clone();
                        group.try_spawn(async move {
                            let _alive = alive;
                            yield_now().await;
                            if number == 5_000 {
                                return Err(number);
                            }
                            pending::<Result<(), _>>().await
                        });
                    }
                    pending().await
                }));
                assert_eq!((outcome.unwrap_err().first, Arc::strong_count(&alive)), (5_000, 1));
            }

            #[test]
            fn a_panic_of_a_dropped_scope_s_child_is_reported() {
                // One hook for the process: both kinds set the same, and each looks for its own panic.
                set_unhandled_hook(|panic| HEARD.lock().unwrap().push(panic.to_string()));
                let name = concat!("unheard of ", stringify!($kind));
                let scope = polled(
                    $group(async |group| {
                        group.spawn(async move {
                            let _grenade = Grenade(name);
                            pending::<()>().await;
                        });
                    }),
                    2,
                );
                drop(scope);
                let heard = HEARD.lock().unwrap();
                assert!(heard.iter().any(|line| line.contains(name)), "{heard:?}");
                drop(heard);

                // One that has failed, and is dropped before it could tell whoever awaits it.
                let (first, second) = (concat!("first ", stringify!($kind)), concat!("second ", stringify!($kind)));
                let scope = polled(
                    $group(async |group| {
                        group.spawn(async move {
                            let _grenade = Grenade(second);
                            pending::<()>().await;
                        });
                        group.spawn(async move { std::panic::panic_any(first) });
                    }),
                    1,
                );
                drop(scope);
                let heard = HEARD.lock().unwrap();
                let is_heard = |name| heard.iter().any(|line: &String| line.contains(name));
                assert!(is_heard(first) && is_heard(second), "{heard:?}");
            }
        }
    };
}

properties!(local, group, try_group);
properties!(send, send_group, try_send_group);
