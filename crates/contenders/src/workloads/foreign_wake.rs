//! foreign-wake: a thread that is none of the runtime's wakes a unit, which wakes it in turn.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::thread::Thread;

use bench_harness::child::Work;
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct ForeignWake;

impl Workload for ForeignWake {
    const NAMES: &'static [&'static str] = &["foreign-wake"];

    fn on_tasks<R: Tasks>(_: &str) -> Answer {
        Ok(Box::new(|params, seed| {
            let n = params.integer("n", 1..=100_000_000)?;
            let runtime = R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let turns = Turns::new(seed);
                let stranger = turns.stranger(n * iters, |waker: &Mutex<Option<Waker>>| {
                    let waker = waker.lock().unwrap_or_else(PoisonError::into_inner).take();
                    waker.into_iter().for_each(Waker::wake);
                });
                runtime.run(answer(Arc::clone(&turns), n, iters));
                stranger.join().expect("it only wakes");
                Ok(Work::new(iters * n, turns.number.load(Ordering::Acquire)))
            }))
        }))
    }

    fn on_threads<R: Threads>(_: &str) -> Answer {
        if let Some(why) = R::NO_FOREIGN_WAKE {
            return Err(Refusal::unsupported(why));
        }
        Ok(Box::new(|params, seed| {
            let n = params.integer("n", 1..=100_000_000)?;
            R::start().map_err(|error| not_started(&error))?;
            Ok(repeat(move |iters, _| {
                let own = Turns::<OnceLock<R::Unit>>::new(seed);
                let number = R::run(move || {
                    // Before the stranger is there: it always knows whom to wake.
                    own.unit.get_or_init(R::this);
                    let stranger = own.stranger(n * iters, |unit: &OnceLock<R::Unit>| {
                        unit.get().into_iter().for_each(R::unpark);
                    });
                    for _ in 0..iters {
                        own.number.store(own.seed, Ordering::Relaxed);
                        for _ in 0..n {
                            while !own.is_units() {
                                R::park();
                            }
                            own.mix_and_pass();
                        }
                    }
                    stranger.join().expect("it only wakes");
                    own.number.load(Ordering::Acquire)
                });
                Ok(Work::new(iters * n, number))
            }))
        }))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported("a job runs on a thread, and waking that is `thread`'s"))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported("rayon's jobs must not wait"))
    }

    fn on_floor<R: Tasks>(_: &str) -> Answer {
        Err(Refusal::unsupported("its tasks can be woken from their own thread alone"))
    }
}

/// What the unit and the stranger share: whose turn it is, the number that the unit mixes, and how to wake either.
struct Turns<W> {
    units: AtomicBool,
    number: AtomicU64,
    seed: u64,
    unit: W,
    stranger: OnceLock<Thread>,
}

impl<W: Default + Send + Sync + 'static> Turns<W> {
    fn new(seed: u64) -> Arc<Self> {
        let number = AtomicU64::new(seed);
        Arc::new(Self { units: AtomicBool::new(false), number, seed, unit: W::default(), stranger: OnceLock::new() })
    }

    fn is_units(&self) -> bool {
        self.units.load(Ordering::Acquire)
    }

    fn mix_and_pass(&self) {
        // Only whoever has the turn touches the number; the turn's release orders it.
        let number = self.number.load(Ordering::Relaxed);
        self.number.store(mix(number, 1), Ordering::Relaxed);
        self.units.store(false, Ordering::Release);
        self.stranger.get().expect("it had the first turn").unpark();
    }

    /// The thread that wakes the unit, `trips` times, and waits for its answer each time.
    fn stranger(self: &Arc<Self>, trips: u64, wake: fn(&W)) -> std::thread::JoinHandle<()> {
        let turns = Arc::clone(self);
        std::thread::spawn(move || {
            turns.stranger.get_or_init(std::thread::current);
            for _ in 0..trips {
                turns.units.store(true, Ordering::Release);
                wake(&turns.unit);
                while turns.is_units() {
                    std::thread::park();
                }
            }
        })
    }
}

async fn answer(turns: Arc<Turns<Mutex<Option<Waker>>>>, n: u64, iters: u64) {
    for _ in 0..iters {
        turns.number.store(turns.seed, Ordering::Relaxed);
        for _ in 0..n {
            poll_fn(|context| {
                if turns.is_units() {
                    return Poll::Ready(());
                }
                *turns.unit.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
                // The turn may have come between the look and the waker's being there.
                if turns.is_units() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            turns.mix_and_pass();
        }
    }
}
