//! yield: what a switch to another unit costs, when the unit asks for it.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, mix, not_started};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Yields;

const ONE: &str = "yield/one";
const MOST_YIELDS: u64 = 1_000_000_000;

impl Workload for Yields {
    const NAMES: &'static [&'static str] = &[ONE, "yield/many"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        let one = name == ONE;
        if let (false, Some(why)) = (one, R::YIELDS_STARVE) {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(move |params, seed| {
            let n = params.integer("n", 1..=MOST_YIELDS)?;
            if one {
                let runtime = R::start().map_err(|error| not_started(&error))?;
                return Ok(Box::new(OneTask { runtime, n, seed }));
            }
            let tasks = params.integer("tasks", 1..=1_000_000)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(ManyTasks { runtime, tasks, n, seed }))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a pooled job keeps its worker until it ends: it can't let the next one have a turn"))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        let one = name == ONE;
        Ok(Box::new(move |params, seed| {
            let n = params.integer("n", 1..=MOST_YIELDS)?;
            R::start().map_err(|error| not_started(&error))?;
            if one {
                return Ok(Box::new(OneThread { n, seed, run: one_thread::<R> }));
            }
            let tasks = params.integer("tasks", 1..=20_000)?;
            if R::OS_THREADS {
                return Ok(Box::new(ManyThreads { tasks, n, seed }));
            }
            Ok(Box::new(ManyCoroutines::<R> { tasks, n, seed, runtime: PhantomData }))
        }))
    }

    fn on_processes<R: Jobs>(name: &str) -> Answer {
        if name == ONE {
            // A process of one thread yields as that thread does.
            return Ok(Box::new(|params, seed| {
                let n = params.integer("n", 1..=MOST_YIELDS)?;
                Ok(Box::new(OneThread {
                    n,
                    seed,
                    run: |n, seed, iters| yields(n, seed, iters, std::thread::yield_now),
                }))
            }));
        }
        Err(Refusal::unsupported("1,000 live processes are more than this workload may ask of a machine"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported(
            "rayon's yield runs another job to its end on top of this one: it does not take turns",
        ))
    }
}

struct OneTask<R> {
    runtime: R,
    n: u64,
    seed: u64,
}

impl<R: Tasks> Prepared for OneTask<R> {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let (n, seed) = (self.n, self.seed);
        let checksum = self.runtime.run(async move {
            let mut checksum = 0;
            for _ in 0..iters {
                checksum = 0_u64;
                for index in 0..n {
                    R::yield_now().await;
                    checksum = checksum.wrapping_add(mix(seed, index));
                }
            }
            checksum
        });
        Ok(Work::new(iters * n, checksum))
    }
}

struct OneThread {
    n: u64,
    seed: u64,
    run: fn(u64, u64, u64) -> u64,
}

impl Prepared for OneThread {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        Ok(Work::new(iters * self.n, (self.run)(self.n, self.seed, iters)))
    }
}

fn one_thread<R: Threads>(n: u64, seed: u64, iters: u64) -> u64 {
    R::run(move || yields(n, seed, iters, R::yield_now))
}

fn yields(n: u64, seed: u64, iters: u64, yield_now: impl Fn()) -> u64 {
    let mut checksum = 0;
    for _ in 0..iters {
        checksum = 0_u64;
        for index in 0..n {
            yield_now();
            checksum = checksum.wrapping_add(mix(seed, index));
        }
    }
    checksum
}

struct ManyTasks<R> {
    runtime: R,
    tasks: u64,
    n: u64,
    seed: u64,
}

/// Where tasks wait until all of them stand. Opening it costs one wake a task, against hundreds of yields each.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    arrived: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    async fn pass(&self) {
        let mut counted = false;
        poll_fn(|context| {
            if self.open.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let mut waiting = locked(&self.waiting);
            // Under the lock once more: opening takes it, so that nobody is left behind.
            if self.open.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            waiting.push(context.waker().clone());
            if !std::mem::replace(&mut counted, true) {
                self.arrived.fetch_add(1, Ordering::AcqRel);
            }
            Poll::Pending
        })
        .await;
    }

    fn open(&self) {
        let waiting = {
            let mut waiting = locked(&self.waiting);
            self.open.store(true, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<R: Tasks> Prepared for ManyTasks<R> {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        let (tasks, seed) = (self.tasks, self.seed);
        let yields = self.n * iters;
        let gate = Arc::new(Gate::default());
        let inside = Arc::clone(&gate);
        let handles = self.runtime.run(async move {
            let task = |unit: u64| {
                let gate = Arc::clone(&inside);
                R::spawn(async move {
                    gate.pass().await;
                    for _ in 0..yields {
                        R::yield_now().await;
                    }
                    mix(seed, unit)
                })
            };
            let handles: Vec<_> = (0..tasks).map(task).collect();
            while inside.arrived.load(Ordering::Acquire) < tasks {
                R::yield_now().await;
            }
            handles
        });
        clock.start();
        let checksum = self.runtime.run(async move {
            gate.open();
            let mut checksum = 0_u64;
            for handle in handles {
                checksum = checksum.wrapping_add(handle.await);
            }
            checksum
        });
        clock.stop();
        Ok(Work::new(iters * self.n * tasks, checksum))
    }
}

struct ManyThreads {
    tasks: u64,
    n: u64,
    seed: u64,
}

impl Prepared for ManyThreads {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        let yields = self.n * iters;
        let seed = self.seed;
        // They all stand before the clock starts, and it stops when the last has yielded its last: neither making nor ending a
        // thread is in the figure. They wait by yielding, so that nobody has to be woken when it begins.
        let arrived = Arc::new(AtomicU64::new(0));
        let go = Arc::new(AtomicBool::new(false));
        let left = Arc::new((AtomicU64::new(self.tasks), std::thread::current()));
        let mut threads = Vec::new();
        for unit in 0..self.tasks {
            let (arrived, go, left) = (Arc::clone(&arrived), Arc::clone(&go), Arc::clone(&left));
            let body = move || {
                arrived.fetch_add(1, Ordering::AcqRel);
                while !go.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                for _ in 0..yields {
                    std::thread::yield_now();
                }
                let result = mix(seed, unit);
                if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                    left.1.unpark();
                }
                result
            };
            let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(body);
            threads.push(thread.map_err(|error| Refusal::failed(format!("thread {unit} of {}: {error}", self.tasks)))?);
        }
        while arrived.load(Ordering::Acquire) < self.tasks {
            std::thread::yield_now();
        }
        clock.start();
        go.store(true, Ordering::Release);
        while left.0.load(Ordering::Acquire) > 0 {
            std::thread::park();
        }
        clock.stop();
        let checksum = threads
            .into_iter()
            .fold(0, |sum: u64, thread| sum.wrapping_add(thread.join().expect("a unit that yields does not panic")));
        Ok(Work::new(iters * self.n * self.tasks, checksum))
    }
}

/// Coroutines are made in one run and yield in another, so that making them is not timed.
struct ManyCoroutines<R> {
    tasks: u64,
    n: u64,
    seed: u64,
    runtime: PhantomData<R>,
}

/// Units that wait for the start.
struct Standing<R: Threads> {
    units: Vec<R::Unit>,
    handles: Vec<R::Handle>,
}

impl<R: Threads> Prepared for ManyCoroutines<R> {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        let (tasks, seed) = (self.tasks, self.seed);
        let yields = self.n * iters;
        let standing = Arc::new(Mutex::new(Standing::<R> { units: Vec::new(), handles: Vec::new() }));
        let open = Arc::new(AtomicBool::new(false));
        let (made, gate) = (Arc::clone(&standing), Arc::clone(&open));
        R::run(move || {
            let root = R::this();
            for unit in 0..tasks {
                let (gate, arrived, root) = (Arc::clone(&gate), Arc::clone(&made), root.clone());
                let handle = R::spawn(move || {
                    locked(&arrived).units.push(R::this());
                    R::unpark(&root);
                    while !gate.load(Ordering::Acquire) {
                        R::park();
                    }
                    for _ in 0..yields {
                        R::yield_now();
                    }
                    mix(seed, unit)
                });
                locked(&made).handles.push(handle);
            }
            // Parked: beside a unit that yields, may starts no new one.
            while (locked(&made).units.len() as u64) < tasks {
                R::park();
            }
            0
        });
        let Standing { units, handles } =
            std::mem::replace(&mut *locked(&standing), Standing { units: Vec::new(), handles: Vec::new() });
        clock.start();
        let checksum = R::run(move || {
            open.store(true, Ordering::Release);
            units.iter().for_each(R::unpark);
            handles.into_iter().fold(0, |sum: u64, handle| sum.wrapping_add(R::join(handle)))
        });
        clock.stop();
        Ok(Work::new(iters * self.n * tasks, checksum))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
