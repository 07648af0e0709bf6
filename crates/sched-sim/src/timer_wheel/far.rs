//! The far future: a hierarchical timing wheel (Varghese and Lauck, 1987) whose slots are lists of chunks.
//!
//! A level has 1024 slots; a slot of level n is 1024^n units wide, and a timer waits in the slot of the highest digit in which its time
//! differs from the *edge*, where the near future ends. Adding touches the last chunk alone; when the edge comes to a slot its timers are read in
//! sequence. With a million timers that is what counts: not how many instructions, but how many lines of memory, and in which order.

use super::Entry;
use crate::time::NEVER;

/// Bits of a digit of the time.
const DIGIT: u32 = 10;
const SLOTS: usize = 1 << DIGIT;
const WORDS: usize = SLOTS / 64;
/// Entries of a chunk: a kilobyte.
const CHUNK: usize = 63;
const NO_CHUNK: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Chunk {
    entries: [Entry; CHUNK],
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The earliest time in it.
    min: u64,
    first: u32,
    last: u32,
    /// Entries of the last chunk.
    used: u32,
}

const EMPTY: Slot = Slot { min: NEVER, first: NO_CHUNK, last: NO_CHUNK, used: 0 };

#[derive(Debug)]
struct Level {
    slots: Box<[Slot]>,
    /// Which slots have timers, and which words of that are not 0.
    occupied: [u64; WORDS],
    words: u16,
}

/// Timers of the far future.
#[derive(Debug)]
pub(super) struct Far {
    /// A slot of the lowest level is 2^shift sub-ticks wide.
    shift: u32,
    /// In such units: all before it is near.
    edge: u64,
    levels: Vec<Level>,
    chunks: Vec<Chunk>,
    free: u32,
    pub(super) len: usize,
}

impl Far {
    pub(super) fn new(shift: u32) -> Self {
        Self { shift, edge: 0, levels: Vec::new(), chunks: Vec::new(), free: NO_CHUNK, len: 0 }
    }

    /// Changes the width of slots and the edge, while there are no timers.
    pub(super) fn reset(&mut self, shift: u32, edge: u64) {
        debug_assert_eq!(self.len, 0, "timers would be in wrong slots");
        self.shift = shift;
        self.edge = edge;
    }

    /// The room that chunks take.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
    }

    /// In units of the lowest level: the first that is not near.
    #[inline]
    pub(super) fn edge(&self) -> u64 {
        self.edge
    }

    /// Adds a timer at or after the edge.
    #[inline]
    pub(super) fn insert(&mut self, entry: Entry) {
        self.len += 1;
        self.append(entry);
    }

    #[inline]
    fn append(&mut self, entry: Entry) {
        let unit = entry.time >> self.shift;
        // All higher digits are those of the edge, this one is larger; or it is the edge's own slot.
        let level = ((unit ^ self.edge) | 1).ilog2() / DIGIT;
        let digit = ((unit >> (level * DIGIT)) & (SLOTS as u64 - 1)) as usize;
        let level = level as usize;
        if level >= self.levels.len() {
            self.grow(level);
        }
        let Level { slots, occupied, words } = &mut self.levels[level];
        occupied[digit / 64] |= 1 << (digit % 64);
        *words |= 1 << (digit / 64);
        let slot = &mut slots[digit];
        slot.min = slot.min.min(entry.time);
        if (slot.used as usize) < CHUNK && slot.last != NO_CHUNK {
            self.chunks[slot.last as usize].entries[slot.used as usize] = entry;
            slot.used += 1;
            return;
        }
        self.append_chunk(level, digit, entry);
    }

    #[cold]
    fn grow(&mut self, level: usize) {
        let new = || Level { slots: vec![EMPTY; SLOTS].into(), occupied: [0; WORDS], words: 0 };
        self.levels.resize_with(level + 1, new);
    }

    fn append_chunk(&mut self, level: usize, digit: usize, entry: Entry) {
        if self.free == NO_CHUNK {
            self.chunks.push(Chunk { entries: [Entry::default(); CHUNK], next: NO_CHUNK });
            self.free = self.chunks.len() as u32 - 1;
        }
        let index = self.free;
        let chunk = &mut self.chunks[index as usize];
        self.free = chunk.next;
        chunk.entries[0] = entry;
        chunk.next = NO_CHUNK;
        let slot = &mut self.levels[level].slots[digit];
        slot.used = 1;
        let before = std::mem::replace(&mut slot.last, index);
        if before == NO_CHUNK {
            slot.first = index;
        } else {
            self.chunks[before as usize].next = index;
        }
    }

    /// The earliest time; [`NEVER`] if there is none.
    pub(super) fn first_time(&self) -> u64 {
        self.first_slot().map_or(NEVER, |(level, digit)| self.levels[level].slots[digit].min)
    }

    fn first_slot(&self) -> Option<(usize, usize)> {
        self.levels.iter().enumerate().find(|(_, level)| level.words != 0).map(|(number, level)| {
            let word = level.words.trailing_zeros() as usize;
            (number, word * 64 + level.occupied[word].trailing_zeros() as usize)
        })
    }

    /// Moves the edge on to the unit after the first that has timers, if that is at most `last`, and gives those timers to the ring, in order;
    /// otherwise to the unit after `last`. Returns how many timers there were.
    pub(super) fn advance(&mut self, last: u64, mut near: impl FnMut(Entry)) -> usize {
        loop {
            let Some((level, digit, start)) = self.first_start().filter(|(.., start)| *start <= last) else {
                self.edge = last + 1;
                self.spread_at_edge();
                return 0;
            };
            if level > 0 {
                self.spread(level, digit, start);
                continue;
            }
            let mut taken = self.take_slot(level, digit);
            let mut count = 0;
            while let Some((chunk, used)) = self.next_chunk(&mut taken) {
                self.chunks[chunk].entries[..used].iter().for_each(|entry| near(*entry));
                count += used;
            }
            self.len -= count;
            self.edge = start + 1;
            self.spread_at_edge();
            return count;
        }
    }

    /// The first slot that has timers, and the unit it begins with.
    fn first_start(&self) -> Option<(usize, usize, u64)> {
        let (level, digit) = self.first_slot()?;
        let above = (level as u32 + 1) * DIGIT;
        let high = if above >= u64::BITS { 0 } else { (self.edge >> above) << above };
        Some((level, digit, high | (digit as u64) << (level as u32 * DIGIT)))
    }

    /// If the edge has come to a slot of a higher level, that slot's timers go down: what is added from now on does.
    fn spread_at_edge(&mut self) {
        if let Some((level, digit, start)) = self.first_start()
            && level > 0
            && start == self.edge
        {
            self.spread(level, digit, start);
        }
    }

    fn spread(&mut self, level: usize, digit: usize, start: u64) {
        self.edge = start;
        let mut taken = self.take_slot(level, digit);
        while let Some((chunk, used)) = self.next_chunk(&mut taken) {
            // The chunk is free already, and may be the first that is needed again: what it had is read before.
            let entries = self.chunks[chunk].entries;
            entries[..used].iter().for_each(|entry| self.append(*entry));
        }
    }

    fn take_slot(&mut self, level: usize, digit: usize) -> Slot {
        let Level { slots, occupied, words } = &mut self.levels[level];
        occupied[digit / 64] &= !(1 << (digit % 64));
        if occupied[digit / 64] == 0 {
            *words &= !(1 << (digit / 64));
        }
        std::mem::replace(&mut slots[digit], EMPTY)
    }

    /// Gives a taken slot's chunks one after the other, with the number of entries; each is free from then on.
    fn next_chunk(&mut self, taken: &mut Slot) -> Option<(usize, usize)> {
        let index = taken.first;
        if index == NO_CHUNK {
            return None;
        }
        let used = if index == taken.last { taken.used as usize } else { CHUNK };
        taken.first = std::mem::replace(&mut self.chunks[index as usize].next, self.free);
        self.free = index;
        Some((index as usize, used))
    }

    /// Takes all slots, in order; their timers stay where they are until [`Far::read`].
    pub(super) fn take_all(&mut self) -> Vec<Taken> {
        let mut taken = Vec::new();
        while let Some((level, digit)) = self.first_slot() {
            taken.push(Taken(self.take_slot(level, digit)));
        }
        self.len = 0;
        taken
    }

    /// Gives some timers of a taken slot, the oldest first, and their number; their room is free from then on. So a million timers can be added
    /// again without room for another million.
    pub(super) fn read(&mut self, taken: &mut Taken) -> Option<([Entry; CHUNK], usize)> {
        let (chunk, used) = self.next_chunk(&mut taken.0)?;
        Some((self.chunks[chunk].entries, used))
    }
}

/// A slot that was taken with all its timers.
#[derive(Debug)]
pub(super) struct Taken(Slot);
