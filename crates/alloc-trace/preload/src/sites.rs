//! A thread's sites: kinds of call with their stacks, found by a hash of both.
//!
//! The hash of 64 bits stands for the stack: of a million stacks, two are the same with a probability of 3 in 10^8.

use crate::format::SITE_BITS;
use crate::system;

#[repr(C)]
struct Slot {
    hash: u64,
    /// 0 is a free slot.
    site: u64,
}

/// All zeros is an empty one.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Sites {
    slots: *mut Slot,
    mask: usize,
    count: usize,
    /// The site given last.
    last: u64,
}

const FIRST_CAPACITY: usize = 1024;

/// Takes a return address into a hash.
#[inline(always)]
pub(crate) fn mix(hash: u64, address: usize) -> u64 {
    (hash.rotate_left(23) ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Sites {
    /// The site of a hash, if it is known.
    #[inline]
    pub(crate) fn find(&self, hash: u64) -> Option<u64> {
        if self.slots.is_null() {
            return None;
        }
        let mut place = (hash >> 20) as usize;
        loop {
            // SAFETY: masked, and the table has mask + 1 slots.
            let slot = unsafe { &*self.slots.add(place & self.mask) };
            if slot.site == 0 {
                return None;
            }
            if slot.hash == hash {
                return Some(slot.site);
            }
            place += 1;
        }
    }

    /// A new site for a hash that has none; `None` if there are too many, or no memory.
    pub(crate) fn add(&mut self, hash: u64) -> Option<u64> {
        if self.last + 1 >= 1 << SITE_BITS || !self.make_room() {
            return None;
        }
        self.last += 1;
        self.count += 1;
        self.put(hash, self.last);
        Some(self.last)
    }

    /// Forgets the hashes; numbers go on.
    pub(crate) fn forget(&mut self) {
        if !self.slots.is_null() {
            // SAFETY: the table has that many slots, and zeros are free ones.
            unsafe { self.slots.write_bytes(0, self.mask + 1) };
        }
        self.count = 0;
    }

    /// Forgets everything: another thread begins.
    pub(crate) fn begin_again(&mut self) {
        self.forget();
        self.last = 0;
    }

    fn put(&mut self, hash: u64, site: u64) {
        let mut place = (hash >> 20) as usize;
        loop {
            // SAFETY: as in `find`.
            let slot = unsafe { &mut *self.slots.add(place & self.mask) };
            if slot.site == 0 {
                *slot = Slot { hash, site };
                return;
            }
            place += 1;
        }
    }

    fn make_room(&mut self) -> bool {
        let capacity = if self.slots.is_null() { 0 } else { self.mask + 1 };
        if self.count * 2 < capacity {
            return true;
        }
        let new = (capacity * 2).max(FIRST_CAPACITY);
        let slots = system::map(new * size_of::<Slot>(), false).cast::<Slot>();
        if slots.is_null() {
            return false;
        }
        let old = core::mem::replace(&mut self.slots, slots);
        self.mask = new - 1;
        for index in 0..capacity {
            // SAFETY: the old table has that many slots.
            let Slot { hash, site } = unsafe { old.add(index).read() };
            if site != 0 {
                self.put(hash, site);
            }
        }
        if capacity > 0 {
            system::unmap(old.cast(), capacity * size_of::<Slot>());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_keep_their_sites_while_the_table_grows() {
        // SAFETY: all zeros is an empty one.
        let mut sites: Sites = unsafe { core::mem::zeroed() };
        let hash = |index: usize| mix(7, index);
        for index in 0..5000 {
            assert_eq!(sites.find(hash(index)), None);
            assert_eq!(sites.add(hash(index)), Some(index as u64 + 1));
        }
        assert!((0..5000).all(|index| sites.find(hash(index)) == Some(index as u64 + 1)));
        sites.forget();
        assert_eq!((sites.find(hash(3)), sites.add(hash(3))), (None, Some(5001)));
    }
}
