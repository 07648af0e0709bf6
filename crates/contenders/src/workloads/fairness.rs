//! fairness: who else gets a turn beside a unit that yields and yields.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench_harness::child::{Prepared, Work};
use bench_harness::monotonic_ns;
use bench_harness::protocol::{Params, Refusal};

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{Jobs, Kit, Pipe, Tasks, Threads};

pub(super) struct Fairness;

const SIBLING: &str = "fairness/sibling";
const TIMER: &str = "fairness/timer";

impl Workload for Fairness {
    const NAMES: &'static [&'static str] = &[SIBLING, TIMER, "fairness/pipe"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        let kind = Kind::of(name);
        if let (Kind::Pipe, Some(why)) = (kind, <R::Kit as Kit>::Pipe::MISSING) {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(move |params, seed| {
            let case = Case::read(kind, params, seed)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(case.prepared(move |case| match case.kind {
                Kind::Sibling => Ok(runtime.run(sibling::<R>(case))),
                Kind::Timer => Ok(runtime.run(timer::<R>(case))),
                Kind::Pipe => runtime.run(pipe::<R>(case)),
            }))
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        let kind = Kind::of(name);
        match (kind, R::NO_SLEEP) {
            (Kind::Timer, Some(why)) => return Err(Refusal::unsupported(why)),
            (Kind::Pipe, _) if !R::OS_THREADS => {
                return Err(Refusal::unsupported("a coroutine that reads a pipe holds its whole worker"));
            }
            _ => {}
        }
        Ok(Box::new(move |params, seed| {
            let case = Case::read(kind, params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(case.prepared(|case| blocking::<R>(case)))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a pooled job keeps its worker until it ends: it can't let the next one have a turn"))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("the operating system shares cores among processes as among threads: see `thread`"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported(
            "rayon's yield runs another job to its end on top of this one: it does not take turns",
        ))
    }

    fn on_floor<R: Tasks>(name: &str) -> Answer {
        match name {
            SIBLING => Self::on_tasks::<R>(name),
            _ => Err(Refusal::unsupported("it has neither timers nor a reactor")),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sibling,
    Timer,
    Pipe,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            SIBLING => Self::Sibling,
            TIMER => Self::Timer,
            _ => Self::Pipe,
        }
    }
}

/// A unit that yields for so long or so often, and when the other one has to have its turn.
#[derive(Clone, Copy)]
struct Case {
    kind: Kind,
    most_turns: u64,
    spin_ns: u64,
    due_ns: u64,
    times: u64,
    seed: u64,
}

impl Case {
    fn read(kind: Kind, params: &Params, seed: u64) -> Result<Self, Refusal> {
        if kind == Kind::Sibling {
            let most_turns = params.integer("most_turns", 1..=1_000_000_000)?;
            return Ok(Self { kind, most_turns, spin_ns: 0, due_ns: 0, times: 1, seed });
        }
        let spin_ns = params.integer("spin_ms", 1..=60_000)? * 1_000_000;
        let due_ns = params.integer("due_ms", 1..=60_000)? * 1_000_000;
        let times = params.integer("times", 1..=1_000)?;
        Ok(Self { kind, most_turns: 0, spin_ns, due_ns, times, seed })
    }

    fn prepared(self, mut play: impl FnMut(Self) -> Result<u64, Refusal> + 'static) -> Box<dyn Prepared> {
        repeat(move |iters, _| {
            let mut seen = (0..iters * self.times).map(|_| play(self)).collect::<Result<Vec<u64>, _>>()?;
            // Where in a turn of the loop the moment falls is chance, and a virtual machine stands still at times: hence the median.
            seen.sort_unstable();
            let median = seen.get(seen.len() / 2).copied().unwrap_or(0);
            let mut work = Work::new(iters, mix(self.seed, 1));
            let name = if self.kind == Kind::Sibling { "turns_before_sibling" } else { "lateness_ns" };
            // On the log scale there is no 0.
            work.values.insert(name.to_owned(), median.max(1) as f64);
            Ok(work)
        })
    }
}

/// The spinner's turns until its sibling, which it spawned before the first of them, has had one.
async fn sibling<R: Tasks>(case: Case) -> u64 {
    let spinner = R::spawn(async move {
        let ran = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ran);
        let sibling = R::spawn(async move { ran.store(true, Ordering::Release) });
        let mut turns = 0;
        while !seen.load(Ordering::Acquire) && turns < case.most_turns {
            turns += 1;
            R::yield_now().await;
        }
        sibling.await;
        turns
    });
    spinner.await
}

async fn timer<R: Tasks>(case: Case) -> u64 {
    let begin = monotonic_ns();
    let spinner = R::spawn(async move {
        while monotonic_ns() < begin + case.spin_ns {
            R::yield_now().await;
        }
    });
    let due = begin + case.due_ns;
    let sleeper = R::spawn(async move {
        R::sleep(Duration::from_nanos(due.saturating_sub(monotonic_ns()))).await;
        monotonic_ns().saturating_sub(due)
    });
    let late = sleeper.await;
    spinner.await;
    late
}

/// The spinner itself writes a byte when it is due, and yields on: how late does the reader have it?
async fn pipe<R: Tasks>(case: Case) -> Result<u64, Refusal> {
    let broken = |error: std::io::Error| Refusal::failed(format!("pipe: {error}"));
    let (mut reader, mut writer) = <R::Kit as Kit>::Pipe::open()?;
    let begin = monotonic_ns();
    let spinner = R::spawn(async move {
        let mut sent = None;
        // It may be kept from running for longer than it is to spin: the byte goes out all the same.
        while sent.is_none() || monotonic_ns() < begin + case.spin_ns {
            if sent.is_none() && monotonic_ns() >= begin + case.due_ns {
                sent = Some(monotonic_ns());
                writer.write(1).await?;
            }
            R::yield_now().await;
        }
        Ok(sent.unwrap_or(begin + case.due_ns))
    });
    let waiting = R::spawn(async move { (reader.read().await, monotonic_ns()) });
    let (byte, read_ns) = waiting.await;
    byte.map_err(broken)?;
    Ok(read_ns.saturating_sub(spinner.await.map_err(broken)?))
}

fn blocking<R: Threads>(case: Case) -> Result<u64, Refusal> {
    if case.kind == Kind::Sibling {
        return Ok(R::run(move || R::join(R::spawn(move || sibling_blocking::<R>(case)))));
    }
    let (mut reader, mut writer) = std::io::pipe().map_err(|error| Refusal::failed(format!("pipe: {error}")))?;
    Ok(R::run(move || {
        let begin = monotonic_ns();
        let due = begin + case.due_ns;
        let spinner = R::spawn(move || {
            let mut sent = (case.kind == Kind::Timer).then_some(due);
            // It may be kept from running for longer than it is to spin: the byte goes out all the same.
            while sent.is_none() || monotonic_ns() < begin + case.spin_ns {
                if sent.is_none() && monotonic_ns() >= due {
                    sent = Some(monotonic_ns());
                    writer.write_all(&[1]).expect("there is room for a byte");
                }
                R::yield_now();
            }
            sent.unwrap_or(due)
        });
        let other = R::spawn(move || {
            if case.kind == Kind::Timer {
                R::sleep(Duration::from_nanos(due.saturating_sub(monotonic_ns())));
            } else {
                let mut byte = [0];
                let _ = reader.read_exact(&mut byte);
            }
            monotonic_ns()
        });
        let since = R::join(spinner);
        R::join(other).saturating_sub(since)
    }))
}

fn sibling_blocking<R: Threads>(case: Case) -> u64 {
    let ran = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ran);
    let sibling = R::spawn(move || {
        ran.store(true, Ordering::Release);
        0
    });
    let mut turns = 0;
    while !seen.load(Ordering::Acquire) && turns < case.most_turns {
        turns += 1;
        R::yield_now();
    }
    R::join(sibling);
    turns
}
