//! Which number the block at an address has.
//!
//! Addresses are divided into regions of 64 MiB (glibc's arenas of other threads than the first are one each, so threads seldom meet in a
//! region). A region has a lock and a hash table of eight bytes an entry: 22 bits of the address (blocks are 16 bytes apart) and 42 bits of
//! the block's number. Tables are at most three quarters full, and double.

use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::real::{self, Lock};
use crate::system;

/// Bytes of a region, as a power of two.
const REGION_SHIFT: u32 = 26;
/// User space has 47 bits of addresses; the few programs that ask for more are not followed there.
const REGIONS: usize = 1 << (47 - REGION_SHIFT);
const KEY_BITS: u32 = REGION_SHIFT - 4;
/// Numbers of blocks are smaller than this.
pub(crate) const MOST_BLOCKS: u64 = 1 << (64 - KEY_BITS);
const FIRST_CAPACITY: usize = 512;

/// Two cache lines, since processors fetch pairs: neighbours are other threads'. All zeros is an empty one.
#[repr(C, align(128))]
struct Region {
    lock: Lock,
    /// Free places until the table has to grow.
    room: u32,
    /// 64 minus the binary logarithm of the capacity.
    shift: u32,
    mask: usize,
    /// `number << KEY_BITS | key`; 0 is free, and no block has number 0.
    table: *mut u64,
}

/// The regions, in memory that a forked child finds zeroed: its blocks are none of ours any more.
static REGIONS_AT: AtomicPtr<Region> = AtomicPtr::new(std::ptr::null_mut());

/// Makes the regions, once. `false` if there is no address space for them (256 MiB, of which what is used becomes memory).
pub(crate) fn prepare() -> bool {
    if REGIONS_AT.load(Relaxed).is_null() {
        REGIONS_AT.store(system::map(REGIONS * size_of::<Region>(), true).cast(), Relaxed);
    }
    !REGIONS_AT.load(Relaxed).is_null()
}

/// Runs with the region of an address, locked; `None` for addresses that are not followed.
#[inline]
fn with<R>(address: usize, run: impl FnOnce(&mut Region, u64) -> R) -> Option<R> {
    let index = address >> REGION_SHIFT;
    if index >= REGIONS {
        return None;
    }
    let key = (address >> 4) as u64 & ((1 << KEY_BITS) - 1);
    // SAFETY: `prepare` was called before the first thread was attached, and made that many regions.
    let region = unsafe { REGIONS_AT.load(Relaxed).add(index) };
    // It turns false before a second thread is made, by the thread that makes it, and so never while that thread is in here.
    let alone = real::single_threaded();
    // SAFETY: the lock is used through a shared reference to itself alone.
    let lock = unsafe { &(*region).lock };
    if !alone {
        lock.take();
    }
    // SAFETY: the lock is ours, or there is no other thread; signal handlers stay out because the thread is marked as being inside.
    let result = run(unsafe { &mut *region }, key);
    if !alone {
        lock.release();
    }
    Some(result)
}

/// What became of a block that was to be entered.
pub(crate) enum Entered {
    /// It is there.
    Yes,
    /// It is there, in place of one whose end nobody saw.
    InPlaceOf(u64),
    /// There is no memory for it, or the address is out of reach.
    No,
}

/// Enters a block, whose number is not 0.
#[inline]
pub(crate) fn enter(address: usize, number: u64) -> Entered {
    with(address, |region, key| region.enter(key, number)).unwrap_or(Entered::No)
}

/// Takes a block out.
#[inline]
pub(crate) fn remove(address: usize) -> Option<u64> {
    with(address, Region::remove).flatten()
}

impl Region {
    #[inline]
    fn place(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline]
    fn at(&mut self, place: usize) -> &mut u64 {
        // SAFETY: places are masked, and the table has mask + 1 entries.
        unsafe { &mut *self.table.add(place & self.mask) }
    }

    #[inline]
    fn enter(&mut self, key: u64, number: u64) -> Entered {
        if self.room == 0 && !self.grow() {
            return Entered::No;
        }
        let entry = number << KEY_BITS | key;
        let mut place = self.place(key);
        loop {
            let slot = self.at(place);
            if *slot == 0 {
                *slot = entry;
                self.room -= 1;
                return Entered::Yes;
            }
            if *slot & ((1 << KEY_BITS) - 1) == key {
                let before = *slot >> KEY_BITS;
                *slot = entry;
                return Entered::InPlaceOf(before);
            }
            place += 1;
        }
    }

    #[inline]
    fn remove(&mut self, key: u64) -> Option<u64> {
        if self.table.is_null() {
            return None;
        }
        let mut place = self.place(key);
        let found = loop {
            let entry = *self.at(place);
            if entry == 0 {
                return None;
            }
            if entry & ((1 << KEY_BITS) - 1) == key {
                break entry >> KEY_BITS;
            }
            place += 1;
        };
        // Entries that had to go further because of this one move up, so that there are never gaps to search across.
        let mut hole = place;
        loop {
            place += 1;
            let entry = *self.at(place);
            if entry == 0 {
                break;
            }
            let home = self.place(entry & ((1 << KEY_BITS) - 1));
            if place.wrapping_sub(home) & self.mask >= place.wrapping_sub(hole) & self.mask {
                *self.at(hole) = entry;
                hole = place;
            }
        }
        *self.at(hole) = 0;
        self.room += 1;
        Some(found)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> bool {
        let old = (!self.table.is_null()).then_some((self.table, self.mask + 1));
        let capacity = old.map_or(FIRST_CAPACITY, |(_, capacity)| capacity * 2);
        let table = system::map(capacity * 8, false);
        if table.is_null() {
            return false;
        }
        self.table = table.cast();
        self.mask = capacity - 1;
        self.shift = 64 - capacity.ilog2();
        self.room = (capacity / 4 * 3) as u32;
        if let Some((entries, count)) = old {
            for index in 0..count {
                // SAFETY: the old table has that many entries.
                let entry = unsafe { entries.add(index).read() };
                if entry != 0 {
                    let mut place = self.place(entry & ((1 << KEY_BITS) - 1));
                    while *self.at(place) != 0 {
                        place += 1;
                    }
                    *self.at(place) = entry;
                    self.room -= 1;
                }
            }
            system::unmap(entries.cast(), count * 8);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn region() -> Region {
        // SAFETY: all zeros is an empty region.
        unsafe { std::mem::zeroed() }
    }

    proptest! {
        #[test]
        fn a_region_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..700_u64, 1..MOST_BLOCKS), 0..4000)) {
            let mut region = region();
            let mut model = HashMap::new();
            for (enter, key, number) in steps {
                let key = key * 37 % (1 << KEY_BITS);
                if enter {
                    let before = match region.enter(key, number) {
                        Entered::Yes => None,
                        Entered::InPlaceOf(before) => Some(before),
                        Entered::No => panic!("no memory"),
                    };
                    prop_assert_eq!(before, model.insert(key, number));
                } else {
                    prop_assert_eq!(region.remove(key), model.remove(&key));
                }
            }
        }
    }
}
