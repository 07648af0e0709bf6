//! mutex: what it costs to take a lock alone and among others, and who gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bench_harness::child::Work;
use bench_harness::protocol::{Params, Refusal};

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{BlockingLock, Jobs, Kit, Lock, Tasks, Threads};

pub(super) struct Mutex;

const ALONE: &str = "mutex/uncontended";

impl Workload for Mutex {
    const NAMES: &'static [&'static str] = &[ALONE, "mutex/waiters-8", "mutex/waiters-64"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        let alone = name == ALONE;
        if let (false, Some(why)) = (alone, R::YIELDS_STARVE) {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(move |params, seed| {
            let shape = Shape::read(alone, params, seed)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let (number, taken) = runtime.run(async move {
                    let mut end = (0, Vec::new());
                    for _ in 0..iters {
                        end = if alone { uncontended::<R>(shape).await } else { contend::<R>(shape).await };
                    }
                    end
                });
                Ok(shape.work(iters, number, &taken))
            }))
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        let alone = name == ALONE;
        if let (false, Some(why)) = (alone, R::YIELDS_STARVE) {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(move |params, seed| {
            let shape = Shape::read(alone, params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let counts = Arc::new(std::sync::Mutex::new(Vec::new()));
                let result = Arc::clone(&counts);
                let number = R::run(move || {
                    let mut number = 0;
                    for _ in 0..iters {
                        let taken;
                        (number, taken) = if alone { alone_blocking::<R>(shape) } else { contend_blocking::<R>(shape) };
                        *result.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = taken;
                    }
                    number
                });
                let taken = std::mem::take(&mut *counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
                Ok(shape.work(iters, number, &taken))
            }))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a pool's jobs run on threads: its lock is `thread`'s"))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("processes share no memory to have a lock in"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon has no lock, and its jobs must not wait for one another"))
    }
}

#[derive(Clone, Copy)]
struct Shape {
    n: u64,
    units: u64,
    /// Whether the holder yields while it holds, so that the others come and wait.
    yields: bool,
    seed: u64,
}

impl Shape {
    fn read(alone: bool, params: &Params, seed: u64) -> Result<Self, Refusal> {
        let n = params.integer("n", 1..=100_000_000)?;
        let units = if alone { 1 } else { params.integer("units", 2..=1_000)? };
        Ok(Self { n, units, yields: !alone, seed })
    }

    fn work(self, iters: u64, number: u64, taken: &[u64]) -> Work {
        let mut work = Work::new(iters * self.n, number);
        if self.yields {
            work.values.insert("fairness".to_owned(), jain(taken));
        }
        work
    }
}

/// Jain's index of how evenly something was shared: 1 when all have as much, 1 / n when one has it all (Jain, Chiu, Hawe 1984).
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// Nobody else is there: no unit is made.
async fn uncontended<R: Tasks>(shape: Shape) -> (u64, Vec<u64>) {
    let lock = <R::Kit as Kit>::Lock::new(shape.seed);
    for _ in 0..shape.n {
        let mut number = lock.lock().await;
        *number = mix(*number, 1);
    }
    let number = *lock.lock().await;
    (number, Vec::new())
}

fn alone_blocking<R: Threads>(shape: Shape) -> (u64, Vec<u64>) {
    let lock = R::Lock::new(shape.seed);
    for _ in 0..shape.n {
        lock.with(|number| *number = mix(*number, 1));
    }
    (lock.with(|_| {}), Vec::new())
}

/// The units take the lock in whatever order they get it, `n` times in all. Gives the number and how often each had its turn.
async fn contend<R: Tasks>(shape: Shape) -> (u64, Vec<u64>) {
    let lock = Arc::new(<R::Kit as Kit>::Lock::new(shape.seed));
    let left = Arc::new(AtomicU64::new(shape.n));
    let unit = || {
        let (lock, left) = (Arc::clone(&lock), Arc::clone(&left));
        R::spawn(async move {
            let mut taken = 0;
            loop {
                let mut number = lock.lock().await;
                // Written by whoever holds the lock alone.
                let before = left.load(Ordering::Relaxed);
                if before == 0 {
                    break taken;
                }
                left.store(before - 1, Ordering::Relaxed);
                *number = mix(*number, 1);
                taken += 1;
                if shape.yields {
                    R::yield_now().await;
                }
            }
        })
    };
    let units: Vec<_> = (0..shape.units).map(|_| unit()).collect();
    let mut taken = Vec::new();
    for unit in units {
        taken.push(unit.await);
    }
    let number = *lock.lock().await;
    (number, taken)
}

fn contend_blocking<R: Threads>(shape: Shape) -> (u64, Vec<u64>) {
    let lock = Arc::new(R::Lock::new(shape.seed));
    let left = Arc::new(AtomicU64::new(shape.n));
    let unit = || {
        let (lock, left) = (Arc::clone(&lock), Arc::clone(&left));
        R::spawn(move || {
            let (mut taken, mut over) = (0, false);
            while !over {
                lock.with(|number| {
                    let before = left.load(Ordering::Relaxed);
                    over = before == 0;
                    if over {
                        return;
                    }
                    left.store(before - 1, Ordering::Relaxed);
                    *number = mix(*number, 1);
                    taken += 1;
                    if shape.yields {
                        R::yield_now();
                    }
                });
            }
            taken
        })
    };
    let units: Vec<_> = (0..shape.units).map(|_| unit()).collect();
    let taken = units.into_iter().map(R::join).collect();
    (lock.with(|_| {}), taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jains_index_is_1_for_equal_shares_and_one_nth_for_one_winner() {
        assert!((jain(&[5, 5, 5, 5]) - 1.0).abs() < 1e-12);
        assert!((jain(&[8, 0, 0, 0]) - 0.25).abs() < 1e-12);
    }
}
