//! Everything at once: workers, timers, sockets, calls that block, and an orderly end.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::block_on::block_on_with;
use crate::blocking::{Blocking, Pool, prepare};
use crate::deterministic::{Limits, Simulation};
use crate::driver::Driver;
use crate::dump::Dump;
use crate::executor::Executor;
use crate::sleep::sleep;
use crate::steward::Steward;
use crate::sync::Notify;
use crate::task::{Name, Task};
use crate::thread::has_several_cpus;
use crate::watchdog::{self, Answer, Frame};

/// How long the workers have to come to the end of a poll when the runtime ends.
const LAST_POLLS: Duration = Duration::from_millis(100);
/// For so long those that are stuck are asked what they are at. To make names of the first stack takes up to a second.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// An executor with threads that run it, timers and sockets that they share, and a pool for calls that block.
///
/// Timers and sockets are served by whichever worker has nothing else to do; if all that have woken are busy, a sleeping one
/// is woken for them within about a millisecond. Dropping the runtime ends it without waiting for tasks: see
/// [`shutdown`](Self::shutdown) for an end that is told of.
///
/// ```
/// use mini_executor::{Runtime, sleep};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new(2)?;
/// let slow = runtime.spawn(async {
///     sleep(Duration::from_millis(2)).await;
///     20
/// });
/// let blocking = runtime.spawn_blocking(|| 22);
/// assert_eq!(runtime.block_on(async { slow.await + blocking.await }), 42);
/// let report = runtime.shutdown(Duration::from_secs(1));
/// assert_eq!((report.cancelled, report.stuck.len()), (0, 0));
/// # Ok(())
/// # }
/// ```
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    steward: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    pub(crate) executor: Executor<'static>,
    pub(crate) driver: Arc<Driver>,
    /// In place of workers, in a [deterministic](Runtime::deterministic) runtime.
    pub(crate) simulation: Option<Arc<Simulation>>,
    pool: Arc<Pool>,
    is_over: AtomicBool,
    over: Notify,
    /// Nobody runs tasks any more.
    is_closed: AtomicBool,
}

impl Shared {
    fn new(driver: Driver, simulation: Option<Arc<Simulation>>) -> Self {
        Self {
            executor: Executor::new(),
            driver: Arc::new(driver),
            simulation,
            pool: Arc::default(),
            is_over: AtomicBool::new(false),
            over: Notify::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    #[inline]
    fn spawn<T: Send + 'static, N: Name>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
        name: N,
        spawned: &'static Location<'static>,
    ) -> Task<T> {
        let task = self.executor.spawn_with(future, name, spawned);
        if let Some(simulation) = &self.simulation {
            simulation.has_spawned(&task);
        }
        if self.is_closed.load(Ordering::Acquire) {
            self.executor.close_all();
        }
        task
    }

    fn spawn_blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
        spawned: &'static Location<'static>,
    ) -> Blocking<T> {
        match &self.simulation {
            None => self.pool.spawn(call, spawned),
            Some(simulation) => {
                let (job, handle) = prepare(call, spawned);
                simulation.call(job);
                handle
            }
        }
    }

    /// Until the runtime ends.
    async fn until_over(&self) {
        loop {
            let over = self.over.notified();
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            over.await;
        }
    }
}

impl Runtime {
    /// Starts so many workers. As many as there are CPUs is a good number: `std::thread::available_parallelism` tells it.
    ///
    /// # Errors
    /// When `workers` is 0, and when the system refuses a thread.
    ///
    /// ```
    /// use mini_executor::Runtime;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let workers = std::thread::available_parallelism()?.get();
    /// let runtime = Runtime::new(workers)?;
    /// # drop(runtime);
    /// assert!(Runtime::new(0).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(workers: usize) -> io::Result<Self> {
        if workers == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a runtime needs a worker: with none, no task would ever run. For tasks on this thread alone take LocalExecutor",
            ));
        }
        let shared = Arc::new(Shared::new(Driver::shared(), None));
        shared.executor.workers().idle.0.set_lonely(!has_several_cpus());
        let mut runtime = Self { shared, workers: Vec::new(), steward: None };
        // Should one be refused, those that were made end with the runtime.
        for number in 0..workers {
            let shared = runtime.shared.clone();
            let work = move || block_on_with(shared.driver.clone(), shared.executor.run(shared.until_over()));
            runtime.workers.push(std::thread::Builder::new().name(format!("mini-{number}")).spawn(work)?);
        }
        let shared = runtime.shared.clone();
        let attend = move || {
            if let Some(steward) = shared.driver.steward() {
                steward.attend(&shared.driver, shared.executor.workers(), || shared.is_over.load(Ordering::Acquire));
            }
        };
        runtime.steward = Some(std::thread::Builder::new().name("mini-steward".to_owned()).spawn(attend)?);
        Ok(runtime)
    }

    /// Without threads.
    pub(crate) fn simulated(simulation: Arc<Simulation>) -> Self {
        let shared = Arc::new(Shared::new(Driver::new_virtual(), Some(simulation)));
        Self { shared, workers: Vec::new(), steward: None }
    }

    /// Spawns a task.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = mini_executor::Runtime::new(1)?;
    /// let task = runtime.spawn(async { 6 * 7 });
    /// assert_eq!(runtime.block_on(task), 42);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        self.shared.spawn(future, (), Location::caller())
    }

    /// Spawns a task with a name, by which reports tell it.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = mini_executor::Runtime::new(1)?;
    /// let task = runtime.spawn_named("ticker", async {});
    /// assert_eq!(task.name(), Some("ticker"));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_named<T: Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.shared.spawn(future, name.into(), Location::caller())
    }

    /// Runs a call on a thread where it may block, as [`spawn_blocking`](crate::spawn_blocking) does, but in this runtime's pool.
    ///
    /// [`shutdown`](Self::shutdown) waits for its calls, too, and tells which it could not wait for.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = mini_executor::Runtime::new(1)?;
    /// let sum = runtime.spawn_blocking(|| (1..=1_000).sum::<u64>());
    /// assert_eq!(runtime.block_on(sum), 500_500);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
        self.shared.spawn_blocking(call, Location::caller())
    }

    /// Polls `future` on this thread until it has its result. Timers and sockets it awaits are the runtime's.
    ///
    /// # Panics
    /// Inside a task, or another `block_on`. In a [deterministic](Self::deterministic) runtime also when everybody waits for somebody
    /// else, and when another thread is in it.
    ///
    /// The future may borrow, and need not be `Send`: it stays on this thread, which is none of the workers. While it waits this thread
    /// may be the one that serves the runtime's timers and sockets.
    ///
    /// ```
    /// use mini_executor::{Runtime, sleep};
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Runtime::new(1)?;
    /// let words = vec!["not", "moved"];
    /// runtime.block_on(async {
    ///     sleep(Duration::from_millis(1)).await;
    ///     assert_eq!(words.len(), 2);
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        if self.shared.simulation.is_some() {
            let done = self.simulate(future, Location::caller(), Limits::default());
            return done.unwrap_or_else(|stop| panic!("{stop}\nWhat ran:\n{}", self.trace().unwrap_or_default()));
        }
        block_on_with(self.shared.driver.clone(), future)
    }

    /// A list of all tasks: see [`Executor::dump`].
    pub fn dump(&self) -> Dump {
        self.shared.executor.dump()
    }

    /// A handle with which tasks spawn tasks.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = mini_executor::Runtime::new(1)?;
    /// let handle = runtime.handle();
    /// let from_elsewhere = std::thread::spawn(move || handle.spawn(async { 7 }));
    /// assert_eq!(runtime.block_on(from_elsewhere.join().unwrap()), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

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
    /// Its thread goes on, and ends when it comes to an end by itself. It is asked for its stack, by a signal (see
    /// [`watchdog`](crate::watchdog#what-it-may-change-in-a-program)); for many that takes up to two seconds more.
    pub fn shutdown(mut self, deadline: Duration) -> Report {
        let end = Instant::now() + deadline;
        let begun = self.shared.executor.len();
        if let Some(simulation) = &self.shared.simulation {
            let is_over = || self.shared.executor.is_empty() && !simulation.has_calls();
            let limits = Limits { is_over: Some(&is_over), ..Limits::default() };
            let _ = self.simulate(async { sleep(deadline).await }, Location::caller(), limits);
        }
        let has_work = || !self.shared.executor.is_empty() || !self.shared.pool.running().is_empty();
        while has_work() && Instant::now() < end && self.shared.simulation.is_none() {
            std::thread::sleep(Duration::from_millis(1).min(deadline));
        }
        let cancelled = self.shared.executor.len();
        let begin = Instant::now();
        let stuck = self.end(&|thread| {
            let has_time = begin.elapsed() < LAST_ANSWERS;
            has_time.then(|| watchdog::ask(thread)).flatten().unwrap_or_default()
        });
        Report { finished: begun.saturating_sub(cancelled), cancelled, stuck }
    }

    /// Stops the workers, and drops what tasks are left if all of them have stopped.
    fn end(&mut self, ask: &dyn Fn(ThreadId) -> Answer) -> Vec<Stuck> {
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
            // Here and not with the executor, which tasks may keep alive themselves, by a handle.
            match &self.shared.simulation {
                Some(simulation) => simulation.close(&self.shared.executor),
                None => self.shared.executor.close_all(),
            }
            self.shared.is_closed.store(true, Ordering::Release);
        }
        if let Some(steward) = self.steward.take() {
            self.shared.driver.steward().into_iter().for_each(Steward::wake);
            let _ = steward.join();
        }
        stuck
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.workers.is_empty()
            || (self.shared.simulation.is_some() && !self.shared.is_closed.load(Ordering::Acquire))
        {
            self.end(&|_| Answer::default());
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("workers", &self.workers.len())
            .field("tasks", &self.shared.executor.len())
            .finish_non_exhaustive()
    }
}

/// Spawns tasks on a [`Runtime`], from wherever it was sent to. Tasks that are spawned after the runtime's end are dropped at once.
///
/// ```
/// use mini_executor::Runtime;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new(1)?;
/// let handle = runtime.handle();
/// let outer = runtime.spawn(async move { handle.spawn(async { "inner" }).await });
/// assert_eq!(runtime.block_on(outer), "inner");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// As [`Runtime::spawn`].
    #[track_caller]
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        self.shared.spawn(future, (), Location::caller())
    }

    /// As [`Runtime::spawn_named`].
    #[track_caller]
    pub fn spawn_named<T: Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.shared.spawn(future, name.into(), Location::caller())
    }

    /// As [`Runtime::dump`].
    pub fn dump(&self) -> Dump {
        self.shared.executor.dump()
    }

    /// As [`Runtime::spawn_blocking`].
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = mini_executor::Runtime::new(1)?;
    /// let handle = runtime.handle();
    /// let outer = runtime.spawn(async move { handle.spawn_blocking(|| "a call from a task").await });
    /// assert_eq!(runtime.block_on(outer), "a call from a task");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
        self.shared.spawn_blocking(call, Location::caller())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// How a runtime ended.
///
/// For an example see [`Runtime::shutdown`].
#[derive(Debug)]
pub struct Report {
    /// Tasks that came to their end while it was waited for them.
    pub finished: usize,
    /// Tasks whose futures were dropped instead.
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
