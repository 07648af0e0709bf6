//! Workers: each [`run`](crate::Executor::run) of an executor that is under way.
//!
//! A worker polls, in this order: what a task has just woken ([the slot](#the-slot)), its own queue, what was queued for all, what it can
//! take from siblings. What was queued for all comes first after every 61st poll, so that no task waits there behind two
//! that wake each other for ever.
//!
//! The order within a ring is first come, first served: a task that yields goes behind all others in it. A ring takes 256 tasks. Where more
//! are ready, the rest waits in the injection queue: as long as the ring stays full, one of them comes in at each 61st poll, and a task that
//! finds the ring full goes to the end of theirs. So all get their turn, but those in the rings get more. (Half a ring at once is
//! moved only where new tasks fill it. Were it moved for tasks that yield, the halves would go to and fro: 1,000 of them took 30 to 150 ns a
//! yield on two workers, and 10 ns without, on 2026-11-21.)
//!
//! # The slot
//! A task that wakes another mostly has something for it, and waits for the answer next. So the woken task is not put behind all
//! others, but into a slot, from where it is polled next, on the same core, with the message in the cache. Three times in a row at most:
//! then it goes to the end of the queue, and whoever waits there has a turn. (Go calls such a slot *runnext*, tokio the *LIFO slot*.)
//!
//! Nobody is woken for a task in the slot. Two tasks that send one another messages would otherwise be torn apart and sent from core
//! to core, and to wake a thread takes ten times as long as such a round trip. But the poll that woke the task may go on for long. So the
//! slot can be stolen from: a searcher that finds nothing else watches the slot for some microseconds, and takes the task if meanwhile the
//! worker has not come to the end of its poll ([`Worker::take_forgotten`]). Two that play ping-pong are not torn apart by that: the slot
//! changes every 100 ns.
//!
//! **What is left of the danger**: where all siblings sleep, and it was the only task that the poll woke, nobody searches. (A second
//! wake, or a spawn, puts a task into the ring, for which a sibling is woken, who then finds the slot, too.) To close that gap somebody who
//! is awake has to look at the clock. In a [`Runtime`](crate::Runtime) that is the [steward](crate::steward), who wakes a sibling after
//! one to six milliseconds; workers of an [`Executor`](crate::Executor) on threads of your own have none, and the task waits.
//!
//! A task that is woken while it is polled, by yielding for instance, never goes into the slot, but behind all others.
//!
//! # Who has what
//! | type | lives | has |
//! |---|---|---|
//! | [`Worker`] | for ever, and goes from one `run` to the next | what others may look at: ring, slot, the number of polls |
//! | [`Lease`] | as long as its `run` | what is nobody else's: whether it searches or sleeps, how often the slot went first |
//! | [`Current`] | as long as a turn, in a thread-local | the right to queue here: so a spawn or a wake on this thread needs no lock |
#![allow(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::task::{Context, Poll};

use crate::driver::Driver;
use crate::hub::Hub;
use crate::idle::Sleeper;
use crate::primitives::{AtomicBool, AtomicPtr, AtomicU32, spin_loop};
use crate::queue::{Owner, Ring, Slot};
use crate::task::Scheduled;
use crate::turn::Turn;

/// Tasks that are polled out of the slot in a row. With one, a request and its answer would each wait behind the whole ring; without a
/// bound, two that wake each other would have the worker for themselves.
const STREAK: u32 = 3;

/// How long a searcher watches a slot: about 10 microseconds, where `pause` takes 40 to 140 cycles.
const WATCH: u32 = if cfg!(loom) { 1 } else { 300 };

/// What others see of a worker. Workers are reused, but never freed: thieves look at them without asking.
pub(crate) struct Worker {
    pub(crate) hub: &'static Hub,
    /// In use by a `run`.
    is_taken: AtomicBool,
    pub(crate) ring: Ring,
    slot: Slot,
    /// Polls so far, for those who watch the slot.
    polls: AtomicU32,
    /// The next in the hub's list of workers.
    next: Link,
}

/// To the next worker in a hub's list, to which workers are only ever added, at its end.
///
/// So a thief walks along it with one load a step, without a lock, and never comes to something that was freed. A list that could
/// shrink would have to know who is walking. It is as long as there were workers at once: a few dozen, not thousands.
/// (A `OnceLock` would do, but no model sees into one.)
pub(crate) struct Link(AtomicPtr<Worker>);

impl Link {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    fn get(&self) -> Option<&'static Worker> {
        // SAFETY: no address or that of a worker, which was leaked; acquire: as it was made.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    fn get_or_add(&self, hub: &'static Hub) -> &'static Worker {
        if let Some(worker) = self.get() {
            return worker;
        }
        let new = Box::into_raw(Box::new(Worker::new(hub)));
        match self.0.compare_exchange(null_mut(), new, AcqRel, Acquire) {
            // SAFETY: it is leaked, from here on.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: out of a box just above, and seen by nobody else.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: as in `get`.
                unsafe { &*other }
            }
        }
    }

    /// All workers from here on.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &'static Worker> + Clone {
        std::iter::successors(self.get(), |worker| worker.next.get())
    }
}

/// The worker on this thread, while it is polled.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    worker: &'static Worker,
    ring: Owner,
}

#[cfg(not(loom))]
thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

#[cfg(loom)]
loom::thread_local! {
    static CURRENT: Cell<Option<Current>> = Cell::new(None);
}

/// The worker on this thread, if it is one of this hub's.
#[inline]
pub(crate) fn current(hub: &'static Hub) -> Option<Current> {
    CURRENT.with(Cell::get).filter(|current| std::ptr::eq(current.worker.hub, hub))
}

impl Worker {
    fn new(hub: &'static Hub) -> Self {
        Self {
            hub,
            is_taken: AtomicBool::new(false),
            ring: Ring::new(),
            slot: Slot::new(),
            polls: AtomicU32::new(0),
            next: Link::new(),
        }
    }

    /// A worker of this hub that nobody uses.
    fn claim(hub: &'static Hub) -> &'static Self {
        let mut link = &hub.workers;
        loop {
            let worker = link.get_or_add(hub);
            if worker.is_taken.compare_exchange(false, true, Acquire, Relaxed).is_ok() {
                return worker;
            }
            link = &worker.next;
        }
    }

    /// Tasks that wait for it, and the number of its polls so far: who looks twice, and finds the same, sees tasks it does not come to.
    pub(crate) fn progress(&self) -> (bool, u32) {
        (!self.ring.is_empty() || !self.slot.is_empty(), self.polls.load(Relaxed))
    }

    /// The task in the slot, if the worker does not come to it: watches for a moment whether it does.
    pub(crate) fn take_forgotten(&self) -> Option<Scheduled> {
        let (task, polls) = (self.slot.peek(), self.polls.load(Relaxed));
        if task.is_null() {
            return None;
        }
        for _ in 0..WATCH {
            spin_loop();
            if self.slot.peek() != task || self.polls.load(Relaxed) != polls {
                return None;
            }
        }
        self.slot.take_only(task)
    }
}

impl Current {
    /// Queues a task behind all others, and has a sibling come for it.
    #[inline]
    pub(crate) fn push(self, task: Scheduled) {
        if let Err(task) = self.ring.push(task) {
            self.overflow(task);
        }
        self.worker.hub.idle.0.notify_siblings();
    }

    /// Queues a task that was just woken before all others.
    #[inline]
    pub(crate) fn push_next(self, task: Scheduled) {
        if let Some(former) = self.worker.slot.put(task) {
            self.push(former);
        }
    }

    /// Queues a task behind all others that this worker had already: which it has just polled, or which has to leave the slot.
    #[inline]
    pub(crate) fn push_again(self, task: Scheduled) {
        let is_alone = self.worker.ring.is_empty() && self.worker.slot.is_empty();
        if let Err(task) = self.ring.push(task) {
            // To all, by itself: tasks that yield fill the ring again at once, and half of it would go to and fro.
            self.worker.hub.inject(task);
            return;
        }
        // Alone it is polled again at once: there is nothing for a sibling to do. Else this worker goes on as well, and if a sibling
        // that is just falling asleep is overlooked now, the next poll is a few nanoseconds away.
        if !is_alone {
            self.worker.hub.idle.0.hint();
        }
    }

    /// Half of a full ring goes to all, so that the lock is needed once in so many tasks.
    #[cold]
    fn overflow(self, task: Scheduled) {
        let mut row = self.ring.spill();
        row.push(task);
        self.worker.hub.inject_all(row);
    }
}

/// A worker, as the `run` has it that it belongs to.
pub(crate) struct Lease {
    worker: &'static Worker,
    sleeper: Sleeper,
    /// Tasks polled out of the slot, one after the other.
    streak: u32,
}

impl Lease {
    pub(crate) fn new(hub: &'static Hub) -> Self {
        hub.running.fetch_add(1, Relaxed);
        Driver::set_worker_of(hub, true);
        Self { worker: Worker::claim(hub), sleeper: Sleeper::new(&hub.idle.0), streak: 0 }
    }

    /// Makes this thread the worker's, until the result is dropped.
    fn enter(&mut self) -> Entered {
        // SAFETY: a worker has one lease, which is borrowed uniquely here, so that nobody else enters; and what is made here stays on this
        // thread's stack and in its `CURRENT`, which is put back before the borrower's function returns.
        let ring = unsafe { Owner::new(&self.worker.ring) };
        let current = Current { worker: self.worker, ring };
        Entered { current, former: CURRENT.with(|cell| cell.replace(Some(current))) }
    }

    /// A turn: polls the future given to `run`, and tasks. `Ready` with the future's result.
    pub(crate) fn turn<T>(&mut self, context: &mut Context<'_>, future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        let entered = self.enter();
        let current = entered.current;
        self.sleeper.rise();
        // The future goes first: it may have its result, and whoever waits for that is not to wait for 61 tasks. It is polled on the
        // worker, so that what it spawns goes into the ring.
        if let Poll::Ready(result) = future.poll(context) {
            return Poll::Ready(result);
        }
        // Those from outside come before the ring once a turn, or they would wait for as long as the ring is never empty.
        // They are polled below, in the one place where tasks are, so that `poll` is part of this function: an echo on one core took 1 % less.
        let mut first = self.worker.hub.take_share(current.ring);
        let mut turn = Turn::begin();
        loop {
            match first.take().or_else(|| self.next(current, context)) {
                Some(task) => self.poll(task),
                None => return Poll::Pending,
            }
            if turn.is_over() {
                break;
            }
        }
        // There may be more, but others are to have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    #[inline]
    fn poll(&mut self, task: Scheduled) {
        // Before the poll, which may be long: if there is more, a sibling is to come for it now.
        self.sleeper.has_found(|| self.worker.hub.is_any_queued());
        // A load and a store, and no addition in one step: only this thread writes it, and that saves 5 ns.
        self.worker.polls.store(self.worker.polls.load(Relaxed).wrapping_add(1), Relaxed);
        task.run();
    }

    /// The next task. `None`, and asleep, where there is none.
    #[inline]
    fn next(&mut self, current: Current, context: &Context<'_>) -> Option<Scheduled> {
        if let Some(woken) = self.worker.slot.take() {
            if self.streak < STREAK {
                self.streak += 1;
                return Some(woken);
            }
            current.push_again(woken);
        }
        self.streak = 0;
        self.worker.ring.pop().or_else(|| self.next_of_others(current.ring, context))
    }

    #[cold]
    fn next_of_others(&mut self, ring: Owner, context: &Context<'_>) -> Option<Scheduled> {
        let hub = self.worker.hub;
        loop {
            let found = hub.take_share(ring).or_else(|| self.search(ring));
            if found.is_some() {
                return found;
            }
            if self.sleeper.sleep(context.waker(), || hub.is_any_queued()) {
                return None;
            }
        }
    }

    fn search(&mut self, ring: Owner) -> Option<Scheduled> {
        let hub = self.worker.hub;
        if !self.sleeper.may_search(hub.running.load(Relaxed)) {
            return None;
        }
        // Each begins with its own right neighbour, so that two don't go the same way.
        let behind = self.worker.next.chain();
        let siblings = || behind.clone().chain(hub.workers().take_while(|worker| !std::ptr::eq(*worker, self.worker)));
        // All rings before any slot: what lies in a ring has waited longer, and what lies in a slot is mostly polled on its own core
        // before this one had fetched it.
        siblings()
            .find_map(|sibling| ring.steal_from(&sibling.ring))
            .or_else(|| siblings().find_map(Worker::take_forgotten))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let hub = self.worker.hub;
        Driver::set_worker_of(hub, false);
        // What is left is for the others.
        let mut row = crate::task::Row::default();
        while let Some(task) = self.worker.slot.take().or_else(|| self.worker.ring.pop()) {
            row.push(task);
        }
        let is_any_left = row.len() > 0;
        hub.inject_all(row);
        self.sleeper.retire(|| hub.is_any_queued());
        hub.running.fetch_sub(1, Relaxed);
        // Release: the next user of the ring sees how it was left.
        self.worker.is_taken.store(false, Release);
        if is_any_left {
            hub.idle.0.notify();
        }
    }
}

/// Puts back, when it is dropped, what this thread's worker was before. There is one before where a task runs another executor inside
/// its poll; and a poll of `run`'s own future may end by a panic, so it is a destructor that does it.
struct Entered {
    current: Current,
    former: Option<Current>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|cell| cell.set(self.former));
    }
}
