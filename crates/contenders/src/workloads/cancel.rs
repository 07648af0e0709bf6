//! cancel: what it costs to end units that wait, and how long a call that blocks keeps a runtime from ending.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_harness::child::Work;
use bench_harness::monotonic_ns;
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Cancel;

const PENDING: &str = "cancel/pending";

impl Workload for Cancel {
    const NAMES: &'static [&'static str] = &[PENDING, "cancel/shutdown"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        if name == PENDING { pending_tasks::<R>() } else { stuck_call::<R>() }
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        Self::on_jobs::<R>(name)
    }

    fn on_jobs<R: Jobs>(name: &str) -> Answer {
        Err(Refusal::unsupported(match name {
            PENDING => "a unit with a stack of its own can't be ended from outside and have its destructors run",
            _ => "it has no pool for blocking calls to wait for",
        }))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon's jobs can't be cancelled"))
    }
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicU64>, u64);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(self.1, Ordering::AcqRel);
    }
}

/// Spawns tasks that wait for ever, each with a value whose destructor counts; timed is their end, to the last destructor.
fn pending_tasks<R: Tasks>() -> Answer {
    if let Some(why) = R::NO_CANCEL {
        return Err(Refusal::unsupported(why));
    }
    Ok(Box::new(|params, seed| {
        let n = params.integer("n", 1..=1_000_000)?;
        let runtime = R::start().map_err(|error| not_started(&error))?;
        Ok(repeat(move |iters, clock| {
            let all = n * iters;
            let dropped = Arc::new(AtomicU64::new(0));
            let (counter, started) = (Arc::clone(&dropped), Arc::new(AtomicU64::new(0)));
            let handles = runtime.run(async move {
                let task = |index: u64| {
                    let counted = Counted(Arc::clone(&counter), mix(seed, index % n));
                    let started = Arc::clone(&started);
                    R::spawn(async move {
                        started.fetch_add(1, Ordering::AcqRel);
                        pending::<()>().await;
                        drop(counted);
                    })
                };
                let handles: Vec<_> = (0..all).map(task).collect();
                while started.load(Ordering::Acquire) < all {
                    R::yield_now().await;
                }
                handles
            });
            let wanted = (0..n).fold(0, |sum: u64, index| sum.wrapping_add(mix(seed, index)));
            let end = dropped.clone();
            clock.start();
            runtime.run(async move {
                for handle in handles {
                    R::cancel(handle).await;
                }
                while end.load(Ordering::Acquire) != wanted.wrapping_mul(iters) {
                    R::yield_now().await;
                }
            });
            clock.stop();
            Ok(Work::new(all, wanted))
        }))
    }))
}

/// A call that blocks is under way when the runtime is dropped: how long does that take?
fn stuck_call<R: Tasks>() -> Answer {
    if let Some(why) = R::NO_BLOCKING.or(R::NO_SHUTDOWN) {
        return Err(Refusal::unsupported(why));
    }
    Ok(Box::new(|params, seed| {
        let stuck = Duration::from_millis(params.integer("stuck_ms", 1..=60_000)?);
        Ok(repeat(move |iters, _| {
            let mut longest = 0;
            for _ in 0..iters {
                let runtime = R::start().map_err(|error| not_started(&error))?;
                let begun = Arc::new(AtomicU64::new(0));
                let inside = Arc::clone(&begun);
                runtime.run(async move {
                    let seen = Arc::clone(&inside);
                    let call = move || {
                        inside.store(1, Ordering::Release);
                        std::thread::sleep(stuck);
                        0
                    };
                    R::detach(R::spawn(async move { R::blocking(call).await }));
                    while seen.load(Ordering::Acquire) == 0 {
                        R::yield_now().await;
                    }
                });
                let begin = monotonic_ns();
                drop(runtime);
                longest = longest.max(monotonic_ns() - begin);
            }
            let mut work = Work::new(iters, mix(seed, 1));
            // On the log scale there is no 0; the clock's grain is 1 ns.
            work.values.insert("shutdown_ns".to_owned(), longest.max(1) as f64);
            Ok(work)
        }))
    }))
}
