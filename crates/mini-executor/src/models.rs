//! What must hold in whatever order the steps of several threads fall: checked by loom, which tries the orders one by one.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p mini-executor --release --lib models
//! ```
//!
//! Flags that a test sets are relaxed on purpose: it is the executor's own steps that have to carry them to the next poll. A future's
//! cell tells loom of each access, so that two polls at once, or one that does not see what the former left, would be found.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32};
use loom::thread;

use crate::queue::{CAPACITY, Owner, Ring};
use crate::task::{self, Scheduled, Task, make_shared};
use crate::{Executor, hub::Hub};

/// Checks all orders with at most so many preemptions: enough, in experience, for nearly every mistake.
fn check(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(test);
}

/// A future that ends when its flag is set, and its waker.
struct Waiting {
    executor: Arc<Executor<'static>>,
    flag: Arc<AtomicBool>,
    waker: Waker,
    /// Nothing but the future has it after its end.
    life: Arc<()>,
    task: Task<u32>,
}

fn waiting_on(executor: &Arc<Executor<'static>>) -> Waiting {
    let flag = Arc::new(AtomicBool::new(false));
    let life = Arc::new(());
    let slot = std::sync::Arc::new(std::sync::Mutex::new(None));
    let polls = UnsafeCell::new(0);
    let (own_flag, own_life, own_slot) = (flag.clone(), life.clone(), slot.clone());
    let task = executor.spawn(poll_fn(move |context: &mut Context<'_>| {
        let _alive = &own_life;
        // SAFETY: the only pointer to it; loom looks whether it is.
        let polls = polls.with_mut(|polls| unsafe {
            *polls += 1;
            *polls
        });
        if polls == 1 {
            *own_slot.lock().unwrap() = Some(context.waker().clone());
        }
        if own_flag.load(Relaxed) { Poll::Ready(7) } else { Poll::Pending }
    }));
    assert!(executor.try_tick());
    let waker = slot.lock().unwrap().take().unwrap();
    Waiting { executor: executor.clone(), flag, waker, life, task }
}

fn waiting() -> Waiting {
    waiting_on(&Arc::new(Executor::new()))
}

fn run_all(executor: &Executor<'static>) {
    while executor.try_tick() {}
}

#[test]
fn a_wake_while_another_thread_polls_is_not_lost() {
    check(3, || {
        let Waiting { executor, flag, waker, task, .. } = waiting();
        waker.wake_by_ref();
        let running = {
            let executor = executor.clone();
            thread::spawn(move || executor.try_tick())
        };
        flag.store(true, Relaxed);
        waker.wake();
        running.join().unwrap();
        run_all(&executor);
        assert!(task.is_finished());
        assert_eq!(block_on(task), 7);
    });
}

#[test]
fn two_wake_and_two_poll_and_never_both_at_once() {
    check(2, || {
        let Waiting { executor, flag, waker, task, .. } = waiting();
        let others = [false, true].map(|sets| {
            let (executor, flag, waker) = (executor.clone(), flag.clone(), waker.clone());
            thread::spawn(move || {
                if sets {
                    flag.store(true, Relaxed);
                }
                waker.wake();
                executor.try_tick();
            })
        });
        waker.wake();
        executor.try_tick();
        for other in others {
            other.join().unwrap();
        }
        run_all(&executor);
        assert_eq!(block_on(task), 7);
    });
}

#[test]
fn a_task_is_closed_once_while_others_wake_and_poll_it() {
    check(3, || {
        let Waiting { executor, waker, life, task, flag: _flag } = waiting();
        let waking = {
            let executor = executor.clone();
            thread::spawn(move || {
                waker.wake();
                executor.try_tick();
            })
        };
        drop(task);
        executor.try_tick();
        waking.join().unwrap();
        run_all(&executor);
        assert!(executor.is_empty());
        assert_eq!(Arc::strong_count(&life), 1);
    });
}

#[test]
fn a_result_that_comes_as_the_handle_goes_is_dropped_by_one_of_them() {
    check(3, || {
        let life = Arc::new(());
        let result = life.clone();
        let executor = Arc::new(Executor::new());
        let task = executor.spawn(async move { result });
        let running = {
            let executor = executor.clone();
            thread::spawn(move || executor.try_tick())
        };
        task.detach();
        running.join().unwrap();
        assert!(executor.is_empty());
        assert_eq!(Arc::strong_count(&life), 1);
    });
}

#[test]
fn who_joins_on_another_thread_is_woken_whichever_waker_it_came_with_last() {
    check(3, || {
        let executor = Arc::new(Executor::new());
        let mut task = executor.spawn(async { Box::new(7) });
        let joining = thread::spawn(move || {
            let mut rounds = 0;
            block_on(poll_fn(|context| {
                rounds += 1;
                // The first time with a waker that wakes nobody, then with the one that counts.
                if rounds == 1
                    && let Poll::Ready(result) = pin!(&mut task).poll(&mut Context::from_waker(Waker::noop()))
                {
                    return Poll::Ready(result);
                }
                pin!(&mut task).poll(context)
            }))
        });
        executor.try_tick();
        assert_eq!(*joining.join().unwrap(), 7);
    });
}

#[test]
fn an_executor_is_dropped_while_a_thread_wakes() {
    check(3, || {
        let Waiting { executor, waker, life, task, flag: _flag } = waiting();
        let waking = thread::spawn(move || waker.wake());
        drop(executor);
        assert_eq!(Arc::strong_count(&life), 1);
        assert!(task.is_finished());
        waking.join().unwrap();
        drop(task);
    });
}

/// Rights to poll so many tasks, each of which counts its polls, to pass through queues.
fn tasks(count: usize) -> (Vec<Scheduled>, Arc<AtomicU32>) {
    let hub = Hub::claim();
    let polled = Arc::new(AtomicU32::new(0));
    let task = |_| {
        let polled = polled.clone();
        // SAFETY: the future is `Send` and borrows nothing.
        let (task, scheduled) = unsafe {
            make_shared(hub, std::panic::Location::caller(), async move { _ = polled.fetch_add(1, Relaxed) }, ())
        };
        hub.add(task);
        // SAFETY: a task just made, with this output; the second of its references.
        unsafe { Task::<()>::new(task) }.detach();
        scheduled
    };
    ((0..count).map(task).collect(), polled)
}

#[test]
fn every_task_of_a_ring_is_taken_once() {
    check(3, || {
        let (tasks, polled) = tasks(CAPACITY + 2);
        let count = tasks.len() as u32;
        let mut tasks = tasks.into_iter();
        let victim: &'static Ring = Box::leak(Box::new(Ring::new()));
        // SAFETY: the only owner; its thread is this one.
        let owner = unsafe { Owner::new(victim) };
        // So that positions come round the ring.
        assert!(owner.push(tasks.next().unwrap()).is_ok());
        victim.pop().unwrap().run();
        assert!(owner.push(tasks.next().unwrap()).is_ok());
        let thief = thread::spawn(|| {
            let own: &'static Ring = Box::leak(Box::new(Ring::new()));
            // SAFETY: the only owner; its thread is this one.
            let thief = unsafe { Owner::new(own) };
            for _ in 0..2 {
                if let Some(task) = thief.steal_from(victim) {
                    task.run();
                }
            }
            while let Some(task) = own.pop() {
                task.run();
            }
        });
        for task in tasks {
            if let Err(task) = owner.push(task) {
                let mut row = owner.spill();
                row.push(task);
                while let Some(task) = row.pop() {
                    task.run();
                }
            }
        }
        if let Some(task) = victim.pop() {
            task.run();
        }
        thief.join().unwrap();
        while let Some(task) = victim.pop() {
            task.run();
        }
        assert_eq!(polled.load(Relaxed), count);
    });
}

#[test]
fn a_worker_that_falls_asleep_is_woken_by_a_task_that_comes_meanwhile() {
    check(3, || {
        let Waiting { executor, flag, waker, task, .. } = waiting();
        let worker = {
            let executor = executor.clone();
            thread::spawn(move || block_on(executor.run(task)))
        };
        flag.store(true, Relaxed);
        waker.wake();
        assert_eq!(worker.join().unwrap(), 7);
    });
}

#[test]
fn two_workers_fall_asleep_and_both_tasks_are_run() {
    check(1, || {
        let executor = Arc::new(Executor::new());
        let (first, second) = (waiting_on(&executor), waiting_on(&executor));
        let workers = [first.task, second.task].map(|task| {
            let executor = executor.clone();
            thread::spawn(move || block_on(executor.run(task)))
        });
        for (flag, waker) in [(first.flag, first.waker), (second.flag, second.waker)] {
            flag.store(true, Relaxed);
            waker.wake();
        }
        for worker in workers {
            assert_eq!(worker.join().unwrap(), 7);
        }
    });
}

#[test]
fn a_sibling_comes_for_a_task_whose_worker_does_not() {
    check(2, || {
        let Waiting { executor, flag, waker, task, .. } = waiting();
        let sibling = {
            let executor = executor.clone();
            thread::spawn(move || block_on(executor.run(task)))
        };
        // A worker's turn, in which its future queues a task and waits, on this thread, until a sibling has run it.
        let mut is_queued = false;
        block_on(executor.run(poll_fn(|_| {
            if !std::mem::replace(&mut is_queued, true) {
                flag.store(true, Relaxed);
                waker.wake_by_ref();
                // Out of the slot, into the ring.
                executor.spawn(async {}).detach();
            }
            Poll::Ready(())
        })));
        assert_eq!(sibling.join().unwrap(), 7);
    });
}

/// It is run, ends and is let go of while its function has yet to return, by the thread that woke it or another one.
#[test]
fn a_task_of_ones_own_ends_inside_its_function() {
    check(3, || {
        let slot = std::sync::Arc::new(std::sync::Mutex::new(None));
        let own_slot = slot.clone();
        let (first, task) = task::spawn(
            poll_fn(move |context: &mut Context<'_>| match own_slot.lock().unwrap().replace(context.waker().clone()) {
                None => Poll::Pending,
                Some(_) => Poll::Ready(()),
            }),
            // Nothing of loom's is in it: in a model it is kept, as the task is, until the end.
            |runnable| _ = runnable.run(),
        );
        first.run();
        let waker = slot.lock().unwrap().take().unwrap();
        let (others, woken) = (waker.clone(), thread::spawn(move || waker.wake()));
        others.wake();
        drop(task);
        woken.join().unwrap();
    });
}
