//! What a thread does when no task is ready: it serves timers and descriptors, and sleeps until there is something to do.
//!
//! Every thread in [`block_on`](crate::block_on) has a driver; the workers of a runtime share one. A timer or descriptor belongs
//! to the driver of the thread that awaits it.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::reactor::{Reactor, Turn, Until};
use crate::strangers::ToTheLast;
use crate::thread::token;
use crate::timers::{Key, Timers};
use crate::{blocking, clock};

/// Timers and descriptors of one or several threads.
#[derive(Debug)]
pub(crate) struct Driver {
    timers: Mutex<Timers>,
    /// When the next timer is due, `u64::MAX` without one: a look that needs no lock.
    next_due: AtomicU64,
    /// Made when it is first needed: a thread that waits for tasks alone needs none.
    reactor: OnceLock<Reactor>,
    /// Held by the thread that serves.
    turn: Mutex<(Turn, Vec<Waker>)>,
    /// Where several threads share it: who sees to it that one of them serves.
    steward: Option<Steward>,
}

/// A driver that threads share is served by whoever of them has nothing else to do. Should that one get a task that computes for long,
/// nobody serves, be there a sibling asleep: timers and sockets would wait for the task's end. A thread of the runtime, the
/// steward, looks once a millisecond whether that is so, and then wakes the sibling. It sleeps itself while nobody works.
#[derive(Debug, Default)]
struct Steward {
    /// How often the driver was served.
    served: AtomicU64,
    /// Threads that sleep elsewhere than in the reactor.
    resting: Mutex<Vec<Arc<Sleeper>>>,
    /// The steward itself, while it sleeps.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// How often the steward looks.
const ROUND: Duration = Duration::from_millis(1);
/// After so many rounds in which there was nothing to see to, it sleeps.
const QUIET: u32 = 10;

const NEVER: u64 = u64::MAX;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Driver>>> = const { RefCell::new(None) };
}

impl Driver {
    pub(crate) const fn new() -> Self {
        Self {
            timers: Mutex::new(Timers::new()),
            next_due: AtomicU64::new(NEVER),
            reactor: OnceLock::new(),
            turn: Mutex::new((Turn::new(), Vec::new())),
            steward: None,
        }
    }

    /// For several threads, one of which calls [`attend`](Self::attend).
    pub(crate) fn shared() -> Self {
        Self { steward: Some(Steward::default()), ..Self::new() }
    }

    /// The steward's life: until `is_over` says so. It has to be unparked for that.
    pub(crate) fn attend(&self, is_over: impl Fn() -> bool) {
        let Some(steward) = &self.steward else { return };
        let _ = steward.thread.set(std::thread::current());
        let mut seen = 0;
        let mut quiet = 0;
        while !is_over() {
            let served = steward.served.load(Ordering::Relaxed);
            let is_held = self.take_turn().is_none();
            if is_held || !self.is_watching() {
                quiet += 1;
            } else if served == seen {
                // Nobody for a whole round: the one who slept first is likely to be wanted last.
                quiet = 0;
                let sleeper = steward.resting().first().cloned();
                sleeper.iter().for_each(Wake::wake_by_ref);
            }
            seen = served;
            if quiet < QUIET {
                std::thread::sleep(ROUND);
            } else {
                // Who wakes from now on sees the flag; who woke before is seen here, in the next round.
                steward.asleep.store(true, Ordering::SeqCst);
                if self.take_turn().is_none() || !self.is_watching() {
                    std::thread::park();
                }
                steward.asleep.store(false, Ordering::SeqCst);
                quiet = 0;
            }
        }
    }

    /// A thread goes from sleep to work: the steward has to look again.
    fn call_steward(&self) {
        if let Some(steward) = &self.steward
            && steward.asleep.load(Ordering::SeqCst)
        {
            steward.thread.get().into_iter().for_each(Thread::unpark);
        }
    }

    /// Ends the steward's sleep.
    pub(crate) fn wake_steward(&self) {
        self.steward.iter().filter_map(|steward| steward.thread.get()).for_each(Thread::unpark);
    }

    /// The driver of this thread, if it is in `block_on`.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The address of this thread's driver; 0 without one.
    #[inline]
    pub(crate) fn current_address() -> usize {
        CURRENT.with_borrow(|current| current.as_ref().map_or(0, |current| current.address()))
    }

    /// What tells it from others, as long as somebody holds it.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether that is this thread's driver.
    pub(crate) fn is_current(&self) -> bool {
        Self::current_address() == self.address()
    }

    /// Whether this thread has a driver, and that has anything that tasks may have to be interrupted for.
    #[inline]
    pub(crate) fn is_current_watching() -> bool {
        CURRENT.with_borrow(|current| current.as_ref().is_some_and(|current| current.is_watching()))
    }

    /// Makes it this thread's driver; the former one is to be put back.
    pub(crate) fn enter(driver: Option<Arc<Self>>) -> Option<Arc<Self>> {
        CURRENT.replace(driver)
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
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
        if is_next
            && let Some(reactor) = self.reactor.get()
            && self.take_turn().is_none()
        {
            // Another thread waits, for longer than this.
            reactor.notify();
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

    /// The reactor, made if there is none yet.
    pub(crate) fn reactor(&self) -> io::Result<&Reactor> {
        if let Some(reactor) = self.reactor.get() {
            return Ok(reactor);
        }
        // Should two threads come here at once, one of the two is dropped.
        let made = Reactor::new()?;
        Ok(self.reactor.get_or_init(|| made))
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
        let Some(mut held) = self.take_turn() else { return };
        let (turn, wakers) = &mut *held;
        if let Some(reactor) = self.reactor.get()
            && reactor.is_watching()
        {
            // An error of epoll itself (a closed descriptor) would be a bug of this crate; sleeping reports it.
            let _ = reactor.wait(turn, Until::Now, wakers);
        }
        self.finish(held);
    }

    /// The right to serve, if nobody has it.
    fn take_turn(&self) -> Option<MutexGuard<'_, (Turn, Vec<Waker>)>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            // Half done is nothing in there.
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Fires what is due, and wakes.
    fn finish(&self, mut held: MutexGuard<'_, (Turn, Vec<Waker>)>) {
        if let Some(steward) = &self.steward {
            steward.served.fetch_add(1, Ordering::Relaxed);
        }
        let wakers = &mut held.1;
        if self.next_due.load(Ordering::Relaxed) != NEVER {
            let now = clock::now();
            let mut timers = self.timers();
            timers.fire(now, wakers);
            self.note(&timers);
        }
        if wakers.is_empty() {
            return;
        }
        let mut wakers = std::mem::take(wakers);
        drop(held);
        // Without a lock, and to the last: a waker may be a stranger's, and panic.
        let mut strangers = ToTheLast::default();
        for waker in wakers.drain(..) {
            strangers.call(|| waker.wake());
        }
        // The room is used again.
        if let Some(mut held) = self.take_turn()
            && held.1.capacity() == 0
        {
            held.1 = wakers;
        }
        strangers.end();
    }

    /// Serves, and before that sleeps until there is something to serve or `sleeper` is woken.
    ///
    /// # Panics
    /// When epoll fails, which it does only if somebody closed a descriptor that is this crate's.
    fn sleep(&self, sleeper: &Arc<Sleeper>) {
        let (next, has_precise) = {
            let timers = self.timers();
            (timers.next_due(), timers.has_precise())
        };
        let reactor = if has_precise { self.reactor().ok() } else { self.reactor.get() };
        let watches = has_precise || reactor.is_some_and(Reactor::is_watching);
        let remaining = next.map(|due| (due, clock::now()));
        if let Some((due, now)) = remaining
            && due <= now
        {
            return self.serve();
        }
        let Some(reactor) = reactor.filter(|_| watches) else {
            sleeper.park(remaining.map(|(due, now)| Duration::from_nanos(due - now)));
            return self.serve();
        };
        // Another thread serves, and will wake what this one waits for.
        let Some(mut held) = self.take_turn() else { return sleeper.park(None) };
        let (turn, wakers) = &mut *held;
        let until = match remaining {
            None => Until::Ever,
            Some((due, now)) if has_precise => Until::Exactly { now, due },
            Some((due, now)) => Until::About(due - now),
        };
        if sleeper.fall_asleep(ASLEEP_IN_REACTOR) {
            let waited = reactor.wait(turn, until, wakers);
            sleeper.is_awake();
            self.call_steward();
            waited.unwrap_or_else(|error| panic!("epoll failed: {error}; was a descriptor closed that is not yours?"));
        }
        self.finish(held);
    }
}

impl Steward {
    fn resting(&self) -> MutexGuard<'_, Vec<Arc<Sleeper>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread in `block_on`, as what wakes it.
#[derive(Debug)]
pub(crate) struct Sleeper {
    driver: Arc<Driver>,
    owner: u32,
    thread: Thread,
    state: AtomicU8,
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
        Self { driver, owner: token(), thread: std::thread::current(), state: AtomicU8::new(AWAKE) }
    }

    /// After a poll that gave no result: serves what is due, and sleeps unless it was woken.
    pub(crate) fn rest(self: &Arc<Self>) {
        if self.take_wake() {
            return self.driver.serve();
        }
        if blocking::is_any_outstanding() && self.look_out() {
            return;
        }
        while !self.take_wake() {
            self.driver.sleep(self);
        }
    }

    /// A call that blocks may end any moment, and being woken takes longer than most calls: looks out for it without giving the CPU
    /// away. Tells whether it came.
    fn look_out(&self) -> bool {
        if !blocking::may_look_out() {
            return false;
        }
        let begin = Instant::now();
        while begin.elapsed() < blocking::LOOK_OUT {
            if self.take_wake() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn take_wake(&self) -> bool {
        // Looked at first: writing costs more.
        self.state.load(Ordering::Relaxed) == WOKEN && self.state.swap(AWAKE, Ordering::Acquire) == WOKEN
    }

    /// Tells whether to sleep; not if it was woken meanwhile.
    fn fall_asleep(&self, how: u8) -> bool {
        self.state.compare_exchange(AWAKE, how, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Sleep ended, for whatever reason; a wake stays to be seen.
    fn is_awake(&self) {
        for how in [ASLEEP, ASLEEP_IN_REACTOR] {
            let _ = self.state.compare_exchange(how, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn park(self: &Arc<Self>, time: Option<Duration>) {
        let steward = self.driver.steward.as_ref();
        if let Some(steward) = steward {
            steward.resting().push(self.clone());
        }
        if self.fall_asleep(ASLEEP) {
            match time {
                Some(time) => std::thread::park_timeout(time),
                None => std::thread::park(),
            }
            self.is_awake();
        }
        if let Some(steward) = steward {
            steward.resting().retain(|other| !Arc::ptr_eq(other, self));
            self.driver.call_steward();
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
            ASLEEP_IN_REACTOR => {
                if let Some(reactor) = self.driver.reactor.get() {
                    reactor.notify();
                }
            }
            _ => {}
        }
    }
}
