//! One test under many schedules.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use super::MOST_STEPS;
use super::simulation::{Limits, Stop};
use super::trace::Trace;
use crate::runtime::Runtime;
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
    Explorer::new().explore(seeds, test);
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
pub fn try_explore(
    seeds: impl IntoIterator<Item = u64>,
    test: impl AsyncFn(&Runtime),
) -> Result<Explored, Box<Failed>> {
    Explorer::new().try_explore(seeds, test)
}

/// [`explore`] with other limits.
///
/// ```
/// use mini_executor::deterministic::{Explorer, Why};
/// use mini_executor::yield_now;
///
/// let livelock = Explorer::new().steps(1_000).try_explore(0..10, async |_| loop {
///     yield_now().await;
/// });
/// assert_eq!(livelock.unwrap_err().why, Why::TooManySteps);
/// ```
#[derive(Debug, Clone)]
pub struct Explorer {
    steps: u64,
}

impl Explorer {
    /// As [`explore`] does it.
    pub fn new() -> Self {
        Self { steps: MOST_STEPS }
    }

    /// A run that takes more steps fails.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// As [`explore`].
    ///
    /// # Panics
    /// When a run fails.
    #[track_caller]
    pub fn explore(&self, seeds: impl IntoIterator<Item = u64>, test: impl AsyncFn(&Runtime)) {
        if let Err(failed) = self.try_explore(seeds, test) {
            panic!("{failed}");
        }
    }

    /// As [`try_explore`].
    ///
    /// # Errors
    /// With the first run that fails.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "closures are written in place")]
    pub fn try_explore(
        &self,
        seeds: impl IntoIterator<Item = u64>,
        test: impl AsyncFn(&Runtime),
    ) -> Result<Explored, Box<Failed>> {
        let caller = Location::caller();
        let mut explored = Explored { runs: 0, steps: 0, interleavings: 0 };
        let mut seen = HashSet::new();
        for seed in seeds {
            let (failure, trace) = self.run(seed, &test, caller);
            if let Some((why, message)) = failure {
                let (again, repeated) = self.run(seed, &test, caller);
                let is_repeated = repeated == trace && again.is_some_and(|again| again == (why, message.clone()));
                return Err(Box::new(Failed { seed, why, message, passed: explored, trace, is_repeated }));
            }
            seen.insert(trace.hash());
            explored.runs += 1;
            explored.steps += trace.count();
            explored.interleavings = seen.len() as u64;
        }
        Ok(explored)
    }

    /// One run: why it failed, if it did, and what ran.
    fn run(
        &self,
        seed: u64,
        test: &impl AsyncFn(&Runtime),
        caller: &'static Location<'static>,
    ) -> (Option<(Why, String)>, Trace) {
        let listener = Listener::new();
        let runtime = Runtime::deterministic(seed);
        let limits = Limits { steps: Some(self.steps), ..Limits::default() };
        let run = catch_unwind(AssertUnwindSafe(|| runtime.simulate(async { test(&runtime).await }, caller, limits)));
        let trace = runtime.trace().unwrap_or_default();
        // What is left is dropped now, and that may fail, too.
        let end = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
        let unhandled = listener.end();
        let failure = match (run, unhandled) {
            (Err(panic), _) => Some((Why::Panicked, message(&*panic))),
            (Ok(Err(stop @ Stop::Deadlock(_))), _) => Some((Why::Deadlock, stop.to_string())),
            (Ok(Err(stop @ Stop::TooManySteps(_))), _) => Some((Why::TooManySteps, stop.to_string())),
            (Ok(_), Some(unhandled)) => Some((Why::Unhandled, unhandled)),
            (Ok(_), None) => end.err().map(|panic| (Why::Panicked, message(&*panic))),
        };
        (failure, trace)
    }
}

impl Default for Explorer {
    fn default() -> Self {
        Self::new()
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&'static str>().map(|message| (*message).to_owned());
    literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_owned())
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explored {
    /// Runs that passed: one for each seed.
    pub runs: u64,
    /// The turns of tasks in all of them.
    pub steps: u64,
    /// How many different orders of turns there were. If they are far fewer than runs, more seeds will hardly bring news.
    pub interleavings: u64,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, steps, interleavings } = self;
        write!(f, "{runs} runs passed, with {interleavings} different interleavings, {steps} steps in all")
    }
}

/// Why a run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// The test panicked.
    Panicked,
    /// A task panicked that nobody joins.
    Unhandled,
    /// Nobody was ready, and no timer was armed.
    Deadlock,
    /// There was no end to it.
    TooManySteps,
}

/// A run that failed: with which seed, why, and what ran in which order. As text, all of that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failed {
    /// The seed: [`Runtime::deterministic`] with it repeats the run.
    pub seed: u64,
    /// Why it failed.
    pub why: Why,
    /// The panic's message, or who waits.
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
        let Self { seed, why, message, passed, trace, is_repeated } = self;
        let what = match why {
            Why::Panicked => "the test panicked: ",
            Why::Deadlock | Why::TooManySteps | Why::Unhandled => "",
        };
        writeln!(f, "with seed {seed}, after {} runs that passed: {what}{message}", passed.runs)?;
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
