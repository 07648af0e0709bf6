//! A thread in [`block_on`](crate::block_on), as what wakes it.
//!
//! One word says what the thread does, and so what it takes to have it go on. All changes are exchanges: of a wake and a thread that goes to
//! sleep at the same moment, one comes second and sees the first.
//!
//! | from | to | by | who also |
//! |---|---|---|---|
//! | `AWAKE` | `WOKEN` | a wake | does nothing more: the thread looks before it sleeps |
//! | `AWAKE` | `ASLEEP`, `ASLEEP_IN_REACTOR` | the thread, if nobody has woken it | parks, or waits in epoll |
//! | `ASLEEP` | `WOKEN` | a wake | unparks the thread |
//! | `ASLEEP_IN_REACTOR` | `WOKEN` | a wake | writes to the eventfd that epoll watches |
//! | either | `AWAKE` | the thread, when a timer or a descriptor has ended its sleep | serves |
//! | `WOKEN` | `AWAKE` | the thread | polls |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Wake;
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::births;
use crate::blocking;
use crate::deadlock::{self, Finding};
use crate::driver::Driver;
use crate::thread::{has_several_cpus, token};

/// See the module.
#[derive(Debug)]
pub(crate) struct Sleeper {
    driver: Arc<Driver>,
    owner: u32,
    /// It shares the driver with a runtime's workers, and is none.
    is_guest: bool,
    thread: Thread,
    state: AtomicU8,
    /// It has reported that all its tasks wait for ever.
    is_told: AtomicBool,
    /// It has not seen in this sleep that there are none.
    may_ask: AtomicBool,
    /// How many calls had been handed over when it last looked out for their end in vain.
    looked_out: AtomicUsize,
}

/// It runs, and nobody has woken it since it last looked.
const AWAKE: u8 = 0;
/// Somebody has.
const WOKEN: u8 = 1;
/// It sleeps, and is unparked.
const ASLEEP: u8 = 2;
/// It sleeps in its driver's reactor, and is notified.
const ASLEEP_IN_REACTOR: u8 = 3;

impl Sleeper {
    /// This thread.
    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        Self {
            driver,
            owner: token(),
            is_guest: false,
            thread: std::thread::current(),
            state: AtomicU8::new(AWAKE),
            is_told: AtomicBool::new(false),
            may_ask: AtomicBool::new(true),
            looked_out: AtomicUsize::new(0),
        }
    }

    /// This thread, which is no worker of the runtime whose driver that is.
    pub(crate) fn of_guest(driver: Arc<Driver>) -> Self {
        Self { is_guest: true, ..Self::new(driver) }
    }

    /// What serves its thread.
    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Whether it is no worker of the runtime that it shares its driver with.
    pub(crate) fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// After a poll that gave no result: serves what is due, and sleeps unless it was woken.
    pub(crate) fn rest(self: &Arc<Self>) {
        if let Some(steward) = self.driver.steward().filter(|_| !self.is_guest) {
            steward.has_found_time();
        }
        // Wakes that follow upon one another, be they by the ends of calls, keep nobody else waiting.
        if self.take_wake() || (blocking::is_any_outstanding() && self.look_out()) {
            return self.driver.serve();
        }
        births::fall_asleep();
        self.may_ask.store(true, Ordering::Relaxed);
        while !self.take_wake() {
            self.driver.sleep(self);
        }
    }

    /// A call that blocks may end any moment, and being woken takes longer than most calls: looks out for it without giving the CPU
    /// away. Tells whether it came.
    fn look_out(&self) -> bool {
        if !has_several_cpus() {
            return false;
        }
        let submitted = blocking::submitted();
        if self.looked_out.load(Ordering::Relaxed) == submitted {
            return false;
        }
        let begin = Instant::now();
        while begin.elapsed() < blocking::LOOK_OUT {
            if self.take_wake() {
                return true;
            }
            std::hint::spin_loop();
        }
        // They take long: once is enough for them.
        self.looked_out.store(submitted, Ordering::Relaxed);
        false
    }

    fn take_wake(&self) -> bool {
        // Looked at first: writing costs more.
        self.state.load(Ordering::Relaxed) == WOKEN && self.state.swap(AWAKE, Ordering::Acquire) == WOKEN
    }

    /// Whether somebody has woken it, which it has not noticed yet.
    pub(crate) fn is_woken(&self) -> bool {
        self.state.load(Ordering::Acquire) == WOKEN
    }

    /// Tells whether to sleep; not if it was woken meanwhile.
    fn fall_asleep(&self, how: u8) -> bool {
        let falls_asleep = self.state.compare_exchange(AWAKE, how, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if falls_asleep && let Some(steward) = self.driver.steward() {
            steward.rests();
        }
        falls_asleep
    }

    /// Tells whether to wait for the driver's descriptors. [`is_awake`](Self::is_awake) has to follow.
    pub(crate) fn fall_asleep_in_reactor(&self) -> bool {
        self.fall_asleep(ASLEEP_IN_REACTOR)
    }

    /// Sleep ended, for whatever reason; a wake stays to be seen. Once for each time it fell asleep.
    pub(crate) fn is_awake(&self) {
        self.ends_sleep(false);
    }

    /// The same; `looks`: unless somebody has woken it, it is only to see whether anything has happened.
    fn ends_sleep(&self, looks: bool) {
        let mut by_itself = false;
        for how in [ASLEEP, ASLEEP_IN_REACTOR] {
            by_itself |= self.state.compare_exchange(how, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        }
        if let Some(steward) = self.driver.steward() {
            if looks && by_itself { steward.looks_up() } else { steward.rises() }
        }
    }

    /// Sleeps until it is woken, or the time has passed.
    pub(crate) fn park(self: &Arc<Self>, time: Option<Duration>) {
        let steward = self.driver.steward();
        if let Some(steward) = steward {
            steward.lies_down(self);
        }
        // Nothing ends it but a wake: there may be none to come.
        let [is_told, may_ask] = [&self.is_told, &self.may_ask].map(|flag| flag.load(Ordering::Relaxed));
        let patience = if time.is_none() && may_ask && !is_told { deadlock::patience(&self.driver) } else { None };
        let begin = patience.map(|_| Instant::now());
        let mut still = None;
        if self.fall_asleep(ASLEEP) {
            still = steward.and_then(|steward| steward.stillness(0));
            match time.or(patience) {
                Some(time) => std::thread::park_timeout(time),
                None => std::thread::park(),
            }
            self.ends_sleep(patience.is_some());
        }
        if let Some(steward) = steward {
            steward.gets_up(self);
        }
        if let (Some(patience), Some(begin)) = (patience, begin)
            && begin.elapsed() >= patience
            && self.state.load(Ordering::Relaxed) == AWAKE
            && steward.is_none_or(|steward| still.is_some_and(|still| steward.stillness(1) == Some(still)))
        {
            match deadlock::look(&self.driver, || self.is_woken()) {
                Finding::Deadlock => self.is_told.store(true, Ordering::Relaxed),
                Finding::NoTasks => self.may_ask.store(false, Ordering::Relaxed),
                Finding::Undecided => {}
            }
        }
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.owner == token() {
            // Itself it need not rouse. Exchanged, not stored: that would hide what another thread did before it woke this one.
            let _ = self.state.compare_exchange(AWAKE, WOKEN, Ordering::Relaxed, Ordering::Relaxed);
            return;
        }
        match self.state.swap(WOKEN, Ordering::Release) {
            ASLEEP => self.thread.unpark(),
            ASLEEP_IN_REACTOR => self.driver.notify(),
            _ => {}
        }
    }
}
