//! Who sees to it that a runtime's timers, sockets and tasks are not left alone by a worker that computes.
//!
//! Whoever of the workers has nothing else to do serves timers and sockets. Should that one get a task that computes for long, nobody
//! serves, be there a sibling asleep: timers and sockets would wait for the task's end. And so would tasks that the worker has put into
//! its slot, or on a single CPU into its queue, for which no sibling is woken. A thread of the runtime, the steward, looks every few milliseconds
//! whether that is so, and then wakes the sibling. It sleeps itself while all workers do.
//!
//! Go's runtime has such a thread (*sysmon*). tokio has none, and there one computing task holds everybody's timers; smol's has one that waits
//! for timers and sockets while nobody else does, and that wakes nobody for tasks.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Wake;
use std::thread::Thread;
use std::time::Duration;

use crate::clock;
use crate::driver::Driver;
use crate::hub::Hub;
use crate::primitives::unpoisoned;
use crate::sleeper::Sleeper;

/// A driver that is left alone for so long is left alone by a task that computes.
const LONG: Duration = Duration::from_millis(1);
/// How often the steward looks while all is well. A look costs 13 to 25 us of CPU, which is what it takes the kernel to have a thread
/// sleep and wake: with one every 1 to 2 ms an echo server on one core spent 2.7 % of its time there (2026-11-22). A task that begins to
/// compute is found out by the first look that comes [`LONG`] afterwards: after 4 ms at most. A timer that has to wait for that is late by
/// no more, and by what it takes to wake a sibling.
const ROUND: Duration = Duration::from_millis(3);
/// After so many looks, each [`LONG`] after the last, at which all were asleep, it sleeps, too. Not at once: who gets up with it asleep has to
/// wake it, a system call, and in a busy server that would be at each event.
const QUIET: u32 = 10;

/// What a driver and its steward share.
#[derive(Debug, Default)]
pub(crate) struct Steward {
    /// When the driver was last served, in nanoseconds of the process's clock.
    served: AtomicU64,
    /// Threads in `block_on` that do not sleep.
    awake: AtomicUsize,
    /// How often one got up.
    risen: AtomicU64,
    /// Threads that sleep elsewhere than in the reactor.
    resting: Mutex<Vec<Arc<Sleeper>>>,
    /// No worker had time to serve when it was last looked: threads that are none are to do it.
    wants_guests: AtomicBool,
    /// The steward itself, while it sleeps.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Steward {
    /// The steward's life: until `is_over` says so. It has to be [woken](Self::wake) for that.
    pub(crate) fn attend(&self, driver: &Driver, workers: &Hub, is_over: impl Fn() -> bool) {
        let _ = self.thread.set(std::thread::current());
        let (mut polled, mut quiet) = (Vec::new(), 0);
        while !is_over() {
            workers.rescue(&mut polled);
            // Nobody sits in epoll, and something is waited for. Somebody may have served a moment ago all the same: threads that are
            // busy do so between two turns, and that is soon enough.
            let is_alone = Self::is_left_alone(driver);
            let is_long_ago = self.is_long_ago(clock::real());
            if is_alone && is_long_ago {
                // The one who slept first is likely to be wanted last.
                let sleeper = self.resting().first().cloned();
                self.call_guests();
                sleeper.iter().for_each(Wake::wake_by_ref);
            }
            quiet = if is_alone || self.is_anyone_awake() { 0 } else { quiet + 1 };
            if quiet < QUIET {
                std::thread::sleep(if (is_alone && is_long_ago) || quiet > 0 { LONG } else { ROUND });
            } else {
                self.asleep.store(true, Ordering::Relaxed);
                // With the one in `looks_up`: who has got up sees the flag, or is seen here. Who did neither has got up and lain down since
                // the look above, and may have left alone what it served then.
                fence(Ordering::SeqCst);
                if !self.is_anyone_awake() && !Self::is_left_alone(driver) {
                    std::thread::park();
                }
                self.asleep.store(false, Ordering::Relaxed);
                quiet = 0;
            }
        }
    }

    /// Whether nobody serves though something is waited for.
    fn is_left_alone(driver: &Driver) -> bool {
        !driver.is_being_served() && driver.is_watching()
    }

    /// How often somebody got up, if nobody is awake now but so many, and nobody was woken.
    pub(crate) fn stillness(&self, but: usize) -> Option<u64> {
        let is_still =
            self.awake.load(Ordering::SeqCst) == but && !self.resting().iter().any(|sleeper| sleeper.is_woken());
        is_still.then(|| self.risen.load(Ordering::SeqCst))
    }

    /// No worker serves: threads that are none are to do it, though workers are awake.
    pub(crate) fn call_guests(&self) {
        self.wants_guests.store(true, Ordering::Relaxed);
    }

    /// A worker has come to serve, be it between two turns.
    pub(crate) fn has_found_time(&self) {
        // Looked at first: threads share it, and writing costs more.
        if self.wants_guests.load(Ordering::Relaxed) {
            self.wants_guests.store(false, Ordering::Relaxed);
        }
    }

    /// Whether guests have been called since a worker last came to rest.
    pub(crate) fn wants_guests(&self) -> bool {
        self.wants_guests.load(Ordering::Relaxed)
    }

    /// A thread has served the driver.
    pub(crate) fn has_served(&self) {
        self.served.store(clock::real(), Ordering::Relaxed);
    }

    /// Whether nobody has served the driver for [`LONG`].
    fn is_long_ago(&self, now: u64) -> bool {
        now.saturating_sub(self.served.load(Ordering::Relaxed)) >= clock::nanos(LONG)
    }

    fn is_anyone_awake(&self) -> bool {
        // Who sees a thread lie down sees that it serves no more.
        self.awake.load(Ordering::Acquire) > 0
    }

    /// A thread begins to work, be it after its sleep: the steward has to look again.
    pub(crate) fn rises(&self) {
        self.risen.fetch_add(1, Ordering::Relaxed);
        self.looks_up();
    }

    /// A thread gets up to see whether anything has happened.
    pub(crate) fn looks_up(&self) {
        self.awake.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// A thread ends its work, be it to sleep.
    pub(crate) fn rests(&self) {
        self.awake.fetch_sub(1, Ordering::Release);
    }

    /// Ends the steward's sleep.
    pub(crate) fn wake(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }

    /// A thread goes to sleep elsewhere than in the reactor.
    pub(crate) fn lies_down(&self, sleeper: &Arc<Sleeper>) {
        self.resting().push(sleeper.clone());
    }

    /// It is awake again.
    pub(crate) fn gets_up(&self, sleeper: &Arc<Sleeper>) {
        self.resting().retain(|other| !Arc::ptr_eq(other, sleeper));
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Arc<Sleeper>>> {
        unpoisoned(self.resting.lock())
    }
}

/// A timer beside a task that computes is late by no more than 6 ms, of which one is for the sibling to be woken.
const _: () = assert!(LONG.as_millis() + ROUND.as_millis() <= 5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_left_alone_from_a_millisecond_on() {
        let steward = Steward::default();
        steward.served.store(5_000_000, Ordering::Relaxed);
        assert!(!steward.is_long_ago(5_999_999));
        assert!(steward.is_long_ago(6_000_000));
        assert!(!steward.is_long_ago(4_000_000), "another thread has served since this one looked at the clock");
        steward.has_served();
        assert!(steward.is_long_ago(clock::real() + 1_000_000));
    }
}
