//! Who sees to it that a driver that threads share is served.
//!
//! Whoever of them has nothing else to do serves it. Should that one get a task that computes for long, nobody serves, be there a
//! sibling asleep: timers and sockets would wait for the task's end. A thread of the runtime, the steward, looks once a millisecond
//! whether that is so, and then wakes the sibling. It sleeps itself while nobody works.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Wake;
use std::thread::Thread;
use std::time::Duration;

use crate::driver::Driver;
use crate::sleeper::Sleeper;

/// How often the steward looks. A timer is late by one to two rounds where its sibling has to be woken for it: a 5 ms ticker beside a task
/// that computes was late by 3.7 ms at most, in all (2026-11-21). Half of it would cost twice the wake-ups for as long as
/// anything is awaited.
const ROUND: Duration = Duration::from_millis(1);
/// After so many rounds in which there was nothing to see to, it sleeps. Not at once: who comes back from epoll with it asleep has to wake it,
/// a system call, and in a busy server that would be at each event.
const QUIET: u32 = 10;

/// What a driver and its steward share.
#[derive(Debug, Default)]
pub(crate) struct Steward {
    /// How often the driver was served.
    served: AtomicU64,
    /// Threads that sleep elsewhere than in the reactor.
    resting: Mutex<Vec<Arc<Sleeper>>>,
    /// The steward itself, while it sleeps.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Steward {
    /// The steward's life: until `is_over` says so. It has to be [woken](Self::wake) for that.
    pub(crate) fn attend(&self, driver: &Driver, is_over: impl Fn() -> bool) {
        let _ = self.thread.set(std::thread::current());
        let mut seen = 0;
        let mut quiet = 0;
        while !is_over() {
            let served = self.served.load(Ordering::Relaxed);
            // Three cases: somebody sits in epoll, or there is nothing to wait for: well. Nobody does, but somebody has served since the
            // last look: busy threads do so between their turns, and that is soon enough. Or nobody has.
            if driver.is_being_served() || !driver.is_watching() {
                quiet += 1;
            } else if served == seen {
                // Nobody for a whole round: the one who slept first is likely to be wanted last.
                quiet = 0;
                let sleeper = self.resting().first().cloned();
                sleeper.iter().for_each(Wake::wake_by_ref);
            }
            seen = served;
            if quiet < QUIET {
                std::thread::sleep(ROUND);
            } else {
                self.asleep.store(true, Ordering::Relaxed);
                // With the one in `call`: who gives the driver up sees the flag, or has given it up before it is looked at here.
                fence(Ordering::SeqCst);
                if driver.is_being_served() || !driver.is_watching() {
                    std::thread::park();
                }
                self.asleep.store(false, Ordering::Relaxed);
                quiet = 0;
            }
        }
    }

    /// A thread has served the driver.
    pub(crate) fn has_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread goes from sleep to work, and does not hold the driver any more: the steward has to look again.
    pub(crate) fn call(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Ends the steward's sleep.
    pub(crate) fn wake(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }

    /// A thread goes to sleep elsewhere than in the reactor.
    pub(crate) fn rests(&self, sleeper: &Arc<Sleeper>) {
        self.resting().push(sleeper.clone());
    }

    /// It is awake again.
    pub(crate) fn rises(&self, sleeper: &Arc<Sleeper>) {
        self.resting().retain(|other| !Arc::ptr_eq(other, sleeper));
        self.call();
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Arc<Sleeper>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
