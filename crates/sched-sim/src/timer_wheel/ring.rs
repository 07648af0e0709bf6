//! The near future: a ring of slots, each a few sub-ticks wide, so many that most hold one timer or none.
//!
//! A slot is a list of nodes, the youngest first, so that adding one has no branch: it does not matter whether the slot was empty.
//! Which slots have nodes is a bit each, and which words of 64 bits are not 0 is a bit of one more word: the next slot is found in
//! two steps at most, however empty the ring.

use super::Entry;

/// Slots of a ring: 64 words of 64 bits.
pub(super) const SLOTS: u64 = 4096;
const MASK: u64 = SLOTS - 1;
const WORDS: usize = 64;
const NO_NODE: u32 = u32::MAX;
/// A slot with more timers than this is not searched for the earliest, but sorted.
const SEARCHED: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Node {
    entry: Entry,
    /// The one that was added before it to the same slot; of a free node, the next free one.
    older: u32,
}

/// Timers of the near future.
#[derive(Debug)]
pub(super) struct Ring {
    youngest: Box<[u32; SLOTS as usize]>,
    occupied: [u64; WORDS],
    words: u64,
    nodes: Vec<Node>,
    free: u32,
    pub(super) len: usize,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self {
            youngest: Box::new([NO_NODE; SLOTS as usize]),
            occupied: [0; WORDS],
            words: 0,
            nodes: Vec::new(),
            free: NO_NODE,
            len: 0,
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, slot: u64, entry: Entry) {
        let slot = (slot & MASK) as usize;
        let node = Node { entry, older: self.youngest[slot] };
        let place = self.free;
        if let Some(free) = self.nodes.get_mut(place as usize) {
            self.free = free.older;
            *free = node;
            self.youngest[slot] = place;
        } else {
            self.youngest[slot] = self.nodes.len() as u32;
            self.nodes.push(node);
        }
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.words |= 1 << (slot / 64);
        self.len += 1;
    }

    /// The first slot that has timers, from the given one on, and the earliest time there.
    #[inline]
    pub(super) fn first(&self, from: u64) -> Option<(u64, u64)> {
        let slot = self.first_slot(from)?;
        let Node { entry, mut older } = self.nodes[self.youngest[slot] as usize];
        let mut time = entry.time;
        while older != NO_NODE {
            let node = &self.nodes[older as usize];
            time = time.min(node.entry.time);
            older = node.older;
        }
        Some((slot as u64, time))
    }

    #[inline]
    fn first_slot(&self, from: u64) -> Option<usize> {
        let from = (from & MASK) as usize;
        let (word, bit) = (from / 64, from % 64);
        let here = self.occupied[word] >> bit;
        if here != 0 {
            return Some(from + here.trailing_zeros() as usize);
        }
        if self.words == 0 {
            return None;
        }
        // The words after this one, and at the end this one's part before `from`.
        let ahead = self.words.rotate_right(word as u32 + 1);
        let word = (word + 1 + ahead.trailing_zeros() as usize) % WORDS;
        Some(word * 64 + self.occupied[word].trailing_zeros() as usize)
    }

    /// Takes the earliest timer of a slot that has some: of equal ones the oldest. `None`: there are too many to search, see [`Ring::empty`].
    #[inline]
    pub(super) fn pop(&mut self, slot: u64) -> Option<Entry> {
        let slot = (slot & MASK) as usize;
        let place = self.youngest[slot];
        let Node { entry, older } = self.nodes[place as usize];
        if older != NO_NODE {
            return self.pop_earliest(slot);
        }
        self.youngest[slot] = NO_NODE;
        self.vacate(slot);
        self.give_back(place);
        Some(entry)
    }

    fn pop_earliest(&mut self, slot: usize) -> Option<Entry> {
        let mut place = self.youngest[slot];
        let (mut first, mut first_younger, mut younger) = (place, NO_NODE, NO_NODE);
        let mut time = u64::MAX;
        for _ in 0..SEARCHED {
            let node = self.nodes[place as usize];
            // Of equal ones the one found last is the oldest.
            if node.entry.time <= time {
                (time, first, first_younger) = (node.entry.time, place, younger);
            }
            if node.older == NO_NODE {
                let Node { entry, older } = self.nodes[first as usize];
                if first_younger == NO_NODE {
                    self.youngest[slot] = older;
                } else {
                    self.nodes[first_younger as usize].older = older;
                }
                self.give_back(first);
                return Some(entry);
            }
            (younger, place) = (place, node.older);
        }
        None
    }

    #[inline]
    fn vacate(&mut self, slot: usize) {
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        self.words &= !(u64::from(self.occupied[slot / 64] == 0) << (slot / 64));
    }

    #[inline]
    fn give_back(&mut self, place: u32) {
        self.nodes[place as usize].older = self.free;
        self.free = place;
        self.len -= 1;
    }

    /// Moves all timers of a slot to the end of a list, the oldest first.
    pub(super) fn empty(&mut self, slot: u64, to: &mut Vec<Entry>) {
        let slot = (slot & MASK) as usize;
        let from = to.len();
        let mut place = std::mem::replace(&mut self.youngest[slot], NO_NODE);
        while place != NO_NODE {
            let Node { entry, older } = self.nodes[place as usize];
            to.push(entry);
            self.give_back(place);
            place = older;
        }
        to[from..].reverse();
        self.vacate(slot);
    }

    /// Moves all timers to the end of a list, slot by slot.
    pub(super) fn empty_all(&mut self, from: u64, to: &mut Vec<Entry>) {
        while let Some(slot) = self.first_slot(from) {
            self.empty(slot as u64, to);
        }
    }
}
