//! Tasks without an executor of this crate.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};

use mini_executor::task::{self, Runnable, Task};
use mini_executor::{block_on, yield_now};

/// A queue, and tasks that go there.
fn queue() -> (impl Fn(Runnable) + Clone + Send + Sync + 'static, mpsc::Receiver<Runnable>) {
    let (sender, queue) = mpsc::channel();
    (move |runnable| sender.send(runnable).unwrap(), queue)
}

/// A task that waits for its waker, which it hands out, to be called.
fn waiting(schedule: impl Fn(Runnable) + Send + Sync + 'static) -> (Runnable, Task<u32>, Arc<Mutex<Option<Waker>>>) {
    let waker = Arc::new(Mutex::new(None));
    let hands_out = waker.clone();
    let future = poll_fn(move |context| match hands_out.lock().unwrap().replace(context.waker().clone()) {
        None => Poll::Pending,
        Some(_) => Poll::Ready(7),
    });
    let (runnable, task) = task::spawn(future, schedule);
    (runnable, task, waker)
}

#[test]
fn a_task_is_scheduled_once_however_often_it_is_woken() {
    let (schedule, queue) = queue();
    let (first, task, waker) = waiting(schedule);
    assert!(!first.run());
    let waker = waker.lock().unwrap().clone().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    let again = queue.try_recv().unwrap();
    assert!(queue.try_recv().is_err());
    assert!(!task.is_finished());
    again.run();
    assert!(task.is_finished());
    waker.wake();
    assert!(queue.try_recv().is_err(), "a done task is not scheduled");
    assert_eq!(block_on(task), 7);
}

#[test]
fn a_task_that_yields_is_scheduled_after_its_poll() {
    let (schedule, queue) = queue();
    let (first, task) = task::spawn(yield_now(), schedule);
    assert!(first.run());
    assert!(!queue.try_recv().unwrap().run());
    block_on(task);
}

#[test]
fn who_drops_the_right_to_poll_a_task_cancels_it() {
    let held = Arc::new(());
    let holds = held.clone();
    let future = async move {
        pending::<()>().await;
        drop(holds);
    };
    let (first, task) = task::spawn(future, drop);
    assert!(format!("{first:?}").contains(file!()));
    first.schedule();
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(block_on(task.fallible()), None);
}

#[test]
fn a_task_may_be_run_where_it_is_woken_and_its_function_outlives_the_call() {
    /// Tells whether it was dropped.
    struct Told(Arc<AtomicU32>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    for is_detached in [false, true] {
        let dropped = Arc::new(AtomicU32::new(0));
        let (told, looks) = (Told(dropped.clone()), dropped.clone());
        let (first, task, slot) = waiting(move |runnable| {
            runnable.run();
            // The task has ended, and perhaps nobody else has it any more.
            assert_eq!((looks.load(Ordering::Relaxed), told.0.load(Ordering::Relaxed)), (0, 0));
        });
        first.run();
        let task = if is_detached {
            task.detach();
            None
        } else {
            Some(task)
        };
        let waker = slot.lock().unwrap().clone().unwrap();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        assert_eq!(task.map(block_on), (!is_detached).then_some(7));
        drop(slot);
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "with the last waker it is freed");
    }
}

#[test]
fn a_function_that_panics_has_its_task_cancelled() {
    let (first, task, waker) = waiting(|_| panic!("no room"));
    first.run();
    let waker = waker.lock().unwrap().clone().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err());
    assert!(task.is_finished());
    assert_eq!(block_on(task.fallible()), None);
}

#[test]
fn handles_of_tasks_whose_function_panics_may_be_dropped_one_after_the_other() {
    let (first, one, _) = waiting(|_| panic!("no room"));
    first.run();
    let (first, two, _) = waiting(|_| panic!("no room"));
    first.run();
    drop(vec![one, two]);
}

#[test]
fn threads_that_wake_run_and_cancel_at_once_lose_no_task() {
    for round in 0..500 {
        let (schedule, queue) = queue();
        let (first, task, waker) = waiting(schedule);
        first.run();
        let waker = waker.lock().unwrap().clone().unwrap();
        let outcome = std::thread::scope(|threads| {
            threads.spawn(|| waker.wake());
            threads.spawn(move || queue.recv().unwrap().run());
            if round % 2 == 0 { Some(block_on(task)) } else { block_on(task.cancel()) }
        });
        assert!(outcome.is_none_or(|outcome| outcome == 7));
    }
}

#[test]
fn a_panic_is_the_tasks_outcome() {
    let (first, task) = task::spawn(async { panic!("in the task") }, drop);
    first.run();
    assert!(catch_unwind(AssertUnwindSafe(|| block_on::<()>(task))).is_err());
}
