//! offload: a call that blocks goes to another thread, and its result comes back. (offload/ticker is blocked-loop's.)

use bench_harness::child::Work;
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, iterate, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Offload;

impl Workload for Offload {
    const NAMES: &'static [&'static str] = &["offload/round-trip"];

    fn on_tasks<R: Tasks>(_: &str) -> Answer {
        if let Some(why) = R::NO_BLOCKING {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(|params, seed| {
            let n = params.integer("n", 1..=10_000_000)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let checksum = runtime.run(async move {
                    let mut checksum = 0;
                    for _ in 0..iters {
                        checksum = 0_u64;
                        for index in 0..n {
                            checksum = checksum.wrapping_add(R::blocking(move || mix(seed, index)).await);
                        }
                    }
                    checksum
                });
                Ok(Work::new(iters * n, checksum))
            }))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Ok(Box::new(|params, seed| {
            let n = params.integer("n", 1..=10_000_000)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let call = |index| R::join(R::spawn(move || mix(seed, index)));
                let once = || (0..n).fold(0, |sum: u64, index| sum.wrapping_add(call(index)));
                Ok(Work::new(iters * n, iterate(iters, once)))
            }))
        }))
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        if !R::OS_THREADS {
            return Err(Refusal::unsupported("it has no pool for calls that block"));
        }
        Self::on_jobs::<R>(name)
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon has no handle to join a single unit by"))
    }
}
