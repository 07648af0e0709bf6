//! A task's home: what the tasks of one [`LocalExecutor`](crate::LocalExecutor) share.
//!
//! Tasks point to their home, and wakers may be kept far longer than an executor: on any thread, for any time. A count of references to
//! the home would cost two atomic operations a task. So homes are never freed. A dropped executor's goes
//! into a pool, for the next one; there are as many as there ever were executors at once. A waker that comes late finds its task done
//! before it would touch the home's queues, and all it may read until then is whose it is.
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::Waker;

use crate::deadlock;
use crate::primitives::{AtomicBool, AtomicU32, Cell, Mutex, MutexGuard, lock, yield_now};
use crate::strangers::ToTheLast;
use crate::task::{Family, Links, TaskRef, arrive, close};
use crate::thread::token;

/// See the module. The owner comes first, for the tasks' `Place` may be either.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Home {
    /// The thread it belongs to, 0 in the pool.
    owner: AtomicU32,

    // The owner's alone.
    /// The run queue.
    queue: Links,
    /// Where timers or sockets are awaited, the tasks that woke themselves while they were polled: behind all in the queue, and behind
    /// those that timers and sockets wake before the next turn.
    yielded: Links,
    /// Whether there are such, or those who wake themselves go into the queue.
    is_awaited: Cell<bool>,
    /// All tasks that are not done.
    pub(crate) tasks: Family,
    /// Done tasks that have yet to come out of the mailbox.
    pub(crate) owed: Cell<u32>,
    /// Nobody is running tasks, so whoever queues one has to wake the executor.
    asleep: Cell<bool>,
    /// All runners were woken, and none has come yet.
    is_called: Cell<bool>,
    /// The number of the last [`Runner`].
    last_runner: Cell<u32>,

    // Everybody's.
    has_mail: AtomicBool,
    /// Tasks that other threads woke.
    mail: Mutex<Vec<TaskRef>>,
    /// Those who run the executor and wait for tasks, each with the number of its [`Runner`].
    runners: Mutex<Vec<(u32, Waker)>>,
}

// SAFETY: the cells are used by the owner's thread alone: every function that touches them says so, and callers make
// sure by the owner's token. The rest is atomic or behind a lock. Tasks in the mailbox are only moved there, and used by the owner.
unsafe impl Sync for Home {}
// SAFETY: as above; a home changes its owner only through the pool's lock, with empty queues.
unsafe impl Send for Home {}

#[cfg(not(loom))]
static POOL: Mutex<Vec<&'static Home>> = Mutex::new(Vec::new());
#[cfg(loom)]
loom::lazy_static! {
    static ref POOL: Mutex<Vec<&'static Home>> = Mutex::new(Vec::new());
}

impl Home {
    /// A home for this thread.
    pub(crate) fn claim() -> &'static Self {
        let pooled = lock(&POOL).pop();
        let home = pooled.unwrap_or_else(|| Box::leak(Box::default()));
        home.asleep.set(true);
        home.is_called.set(false);
        home.owner.store(token(), Relaxed);
        home
    }

    /// Drops every future that is left and gives the home back. On the owner's thread.
    pub(crate) fn release(&'static self) {
        // Nobody has to run the executor any more.
        self.asleep.set(false);
        let runners = std::mem::take(&mut *self.runners());
        // Wakers are strangers' code and may panic. The other futures are dropped all the same, and the first panic goes on at the end.
        let mut strangers = ToTheLast::default();
        strangers.call(|| drop(runners));
        // Destructors may wake and cancel: until nothing is left.
        loop {
            while self.pop().is_some() {}
            let Some(task) = self.tasks.first() else { break };
            // Whoever waits for it is woken.
            strangers.call(|| close(task));
        }
        // Threads that found a task alive a moment ago are on their way to the mailbox.
        while self.owed.get() > 0 {
            if !self.collect() {
                yield_now();
            }
        }
        self.owner.store(0, Relaxed);
        lock(&POOL).push(self);
        strangers.end();
    }

    /// Whether this thread is the owner.
    pub(crate) fn is_mine(&self) -> bool {
        self.owner.load(Relaxed) == token()
    }

    /// Whether there are no tasks. On the owner's thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.first().is_none()
    }

    /// Puts a task at the end of the run queue. On the owner's thread.
    #[inline]
    pub(crate) fn push(&self, task: TaskRef) {
        self.queue.push(task);
        self.call_runners();
    }

    /// Puts a task that woke itself behind all others. On the owner's thread.
    #[inline]
    pub(crate) fn push_again(&self, task: TaskRef) {
        if self.is_awaited.get() {
            self.yielded.push(task);
        } else {
            self.queue.push(task);
        }
        self.call_runners();
    }

    #[inline]
    fn call_runners(&self) {
        // Once: who is woken runs all that is queued until it comes.
        if self.asleep.get() && !self.is_called.replace(true) {
            self.wake_runners();
        }
    }

    /// The first task of the run queue. On the owner's thread.
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        self.queue.pop().or_else(|| {
            self.queue.append(&self.yielded);
            self.queue.pop()
        })
    }

    /// Queues what came meanwhile: from other threads, and then the tasks that woke themselves, which until now had to wait for those
    /// that timers and sockets have woken. The turn that begins may be awaited by those again. On the owner's thread.
    #[inline]
    pub(crate) fn begin_turn(&self, is_awaited: bool) {
        self.collect();
        self.queue.append(&self.yielded);
        self.is_awaited.set(is_awaited);
    }

    fn is_any_queued(&self) -> bool {
        !self.queue.is_empty() || !self.yielded.is_empty()
    }

    /// Puts a task into the mailbox. On any thread but the owner's.
    pub(crate) fn post(&self, task: TaskRef) {
        lock(&self.mail).push(task);
        self.has_mail.store(true, Release);
        self.wake_runners();
    }

    /// Empties the mailbox; tells whether anything was in it. On the owner's thread.
    #[inline]
    pub(crate) fn collect(&self) -> bool {
        self.has_mail.load(Acquire) && self.collect_mail()
    }

    #[cold]
    fn collect_mail(&self) -> bool {
        self.has_mail.store(false, Relaxed);
        let mail = std::mem::take(&mut *lock(&self.mail));
        let any = !mail.is_empty();
        // Runners are woken when the last has arrived, not by each: a waker may panic, and the rest would be lost.
        let asleep = self.asleep.replace(false);
        for task in mail {
            arrive(task);
        }
        self.asleep.set(asleep);
        if asleep && self.is_any_queued() {
            self.wake_runners();
        }
        any
    }

    fn runners(&self) -> MutexGuard<'_, Vec<(u32, Waker)>> {
        lock(&self.runners)
    }

    /// Wakes all who run the executor: each comes back for more. Were it only one, it might never be polled again.
    #[cold]
    fn wake_runners(&self) {
        // One that is woken may come back at once, and is not woken again for that.
        let mut most = usize::MAX;
        loop {
            let mut runners = self.runners();
            most = most.min(runners.len());
            if most == 0 {
                return;
            }
            let (_, waker) = runners.remove(0);
            // Called outside the lock: a waker may do anything.
            drop(runners);
            waker.wake();
            most -= 1;
        }
    }
}

/// One who runs tasks: a call of `run` or `tick`. There may be several, one inside the other or side by side.
pub(crate) struct Runner {
    home: &'static Home,
    number: u32,
}

impl Runner {
    /// On the owner's thread, where it stays.
    pub(crate) fn new(home: &'static Home) -> Self {
        let number = home.last_runner.get().wrapping_add(1);
        home.last_runner.set(number);
        deadlock::begin(home);
        Self { home, number }
    }

    /// Begins to run tasks, with a waker for when there are more.
    pub(crate) fn wake_up(&self, waker: &Waker) -> Awake {
        let runners = self.home.runners();
        let is_known = runners.iter().any(|(number, known)| *number == self.number && known.will_wake(waker));
        drop(runners);
        if !is_known {
            // Cloned and dropped outside the lock: a waker may do anything.
            let waker = waker.clone();
            let former = self.leave();
            self.home.runners().push((self.number, waker));
            drop(former);
        }
        self.home.is_called.set(false);
        Awake { home: self.home, was_asleep: self.home.asleep.replace(false) }
    }

    fn leave(&self) -> Option<Waker> {
        let mut runners = self.home.runners();
        let at = runners.iter().position(|(number, _)| *number == self.number)?;
        Some(runners.remove(at).1)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let waker = self.leave();
        deadlock::end(self.home);
        // It may have been woken for tasks that it will not run now: they are for the others.
        if self.home.is_any_queued() || self.home.has_mail.load(Acquire) {
            self.home.wake_runners();
        }
        drop(waker);
    }
}

/// As long as it lives, tasks are being run: who queues one wakes nobody. Ends with the turn, be it by a panic.
pub(crate) struct Awake {
    home: &'static Home,
    /// Not if this is one turn inside another.
    was_asleep: bool,
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.home.asleep.set(self.was_asleep);
    }
}
