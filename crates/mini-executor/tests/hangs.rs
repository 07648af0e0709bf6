//! Polls that last too long are found and explained; others are left alone.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use mini_executor::watchdog::{Activity, Hang};
use mini_executor::{LocalExecutor, block_on, set_hang_hook, set_hang_threshold, sleep, spawn_blocking, yield_now};

const THRESHOLD: Duration = Duration::from_millis(100);
/// Long enough to be found, on a machine that does other things, too.
const LONG: Duration = Duration::from_millis(400);

static SAID: Mutex<Vec<Hang>> = Mutex::new(Vec::new());

fn note(hang: &Hang) {
    SAID.lock().unwrap().push(hang.clone());
}

/// Whether a function is on the stack whose name has that in it.
fn has_function(hang: &Hang, part: &str) -> bool {
    hang.stack.iter().any(|function| function.contains(part))
}

/// Hook and threshold are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_hang_hook(note);
    set_hang_threshold(Some(THRESHOLD));
    SAID.lock().unwrap().clear();
    alone
}

/// What was said of a thread, this one if none is named. Waits for so many reports: reading symbols takes its time. Should there be none,
/// it waits as long as the watchdog takes to notice.
fn said_of(thread: Option<&str>, reports: usize) -> Vec<Hang> {
    let patience = if reports == 0 { Duration::from_millis(300) } else { Duration::from_secs(30) };
    let this = std::thread::current();
    let thread = thread.or(this.name());
    let begin = Instant::now();
    loop {
        let mut said = SAID.lock().unwrap().clone();
        said.retain(|said| said.thread.as_deref() == thread);
        if begin.elapsed() > patience || (reports > 0 && said.len() >= reports) {
            return said;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn said() -> Vec<Hang> {
    said_of(None, 0)
}

/// The first report of that task, of this thread. Late ones of another task of this test may come before.
fn first(name: &str) -> Hang {
    let mut reports = 1;
    loop {
        let said = said_of(None, reports);
        if let Some(said) = said.iter().find(|said| said.name.as_deref() == Some(name)) {
            return said.clone();
        }
        assert!(said.len() >= reports, "{name} was not reported: {said:#?}");
        reports = said.len() + 1;
    }
}

/// Where what hangs was spawned, or `block_on` called.
fn place(hang: &Hang) -> Option<(&'static str, u32)> {
    hang.spawned.map(|place| (place.file(), place.line()))
}

#[inline(never)]
fn grind_for(time: Duration) -> u64 {
    let begin = Instant::now();
    let mut sum = 0_u64;
    while begin.elapsed() < time {
        for number in 0..1_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
    }
    sum
}

fn run_named<T>(name: &'static str, future: impl Future<Output = T>) -> T {
    let executor = LocalExecutor::new();
    let task = executor.spawn_named(name, future);
    block_on(executor.run(task))
}

#[test]
fn a_computing_task_is_reported_with_name_place_and_stack() {
    let _alone = alone();
    let executor = LocalExecutor::new();
    let (task, line) = (executor.spawn_named("grinder", async { grind_for(LONG) }), line!());
    block_on(executor.run(task));
    let grinder = first("grinder");
    assert!(grinder.is_task);
    assert_eq!(place(&grinder), Some((file!(), line)));
    assert!(grinder.lasted >= THRESHOLD, "{grinder:#?}");
    // Others use this machine, too.
    assert!(matches!(grinder.activity, Activity::Computing | Activity::NotScheduled), "{grinder:#?}");
    assert!(grinder.thread.as_ref().is_some_and(|name| name.contains("a_computing_task")));
    if cfg!(feature = "stacks") {
        assert!(has_function(&grinder, "grind_for") && grinder.to_string().contains("hangs.rs:"), "{grinder}");
        assert!(!has_function(&grinder, "mini_executor::"), "{grinder}");
    }
}

#[test]
fn a_call_that_blocks_where_it_may_is_no_hang() {
    let _alone = alone();
    // Its thread is known to the watchdog, which asks it at the end of a runtime.
    block_on(spawn_blocking(|| grind_for(LONG)));
    block_on(spawn_blocking(|| block_on(sleep(LONG))));
    assert!(said_of(Some("blocking"), 0).is_empty());
    let nested = || block_on(async { grind_for(LONG) });
    block_on(spawn_blocking(nested));
    assert!(!said_of(Some("blocking"), 1)[0].is_task);
}

#[test]
fn a_poll_is_reported_again_when_it_has_lasted_twice_as_long() {
    let _alone = alone();
    run_named("endless", async { grind_for(Duration::from_secs(3)) });
    let said = said_of(None, 2);
    let lasted: Vec<_> = said.iter().map(|said| said.lasted).collect();
    assert!((2..=6).contains(&lasted.len()), "{lasted:?}");
    assert!(lasted.windows(2).all(|pair| pair[1] >= 2 * pair[0]), "{lasted:?}");
}

#[test]
fn a_task_in_a_system_call_is_reported_with_the_call_and_sleeps_on() {
    let _alone = alone();
    let begin = Instant::now();
    run_named("sleeper", async { std::thread::sleep(LONG) });
    assert!(begin.elapsed() >= LONG);
    let sleeper = first("sleeper");
    // The kernel may be built without telling it.
    let is_told = std::fs::exists("/proc/self/syscall").unwrap();
    match sleeper.activity {
        Activity::SystemCall { number: 0.. } => assert!(sleeper.to_string().contains("nanosleep"), "{sleeper}"),
        Activity::Unknown if !is_told => {}
        _ => panic!("{sleeper:#?}"),
    }
    assert!(!cfg!(feature = "stacks") || has_function(&sleeper, "sleep"), "{sleeper}");
}

#[test]
fn an_interrupted_system_call_goes_on() {
    let _alone = alone();
    let (mut reader, mut writer) = UnixStream::pair().unwrap();
    let late = std::thread::spawn(move || {
        std::thread::sleep(LONG);
        writer.write_all(b"late").unwrap();
    });
    let mut buffer = [0; 16];
    // `read` alone hands EINTR on to its caller.
    let read = run_named("reader", async { reader.read(&mut buffer) });
    assert_eq!(read.unwrap(), 4);
    late.join().unwrap();
    // It was asked, and answered.
    first("reader");
}

#[test]
fn a_task_that_yields_for_ever_is_not_reported() {
    let _alone = alone();
    let yields = async {
        let begin = Instant::now();
        while begin.elapsed() < LONG {
            yield_now().await;
        }
    };
    run_named("yielder", yields);
    assert!(said().is_empty(), "{:#?}", said());
}

#[test]
fn ticks_one_by_one_are_not_one_poll() {
    let _alone = alone();
    let ended = std::cell::Cell::new(false);
    let executor = LocalExecutor::new();
    let yields = executor.spawn(async {
        while !ended.get() {
            yield_now().await;
        }
    });
    // In a task, which counts anew with each, and outside of any.
    let ticks = || {
        let begin = Instant::now();
        while begin.elapsed() < LONG {
            executor.try_tick();
        }
    };
    ticks();
    run_named("ticker", async { ticks() });
    ended.set(true);
    executor.try_tick();
    assert!(yields.is_finished());
    assert!(said().is_empty(), "{:#?}", said());
}

#[test]
fn who_waits_is_not_reported() {
    let _alone = alone();
    run_named("timer", sleep(LONG));
    run_named("call", spawn_blocking(|| std::thread::sleep(LONG)));
    block_on(sleep(LONG));
    run_named("quick", async {});
    assert!(said().is_empty(), "{:#?}", said());
}

#[test]
fn the_future_of_block_on_is_reported_with_the_call() {
    let _alone = alone();
    let line = line!() + 1;
    block_on(async { grind_for(LONG) });
    let said = said_of(None, 1);
    assert!(!said[0].is_task);
    assert_eq!(place(&said[0]), Some((file!(), line)));
}

#[test]
fn a_destructor_that_hangs_is_its_tasks() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            grind_for(LONG);
        }
    }
    let _alone = alone();
    let executor = LocalExecutor::new();
    let slow = Slow;
    let task = executor.spawn_named("reluctant", async move {
        let _slow = slow;
        std::future::pending::<()>().await;
    });
    block_on(executor.run(async {
        yield_now().await;
        task.cancel().await;
    }));
    first("reluctant");
}

#[test]
fn nothing_is_reported_when_it_is_off() {
    let _alone = alone();
    set_hang_threshold(None);
    run_named("unseen", async { grind_for(LONG) });
    assert!(said().is_empty());
    // And on again.
    set_hang_threshold(Some(THRESHOLD));
    run_named("seen", async { grind_for(LONG) });
    first("seen");
}

#[test]
fn two_threads_are_reported_each_with_its_own() {
    let _alone = alone();
    let hang = |name: &'static str| {
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            run_named(name, async { grind_for(2 * LONG) });
        })
    };
    let threads = [hang("left").unwrap(), hang("right").unwrap()];
    for thread in threads {
        thread.join().unwrap();
    }
    for name in ["left", "right"] {
        assert_eq!(said_of(Some(name), 1)[0].name.as_deref(), Some(name));
    }
}

#[test]
fn the_watchdog_wakes_when_a_thread_does() {
    let _alone = alone();
    run_named("before", async {
        // Everybody sleeps, the watchdog too.
        sleep(LONG).await;
        grind_for(LONG);
    });
    first("before");
}

/// How often the watchdog has gone to sleep, by the kernel's count.
fn sleeps_of_the_watchdog() -> u64 {
    let mut sleeps = None;
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        if read("comm").trim() == "mini-watchdog" {
            let status = read("status");
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sleeps = line.and_then(|count| count.trim().parse().ok());
        }
    }
    sleeps.expect("the watchdog's thread was not found")
}

#[test]
fn the_watchdog_sleeps_while_everybody_does() {
    let _alone = alone();
    block_on(sleep(LONG));
    let slept = block_on(async {
        // Long enough for it to notice.
        sleep(LONG).await;
        spawn_blocking(|| {
            let before = sleeps_of_the_watchdog();
            std::thread::sleep(2 * LONG);
            sleeps_of_the_watchdog() - before
        })
        .await
    });
    // Awake, it would have looked 80 times.
    assert!(slept < 20, "{slept}");
}

#[test]
fn a_poll_that_panics_in_block_on_is_over() {
    let _alone = alone();
    let quietly =
        || catch_unwind(AssertUnwindSafe(|| block_on(async { std::panic::resume_unwind(Box::new("out of luck")) })));
    assert!(quietly().is_err());
    std::thread::sleep(LONG);
    assert!(said().is_empty());
}

#[test]
fn a_hook_may_panic() {
    static CALLED: Once = Once::new();
    let _alone = alone();
    set_hang_hook(|_| {
        CALLED.call_once(|| {});
        std::panic::resume_unwind(Box::new("out of luck"));
    });
    run_named("first", async { grind_for(LONG) });
    CALLED.wait();
    set_hang_hook(note);
    run_named("second", async { grind_for(LONG) });
    first("second");
}
