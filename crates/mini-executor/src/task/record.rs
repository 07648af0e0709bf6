//! What is known of a task for those who ask why it does not go on: where it was spawned, where it awaits, how often it was polled.
//!
//! One word in the task's header, written by whoever has the right to poll it and read by anybody. All accesses are relaxed, and no
//! decision of the executor depends on them.
//!
//! Where a task awaits is told by the futures of this crate when they have to wait: [`awaits`] puts the place into the record of the task that
//! this thread polls. A poll begins with the place unknown, so what stands there is of the last poll.
#![allow(unsafe_code)]

use std::panic::Location;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::header::TaskRef;
use crate::awaits;
use crate::places::{Place, SOMEWHERE};
use crate::watchdog;

/// See the module. The low 16 bits are the place where it was spawned, the next where it awaits; above them the polls are counted.
pub(crate) struct Record(AtomicU64);

const AWAITS: u32 = 16;
const AWAITS_MASK: u64 = 0xFFFF << AWAITS;
const POLLS: u32 = 32;

impl Record {
    #[inline]
    pub(super) fn new(spawned: &'static Location<'static>) -> Self {
        Self(AtomicU64::new(u64::from(Place::of(spawned).0)))
    }

    /// A poll begins. With the right to it.
    #[inline]
    pub(super) fn begin_poll(&self) {
        let word = self.0.load(Relaxed);
        let counted = word.checked_add(1 << POLLS).unwrap_or(word);
        self.0.store(counted & !AWAITS_MASK, Relaxed);
    }

    /// In the poll that goes on.
    #[inline]
    fn set_awaits(&self, place: Place) {
        let word = self.0.load(Relaxed);
        self.0.store(word & !AWAITS_MASK | u64::from(place.0) << AWAITS, Relaxed);
    }

    fn place(&self, shift: u32) -> Place {
        Place((self.0.load(Relaxed) >> shift & 0xFFFF) as u16)
    }

    /// Where the task was spawned, as a number: for a signal's handler.
    pub(crate) fn spawned(&self) -> Place {
        self.place(0)
    }

    /// Where it awaits, or did at the end of its last poll.
    pub(crate) fn awaited(&self) -> Option<&'static Location<'static>> {
        self.place(AWAITS).location().filter(|place| awaits::is_telling(place))
    }

    /// How often it was polled; it stops counting at the most that a `u32` holds.
    pub(crate) fn polls(&self) -> u32 {
        (self.0.load(Relaxed) >> POLLS) as u32
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
    if let Some(task) = watchdog::polled_task() {
        // SAFETY: this very thread polls it, further up the stack, or drops its future there; it lives as long as that.
        unsafe { TaskRef::from_ptr(task) }.record.set_awaits(place);
    } else {
        watchdog::block_on_awaits(place);
    }
}

/// What [`awaits`] was last told in this poll.
pub(crate) fn awaited() -> Place {
    match watchdog::polled_task() {
        // SAFETY: as above.
        Some(task) => unsafe { TaskRef::from_ptr(task) }.record.place(AWAITS),
        None => watchdog::block_on_awaited(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_counted_and_forgets_where_the_one_before_awaited() {
        let (here, there) = (Location::caller(), SOMEWHERE);
        let record = Record::new(here);
        let told = || (record.polls(), record.place(AWAITS).location(), record.spawned().location());
        assert_eq!(told(), (0, None, Some(here)));
        record.begin_poll();
        record.set_awaits(Place::of(there));
        assert_eq!(told(), (1, Some(there), Some(here)));
        record.set_awaits(Place::of(here));
        assert_eq!(told(), (1, Some(here), Some(here)));
        assert_eq!(record.awaited(), None, "a place in this crate tells nobody anything");
        record.begin_poll();
        assert_eq!(told(), (2, None, Some(here)));
    }

    #[test]
    fn polls_are_counted_as_far_as_there_is_room() {
        let record = Record(AtomicU64::new(u64::MAX - 1));
        record.begin_poll();
        assert_eq!((record.polls(), record.spawned()), (u32::MAX, Place(0xFFFE)));
    }
}
