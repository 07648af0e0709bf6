//! What mini-executor's operations cost, on an executor of one thread and on a runtime with two workers: to browse while changing it.
//! How it compares with others is decided elsewhere, by paired rounds: `cargo xtask compare-runtimes`.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use mini_executor::sync::{Mutex, mpsc};
use mini_executor::{Handle, LocalExecutor, Runtime, Task, block_on, set_hang_hook, sleep, spawn_blocking, yield_now};

/// Tasks of a batch, and of those that yield to one another.
const MANY: u64 = 1_000;

/// What both kinds spawn with.
trait Spawn: Clone + Send + 'static {
    fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T>;
}

impl Spawn for Handle {
    #[track_caller]
    fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Self::spawn(self, future)
    }
}

thread_local! {
    static LOCAL: LocalExecutor<'static> = const { LocalExecutor::new() };
}

/// Spawns on the thread's own executor.
#[derive(Clone)]
struct Here;

impl Spawn for Here {
    #[track_caller]
    fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        LOCAL.with(|executor| executor.spawn(future))
    }
}

/// Times `operation`, many times in a row and inside one task.
async fn repeated<F: Future>(times: u64, mut operation: impl FnMut() -> F) -> Duration {
    let begin = Instant::now();
    for _ in 0..times {
        black_box(operation().await);
    }
    begin.elapsed()
}

async fn join_all<T>(tasks: impl IntoIterator<Item = Task<T>>) {
    for task in tasks {
        task.await;
    }
}

async fn yields(_: impl Spawn, times: u64) -> Duration {
    repeated(times, yield_now).await
}

async fn yields_among_many(spawner: impl Spawn, times: u64) -> Duration {
    let unit = || async move {
        for _ in 0..times {
            yield_now().await;
        }
    };
    let tasks: Vec<_> = (0..MANY).map(|_| spawner.spawn(unit())).collect();
    // On the runtime the second worker has begun by now: what is missing is at most the time of the spawns.
    let begin = Instant::now();
    join_all(tasks).await;
    begin.elapsed()
}

async fn spawns_one_by_one(spawner: impl Spawn, times: u64) -> Duration {
    repeated(times, || spawner.spawn(async {})).await
}

async fn spawns_in_batches(spawner: impl Spawn, times: u64) -> Duration {
    let mut tasks = Vec::with_capacity(MANY as usize);
    let begin = Instant::now();
    for _ in 0..times {
        tasks.extend((0..MANY).map(|_| spawner.spawn(async {})));
        join_all(tasks.drain(..)).await;
    }
    begin.elapsed()
}

async fn round_trips(spawner: impl Spawn, times: u64) -> Duration {
    let (requests, mut asked) = mpsc::bounded(1);
    let (answers, mut answered) = mpsc::bounded(1);
    let other = spawner.spawn(async move {
        while let Some(request) = asked.recv().await {
            if answers.send(request).await.is_err() {
                break;
            }
        }
    });
    let begin = Instant::now();
    for number in 0..times {
        requests.send(number).await.expect("the other receives");
        assert_eq!(answered.recv().await, Some(number));
    }
    let taken = begin.elapsed();
    drop(requests);
    other.await;
    taken
}

async fn timers(_: impl Spawn, times: u64) -> Duration {
    let arm = || {
        poll_fn(|context| {
            assert!(pin!(sleep(Duration::from_mins(1))).poll(context).is_pending());
            Poll::Ready(())
        })
    };
    repeated(times, arm).await
}

async fn locks(_: impl Spawn, times: u64) -> Duration {
    let mutex = Mutex::new(0_u64);
    repeated(times, async || *mutex.lock().await += 1).await
}

/// Two tasks that hold the lock over a yield: each turn hands it over.
async fn locks_handed_over(spawner: impl Spawn, times: u64) -> Duration {
    let mutex = Arc::new(Mutex::new(0_u64));
    let turns = |times: u64| {
        let mutex = mutex.clone();
        async move {
            for _ in 0..times {
                let mut guard = mutex.lock().await;
                yield_now().await;
                *guard += 1;
            }
        }
    };
    let begin = Instant::now();
    join_all([times / 2, times - times / 2].map(|times| spawner.spawn(turns(times)))).await;
    begin.elapsed()
}

async fn calls(_: impl Spawn, times: u64) -> Duration {
    repeated(times, || spawn_blocking(|| black_box(7))).await
}

/// An executor of its own for each kind and each workload: what one left behind is not in the next one's way.
macro_rules! both_kinds {
    ($criterion:ident: $($name:literal, $elements:expr, $workload:ident;)*) => {
        $({
            let mut group: BenchmarkGroup<'_, WallTime> = $criterion.benchmark_group($name);
            group.throughput(Throughput::Elements($elements));
            group.bench_function("LocalExecutor", |bencher| {
                bencher.iter_custom(|times| {
                    LOCAL.with(|executor| block_on(executor.run(executor.spawn($workload(Here, times)))))
                });
            });
            let runtime = Runtime::new(2).expect("two threads");
            group.bench_function("Runtime of 2", |bencher| {
                bencher.iter_custom(|times| block_on(runtime.spawn($workload(runtime.handle(), times))));
            });
            group.finish();
        })*
    };
}

fn operations(criterion: &mut Criterion) {
    // Some of these tasks never have to wait: they hold their thread, as the watchdog would say all the while.
    set_hang_hook(|_| {});
    both_kinds! { criterion:
        "yield, one task", 1, yields;
        "yield, among 1,000 tasks", MANY, yields_among_many;
        "spawn and join, one by one", 1, spawns_one_by_one;
        "spawn 1,000, join all", MANY, spawns_in_batches;
        "channel round trip", 1, round_trips;
        "arm and drop a timer", 1, timers;
        "mutex, lock and unlock", 1, locks;
        "mutex, handed from task to task", 1, locks_handed_over;
        "spawn_blocking and back", 1, calls;
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(50).without_plots();
    targets = operations
}
criterion_main!(benches);
