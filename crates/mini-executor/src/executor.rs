//! An executor for several threads.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;

use crate::awaits;
use crate::dump::Dump;
use crate::heritage::heir;
use crate::hub::Hub;
use crate::idle::Sleeper;
use crate::task::{Name, Named, Row, Scheduled, Task, make_shared};
use crate::worker::Lease;

/// Runs tasks on any number of threads. Tasks have to be `Send`, and may borrow what outlives the executor.
///
/// Nothing runs by itself: each [`run`](Self::run) that is under way is a *worker*, and tasks go to whichever has time. A task
/// moves from worker to worker; it is never polled by two at once. Dropping the executor drops the futures of all tasks that are not done.
///
/// ```
/// use mini_executor::{Executor, block_on};
/// use std::future::pending;
///
/// static EXECUTOR: Executor<'static> = Executor::new();
///
/// for _ in 0..2 {
///     std::thread::spawn(|| block_on(EXECUTOR.run(pending::<()>())));
/// }
/// let halves: Vec<_> = [0..500, 500..1000_u32].map(|range| EXECUTOR.spawn(async { range.sum::<u32>() })).into();
/// let mut sum = 0;
/// for half in halves {
///     sum += block_on(half);
/// }
/// assert_eq!(sum, 499_500);
/// ```
pub struct Executor<'a> {
    hub: OnceLock<&'static Hub>,
    /// Futures may borrow for `'a`: neither for less nor for more.
    borrows: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl UnwindSafe for Executor<'_> {}
impl RefUnwindSafe for Executor<'_> {}

impl<'a> Executor<'a> {
    /// An executor with no tasks. Takes no memory before the first is spawned.
    ///
    /// ```
    /// static EXECUTOR: mini_executor::Executor<'static> = mini_executor::Executor::new();
    /// assert!(EXECUTOR.is_empty());
    /// ```
    pub const fn new() -> Self {
        Self { hub: OnceLock::new(), borrows: PhantomData }
    }

    #[inline]
    fn hub(&self) -> &'static Hub {
        self.hub.get_or_init(Hub::claim)
    }

    /// Whether every task has ended. Who has joined all tasks finds it empty; with others spawning, it may be outdated at once.
    ///
    /// ```
    /// use mini_executor::{Executor, block_on};
    ///
    /// let executor = Executor::new();
    /// let task = executor.spawn(async {});
    /// assert!(!executor.is_empty());
    /// block_on(executor.run(task));
    /// assert!(executor.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.hub.get().is_none_or(|hub| hub.is_empty())
    }

    /// A list of all tasks: what each awaits, and since when it is there. May be asked for on any thread, and inside a task. What others do
    /// meanwhile may be in it or not. Who spawns or ends a task waits while a sixteenth of the tasks is gone through.
    ///
    /// ```
    /// let executor = mini_executor::Executor::new();
    /// executor.spawn_named("ticker", async {}).detach();
    /// assert!(executor.dump().to_string().contains("ticker"));
    /// ```
    pub fn dump(&self) -> Dump {
        self.hub.get().map_or_else(Dump::default, |hub| Dump::of_hub(hub))
    }

    /// How many tasks have not ended.
    pub(crate) fn len(&self) -> usize {
        self.hub.get().map_or(0, |hub| hub.len())
    }

    /// What its workers share, for who looks after them.
    pub(crate) fn workers(&self) -> &'static Hub {
        self.hub()
    }

    /// Takes the tasks that are ready and that no worker has. Who has them has to run them, or [put them back](Self::queue).
    pub(crate) fn take_queued(&self) -> Row {
        self.hub.get().map_or_else(Row::default, |hub| hub.take_injected())
    }

    /// Drops the future of the task at `address`, unless it is queued. Nobody runs tasks any more.
    pub(crate) fn close_at(&self, address: usize) {
        if let Some(hub) = self.hub.get() {
            hub.close_at(address);
        }
    }

    /// Drops every future that is left. Nobody runs tasks any more.
    pub(crate) fn close_all(&self) {
        if let Some(hub) = self.hub.get() {
            hub.close_all();
        }
    }

    /// Spawns a task. It has its first turn when a worker has time for it.
    ///
    /// Inside a task of this executor the new one is queued with the worker that runs both, from where siblings may take it; elsewhere it is
    /// queued for all workers. If nobody is searching for work, one that sleeps is woken.
    ///
    /// ```
    /// use mini_executor::{Executor, block_on};
    ///
    /// let executor = Executor::new();
    /// let task = executor.spawn(async { 6 * 7 });
    /// assert_eq!(block_on(executor.run(task)), 42);
    /// ```
    #[track_caller]
    #[inline]
    pub fn spawn<T: Send + 'a>(&self, future: impl Future<Output = T> + Send + 'a) -> Task<T> {
        self.spawn_with(future, (), Location::caller())
    }

    /// Spawns a task with a name, by which reports tell it: of panics, of hangs. A name makes the task 32 bytes larger.
    ///
    /// ```
    /// let executor = mini_executor::Executor::new();
    /// let task = executor.spawn_named("ticker", async {});
    /// assert_eq!(task.name(), Some("ticker"));
    /// ```
    #[track_caller]
    pub fn spawn_named<T: Send + 'a>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + Send + 'a,
    ) -> Task<T> {
        self.spawn_with(future, Named::new(name), Location::caller())
    }

    /// Spawns a task for each future, and puts the handles into `handles`.
    ///
    /// ```
    /// use mini_executor::{Executor, block_on};
    ///
    /// let (executor, mut handles) = (Executor::new(), Vec::new());
    /// executor.spawn_many((0..3).map(|number| async move { number * number }), &mut handles);
    /// let sum = executor.run(async {
    ///     let mut sum = 0;
    ///     for handle in handles {
    ///         sum += handle.await;
    ///     }
    ///     sum
    /// });
    /// assert_eq!(block_on(sum), 5);
    /// ```
    #[track_caller]
    pub fn spawn_many<T: Send + 'a, F: Future<Output = T> + Send + 'a>(
        &self,
        futures: impl IntoIterator<Item = F>,
        handles: &mut impl Extend<Task<T>>,
    ) {
        let spawned = Location::caller();
        handles.extend(futures.into_iter().map(|future| self.spawn_with(future, (), spawned)));
    }

    #[inline]
    pub(crate) fn spawn_with<T: Send + 'a, N: Name>(
        &self,
        future: impl Future<Output = T> + Send + 'a,
        name: N,
        spawned: &'static Location<'static>,
    ) -> Task<T> {
        let hub = self.hub();
        // SAFETY: future and output are `Send`. The executor drops the future when it is dropped itself, and until then all that lives
        // for `'a` is there. Where it is leaked nobody runs it any more, so the future is never used again.
        let (task, scheduled) = unsafe { make_shared(hub, spawned, heir(future), name) };
        hub.add(task);
        // SAFETY: a task that was just made, whose output is a `T`; the second of its two references. Before it may run, and end.
        let handle = unsafe { Task::new(task) };
        hub.schedule_new(scheduled);
        handle
    }

    /// Polls one task, if one is ready. Tells whether one was. It may be one that a worker has in its queue.
    ///
    /// ```
    /// let executor = mini_executor::Executor::new();
    /// executor.spawn(async {}).detach();
    /// assert!(executor.try_tick());
    /// assert!(!executor.try_tick());
    /// ```
    pub fn try_tick(&self) -> bool {
        let task = self.hub.get().and_then(|hub| hub.take_any());
        task.map(Scheduled::run).is_some()
    }

    /// Polls one task, once one is ready.
    ///
    /// ```
    /// use mini_executor::{Executor, block_on};
    ///
    /// let executor = Executor::new();
    /// executor.spawn(async {}).detach();
    /// block_on(executor.tick());
    /// assert!(executor.is_empty());
    /// ```
    #[track_caller]
    pub fn tick(&self) -> impl Future<Output = ()> {
        self.tick_at(Location::caller())
    }

    /// The same, called in `place`.
    async fn tick_at(&self, place: &'static Location<'static>) {
        let hub = self.hub();
        let mut napper = Napper { hub, sleeper: Sleeper::new(&hub.idle.0) };
        let tick = poll_fn(move |context| {
            napper.sleeper.rise();
            loop {
                if let Some(task) = hub.take_any() {
                    napper.sleeper.has_found(|| hub.is_any_queued());
                    task.run();
                    return Poll::Ready(());
                }
                if napper.sleeper.sleep(context.waker(), || hub.is_any_queued()) {
                    return Poll::Pending;
                }
            }
        });
        awaits::from(place, tick).await;
    }

    /// Runs tasks until `future` has its result: a worker. Any number of them may run at once. `future` itself is polled between the
    /// tasks, at least after every 61st; it stays on this thread, and need not be `Send`.
    ///
    /// A task's timers and sockets are served by the thread that last polled it: that is to say, by its `block_on`. So a thread that leaves
    /// while others go on running tasks leaves those waiting that have armed a timer there. Where threads come and go, take a
    /// [`Runtime`](crate::Runtime), whose threads share timers and sockets.
    ///
    /// Dropping what this gives, at whatever moment, leaves the worker's tasks to the others. *Leaking* it may cost a wake-up: if it was
    /// just the one to be woken, nobody else is until the executor is dropped.
    ///
    /// ```
    /// use mini_executor::{Executor, block_on, yield_now};
    ///
    /// let executor = Executor::new();
    /// let task = executor.spawn(async {
    ///     yield_now().await;
    ///     "done"
    /// });
    /// assert_eq!(block_on(executor.run(task)), "done");
    /// ```
    #[track_caller]
    pub fn run<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        self.run_at(future, Location::caller())
    }

    /// The same, called in `place`.
    async fn run_at<T>(&self, future: impl Future<Output = T>, place: &'static Location<'static>) -> T {
        let mut lease = Lease::new(self.hub());
        let mut future = pin!(awaits::or_from(place, future));
        poll_fn(|context| lease.turn(context, future.as_mut())).await
    }
}

/// Who waits for a single task.
struct Napper {
    hub: &'static Hub,
    sleeper: Sleeper,
}

impl Drop for Napper {
    fn drop(&mut self) {
        self.sleeper.retire(|| self.hub.is_any_queued());
    }
}

impl Drop for Executor<'_> {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.release();
        }
    }
}

impl Default for Executor<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Executor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}
