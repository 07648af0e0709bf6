//! blocked-loop: how late a ticker is beside a unit that computes without yielding; offload/ticker: the same, when the
//! computing is handed to the pool for blocking calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::monotonic_ns;
use bench_harness::protocol::{Params, Refusal};

use super::{Answer, Workload, mix, not_started};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct BlockedLoop;

impl Workload for BlockedLoop {
    const NAMES: &'static [&'static str] = &["blocked-loop", OFFLOADED];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        let offloaded = name == OFFLOADED;
        if let (true, Some(why)) = (offloaded, R::NO_BLOCKING) {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(move |params, seed| {
            let schedule = Schedule::read(params, seed)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            let play = move |schedule| runtime.run(on_tasks::<R>(schedule, offloaded));
            Ok(Box::new(Ticking { schedule, play: Box::new(play) }))
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        let why = match (name == OFFLOADED, R::OS_THREADS) {
            (true, true) => Some(NO_LOOP),
            (true, false) => Some("it has no pool for calls that block"),
            (false, _) => R::NO_SLEEP,
        };
        if let Some(why) = why {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(|params, seed| {
            let schedule = Schedule::read(params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(Ticking { schedule, play: Box::new(|schedule| on_jobs::<R>(schedule, R::sleep)) }))
        }))
    }

    fn on_jobs<R: Jobs>(name: &str) -> Answer {
        if name == OFFLOADED {
            return Err(Refusal::unsupported(NO_LOOP));
        }
        if R::at_once().is_some_and(|at_once| at_once < 2) {
            return Err(Refusal::unsupported("a ticker beside a hog needs two workers, the pool has one"));
        }
        Ok(Box::new(|params, seed| {
            let schedule = Schedule::read(params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(Box::new(Ticking { schedule, play: Box::new(|schedule| on_jobs::<R>(schedule, std::thread::sleep)) }))
        }))
    }

    /// The ticker stays in the parent, where its figures are wanted; the hog is forked.
    fn on_processes<R: Jobs>(name: &str) -> Answer {
        if name == OFFLOADED {
            return Err(Refusal::unsupported(NO_LOOP));
        }
        Ok(Box::new(|params, seed| {
            let schedule = Schedule::read(params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            let play = |schedule: Schedule| {
                let hog = R::spawn(move || schedule.hog_after_sleeping(std::thread::sleep));
                let lateness = schedule.tick_blocking(std::thread::sleep);
                R::join(hog);
                lateness
            };
            Ok(Box::new(Ticking { schedule, play: Box::new(play) }))
        }))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon has no timers, and its workers are not meant to wait"))
    }

    /// The ticker alone: how late this machine's timers are with nobody in the way.
    fn on_floor<R: Tasks>(_: &str) -> Answer {
        Ok(Box::new(|params, seed| {
            let schedule = Schedule::read(params, seed)?;
            Ok(Box::new(Ticking { schedule, play: Box::new(|schedule| schedule.tick_blocking(std::thread::sleep)) }))
        }))
    }
}

const OFFLOADED: &str = "offload/ticker";
const NO_LOOP: &str = "it has no loop to keep free: a unit that blocks holds its own thread";

/// When the ticks are due, and how long the hog computes.
#[derive(Clone, Copy)]
struct Schedule {
    period_ns: u64,
    hog_ns: u64,
    ticks: u64,
    begin_ns: u64,
    seed: u64,
}

impl Schedule {
    fn read(params: &Params, seed: u64) -> Result<Self, Refusal> {
        let period_ns = params.integer("period_us", 10..=1_000_000)? * 1_000;
        let hog_ns = params.integer("hog_ms", 1..=10_000)? * 1_000_000;
        // Enough ticks to begin before the hog and to end after it.
        Ok(Self { period_ns, hog_ns, ticks: hog_ns / period_ns + 6, begin_ns: 0, seed })
    }

    fn due_ns(&self, tick: u64) -> u64 {
        self.begin_ns + tick * self.period_ns
    }

    /// How long until the tick is due; nothing when it is late already.
    fn until(&self, tick: u64) -> Option<Duration> {
        let left = self.due_ns(tick).saturating_sub(monotonic_ns());
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn lateness_ns(&self, tick: u64) -> u64 {
        monotonic_ns().saturating_sub(self.due_ns(tick))
    }

    fn tick_blocking(&self, sleep: fn(Duration)) -> Vec<u64> {
        (1..=self.ticks)
            .map(|tick| {
                if let Some(left) = self.until(tick) {
                    sleep(left);
                }
                self.lateness_ns(tick)
            })
            .collect()
    }

    fn before_the_hog(&self) -> Duration {
        // Between two ticks, so that it is not the wake of a tick that happens to bring it a thread of its own.
        Duration::from_nanos(2 * self.period_ns + self.period_ns / 2)
    }

    /// Computes, and never lets go.
    fn hog(&self) -> u64 {
        let end = monotonic_ns() + self.hog_ns;
        let mut value = self.seed;
        while monotonic_ns() < end {
            value = super::chain(value, 100);
        }
        value
    }

    fn hog_after_sleeping(&self, sleep: fn(Duration)) -> u64 {
        sleep(self.before_the_hog());
        self.hog()
    }
}

struct Ticking {
    schedule: Schedule,
    play: Box<dyn FnMut(Schedule) -> Vec<u64>>,
}

impl Prepared for Ticking {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let mut lateness = Vec::new();
        for _ in 0..iters {
            lateness.extend((self.play)(Schedule { begin_ns: monotonic_ns(), ..self.schedule }));
        }
        let checksum =
            (1..=self.schedule.ticks).fold(0, |sum: u64, tick| sum.wrapping_add(mix(self.schedule.seed, tick)));
        let worst = lateness.iter().copied().max().unwrap_or(0);
        let mut work = Work::new(lateness.len() as u64, checksum);
        lateness.sort_unstable();
        work.latency =
            Some(lateness.chunk_by(|left, right| left == right).map(|same| (same[0], same.len() as u64)).collect());
        // On the log scale there is no 0; the clock's grain is 1 ns.
        work.values.insert("worst_lateness_ns".to_owned(), worst.max(1) as f64);
        Ok(work)
    }
}

async fn on_tasks<R: Tasks>(schedule: Schedule, offloaded: bool) -> Vec<u64> {
    let ticker = R::spawn(async move {
        let mut lateness = Vec::with_capacity(schedule.ticks as usize);
        for tick in 1..=schedule.ticks {
            if let Some(left) = schedule.until(tick) {
                R::sleep(left).await;
            }
            lateness.push(schedule.lateness_ns(tick));
        }
        lateness
    });
    let hog = R::spawn(async move {
        R::sleep(schedule.before_the_hog()).await;
        if offloaded { R::blocking(move || schedule.hog()).await } else { schedule.hog() }
    });
    let lateness = ticker.await;
    hog.await;
    lateness
}

fn on_jobs<R: Jobs>(schedule: Schedule, sleep: fn(Duration)) -> Vec<u64> {
    let place = Arc::new(Mutex::new(Vec::new()));
    let result = Arc::clone(&place);
    let ticker = R::spawn(move || {
        *result.lock().unwrap_or_else(PoisonError::into_inner) = schedule.tick_blocking(sleep);
        0
    });
    let hog = R::spawn(move || schedule.hog_after_sleeping(sleep));
    R::join(ticker);
    R::join(hog);
    std::mem::take(&mut *place.lock().unwrap_or_else(PoisonError::into_inner))
}
