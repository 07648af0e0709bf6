//! Scopes that are dropped, leaked or over.

use super::*;

macro_rules! properties {
    ($kind:ident, $group:ident) => {
        mod $kind {
            use super::*;

            #[test]
            fn dropping_the_scope_drops_body_and_children() {
                let log = Log::default();
                let guard = |name| log.guard(name);
                let scope = polled(
                    $group(async |group| {
                        let _body = guard("body");
                        let (child, unpolled) = (guard("child"), guard("unpolled"));
                        let inner = group.clone();
                        group.spawn(async move {
                            let _child = child;
                            yield_now().await;
                            inner.spawn(async move { drop(unpolled) });
                            pending::<()>().await;
                        });
                        pending::<()>().await;
                    }),
                    3,
                );
                assert!(log.take().iter().all(|event| event == "unpolled dropped"));
                drop(scope);
                let events = log.take();
                assert!(events.contains(&"body dropped".to_owned()) && events.contains(&"child dropped".to_owned()));
            }

            #[test]
            fn dropping_a_scope_that_was_never_polled_runs_nothing() {
                let log = Log::default();
                drop($group(async |group| {
                    log.note("ran");
                    group.spawn(ready(()));
                }));
                assert!(log.take().is_empty());
            }

            /// The scope is leaked with a child in it that borrows; then what is borrowed goes. A child that ran would be seen by
            /// valgrind or miri, and here by the count.
            #[test]
            fn a_leaked_scope_never_polls_its_children_again() {
                let steps = AtomicU32::new(0);
                let kept: Mutex<Option<Waker>> = Mutex::new(None);
                {
                    let local = vec![1_u32; 3];
                    let scope = polled(
                        $group(async |group| {
                            let (local, kept, steps) = (&local, &kept, &steps);
                            group.spawn(async move {
                                poll_fn(|context| {
                                    *kept.lock().unwrap() = Some(context.waker().clone());
                                    steps.fetch_add(local[0], Ordering::Relaxed);
                                    Poll::<()>::Pending
                                })
                                .await;
                            });
                        }),
                        2,
                    );
                    std::mem::forget(scope);
                }
                assert_eq!(steps.load(Ordering::Relaxed), 1);
                let waker = kept.into_inner().unwrap().unwrap();
                waker.wake_by_ref();
                block_on(yield_now());
                let elsewhere = waker.clone();
                std::thread::spawn(move || elsewhere.wake()).join().unwrap();
                let executor = LocalExecutor::new();
                while executor.try_tick() {}
                assert_eq!(steps.load(Ordering::Relaxed), 1);
            }

            #[test]
            fn what_is_spawned_after_the_end_is_dropped() {
                let log = Log::default();
                let (escaped, child) = block_on($group(async |group| {
                    let child = group.spawn(ready(9));
                    (group.clone(), child)
                }));
                assert_eq!(block_on(child), 9, "a result that is there outlives the group");
                let late = log.guard("late");
                let child = escaped.spawn(async move {
                    let _late = &late;
                });
                assert_eq!(log.take(), ["late dropped"]);
                let caught = catch_unwind(AssertUnwindSafe(|| block_on(child)));
                let message = caught.unwrap_err().downcast::<String>().unwrap();
                assert!(message.contains("has no result: it failed, its group ended before it"), "{message}");
            }

            #[test]
            fn a_timeout_around_a_group_cancels_it() {
                let log = Log::default();
                let scope = $group(async |group| {
                    group.spawn(async {
                        let _child = log.guard("child");
                        sleep(Duration::from_hours(1)).await;
                    });
                });
                assert!(block_on(timeout(Duration::from_millis(5), scope)).is_err());
                assert_eq!(log.take(), ["child dropped"]);
            }
        }
    };
}

properties!(local, group);
properties!(send, send_group);
