//! Timers: early they never are.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::panic::catch_unwind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mini_executor::{LocalExecutor, TimedOut, block_on, interval, sleep, sleep_until, timeout, yield_now};

const MS: Duration = Duration::from_millis(1);

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines_and_never_early() {
    let order = RefCell::new(Vec::new());
    let executor = LocalExecutor::new();
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for number in [7_u32, 3, 9, 1, 5] {
        let order = &order;
        tasks.push(executor.spawn(async move {
            sleep_until(begin + 3 * MS * number).await;
            assert!(begin.elapsed() >= 3 * MS * number);
            order.borrow_mut().push(number);
        }));
    }
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    assert_eq!(*order.borrow(), [1, 3, 5, 7, 9]);
}

#[test]
fn precise_and_late_timers_live_side_by_side() {
    let executor = LocalExecutor::new();
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..200 {
        let duration = Duration::from_micros(number * 137 % 9_000);
        tasks.push(executor.spawn(async move {
            let slack = if number % 2 == 0 { Duration::ZERO } else { 2 * MS };
            sleep(duration).slack(slack).await;
            assert!(begin.elapsed() >= duration);
        }));
    }
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
}

#[test]
fn an_interval_keeps_its_schedule() {
    let begin = Instant::now();
    block_on(async {
        let mut ticks = interval(2 * MS);
        for number in 1..=5 {
            ticks.tick().await;
            assert!(begin.elapsed() >= 2 * MS * number);
            std::thread::sleep(MS);
        }
        // Behind by several ticks: they come at once.
        std::thread::sleep(10 * MS);
        for _ in 0..5 {
            assert!(timeout(Duration::from_secs(10), ticks.tick()).await.is_ok());
        }
    });
}

#[test]
fn a_time_out_ends_what_takes_too_long_and_nothing_else() {
    block_on(async {
        assert_eq!(timeout(MS, pending::<()>()).await, Err(TimedOut));
        assert_eq!(timeout(Duration::from_secs(100), sleep(MS)).await, Ok(()));
        assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
    });
    assert_eq!(TimedOut.to_string(), "the time was over before the future had its result");
}

#[test]
fn a_timer_moves_to_the_thread_that_awaits_it() {
    let begin = Instant::now();
    let mut sleeping = Box::pin(sleep(200 * MS));
    block_on(poll_fn(|context| {
        assert!(sleeping.as_mut().poll(context).is_pending());
        Poll::Ready(())
    }));
    std::thread::spawn(move || block_on(sleeping)).join().unwrap();
    assert!(begin.elapsed() >= 200 * MS);
}

#[test]
fn a_timer_is_served_beside_a_task_that_yields_for_ever() {
    let executor = LocalExecutor::new();
    executor
        .spawn(async {
            loop {
                yield_now().await;
            }
        })
        .detach();
    let begin = Instant::now();
    block_on(executor.run(executor.spawn(sleep(5 * MS))));
    assert!(begin.elapsed() >= 5 * MS);
}

/// What tasks that yield for ever have written down in the turns after a task was woken between two turns, while a timer is awaited.
fn log_of_spinners(names: &[&'static str]) -> Vec<&'static str> {
    let log = RefCell::new(Vec::new());
    let waiting = RefCell::new(None);
    let executor = LocalExecutor::new();
    executor.spawn(sleep(Duration::from_hours(1))).detach();
    let woken = executor.spawn(poll_fn(|context| {
        if waiting.replace(Some(context.waker().clone())).is_none() {
            return Poll::Pending;
        }
        log.borrow_mut().push("woken");
        Poll::Ready(())
    }));
    for &name in names {
        let log = &log;
        let spinning = async move {
            loop {
                log.borrow_mut().push(name);
                yield_now().await;
            }
        };
        executor.spawn(spinning).detach();
    }
    let mut turns = 0;
    block_on(executor.run(poll_fn(|context| {
        context.waker().wake_by_ref();
        turns += 1;
        if turns == 3 {
            log.borrow_mut().clear();
            waiting.borrow().as_ref().unwrap().wake_by_ref();
        }
        // However many polls a turn has: that depends on how long they take.
        if turns >= 5 && log.borrow().len() > 61 { Poll::Ready(()) } else { Poll::Pending }
    })));
    drop(woken);
    drop(executor);
    log.into_inner()
}

#[test]
fn who_yields_lets_those_pass_that_are_woken_between_two_turns() {
    let log = log_of_spinners(&["spinner"]);
    assert_eq!(log[..3], ["woken", "spinner", "spinner"]);
}

#[test]
fn those_who_yield_take_turns_with_one_another() {
    let mut log = log_of_spinners(&["a", "b", "c"]);
    log.retain(|name| *name != "woken");
    let first = ["a", "b", "c"].iter().position(|name| *name == log[0]).unwrap();
    for (index, name) in log.iter().enumerate() {
        assert_eq!(*name, ["a", "b", "c"][(first + index) % 3], "{log:?}");
    }
}

#[test]
fn deadlines_in_the_past_and_in_centuries() {
    block_on(async {
        sleep(Duration::ZERO).await;
        sleep_until(Instant::now().checked_sub(MS).unwrap()).await;
        assert_eq!(timeout(MS, sleep(Duration::MAX)).await, Err(TimedOut));
        assert_eq!(timeout(MS, sleep(Duration::MAX).slack(MS)).await, Err(TimedOut));
    });
}

#[test]
fn a_timer_that_nobody_serves_names_the_mistake() {
    let mut sleeping = Box::pin(sleep(Duration::from_hours(1)));
    let polled = catch_unwind(std::panic::AssertUnwindSafe(|| {
        sleeping.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }));
    let panic = polled.unwrap_err();
    let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    assert!(message.unwrap().contains("mini_executor::block_on"));
    assert!(catch_unwind(|| interval(Duration::ZERO)).is_err());
}

#[test]
fn a_dropped_timer_wakes_nobody() {
    block_on(async {
        // On a busy machine the time may be over before it was armed: then another one.
        let mut was_armed = false;
        while !was_armed {
            let mut sleeping = pin!(sleep(MS));
            was_armed = poll_fn(|context| Poll::Ready(sleeping.as_mut().poll(context).is_pending())).await;
        }
        let mut polls = 0;
        let mut longer = pin!(sleep(5 * MS));
        poll_fn(|context| {
            polls += 1;
            longer.as_mut().poll(context)
        })
        .await;
        assert!(polls <= 3, "{polls} polls");
    });
}
