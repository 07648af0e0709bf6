//! oversubscription: the same work, computing or waiting, shared by ever more threads.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, part_of, sum_of};
use crate::capability::{Jobs, Tasks, Threads, workers};

pub(super) struct Oversubscription;

const SUM: &str = "oversubscription/sum";
const FIXED: &str = "its number of threads does not depend on the work";

impl Workload for Oversubscription {
    const NAMES: &'static [&'static str] = &[SUM, "oversubscription/wait"];

    fn on_tasks<R: Tasks>(_: &str) -> Answer {
        Err(Refusal::unsupported(FIXED))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported(FIXED))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        if !R::OS_THREADS {
            return Err(Refusal::unsupported(FIXED));
        }
        let waits = name != SUM;
        Ok(Box::new(move |params, seed| {
            let len = params.integer("len", 1..=1 << 40)?;
            let threads = params.integer("threads_per_core", 1..=1_000)? * workers() as u64;
            let wait =
                if waits { Some(Duration::from_micros(params.integer("wait_us", 1..=10_000_000)?)) } else { None };
            Ok(Box::new(Shared { len, threads, wait, seed }))
        }))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("it is asked of threads"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported(FIXED))
    }
}

struct Shared {
    len: u64,
    threads: u64,
    /// How long is waited, `len` times a core, as for answers from elsewhere.
    wait: Option<Duration>,
    seed: u64,
}

impl Prepared for Shared {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        let Self { len, threads, wait, seed } = *self;
        // They wait by yielding, so that nobody has to be woken when it begins.
        let arrived = Arc::new(AtomicU64::new(0));
        let go = Arc::new(AtomicBool::new(false));
        let left = Arc::new((AtomicU64::new(threads), std::thread::current()));
        let mut all = Vec::new();
        for part in 0..threads {
            let (arrived, go, left) = (Arc::clone(&arrived), Arc::clone(&go), Arc::clone(&left));
            let body = move || {
                arrived.fetch_add(1, Ordering::AcqRel);
                while !go.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                let mut sum = 0;
                for _ in 0..iters {
                    if let Some(wait) = wait {
                        // As many a core, so that the threads have the same to do on any machine.
                        part_of(len * workers() as u64, part, threads).for_each(|_| std::thread::sleep(wait));
                    }
                    sum = sum_of(seed, part_of(black_box(len), part, threads));
                }
                if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                    left.1.unpark();
                }
                sum
            };
            let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(body);
            all.push(thread.map_err(|error| Refusal::failed(format!("thread {part} of {threads}: {error}")))?);
        }
        while arrived.load(Ordering::Acquire) < threads {
            std::thread::yield_now();
        }
        clock.start();
        go.store(true, Ordering::Release);
        while left.0.load(Ordering::Acquire) > 0 {
            std::thread::park();
        }
        clock.stop();
        let join = |thread: std::thread::JoinHandle<u64>| thread.join().expect("a sum does not panic");
        let sum = all.into_iter().fold(0, |sum: u64, thread| sum.wrapping_add(join(thread)));
        Ok(Work::new(iters, sum))
    }
}
