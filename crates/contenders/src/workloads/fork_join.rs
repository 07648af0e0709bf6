//! fork-join: CPU work in parts.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, not_started, part_of, sum_of};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct ForkJoin;

const SUM: &str = "fork-join/sum";

impl Workload for ForkJoin {
    const NAMES: &'static [&'static str] = &[SUM, "fork-join/fib"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        if name == SUM {
            return sum(|seed| {
                let runtime = R::start().map_err(|error| not_started(&error))?;
                Ok(Box::new(move |len, parts| runtime.run(task_sum::<R>(seed, len, parts))))
            });
        }
        fib(|| {
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(move |n, cutoff| runtime.run(task_fib::<R>(n, cutoff))))
        })
    }

    fn on_jobs<R: Jobs>(name: &str) -> Answer {
        if name == SUM {
            return sum(|seed| {
                R::start().map_err(|error| not_started(&error))?;
                Ok(Box::new(move |len, parts| job_sum::<R>(seed, len, parts)))
            });
        }
        Err(Refusal::unsupported("a pooled job that waits for jobs of its own deadlocks a fixed pool"))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        if name == SUM {
            return sum(|seed| {
                R::start().map_err(|error| not_started(&error))?;
                Ok(Box::new(move |len, parts| R::run(move || job_sum::<R>(seed, len, parts))))
            });
        }
        fib(|| {
            R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(|n, cutoff| R::run(move || job_fib::<R>(n, cutoff))))
        })
    }

    fn on_processes<R: Jobs>(name: &str) -> Answer {
        if name == SUM {
            return Self::on_jobs::<R>(name);
        }
        fib(|| {
            R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(job_fib::<R>))
        })
    }

    fn on_scope(name: &str) -> Answer {
        if name == SUM {
            return sum(|seed| Ok(Box::new(move |len, parts| scope_sum(seed, len, parts))));
        }
        fib(|| Ok(Box::new(scope_fib)))
    }

    fn on_rayon(name: &str) -> Answer {
        if name == SUM {
            return sum(|seed| {
                Ok(Box::new(move |len, parts| {
                    use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
                    let part = |part: usize| sum_of(seed, part_of(len, part as u64, parts));
                    (0..parts as usize).into_par_iter().with_max_len(1).map(part).reduce(|| 0, u64::wrapping_add)
                }))
            });
        }
        // Joined from inside the pool, as a program built on rayon would.
        fib(|| Ok(Box::new(|n, cutoff| rayon::scope(|_| rayon_fib(n, cutoff)))))
    }

    fn on_floor<R: Tasks>(name: &str) -> Answer {
        if name == SUM {
            return sum(|seed| Ok(Box::new(move |len, _| sum_of(seed, 0..len))));
        }
        fib(|| Ok(Box::new(|n, _| plain_fib(n))))
    }
}

/// Two numbers in, the result out.
type Operation = Box<dyn FnMut(u64, u64) -> u64>;

struct Repeat {
    operation: Operation,
    first: u64,
    second: u64,
    /// Added to the result, so that the seed shows in every checksum.
    seed: u64,
}

impl Prepared for Repeat {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let mut result = 0;
        for _ in 0..iters {
            result = (self.operation)(black_box(self.first), black_box(self.second));
        }
        Ok(Work::new(iters, result.wrapping_add(self.seed)))
    }
}

fn sum(start: impl FnOnce(u64) -> Result<Operation, Refusal> + 'static) -> Answer {
    Ok(Box::new(move |params, seed| {
        let first = params.integer("len", 1..=1 << 40)?;
        let second = params.integer("parts", 1..=100_000)?;
        Ok(Box::new(Repeat { operation: start(seed)?, first, second, seed: 0 }))
    }))
}

fn fib(start: impl FnOnce() -> Result<Operation, Refusal> + 'static) -> Answer {
    Ok(Box::new(move |params, seed| {
        let first = params.integer("n", 1..=45)?;
        let second = params.integer("cutoff", 1..=45)?;
        Ok(Box::new(Repeat { operation: start()?, first, second, seed }))
    }))
}

async fn task_sum<R: Tasks>(seed: u64, len: u64, parts: u64) -> u64 {
    let spawn = |part| R::spawn(async move { sum_of(seed, part_of(len, part, parts)) });
    let handles: Vec<_> = (0..parts).map(spawn).collect();
    let mut sum = 0_u64;
    for handle in handles {
        sum = sum.wrapping_add(handle.await);
    }
    sum
}

fn job_sum<R: Jobs>(seed: u64, len: u64, parts: u64) -> u64 {
    let spawn = |part| R::spawn(move || sum_of(seed, part_of(len, part, parts)));
    let handles: Vec<_> = (0..parts).map(spawn).collect();
    handles.into_iter().fold(0, |sum, handle| sum.wrapping_add(R::join(handle)))
}

fn scope_sum(seed: u64, len: u64, parts: u64) -> u64 {
    let scoped = crossbeam_utils::thread::scope(|scope| {
        let spawn = |part| scope.spawn(move |_| sum_of(seed, part_of(len, part, parts)));
        let handles: Vec<_> = (0..parts).map(spawn).collect();
        let join = |sum: u64, handle: crossbeam_utils::thread::ScopedJoinHandle<'_, u64>| {
            sum.wrapping_add(handle.join().expect("a sum does not panic"))
        };
        handles.into_iter().fold(0, join)
    });
    scoped.expect("a sum does not panic")
}

fn scope_fib(n: u64, cutoff: u64) -> u64 {
    if n <= cutoff {
        return plain_fib(n);
    }
    let scoped = crossbeam_utils::thread::scope(|scope| {
        let forked = scope.spawn(move |_| scope_fib(n - 1, cutoff));
        let own = scope_fib(n - 2, cutoff);
        forked.join().expect("a sum does not panic") + own
    });
    scoped.expect("a sum does not panic")
}

fn plain_fib(n: u64) -> u64 {
    if n < 2 { n } else { plain_fib(n - 1) + plain_fib(n - 2) }
}

fn task_fib<R: Tasks>(n: u64, cutoff: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n <= cutoff {
            return plain_fib(n);
        }
        let forked = R::spawn(task_fib::<R>(n - 1, cutoff));
        let own = task_fib::<R>(n - 2, cutoff).await;
        forked.await + own
    })
}

fn job_fib<R: Jobs>(n: u64, cutoff: u64) -> u64 {
    if n <= cutoff {
        return plain_fib(n);
    }
    let forked = R::spawn(move || job_fib::<R>(n - 1, cutoff));
    let own = job_fib::<R>(n - 2, cutoff);
    R::join(forked) + own
}

fn rayon_fib(n: u64, cutoff: u64) -> u64 {
    if n <= cutoff {
        return plain_fib(n);
    }
    let (left, right) = rayon::join(|| rayon_fib(n - 1, cutoff), || rayon_fib(n - 2, cutoff));
    left + right
}
