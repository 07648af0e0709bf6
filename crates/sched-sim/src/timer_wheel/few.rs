//! Up to 1024 timers: a winner tree with four children a node, whose leaves are places that timers keep.
//!
//! A timer that sets itself again, which is what timers do, takes the place of the one that was just taken: one walk from a leaf to the root, along
//! which the key is compared with the least of its three siblings. Those do not depend on the key, so all are found at the same time; what has to wait
//! for one another are five comparisons. Nothing moves, and no branch depends on who wins.
//!
//! A key is one word: the time since a base, a number that keeps the order of timers of one instant, the place. When the numbers are used up (every
//! 65,536 timers), or the time does not fit, all keys are made anew.

use std::cell::Cell;

use super::Entry;
use crate::time::NEVER;

/// The most timers.
pub(super) const PLACES: usize = 1024;
const PLACE_BITS: u32 = 10;
const NUMBER_BITS: u32 = 16;
const TIME_SHIFT: u32 = PLACE_BITS + NUMBER_BITS;
const LAST_NUMBER: u64 = (1 << NUMBER_BITS) - 1;
/// No timer: later than any key.
const NOBODY: u64 = u64::MAX;
/// Times have to be less than this after the base.
const REACH: u64 = NOBODY >> TIME_SHIFT;

/// Few timers.
#[derive(Debug)]
pub(super) struct Few {
    /// The least key below each place of a level, the leaves first.
    leaves: [u64; PLACES],
    level1: [u64; 256],
    level2: [u64; 64],
    level3: [u64; 16],
    level4: [u64; 4],
    root: u64,
    /// The earliest time, or 0 if it has to be found: the engine asks more often than it changes.
    next: Cell<u64>,
    /// The place of the timer that was taken last, as long as nobody has taken it: its leaf is not up to date.
    hole: Option<u16>,
    base: u64,
    number: u64,
    /// The entries' tasks and tags.
    data: [u64; PLACES],
    free: Vec<u16>,
    /// For sorting; kept, so that it does not allocate.
    keys: Vec<u64>,
}

/// The least key of a node's siblings: the other three of its group of four.
#[inline(always)]
#[allow(clippy::inline_always, reason = "the walk is one piece of code")]
fn least_sibling<const N: usize>(level: &[u64; N], at: usize) -> u64 {
    level[(at ^ 1) & (N - 1)].min(level[(at ^ 2) & (N - 1)]).min(level[(at ^ 3) & (N - 1)])
}

impl Few {
    pub(super) fn new() -> Self {
        Self {
            leaves: [NOBODY; PLACES],
            level1: [NOBODY; 256],
            level2: [NOBODY; 64],
            level3: [NOBODY; 16],
            level4: [NOBODY; 4],
            root: NOBODY,
            next: Cell::new(NEVER),
            hole: None,
            base: 0,
            number: 0,
            data: [0; PLACES],
            free: (0..PLACES as u16).rev().collect(),
            keys: Vec::new(),
        }
    }

    /// The time of the earliest timer that has not been taken.
    #[inline]
    pub(super) fn next_time(&self) -> u64 {
        match self.next.get() {
            0 => self.find_next(),
            next => next,
        }
    }

    fn find_next(&self) -> u64 {
        let key = match self.hole {
            None => self.root,
            Some(place) => self.least_beside(place as usize),
        };
        let next = if key == NOBODY { NEVER } else { self.base + (key >> TIME_SHIFT) };
        self.next.set(next);
        next
    }

    /// The least key of all places but one.
    #[inline]
    fn least_beside(&self, place: usize) -> u64 {
        let low = least_sibling(&self.leaves, place).min(least_sibling(&self.level1, place >> 2));
        let high = least_sibling(&self.level2, place >> 4).min(least_sibling(&self.level3, place >> 6));
        low.min(high).min(least_sibling(&self.level4, place >> 8))
    }

    /// Gives a place another key.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "two walks of one event overlap")]
    fn set(&mut self, place: usize, mut key: u64) {
        let siblings = (
            least_sibling(&self.leaves, place),
            least_sibling(&self.level1, place >> 2),
            least_sibling(&self.level2, place >> 4),
            least_sibling(&self.level3, place >> 6),
            least_sibling(&self.level4, place >> 8),
        );
        self.leaves[place & (PLACES - 1)] = key;
        key = key.min(siblings.0);
        self.level1[(place >> 2) & 255] = key;
        key = key.min(siblings.1);
        self.level2[(place >> 4) & 63] = key;
        key = key.min(siblings.2);
        self.level3[(place >> 6) & 15] = key;
        key = key.min(siblings.3);
        self.level4[(place >> 8) & 3] = key;
        self.root = key.min(siblings.4);
    }

    /// Adds a timer, at or after the last one taken (`now`). Returns whether it found a place.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "an entry stays in registers")]
    pub(super) fn insert(&mut self, entry: Entry, now: u64) -> bool {
        if (entry.time - self.base >= REACH || self.number > LAST_NUMBER) && !self.renumber(entry.time, now) {
            return false;
        }
        let place = match self.hole.take() {
            Some(place) => place,
            None => match self.free.pop() {
                Some(place) => place,
                None => return false,
            },
        };
        let place = usize::from(place) & (PLACES - 1);
        let key = (entry.time - self.base) << TIME_SHIFT | self.number << PLACE_BITS | place as u64;
        self.number += 1;
        self.data[place] = u64::from(entry.task) | u64::from(entry.tag) << 32;
        self.set(place, key);
        self.next.set(0);
        true
    }

    /// Takes the earliest timer; there is one.
    #[inline]
    pub(super) fn pop(&mut self) -> Entry {
        if let Some(place) = self.hole {
            self.close(place);
        }
        let key = self.root;
        let place = key as usize & (PLACES - 1);
        self.hole = Some(place as u16);
        self.next.set(0);
        let data = self.data[place];
        Entry { time: self.base + (key >> TIME_SHIFT), task: data as u32, tag: (data >> 32) as u32 }
    }

    /// The place of the timer that was taken last is free.
    #[inline]
    pub(super) fn give_back(&mut self) {
        if let Some(place) = self.hole {
            self.close(place);
        }
    }

    /// Nobody took the place of the last timer.
    fn close(&mut self, place: u16) {
        self.hole = None;
        self.free.push(place);
        self.set(usize::from(place), NOBODY);
    }

    /// Makes all keys anew, with `now` as the base. Returns whether a timer at this time has room after that.
    #[cold]
    fn renumber(&mut self, time: u64, now: u64) -> bool {
        if let Some(place) = self.hole {
            self.close(place);
        }
        // A key says which place it is of.
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.extend(self.leaves.iter().filter(|key| **key != NOBODY));
        keys.sort_unstable();
        let last = keys.last().map_or(now, |key| self.base + (key >> TIME_SHIFT));
        let fits = time.max(last) - now < REACH;
        if fits {
            let moved = now - self.base;
            self.base = now;
            self.number = 0;
            for key in &keys {
                let place = *key as usize & (PLACES - 1);
                let time = (key >> TIME_SHIFT) - moved;
                self.set(place, time << TIME_SHIFT | self.number << PLACE_BITS | place as u64);
                self.number += 1;
            }
        }
        self.keys = keys;
        fits
    }

    /// Takes all timers, in order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry> + '_ {
        std::iter::from_fn(|| {
            if let Some(place) = self.hole {
                self.close(place);
            }
            (self.root != NOBODY).then(|| self.pop())
        })
    }

    /// Begins anew, without timers, at a time.
    pub(super) fn restart(&mut self, now: u64) {
        (self.base, self.number) = (now, 0);
    }
}
