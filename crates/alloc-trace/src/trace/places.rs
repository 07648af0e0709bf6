//! The sites of a chunk: which place each has there, and what it asked for last.

use super::format::{RAW_WORDS, SITE_BITS};

/// Sites at most: of the chunk before and of this one.
pub(super) const PLACES: usize = RAW_WORDS * 2;
/// Of a request, the bits that are the site.
pub(super) const SITE_MASK: u64 = (1 << SITE_BITS) - 1;

/// Places in the table that finds a site's: sites are numbered from 1, so most have one to themselves.
const SLOTS: usize = 1 << 16;
/// Of a site that has not asked for anything yet, above its size.
const NO_SIZE_YET: u64 = 1 << 62;

/// The places. All zeros is none.
#[derive(Debug)]
pub(super) struct Places {
    count: usize,
    /// In the order of their first appearance, each with what it asked for last, as in a word.
    requests: [u64; PLACES],
    /// The place of a site, plus one: at its number, or, if that is another's, behind it.
    slots: [u16; SLOTS],
    /// Which of them are used.
    used_slots: [u16; PLACES],
}

impl Places {
    /// All zeros.
    #[cfg(test)]
    #[allow(clippy::large_stack_arrays)] // tests' stacks have room
    pub(super) const NEW: Self = Self { count: 0, requests: [0; PLACES], slots: [0; SLOTS], used_slots: [0; PLACES] };

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The sites' numbers, by place.
    pub(super) fn sites(&self) -> impl Iterator<Item = u64> {
        self.requests[..self.count].iter().map(|request| request & SITE_MASK)
    }

    /// The place of the site of a request, and whether it asked for as much as this the last time, which from now on is this one. `None` if it has
    /// no place.
    #[inline]
    pub(super) fn find(&mut self, request: u64) -> Option<(usize, bool)> {
        let mut slot = request as usize % SLOTS;
        loop {
            let place = usize::from(self.slots[slot]).checked_sub(1)?;
            let last = self.requests.get_mut(place)?;
            if *last == request {
                return Some((place, true));
            }
            if (*last ^ request) & SITE_MASK == 0 {
                *last = request;
                return Some((place, false));
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Gives the next place to a site that has none; `None` if there are no more.
    pub(super) fn add(&mut self, site: u64) -> Option<()> {
        *self.requests.get_mut(self.count)? = site | NO_SIZE_YET;
        // There are fewer places than slots.
        let mut slot = site as usize % SLOTS;
        while self.slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        self.used_slots[self.count] = slot as u16;
        self.count += 1;
        self.slots[slot] = self.count as u16;
        Some(())
    }

    /// Keeps those sites of whose place `is_kept` says so, and forgets what they asked for; it is also told which place each gets then.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(usize, usize) -> bool) {
        for &slot in &self.used_slots[..self.count] {
            self.slots[usize::from(slot)] = 0;
        }
        for place in 0..core::mem::take(&mut self.count) {
            let site = self.requests[place] & SITE_MASK;
            if is_kept(place, self.count) {
                // There was room for it before.
                _ = self.add(site);
            }
        }
    }
}

const _: () = assert!(PLACES < 1 << 16 && PLACES < SLOTS);
