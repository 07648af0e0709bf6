//! mixed: a server that answers while the same runtime computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench_harness::monotonic_ns;
use bench_harness::protocol::{Params, Refusal};

use super::tcp_echo::{Meter, Server, serve, serve_blocking};
use super::{Answer, Workload, chain, not_started};
use crate::capability::{BlockingTcp, Jobs, Kit, Tasks, Tcp, Threads};

pub(super) struct Mixed;

const ALONE: &str = "mixed/0";

impl Workload for Mixed {
    const NAMES: &'static [&'static str] = &[ALONE, "mixed/50", "mixed/100"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        if let (true, Some(why)) = (name != ALONE, R::YIELDS_STARVE) {
            return Err(Refusal::unsupported(why));
        }
        if let Some(why) = <R::Kit as Kit>::Tcp::MISSING {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(|params, seed| {
            let load = Load::read(params, seed)?;
            Server::open(params, seed, move |socket, meter| {
                let runtime = R::start()?;
                let companion = Companion::new(load, &meter);
                runtime.run(serve::<R>(socket, meter, move || {
                    if companion.is_due() {
                        R::detach(R::spawn(compute::<R>(Arc::clone(&companion))));
                    }
                }))
            })
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        if let (true, Some(why)) = (name != ALONE, R::YIELDS_STARVE) {
            return Err(Refusal::unsupported(why));
        }
        if let Some(why) = R::Tcp::MISSING {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(|params, seed| {
            let load = Load::read(params, seed)?;
            R::start().map_err(|error| not_started(&error))?;
            Server::open(params, seed, move |socket, meter| {
                let companion = Companion::new(load, &meter);
                R::run(move || {
                    serve_blocking::<R>(socket, &meter, move || {
                        if companion.is_due() {
                            let companion = Arc::clone(&companion);
                            drop(R::spawn(move || compute_blocking::<R>(&companion)));
                        }
                    });
                    0
                });
                Ok(())
            })
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a connection would keep its worker: as many clients as workers, and no more"))
    }

    fn on_processes<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a process a connection is not asked for here"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon has no sockets, and its jobs must not wait"))
    }

    fn on_floor<R: Tasks>(_: &str) -> Answer {
        Err(Refusal::unsupported("it serves or computes; for the server alone see tcp-echo"))
    }
}

/// How much of its time a unit computes, and for how long in one go before it yields.
#[derive(Clone, Copy)]
struct Load {
    percent: u64,
    slice_ns: u64,
    seed: u64,
}

impl Load {
    fn read(params: &Params, seed: u64) -> Result<Self, Refusal> {
        let percent = params.integer("cpu_percent", 0..=100)?;
        let slice_ns = params.integer("slice_us", 1..=1_000_000)? * 1_000;
        Ok(Self { percent, slice_ns, seed })
    }

    /// Computes for a slice.
    fn compute(self) {
        let end = monotonic_ns() + self.slice_ns;
        let mut value = self.seed;
        while monotonic_ns() < end {
            value = chain(value, 100);
        }
        std::hint::black_box(value);
    }

    /// How long to sleep until a slice is due, after `computed_ns` of computing since `begin_ns`. Counted from the beginning, so that
    /// whoever sleeps too long makes up for it: all compute as much, however coarse their timers.
    fn pause(self, begin_ns: u64, computed_ns: u64) -> Option<Duration> {
        let due_ns = begin_ns + computed_ns * 100 / self.percent.max(1);
        let left = due_ns.saturating_sub(monotonic_ns());
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

/// Whether the unit that computes is to run: while a block does, and no longer, for between its blocks this server's contender is
/// not the one that is measured. The first request that is answered starts it.
struct Companion {
    load: Load,
    meter: Arc<Meter>,
    runs: AtomicBool,
}

impl Companion {
    fn new(load: Load, meter: &Arc<Meter>) -> Arc<Self> {
        Arc::new(Self { load, meter: Arc::clone(meter), runs: AtomicBool::new(false) })
    }

    /// Whether the caller has to start the unit.
    fn is_due(&self) -> bool {
        self.load.percent > 0
            && self.meter.is_busy()
            && !self.runs.load(Ordering::SeqCst)
            && !self.runs.swap(true, Ordering::SeqCst)
    }

    /// Whether the unit has to go on; if not, it no longer counts as running.
    fn goes_on(&self) -> bool {
        // The next block may begin just as the unit ends, and its requests may still have seen the unit run: hence the second look.
        self.meter.is_busy() || {
            self.runs.store(false, Ordering::SeqCst);
            self.is_due()
        }
    }
}

async fn compute<R: Tasks>(companion: Arc<Companion>) {
    let (load, begin_ns, mut computed_ns) = (companion.load, monotonic_ns(), 0);
    while companion.goes_on() {
        load.compute();
        computed_ns += load.slice_ns;
        match load.pause(begin_ns, computed_ns) {
            Some(pause) => R::sleep(pause).await,
            None => R::yield_now().await,
        }
    }
}

fn compute_blocking<R: Threads>(companion: &Companion) -> u64 {
    let (load, begin_ns, mut computed_ns) = (companion.load, monotonic_ns(), 0);
    while companion.goes_on() {
        load.compute();
        computed_ns += load.slice_ns;
        match load.pause(begin_ns, computed_ns) {
            Some(pause) => R::sleep(pause),
            None => R::yield_now(),
        }
    }
    0
}
