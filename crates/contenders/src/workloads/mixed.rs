//! mixed: a server that answers while the same runtime computes.

use std::time::Duration;

use bench_harness::monotonic_ns;
use bench_harness::protocol::{Params, Refusal};

use super::tcp_echo::{Server, serve};
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
                runtime.run(async move {
                    if load.percent > 0 {
                        R::detach(R::spawn(compute::<R>(load)));
                    }
                    serve::<R>(socket, meter).await
                })
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
                R::run(move || {
                    if load.percent > 0 {
                        drop(R::spawn(move || compute_blocking::<R>(load)));
                    }
                    super::tcp_echo::serve_blocking::<R>(socket, &meter);
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

async fn compute<R: Tasks>(load: Load) {
    let (begin_ns, mut computed_ns) = (monotonic_ns(), 0);
    loop {
        load.compute();
        computed_ns += load.slice_ns;
        match load.pause(begin_ns, computed_ns) {
            Some(pause) => R::sleep(pause).await,
            None => R::yield_now().await,
        }
    }
}

fn compute_blocking<R: Threads>(load: Load) -> u64 {
    let (begin_ns, mut computed_ns) = (monotonic_ns(), 0);
    loop {
        load.compute();
        computed_ns += load.slice_ns;
        match load.pause(begin_ns, computed_ns) {
            Some(pause) => R::sleep(pause),
            None => R::yield_now(),
        }
    }
}
