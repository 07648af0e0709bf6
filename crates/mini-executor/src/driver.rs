//! What a thread does when no task is ready: it serves timers and descriptors, and sleeps until there is something to do.
//!
//! Every thread in [`block_on`](crate::block_on) has a driver; the workers of a runtime share one. A timer or descriptor belongs
//! to the driver of the thread that awaits it.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::task::Waker;
use std::time::Duration;

use crate::block_on;
use crate::clock;
use crate::hub::Hub;
use crate::primitives::unpoisoned;
use crate::reactor::{Reactor, Until};
use crate::sleeper::Sleeper;
use crate::steward::Steward;
use crate::strangers::ToTheLast;
use crate::timers::{Key, Timers};

/// Timers and descriptors of one or several threads.
#[derive(Debug)]
pub(crate) struct Driver {
    timers: Mutex<Timers>,
    /// When the next timer is due, `u64::MAX` without one: a look that needs no lock.
    next_due: AtomicU64,
    /// Made when it is first needed: a thread that waits for tasks alone needs none.
    reactor: OnceLock<Reactor>,
    /// Held by the thread that serves.
    turn: Mutex<()>,
    /// Whether a thread holds it. To ask the lock would be to hold it for a moment, and a thread that then wants to serve would find it
    /// taken, and go to sleep.
    is_being_served: AtomicBool,
    /// Room for wakers, which is used again. Empty.
    room: Mutex<Vec<Waker>>,
    /// Where several threads share it: who sees to it that one of them serves.
    steward: Option<Steward>,
    /// The executor whose workers' threads these are, if they are one's.
    hub: Mutex<Option<&'static Hub>>,
    /// Its time is virtual, so that no descriptor can be waited for.
    is_virtual: bool,
}

const NEVER: u64 = u64::MAX;

/// What tasks may have to be interrupted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    Nothing,
    /// Timers or descriptors.
    Time,
    /// A deterministic runtime decides after each task.
    Seed,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Driver>>> = const { RefCell::new(None) };
    /// The address of that one, which every wait asks for: a load, where a look at the other takes a dozen instructions.
    static ADDRESS: Cell<usize> = const { Cell::new(0) };
    static IS_SERVING: Cell<bool> = const { Cell::new(false) };
}

impl Driver {
    pub(crate) const fn new() -> Self {
        Self {
            timers: Mutex::new(Timers::new()),
            next_due: AtomicU64::new(NEVER),
            reactor: OnceLock::new(),
            turn: Mutex::new(()),
            is_being_served: AtomicBool::new(false),
            room: Mutex::new(Vec::new()),
            steward: None,
            hub: Mutex::new(None),
            is_virtual: false,
        }
    }

    /// For a deterministic runtime.
    pub(crate) fn new_virtual() -> Self {
        Self { is_virtual: true, ..Self::new() }
    }

    /// Whether this thread's driver is a deterministic runtime's.
    pub(crate) fn is_current_virtual() -> bool {
        CURRENT.with_borrow(|current| current.as_ref().is_some_and(|current| current.is_virtual))
    }

    /// When the next timer is due, if there is one.
    pub(crate) fn next_due(&self) -> Option<u64> {
        Some(self.next_due.load(Ordering::Relaxed)).filter(|due| *due != NEVER)
    }

    /// For several threads, which have a [steward](Self::steward).
    pub(crate) fn shared() -> Self {
        Self { steward: Some(Steward::default()), ..Self::new() }
    }

    /// The driver of this thread, if it is in `block_on`.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The address of this thread's driver; 0 without one.
    #[inline]
    pub(crate) fn current_address() -> usize {
        ADDRESS.get()
    }

    /// What tells it from others, as long as somebody holds it.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether that is this thread's driver.
    pub(crate) fn is_current(&self) -> bool {
        Self::current_address() == self.address()
    }

    /// What this thread's driver may have to interrupt tasks for.
    #[inline]
    pub(crate) fn demand() -> Demand {
        CURRENT.with_borrow(|current| match current {
            Some(current) if current.is_virtual => Demand::Seed,
            Some(current) if current.is_watching() => Demand::Time,
            _ => Demand::Nothing,
        })
    }

    /// Makes it this thread's driver; the former one is to be put back.
    pub(crate) fn enter(driver: Option<Arc<Self>>) -> Option<Arc<Self>> {
        ADDRESS.set(driver.as_ref().map_or(0, |driver| driver.address()));
        CURRENT.replace(driver)
    }

    /// Whether this thread is about to wake those whose timers and descriptors it has waited for: it has nothing else to do.
    pub(crate) fn is_serving_here() -> bool {
        IS_SERVING.get()
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        unpoisoned(self.timers.lock())
    }

    fn room(&self) -> MutexGuard<'_, Vec<Waker>> {
        unpoisoned(self.room.lock())
    }

    fn note(&self, timers: &Timers) {
        self.next_due.store(timers.next_due().unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// Arms a timer.
    pub(crate) fn arm(&self, due: u64, is_precise: bool, waker: &Waker) -> Key {
        let waker = waker.clone();
        let mut timers = self.timers();
        let (key, is_next) = timers.arm(due, is_precise, waker);
        self.note(&timers);
        drop(timers);
        if is_next && self.is_being_served() {
            // Another thread waits, for longer than this. It says so before it looks when the next timer is due: so either this is seen
            // here, or the timer there.
            self.notify();
        }
        key
    }

    /// Whether a timer has fired; if not, it will wake `waker`.
    pub(crate) fn poll_timer(&self, key: Key, waker: &Waker) -> bool {
        if let Some(has_fired) = self.timers().poll(key, waker) {
            return has_fired;
        }
        // Wakers are cloned and dropped without a lock: that may be strangers' code.
        let waker = waker.clone();
        let (has_fired, unused) = self.timers().wake_instead(key, waker);
        drop(unused);
        has_fired
    }

    /// Lets a timer go.
    pub(crate) fn disarm(&self, key: Key) {
        let mut timers = self.timers();
        let waker = timers.disarm(key);
        self.note(&timers);
        drop(timers);
        drop(waker);
    }

    /// Ends the sleep of the thread that serves.
    pub(crate) fn notify(&self) {
        self.reactor.get().into_iter().for_each(Reactor::notify);
    }

    /// The reactor, made if there is none yet.
    pub(crate) fn reactor(&self) -> io::Result<&Reactor> {
        if let Some(reactor) = self.reactor.get() {
            return Ok(reactor);
        }
        // Should two threads come here at once, one of the two is dropped.
        let made = Reactor::new().map_err(|error| {
            let remedy = "timers and sockets take three descriptors a thread or runtime; `ulimit -n` raises how many there may be";
            io::Error::new(error.kind(), format!("no epoll instance could be made: {error}; {remedy}"))
        })?;
        Ok(self.reactor.get_or_init(|| made))
    }

    /// Who sees to it that it is served, where several threads share it.
    pub(crate) fn steward(&self) -> Option<&Steward> {
        self.steward.as_ref()
    }

    /// Whether several threads share it.
    pub(crate) fn is_shared(&self) -> bool {
        self.steward.is_some()
    }

    /// The executor whose workers' threads these are.
    pub(crate) fn hub(&self) -> Option<&'static Hub> {
        *self.known_hub()
    }

    fn known_hub(&self) -> MutexGuard<'_, Option<&'static Hub>> {
        unpoisoned(self.hub.lock())
    }

    /// This thread is a worker of `hub` from now on, or not any more. The first counts: one that runs inside a task of another is nobody's
    /// last hope. A runtime's driver knows its executor from the start.
    pub(crate) fn set_worker_of(hub: &'static Hub, is_worker: bool) {
        // A thread that ends has no driver. A run may be dropped after the `block_on` that it was in.
        let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
        let own = || (!is_worker).then(block_on::own_driver).flatten();
        let Some(driver) = current.or_else(own).filter(|driver| !driver.is_shared()) else { return };
        let mut known = driver.known_hub();
        if is_worker {
            known.get_or_insert(hub);
        } else {
            let _ = known.take_if(|known| std::ptr::eq(*known, hub));
        }
    }

    /// A runtime's.
    pub(crate) fn set_hub(&self, hub: &'static Hub) {
        *self.known_hub() = Some(hub);
    }

    /// Whether a thread is at it, be it asleep.
    pub(crate) fn is_being_served(&self) -> bool {
        self.is_being_served.load(Ordering::Acquire)
    }

    /// Whether there is anything that tasks may have to be interrupted for.
    pub(crate) fn is_watching(&self) -> bool {
        self.next_due.load(Ordering::Relaxed) != NEVER || self.reactor.get().is_some_and(Reactor::is_watching)
    }

    /// Serves what is due by now, without waiting.
    pub(crate) fn serve(&self) {
        if !self.is_watching() {
            return;
        }
        // Another thread is at it.
        let Some(held) = self.take_turn() else { return };
        let mut wakers = std::mem::take(&mut *self.room());
        if let Some(reactor) = self.reactor.get()
            && reactor.is_watching()
        {
            // An error of epoll itself (a closed descriptor) would be a bug of this crate; sleeping reports it.
            let _ = reactor.wait(Until::Now, &mut wakers);
        }
        self.finish(held, wakers);
    }

    /// The right to serve, if nobody has it.
    fn take_turn(&self) -> Option<Held<'_>> {
        let turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            // Half done is nothing in there.
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        self.is_being_served.store(true, Ordering::Relaxed);
        Some(Held { _turn: turn, driver: self })
    }

    /// Fires what is due, and wakes.
    fn finish(&self, held: Held<'_>, mut wakers: Vec<Waker>) {
        if self.next_due.load(Ordering::Relaxed) != NEVER {
            let now = clock::now();
            let mut timers = self.timers();
            timers.fire(now, &mut wakers);
            self.note(&timers);
        }
        // Before the turn is free: the steward sees it held, or that it was a moment ago.
        if let Some(steward) = &self.steward {
            steward.has_served();
        }
        drop(held);
        // Without a lock, and to the last: a waker may be a stranger's, and panic.
        let mut strangers = ToTheLast::default();
        let outer = IS_SERVING.replace(true);
        for waker in wakers.drain(..) {
            strangers.call(|| waker.wake());
        }
        IS_SERVING.set(outer);
        *self.room() = wakers;
        strangers.end();
    }

    /// Whether the thread is to leave serving to a worker that is awake, and will come to it when it has nothing else to do. A thread that is
    /// none would have to rouse a worker for nearly all it serves: two switches of threads a time, where a worker goes on by itself.
    ///
    /// To be asked after a fence: with the one in a worker's falling asleep, either it sees what this thread waits for, or is seen asleep here.
    fn leaves_it_to_workers(&self, sleeper: &Sleeper) -> bool {
        let Some(steward) = self.steward.as_ref().filter(|_| sleeper.is_guest()) else { return false };
        self.hub().is_some_and(Hub::is_anyone_awake) && !steward.wants_guests()
    }

    /// Serves, and before that sleeps until there is something to serve or `sleeper` is woken.
    ///
    /// # Panics
    /// When epoll fails, which it does only if somebody closed a descriptor that is this crate's.
    pub(crate) fn sleep(&self, sleeper: &Arc<Sleeper>) {
        if self.is_shared() {
            // After all that this thread has armed and registered, and before it looks at what others do.
            fence(Ordering::SeqCst);
        }
        if self.leaves_it_to_workers(sleeper) {
            return sleeper.park(None);
        }
        // Another thread serves, and will wake what this one waits for. Or it has the turn and is about to find out that there is nothing.
        let Some(held) = self.take_turn() else { return sleeper.park(None) };
        // Only now: who arms a timer that is due earlier, and finds the turn held, notifies. Had it come between the two, nobody would.
        let (next, has_precise) = {
            let timers = self.timers();
            (timers.next_due(), timers.has_precise())
        };
        let remaining = next.map(|due| (due, clock::now()));
        let is_needed = has_precise || (self.is_shared() && next.is_some());
        let reactor = if is_needed { self.reactor().ok() } else { self.reactor.get() };
        let Some(reactor) = reactor.filter(|reactor| is_needed || reactor.is_watching()) else {
            drop(held);
            // With the one above, of whoever has armed the first timer or registered the first descriptor since: it finds the turn free, or
            // what it waits for is seen here.
            if self.is_shared() && next.is_none() {
                fence(Ordering::SeqCst);
                if self.is_watching() {
                    return;
                }
            }
            match remaining {
                Some((due, now)) if due <= now => {}
                remaining => sleeper.park(remaining.map(|(due, now)| Duration::from_nanos(due - now))),
            }
            return self.serve();
        };
        let mut wakers = std::mem::take(&mut *self.room());
        let until = match remaining {
            None => Until::Ever,
            Some((due, now)) if due <= now => Until::Now,
            Some((due, now)) if has_precise => Until::Exactly { now, due },
            Some((due, now)) => Until::About(due - now),
        };
        if sleeper.fall_asleep_in_reactor() {
            let waited = reactor.wait(until, &mut wakers);
            sleeper.is_awake();
            waited.unwrap_or_else(|error| panic!("epoll failed: {error}; was a descriptor closed that is not yours?"));
        }
        self.finish(held, wakers);
    }
}

/// The right to serve.
struct Held<'a> {
    _turn: MutexGuard<'a, ()>,
    driver: &'a Driver,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Release: who sees the turn free sees when it was used.
        self.driver.is_being_served.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_guest_leaves_serving_to_workers_that_are_awake_unless_they_have_no_time() {
        let (driver, hub) = (Arc::new(Driver::shared()), Hub::claim());
        driver.set_hub(hub);
        let (worker, guest) = (Arc::new(Sleeper::new(driver.clone())), Sleeper::of_guest(driver.clone()));
        assert!(!driver.leaves_it_to_workers(&guest), "there is none");
        hub.running.fetch_add(1, Ordering::Relaxed);
        assert!(driver.leaves_it_to_workers(&guest));
        assert!(!driver.leaves_it_to_workers(&worker));
        driver.steward().unwrap().call_guests();
        assert!(!driver.leaves_it_to_workers(&guest), "the steward has seen that nobody serves");
        std::task::Wake::wake_by_ref(&worker);
        worker.rest();
        assert!(driver.leaves_it_to_workers(&guest), "a worker has come to serve since");
        hub.running.fetch_sub(1, Ordering::Relaxed);
        hub.release();
    }
}
