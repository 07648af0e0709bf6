//! What the workers and tasks of one [`Executor`](crate::Executor) share.
//!
//! Tasks point to their hub, and wakers may be kept longer than an executor; so hubs are never freed, but go into a pool for the
//! next executor, as [homes](crate::home) do. A waker that comes late finds its task done and leaves the hub alone. One that comes at the
//! last moment has the executor's drop wait for its task to arrive, and may after that still look for somebody to wake: at worst it
//! wakes a worker of the next executor for nothing.
//!
//! Tasks wait in three kinds of places: in the slot and the ring of a [worker](crate::worker), and in the *injection queue* here, a list
//! behind a lock. Into the latter go tasks that are spawned or woken on threads that are none of the workers, and those that find a ring full.
//! Workers come here when they have nothing else, and after each 61st poll, and take a share of what there is: the lock is needed
//! once for many tasks, and nothing is counted or allocated.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use crate::idle::Idle;
use crate::primitives::{AtomicBool, AtomicU32, AtomicUsize, Line, Mutex, lock, yield_now};
use crate::queue::{HALF, Owner};
use crate::strangers::ToTheLast;
use crate::task::{Family, Row, Scheduled, TaskRef};
use crate::worker::{Link, Worker, current};

/// Lists that an executor's tasks are spread over, so that a worker that spawns and one that ends tasks rarely want the same lock. A
/// power of two.
const FAMILIES: usize = if cfg!(loom) { 1 } else { 16 };

/// See the module. The owner comes first, for the tasks' `Place` may be either.
#[repr(C)]
pub(crate) struct Hub {
    /// 0: it is no thread's.
    _owner: AtomicU32,
    /// The first of all the workers there ever were at once; the others hang behind it.
    pub(crate) workers: Link,
    /// How many of them are at work or asleep, and not out of use.
    pub(crate) running: AtomicUsize,
    /// Tasks that were queued by threads that are none of the workers, or found no room with theirs.
    injected: Line<Mutex<Row>>,
    /// How many those are.
    waiting: Line<AtomicUsize>,
    pub(crate) idle: Line<Idle>,
    families: [Line<Mutex<Family>>; FAMILIES],
    /// That all its tasks wait for ever has been reported.
    is_told: AtomicBool,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("tasks", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(not(loom))]
static POOL: Mutex<Vec<&'static Hub>> = Mutex::new(Vec::new());

impl Hub {
    fn new() -> Self {
        Self {
            _owner: AtomicU32::new(0),
            workers: Link::new(),
            running: AtomicUsize::new(0),
            injected: Line(Mutex::new(Row::default())),
            waiting: Line(AtomicUsize::new(0)),
            idle: Line(Idle::new()),
            families: std::array::from_fn(|_| Line(Mutex::new(Family::default()))),
            is_told: AtomicBool::new(false),
        }
    }

    /// A hub for a new executor.
    pub(crate) fn claim() -> &'static Self {
        #[cfg(not(loom))]
        if let Some(hub) = lock(&POOL).pop() {
            return hub;
        }
        Box::leak(Box::new(Self::new()))
    }

    /// Drops every future that is left and gives the hub back. Nobody runs tasks any more, and nobody spawns any.
    pub(crate) fn release(&'static self) {
        self.idle.0.forget_all();
        self.running.store(0, Relaxed);
        self.is_told.store(false, Relaxed);
        let mut strangers = ToTheLast::default();
        strangers.call(|| self.close_all());
        #[cfg(not(loom))]
        lock(&POOL).push(self);
        strangers.end();
    }

    /// Drops every future that is left. Nobody runs tasks any more.
    pub(crate) fn close_all(&self) {
        // Those who await are woken, be they strangers; and the others' futures are dropped all the same.
        let mut strangers = ToTheLast::default();
        for family in &self.families {
            loop {
                // Who is queued is closed as it comes out. That includes tasks of a worker that was leaked in the middle of its work.
                while let Some(task) = self.take_any() {
                    strangers.call(|| task.close());
                }
                let claimed = lock(&family.0).claim();
                match claimed {
                    Poll::Ready(Some(task)) => strangers.call(|| task.close()),
                    Poll::Ready(None) => break,
                    // A thread has woken it, and is a few instructions from having queued it.
                    Poll::Pending => yield_now(),
                }
            }
        }
        strangers.end();
    }

    /// Takes a new task in.
    #[inline]
    pub(crate) fn add(&self, task: TaskRef) {
        lock(self.family(task)).add(task);
    }

    /// Lets a task go, just before it is done.
    #[inline]
    pub(crate) fn remove(&self, task: TaskRef) {
        lock(self.family(task)).remove(task);
    }

    /// Drops the future of the task at `address`, unless it is queued. Nobody runs tasks any more. Looks at a share of all tasks.
    pub(crate) fn close_at(&self, address: usize) {
        let claimed = lock(self.family_at(address)).claim_at(address);
        claimed.into_iter().for_each(Scheduled::close);
    }

    fn family(&self, task: TaskRef) -> &Mutex<Family> {
        self.family_at(task.address())
    }

    fn family_at(&self, address: usize) -> &Mutex<Family> {
        // Allocations are at least 64 bytes apart. The factor is 2^64 divided by the golden ratio, which spreads what lies close together.
        let spread = (address as u64 / 64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.families[(spread >> 32) as usize & (FAMILIES - 1)].0
    }

    /// Whether there are no tasks.
    pub(crate) fn is_empty(&self) -> bool {
        self.families.iter().all(|family| lock(&family.0).first().is_none())
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.ended_and_left().1
    }

    /// How many have ended since there is the hub, and how many there are. Each task is in one of the two.
    pub(crate) fn ended_and_left(&self) -> (u64, usize) {
        let counts = self.families.iter().map(|family| {
            let family = lock(&family.0);
            (family.ended(), family.len())
        });
        counts.fold((0, 0), |(ended, left), (more_ended, more_left)| (ended + more_ended, left + more_left))
    }

    /// Whether any worker is awake: it will sleep once more, or end.
    pub(crate) fn is_anyone_awake(&self) -> bool {
        self.idle.0.sleepers() < self.running.load(Relaxed)
    }

    /// Whether all workers sleep, and nothing is queued.
    pub(crate) fn is_asleep(&self) -> bool {
        self.idle.0.sleepers() == self.running.load(Relaxed) && !self.is_any_queued()
    }

    /// Whether a deadlock of its tasks has been reported.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told.load(Relaxed)
    }

    /// It is being reported now; tells whether for the first time.
    pub(crate) fn tell(&self) -> bool {
        !self.is_told.swap(true, Relaxed)
    }

    /// Calls `tell` for each task, with its age: under a lock, so `tell` has to be ours.
    pub(crate) fn each(&self, mut tell: impl FnMut(TaskRef, Duration)) {
        for family in &self.families {
            lock(&family.0).each(&mut tell);
        }
    }

    /// Queues a task that was woken: for the worker whose thread this is, else for all.
    #[inline]
    pub(crate) fn schedule(&'static self, task: Scheduled) {
        match current(self) {
            Some(current) => current.push_next(task),
            None => self.inject(task),
        }
    }

    /// Queues a new task.
    #[inline]
    pub(crate) fn schedule_new(&'static self, task: Scheduled) {
        match current(self) {
            Some(current) => current.push(task),
            None => self.inject(task),
        }
    }

    /// Queues a task again that was woken while it was polled: behind all others.
    #[inline]
    pub(crate) fn reschedule(&'static self, task: Scheduled) {
        match current(self) {
            Some(current) => current.push_again(task),
            None => self.inject(task),
        }
    }

    /// Queues a task for all workers, and has one come for it.
    pub(crate) fn inject(&self, task: Scheduled) {
        let mut row = Row::default();
        row.push(task);
        self.inject_all(row);
        self.idle.0.notify();
    }

    /// Queues tasks for all workers, without waking one.
    pub(crate) fn inject_all(&self, mut row: Row) {
        let mut injected = lock(&self.injected.0);
        injected.append(&mut row);
        self.waiting.0.store(injected.len(), Relaxed);
    }

    /// Takes a fair share of the tasks for all workers: the first to be polled, the others into the worker's ring as far as there is room.
    #[inline]
    pub(crate) fn take_share(&self, ring: Owner) -> Option<Scheduled> {
        if self.waiting.0.load(Relaxed) == 0 { None } else { self.take_share_of_some(ring) }
    }

    #[cold]
    fn take_share_of_some(&self, ring: Owner) -> Option<Scheduled> {
        let mut injected = lock(&self.injected.0);
        let first = injected.pop();
        let share = (injected.len() / self.running.load(Relaxed).max(1)).min(HALF).min(ring.room());
        for task in std::iter::from_fn(|| injected.pop()).take(share) {
            let pushed = ring.push(task);
            debug_assert!(pushed.is_ok(), "nobody else takes the room");
        }
        self.waiting.0.store(injected.len(), Relaxed);
        first
    }

    /// Takes all that are queued for all workers.
    pub(crate) fn take_injected(&self) -> Row {
        if self.waiting.0.load(Relaxed) == 0 {
            return Row::default();
        }
        let mut injected = lock(&self.injected.0);
        self.waiting.0.store(0, Relaxed);
        std::mem::take(&mut injected)
    }

    /// Takes one task, from wherever there is one.
    pub(crate) fn take_any(&self) -> Option<Scheduled> {
        let injected = if self.waiting.0.load(Relaxed) == 0 {
            None
        } else {
            let mut injected = lock(&self.injected.0);
            let first = injected.pop();
            self.waiting.0.store(injected.len(), Relaxed);
            first
        };
        injected
            .or_else(|| self.workers().find_map(|worker| worker.ring.pop()))
            .or_else(|| self.workers().find_map(Worker::take_forgotten))
    }

    /// Wakes a worker if there are tasks that nobody comes to: since the look before, which left `seen`, their worker has not polled
    /// anything else. Or if there are tasks for all, and one has had the time to come.
    pub(crate) fn rescue(&self, seen: &mut Vec<u32>) {
        seen.resize(self.workers().count(), 0);
        let mut is_any_forgotten = self.waiting.0.load(Relaxed) > 0;
        for (worker, seen) in self.workers().zip(seen) {
            let (has_tasks, polls) = worker.progress();
            is_any_forgotten |= has_tasks && polls == *seen;
            *seen = polls;
        }
        if is_any_forgotten {
            self.idle.0.notify();
        }
    }

    /// Whether there are tasks that a searching worker could take.
    pub(crate) fn is_any_queued(&self) -> bool {
        self.waiting.0.load(Relaxed) > 0 || self.workers().any(|worker| !worker.ring.is_empty())
    }

    /// All workers there ever were at once.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &'static Worker> {
        self.workers.chain()
    }
}
