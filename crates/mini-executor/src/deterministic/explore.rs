//! One test under many schedules.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use super::MOST_STEPS;
use super::trace::Trace;
use crate::runtime::Runtime;
use crate::strangers::message;
use crate::unhandled::Listener;

/// Runs `test` once for each seed, in a fresh [deterministic runtime](Runtime::deterministic) each time.
///
/// A run fails when the test panics, when a task panics that nobody joins, when everybody waits and no timer is armed (a deadlock), and
/// when it takes more than a million steps. It is then run once more, to see whether the seed repeats it; so Rust's own message of its
/// panic comes twice.
///
/// # Panics
/// When a run fails. The message says with which seed, why, and what ran in which order.
///
/// ```
/// use mini_executor::{explore, sync::Mutex, yield_now};
/// use std::sync::Arc;
///
/// explore(0..100, async |runtime| {
///     let count = Arc::new(Mutex::new(0));
///     let increments: Vec<_> = (0..3)
///         .map(|_| {
///             let count = count.clone();
///             runtime.spawn(async move {
///                 let mut count = count.lock().await;
///                 let read = *count;
///                 yield_now().await;
///                 *count = read + 1;
///             })
///         })
///         .collect();
///     for increment in increments {
///         increment.await;
///     }
///     assert_eq!(*count.lock().await, 3);
/// });
/// ```
#[track_caller]
pub fn explore(seeds: impl IntoIterator<Item = u64>, test: impl AsyncFn(&Runtime)) {
    if let Err(failed) = try_explore(seeds, test) {
        panic!("{failed}");
    }
}

/// As [`explore`], for those who want to go on with what is found.
///
/// # Errors
/// With the first run that fails.
///
/// ```
/// use mini_executor::{try_explore, yield_now};
/// use std::cell::Cell;
///
/// let failed = try_explore(0..100, async |runtime| {
///     let first = runtime.spawn(async { "first" });
///     let second = runtime.spawn(async { "second" });
///     yield_now().await;
///     assert!(first.is_finished() || !second.is_finished(), "they came to their ends in order");
/// });
/// println!("{}", failed.unwrap_err());
/// ```
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "closures are written in place")]
pub fn try_explore(
    seeds: impl IntoIterator<Item = u64>,
    test: impl AsyncFn(&Runtime),
) -> Result<Explored, Box<Failed>> {
    let caller = Location::caller();
    let mut explored = Explored { runs: 0, interleavings: 0 };
    let mut seen = HashSet::new();
    for seed in seeds {
        let (failure, trace) = run(seed, &test, caller);
        if let Some(message) = failure {
            let again = run(seed, &test, caller);
            let is_repeated = again.0.as_ref() == Some(&message) && again.1 == trace;
            return Err(Box::new(Failed { seed, message, passed: explored, trace, is_repeated }));
        }
        seen.insert(trace.hash());
        explored = Explored { runs: explored.runs + 1, interleavings: seen.len() as u64 };
    }
    Ok(explored)
}

/// One run: why it failed, if it did, and what ran.
fn run(seed: u64, test: &impl AsyncFn(&Runtime), caller: &'static Location<'static>) -> (Option<String>, Trace) {
    let listener = Listener::new();
    let runtime = Runtime::deterministic(seed);
    let stop = |steps| match steps {
        MOST_STEPS => Some(format!(
            "no end after {MOST_STEPS} steps: tasks wake themselves or one another for ever (time does not pass while anybody is ready)"
        )),
        _ => Listener::has_heard().then(String::new),
    };
    let run = catch_unwind(AssertUnwindSafe(|| runtime.simulate(async { test(&runtime).await }, caller, stop)));
    let trace = runtime.trace().unwrap_or_default();
    // What is left is dropped now, and that may fail, too.
    let end = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
    let unhandled = listener.end();
    let panicked =
        |panic: Box<dyn Any + Send>| format!("the test panicked: {}", message(&*panic).unwrap_or("(no message)"));
    let failure = match run {
        Err(panic) => Some(panicked(panic)),
        Ok(Err(why)) if !why.is_empty() => Some(why),
        Ok(_) => unhandled.or_else(|| end.err().map(panicked)),
    };
    (failure, trace)
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explored {
    /// Runs that passed: one for each seed.
    pub runs: u64,
    /// How many different orders of turns there were. If they are far fewer than runs, more seeds will hardly bring news.
    pub interleavings: u64,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs passed, with {} different interleavings", self.runs, self.interleavings)
    }
}

/// A run that failed: with which seed, why, and what ran in which order. As text, all of that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failed {
    /// The seed: [`Runtime::deterministic`] with it repeats the run.
    pub seed: u64,
    /// Why it failed: with the panic's message, or who waits.
    pub message: String,
    /// The runs before this one.
    pub passed: Explored,
    /// What ran.
    pub trace: Trace,
    /// Whether a second run with the same seed was the same. If not, something other than the seed has a say in it: real time, a
    /// thread, the order of a `HashMap`, an address, what an earlier run left behind.
    pub is_repeated: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, message, passed, trace, is_repeated } = self;
        writeln!(f, "with seed {seed}, after {} runs that passed: {message}", passed.runs)?;
        writeln!(f, "What ran, in this order:")?;
        write!(f, "{trace}")?;
        if *is_repeated {
            write!(f, "Run again, it was the same: explore([{seed}], …), or Runtime::deterministic({seed})")
        } else {
            write!(
                f,
                "Run again, it was NOT the same: something other than the seed has a say in it. \
                 Real time, a thread, the order of a HashMap, an address, what an earlier run left behind?"
            )
        }
    }
}

impl std::error::Error for Failed {}
