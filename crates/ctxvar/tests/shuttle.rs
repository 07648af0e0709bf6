//! Contexts that are captured, moved and dropped between threads, in very many orders:
//!
//!     RUSTFLAGS="--cfg shuttle" cargo test --package ctxvar --release --test shuttle
#![cfg(shuttle)]

use std::sync::Arc;

use ctxvar::{Context, ContextVar, Inherit};
use shuttle::sync::mpsc::channel;
use shuttle::thread;

/// Orders that are tried for each test.
const ORDERS: usize = 10_000;

/// A name, and one of those that `alive` counts while it lives.
struct Held(&'static str, #[allow(dead_code, reason = "its end is counted")] Arc<()>);

#[test]
fn a_captured_context_may_be_used_changed_and_dropped_elsewhere() {
    shuttle::check_random(
        || {
            let alive = Arc::new(());
            let name = Arc::new(ContextVar::new("name"));
            let count = Arc::new(ContextVar::new("count").inherit(Inherit::Fork(|count: &u32| count + 1)));
            let mut context = Context::new();
            context.run(|| {
                name.set(Held("first", Arc::clone(&alive)));
                count.set(1);
                let children: Vec<_> = ["second", "third"]
                    .into_iter()
                    .map(|new| {
                        let (mut child, name, count, alive) =
                            (Context::capture(), Arc::clone(&name), Arc::clone(&count), Arc::clone(&alive));
                        thread::spawn(move || {
                            child.run(|| {
                                assert_eq!((name.with(|held| held.unwrap().0), count.get()), ("first", 2));
                                let token = name.set(Held(new, alive));
                                assert_eq!(token.old().unwrap().0, "first");
                                drop(token);
                                let grandchild = Context::capture();
                                assert_eq!((grandchild.get(&name).unwrap().0, grandchild.get(&count)), (new, Some(&3)));
                            });
                            child
                        })
                    })
                    .collect();
                name.set(Held("fourth", Arc::clone(&alive)));
                for (child, new) in children.into_iter().zip(["second", "third"]) {
                    assert_eq!(child.join().unwrap().get(&name).unwrap().0, new);
                }
                assert_eq!((name.with(|held| held.unwrap().0), count.get()), ("fourth", 1));
            });
            drop(context);
            assert_eq!(Arc::strong_count(&alive), 1, "all values are gone");
        },
        ORDERS,
    );
}

#[test]
fn a_context_travels_and_takes_its_token_along() {
    shuttle::check_random(
        || {
            let number = Arc::new(ContextVar::with_default("number", 0_u32));
            let (there, at_work) = channel::<Context>();
            let (back, home) = channel();
            let worker = thread::spawn({
                let number = Arc::clone(&number);
                move || {
                    while let Ok(mut context) = at_work.recv() {
                        context.run(|| drop(number.set(number.get() + 1)));
                        back.send(context).unwrap();
                    }
                }
            });
            let mut context = Context::new();
            let token = context.run(|| number.set(1));
            there.send(context).unwrap();
            let other = Context::new();
            there.send(other).unwrap();
            let mut context = home.recv().unwrap();
            let other = home.recv().unwrap();
            assert_eq!((context.get(&number), other.get(&number)), (Some(&2), Some(&1)));
            let token = Context::new().run(|| token.reset()).unwrap_err().into_token();
            context.run(|| token.reset()).unwrap();
            assert_eq!(context.get(&number), None);
            drop(there);
            worker.join().unwrap();
        },
        ORDERS,
    );
}

#[test]
fn variables_come_and_go_while_snapshots_of_them_live() {
    shuttle::check_random(
        || {
            let alive = Arc::new(());
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let alive = Arc::clone(&alive);
                    thread::spawn(move || {
                        let mut context = Context::new();
                        context.run(|| {
                            let text: ContextVar<String> = ContextVar::new("text");
                            let held: ContextVar<Held> = ContextVar::new("held");
                            text.set("a text that is allocated".to_owned());
                            held.set(Held("held", alive));
                            let snapshot = Context::current();
                            drop(text);
                            let number: ContextVar<u64> = ContextVar::new("number");
                            assert_eq!(number.try_get(), None);
                            number.set(7);
                            assert_eq!((number.get(), snapshot.get(&held).unwrap().0), (7, "held"));
                        });
                        context
                    })
                })
                .collect();
            drop(threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>());
            assert_eq!(Arc::strong_count(&alive), 1, "all values are gone");
        },
        ORDERS,
    );
}
