//! What is spawned sees the context variables of who spawned it, however it is spawned.
#![cfg(feature = "ctxvar")]

use std::time::Duration;

use ctxvar::{Context, ContextVar, Inherit};
use mini_executor::{
    Executor, LocalExecutor, Runtime, block_on, explore, group, send_group, spawn_blocking, yield_now,
};

static USER: ContextVar<&str> = ContextVar::with_default("user", "nobody");
static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", 0).inherit(Inherit::Fork(|depth| depth + 1));
static LOCKED: ContextVar<bool> = ContextVar::with_default("locked", false).inherit(Inherit::Never);

/// Each test in a context of its own, with all three set.
fn alone(test: impl FnOnce()) {
    Context::new().run(|| {
        USER.set("ada");
        DEPTH.set(1);
        LOCKED.set(true);
        test();
    });
}

fn seen() -> (&'static str, u32, bool) {
    (USER.get(), DEPTH.get(), LOCKED.get())
}

const BY_A_CHILD: (&str, u32, bool) = ("ada", 2, false);

/// Sees what it inherited, before and after others had their turn, and keeps what it sets to itself.
async fn child(own: &'static str) {
    assert_eq!(seen(), BY_A_CHILD);
    USER.set(own);
    yield_now().await;
    assert_eq!(USER.get(), own);
}

#[test]
fn tasks_of_one_thread() {
    alone(|| {
        let executor = LocalExecutor::new();
        let mut tasks = vec![executor.spawn(child("grace")), executor.spawn_named("edith", child("edith"))];
        executor.spawn_many([child("mary"), child("joan")], &mut tasks);
        USER.set("changed");
        block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
        assert_eq!(USER.get(), "changed");
    });
}

#[test]
fn tasks_of_several_threads() {
    alone(|| {
        let executor = Executor::new();
        let tasks = [executor.spawn(child("grace")), executor.spawn(child("edith"))];
        std::thread::scope(|scope| {
            // Of a thread whose own context is empty.
            scope.spawn(|| {
                block_on(executor.run(async {
                    for task in tasks {
                        task.await;
                    }
                }));
                assert_eq!(seen(), ("nobody", 0, false));
            });
        });
    });
}

#[test]
fn tasks_of_tasks_of_a_runtime() {
    alone(|| {
        let runtime = Runtime::new(2).unwrap();
        let task = runtime.spawn(async {
            let inner = spawn_blocking(seen).await;
            (seen(), inner)
        });
        assert_eq!(runtime.block_on(task), (BY_A_CHILD, ("ada", 3, false)));
        let call = runtime.spawn_blocking(seen);
        assert_eq!(runtime.block_on(call), BY_A_CHILD);
        assert!(runtime.shutdown(Duration::from_secs(10)).stuck.is_empty());
    });
}

#[test]
fn children_of_groups() {
    alone(|| {
        block_on(group(async |group| {
            group.spawn(child("grace"));
            group.spawn(child("edith"));
        }));
        block_on(send_group(async |group| {
            group.spawn(child("grace"));
            group.spawn(child("edith"));
        }));
        assert_eq!(seen(), ("ada", 1, true));
    });
}

#[test]
fn destructors_of_a_cancelled_task() {
    struct Says(std::sync::mpsc::Sender<&'static str>);

    impl Drop for Says {
        fn drop(&mut self) {
            self.0.send(USER.get()).unwrap();
        }
    }

    alone(|| {
        let (sender, said) = std::sync::mpsc::channel();
        let executor = LocalExecutor::new();
        let says = Says(sender);
        let task = executor.spawn(async move {
            USER.set("in the task");
            std::future::pending::<()>().await;
            drop(says);
        });
        assert!(executor.try_tick());
        drop(task);
        drop(executor);
        assert_eq!(said.recv(), Ok("in the task"));
    });
}

#[test]
fn tasks_in_every_order() {
    alone(|| {
        explore(0..50, async |runtime| {
            let tasks = ["grace", "edith", "mary"].map(|own| runtime.spawn(child(own)));
            for task in tasks {
                task.await;
            }
        });
    });
}
