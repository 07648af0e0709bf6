//! Everything at once: workers, timers, sockets, calls that block, and an orderly end.

mod handle;
mod shutdown;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::block_on::block_on_with;
use crate::blocking::Pool;
use crate::deterministic::Simulation;
use crate::driver::Driver;
use crate::dump::Dump;
use crate::executor::Executor;
use crate::sleeper::Sleeper;
use crate::sync::Notify;
use crate::task::{Name, Named, Task};
use crate::thread::has_several_cpus;
use crate::unhandled;

pub use handle::Handle;
pub use shutdown::{Report, Stuck};

/// An executor with threads that run it, timers and sockets that they share, and a pool for calls that block.
///
/// Timers and sockets are served by whichever worker has nothing else to do; if all that have woken are busy, a sleeping one
/// is woken for them within milliseconds. Dropping the runtime ends it without waiting for tasks: see
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
        if self.is_closed.load(Ordering::Acquire) {
            self.executor.close_all();
        }
        task
    }

    fn spawn_blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
        spawned: &'static Location<'static>,
    ) -> Task<T> {
        match &self.simulation {
            None => self.pool.call(call, spawned),
            Some(simulation) => {
                let task = simulation.call(call, spawned);
                if self.is_closed.load(Ordering::Acquire) {
                    simulation.close_calls();
                }
                task
            }
        }
    }

    /// A worker's life. Tasks' panics are caught where they are polled; but wakers of strangers are called here, too, and one that panics
    /// ends neither the worker nor the runtime.
    fn work(&self, made: &'static Location<'static>) {
        let work = || block_on_with(Sleeper::new(self.driver.clone()), self.executor.run(self.until_over()));
        while let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            unhandled::report(None, made, panic);
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
    #[track_caller]
    pub fn new(workers: usize) -> io::Result<Self> {
        if workers == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a runtime needs a worker: with none, no task would ever run. For tasks on this thread alone take LocalExecutor",
            ));
        }
        let shared = Arc::new(Shared::new(Driver::shared(), None));
        shared.executor.workers().idle.0.set_lonely(!has_several_cpus());
        shared.driver.set_hub(shared.executor.workers());
        let caller = Location::caller();
        let mut runtime = Self { shared, workers: Vec::new(), steward: None };
        // Should one be refused, those that were made end with the runtime.
        for number in 0..workers {
            let shared = runtime.shared.clone();
            let work = move || shared.work(caller);
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
        self.shared.spawn(future, Named::new(name), Location::caller())
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
    pub fn spawn_blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        self.shared.spawn_blocking(call, Location::caller())
    }

    /// Polls `future` on this thread until it has its result. Timers and sockets it awaits are the runtime's.
    ///
    /// # Panics
    /// Inside a task, or another `block_on`. In a [deterministic](Self::deterministic) runtime also when everybody waits for somebody
    /// else, and when another thread is in it.
    ///
    /// The future may borrow, and need not be `Send`: it stays on this thread, which is none of the workers. While it waits this thread
    /// may be the one that serves the runtime's timers and sockets, if no worker comes to it.
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
            let done = self.simulate(future, Location::caller(), |_| None);
            return done.unwrap_or_else(|stop| panic!("{stop}\nWhat ran:\n{}", self.trace().unwrap_or_default()));
        }
        block_on_with(Sleeper::of_guest(self.shared.driver.clone()), future)
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
        Handle::new(self.shared.clone())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.workers.is_empty()
            || (self.shared.simulation.is_some() && !self.shared.is_closed.load(Ordering::Acquire))
        {
            self.end(false);
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
