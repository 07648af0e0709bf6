//! The same behaviour on every executor: nothing here knows which one it is, and the crate doesn't either.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use ctxvar::{Context, ContextExt, ContextVar, Inherit};
use futures::FutureExt;
use futures::future::join_all;
use futures::task::SpawnExt;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

trait Executor: Send + Sync {
    fn run(&self, work: Work);
    fn spawn(&self, work: Work) -> Work;
}

struct Tokio(tokio::runtime::Runtime);

impl Executor for Tokio {
    fn run(&self, work: Work) {
        self.0.block_on(work);
    }

    fn spawn(&self, work: Work) -> Work {
        let task = self.0.spawn(work);
        Box::pin(async { task.await.expect("no panic") })
    }
}

struct Smol;

impl Executor for Smol {
    fn run(&self, work: Work) {
        smol::block_on(work);
    }

    fn spawn(&self, work: Work) -> Work {
        Box::pin(smol::spawn(work))
    }
}

struct LocalPool;

thread_local! {
    static SPAWNER: RefCell<Option<futures::executor::LocalSpawner>> = const { RefCell::new(None) };
}

impl Executor for LocalPool {
    fn run(&self, work: Work) {
        let mut pool = futures::executor::LocalPool::new();
        SPAWNER.set(Some(pool.spawner()));
        pool.run_until(work);
    }

    fn spawn(&self, work: Work) -> Work {
        Box::pin(SPAWNER.with_borrow(|spawner| spawner.as_ref().unwrap().spawn_with_handle(work)).unwrap())
    }
}

/// tokio on one thread and on two workers, smol, `LocalPool`.
fn executors() -> [Arc<dyn Executor>; 4] {
    let single = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    [Arc::new(Tokio(single)), Arc::new(Tokio(multi)), Arc::new(Smol), Arc::new(LocalPool)]
}

fn on_each(test: impl Fn(Arc<dyn Executor>) -> Work) {
    for executor in executors() {
        Context::new().run(|| executor.run(Box::pin(test(Arc::clone(&executor)).in_context())));
    }
}

/// Lets others run.
async fn yield_now() {
    let mut is_late = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_late, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

static NUMBER: ContextVar<usize> = ContextVar::with_default("number", 0);
static TEXT: ContextVar<String> = ContextVar::new("text");
static NEVER: ContextVar<u8> = ContextVar::new("never").inherit(Inherit::Never);
static FORKED: ContextVar<Vec<&str>> =
    ContextVar::new("forked").inherit(Inherit::Fork(|outer| outer[outer.len() - 1..].to_vec()));

#[test]
fn tasks_in_turns_see_each_its_own_value() {
    on_each(|executor| {
        Box::pin(async move {
            let wrong = Arc::new(AtomicUsize::new(0));
            let tasks = (1..=50_usize).map(|number| {
                let wrong = Arc::clone(&wrong);
                let task = async move {
                    NUMBER.set(number);
                    TEXT.set(number.to_string());
                    for _ in 0..50 {
                        yield_now().await;
                        if NUMBER.get() != number || TEXT.get() != number.to_string() {
                            wrong.fetch_add(1, SeqCst);
                        }
                    }
                };
                executor.spawn(Box::pin(task.in_context()))
            });
            join_all(tasks).await;
            assert_eq!(wrong.load(SeqCst), 0);
        })
    });
}

#[test]
fn a_child_sees_what_its_parent_set_before_and_not_the_other_way_round() {
    on_each(|executor| {
        Box::pin(async move {
            NUMBER.set(1);
            let child = async {
                yield_now().await;
                assert_eq!(NUMBER.get(), 1);
                NUMBER.set(2);
                yield_now().await;
                assert_eq!(NUMBER.get(), 2);
            };
            let child = executor.spawn(Box::pin(child.in_context()));
            NUMBER.set(3);
            child.await;
            assert_eq!(NUMBER.get(), 3);
        })
    });
}

#[test]
fn each_variable_is_inherited_as_it_says() {
    on_each(|executor| {
        Box::pin(async move {
            NEVER.set(1);
            FORKED.set(vec!["serve", "query"]);
            TEXT.set("always".to_owned());
            let child = async {
                assert_eq!(NEVER.try_get(), None);
                assert_eq!(FORKED.get(), ["query"]);
                assert_eq!(TEXT.get(), "always");
            };
            executor.spawn(Box::pin(child.in_context())).await;
            // An exact copy is something else.
            async { assert_eq!((NEVER.try_get(), FORKED.get().len()), (Some(1), 2)) }
                .in_context_of(Context::current())
                .await;
        })
    });
}

#[test]
fn a_token_lasts_over_an_await() {
    on_each(|executor| {
        let task = async {
            let outer = NUMBER.set(1);
            yield_now().await;
            let inner = NUMBER.set(2);
            yield_now().await;
            assert_eq!(NUMBER.get(), 2);
            inner.reset().unwrap();
            yield_now().await;
            assert_eq!(NUMBER.get(), 1);
            outer.reset().unwrap();
            assert_eq!(NUMBER.get(), 0);
        };
        Box::pin(async move { executor.spawn(Box::pin(task.in_context())).await })
    });
}

#[test]
fn a_token_is_not_good_in_another_task() {
    on_each(|executor| {
        Box::pin(async move {
            let token = NUMBER.set(1);
            let child = async move {
                let error = token.reset().unwrap_err();
                assert!(error.to_string().contains("`number`"), "{error}");
                assert_eq!(NUMBER.get(), 1);
            };
            executor.spawn(Box::pin(child.in_context())).await;
        })
    });
}

#[test]
fn destructors_of_a_future_run_in_its_context() {
    struct Says(Arc<Mutex<Vec<usize>>>);

    impl Drop for Says {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(NUMBER.get());
        }
    }

    on_each(|executor| {
        Box::pin(async move {
            let said = Arc::new(Mutex::new(Vec::new()));
            // One that ends, one that is dropped while it waits, one that was never polled.
            let ends = Says(Arc::clone(&said));
            executor.spawn(Box::pin(async move { drop(ends) }.with_var(&NUMBER, 1))).await;
            let waits = Says(Arc::clone(&said));
            let mut waiting = Box::pin(
                async move {
                    std::future::pending::<()>().await;
                    drop(waits);
                }
                .with_var(&NUMBER, 2),
            );
            assert!((&mut waiting).now_or_never().is_none());
            drop(waiting);
            let idle = Says(Arc::clone(&said));
            drop(async move { drop(idle) }.with_var(&NUMBER, 3));
            assert_eq!(*said.lock().unwrap(), [1, 2, 3]);
            assert_eq!(NUMBER.get(), 0);
        })
    });
}

#[test]
fn a_panic_in_a_poll_leaves_the_thread_as_it_was() {
    on_each(|executor| {
        Box::pin(async move {
            NUMBER.set(1);
            let child = async {
                NUMBER.set(2);
                yield_now().await;
                std::panic::resume_unwind(Box::new("thrown"));
            };
            let child = AssertUnwindSafe(child.in_context()).catch_unwind().map(|result| assert!(result.is_err()));
            executor.spawn(Box::pin(child)).await;
            assert_eq!(NUMBER.get(), 1);
        })
    });
}

#[test]
fn branches_of_a_join_share_a_context_unless_each_has_its_own() {
    on_each(|_| {
        Box::pin(async {
            async fn branch(number: usize) -> usize {
                NUMBER.set(number);
                yield_now().await;
                NUMBER.get()
            }

            assert_eq!(futures::join!(branch(1), branch(2)), (2, 2));
            assert_eq!(futures::join!(branch(1).in_context(), branch(2).in_context()), (1, 2));
        })
    });
}

#[test]
fn variables_of_two_futures_around_one_another_add_up() {
    on_each(|_| {
        Box::pin(async {
            static INNER: ContextVar<u8> = ContextVar::new("inner");

            async { assert_eq!((NUMBER.get(), INNER.get()), (7, 8)) }.with_var(&NUMBER, 7).with_var(&INNER, 8).await;
        })
    });
}

#[cfg(feature = "stream")]
#[test]
fn a_stream_has_a_context_of_its_own() {
    use futures::{Stream, StreamExt};

    on_each(|_| {
        Box::pin(async {
            NUMBER.set(1);
            let counter = futures::stream::repeat_with(|| {
                NUMBER.set(NUMBER.get() + 1);
                NUMBER.get()
            });
            let mut counter = counter.take(3).in_context();
            assert_eq!(counter.size_hint(), (3, Some(3)));
            while let Some(number) = counter.next().await {
                assert!(number > 1);
            }
            assert_eq!(NUMBER.get(), 1);
            assert_eq!(counter.context().get(&NUMBER), Some(&4));
        })
    });
}
