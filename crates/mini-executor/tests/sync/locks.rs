//! Turns: of mutexes, semaphores and notifications.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mini_executor::sync::{Mutex, Notify, Semaphore};
use mini_executor::{LocalExecutor, block_on, yield_now};

use crate::by_hand;

#[test]
fn one_at_a_time_has_the_mutex_in_the_order_they_asked() {
    let (mutex, order) = (Mutex::new(()), RefCell::new(Vec::new()));
    let executor = LocalExecutor::new();
    let mut tasks = Vec::new();
    let unit = |number| {
        let (mutex, order) = (&mutex, &order);
        async move {
            for turn in 0..3 {
                let _guard = mutex.lock().await;
                order.borrow_mut().push((turn, number, "in"));
                yield_now().await;
                order.borrow_mut().push((turn, number, "out"));
            }
        }
    };
    executor.spawn_many((0..4).map(unit), &mut tasks);
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    let expected: Vec<_> =
        (0..3).flat_map(|turn| (0..4).flat_map(move |number| [(turn, number, "in"), (turn, number, "out")])).collect();
    assert_eq!(*order.borrow(), expected);
}

#[test]
fn nobody_overtakes_who_waits_for_the_mutex() {
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().unwrap();
    let mut waiting = by_hand(mutex.lock());
    assert!(waiting.is_pending());
    drop(guard);
    assert!(waiting.wakes() == 1 && mutex.try_lock().is_none());
    let mut late = by_hand(mutex.lock());
    assert!(late.is_pending());
    assert!(waiting.poll().is_ready());
    assert_eq!((late.wakes(), late.is_pending()), (1, false));
}

#[test]
fn a_waiter_that_is_dropped_passes_its_turn_on() {
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().unwrap();
    let (mut first, mut second, mut third) = (by_hand(mutex.lock()), by_hand(mutex.lock()), by_hand(mutex.lock()));
    assert!(first.is_pending() && second.is_pending() && third.is_pending());
    drop(second);
    drop(guard);
    assert_eq!((first.wakes(), third.wakes()), (1, 0));
    drop(first);
    assert_eq!(third.wakes(), 1);
    drop(third);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_panic_with_the_guard_unlocks() {
    let mutex = Mutex::new(0);
    let panicking = AssertUnwindSafe(|| {
        *mutex.try_lock().unwrap() = 1;
        let _guard = mutex.try_lock().unwrap();
        panic!("on purpose");
    });
    assert!(catch_unwind(panicking).is_err());
    assert_eq!(*mutex.try_lock().unwrap(), 1);
}

#[test]
fn a_mutex_may_hold_what_has_no_size() {
    let mutex: Box<Mutex<[u32]>> = Box::new(Mutex::new([1, 2, 3]));
    block_on(mutex.lock()).reverse();
    assert_eq!(format!("{mutex:?}"), "Mutex { data: [3, 2, 1] }");
}

#[test]
fn no_more_are_inside_than_there_are_permits() {
    let semaphore = Semaphore::new(3);
    let (inside, most) = (Cell::new(0), Cell::new(0));
    let executor = LocalExecutor::new();
    let mut tasks = Vec::new();
    let unit = async || {
        for _ in 0..5 {
            let _permit = semaphore.acquire().await;
            inside.set(inside.get() + 1);
            most.set(most.get().max(inside.get()));
            yield_now().await;
            inside.set(inside.get() - 1);
        }
    };
    executor.spawn_many((0..10).map(|_| unit()), &mut tasks);
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    assert_eq!((most.get(), semaphore.available_permits()), (3, 3));
}

#[test]
fn a_permit_that_is_free_again_is_not_had_before_those_who_wait() {
    let semaphore = Semaphore::new(2);
    let (one, two) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
    let mut waiting = by_hand(semaphore.acquire());
    assert!(waiting.is_pending());
    drop(one);
    assert_eq!((waiting.wakes(), semaphore.available_permits()), (1, 0));
    assert!(semaphore.try_acquire().is_none() && by_hand(semaphore.acquire()).is_pending());
    drop(two);
    assert_eq!(semaphore.available_permits(), 1);
    let mut late = by_hand(semaphore.acquire());
    assert!(!late.is_pending() && !waiting.is_pending());
}

#[test]
fn a_cancelled_request_leaves_its_permit_to_the_next() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire();
    let (mut first, mut second) = (by_hand(semaphore.acquire()), by_hand(semaphore.acquire()));
    assert!(first.is_pending() && second.is_pending());
    drop(permit);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!((second.wakes(), semaphore.available_permits()), (1, 0));
    drop(second);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn one_notification_is_kept_for_the_next_who_waits_and_no_more() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    let (mut first, mut second) = (by_hand(notify.notified()), by_hand(notify.notified()));
    assert!(!first.is_pending() && second.is_pending());
}

#[test]
fn notify_one_wakes_the_one_that_waits_longest() {
    let notify = Notify::new();
    let (mut first, mut second) = (by_hand(notify.notified()), by_hand(notify.notified()));
    assert!(second.is_pending() && first.is_pending());
    notify.notify_one();
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
    assert!(first.is_pending() && !second.is_pending());
}

#[test]
fn notify_waiters_wakes_all_that_asked_before_and_none_after() {
    let notify = Notify::new();
    let (mut waiting, mut unpolled) = (by_hand(notify.notified()), by_hand(notify.notified()));
    assert!(waiting.is_pending());
    notify.notify_waiters();
    assert_eq!(waiting.wakes(), 1);
    assert!(!waiting.is_pending() && !unpolled.is_pending());
    assert!(by_hand(notify.notified()).is_pending());
    // Nobody waits: the other way through the code.
    let mut unpolled = by_hand(notify.notified());
    notify.notify_waiters();
    assert!(!unpolled.is_pending() && by_hand(notify.notified()).is_pending());
}

#[test]
fn who_is_dropped_when_notified_passes_it_on() {
    let notify = Notify::new();
    let (mut first, mut second) = (by_hand(notify.notified()), by_hand(notify.notified()));
    assert!(first.is_pending() && second.is_pending());
    notify.notify_one();
    drop(first);
    assert_eq!(second.wakes(), 1);
    drop(second);
    // Nobody is left: it is kept.
    assert!(!by_hand(notify.notified()).is_pending());
    assert!(by_hand(notify.notified()).is_pending());
}

#[test]
fn a_notification_to_all_is_not_passed_on() {
    let notify = Notify::new();
    let mut waiting = by_hand(notify.notified());
    assert!(waiting.is_pending());
    notify.notify_waiters();
    drop(waiting);
    assert!(by_hand(notify.notified()).is_pending());
}

#[test]
fn a_round_leaves_the_permit_to_others() {
    let notify = Notify::new();
    let mut early = by_hand(notify.notified());
    notify.notify_waiters();
    notify.notify_one();
    assert!(!early.is_pending());
    assert!(!by_hand(notify.notified()).is_pending());
}
