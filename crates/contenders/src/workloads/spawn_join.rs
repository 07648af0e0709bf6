//! spawn-join: what it costs to make a unit of work and to have its result.

use std::time::Duration;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};

use super::{Answer, Workload, chain, iterate, mix, not_started};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct SpawnJoin;

impl Workload for SpawnJoin {
    const NAMES: &'static [&'static str] = &[
        "spawn-join/one-by-one",
        "spawn-join/batch",
        "spawn-join/compute-10us",
        "spawn-join/compute-100us",
        "spawn-join/compute-1ms",
        "spawn-join/sleep-1ms",
    ];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        let kind = Kind::of(name);
        Ok(Box::new(move |params, seed| {
            let shape = Shape::read(kind, params, seed)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(OnTasks { runtime, shape }))
        }))
    }

    fn on_jobs<R: Jobs>(name: &str) -> Answer {
        let kind = Kind::of(name);
        Ok(Box::new(move |params, seed| {
            let shape = Shape::read(kind, params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(OnJobs { shape, run: run_jobs::<R> }))
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        let kind = Kind::of(name);
        if let (Kind::Sleep, Some(why)) = (kind, R::NO_SLEEP) {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(move |params, seed| {
            let shape = Shape::read(kind, params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            let run = if kind == Kind::Sleep { run_sleepers::<R> } else { run_threads::<R> };
            Ok(Box::new(OnJobs { shape, run }))
        }))
    }

    fn on_scope(name: &str) -> Answer {
        let kind = Kind::of(name);
        Ok(Box::new(move |params, seed| {
            Ok(Box::new(OnJobs { shape: Shape::read(kind, params, seed)?, run: run_scopes }))
        }))
    }

    fn on_rayon(name: &str) -> Answer {
        match Kind::of(name) {
            Kind::Batch => Ok(Box::new(|params, seed| Ok(Box::new(OnRayon(Shape::read(Kind::Batch, params, seed)?))))),
            _ => Err(Refusal::unsupported("rayon has no handle to join a single unit by")),
        }
    }

    fn on_floor<R: Tasks>(name: &str) -> Answer {
        let kind = Kind::of(name);
        match kind {
            Kind::OneByOne | Kind::Batch => Self::on_tasks::<R>(name),
            // The job itself, called in line: what is left when making a unit costs nothing.
            Kind::Compute | Kind::Sleep => {
                Ok(Box::new(move |params, seed| Ok(Box::new(InLine(Shape::read(kind, params, seed)?)))))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    OneByOne,
    Batch,
    Compute,
    Sleep,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "spawn-join/one-by-one" => Self::OneByOne,
            "spawn-join/batch" => Self::Batch,
            "spawn-join/sleep-1ms" => Self::Sleep,
            _ => Self::Compute,
        }
    }
}

#[derive(Clone, Copy)]
struct Shape {
    kind: Kind,
    n: u64,
    steps: u64,
    sleep: Duration,
    seed: u64,
}

impl Shape {
    fn read(kind: Kind, params: &Params, seed: u64) -> Result<Self, Refusal> {
        let steps = if kind == Kind::Compute { params.integer("steps", 1..=1_000_000_000)? } else { 0 };
        let sleep_us = if kind == Kind::Sleep { params.integer("sleep_us", 1..=10_000_000)? } else { 0 };
        let n = params.integer("n", 1..=10_000_000)?;
        Ok(Self { kind, n, steps, sleep: Duration::from_micros(sleep_us), seed })
    }

    /// What a unit does, but for the asynchronous sleep.
    fn job(&self, index: u64) -> u64 {
        match self.kind {
            Kind::OneByOne | Kind::Batch => mix(self.seed, index),
            Kind::Compute => chain(mix(self.seed, index), self.steps),
            Kind::Sleep => {
                std::thread::sleep(self.sleep);
                mix(self.seed, index)
            }
        }
    }
}

struct OnTasks<R> {
    runtime: R,
    shape: Shape,
}

impl<R: Tasks> Prepared for OnTasks<R> {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let shape = self.shape;
        let seed = shape.seed;
        let checksum = match shape.kind {
            // Each kind spawns its own future: one that could do everything would make the small ones pay for the large.
            Kind::OneByOne => self.runtime.run(async move {
                let mut checksum = 0;
                for _ in 0..iters {
                    checksum = 0_u64;
                    for index in 0..shape.n {
                        checksum = checksum.wrapping_add(R::spawn(async move { mix(seed, index) }).await);
                    }
                }
                checksum
            }),
            Kind::Batch => self.runtime.run(async move {
                let mut checksum = 0;
                for _ in 0..iters {
                    let handles: Vec<_> = (0..shape.n).map(|index| R::spawn(async move { mix(seed, index) })).collect();
                    checksum = 0_u64;
                    for handle in handles {
                        checksum = checksum.wrapping_add(handle.await);
                    }
                }
                checksum
            }),
            Kind::Compute => self.runtime.run(async move {
                let mut checksum = 0;
                for _ in 0..iters {
                    checksum = 0_u64;
                    for index in 0..shape.n {
                        checksum = checksum.wrapping_add(R::spawn(async move { shape.job(index) }).await);
                    }
                }
                checksum
            }),
            Kind::Sleep => self.runtime.run(async move {
                let mut checksum = 0;
                for _ in 0..iters {
                    checksum = 0_u64;
                    for index in 0..shape.n {
                        let unit = async move {
                            R::sleep(shape.sleep).await;
                            mix(seed, index)
                        };
                        checksum = checksum.wrapping_add(R::spawn(unit).await);
                    }
                }
                checksum
            }),
        };
        Ok(Work::new(iters * shape.n, checksum))
    }
}

struct OnJobs {
    shape: Shape,
    /// Runs so many iterations and gives one's checksum.
    run: fn(Shape, u64) -> u64,
}

impl Prepared for OnJobs {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        Ok(Work::new(iters * self.shape.n, (self.run)(self.shape, iters)))
    }
}

fn run_jobs<R: Jobs>(shape: Shape, iters: u64) -> u64 {
    let mut checksum = 0;
    for _ in 0..iters {
        let join = |sum: u64, handle| sum.wrapping_add(R::join(handle));
        let spawn = |index| R::spawn(move || shape.job(index));
        checksum = match shape.kind {
            Kind::Batch => (0..shape.n).map(spawn).collect::<Vec<_>>().into_iter().fold(0, join),
            _ => (0..shape.n).map(spawn).fold(0, join),
        };
    }
    checksum
}

fn run_threads<R: Threads>(shape: Shape, iters: u64) -> u64 {
    R::run(move || run_jobs::<R>(shape, iters))
}

fn run_sleepers<R: Threads>(shape: Shape, iters: u64) -> u64 {
    R::run(move || {
        let unit = move |index| {
            move || {
                R::sleep(shape.sleep);
                mix(shape.seed, index)
            }
        };
        let once = || (0..shape.n).fold(0, |sum: u64, index| sum.wrapping_add(R::join(R::spawn(unit(index)))));
        iterate(iters, once)
    })
}

/// One by one each unit has a scope of its own; a batch shares one.
fn run_scopes(shape: Shape, iters: u64) -> u64 {
    let mut results = vec![0; shape.n as usize];
    for _ in 0..iters {
        let at_once = if shape.kind == Kind::Batch { results.len() } else { 1 };
        for (chunk, places) in results.chunks_mut(at_once).enumerate() {
            let scoped = crossbeam_utils::thread::scope(|scope| {
                for (index, result) in places.iter_mut().enumerate() {
                    scope.spawn(move |_| *result = shape.job((chunk * at_once + index) as u64));
                }
            });
            scoped.expect("a unit does not panic");
        }
    }
    results.iter().fold(0, |sum: u64, result| sum.wrapping_add(*result))
}

/// A scope is rayon's join of many units; each writes its result to a place of its own.
struct OnRayon(Shape);

impl Prepared for OnRayon {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let shape = self.0;
        let mut results = vec![0; shape.n as usize];
        for _ in 0..iters {
            rayon::scope(|scope| {
                for (index, result) in results.iter_mut().enumerate() {
                    scope.spawn(move |_| *result = shape.job(index as u64));
                }
            });
        }
        let checksum = results.iter().fold(0, |sum: u64, result| sum.wrapping_add(*result));
        Ok(Work::new(iters * shape.n, checksum))
    }
}

struct InLine(Shape);

impl Prepared for InLine {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let shape = std::hint::black_box(self.0);
        let mut checksum = 0;
        for _ in 0..iters {
            checksum = (0..shape.n).fold(0, |sum: u64, index| sum.wrapping_add(shape.job(std::hint::black_box(index))));
        }
        Ok(Work::new(iters * shape.n, checksum))
    }
}
