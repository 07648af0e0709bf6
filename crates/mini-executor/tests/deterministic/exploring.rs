//! What exploring finds, and how it tells.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_lite::FutureExt;
use mini_executor::deterministic::Trace;
use mini_executor::sync::{Mutex, mpsc};
use mini_executor::{LocalExecutor, Runtime, Task, explore, group, send_group, sleep, timeout, try_explore, yield_now};

use super::running::panic_of;

/// Reads, yields, writes: two of them may read the same.
async fn increment(count: Arc<AtomicU32>) {
    let read = count.load(Ordering::Relaxed);
    yield_now().await;
    count.store(read + 1, Ordering::Relaxed);
}

async fn two_increments(runtime: &Runtime) {
    let count = Arc::new(AtomicU32::new(0));
    let first = runtime.spawn_named("first", increment(count.clone()));
    let second = runtime.spawn_named("second", increment(count.clone()));
    first.await;
    second.await;
    assert_eq!(count.load(Ordering::Relaxed), 2, "an update is lost");
}

#[test]
fn a_lost_update_is_found_and_can_be_repeated() {
    let failed = try_explore(1.., two_increments).unwrap_err();
    assert!(
        failed.message.starts_with("the test panicked: ") && failed.message.contains("an update is lost"),
        "{failed}"
    );
    assert!(failed.is_repeated);
    // The seed is all that is needed.
    let runtime = Runtime::deterministic(failed.seed);
    let message = panic_of(|| runtime.block_on(two_increments(&runtime)));
    assert!(failed.message.ends_with(&message));
    assert_eq!(turns(&runtime.trace().unwrap()), turns(&failed.trace));
    // Both read before one of them writes.
    let of_tasks: Vec<_> = turns(&failed.trace).into_iter().filter(|turn| turn.contains("task")).collect();
    let outcomes: Vec<_> = of_tasks.iter().map(|turn| turn.split(' ').next().unwrap()).collect();
    assert_eq!(outcomes, ["yields", "yields", "ends", "ends"]);
}

/// What the lines of a listing say of each turn but its time and `block_on`'s place, which depend on the caller.
fn turns(trace: &Trace) -> Vec<String> {
    let told = trace.to_string();
    let line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().skip(3).collect();
        let is_task = words.contains(&"spawned");
        words[..if is_task { words.len() } else { 2 }].join(" ")
    };
    told.lines().skip(1).map(line).collect()
}

#[test]
fn with_a_lock_no_update_is_lost() {
    let explored = try_explore(0..1_000, async |runtime| {
        let count = Arc::new(Mutex::new(0));
        let increments: Vec<_> = (0..3)
            .map(|_| {
                let count = count.clone();
                runtime.spawn(async move {
                    let mut count = count.lock().await;
                    let read = *count;
                    yield_now().await;
                    *count = read + 1;
                })
            })
            .collect();
        for increment in increments {
            increment.await;
        }
        assert_eq!(*count.lock().await, 3);
    });
    let explored = explored.unwrap();
    assert_eq!(explored.runs, 1_000);
    assert!(explored.interleavings > 6, "{explored}");
}

#[test]
fn three_tasks_come_in_all_six_orders() {
    let orders = StdMutex::new(HashSet::new());
    explore(0..200, async |runtime| {
        let order = Arc::new(StdMutex::new(Vec::new()));
        let tasks = [1, 2, 3].map(|number| {
            let order = order.clone();
            runtime.spawn(async move { order.lock().unwrap().push(number) })
        });
        for task in tasks {
            task.await;
        }
        orders.lock().unwrap().insert(order.lock().unwrap().clone());
    });
    assert_eq!(orders.lock().unwrap().len(), 6);
}

/// In how many orders three come that run inside one task.
fn orders_inside(seeds: std::ops::Range<u64>, run: &impl AsyncFn(&(dyn Fn(u32) + Sync))) -> usize {
    let orders = StdMutex::new(HashSet::new());
    explore(seeds, async |_| {
        let order = StdMutex::new(Vec::new());
        run(&|number| order.lock().unwrap().push(number)).await;
        orders.lock().unwrap().insert(order.into_inner().unwrap());
    });
    orders.into_inner().unwrap().len()
}

#[test]
fn children_and_local_tasks_come_in_all_orders() {
    let in_group = async |note: &(dyn Fn(u32) + Sync)| {
        group(async |group| [1, 2, 3].map(|number| drop(group.spawn(async move { note(number) })))).await;
    };
    let in_send_group = async |note: &(dyn Fn(u32) + Sync)| {
        send_group(async |group| [1, 2, 3].map(|number| drop(group.spawn(async move { note(number) })))).await;
    };
    let in_local = async |note: &(dyn Fn(u32) + Sync)| {
        let executor = LocalExecutor::new();
        let tasks = [1, 2, 3].map(|number| executor.spawn(async move { note(number) }));
        executor
            .run(async {
                for task in tasks {
                    task.await;
                }
            })
            .await;
    };
    assert_eq!(orders_inside(1..300, &in_group), 6);
    assert_eq!(orders_inside(1..300, &in_send_group), 6);
    assert_eq!(orders_inside(1..300, &in_local), 6);
    // First come, first served.
    assert_eq!(orders_inside(0..1, &in_group), 1);
}

#[test]
fn others_come_between_the_children_of_a_group() {
    let failed = try_explore(0..200, async |runtime| {
        let count = Arc::new(AtomicU32::new(0));
        let [here, there] = [count.clone(), count.clone()].map(|count| {
            runtime.spawn(async move {
                send_group(async |group| {
                    group.spawn(async { count.store(1, Ordering::Relaxed) });
                    let reads = group.spawn(async { count.swap(0, Ordering::Relaxed) });
                    reads.await
                })
                .await
            })
        });
        let read = here.await + there.await;
        assert_eq!(read + count.load(Ordering::Relaxed), 2, "one store hides the other");
    });
    let told = failed.unwrap_err().to_string();
    assert!(told.contains("is polled") && told.contains("in task 1: one, spawned at"), "{told}");
}

#[test]
fn two_locks_in_opposite_order_are_a_deadlock() {
    let failed = try_explore(0..1_000, async |runtime| {
        let locks = Arc::new((Mutex::new(()), Mutex::new(())));
        let (mine, theirs) = (locks.clone(), locks);
        let there = runtime.spawn_named("first, then second", async move {
            let _first = mine.0.lock().await;
            yield_now().await;
            let _second = mine.1.lock().await;
        });
        let back = runtime.spawn_named("second, then first", async move {
            let _second = theirs.1.lock().await;
            let _first = theirs.0.lock().await;
        });
        there.await;
        back.await;
    });
    let failed = failed.unwrap_err();
    assert!(failed.message.starts_with("a deadlock"), "{failed}");
    let told = failed.to_string();
    for who in ["task 1 \"first, then second\"", "task 2 \"second, then first\"", "block_on at"] {
        assert!(failed.message.contains(who), "{told}");
    }
}

#[test]
fn a_result_and_its_time_out_at_the_same_moment_come_in_both_orders() {
    let (in_time, late) = (Cell::new(0), Cell::new(0));
    explore(0..100, async |runtime| {
        let (sender, mut receiver) = mpsc::bounded(1);
        let sends = runtime.spawn(async move {
            sleep(Duration::from_secs(1)).await;
            let _ = sender.send(()).await;
        });
        let receives = runtime.spawn(async move { timeout(Duration::from_secs(1), receiver.recv()).await.is_ok() });
        let counted = if receives.await { &in_time } else { &late };
        counted.set(counted.get() + 1);
        sends.await;
    });
    assert!(in_time.get() > 10 && late.get() > 10, "{} in time, {} late", in_time.get(), late.get());
}

#[test]
fn a_panic_that_nobody_hears_of_fails_the_run_at_once() {
    let failed = try_explore([5], async |runtime| {
        runtime.spawn_named("lonely", async { panic!("out of luck") }).detach();
        loop {
            yield_now().await;
        }
    });
    let failed = failed.unwrap_err();
    assert!(failed.message.starts_with("a task that nobody joins has panicked: \"lonely\""), "{failed}");
    assert!(failed.message.ends_with("out of luck"), "{failed}");
    assert!(turns(&failed.trace).last().unwrap().starts_with("panics task 1 \"lonely\""), "{failed}");
}

#[test]
fn a_destructor_that_panics_at_the_end_fails_the_run() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("out of luck");
        }
    }
    let failed = try_explore([5], async |runtime| {
        let panics = Panics;
        let waits = async move {
            let _panics = panics;
            std::future::pending::<()>().await;
        };
        runtime.spawn(waits).detach();
        sleep(Duration::from_secs(1)).await;
    });
    assert!(failed.unwrap_err().message.starts_with("a task that nobody joins has panicked"));
}

#[test]
fn a_panic_that_is_joined_fails_nothing() {
    explore(0..10, async |runtime| {
        let task: Task<()> = runtime.spawn(async { panic!("expected") });
        assert!(AssertUnwindSafe(task).catch_unwind().await.is_err());
    });
}

/// Somebody is held up while another one takes thirty turns: once in 2^30 runs by equal odds.
#[test]
fn what_takes_one_to_be_held_up_for_long_is_found() {
    let test = async |runtime: &Runtime| {
        let is_ready = Arc::new(AtomicU32::new(0));
        let prepares = is_ready.clone();
        let prepares = runtime.spawn_named("prepares", async move {
            yield_now().await;
            prepares.store(1, Ordering::Relaxed);
        });
        let uses = runtime.spawn_named("uses", async move {
            for _ in 0..30 {
                yield_now().await;
            }
            assert_eq!(is_ready.load(Ordering::Relaxed), 1, "used before it was ready");
        });
        prepares.await;
        uses.await;
    };
    let failed = try_explore(0..200, test).unwrap_err();
    assert!(failed.message.contains("used before it was ready"), "{failed}");
    assert_eq!(failed.seed % 2, 0, "by priorities");
    assert!(try_explore((1..200).step_by(2), test).is_ok(), "the odds are a hundred in 2^30");
}

#[test]
fn a_livelock_ends_by_the_limit() {
    let failed = try_explore([9], async |runtime| {
        let spins = || async {
            loop {
                yield_now().await;
            }
        };
        let first: Task<()> = runtime.spawn(spins());
        let second: Task<()> = runtime.spawn(spins());
        first.await;
        second.await;
    });
    let failed = failed.unwrap_err();
    assert!(failed.is_repeated && failed.message.contains("no end after 1000000 steps"), "{}", failed.message);
}

#[test]
fn what_the_seed_does_not_decide_is_told() {
    let runs = Cell::new(0);
    let failed = try_explore([1], async |_| {
        runs.set(runs.get() + 1);
        for _ in 0..runs.get() {
            yield_now().await;
        }
        panic!("out of luck");
    });
    let failed = failed.unwrap_err();
    assert!(!failed.is_repeated);
    assert!(failed.to_string().contains("NOT the same"), "{failed}");
}

#[test]
fn explore_panics_with_seed_and_interleaving() {
    let message = panic_of(|| explore(1..100, two_increments));
    let failed = try_explore(1..100, two_increments).unwrap_err();
    // Called from elsewhere, so the places of block_on differ, and nothing else.
    let same =
        |text: &str| text.lines().filter(|line| !line.contains("block_on")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(same(&message), same(&failed.to_string()));
    assert!(message.starts_with(&format!("with seed {}, ", failed.seed)), "{message}");
    assert!(message.contains("\"first\"") && message.contains("Runtime::deterministic("), "{message}");
}

#[test]
fn of_a_long_run_the_end_is_listed() {
    let runtime = Runtime::deterministic(0);
    runtime.block_on(async {
        for _ in 0..20_000 {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let told = runtime.trace().unwrap().to_string();
    assert_eq!(told.lines().count(), 202, "{told}");
    assert!(told.contains("the first 19801 turns are not kept"), "{told}");
    assert!(told.lines().last().unwrap().contains("20001"), "{told}");
}
