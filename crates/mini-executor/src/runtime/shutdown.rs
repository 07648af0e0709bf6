//! An orderly end, and what is told of it.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::Runtime;
use crate::awaits;
use crate::deterministic::MOST_STEPS;
use crate::sleep::sleep;
use crate::steward::Steward;
use crate::watchdog;

/// How long the workers have to come to the end of a poll when the runtime ends.
const LAST_POLLS: Duration = Duration::from_millis(100);
/// So many calls are asked for their stacks: more of them hardly tell more, and each may take the time that nobody answers in.
const MOST_ASKED: usize = 10;

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
    /// The first ten that are stuck are asked for their stacks, by a signal (see
    /// [`watchdog`](crate::watchdog#what-it-may-change-in-a-program)). That may take a second more in a debug build, for the program's symbols
    /// are read.
    pub fn shutdown(mut self, deadline: Duration) -> Report {
        let end = Instant::now().checked_add(deadline);
        let tasks = || self.shared.executor.workers().ended_and_left();
        let (ended_before, _) = tasks();
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
        let (ended, left) = tasks();
        let (dropped, stuck) = self.end(true);
        Report { finished: (ended - ended_before) as usize, cancelled: left + dropped, stuck }
    }

    /// Stops the workers, and drops what tasks are left if all of them have stopped. `asks`: those that are stuck are asked where. How many
    /// calls were dropped that had not begun, and what is stuck.
    pub(super) fn end(&mut self, asks: bool) -> (usize, Vec<Stuck>) {
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.over.notify_waiters();
        self.shared.driver.steward().into_iter().for_each(Steward::wake);
        let dropped = self.shared.pool.close();
        let last = Instant::now() + LAST_POLLS;
        // A call is awaited a moment before its thread is through with it.
        while asks && self.shared.pool.has_calls() && Instant::now() < last {
            std::thread::sleep(Duration::from_millis(1));
        }
        let running = self.shared.pool.running();
        let calls = running.iter().enumerate().map(|(index, call)| Stuck {
            is_call: true,
            spawned: Some(call.spawned),
            since: Some(call.since),
            ..Stuck::new(call.thread, asks && index < MOST_ASKED)
        });
        let mut stuck: Vec<Stuck> = calls.collect();
        for worker in self.workers.drain(..) {
            while !worker.is_finished() && Instant::now() < last {
                std::thread::sleep(Duration::from_millis(1));
            }
            if worker.is_finished() {
                // A worker does not panic: tasks' panics are caught.
                let _ = worker.join();
            } else {
                let asks = asks && stuck.len() < MOST_ASKED;
                stuck.push(Stuck::new(worker.thread().id(), asks));
            }
        }
        if stuck.iter().all(|stuck| stuck.is_call) {
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
        (dropped, stuck)
    }
}

/// How a runtime ended.
///
/// For an example see [`Runtime::shutdown`].
#[derive(Debug)]
pub struct Report {
    /// Tasks that came to their end while it was waited for them.
    pub finished: usize,
    /// Tasks that did not: their futures were dropped instead, or are left alone if a worker is [stuck](Stuck), for it may be using them. And
    /// calls that had not begun.
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
#[non_exhaustive]
pub struct Stuck {
    /// Whether it is a call that blocks; else it is a task's poll that does not come to an end.
    pub is_call: bool,
    /// The task's name, if it was given one and its thread answers.
    pub name: Option<String>,
    /// Where the task was spawned, or the call handed over. `None` for a task if its thread does not answer.
    pub spawned: Option<&'static Location<'static>>,
    /// Since when the call lasts. `None` for a task.
    pub since: Option<Instant>,
    /// The stack of its thread, the innermost function first, as the [watchdog](crate::watchdog) finds it. Empty without the feature
    /// `stacks`, where the watchdog is off, where the thread does not answer, and for calls after the tenth.
    pub stack: Vec<String>,
}

impl Stuck {
    /// A task's poll on that thread, which is asked about it or not.
    fn new(thread: ThreadId, asks: bool) -> Self {
        let said = if asks { watchdog::ask(thread) } else { None };
        let stack = said.as_ref().map_or_else(Vec::new, watchdog::frames);
        let (name, spawned) = said.map_or((None, None), |said| (said.name, said.spawned));
        Self { is_call: false, name, spawned: spawned.filter(|place| awaits::is_telling(place)), since: None, stack }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            _ if self.is_call => f.write_str("a call that blocks")?,
            Some(name) => write!(f, "the task {name:?}")?,
            None => f.write_str("a task")?,
        }
        if let Some(spawned) = self.spawned {
            write!(f, ", spawned at {spawned}")?;
        }
        match self.since {
            Some(since) => write!(f, ", for {:.1?}", since.elapsed())?,
            None => f.write_str(", does not come to the end of its poll")?,
        }
        self.stack.iter().try_for_each(|frame| write!(f, "\n    at {frame}"))
    }
}
