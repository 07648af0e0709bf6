//! Same seed, same run: for a workload with a bit of everything.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use mini_executor::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use mini_executor::{LocalExecutor, Runtime, group, now, send_group, sleep, spawn_blocking, timeout, yield_now};

/// Tasks, channels, locks, timers, groups, calls that block, cancellation, wakers that are kept; and what they write down.
fn run(seed: u64) -> (String, Vec<String>) {
    let runtime = Runtime::deterministic(seed);
    let notes = Arc::new(StdMutex::new(Vec::new()));
    let begin = runtime.block_on(async { now() });
    let note = {
        let notes = notes.clone();
        move |text: String| notes.lock().unwrap().push(format!("{:?} {text}", now() - begin))
    };
    runtime.block_on(everything(&runtime, note.clone()));
    // Left over when the runtime ends: destructors have an order, too.
    for number in 0..20 {
        let (note, handle) = (note.clone(), runtime.handle());
        let left = Told(number, note.clone());
        let waits = async move {
            let _left = left;
            handle
                .spawn_named(format!("child of {number}"), async move { note(format!("child of {number}")) })
                .detach();
            pending::<()>().await;
        };
        runtime.spawn(waits).detach();
    }
    runtime.block_on(sleep_here());
    let trace = runtime.trace().unwrap().to_string();
    drop(runtime);
    let notes = notes.lock().unwrap().clone();
    (trace, notes)
}

async fn sleep_here() {
    sleep(Duration::from_millis(3)).await;
}

struct Told<N: Fn(String)>(u32, N);

impl<N: Fn(String)> Drop for Told<N> {
    fn drop(&mut self) {
        self.1(format!("{} is dropped", self.0));
    }
}

async fn everything(runtime: &Runtime, note: impl Fn(String) + Clone + Send + Sync + 'static) {
    let (sender, mut receiver) = mpsc::bounded(2);
    let (lock, semaphore) = (Arc::new(Mutex::new(0)), Arc::new(Semaphore::new(2)));
    let woken = Arc::new(Notify::new());
    let kept: Arc<StdMutex<Vec<Waker>>> = Arc::default();
    let mut tasks = Vec::new();
    for number in 0..10_u32 {
        let (sender, lock, semaphore) = (sender.clone(), lock.clone(), semaphore.clone());
        let (kept, note, woken) = (kept.clone(), note.clone(), woken.clone());
        tasks.push(runtime.spawn_named(format!("task {number}"), async move {
            let mut is_first = true;
            poll_fn(|context| {
                kept.lock().unwrap().push(context.waker().clone());
                if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            let permit = semaphore.acquire().await;
            *lock.lock().await += number;
            sleep(Duration::from_millis(u64::from(number % 3))).await;
            note(format!("{number} slept"));
            let _ = sender.send(number).await;
            drop(permit);
            woken.notify_one();
            let squared = spawn_blocking(move || number * number).await;
            let late = timeout(Duration::from_millis(1), sleep(Duration::from_millis(u64::from(number % 4)))).await;
            note(format!("{number}: {squared}, {late:?}"));
        }));
    }
    drop(sender);
    let wakes = runtime.spawn(async move {
        loop {
            let Some(waker) = kept.lock().unwrap().pop() else {
                sleep(Duration::from_micros(100)).await;
                continue;
            };
            waker.wake();
            yield_now().await;
        }
    });
    while let Some(number) = receiver.recv().await {
        note(format!("{number} received"));
        if number == 7 {
            note(format!("cancelled: {:?}", tasks.remove(3).cancel().await));
        }
    }
    woken.notified().await;
    let of_group = group(async |group| {
        let (give, take) = oneshot::channel();
        let first = group.spawn(async { take.await.unwrap_or(0) });
        group.spawn(async move {
            yield_now().await;
            let _ = give.send(5);
        });
        first.await
    });
    note(format!("group: {}", of_group.await));
    let sent = send_group(async |group| group.spawn(async { 6 }).await);
    note(format!("group: {}", sent.await));
    let local = LocalExecutor::new();
    let inner = local.spawn(async {
        yield_now().await;
        7
    });
    note(format!("local: {}", local.run(inner).await));
    for task in tasks {
        task.await;
    }
    let _: Option<()> = wakes.cancel().await;
    note(format!("sum {}", *lock.lock().await));
}

#[test]
fn a_seed_gives_the_same_run_byte_for_byte() {
    let mut traces = Vec::new();
    for seed in 0..40 {
        let first = run(seed);
        // What the allocator and the pools have is not the same any more.
        let _shifted: Vec<_> = (0..seed as usize * 7 % 13).map(|size| vec![0_u8; 64 + 16 * size]).collect();
        let second = std::thread::spawn(move || run(seed)).join().unwrap();
        assert_eq!(first, second, "seed {seed}");
        assert!(first.1.iter().any(|note| note.contains(" sum ")));
        traces.push(first.0);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 40, "each seed gives a run of its own");
}

/// Addresses differ from process to process, and so do the seeds of hash maps.
#[test]
fn two_processes_give_the_same_run() {
    const IN_CHILD: &str = "MINI_EXECUTOR_TEST_IS_CHILD";
    if std::env::var_os(IN_CHILD).is_some() {
        for seed in 0..10 {
            eprintln!("{:#?}", run(seed));
        }
        return;
    }
    let child = || {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "repeating::two_processes_give_the_same_run", "--nocapture"]);
        let done = child.env(IN_CHILD, "1").output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stderr).unwrap()
    };
    let first = child();
    assert!(first.contains("child of 19"), "{first}");
    assert_eq!(first, child());
}

#[test]
fn seed_0_is_first_come_first_served() {
    let runtime = Runtime::deterministic(0);
    let order = Arc::new(StdMutex::new(Vec::new()));
    let tasks = [1, 2, 3].map(|number| {
        let order = order.clone();
        runtime.spawn(async move {
            order.lock().unwrap().push(number);
            yield_now().await;
            order.lock().unwrap().push(10 * number);
        })
    });
    runtime.block_on(async {
        for task in tasks {
            task.await;
        }
    });
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 10, 20, 30]);
}
