//! A deterministic runtime by itself: time, calls that block, what it refuses, its end.

use std::future::pending;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use mini_executor::{Async, Runtime, interval, now, sleep, sleep_until, spawn_blocking, timeout, yield_now};

const HOUR: Duration = Duration::from_hours(1);

/// What `call` panics with.
pub(crate) fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).err().expect("it panics");
    let literal = panic.downcast_ref::<&'static str>().map(|message| (*message).to_owned());
    literal.or_else(|| panic.downcast_ref::<String>().cloned()).expect("with a message")
}

#[test]
fn ticks_and_time_outs_may_be_late_by_their_slack_and_stay_on_schedule() {
    const MS: Duration = Duration::from_millis(1);
    let since = |begin: Instant| (now() - begin).as_millis();
    let times = Runtime::deterministic(1).block_on(async {
        let begin = now();
        let mut ticks = interval(2 * MS).slack(5 * MS);
        let mut times = Vec::new();
        for _ in 0..5 {
            ticks.tick().await;
            times.push(since(begin));
        }
        let late = sleep(MS).slack(5 * MS);
        assert!(timeout(late, pending::<()>()).await.is_err());
        times.push(since(begin));
        times
    });
    assert_eq!(times, [5, 5, 10, 10, 10, 15]);
    // Its time begins with the first poll, here in virtual time.
    let took = Runtime::deterministic(1);
    let waits = timeout(HOUR, pending::<()>());
    let took = took.block_on(async {
        let begin = now();
        assert!(waits.await.is_err());
        now() - begin
    });
    assert_eq!(took, HOUR);
}

#[test]
fn time_is_virtual() {
    let begin = Instant::now();
    let runtime = Runtime::deterministic(3);
    let times = runtime.block_on(async {
        let begin = now();
        sleep(HOUR).await;
        let slept = now() - begin;
        for _ in 0..1_000 {
            yield_now().await;
        }
        let yielded = now() - begin;
        sleep_until(begin + 3 * HOUR).await;
        let until = now() - begin;
        let mut ticks = interval(HOUR);
        for _ in 0..24 {
            ticks.tick().await;
        }
        [slept, yielded, until, now() - begin]
    });
    assert_eq!(times, [HOUR, HOUR, 3 * HOUR, 27 * HOUR]);
    assert!(begin.elapsed() < HOUR);
    // It goes on where it stood, and outside it is real.
    let first = runtime.block_on(async { now() });
    let second = runtime.block_on(async { now() });
    assert_eq!(first, second);
    assert!(now() - begin < HOUR);
    let told = runtime.trace().unwrap().to_string();
    assert!(told.lines().last().unwrap().contains(&format!("{}.000000 s", 27 * 3_600)), "{told}");
}

#[test]
fn timers_fire_in_order_and_time_stands_still_while_anybody_is_ready() {
    for seed in 0..20 {
        let runtime = Runtime::deterministic(seed);
        let order = Arc::new(StdMutex::new(Vec::new()));
        let sleepers: Vec<_> = [5, 2, 9, 4]
            .map(|seconds| {
                let order = order.clone();
                runtime.spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    order.lock().unwrap().push(seconds);
                })
            })
            .into();
        runtime.block_on(async {
            let begin = now();
            for _ in 0..100 {
                yield_now().await;
            }
            assert_eq!(begin, now());
            for sleeper in sleepers {
                sleeper.await;
            }
        });
        assert_eq!(*order.lock().unwrap(), [2, 4, 5, 9]);
    }
}

#[test]
fn a_timer_that_is_dropped_does_not_move_time() {
    let runtime = Runtime::deterministic(1);
    let took = runtime.block_on(async {
        let begin = now();
        assert_eq!(timeout(HOUR, async { 1 }).await, Ok(1));
        assert!(timeout(Duration::from_secs(1), sleep(HOUR)).await.is_err());
        now() - begin
    });
    assert_eq!(took, Duration::from_secs(1));
}

#[test]
fn calls_that_block_are_steps_on_the_same_thread() {
    let here = std::thread::current().id();
    let runtime = Runtime::deterministic(5);
    let handle = runtime.handle();
    let sum = runtime.block_on(async {
        let method = runtime.spawn_blocking(move || (std::thread::current().id() == here).into());
        let of_handle = handle.spawn_blocking(|| 10);
        let free = spawn_blocking(move || if std::thread::current().id() == here { 100 } else { 0 });
        // One whose handle is dropped does not begin.
        drop(runtime.spawn_blocking(|| panic!("never called")));
        let sum: u32 = method.await;
        sum + of_handle.await + free.await
    });
    assert_eq!(sum, 111);
}

#[test]
fn a_call_that_panics_panics_where_it_is_awaited() {
    let runtime = Runtime::deterministic(5);
    let message = panic_of(|| runtime.block_on(runtime.spawn_blocking(|| -> u32 { panic!("out of luck") })));
    assert_eq!(message, "out of luck");
}

#[test]
fn descriptors_are_refused_with_the_remedy() {
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let (outside, _open) = (Async::new(one).unwrap(), other.try_clone().unwrap());
    let runtime = Runtime::deterministic(2);
    runtime.block_on(async {
        let inside = Async::new(other).unwrap_err();
        assert_eq!(inside.kind(), ErrorKind::Unsupported);
        assert!(inside.to_string().contains("give it channels"), "{inside}");
        let mut buffer = [0; 8];
        let read = outside.read_with(|mut stream| std::io::Read::read(&mut stream, &mut buffer)).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn block_on_inside_is_refused_as_everywhere() {
    let runtime = Runtime::deterministic(2);
    let inner = Runtime::deterministic(2);
    for message in [
        panic_of(|| runtime.block_on(async { mini_executor::block_on(async {}) })),
        panic_of(|| runtime.block_on(async { inner.block_on(async {}) })),
        panic_of(|| runtime.block_on(async { runtime.block_on(async {}) })),
    ] {
        assert!(message.starts_with("block_on inside block_on"), "{message}");
    }
    // And it is in order afterwards.
    assert_eq!(runtime.block_on(async { 1 }), 1);
    assert_eq!(mini_executor::block_on(async { 2 }), 2);
}

#[test]
fn a_panic_leaves_the_runtime_in_order() {
    let runtime = Runtime::deterministic(4);
    let before = runtime.spawn(async {
        yield_now().await;
        "before"
    });
    assert_eq!(panic_of(|| runtime.block_on(async { panic!("out of luck") })), "out of luck");
    let told = runtime.trace().unwrap().to_string();
    assert!(told.lines().last().unwrap().contains("panics"), "{told}");
    assert_eq!(runtime.block_on(before), "before");
}

#[test]
fn a_deadlock_is_told_with_who_waits() {
    let runtime = Runtime::deterministic(4);
    let stuck = runtime.spawn_named("stuck", pending::<()>());
    let message = panic_of(|| runtime.block_on(stuck));
    assert!(message.starts_with("a deadlock"), "{message}");
    let who = format!("task 1 \"stuck\", spawned at {}", file!());
    assert!(message.contains(&who) && message.contains("block_on at "), "{message}");
}

struct Noted(&'static AtomicU32);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn dropping_the_runtime_drops_what_is_left() {
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    let runtime = Runtime::deterministic(6);
    for seconds in 0..10 {
        let noted = Noted(&DROPPED);
        let waits = async move {
            let _noted = noted;
            sleep(Duration::from_secs(seconds)).await;
            pending::<()>().await;
        };
        runtime.spawn(waits).detach();
    }
    let noted = Noted(&DROPPED);
    runtime.spawn_blocking(move || drop(noted)).detach();
    runtime.block_on(sleep(Duration::from_secs(5)));
    let noted = Noted(&DROPPED);
    runtime.spawn_blocking(move || drop(noted)).detach();
    assert_eq!(DROPPED.load(Ordering::Relaxed), 1);
    let handle = runtime.handle();
    drop(runtime);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 12);
    let noted = Noted(&DROPPED);
    handle.spawn(async move { drop(noted) }).detach();
    assert_eq!(DROPPED.load(Ordering::Relaxed), 13);
}

#[test]
fn futures_are_dropped_in_the_order_of_spawn() {
    struct Told(u32, Arc<StdMutex<Vec<u32>>>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let order = Arc::new(StdMutex::new(Vec::new()));
    let runtime = Runtime::deterministic(0);
    for number in 0..100 {
        let told = Told(number, order.clone());
        let waits = async move {
            let _told = told;
            pending::<()>().await;
        };
        runtime.spawn(waits).detach();
    }
    runtime.block_on(sleep(HOUR));
    drop(runtime);
    assert!(order.lock().unwrap().iter().copied().eq(0..100));
}

#[test]
fn shutdown_runs_what_there_is_in_virtual_time() {
    static CALLED: AtomicU32 = AtomicU32::new(0);
    let runtime = Runtime::deterministic(8);
    for hours in 1..=5 {
        runtime.spawn(sleep(hours * HOUR)).detach();
    }
    let report = runtime.shutdown(3 * HOUR + HOUR / 2);
    assert_eq!((report.finished, report.cancelled, report.stuck.len()), (3, 2, 0));
    let runtime = Runtime::deterministic(8);
    runtime.spawn(async { yield_now().await }).detach();
    for _ in 0..10 {
        runtime.spawn_blocking(|| CALLED.fetch_add(1, Ordering::Relaxed)).detach();
    }
    let report = runtime.shutdown(HOUR);
    assert_eq!((report.finished, report.cancelled, CALLED.load(Ordering::Relaxed)), (1, 0, 10));
}

#[test]
fn two_threads_in_one_runtime_are_refused() {
    let runtime = Runtime::deterministic(8);
    let message = runtime.block_on(async {
        std::thread::scope(|scope| scope.spawn(|| panic_of(|| runtime.block_on(async {}))).join().unwrap())
    });
    assert!(message.contains("on two threads at once"), "{message}");
    runtime.block_on(async {});
}

#[test]
fn other_threads_keep_real_time() {
    let runtime = Runtime::deterministic(8);
    let (virtual_hours, real) = runtime.block_on(async {
        let begin = now();
        sleep(100 * HOUR).await;
        (now() - begin, std::thread::spawn(|| (now(), Instant::now())).join().unwrap())
    });
    assert_eq!(virtual_hours, 100 * HOUR);
    assert!(real.1 - real.0 < HOUR);
}
