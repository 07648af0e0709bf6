//! Timers of tasks (sleep, I/O, time-outs): a hierarchical timing wheel that sorts late.
//!
//! A wheel (Varghese and Lauck, 1987) has levels of 1024 slots; a slot of level n is 1024^n sub-ticks wide, and a timer waits in the
//! slot of the highest digit in which its time differs from the present. The textbook moves timers down level by level to single
//! ticks. Here a slot with one timer, or a narrow one with few, is sorted at once into a short list, the *front*, from which they are
//! taken: at nanosecond resolution that is one move instead of several. Only when a timer is taken does the present move on: a
//! lone timer far away does not draw all that are set after it into the front.
//!
//! Slots are lists of blocks of entries, not of tasks: appending touches the last block alone, emptying reads in sequence, and
//! no event allocates once the blocks are there. Timers of one instant come out in the order they went in.
//!
//! Nothing is ever removed: who gives up a timer changes the entry's `tag` (its generation) and ignores the old one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::NEVER;

/// One timer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// When it is due.
    pub time: u64,
    /// Whose it is.
    pub task: u32,
    /// Whatever the owner needs to know it again.
    pub tag: u32,
}

/// Bits of a digit of the time.
const DIGIT: u32 = 10;
const SLOTS: usize = 1 << DIGIT;
const WORDS: usize = SLOTS / 64;
const LEVELS: usize = 64_usize.div_ceil(DIGIT as usize);
/// Slots with at most so many timers are sorted, others spread.
const SORTED_AT_ONCE: usize = 32;
/// A front longer than this is not inserted into.
const FRONT: usize = 192;
/// Entries of a block: with its link two cache lines.
const BLOCK: usize = 7;
const NO_BLOCK: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Block {
    entries: [Entry; BLOCK],
    used: u32,
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The first timer; the others are in blocks. Most slots have but one.
    head: Entry,
    first: u32,
    last: u32,
    count: u32,
    /// The earliest time in it.
    min: u64,
}

const EMPTY: Slot =
    Slot { head: Entry { time: 0, task: 0, tag: 0 }, first: NO_BLOCK, last: NO_BLOCK, count: 0, min: NEVER };

/// All timers of tasks.
#[derive(Debug)]
pub struct TimerWheel {
    /// Sorted; those before `taken` are gone. Holds every timer up to `covered` that is not in `late`.
    front: Vec<Entry>,
    taken: usize,
    /// Timers up to `covered` that came when the front was long; the number keeps their order.
    late: BinaryHeap<Reverse<(u64, u64, u32, u32)>>,
    late_count: u64,
    covered: u64,
    /// The earliest time.
    next: u64,
    slots: Vec<Slot>,
    /// Which slots of a level have timers, which words of that are not 0, and which levels have such words.
    occupied: [[u64; WORDS]; LEVELS],
    words: [u16; LEVELS],
    levels: u32,
    blocks: Vec<Block>,
    free: u32,
    len: usize,
    sorter: Sorter,
}

impl Default for TimerWheel {
    fn default() -> Self {
        Self::new()
    }
}

impl TimerWheel {
    /// A wheel without timers, at time 0.
    pub fn new() -> Self {
        Self {
            front: Vec::with_capacity(2 * FRONT),
            taken: 0,
            late: BinaryHeap::new(),
            late_count: 0,
            covered: 0,
            next: NEVER,
            slots: vec![EMPTY; LEVELS * SLOTS],
            occupied: [[0; WORDS]; LEVELS],
            words: [0; LEVELS],
            levels: 0,
            blocks: Vec::new(),
            free: NO_BLOCK,
            len: 0,
            sorter: Sorter { sorted: [Entry::default(); SORTED_AT_ONCE], places: [0; SORTED_AT_ONCE] },
        }
    }

    /// The earliest time; [`u64::MAX`] if there is none.
    #[inline]
    pub fn next_time(&self) -> u64 {
        self.next
    }

    /// How many timers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a timer. Its time must not be before that of the last one taken.
    #[inline]
    pub fn insert(&mut self, entry: Entry) {
        self.len += 1;
        self.next = self.next.min(entry.time);
        if entry.time > self.covered {
            self.append(entry);
        } else if self.late.is_empty() && self.front.len() - self.taken < FRONT {
            if self.taken >= FRONT {
                self.front.drain(..self.taken);
                self.taken = 0;
            }
            let at = self.taken + self.front[self.taken..].partition_point(|other| other.time <= entry.time);
            self.front.insert(at, entry);
        } else {
            // Behind all of the front that have the same time: they came before.
            self.late.push(Reverse((entry.time, self.late_count, entry.task, entry.tag)));
            self.late_count += 1;
        }
    }

    /// Takes the earliest timer.
    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        if self.len == 0 {
            return None;
        }
        self.len -= 1;
        let entry = if !self.late.is_empty() {
            self.pop_either()
        } else if self.taken < self.front.len() {
            self.pop_front()
        } else {
            self.pop_slot()
        };
        self.next = self.first_time();
        Some(entry)
    }

    #[inline]
    fn pop_front(&mut self) -> Entry {
        let entry = self.front[self.taken];
        self.taken += 1;
        entry
    }

    fn pop_either(&mut self) -> Entry {
        let late = self.late.peek().map_or(NEVER, |Reverse((time, ..))| *time);
        if self.front.get(self.taken).is_some_and(|entry| entry.time <= late) {
            return self.pop_front();
        }
        let Reverse((time, _, task, tag)) = self.late.pop().unwrap_or(Reverse((NEVER, 0, 0, 0)));
        Entry { time, task, tag }
    }

    #[inline]
    fn first_time(&self) -> u64 {
        if let Some(entry) = self.front.get(self.taken) {
            let late = self.late.peek().map_or(NEVER, |Reverse((time, ..))| *time);
            return entry.time.min(late);
        }
        if let Some(Reverse((time, ..))) = self.late.peek() {
            return *time;
        }
        if self.levels == 0 { NEVER } else { self.slots[self.first_slot()].min }
    }

    /// The first slot that has timers; there has to be one.
    #[inline]
    fn first_slot(&self) -> usize {
        let level = self.levels.trailing_zeros() as usize;
        let word = self.words[level].trailing_zeros() as usize;
        level * SLOTS + word * 64 + self.occupied[level][word].trailing_zeros() as usize
    }

    #[inline]
    fn append(&mut self, entry: Entry) {
        // All higher digits are those of `covered`, this one is larger.
        let level = ((entry.time ^ self.covered).ilog2() / DIGIT) as usize;
        let digit = ((entry.time >> (level as u32 * DIGIT)) & (SLOTS as u64 - 1)) as usize;
        self.occupied[level][digit / 64] |= 1 << (digit % 64);
        self.words[level] |= 1 << (digit / 64);
        self.levels |= 1 << level;
        let index = level * SLOTS + digit;
        let slot = &mut self.slots[index];
        slot.count += 1;
        slot.min = slot.min.min(entry.time);
        if slot.count == 1 {
            slot.head = entry;
            return;
        }
        let last = slot.last;
        if last != NO_BLOCK {
            let block = &mut self.blocks[last as usize];
            if (block.used as usize) < BLOCK {
                block.entries[block.used as usize] = entry;
                block.used += 1;
                return;
            }
        }
        let block = self.new_block(entry);
        if last == NO_BLOCK {
            self.slots[index].first = block;
        } else {
            self.blocks[last as usize].next = block;
        }
        self.slots[index].last = block;
    }

    fn new_block(&mut self, entry: Entry) -> u32 {
        if self.free == NO_BLOCK {
            self.blocks.push(Block { entries: [Entry::default(); BLOCK], used: 0, next: NO_BLOCK });
            self.free = self.blocks.len() as u32 - 1;
        }
        let index = self.free;
        let block = &mut self.blocks[index as usize];
        self.free = block.next;
        block.entries[0] = entry;
        block.used = 1;
        block.next = NO_BLOCK;
        index
    }

    /// Takes the earliest timer from the first slot that has any, and fills the front with what else was in it.
    fn pop_slot(&mut self) -> Entry {
        self.front.clear();
        self.taken = 0;
        loop {
            let index = self.first_slot();
            let (level, digit) = (index / SLOTS, index % SLOTS);
            let word = digit / 64;
            self.occupied[level][word] &= self.occupied[level][word] - 1;
            if self.occupied[level][word] == 0 {
                self.words[level] &= self.words[level] - 1;
                if self.words[level] == 0 {
                    self.levels &= self.levels - 1;
                }
            }
            let slot = self.slots[index];
            self.slots[index].count = 0;
            self.slots[index].min = NEVER;
            self.slots[index].first = NO_BLOCK;
            self.slots[index].last = NO_BLOCK;
            if slot.count == 1 {
                self.covered = slot.head.time;
                return slot.head;
            }
            self.front.push(slot.head);
            if level == 0 || (level == 1 && slot.count as usize <= SORTED_AT_ONCE) {
                self.take_slot(slot, level);
            } else {
                self.front.clear();
                self.spread_slot(slot, level, digit);
            }
            if !self.front.is_empty() {
                return self.pop_front();
            }
        }
    }

    fn take_slot(&mut self, slot: Slot, level: usize) {
        let mut index = slot.first;
        while index != NO_BLOCK {
            let block = &mut self.blocks[index as usize];
            self.front.extend_from_slice(&block.entries[..block.used as usize]);
            let next = std::mem::replace(&mut block.next, self.free);
            self.free = index;
            index = next;
        }
        if level > 0 && self.front.len() > 1 {
            self.sorter.sort(&mut self.front);
        }
        // Not the slot's end: what is set later and lies behind these can still go to slots.
        self.covered = self.front[self.front.len() - 1].time;
    }

    fn spread_slot(&mut self, slot: Slot, level: usize, digit: usize) {
        let shift = level as u32 * DIGIT;
        let above = if shift + DIGIT >= 64 { 0 } else { (self.covered >> (shift + DIGIT)) << (shift + DIGIT) };
        // The slot's first instant: what is due then goes to the front, the rest differs from it in a lower digit.
        self.covered = above | ((digit as u64) << shift);
        if slot.head.time == self.covered {
            self.front.push(slot.head);
        } else {
            self.append(slot.head);
        }
        let mut index = slot.first;
        while index != NO_BLOCK {
            let (entries, used) = (self.blocks[index as usize].entries, self.blocks[index as usize].used as usize);
            for entry in &entries[..used] {
                if entry.time == self.covered { self.front.push(*entry) } else { self.append(*entry) }
            }
            let next = std::mem::replace(&mut self.blocks[index as usize].next, self.free);
            self.free = index;
            index = next;
        }
    }
}

/// Room for sorting: kept, because clearing it would take longer than the sorting does.
#[derive(Debug)]
struct Sorter {
    sorted: [Entry; SORTED_AT_ONCE],
    places: [u8; SORTED_AT_ONCE],
}

impl Sorter {
    /// Sorts a few entries by time; equal ones keep their order.
    ///
    /// Each entry's place is the number of those before it. That takes n^2 / 2 comparisons, but no branch to mispredict: up to a few
    /// dozen it beats a sort that is clever.
    #[inline]
    fn sort(&mut self, entries: &mut [Entry]) {
        if let [first, second] = entries {
            if second.time < first.time {
                std::mem::swap(first, second);
            }
            return;
        }
        let n = entries.len();
        self.places[0] = 0;
        for later in 1..n {
            let time = entries[later].time;
            let mut place = 0;
            for (earlier, moved) in entries[..later].iter().zip(&mut self.places) {
                let after = u8::from(earlier.time > time);
                *moved += after;
                place += 1 - after;
            }
            self.places[later] = place;
        }
        for (entry, place) in entries.iter().zip(self.places) {
            self.sorted[place as usize % SORTED_AT_ONCE] = *entry;
        }
        entries.copy_from_slice(&self.sorted[..n]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::{Random, Stream};

    /// Against a map from time to the timers of that time, in order.
    fn compare(seed: u64, spread: u64, population: usize) {
        let mut random = Random::new(seed, Stream::Policy);
        let mut wheel = TimerWheel::new();
        let mut model: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        let (mut now, mut count) = (0_u64, 0_u32);
        for _ in 0..20_000 {
            if wheel.len() < population || random.below(3) == 0 {
                // Delays of very different lengths, some of them 0.
                let delay = random.below(spread) >> random.below(40);
                wheel.insert(Entry { time: now + delay, task: count, tag: 0 });
                model.entry(now + delay).or_default().push(count);
                count += 1;
            } else if let Some(entry) = wheel.pop() {
                let mut first = model.first_entry().unwrap();
                assert_eq!(*first.key(), entry.time);
                assert_eq!(first.get_mut().remove(0), entry.task, "order of insertion at {}", entry.time);
                if first.get().is_empty() {
                    first.remove();
                }
                now = entry.time;
            }
            assert_eq!(wheel.next_time(), model.first_key_value().map_or(NEVER, |(time, _)| *time));
        }
        while let Some(entry) = wheel.pop() {
            assert!(entry.time >= now);
            now = entry.time;
        }
        assert_eq!(wheel.next_time(), NEVER);
    }

    #[test]
    fn timers_come_in_order_of_time_and_then_of_insertion() {
        for (seed, spread, population) in
            [(1, 10, 5), (2, 1000, 500), (3, 1 << 40, 2000), (4, 1 << 60, 300), (5, 64, 5000)]
        {
            compare(seed, spread, population);
        }
    }

    #[test]
    fn a_timer_far_away_does_not_slow_the_others() {
        let mut wheel = TimerWheel::new();
        wheel.insert(Entry { time: 1 << 50, task: 0, tag: 0 });
        for task in 1..1000 {
            wheel.insert(Entry { time: u64::from(task) * 10, task, tag: 0 });
        }
        for task in 1..1000 {
            assert_eq!(wheel.pop().map(|entry| entry.task), Some(task));
        }
        assert_eq!(wheel.pop().map(|entry| entry.task), Some(0));
    }
}
