//! Tasks of a local executor in a model: every order of steps, every value that a load may see.
//!
//! What runs here is the crate's own code, with loom's cells and atomics in it. Beyond what a test asserts, each run fails if
//! - two threads use a header's plain fields, the future's place or the home's queues, and neither has waited for the other;
//! - a task is used after it was freed, or freed while another thread's use of it is not known to be over, or not freed at all;
//! - a future or an output is dropped twice or not at all;
//! - everybody sleeps, for a wake-up was lost.
//!
//! loom's threads are coroutines on the test's own thread, so what belongs to the test alone needs no synchronization.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p mini-executor --release --lib loom
//! ```

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;

use super::header::Header;
use crate::{LocalExecutor, Task};

thread_local! {
    /// Tasks that were made and not freed.
    static ALIVE: Cell<i32> = const { Cell::new(0) };
    /// Futures and outputs that were made and not dropped.
    static GUARDS: Cell<i32> = const { Cell::new(0) };
    /// The memory of tasks that were freed, kept until the end of the run, so that a use after that is noticed.
    static RETIRED: RefCell<Vec<(*mut u8, Layout)>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn made() {
    ALIVE.set(ALIVE.get() + 1);
}

/// A task is freed: to the model that is a write to all it is made of.
pub(super) fn freed<T>(mut core: Box<T>, header: impl FnOnce(&mut T) -> &mut Header) {
    let header = header(&mut core);
    assert!(!header.is_freed.replace(true), "a task was freed twice");
    header.local.set(0);
    header.next.set(None);
    header.before.set(None);
    header.after.set(None);
    header.shared.with_mut(|_| ());
    header.awaiter.end();
    ALIVE.set(ALIVE.get() - 1);
    RETIRED.with_borrow_mut(|retired| retired.push((Box::into_raw(core).cast(), Layout::new::<T>())));
}

/// Checks `test` with at most `preemptions` switches away from a thread that could go on (`LOOM_MAX_PREEMPTIONS` overrides it), or all
/// that there are.
fn model(preemptions: Option<usize>, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    let runs = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = runs.clone();
    builder.check(move || {
        test();
        assert_eq!(ALIVE.get(), 0, "every task is freed");
        assert_eq!(GUARDS.get(), 0, "every future and output is dropped once");
        for (memory, layout) in RETIRED.take() {
            // SAFETY: a box's memory, with its layout; what was in it is not used any more.
            unsafe { std::alloc::dealloc(memory, layout) }
        }
        counted.fetch_add(1, Relaxed);
    });
    eprintln!("{} runs, at most {:?} preemptions", runs.load(Relaxed), builder.preemption_bound);
}

/// Something that has to be dropped once, on whatever thread, and may be used by one at a time.
struct Guard(loom::cell::Cell<u32>);

impl Guard {
    fn new(value: u32) -> Self {
        GUARDS.set(GUARDS.get() + 1);
        Self(loom::cell::Cell::new(value))
    }

    fn value(&self) -> u32 {
        self.0.get()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(0);
        GUARDS.set(GUARDS.get() - 1);
    }
}

/// Puts a thread to rest, and wakes it.
#[derive(Default)]
struct Parker(Notify);

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn parker() -> (Arc<Parker>, Waker) {
    let parker = Arc::<Parker>::default();
    (parker.clone(), Waker::from(parker))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (parker, waker) = parker();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        parker.0.wait();
    }
}

/// A future that waits for a flag. The flag says nothing about order: that has to come from the wake-up.
fn until(flag: Arc<AtomicBool>, guard: Guard) -> impl Future<Output = Guard> {
    let mut guard = Some(guard);
    poll_fn(move |_| if flag.load(Relaxed) { Poll::Ready(guard.take().unwrap()) } else { Poll::Pending })
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// A task that waits for the flag, polled once, and its waker.
fn waiting(executor: &LocalExecutor<'static>, flag: &Arc<AtomicBool>) -> (Task<Guard>, Waker) {
    let waker = std::rc::Rc::new(RefCell::new(None));
    let (kept, mut waits) = (waker.clone(), Box::pin(until(flag.clone(), Guard::new(7))));
    let task = executor.spawn(poll_fn(move |context| {
        kept.borrow_mut().get_or_insert_with(|| context.waker().clone());
        waits.as_mut().poll(context)
    }));
    assert!(executor.try_tick());
    let waker = waker.take().unwrap();
    (task, waker)
}

/// A task that yields once.
fn yielding(executor: &LocalExecutor<'static>) -> Task<Guard> {
    let guard = Guard::new(7);
    executor.spawn(async move {
        crate::yield_now().await;
        guard
    })
}

fn run_all(executor: &LocalExecutor<'_>) {
    while executor.try_tick() {}
}

#[test]
fn loom_a_wake_from_afar_is_not_lost_while_the_task_runs() {
    model(None, || {
        let executor = LocalExecutor::new();
        let set = flag();
        let (task, waker) = waiting(&executor, &set);
        let other = thread::spawn(move || {
            set.store(true, Relaxed);
            waker.wake();
        });
        assert_eq!(block_on(executor.run(task)).value(), 7);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_wake_from_afar_and_one_from_here() {
    model(Some(4), || {
        let executor = LocalExecutor::new();
        let set = flag();
        let (task, waker) = waiting(&executor, &set);
        let here = waker.clone();
        let other = thread::spawn(move || {
            set.store(true, Relaxed);
            waker.wake();
        });
        here.wake_by_ref();
        run_all(&executor);
        here.wake();
        assert_eq!(block_on(executor.run(task)).value(), 7);
        other.join().unwrap();
    });
}

#[test]
fn loom_two_wakes_from_afar_while_the_executor_runs_and_is_dropped() {
    model(Some(3), || {
        let executor = LocalExecutor::new();
        let set = flag();
        let (task, waker) = waiting(&executor, &set);
        task.detach();
        let others = [waker.clone(), waker].map(|waker| {
            let set = set.clone();
            thread::spawn(move || {
                set.store(true, Relaxed);
                waker.wake();
            })
        });
        executor.try_tick();
        drop(executor);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn loom_a_wake_from_afar_that_finds_the_task_in_the_mailbox() {
    model(Some(2), || {
        let executor = LocalExecutor::new();
        let flags = [flag(), flag()];
        let awaited = flags.clone();
        let (wakers, guard) = (std::rc::Rc::new(RefCell::new(None)), Guard::new(7));
        let (kept, mut guard) = (wakers.clone(), Some(guard));
        let task = executor.spawn(poll_fn(move |context| {
            kept.borrow_mut().get_or_insert_with(|| context.waker().clone());
            if awaited.iter().all(|flag| flag.load(Relaxed)) { Poll::Ready(guard.take()) } else { Poll::Pending }
        }));
        assert!(executor.try_tick());
        let waker = wakers.take().unwrap();
        let others = flags.map(|flag| {
            let waker = waker.clone();
            thread::spawn(move || {
                // Whoever comes second wakes nobody, and yet this has to be seen when the task is polled.
                flag.store(true, Relaxed);
                waker.wake();
            })
        });
        drop(waker);
        assert_eq!(block_on(executor.run(task)).unwrap().value(), 7);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn loom_two_tasks_in_the_mailbox_of_a_waiting_runner() {
    model(Some(2), || {
        let executor = LocalExecutor::new();
        let (first, second) = (flag(), flag());
        let (one, wakes_one) = waiting(&executor, &first);
        let (two, wakes_two) = waiting(&executor, &second);
        let others = [(first, wakes_one), (second, wakes_two)].map(|(flag, waker)| {
            thread::spawn(move || {
                flag.store(true, Relaxed);
                waker.wake();
            })
        });
        let sum = block_on(executor.run(async { one.await.value() + two.await.value() }));
        assert_eq!(sum, 14);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn loom_a_join_from_afar_while_the_task_ends() {
    model(None, || {
        let executor = LocalExecutor::new();
        let guard = Guard::new(7);
        let task = executor.spawn(async move { guard });
        let other = thread::spawn(move || assert_eq!(block_on(task).value(), 7));
        assert!(executor.try_tick());
        other.join().unwrap();
    });
}

#[test]
fn loom_two_joins_from_afar_with_different_wakers() {
    model(None, || {
        let executor = LocalExecutor::new();
        let mut task = yielding(&executor);
        let other = thread::spawn(move || {
            let (_, waker) = parker();
            let polled = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
            let output = match polled {
                Poll::Ready(output) => output,
                Poll::Pending => block_on(task),
            };
            assert_eq!(output.value(), 7);
        });
        run_all(&executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_join_here_and_then_one_from_afar() {
    model(None, || {
        let executor = LocalExecutor::new();
        let mut task = yielding(&executor);
        let (_, waker) = parker();
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
        let other = thread::spawn(move || assert_eq!(block_on(task).value(), 7));
        run_all(&executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_join_from_afar_and_then_one_here() {
    model(None, || {
        let executor = LocalExecutor::new();
        let mut task = yielding(&executor);
        let other = thread::spawn(move || {
            let (_, waker) = parker();
            match Pin::new(&mut task).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => Err(output),
                Poll::Pending => Ok(task),
            }
        });
        run_all(&executor);
        let output = match other.join().unwrap() {
            Ok(task) => block_on(executor.run(task)),
            Err(output) => output,
        };
        assert_eq!(output.value(), 7);
    });
}

#[test]
fn loom_a_task_of_one_executor_joins_one_of_another_thread() {
    model(Some(4), || {
        let executor = LocalExecutor::new();
        let task = yielding(&executor);
        let other = thread::spawn(move || {
            let executor = LocalExecutor::new();
            let joins = executor.spawn(task);
            assert_eq!(block_on(executor.run(joins)).value(), 7);
        });
        run_all(&executor);
        drop(executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_join_from_afar_while_the_executor_is_dropped() {
    model(None, || {
        let executor = LocalExecutor::new();
        let task = executor.spawn(until(flag(), Guard::new(7)));
        let other = thread::spawn(move || assert!(block_on(task.fallible()).is_none()));
        drop(executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_handle_is_dropped_afar_while_the_task_ends() {
    model(None, || {
        let executor = LocalExecutor::new();
        let task = yielding(&executor);
        let other = thread::spawn(move || drop(task));
        run_all(&executor);
        drop(executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_handle_is_detached_afar_while_the_task_ends() {
    model(None, || {
        let executor = LocalExecutor::new();
        let task = yielding(&executor);
        let other = thread::spawn(move || task.detach());
        run_all(&executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_handle_is_polled_and_dropped_afar_while_the_task_ends() {
    model(Some(5), || {
        let executor = LocalExecutor::new();
        let mut task = yielding(&executor);
        let other = thread::spawn(move || {
            let (_, waker) = parker();
            let _ = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
            drop(task);
        });
        run_all(&executor);
        drop(executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_task_is_cancelled_from_afar_while_it_ends() {
    model(Some(5), || {
        let executor = LocalExecutor::new();
        let task = yielding(&executor);
        let other = thread::spawn(move || {
            let output = block_on(task.cancel());
            assert!(output.is_none_or(|output| output.value() == 7));
        });
        run_all(&executor);
        drop(executor);
        other.join().unwrap();
    });
}

#[test]
fn loom_wakers_are_cloned_and_dropped_on_both_sides_while_the_task_ends() {
    model(None, || {
        let executor = LocalExecutor::new();
        let set = flag();
        let (task, waker) = waiting(&executor, &set);
        let there = waker.clone();
        let other = thread::spawn(move || {
            let copy = there.clone();
            drop(there);
            drop(copy);
        });
        set.store(true, Relaxed);
        waker.wake_by_ref();
        task.detach();
        run_all(&executor);
        drop(waker.clone());
        drop(waker);
        other.join().unwrap();
    });
}

#[test]
fn loom_the_owner_settles_its_count_while_others_count() {
    model(None, || {
        let executor = LocalExecutor::new();
        let set = flag();
        let (task, waker) = waiting(&executor, &set);
        let (sent, there) = (waker.clone(), waker.clone());
        let other = thread::spawn(move || {
            let more = [there.clone(), there.clone(), there.clone()];
            drop((sent, there));
            more
        });
        // More than are counted here before they are settled; and then fewer, for two are dropped that were cloned there.
        let more = [waker.clone(), waker.clone(), waker.clone(), waker.clone()];
        drop(more);
        let theirs = other.join().unwrap();
        drop((theirs, waker));
        drop(executor);
        drop(task);
    });
}

#[test]
fn loom_a_waker_outlives_its_executor_whose_home_is_used_again() {
    model(Some(4), || {
        let executor = LocalExecutor::new();
        let (task, waker) = waiting(&executor, &flag());
        task.detach();
        let here = waker.clone();
        let other = thread::spawn(move || {
            waker.wake_by_ref();
            let copy = waker.clone();
            copy.wake();
            drop(waker);
        });
        drop(executor);
        let next = LocalExecutor::new();
        let task = yielding(&next);
        here.wake_by_ref();
        drop(here.clone());
        drop(here);
        run_all(&next);
        drop(task);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_waker_meets_its_home_on_the_thread_that_has_it_now() {
    model(Some(4), || {
        let executor = LocalExecutor::new();
        let (task, waker) = waiting(&executor, &flag());
        let here = waker.clone();
        let other = thread::spawn(move || {
            // Maybe the home that was just given back, maybe another one.
            let next = LocalExecutor::new();
            let new = yielding(&next);
            waker.wake_by_ref();
            drop(waker.clone());
            drop(waker);
            assert!(task.is_finished() || !next.is_empty());
            drop(task);
            run_all(&next);
            drop(new);
        });
        drop(executor);
        here.wake_by_ref();
        drop(here);
        other.join().unwrap();
    });
}
