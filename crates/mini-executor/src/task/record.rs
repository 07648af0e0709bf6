//! What is known of a task for those who ask why it does not go on: where it was spawned, where it awaits, how often it was polled.
//!
//! Eight bytes in the task's header, written by whoever has the right to poll it and read by anybody. All accesses are relaxed, and no
//! decision of the executor depends on them.
//!
//! Where a task awaits is told by the futures of this crate when they have to wait: [`awaits`] puts the place into the record of the task that
//! this thread polls. A poll begins with the place unknown, so what stands there is of the last poll.
#![allow(unsafe_code)]

use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use super::header::TaskRef;
use crate::awaits;
use crate::clock;
use crate::places::{Place, SOMEWHERE};
use crate::watchdog::{self, Current};

/// See the module.
pub(crate) struct Record {
    spawned: Place,
    /// A [`Place`]'s number.
    awaits: AtomicU16,
    polls: AtomicU32,
}

impl Record {
    #[inline]
    pub(super) fn new(spawned: &'static Location<'static>) -> Self {
        Self { spawned: Place::of(spawned), awaits: AtomicU16::new(Place::UNKNOWN.0), polls: AtomicU32::new(0) }
    }

    /// A poll begins. With the right to it.
    #[inline]
    pub(super) fn begin_poll(&self) {
        self.awaits.store(Place::UNKNOWN.0, Relaxed);
        self.polls.store(self.polls.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Where the task was spawned, as a number: for a signal's handler.
    pub(crate) fn spawned(&self) -> Place {
        self.spawned
    }

    /// Where it awaits, or did at the end of its last poll.
    pub(crate) fn awaited(&self) -> Option<&'static Location<'static>> {
        Place(self.awaits.load(Relaxed)).location().filter(|place| awaits::is_telling(place))
    }

    /// How often it was polled; it stops counting at the most that a `u32` holds.
    pub(crate) fn polls(&self) -> u32 {
        self.polls.load(Relaxed)
    }
}

/// For how long a task was polled: what it costs to know that, two looks at the clock a poll, is paid by those who ask for it.
#[derive(Debug, Default)]
pub(crate) struct Busy(AtomicU64);

static IS_TIMED: AtomicBool = AtomicBool::new(false);

/// Has the polls of tasks that have a [name](crate::LocalExecutor::spawn_named) timed from now on, or no more. A
/// [dump](crate::TaskReport::busy) tells the sum. That costs 40 to 50 ns a poll.
///
/// ```
/// use mini_executor::{LocalExecutor, set_busy_times, yield_now};
///
/// set_busy_times(true);
/// let executor = LocalExecutor::new();
/// let task = executor.spawn_named("counts", async {
///     let sum = (0..std::hint::black_box(1_000)).sum::<u64>();
///     yield_now().await;
///     sum
/// });
/// executor.try_tick();
/// let busy = executor.dump().tasks[0].busy.unwrap();
/// println!("{} was polled for {busy:?}", task.name().unwrap());
/// # assert!(!busy.is_zero());
/// ```
pub fn set_busy_times(is_on: bool) {
    IS_TIMED.store(is_on, Relaxed);
}

impl Busy {
    /// A poll begins, and ends with what this gives.
    pub(super) fn begin(&self) -> Option<impl Drop> {
        struct Timing<'a>(&'a Busy, Instant);

        impl Drop for Timing<'_> {
            fn drop(&mut self) {
                let Self(Busy(busy), begin) = self;
                // Only who polls the task writes it.
                busy.store(busy.load(Relaxed).saturating_add(clock::nanos(begin.elapsed())), Relaxed);
            }
        }

        IS_TIMED.load(Relaxed).then(|| Timing(self, Instant::now()))
    }

    /// The sum; `None` where no poll was timed.
    pub(super) fn total(&self) -> Option<Duration> {
        Some(self.0.load(Relaxed)).filter(|busy| *busy > 0).map(Duration::from_nanos)
    }
}

impl TaskRef {
    /// Where the task was spawned.
    pub(crate) fn spawned(self) -> &'static Location<'static> {
        self.record.spawned().location().unwrap_or(SOMEWHERE)
    }
}

/// Has the record of the task that this thread polls say that it awaits at `place`.
#[inline]
pub(crate) fn awaits(place: Place) {
    match watchdog::current() {
        // SAFETY: this very thread polls it, further up the stack, or drops its future there; it lives as long as that.
        Current::Task(task) => unsafe { TaskRef::from_ptr(task) }.record.awaits.store(place.0, Relaxed),
        Current::BlockOn => watchdog::set_block_on_awaits(place),
        Current::Nothing => {}
    }
}

/// What [`awaits`] was last told in this poll.
#[inline]
pub(crate) fn awaited() -> Place {
    match watchdog::current() {
        // SAFETY: as above.
        Current::Task(task) => Place(unsafe { TaskRef::from_ptr(task) }.record.awaits.load(Relaxed)),
        Current::BlockOn => watchdog::block_on_awaited(),
        Current::Nothing => Place::UNKNOWN,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_counted_and_forgets_where_the_one_before_awaited() {
        let (here, there) = (Location::caller(), SOMEWHERE);
        let record = Record::new(here);
        let awaits = |place| record.awaits.store(Place::of(place).0, Relaxed);
        let told = || (record.polls(), Place(record.awaits.load(Relaxed)).location(), record.spawned().location());
        assert_eq!(told(), (0, None, Some(here)));
        record.begin_poll();
        awaits(there);
        assert_eq!(told(), (1, Some(there), Some(here)));
        awaits(here);
        assert_eq!(told(), (1, Some(here), Some(here)));
        assert_eq!(record.awaited(), None, "a place in this crate tells nobody anything");
        record.begin_poll();
        assert_eq!(told(), (2, None, Some(here)));
    }

    #[test]
    fn polls_are_counted_as_far_as_there_is_room() {
        let record = Record::new(Location::caller());
        record.polls.store(u32::MAX - 1, Relaxed);
        for _ in 0..2 {
            record.begin_poll();
            assert_eq!(record.polls(), u32::MAX);
        }
    }
}
