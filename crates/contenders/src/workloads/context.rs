//! context: does what a unit keeps beside its work follow it? In a thread-local, and in a context variable.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bench_harness::child::Work;
use bench_harness::protocol::{Params, Refusal};
use ctxvar::{Context, ContextExt, ContextVar, in_context};

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Follows;

thread_local! {
    static LOCAL: Cell<u64> = const { Cell::new(0) };
}
static VARIABLE: ContextVar<u64> = ContextVar::with_default("number", 0);
/// What the unit that makes the others has there.
const MAKER: u64 = u64::MAX;

impl Workload for Follows {
    const NAMES: &'static [&'static str] = &["context"];

    fn on_tasks<R: Tasks>(_: &str) -> Answer {
        Ok(Box::new(|params, seed| {
            let case = Case::read(params)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let seen = Arc::new(Seen::default());
                for _ in 0..iters {
                    runtime.run(tasks::<R>(case, seen.clone()).in_context_of(Context::new()));
                }
                Ok(seen.work(case, iters, seed))
            }))
        }))
    }

    fn on_threads<R: Threads>(_: &str) -> Answer {
        if !R::OS_THREADS {
            return Err(Refusal::unsupported(
                "a coroutine has no polls, between which its context could change places with another's",
            ));
        }
        Ok(Box::new(|params, seed| {
            let case = Case::read(params)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let seen = Arc::new(Seen::default());
                for _ in 0..iters {
                    let seen = seen.clone();
                    R::run(move || Context::new().run(|| threads::<R>(case, &seen)));
                }
                Ok(seen.work(case, iters, seed))
            }))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a pooled job keeps its worker until it ends: nobody comes between"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported(
            "rayon's yield runs another job to its end on top of this one: it does not take turns",
        ))
    }
}

/// So many units, each of which lets others have a turn so often.
#[derive(Clone, Copy)]
struct Case {
    units: u64,
    turns: u64,
}

impl Case {
    fn read(params: &Params) -> Result<Self, Refusal> {
        Ok(Self { units: params.integer("units", 2..=100_000)?, turns: params.integer("turns", 1..=100_000)? })
    }
}

/// How many units found something else than what they had put there; and how many, newly made, did not find what their maker had.
#[derive(Default)]
struct Seen {
    local_mixed: AtomicU64,
    variable_mixed: AtomicU64,
    variable_lost: AtomicU64,
}

impl Seen {
    /// A unit begins, and puts its number into both.
    fn begin(&self, unit: u64) -> (bool, bool) {
        self.variable_lost.fetch_add(u64::from(VARIABLE.get() != MAKER), Relaxed);
        LOCAL.set(unit);
        VARIABLE.set(unit);
        (false, false)
    }

    fn end(&self, (local, variable): (bool, bool)) {
        self.local_mixed.fetch_add(local.into(), Relaxed);
        self.variable_mixed.fetch_add(variable.into(), Relaxed);
    }

    fn work(&self, case: Case, iters: u64, seed: u64) -> Work {
        let mut work = Work::new(iters, mix(seed, 1));
        let share = |units: &AtomicU64| units.load(Relaxed) as f64 / (iters * case.units) as f64;
        work.values.insert("local_mixed".to_owned(), share(&self.local_mixed));
        work.values.insert("variable_mixed".to_owned(), share(&self.variable_mixed));
        work.values.insert("variable_lost".to_owned(), share(&self.variable_lost));
        work
    }
}

/// After a turn of others.
fn look(unit: u64, mixed: &mut (bool, bool)) {
    mixed.0 |= LOCAL.get() != unit;
    mixed.1 |= VARIABLE.get() != unit;
}

async fn tasks<R: Tasks>(case: Case, seen: Arc<Seen>) {
    VARIABLE.set(MAKER);
    let unit = |unit| {
        let seen = seen.clone();
        async move {
            let mut mixed = seen.begin(unit);
            for _ in 0..case.turns {
                R::yield_now().await;
                look(unit, &mut mixed);
            }
            seen.end(mixed);
        }
    };
    let units: Vec<_> = (0..case.units).map(|number| R::spawn(unit(number).in_context())).collect();
    for unit in units {
        unit.await;
    }
}

fn threads<R: Threads>(case: Case, seen: &Arc<Seen>) -> u64 {
    VARIABLE.set(MAKER);
    let unit = |unit| {
        let seen = seen.clone();
        in_context(move || {
            let mut mixed = seen.begin(unit);
            for _ in 0..case.turns {
                R::yield_now();
                look(unit, &mut mixed);
            }
            seen.end(mixed);
            unit
        })
    };
    let units: Vec<_> = (0..case.units).map(|number| R::spawn(unit(number))).collect();
    units.into_iter().map(R::join).sum()
}
