//! Threads that share what they change, all at once. Run it under the thread sanitizer, too: `.ci/deep` does.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

use ctxvar::{Context, ContextVar, Inherit};

struct Counted(u64, Arc<AtomicUsize>);

impl Counted {
    fn new(number: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self(number, Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, SeqCst);
    }
}

static COUNTED: [ContextVar<Counted>; 8] = [const { ContextVar::new("counted") }; 8];
static NUMBERS: [ContextVar<u64>; 8] = [const { ContextVar::new("number") }; 8];
static FORKED: ContextVar<u64> = ContextVar::with_default("forked", 0).inherit(Inherit::Fork(|depth| depth + 1));

/// How many rounds; `CTXVAR_STRESS` multiplies them.
fn rounds() -> u64 {
    let times = std::env::var("CTXVAR_STRESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    300 * times
}

fn read(context: &Context) -> Vec<Option<u64>> {
    let counted = COUNTED.iter().map(|variable| context.get(variable).map(|counted| counted.0));
    counted.chain(NUMBERS.iter().map(|variable| context.get(variable).copied())).collect()
}

#[test]
fn threads_change_copies_of_one_context_at_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    let threads = 4;
    for round in 0..rounds() {
        let mut parent = Context::new();
        parent.run(|| {
            for (variable, number) in COUNTED.iter().zip(0..) {
                variable.set(Counted::new(number, &alive));
            }
            for (variable, number) in NUMBERS.iter().zip(100..) {
                variable.set(number);
            }
        });
        let before = read(&parent);
        let start = Barrier::new(threads + 1);
        std::thread::scope(|scope| {
            for thread in 0..threads as u64 {
                let (child, start, alive, before) = (parent.clone(), &start, &alive, &before);
                scope.spawn(move || {
                    let mut child = child;
                    start.wait();
                    child.run(|| {
                        // All part from the same parent at the same variable, and from their own copies later on.
                        let at = (round % 8) as usize;
                        let mut expected = before.clone();
                        COUNTED[at].set(Counted::new(1_000 + thread, alive));
                        expected[at] = Some(1_000 + thread);
                        let first = Context::current();
                        let other = (at + thread as usize) % 8;
                        NUMBERS[other].set(thread);
                        COUNTED[other].set(Counted::new(2_000 + thread, alive));
                        assert_eq!(read(&first), expected);
                        expected[other] = Some(2_000 + thread);
                        expected[8 + other] = Some(thread);
                        drop(first);
                        assert_eq!(read(&Context::current()), expected);
                    });
                });
            }
            start.wait();
            // While they begin, the context that they all came from goes.
            if round % 2 == 0 {
                drop(std::mem::take(&mut parent));
            }
        });
        if round % 2 == 1 {
            assert_eq!(read(&parent), before);
            assert_eq!(alive.load(SeqCst), 8);
        }
        drop(parent);
        assert_eq!(alive.load(SeqCst), 0, "round {round}");
    }
}

#[test]
fn children_of_children_in_threads_of_threads() {
    fn descend(depth: u64, alive: &Arc<AtomicUsize>) {
        assert_eq!(FORKED.get(), depth);
        let number = COUNTED[0].with(|counted| counted.unwrap().0);
        if depth == 4 {
            return;
        }
        COUNTED[0].set(Counted::new(number + 1, alive));
        ctxvar::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| descend(depth + 1, alive));
            }
            COUNTED[0].set(Counted::new(0, alive));
        });
    }

    let alive = Arc::new(AtomicUsize::new(0));
    for _ in 0..rounds() / 30 {
        Context::new().run(|| {
            FORKED.set(0);
            COUNTED[0].set(Counted::new(0, &alive));
            descend(0, &alive);
        });
        assert_eq!(alive.load(SeqCst), 0);
    }
}

#[test]
fn variables_are_registered_and_dropped_by_all_threads() {
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            scope.spawn(move || {
                for round in 0..rounds() {
                    let number: ContextVar<u64> = ContextVar::new("number");
                    let text: ContextVar<String> = ContextVar::new("text");
                    assert_eq!((number.try_get(), text.try_get()), (None, None));
                    number.set(thread);
                    text.set(format!("{thread} {round}"));
                    let snapshot = Context::current();
                    assert_eq!((number.get(), text.get()), (thread, format!("{thread} {round}")));
                    assert_eq!(snapshot.get(&number), Some(&thread));
                }
            });
        }
    });
}
