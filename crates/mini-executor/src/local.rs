//! An executor for one thread.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::task::{Context, Poll};

use crate::awaits;
use crate::births;
use crate::deterministic::Simulation;
use crate::dump::Dump;
use crate::heritage::heir;
use crate::home::{Home, Runner};
use crate::task::{Name, Named, Task, make, run};
use crate::turn::Turn;

/// Runs tasks on the thread that made it. Tasks need not be `Send`, and may borrow what outlives the executor.
///
/// Nothing runs by itself: tasks run while somebody polls [`run`](Self::run), [`tick`](Self::tick) or calls
/// [`try_tick`](Self::try_tick). Dropping the executor drops the futures of all tasks that are not done.
///
/// ```
/// use mini_executor::{LocalExecutor, block_on};
///
/// let words = ["tasks", "may", "borrow"];
/// let executor = LocalExecutor::new();
/// let lengths: Vec<_> = words.iter().map(|word| executor.spawn(async move { word.len() })).collect();
/// let sum = executor.run(async {
///     let mut sum = 0;
///     for length in lengths {
///         sum += length.await;
///     }
///     sum
/// });
/// assert_eq!(block_on(sum), 14);
/// ```
pub struct LocalExecutor<'a> {
    home: OnceCell<&'static Home>,
    /// Futures may borrow for `'a` and no longer; and no other thread may spawn or run.
    borrows: PhantomData<(*mut &'a (), std::rc::Rc<()>)>,
}

impl UnwindSafe for LocalExecutor<'_> {}
impl RefUnwindSafe for LocalExecutor<'_> {}

impl<'a> LocalExecutor<'a> {
    /// An executor with no tasks. Takes no memory before the first is spawned.
    ///
    /// ```
    /// let executor = mini_executor::LocalExecutor::new();
    /// assert!(executor.is_empty());
    /// ```
    pub const fn new() -> Self {
        Self { home: OnceCell::new(), borrows: PhantomData }
    }

    #[inline]
    fn home(&self) -> &'static Home {
        self.home.get_or_init(Home::claim)
    }

    /// Whether every task has ended.
    ///
    /// ```
    /// let executor = mini_executor::LocalExecutor::new();
    /// let task = executor.spawn(async {});
    /// assert!(!executor.is_empty());
    /// while executor.try_tick() {}
    /// assert!(executor.is_empty());
    /// drop(task); // its handle may live on
    /// ```
    pub fn is_empty(&self) -> bool {
        self.home.get().is_none_or(|home| home.is_empty())
    }

    /// A list of all tasks: what each awaits, and since when it is there. May be asked for inside a task, too.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, sync::Mutex};
    ///
    /// let mutex = Mutex::new(());
    /// let executor = LocalExecutor::new();
    /// let guard = mutex.try_lock();
    /// executor.spawn(async { drop(mutex.lock().await) }).detach();
    /// executor.try_tick();
    /// let awaits = executor.dump().tasks[0].awaits.unwrap();
    /// assert_eq!(awaits.file(), file!());
    /// println!("{}", executor.dump());
    /// ```
    pub fn dump(&self) -> Dump {
        self.home.get().map_or_else(Dump::default, |home| Dump::of_home(home))
    }

    /// Spawns a task. It has its first turn when the executor runs.
    ///
    /// In a task of the same executor it is put behind all that are ready (but those that [yield](crate::yield_now) while timers or
    /// sockets are awaited). Nothing is allocated but the task itself: 64 bytes and the future.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, block_on};
    /// use std::rc::Rc;
    ///
    /// let executor = LocalExecutor::new();
    /// let shared = Rc::new(6); // not `Send`, and need not be
    /// let task = executor.spawn(async move { *shared * 7 });
    /// assert_eq!(block_on(executor.run(task)), 42);
    /// ```
    #[track_caller]
    #[inline]
    pub fn spawn<T: 'a>(&self, future: impl Future<Output = T> + 'a) -> Task<T> {
        self.spawn_with(future, (), Location::caller())
    }

    /// Spawns a task with a name, by which reports tell it: of panics, of hangs. A name makes the task 32 bytes larger.
    ///
    /// ```
    /// let executor = mini_executor::LocalExecutor::new();
    /// let task = executor.spawn_named(format!("client {}", 7), async {});
    /// assert_eq!(task.name(), Some("client 7"));
    /// ```
    #[track_caller]
    pub fn spawn_named<T: 'a>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + 'a,
    ) -> Task<T> {
        self.spawn_with(future, Named::new(name), Location::caller())
    }

    /// Spawns a task for each future, and puts the handles into `handles`.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, block_on};
    ///
    /// let (executor, mut handles) = (LocalExecutor::new(), Vec::new());
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
    pub fn spawn_many<T: 'a, F: Future<Output = T> + 'a>(
        &self,
        futures: impl IntoIterator<Item = F>,
        handles: &mut impl Extend<Task<T>>,
    ) {
        let spawned = Location::caller();
        handles.extend(futures.into_iter().map(|future| self.spawn_with(future, (), spawned)));
    }

    #[inline]
    fn spawn_with<T: 'a, N: Name>(
        &self,
        future: impl Future<Output = T> + 'a,
        name: N,
        spawned: &'static Location<'static>,
    ) -> Task<T> {
        let home = self.home();
        // SAFETY: an executor stays on the thread that claimed the home, so this is the owner's. It drops the future when it is
        // dropped itself, and until then all that lives for `'a` is there. Where it is leaked the future is never used again.
        let task = unsafe { make(home, spawned, heir(future), name) };
        // SAFETY: a task that was just made, whose output is a `T`; the second of its two references.
        let handle = unsafe { Task::new(task) };
        home.tasks.add(task);
        // Last: it may wake whoever runs the executor, which is strangers' code.
        home.push(task);
        handle
    }

    /// Polls one task, if one is ready. Tells whether one was.
    ///
    /// It does not serve timers and sockets: that is [`block_on`](crate::block_on)'s part. So this is for tests that want to see single
    /// steps, and for programs whose loop is somebody else's, a window system's for one.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, yield_now};
    ///
    /// let executor = LocalExecutor::new();
    /// let task = executor.spawn(yield_now());
    /// assert!(executor.try_tick() && !task.is_finished());
    /// assert!(executor.try_tick() && task.is_finished());
    /// assert!(!executor.try_tick());
    /// ```
    pub fn try_tick(&self) -> bool {
        let Some(home) = self.home.get() else { return false };
        births::begin_turn();
        home.begin_turn(false);
        home.pop().map(run).is_some()
    }

    /// Polls one task, once one is ready.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, block_on};
    ///
    /// let executor = LocalExecutor::new();
    /// executor.spawn(async {}).detach();
    /// block_on(executor.tick());
    /// assert!(executor.is_empty());
    /// ```
    #[track_caller]
    pub fn tick(&self) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let runner = Runner::new(self.home());
            let tick = poll_fn(|context| {
                let _awake = runner.wake_up(context.waker());
                if self.try_tick() { Poll::Ready(()) } else { Poll::Pending }
            });
            awaits::from(place, tick).await;
        }
    }

    /// Runs tasks until `future` has its result. Between them `future` itself is polled, and timers and
    /// sockets are served: after every 61st task, or after 100 us, for which the clock is looked at after every 8th.
    ///
    /// Tasks go on only as long as somebody polls this: those that are not done when `future` is wait for the next `run`, and lose nothing.
    ///
    /// ```
    /// use mini_executor::{LocalExecutor, block_on, yield_now};
    ///
    /// let executor = LocalExecutor::new();
    /// let long = executor.spawn(async {
    ///     for _ in 0..1_000 {
    ///         yield_now().await;
    ///     }
    ///     "in the end"
    /// });
    /// assert_eq!(block_on(executor.run(async { "at once" })), "at once");
    /// assert!(!long.is_finished());
    /// assert_eq!(block_on(executor.run(long)), "in the end");
    /// ```
    #[track_caller]
    pub fn run<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        self.run_at(future, Location::caller())
    }

    /// The same, called in `place`.
    pub(crate) async fn run_at<T>(&self, future: impl Future<Output = T>, place: &'static Location<'static>) -> T {
        let home = self.home();
        let runner = Runner::new(home);
        let mut future = pin!(future);
        poll_fn(|context| {
            let _awake = runner.wake_up(context.waker());
            if let Poll::Ready(result) = awaits::or(place, || future.as_mut().poll(context)) {
                return Poll::Ready(result);
            }
            let mut turn = Turn::begin();
            home.begin_turn(turn.is_awaited());
            if turn.is_drawn() {
                return take_drawn_turn(home, context);
            }
            loop {
                match home.pop() {
                    Some(task) => run(task),
                    None if home.collect() => continue,
                    None => return Poll::Pending,
                }
                if turn.is_over() {
                    break;
                }
            }
            // There may be more, but others are to have their turn.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// In a deterministic runtime a turn is one task's, and any of those that are ready may be the one.
#[cold]
fn take_drawn_turn<T>(home: &'static Home, context: &Context<'_>) -> Poll<T> {
    let Some(task) = Simulation::draw(|| home.pop(), |task| home.push(task)) else { return Poll::Pending };
    Simulation::is_polled(task.name(), task.spawned());
    run(task);
    context.waker().wake_by_ref();
    Poll::Pending
}

impl Drop for LocalExecutor<'_> {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.release();
        }
    }
}

impl Default for LocalExecutor<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}
