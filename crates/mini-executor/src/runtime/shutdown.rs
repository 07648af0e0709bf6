//! An orderly end, and what is told of it.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::Runtime;
use crate::deterministic::MOST_STEPS;
use crate::sleep::sleep;
use crate::steward::Steward;
use crate::watchdog::{self, Answer, Frame};

/// How long the workers have to come to the end of a poll when the runtime ends.
const LAST_POLLS: Duration = Duration::from_millis(100);
/// For so long it is waited, in all, for what those that are stuck say they are at.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

impl Runtime {
    /// Ends the runtime: waits up to `deadline` for its tasks and for calls that block, then drops the futures of those that are left.
    /// What could not be ended is told: a call or a task that computes or waits in the kernel cannot be stopped from outside.
    /// Its thread goes on, and ends when it comes to an end by itself.
    ///
    /// A [deterministic](Self::deterministic) runtime runs its tasks meanwhile, and waits in virtual time.
    ///
    /// ```
    /// use mini_executor::Runtime;
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Runtime::new(1)?;
    /// runtime.block_on(runtime.spawn(async {}));
    /// runtime.spawn(std::future::pending::<()>()).detach();
    /// let report = runtime.shutdown(Duration::from_millis(20));
    /// assert_eq!(report.cancelled, 1);
    /// # Ok(())
    /// # }
    /// ```
    /// It is asked for its stack, by a signal (see
    /// [`watchdog`](crate::watchdog#what-it-may-change-in-a-program)); for many that takes up to two seconds more, and the time that it takes to read the
    /// program's symbols, which is up to a second in a debug build.
    pub fn shutdown(mut self, deadline: Duration) -> Report {
        let end = Instant::now().checked_add(deadline);
        let begun = self.shared.executor.len();
        if let Some(simulation) = &self.shared.simulation {
            let is_over = || self.shared.executor.is_empty() && !simulation.has_calls();
            // In virtual time a task that yields for ever would never let the deadline come.
            let stop = |steps| (is_over() || steps == MOST_STEPS).then(String::new);
            let _ = self.simulate(async { sleep(deadline).await }, Location::caller(), stop);
        }
        let has_work = || !self.shared.executor.is_empty() || self.shared.pool.has_calls();
        while has_work() && end.is_none_or(|end| Instant::now() < end) && self.shared.simulation.is_none() {
            std::thread::sleep(Duration::from_millis(1).min(deadline));
        }
        let cancelled = self.shared.executor.len();
        let waited = Cell::new(Duration::ZERO);
        let stuck = self.end(&|thread| {
            if waited.get() >= LAST_ANSWERS {
                return Answer::default();
            }
            let (answer, took) = watchdog::ask(thread);
            waited.set(waited.get() + took);
            answer.unwrap_or_default()
        });
        Report { finished: begun.saturating_sub(cancelled), cancelled, stuck }
    }

    /// Stops the workers, and drops what tasks are left if all of them have stopped.
    pub(super) fn end(&mut self, ask: &dyn Fn(ThreadId) -> Answer) -> Vec<Stuck> {
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.over.notify_waiters();
        self.shared.driver.steward().into_iter().for_each(Steward::wake);
        self.shared.pool.close();
        let running = self.shared.pool.running();
        let mut stuck: Vec<Stuck> = running
            .iter()
            .map(|call| Stuck {
                what: StuckIn::Call { spawned: call.spawned },
                since: Some(call.since),
                stack: ask(call.thread).stack,
            })
            .collect();
        let last = Instant::now() + LAST_POLLS;
        for worker in self.workers.drain(..) {
            while !worker.is_finished() && Instant::now() < last {
                std::thread::sleep(Duration::from_millis(1));
            }
            if worker.is_finished() {
                // A worker does not panic: tasks' panics are caught.
                let _ = worker.join();
            } else {
                let Answer { name, spawned, stack } = ask(worker.thread().id());
                let worker = worker.thread().name().unwrap_or_default().to_owned();
                stuck.push(Stuck { what: StuckIn::Task { worker, name, spawned }, since: None, stack });
            }
        }
        if !stuck.iter().any(|stuck| matches!(stuck.what, StuckIn::Task { .. })) {
            // First: a task that is spawned from now on is closed by who spawns it.
            self.shared.is_closed.store(true, Ordering::Release);
            // Here and not with the executor, which tasks may keep alive themselves, by a handle.
            match &self.shared.simulation {
                Some(simulation) => simulation.close(&self.shared.executor),
                None => self.shared.executor.close_all(),
            }
        }
        if let Some(steward) = self.steward.take() {
            self.shared.driver.steward().into_iter().for_each(Steward::wake);
            let _ = steward.join();
        }
        stuck
    }
}

/// How a runtime ended.
///
/// For an example see [`Runtime::shutdown`].
#[derive(Debug)]
pub struct Report {
    /// Tasks that came to their end while it was waited for them.
    pub finished: usize,
    /// Tasks that did not: their futures were dropped instead, or are left alone if a worker is [stuck](StuckIn::Task), for it may be using them.
    pub cancelled: usize,
    /// What could not be ended.
    pub stuck: Vec<Stuck>,
}

/// Something that goes on after its runtime's end.
///
/// ```
/// use mini_executor::Runtime;
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let (release, held) = mpsc::channel::<()>();
/// let (begun, has_begun) = mpsc::channel();
/// let runtime = Runtime::new(1)?;
/// let call = move || {
///     begun.send(()).unwrap();
///     held.recv()
/// };
/// runtime.spawn_blocking(call).detach();
/// has_begun.recv().unwrap();
/// let report = runtime.shutdown(Duration::from_millis(1));
/// println!("{}", report.stuck[0]); // a call that blocks, spawned at src/main.rs:14:9, for 1.2ms
/// # assert!(report.stuck[0].to_string().starts_with("a call that blocks, spawned at "));
/// drop(release);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Stuck {
    /// What it is.
    pub what: StuckIn,
    /// Since when, as far as that is known.
    pub since: Option<Instant>,
    /// The stack of its thread, the innermost function first, as the [watchdog](crate::watchdog) finds it. Empty without the feature
    /// `stacks`, where the watchdog is off, and where the thread does not answer.
    pub stack: Vec<Frame>,
}

/// What can be stuck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StuckIn {
    /// A call that blocks.
    Call {
        /// Where it was handed over.
        spawned: &'static Location<'static>,
    },
    /// A task's poll that does not come to an end.
    Task {
        /// The name of the thread that polls it.
        worker: String,
        /// The task's name, if it was given one and its thread answers.
        name: Option<String>,
        /// Where it was spawned. `None` if its thread does not answer.
        spawned: Option<&'static Location<'static>>,
    },
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            StuckIn::Call { spawned } => write!(f, "a call that blocks, spawned at {spawned}")?,
            StuckIn::Task { worker, name, spawned } => {
                match name {
                    Some(name) => write!(f, "the task {name:?}")?,
                    None => f.write_str("a task")?,
                }
                if let Some(spawned) = spawned {
                    write!(f, ", spawned at {spawned},")?;
                }
                write!(f, " on {worker} that does not come to the end of its poll")?;
            }
        }
        if let Some(since) = self.since {
            write!(f, ", for {:.1?}", since.elapsed())?;
        }
        self.stack.iter().try_for_each(|frame| write!(f, "\n    at {frame}"))
    }
}
