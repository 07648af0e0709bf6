//! Places in the source, as numbers of 16 bits.
//!
//! A task tells where it was spawned and where it awaits, and has eight bytes for both and for the number of its polls. So the places of the
//! whole process are numbered, each once, as they come up. Nearly always a place has its number already: a load and a comparison, about 1 ns,
//! without a lock. Only a new one takes the lock. No number is given back, for places are never freed.
//!
//! The table is of 65,536 words, 512 KiB, of which the kernel provides the pages that are used. A place's slot is given by its address, and
//! the compiler puts a program's places side by side: a few pages hold them all.

use std::panic::Location;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// The address of a place in the low 48 bits, its number above. 0 is free. Written once, under the lock of the list.
    slots: [AtomicU64; SLOTS],
    /// All places, by their numbers less one.
    list: Mutex<Vec<&'static Location<'static>>>,
}

/// Bits of an address. Linux gives programs none that are longer, unless they ask for it.
const ADDRESS_BITS: u32 = 48;
/// Places are numbers of words apart, so the lowest bits of their addresses are 0.
const ALIGN: usize = align_of::<Location<'static>>();
/// Slots that are looked at for a place whose own is taken. Places share a slot if they lie a multiple of 512 KiB apart.
const PROBES: usize = 64;

/// Whether a slot's word is of the place with that address.
#[inline]
const fn is_of(word: u64, address: usize) -> bool {
    (word ^ address as u64) << (64 - ADDRESS_BITS) == 0
}

impl<const SLOTS: usize> Places<SLOTS> {
    const fn new() -> Self {
        Self { slots: [const { AtomicU64::new(0) }; SLOTS], list: Mutex::new(Vec::new()) }
    }

    fn list(&self) -> MutexGuard<'_, Vec<&'static Location<'static>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn number(&self, location: &'static Location<'static>) -> Place {
        let address = std::ptr::from_ref(location).addr();
        let word = self.slots[address / ALIGN % SLOTS].load(Relaxed);
        if is_of(word, address) { Place((word >> ADDRESS_BITS) as u16) } else { self.number_slowly(location, address) }
    }

    #[cold]
    #[inline(never)]
    fn number_slowly(&self, location: &'static Location<'static>, address: usize) -> Place {
        if address as u64 >> ADDRESS_BITS != 0 {
            return Place::UNKNOWN;
        }
        let home = address / ALIGN;
        let find = || {
            for slot in (home..home + PROBES.min(SLOTS)).map(|slot| &self.slots[slot % SLOTS]) {
                let word = slot.load(Relaxed);
                if word == 0 || is_of(word, address) {
                    return Some((slot, word));
                }
            }
            None
        };
        // Without the lock first: it may stand beside its own slot.
        let found = find().filter(|(_, word)| *word != 0);
        if let Some((_, word)) = found {
            return Place((word >> ADDRESS_BITS) as u16);
        }
        let mut list = self.list();
        match find() {
            Some((slot, 0)) => {
                let Ok(number) = u16::try_from(list.len() + 1) else { return Place::UNKNOWN };
                list.push(location);
                slot.store(address as u64 | u64::from(number) << ADDRESS_BITS, Relaxed);
                Place(number)
            }
            Some((_, word)) => Place((word >> ADDRESS_BITS) as u16),
            None => Place::UNKNOWN,
        }
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
    fn places_of_one_slot_stand_side_by_side() {
        // Three words each, in a table of 8: every eighth place has the first one's slot.
        let all = places(6 * 8);
        let table: Places<8> = Places::new();
        let same: Vec<_> = all.iter().step_by(8).collect();
        let numbers: Vec<u16> = same.iter().map(|location| table.number(location).0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert_eq!(same.iter().map(|location| table.number(location).0).collect::<Vec<_>>(), numbers);
    }

    #[test]
    fn where_there_is_no_room_a_place_is_not_known() {
        let all = places(9);
        let table: Places<8> = Places::new();
        let numbers: Vec<u16> = all.iter().map(|location| table.number(location).0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 0]);
        assert_eq!(table.number(&all[8]), Place::UNKNOWN);
        assert!(std::ptr::eq(table.location(Place(8)).unwrap(), &raw const all[7]));
    }
}
