//! Places in the source, as numbers of 16 bits.
//!
//! A task tells where it was spawned and where it awaits, and has eight bytes for both and for the number of its polls. So the places of the
//! whole process are numbered, each once, as they come up. Nearly always a place has its number already: a load and a comparison, about 1 ns,
//! without a lock. Only a new one takes the lock. No number is given back, for places are never freed.
//!
//! The table is of 65,536 words, 512 KiB, of which the kernel provides the pages that are used. A place's slot is given by its address, and
//! the compiler puts a program's places side by side: a few pages hold them all. Places 512 KiB apart share a slot, and are looked for in the
//! list when they take turns.

use std::panic::Location;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::plain::{Mutex, MutexGuard};
use crate::primitives::unpoisoned;

/// A place's number. 0 is none: the place is not known, or came when there was no room any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place(pub(crate) u16);

impl Place {
    pub(crate) const UNKNOWN: Self = Self(0);

    /// The number of a place.
    #[inline]
    pub(crate) fn of(location: &'static Location<'static>) -> Self {
        PLACES.number(location)
    }

    /// The place, if it is known.
    pub(crate) fn location(self) -> Option<&'static Location<'static>> {
        PLACES.location(self)
    }
}

/// For a place that found no room: a program with more than 65,535 places that spawn or await tasks.
#[track_caller]
const fn nowhere() -> &'static Location<'static> {
    Location::caller()
}

/// What is said instead of a place that is not known: one in this very file.
pub(crate) static SOMEWHERE: &Location<'static> = nowhere();

static PLACES: Places<{ 1 << 16 }> = Places::new();

/// See the module. So many slots, which is a power of two.
struct Places<const SLOTS: usize> {
    /// The address of a place in the low 48 bits, its number above. 0 is free. Of places that share a slot it has the one that was asked
    /// for last.
    slots: [AtomicU64; SLOTS],
    /// All places, by their numbers less one.
    list: Mutex<Vec<&'static Location<'static>>>,
}

/// Bits of an address. Linux gives programs none that are longer, unless they ask for it.
const ADDRESS_BITS: u32 = 48;
/// Places are numbers of words apart, so the lowest bits of their addresses are 0.
const ALIGN: usize = align_of::<Location<'static>>();

impl<const SLOTS: usize> Places<SLOTS> {
    const fn new() -> Self {
        Self { slots: [const { AtomicU64::new(0) }; SLOTS], list: Mutex::new(Vec::new()) }
    }

    fn list(&self) -> MutexGuard<'_, Vec<&'static Location<'static>>> {
        unpoisoned(self.list.lock())
    }

    #[inline]
    fn number(&self, location: &'static Location<'static>) -> Place {
        let address = std::ptr::from_ref(location).addr();
        let slot = &self.slots[address / ALIGN % SLOTS];
        let word = slot.load(Relaxed);
        if (word ^ address as u64) << (64 - ADDRESS_BITS) == 0 {
            Place((word >> ADDRESS_BITS) as u16)
        } else {
            self.number_slowly(location, slot)
        }
    }

    #[cold]
    #[inline(never)]
    fn number_slowly(&self, location: &'static Location<'static>, slot: &AtomicU64) -> Place {
        let mut list = self.list();
        let known = list.iter().position(|known| std::ptr::eq(*known, location));
        let Ok(number) = u16::try_from(known.unwrap_or(list.len()) + 1) else { return Place::UNKNOWN };
        if known.is_none() {
            list.push(location);
        }
        let address = std::ptr::from_ref(location).addr() as u64;
        if address >> ADDRESS_BITS == 0 {
            slot.store(address | u64::from(number) << ADDRESS_BITS, Relaxed);
        }
        Place(number)
    }

    fn location(&self, place: Place) -> Option<&'static Location<'static>> {
        let index = usize::from(place.0).checked_sub(1)?;
        self.list().get(index).copied()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Places that are nobody else's: copies of one, in memory that is never freed.
    fn places(count: usize) -> &'static [Location<'static>] {
        // Where it is found, for those who look for what is lost.
        static ALL: Mutex<Vec<&[Location<'static>]>> = Mutex::new(Vec::new());
        let places = Box::leak(vec![*Location::caller(); count].into_boxed_slice());
        ALL.lock().unwrap().push(places);
        places
    }

    #[test]
    fn a_place_keeps_its_number_and_is_found_by_it() {
        let all = places(1_000);
        let numbers: Vec<Place> = all.iter().map(Place::of).collect();
        assert_eq!(numbers.iter().map(|place| place.0).collect::<HashSet<_>>().len(), all.len());
        for (location, number) in all.iter().zip(numbers) {
            assert_eq!(Place::of(location), number);
            assert!(std::ptr::eq(number.location().unwrap(), location));
        }
        assert!(Place::UNKNOWN.location().is_none());
    }

    #[test]
    fn threads_agree_on_the_numbers() {
        let all = places(2_000);
        let number = |shift: usize| {
            let mut numbers = vec![Place::UNKNOWN; all.len()];
            for index in 0..all.len() {
                let index = (index + shift) % all.len();
                numbers[index] = Place::of(&all[index]);
            }
            numbers
        };
        let start = &std::sync::Barrier::new(4);
        let numbers: Vec<_> = std::thread::scope(|scope| {
            let count = |thread: usize| {
                start.wait();
                number(thread % 2 * 1_000)
            };
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || count(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(numbers.iter().all(|others| *others == numbers[0]));
    }

    #[test]
    fn places_of_one_slot_keep_their_numbers() {
        // Three words each, in a table of 8: every eighth place has the first one's slot.
        let all = places(6 * 8);
        let table: Places<8> = Places::new();
        let same: Vec<_> = all.iter().step_by(8).collect();
        for _ in 0..2 {
            let numbers: Vec<u16> = same.iter().map(|location| table.number(location).0).collect();
            assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        }
        assert!(std::ptr::eq(table.location(Place(6)).unwrap(), same[5]));
    }

    #[test]
    fn where_there_is_no_number_left_a_place_is_not_known() {
        let all = places(2);
        let table: Places<8> = Places::new();
        table.list().resize(usize::from(u16::MAX) - 1, SOMEWHERE);
        assert_eq!((table.number(&all[0]), table.number(&all[1])), (Place(u16::MAX), Place::UNKNOWN));
    }
}
