//! The near future: a ring of slots, each a few sub-ticks wide, so many that most hold one timer or none.
//!
//! A slot is a list of nodes, the youngest first, so that adding one has no branch: it does not matter whether the slot was empty.
//! Which slots have nodes is a bit each, and which words of 64 bits are not 0 is a bit each again: the next slot is found in a few steps,
//! however empty the ring.

use super::Entry;

/// Slots of a ring: enough that the delays of a thousand timers fit into one turn with few that share a slot; twice as many were slower.
pub(super) const SLOTS: u64 = 8192;
const MASK: u64 = SLOTS - 1;
const WORDS: usize = SLOTS as usize / 64;
const GROUPS: usize = WORDS / 64;
/// With more timers at a time its slots are too wide.
const FULL: usize = SLOTS as usize / 2;
const NO_NODE: u32 = u32::MAX;
/// A slot with more timers than this is not searched for the earliest, but sorted.
const SEARCHED: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Node {
    time: u64,
    /// The entry's task and tag: in one word, so that an entry goes through two registers and not through memory.
    data: u64,
    /// The one that was added before it to the same slot; of a free node, the next free one.
    older: u32,
}

impl Node {
    #[inline]
    fn entry(&self) -> Entry {
        Entry { time: self.time, task: self.data as u32, tag: (self.data >> 32) as u32 }
    }
}

/// Timers of the near future.
#[derive(Debug)]
pub(super) struct Ring {
    youngest: Box<[u32; SLOTS as usize]>,
    occupied: [u64; WORDS],
    /// Which words of that are not 0.
    words: [u64; GROUPS],
    nodes: Vec<Node>,
    free: u32,
}

impl Ring {
    #[allow(clippy::large_stack_arrays, reason = "32 KiB, once a run")]
    pub(super) fn new() -> Self {
        Self {
            youngest: Box::new([NO_NODE; SLOTS as usize]),
            occupied: [0; WORDS],
            words: [0; GROUPS],
            nodes: Vec::new(),
            free: NO_NODE,
        }
    }

    /// The room that nodes take.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }

    /// Adds a timer. Returns whether the ring is full: it takes more, but its slots should be narrower.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(super) fn insert(&mut self, slot: u64, entry: Entry) -> bool {
        let slot = (slot & MASK) as usize;
        let data = u64::from(entry.task) | u64::from(entry.tag) << 32;
        let node = Node { time: entry.time, data, older: self.youngest[slot] };
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.words[slot / 4096] |= 1 << (slot / 64 % 64);
        let place = self.free;
        if let Some(free) = self.nodes.get_mut(place as usize) {
            self.free = free.older;
            *free = node;
            self.youngest[slot] = place;
            return false;
        }
        self.youngest[slot] = self.nodes.len() as u32;
        self.nodes.push(node);
        self.nodes.len() > FULL
    }

    /// The first slot that has timers, from the given one on, and the earliest time there.
    #[inline]
    pub(super) fn first(&self, from: u64) -> Option<(u64, u64)> {
        let slot = self.first_slot(from)?;
        Some((slot as u64, self.earliest(slot)))
    }

    #[inline]
    fn earliest(&self, slot: usize) -> u64 {
        let Node { mut time, mut older, .. } = self.nodes[self.youngest[slot] as usize];
        while older != NO_NODE {
            let node = &self.nodes[older as usize];
            time = time.min(node.time);
            older = node.older;
        }
        time
    }

    #[inline]
    fn first_slot(&self, from: u64) -> Option<usize> {
        let from = (from & MASK) as usize;
        let (word, bit) = (from / 64, from % 64);
        let here = self.occupied[word] & (!0 << bit);
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        self.first_slot_after(word)
    }

    /// The first slot that has timers in the words after a given one, which comes last.
    #[inline]
    fn first_slot_after(&self, word: usize) -> Option<usize> {
        let (group, bit) = (word / 64, word % 64);
        let ahead = self.words[group] & (!1 << bit);
        let word = if ahead != 0 {
            group * 64 + ahead.trailing_zeros() as usize
        } else {
            let next = |step: usize| (group + step) % GROUPS;
            let group = (1..=GROUPS).map(next).find(|group| self.words[*group] != 0)?;
            group * 64 + self.words[group].trailing_zeros() as usize
        };
        Some(word * 64 + self.occupied[word].trailing_zeros() as usize)
    }

    /// Takes the earliest timer of a slot that has some, of equal ones the oldest. `None`: there are too many to search, see [`Ring::empty`].
    #[inline]
    pub(super) fn pop(&mut self, slot: u64) -> Option<Entry> {
        let slot = (slot & MASK) as usize;
        let place = self.youngest[slot];
        let node = self.nodes[place as usize];
        if node.older != NO_NODE {
            return self.pop_earliest(slot);
        }
        self.youngest[slot] = NO_NODE;
        self.vacate(slot);
        self.give_back(place);
        Some(node.entry())
    }

    fn pop_earliest(&mut self, slot: usize) -> Option<Entry> {
        let mut place = self.youngest[slot];
        let (mut first, mut first_younger, mut younger) = (place, NO_NODE, NO_NODE);
        let mut time = u64::MAX;
        for _ in 0..SEARCHED {
            let node = self.nodes[place as usize];
            // Of equal ones the one found last is the oldest.
            if node.time <= time {
                (time, first, first_younger) = (node.time, place, younger);
            }
            if node.older == NO_NODE {
                let Node { older, .. } = self.nodes[first as usize];
                let entry = self.nodes[first as usize].entry();
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
        let left = self.occupied[slot / 64] & !(1 << (slot % 64));
        self.occupied[slot / 64] = left;
        self.words[slot / 4096] &= !(u64::from(left == 0) << (slot / 64 % 64));
    }

    #[inline]
    fn give_back(&mut self, place: u32) {
        self.nodes[place as usize].older = self.free;
        self.free = place;
    }

    /// Moves all timers of a slot to the end of a list, the oldest first.
    pub(super) fn empty(&mut self, slot: u64, to: &mut Vec<Entry>) {
        let slot = (slot & MASK) as usize;
        let from = to.len();
        let mut place = std::mem::replace(&mut self.youngest[slot], NO_NODE);
        while place != NO_NODE {
            let node = self.nodes[place as usize];
            to.push(node.entry());
            self.give_back(place);
            place = node.older;
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
