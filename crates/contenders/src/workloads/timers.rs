//! timers: what a timer costs that fires, how late it is, and what one costs that never gets to fire.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bench_harness::child::Work;
use bench_harness::monotonic_ns;
use bench_harness::protocol::{Params, Refusal};
use bench_harness::tails::Tails;

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Timers;

const FIRE: &str = "timers/fire";
const FIRE_LATE: &str = "timers/fire-late";
const CANCEL: &str = "timers/cancel";
/// From the first spawn to the first timer's being due, for so many: all of them are armed by then.
const fn lead_ns(timers: u64) -> u64 {
    10_000_000 + 1_500 * timers
}

/// When the timers are due that never get to fire, and when the one that stays armed before them.
const LATER: Duration = Duration::from_secs(50);
const EARLIER: Duration = Duration::from_secs(20);

impl Workload for Timers {
    const NAMES: &'static [&'static str] = &[FIRE, FIRE_LATE, CANCEL, "timers/cancel-earliest"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        if name == FIRE || name == FIRE_LATE {
            let may_be_late = name == FIRE_LATE;
            return Ok(Box::new(move |params, seed| {
                let shape = Shape::read(params, seed)?;
                let runtime = R::start().map_err(|error| not_started(&error))?;
                Ok(repeat(move |iters, _| {
                    let mut late = Vec::new();
                    for _ in 0..iters {
                        late.extend(if may_be_late {
                            runtime.run(fire::<R, _>(shape, R::sleep_late))
                        } else {
                            runtime.run(fire::<R, _>(shape, R::sleep))
                        });
                    }
                    Ok(shape.work(iters, &late))
                }))
            }));
        }
        let behind_another = name == CANCEL;
        Ok(Box::new(move |params, seed| {
            let n = params.integer("n", 1..=100_000_000)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let checksum = runtime.run(cancel::<R>(behind_another, n, seed, iters));
                Ok(Work::new(iters * n, checksum))
            }))
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        if let Some(why) = R::NO_SLEEP {
            return Err(Refusal::unsupported(why));
        }
        if name == FIRE_LATE {
            return Err(Refusal::unsupported("asked of tasks; see timers/fire"));
        }
        if R::OS_THREADS || name != FIRE {
            return Err(Refusal::unsupported(if name == FIRE {
                "a thread a timer: tens of thousands are more than this may ask of a machine"
            } else {
                "a unit that sleeps can't be told to stop"
            }));
        }
        Ok(Box::new(|params, seed| {
            let shape = Shape::read(params, seed)?;
            let (most, limits) = R::most();
            if shape.n > most {
                return Err(Refusal::unsupported(format!("{} units: {limits} of this machine allow {most}", shape.n)));
            }
            R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let late = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
                for _ in 0..iters {
                    let place = std::sync::Arc::clone(&late);
                    R::run(move || {
                        let begin = monotonic_ns() + lead_ns(shape.n);
                        let unit = |index| R::spawn(move || fire_blocking(begin + shape.offset_ns(index), R::sleep));
                        let handles: Vec<_> = (0..shape.n).map(unit).collect();
                        let late: Vec<u64> = handles.into_iter().map(R::join).collect();
                        place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(late);
                        0
                    });
                }
                let late = std::mem::take(&mut *late.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
                Ok(shape.work(iters, &late))
            }))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a job that sleeps holds its worker"))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a process a timer: more than this may ask of a machine"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon has no timers"))
    }

    /// One thread sleeps from one timer to the next, which it knows in order beforehand.
    fn on_floor<R: Tasks>(name: &str) -> Answer {
        if name != FIRE && name != FIRE_LATE {
            return Err(Refusal::unsupported("it has no timers"));
        }
        Ok(Box::new(|params, seed| {
            let shape = Shape::read(params, seed)?;
            Ok(repeat(move |iters, _| {
                let mut late = Vec::new();
                for _ in 0..iters {
                    let begin = monotonic_ns() + lead_ns(shape.n);
                    let mut due: Vec<u64> = (0..shape.n).map(|index| begin + shape.offset_ns(index)).collect();
                    due.sort_unstable();
                    late.extend(due.into_iter().map(|due| fire_blocking(due, std::thread::sleep)));
                }
                Ok(shape.work(iters, &late))
            }))
        }))
    }
}

#[derive(Clone, Copy)]
struct Shape {
    n: u64,
    span_ns: u64,
    seed: u64,
}

impl Shape {
    fn read(params: &Params, seed: u64) -> Result<Self, Refusal> {
        let n = params.integer("n", 1..=1_000_000)?;
        let span_ns = params.integer("span_ms", 1..=60_000)? * 1_000_000;
        Ok(Self { n, span_ns, seed })
    }

    /// When a timer is due after the first may be: anywhere in the span, in no order.
    fn offset_ns(self, index: u64) -> u64 {
        mix(self.seed, index) % self.span_ns
    }

    fn work(self, iters: u64, late: &[u64]) -> Work {
        let checksum = (0..self.n).fold(0, |sum: u64, index| sum.wrapping_add(mix(self.seed, index)));
        let mut tails = Tails::new();
        for &late in late {
            tails.add(&[(late, 1)]).expect("no machine has 2^64 timers");
        }
        Work { latency: Some(tails.pairs()), ..Work::new(iters * self.n, checksum) }
    }
}

async fn fire<R: Tasks, F: Future<Output = ()> + Send + 'static>(shape: Shape, sleep: fn(Duration) -> F) -> Vec<u64> {
    let begin = monotonic_ns() + lead_ns(shape.n);
    let unit = |index| {
        R::spawn(async move {
            let due = begin + shape.offset_ns(index);
            sleep(Duration::from_nanos(due.saturating_sub(monotonic_ns()))).await;
            monotonic_ns().saturating_sub(due)
        })
    };
    let handles: Vec<_> = (0..shape.n).map(unit).collect();
    let mut late = Vec::with_capacity(handles.len());
    for handle in handles {
        late.push(handle.await);
    }
    late
}

fn fire_blocking(due: u64, sleep: impl Fn(Duration)) -> u64 {
    let left = due.saturating_sub(monotonic_ns());
    if left > 0 {
        sleep(Duration::from_nanos(left));
    }
    monotonic_ns().saturating_sub(due)
}

/// Arms a timer, which takes a poll, and drops it.
async fn cancel<R: Tasks>(behind_another: bool, n: u64, seed: u64, iters: u64) -> u64 {
    let mut earlier = pin!(R::sleep(EARLIER));
    poll_fn(|context| {
        if behind_another {
            let _ = earlier.as_mut().poll(context);
        }
        let mut checksum = 0;
        for _ in 0..iters {
            checksum = 0_u64;
            for index in 0..n {
                let fired = pin!(R::sleep(LATER)).poll(context).is_ready();
                checksum = checksum.wrapping_add(mix(seed, index)).wrapping_add(u64::from(fired));
            }
        }
        Poll::Ready(checksum)
    })
    .await
}
