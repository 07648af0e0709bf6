//! Workers that have nothing to do: who searches, who sleeps, and who is woken.
//!
//! A worker whose queue is empty first *searches*: it takes from its siblings. If there is nothing it *sleeps*: its waker lies in a list,
//! and its thread may do something else or park. Waking a thread costs microseconds, and two searchers get into each other's way; so a
//! sleeper is woken only if tasks are queued and nobody is searching, and at most half of the workers search at once. A
//! searcher that finds something wakes the next before it goes to work, if there is more.
//!
//! # Why no wake-up is lost
//! Who queues a task ([`notify`](Idle::notify)) and who goes to sleep ([`Sleeper::sleep`]) do the same two things crosswise:
//!
//! | queues a task | goes to sleep |
//! |---|---|
//! | 1. writes the queue | 1. writes the counts: one searcher less, one sleeper more |
//! | 2. fence | 2. fence |
//! | 3. reads the counts: sleepers, and no searchers? wakes one | 3. reads counts and queues: a task, and no searchers? rises |
//!
//! All sequentially consistent fences have one order. If the queuer's comes first, the sleeper sees the task in step 3, and rises;
//! if the sleeper's comes first, the queuer sees it asleep in step 3, and wakes it. Where either holds back because it sees a
//! searcher, that searcher has its own fence still before it, and will look at the queues after it: when it goes to
//! sleep, as above, or when it has found something ([`Sleeper::has_found`]). A task in a worker's own queue needs none of this to be
//! polled at all, since the worker looks there before it sleeps; it needs it for a sibling to come and help.
//!
//! # Which sleeper
//! The last to have gone to sleep, for its cache is the warmest: unless the thread that wakes is itself one that sleeps. It is when it has
//! waited for timers and sockets, and wakes the tasks that these are for. Then it is awake already, and waking a sibling would send every
//! message from a socket across the cores, and take ten times as long.
//!
//! A runtime that has one CPU to itself is [lonely](Idle::set_lonely): a worker that queues a task for itself wakes nobody, for the
//! sibling could only take the CPU from it. Should the worker then block, its [steward](crate::steward) sees tasks that nobody comes to,
//! and wakes a sibling all the same.
//!
//! A sleeper may also be polled for another reason than having been woken here: its future may have been. Then it takes itself out of the
//! list ([`Sleeper::rise`]). Who was woken, and is dropped before it was polled, has the next one woken in its place
//! ([`Sleeper::retire`]); who was leaked in that moment cannot, and its executor wakes nobody any more until it is dropped itself.

use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use std::task::Waker;

use crate::driver::Driver;
use crate::primitives::{AtomicBool, AtomicU32, Mutex, fence, lock};
use crate::thread::token;

/// One searching worker, in the counts' low half.
const SEARCHER: u32 = 1;
/// One sleeping worker, in their high half.
const SLEEPER: u32 = 1 << 16;

const fn searchers(counts: u32) -> u32 {
    counts % SLEEPER
}

const fn sleepers(counts: u32) -> u32 {
    counts / SLEEPER
}

/// See the module.
pub(crate) struct Idle {
    /// Searchers and sleepers. In one word, so that "does anybody search, does anybody sleep" is one load, which every spawn makes, and
    /// so that a sleeper becomes a searcher in one step: in between somebody would find neither, and wake a second.
    counts: AtomicU32,
    /// Workers that queue tasks for themselves wake nobody.
    is_lonely: AtomicBool,
    sleepers: Mutex<Sleepers>,
}

#[derive(Default)]
struct Sleepers {
    /// Tells one sleep from another.
    last: u64,
    /// In the order in which they went to sleep. As many as there are workers: to look through it is no work.
    list: Vec<Asleep>,
}

struct Asleep {
    number: u64,
    /// The thread it was polled on.
    thread: u32,
    waker: Waker,
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self { counts: AtomicU32::new(0), is_lonely: AtomicBool::new(false), sleepers: Mutex::new(Sleepers::default()) }
    }

    /// Says whether all workers share one CPU, and somebody looks after tasks that nobody comes to.
    pub(crate) fn set_lonely(&self, is_lonely: bool) {
        self.is_lonely.store(is_lonely, Relaxed);
    }

    /// Tasks were queued where no worker may be about to look: wakes a sleeper if nobody searches.
    #[inline]
    pub(crate) fn notify(&self) {
        fence(SeqCst);
        self.wake_unless_searching();
    }

    /// A worker has queued a task for itself, to which it may not come soon: has a sibling come for it.
    #[inline]
    pub(crate) fn notify_siblings(&self) {
        fence(SeqCst);
        self.hint();
    }

    /// The same, without the fence: a sleeper that is just closing its eyes may be overlooked. For tasks whose worker is about to poll them
    /// itself, if only for its siblings' sake.
    #[inline]
    pub(crate) fn hint(&self) {
        // Most of the time nobody is asleep: that is asked first.
        if self.counts.load(Relaxed) >= SLEEPER && !self.is_lonely.load(Relaxed) {
            self.wake_unless_searching();
        }
    }

    #[inline]
    fn wake_unless_searching(&self) {
        let counts = self.counts.load(Relaxed);
        if searchers(counts) == 0 && sleepers(counts) > 0 {
            self.wake_one();
        }
    }

    #[cold]
    fn wake_one(&self) {
        let waker = {
            let mut sleepers = lock(&self.sleepers);
            // Two may have come here; the second finds the searcher that the first has made.
            if searchers(self.counts.load(Relaxed)) > 0 {
                return;
            }
            let Some(last) = sleepers.list.len().checked_sub(1) else { return };
            let here = Driver::is_serving_here().then(token);
            let index = here.and_then(|here| sleepers.list.iter().rposition(|asleep| asleep.thread == here));
            let Asleep { waker, .. } = sleepers.list.remove(index.unwrap_or(last));
            // It counts as searching from here on, long before its thread is awake: nobody wakes a second meanwhile.
            self.counts.fetch_add(SEARCHER.wrapping_sub(SLEEPER), AcqRel);
            waker
        };
        // Outside the lock: a waker may do anything.
        waker.wake();
    }

    /// How many sleep.
    pub(crate) fn sleepers(&self) -> usize {
        sleepers(self.counts.load(Relaxed)) as usize
    }

    /// Nobody runs the executor any more: who is still here was leaked, asleep or searching. Their wakers are dropped, which may do
    /// anything.
    pub(crate) fn forget_all(&self) {
        let list = {
            let mut sleepers = lock(&self.sleepers);
            self.counts.store(0, Relaxed);
            self.set_lonely(false);
            std::mem::take(&mut sleepers.list)
        };
        drop(list);
    }
}

/// One worker's part in it: awake and at work, searching, or asleep.
pub(crate) struct Sleeper {
    idle: &'static Idle,
    is_searching: bool,
    /// Its number in the list of sleepers.
    asleep: Option<u64>,
}

impl Sleeper {
    pub(crate) fn new(idle: &'static Idle) -> Self {
        Self { idle, is_searching: false, asleep: None }
    }

    /// Wakes up, if it was asleep. Who was woken for a task is searching now.
    #[inline]
    pub(crate) fn rise(&mut self) {
        if let Some(number) = self.asleep.take() {
            self.leave_bed(number);
        }
    }

    #[cold]
    fn leave_bed(&mut self, number: u64) {
        let mut sleepers = lock(&self.idle.sleepers);
        if let Some(index) = sleepers.list.iter().position(|asleep| asleep.number == number) {
            // Nobody had chosen it: it was polled for another reason, and whoever queues next has to find it gone.
            let Asleep { waker, .. } = sleepers.list.remove(index);
            self.idle.counts.fetch_sub(SLEEPER, AcqRel);
            drop(sleepers);
            drop(waker);
        } else {
            // Its waker was taken: `wake_one` has counted it as a searcher, and leaves the tasks to it.
            self.is_searching = true;
        }
    }

    /// Asks to search, for one of so many workers. `false` where half of them are searching already.
    pub(crate) fn may_search(&mut self, workers: usize) -> bool {
        let begin = |counts: u32| (2 * (searchers(counts) as usize) < workers).then_some(counts + SEARCHER);
        self.is_searching = self.is_searching || self.idle.counts.fetch_update(AcqRel, Relaxed, begin).is_ok();
        self.is_searching
    }

    /// A task was found. The last searcher sees to it that somebody comes for what else is queued.
    #[inline]
    pub(crate) fn has_found(&mut self, is_any_queued: impl FnOnce() -> bool) {
        if self.is_searching {
            self.stop_searching(is_any_queued);
        }
    }

    #[cold]
    fn stop_searching(&mut self, is_any_queued: impl FnOnce() -> bool) {
        self.is_searching = false;
        // In this order, as when it goes to sleep: first it says that it does not search any more, then it looks. A task that is queued
        // before this is seen by the look; one that is queued after it finds no searcher, and its queuer wakes somebody.
        let before = self.idle.counts.fetch_sub(SEARCHER, AcqRel);
        fence(SeqCst);
        if searchers(before) == 1 && is_any_queued() {
            self.idle.hint();
        }
    }

    /// Goes to sleep, until `waker` is called. `false`, and awake, where there are tasks after all.
    pub(crate) fn sleep(&mut self, waker: &Waker, is_any_queued: impl FnOnce() -> bool) -> bool {
        debug_assert!(self.asleep.is_none());
        // Before the lock: a waker may do anything.
        let waker = waker.clone();
        {
            let mut sleepers = lock(&self.idle.sleepers);
            sleepers.last += 1;
            let number = sleepers.last;
            sleepers.list.push(Asleep { number, thread: token(), waker });
            self.asleep = Some(number);
            let no_more = SEARCHER * u32::from(std::mem::take(&mut self.is_searching));
            self.idle.counts.fetch_add(SLEEPER - no_more, AcqRel);
        }
        fence(SeqCst);
        if searchers(self.idle.counts.load(Relaxed)) == 0 && is_any_queued() {
            self.rise();
            return false;
        }
        true
    }

    /// Has to do with it no more. Whom it was woken for is passed on.
    pub(crate) fn retire(&mut self, is_any_queued: impl FnOnce() -> bool) {
        self.rise();
        self.has_found(is_any_queued);
    }
}
