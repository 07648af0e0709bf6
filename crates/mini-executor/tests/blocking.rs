//! Calls on threads of their own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use mini_executor::{LocalExecutor, Runtime, block_on, set_unhandled_hook, sleep, spawn_blocking};

#[test]
fn a_blocked_call_does_not_hold_the_loop() {
    let (sender, receiver) = mpsc::channel();
    let executor = LocalExecutor::new();
    let ticks = executor.spawn(async {
        let mut ticks = 0;
        loop {
            sleep(Duration::from_millis(2)).await;
            ticks += 1;
            if ticks == 10 {
                return sender.send(()).unwrap();
            }
        }
    });
    block_on(executor.run(async {
        // Blocks until the loop has gone on for so long.
        let blocked = spawn_blocking(move || receiver.recv_timeout(Duration::from_mins(1))).await;
        blocked.expect("the ticker goes on while the call blocks");
        ticks.await;
    }));
}

#[test]
fn as_many_threads_as_calls_block_at_once() {
    const CALLS: usize = 40;
    let barrier = Arc::new(Barrier::new(CALLS));
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let barrier = barrier.clone();
            spawn_blocking(move || {
                barrier.wait();
                number
            })
        })
        .collect();
    let sum = block_on(async {
        let mut sum = 0;
        for call in calls {
            sum += call.await;
        }
        sum
    });
    assert_eq!(sum, CALLS * (CALLS - 1) / 2);
}

/// One thread is there and asleep when two calls come that need each other: it is not to be counted on for both.
#[test]
fn a_sleeping_thread_is_good_for_one_call() -> std::io::Result<()> {
    let runtime = Runtime::new(1)?;
    runtime.block_on(runtime.spawn_blocking(|| ()));
    // Long enough for it to have fallen asleep, mostly: if not, the test is an easier one.
    std::thread::sleep(Duration::from_millis(10));
    let (sender, receiver) = mpsc::channel();
    let waits = runtime.spawn_blocking(move || receiver.recv_timeout(Duration::from_mins(1)));
    let sends = runtime.spawn_blocking(move || sender.send(()));
    runtime.block_on(async {
        waits.await.expect("the second call begins while the first waits");
        sends.await.unwrap();
    });
    Ok(())
}

#[test]
fn many_short_calls_come_back_each_with_its_own_result() {
    block_on(async {
        for number in 0..2_000 {
            assert_eq!(spawn_blocking(move || number).await, number);
        }
    });
}

#[test]
#[should_panic(expected = "on purpose")]
fn a_panic_arrives_where_the_call_is_awaited() {
    block_on(spawn_blocking(|| panic!("on purpose")));
}

#[test]
fn a_detached_call_runs_and_its_panic_is_reported() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    set_unhandled_hook(|panic| {
        if panic.message() == Some("lost") {
            TOLD.store(true, Ordering::Release);
        }
    });
    spawn_blocking(|| panic!("lost")).detach();
    while !TOLD.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The pool takes calls in order and has no more threads than it needs: with all of them held, the rest is queued.
#[test]
fn a_call_that_has_not_begun_is_dropped_with_its_handle() {
    const MOST: usize = 512;
    let began = Arc::new(AtomicU32::new(0));
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let holders: Vec<_> = (0..MOST)
        .map(|_| {
            let (began, held) = (began.clone(), held.clone());
            spawn_blocking(move || {
                began.fetch_add(1, Ordering::Relaxed);
                let _ = held.lock().unwrap().recv();
            })
        })
        .collect();
    let has_run = Arc::new(AtomicBool::new(false));
    let flag = has_run.clone();
    drop(spawn_blocking(move || flag.store(true, Ordering::Relaxed)));
    drop(release);
    block_on(async {
        for holder in holders {
            holder.await;
        }
    });
    assert_eq!(began.load(Ordering::Relaxed) as usize, MOST);
    while Arc::strong_count(&has_run) > 1 {
        std::thread::yield_now();
    }
    assert!(!has_run.load(Ordering::Relaxed));
}
