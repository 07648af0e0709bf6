//! Deadlocks of all tasks: nothing is ready, and nothing that this crate knows of will change that.
//!
//! Two tasks that take two locks in opposite order wait for one another for ever, and the program is silent. So is one whose sender was
//! forgotten in a struct that lives on. A thread in [`block_on`](crate::block_on) that goes to sleep looks whether anything is there to end
//! that: a timer, a descriptor, a call that was handed to another thread. If there is nothing, and it stays so for
//! a [second](set_deadlock_after), the list of the tasks that wait goes to the [hook](set_deadlock_hook), once for each `block_on`.
//!
//! It is not certain that they wait for ever: a thread of the program's own may wake one of them at any time, by a channel or a waker that
//! it holds. Nobody can know. So the report says what is known, and a program in which tasks wait for such threads for longer, and
//! rightly so, turns it off or sets the time higher.
//!
//! # What it costs
//! A thread that goes to sleep with tasks and with nothing else to wait for sets a time-out, which the kernel arms and cancels. With timers or
//! descriptors, or without tasks, it costs a look. Nobody wakes for it but a thread that has slept for the whole time.
//!
//! # What it does not see
//! Some tasks that wait for one another while others go on, or while a timer or a socket is there that has nothing to do with them: for those ask
//! for the [list](crate::LocalExecutor::dump) yourself. Nor does it see an [`Executor`](crate::Executor) that several threads of the
//! program's own run, each with timers of its own. A [`Runtime`](crate::Runtime)'s workers share theirs.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::driver::Driver;
use crate::dump::{Dump, Phase};
use crate::home::Home;
use crate::hub::Hub;
use crate::strangers::Hook;
use crate::{awaits, blocking, clock, watchdog};

/// Tasks of which none is ready, where only another thread could change that.
///
/// Its [`Display`](fmt::Display) is what is printed where no hook was set:
///
/// ```text
/// thread "main" sleeps in block_on, called at src/main.rs:9:5, and with it all tasks: none is ready, no timer is armed, no descriptor is
/// watched, no call is out. Unless another thread wakes one of them they wait for ever:
/// the future of block_on awaits at src/main.rs:30:20
/// 2 tasks
///     "left", spawned at src/main.rs:11:19, awaits at src/main.rs:13:28, 1.0s old, polls: 2
///     "right", spawned at src/main.rs:15:20, awaits at src/main.rs:17:27, 1.0s old, polls: 2
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deadlock {
    /// The name of the thread that found it.
    pub thread: Option<String>,
    /// Where that thread called `block_on`. `None` for a worker of a runtime.
    pub entered: Option<&'static Location<'static>>,
    /// Where the future that was given to `block_on` awaits, if it is known.
    pub awaits: Option<&'static Location<'static>>,
    /// The tasks.
    pub tasks: Dump,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {:?} sleeps", self.thread.as_deref().unwrap_or("without a name"))?;
        if let Some(entered) = self.entered {
            write!(f, " in block_on, called at {entered}")?;
        }
        f.write_str(
            ", and with it all tasks: none is ready, no timer is armed, no descriptor is watched, no call is out. \
             Unless another thread wakes one of them they wait for ever:",
        )?;
        if let Some(awaits) = self.awaits {
            write!(f, "\nthe future of block_on awaits at {awaits}")?;
        }
        write!(f, "\n{}", self.tasks)
    }
}

static HOOK: Hook<dyn Fn(&Deadlock) + Send + Sync> = Hook::new();

/// Has `hook` called for each deadlock, in place of the lines on stderr. It runs on the thread that found it, outside all tasks. A hook that
/// panics is called for the next one all the same.
///
/// ```
/// mini_executor::set_deadlock_hook(|deadlock| eprintln!("{deadlock}"));
/// ```
pub fn set_deadlock_hook(hook: impl Fn(&Deadlock) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// In nanoseconds; [`OFF`] for never.
static AFTER: AtomicU64 = AtomicU64::new(1_000_000_000);
const OFF: u64 = u64::MAX;

/// How long all tasks have to wait with nothing that could wake them before it is reported; `None` for ever. A second unless it is set.
///
/// ```
/// mini_executor::set_deadlock_after(Some(std::time::Duration::from_secs(10)));
/// ```
pub fn set_deadlock_after(time: Option<Duration>) {
    AFTER.store(time.map_or(OFF, |time| clock::nanos(time).min(OFF - 1)), Relaxed);
}

thread_local! {
    /// The executors that are being run on this thread, as often as they are.
    static HOMES: RefCell<Vec<&'static Home>> = const { RefCell::new(Vec::new()) };
}

/// This thread begins to run an executor's tasks.
pub(crate) fn begin(home: &'static Home) {
    // A thread that ends has nobody to tell.
    let _ = HOMES.try_with(|homes| homes.borrow_mut().push(home));
}

/// It ends to run them.
pub(crate) fn end(home: &'static Home) {
    let _ = HOMES.try_with(|homes| {
        let mut homes = homes.borrow_mut();
        if let Some(index) = homes.iter().rposition(|other| std::ptr::eq(*other, home)) {
            homes.swap_remove(index);
        }
    });
}

/// The executors whose tasks wait as long as this thread sleeps, and which are still this thread's: a run may have been leaked.
fn homes() -> Vec<&'static Home> {
    let mut homes = HOMES.with_borrow(Clone::clone);
    homes.sort_unstable_by_key(|home| std::ptr::from_ref(*home).addr());
    homes.dedup_by(|one, other| std::ptr::eq(*one, *other));
    homes.retain(|home| home.is_mine());
    homes
}

/// Whether this driver has all timers and descriptors of an executor. Those of other workers may be with drivers of their own.
fn is_known(driver: &Driver, hub: &Hub) -> bool {
    driver.is_shared() || hub.running.load(Relaxed) == 1
}

/// How long this thread is to sleep before it looks whether all tasks wait for ever. `None` where that is not in question.
pub(crate) fn patience(driver: &Driver) -> Option<Duration> {
    let after = AFTER.load(Relaxed);
    if after == OFF || driver.is_watching() {
        return None;
    }
    let has_tasks = HOMES.with_borrow(|homes| homes.iter().any(|home| home.is_mine() && !home.is_empty()))
        || driver.hub().is_some_and(|hub| !hub.is_told() && is_known(driver, hub));
    has_tasks.then(|| Duration::from_nanos(after))
}

/// What a look at the tasks has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// They wait for ever, and it has been reported.
    Deadlock,
    /// There are none: with the first this thread will be woken.
    NoTasks,
    /// It is not the time to tell.
    Undecided,
}

/// This thread has slept for that long, and nobody woke it.
pub(crate) fn look(driver: &Driver, is_woken: impl Fn() -> bool) -> Finding {
    let hub = driver.hub().filter(|hub| !hub.is_empty());
    // A call's end wakes somebody, and so does a timer that another thread has armed meanwhile.
    if blocking::is_any_outstanding()
        || driver.is_watching()
        || hub.is_some_and(|hub| !is_known(driver, hub) || !hub.is_asleep())
    {
        return Finding::Undecided;
    }
    let of_hub = hub.filter(|hub| !hub.is_told()).map_or_else(Dump::default, Dump::of_hub);
    let of_homes = homes().into_iter().flat_map(|home| Dump::of_home(home).tasks);
    let tasks = Dump { tasks: of_homes.chain(of_hub.tasks).collect() };
    if is_woken() || tasks.tasks.iter().any(|task| task.phase != Phase::Waiting) {
        return Finding::Undecided;
    }
    if tasks.tasks.is_empty() {
        return Finding::NoTasks;
    }
    if let Some(hub) = hub {
        hub.tell();
    }
    let entered = watchdog::block_on_entered().location().filter(|place| awaits::is_telling(place));
    let awaits = watchdog::block_on_awaited().location().filter(|place| awaits::is_telling(place));
    let thread = std::thread::current().name().map(str::to_owned);
    let deadlock = Deadlock { thread, entered, awaits, tasks };
    HOOK.call(|hook| match hook {
        Some(hook) => hook(&deadlock),
        None => eprintln!("{deadlock}"),
    });
    Finding::Deadlock
}
