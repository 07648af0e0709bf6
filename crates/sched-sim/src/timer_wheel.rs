//! Timers of tasks (sleep, I/O, time-outs): a winner tree for few of them; for many a ring of fine slots for the near future, and a wheel of coarse ones
//! behind it.
//!
//! - **Few**: up to 1024, within 2^38 sub-ticks (`few`). It becomes a ring as soon as there are more, and a tree again when all are gone.
//! - **Near**: a ring of 8192 slots, each so narrow that most hold one timer or none. Taking the earliest is finding a bit.
//! - **Far**: a hierarchical wheel (Varghese and Lauck 1987), whose slots are read in sequence when the ring has room for them.
//!
//! How wide the ring's slots are follows from use, as in a calendar queue (Brown 1988): when it fills up they are halved, when it is almost empty
//! and all timers have to go through the wheel they are doubled. At nanosecond resolution a thousand timers and a million need very different
//! ones. A slot with many timers nevertheless (all at one instant) is sorted once, and taken from the *front*.
//!
//! Timers of one instant come out in the order they went in. No event allocates once the room is there. Nothing is ever removed: who gives up a
//! timer changes the entry's `tag` (its generation) and ignores the old one.
//!
//! # Measured
//!
//! `cargo run --release -p sched-sim --example speed timer` (the example and what it calls, on a 2-core AMD EPYC of family 25; 2026-11-22), timers
//! that set themselves again after up to 2^20 ns, in ns an event with the random number:
//!
//! | | 64 | 1,000 | 100,000 | 1,000,000 |
//! |---|---|---|---|---|
//! | standard library's `BinaryHeap` | 31 | 43 | 113 | 690 |
//! | wheel with fixed levels of 1024 slots, sorted front (before) | 28 | 38 | 44 | 86 |
//! | ring of 4096 slots, narrowed only when full | 13 | 21 | 26 | 46 |
//! | ring fitted to the rate of events, one slot's next search kept | 12 | 19 | 24 | 41 |
//! | entries through registers, counters apart, ring of 16384 | 11 | 12 | 30 | 47 |
//! | a node's task and tag in one word, ring of 8192 | 9.2 | 11.0 | 27 | 45 |
//! | no count of the ring's timers | 9.0 | 10.7 | 26 | 44 |
//! | up to 1024 a winner tree, the next time found after each change | 17 | 18 | 27 | 48 |
//! | the same, the next time found when asked for (as it is) | not measured there | | | |
//!
//! As it is, on 2 cores of an Intel Xeon (family 6, model 207), by `cargo bench -p benches --bench sched_sim -- timers` (2026-11-22): 11.5 ns
//! [11.2, 13.6] with 1,000 timers, where the standard library's heap takes 45.2 and simrs 101.8, and 48.1 [47.0, 48.7] with 1,000,000, where they
//! take 666 and 2,325.
//!
//! Without gain: joining taking and looking for the next (11.8 at 1,000); in the tree two children a node instead of four (7.7 and 8.5 alone, but not
//! with the places of the entries), and minima that are told to be unpredictable (8.5 and 8.5). What stalls is a value that is written in parts and read as a whole.

mod far;
mod few;
mod ring;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::NEVER;
use far::Far;
use few::Few;
use ring::{Ring, SLOTS};

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

/// The ring is filled from the wheel by eighths.
const UNITS: u64 = 8;
/// The ring's slots in a unit, as a power of 2.
const UNIT: u32 = (SLOTS / UNITS).ilog2();
/// The width of slots to begin with, as a power of 2, and the largest.
const FIRST_SHIFT: u32 = 10;
const LAST_SHIFT: u32 = 48;
/// With more timers in a turn of the ring its slots are too wide.
const DENSE: u64 = SLOTS / 8 * 5;
/// With fewer timers in a turn of the ring its slots are too narrow.
const SPARSE: u64 = SLOTS / 16;

/// All timers of tasks.
#[derive(Debug)]
pub struct TimerWheel {
    /// The earliest time, while they are many.
    next: u64,
    /// Its slot in the ring, whatever turn.
    next_slot: u64,
    /// That of the timer that was taken last.
    now: u64,
    /// The ring holds every timer up to here, unless it is in `front` or `late`.
    covered: u64,
    /// A slot of the ring is 2^shift sub-ticks wide.
    shift: u32,
    /// From here on the ring has room for more.
    extend_at: u64,
    /// All timers, while they are few.
    few: Box<Few>,
    is_few: bool,
    ring: Ring,
    far: Far,
    front: Front,
    added: u64,
    taken: u64,
    use_of_ring: Use,
}

/// The timers of a slot that had too many to be searched.
#[derive(Debug, Default)]
struct Front {
    /// All timers before this are here; 0 if there are none.
    end: u64,
    /// Sorted, the earliest last.
    sorted: Vec<Entry>,
    /// Those that came after sorting; the number keeps their order.
    late: BinaryHeap<Reverse<(u64, u64, u32, u32)>>,
    late_count: u64,
}

/// What tells whether slots have the right width.
#[derive(Debug, Default)]
struct Use {
    /// How many timers had been added when the width was changed: changing it again has to be paid for.
    added_at_change: u64,
    /// This turn of the ring: when it ends, how many of its timers were in the wheel first, and how many had been added when it began.
    turn_ends: u64,
    through_far: u64,
    added_at_turn: u64,
}

impl Default for TimerWheel {
    fn default() -> Self {
        Self::new()
    }
}

impl TimerWheel {
    /// A wheel without timers, at time 0.
    pub fn new() -> Self {
        let mut wheel = Self {
            next: NEVER,
            next_slot: 0,
            now: 0,
            covered: 0,
            shift: FIRST_SHIFT,
            extend_at: 0,
            few: Box::new(Few::new()),
            is_few: true,
            ring: Ring::new(),
            far: Far::new(FIRST_SHIFT + UNIT),
            front: Front::default(),
            added: 0,
            taken: 0,
            use_of_ring: Use::default(),
        };
        wheel.extend();
        wheel
    }

    /// The earliest time; [`u64::MAX`] if there is none.
    #[inline]
    pub fn next_time(&self) -> u64 {
        // The tree is asked when somebody wants to know, not after each change: most timers are set again before that.
        if self.is_few { self.few.next_time() } else { self.next }
    }

    /// How many timers there are.
    pub fn len(&self) -> usize {
        (self.added - self.taken) as usize
    }

    /// The room that timers take, without the fixed part.
    pub(crate) fn bytes(&self) -> usize {
        self.ring.bytes() + self.far.bytes()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.added == self.taken
    }

    /// Adds a timer. Its time must not be before that of the last one taken.
    // Inlined always, so that an entry stays in registers: written to memory in parts and read as a whole it would stall.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub fn insert(&mut self, entry: Entry) {
        self.added += 1;
        if self.is_few {
            if self.few.insert(entry, self.now) {
                return;
            }
            self.become_many();
        }
        if entry.time < self.next {
            self.is_first(entry.time);
        }
        if entry.time < self.front.end || entry.time > self.covered {
            self.insert_elsewhere(entry.time, entry.task, entry.tag);
        } else {
            let full = self.ring.insert(entry.time >> self.shift, entry);
            if full {
                self.narrow();
            }
        }
    }

    /// There are too many for the tree, or they are too far apart.
    #[cold]
    fn become_many(&mut self) {
        self.is_few = false;
        if self.now >= self.extend_at {
            self.extend();
        }
        self.next = NEVER;
        let entries: Vec<Entry> = self.few.drain().collect();
        for entry in entries {
            if entry.time < self.next {
                self.is_first(entry.time);
            }
            self.insert_again(entry);
        }
    }

    /// Adds a timer that is not for the ring.
    fn insert_elsewhere(&mut self, time: u64, task: u32, tag: u32) {
        let entry = Entry { time, task, tag };
        if time < self.front.end { self.front.add(entry) } else { self.far.insert(entry) }
    }

    /// Seldom, and never inlined: a branch that is predicted, where a minimum would make each event wait for the one before.
    #[cold]
    fn is_first(&mut self, time: u64) {
        self.next = time;
        self.next_slot = time >> self.shift;
    }

    /// Takes the earliest timer.
    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        if self.is_empty() {
            return None;
        }
        self.taken += 1;
        if self.is_few {
            let entry = self.few.pop();
            self.now = entry.time;
            return Some(entry);
        }
        self.now = self.next;
        let entry = self.pop_of_many();
        if self.is_empty() {
            self.few.restart(self.now);
            self.is_few = true;
        }
        entry
    }

    /// Takes the earliest timer if it is due by now. For owners who look at the next one's time before they add another: the place of what was taken is
    /// given back at once, which costs less than looking past it.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Entry> {
        if self.next_time() > now {
            return None;
        }
        let entry = self.pop();
        if self.is_few {
            self.few.give_back();
        }
        entry
    }

    #[inline]
    fn pop_of_many(&mut self) -> Option<Entry> {
        if self.now >= self.extend_at {
            self.extend();
        }
        if self.front.end == 0
            && let Some(entry) = self.ring.pop(self.next_slot)
        {
            self.find_next();
            return Some(entry);
        }
        self.pop_front()
    }

    /// Finds the earliest in the ring, or else in the wheel behind it.
    #[inline]
    fn find_next(&mut self) {
        if let Some((slot, time)) = self.ring.first(self.next_slot) {
            (self.next_slot, self.next) = (slot, time);
        } else {
            self.next = self.far.first_time();
            self.next_slot = self.next >> self.shift;
        }
    }

    /// Takes the earliest of a slot that is sorted, or has to be.
    #[cold]
    fn pop_front(&mut self) -> Option<Entry> {
        if self.front.end == 0 {
            let slot = self.now >> self.shift;
            let end = (slot + 1) << self.shift;
            self.front.end = if end == 0 { NEVER } else { end };
            self.ring.empty(slot, &mut self.front.sorted);
            self.front.sort();
        }
        let entry = self.front.pop();
        if let Some(time) = self.front.first_time() {
            self.next = time;
        } else {
            self.front.end = 0;
            self.find_next();
        }
        entry
    }

    /// Time has come so far that the ring has room for more of the far future.
    #[cold]
    fn extend(&mut self) {
        self.use_of_ring.through_far += self.reach() as u64;
        if self.now >= self.use_of_ring.turn_ends {
            self.turn();
        }
    }

    /// Fills the ring as far as it reaches; gives how many timers came.
    fn reach(&mut self) -> usize {
        let (unit, shift) = (self.shift + UNIT, self.shift);
        let last = ((self.now >> unit) + UNITS - 1).min(u64::MAX >> unit);
        let ring = &mut self.ring;
        let mut came = 0;
        while self.far.edge() <= last {
            came += self.far.advance(last, |entry| {
                // If that is too many, the end of the turn will tell.
                let _ = ring.insert(entry.time >> shift, entry);
            });
        }
        self.covered = (self.far.edge() << unit).wrapping_sub(1);
        let extend_at = ((self.now >> unit) + 1) << unit;
        self.extend_at = if extend_at == 0 { NEVER } else { extend_at };
        came
    }

    /// The ring has turned once. Widens its slots if it was hardly used, and most timers had to go through the wheel for nothing.
    fn turn(&mut self) {
        let used = &mut self.use_of_ring;
        let added = self.added - std::mem::replace(&mut used.added_at_turn, self.added);
        let through_far = std::mem::take(&mut used.through_far);
        used.turn_ends = self.now.saturating_add(SLOTS << self.shift);
        if added > DENSE {
            self.narrow();
        } else if through_far * 2 > added && added < SPARSE && self.shift < LAST_SHIFT {
            self.change_width(self.shift + 1);
        }
    }

    #[cold]
    fn narrow(&mut self) {
        if self.shift > 0 {
            self.change_width(self.shift - 1);
        }
    }

    /// Moves all timers into slots of another width, if enough were added since the last time to pay for it.
    fn change_width(&mut self, shift: u32) {
        if self.added - self.use_of_ring.added_at_change < self.len() as u64 / 4 {
            return;
        }
        let mut near = Vec::new();
        self.ring.empty_all(self.now >> self.shift, &mut near);
        let far = self.far.take_all();
        self.shift = shift;
        self.far.reset(shift + UNIT, self.now >> (shift + UNIT));
        self.use_of_ring = Use {
            added_at_change: self.added,
            turn_ends: self.now.saturating_add(SLOTS << shift),
            through_far: 0,
            added_at_turn: self.added,
        };
        self.next_slot = self.next >> shift;
        self.reach();
        for entry in near {
            self.insert_again(entry);
        }
        for mut slot in far {
            while let Some((entries, used)) = self.far.read(&mut slot) {
                entries[..used].iter().for_each(|entry| self.insert_again(*entry));
            }
        }
    }

    fn insert_again(&mut self, entry: Entry) {
        if entry.time > self.covered {
            self.far.insert(entry);
        } else {
            let _ = self.ring.insert(entry.time >> self.shift, entry); // still full? more is needed before it pays
        }
    }
}

impl Front {
    /// Sorts what was put in, the oldest first.
    fn sort(&mut self) {
        // Stable, and then turned round: of equal ones the oldest is the last.
        self.sorted.sort_by_key(|entry| entry.time);
        self.sorted.reverse();
    }

    fn add(&mut self, entry: Entry) {
        self.late.push(Reverse((entry.time, self.late_count, entry.task, entry.tag)));
        self.late_count += 1;
    }

    fn first_time(&self) -> Option<u64> {
        let late = self.late.peek().map(|Reverse((time, ..))| *time);
        let sorted = self.sorted.last().map(|entry| entry.time);
        late.into_iter().chain(sorted).min()
    }

    fn pop(&mut self) -> Option<Entry> {
        let late = self.late.peek().map_or(NEVER, |Reverse((time, ..))| *time);
        // Of equal ones those that were sorted came first.
        if self.sorted.last().is_some_and(|entry| entry.time <= late) {
            return self.sorted.pop();
        }
        let Reverse((time, _, task, tag)) = self.late.pop()?;
        Some(Entry { time, task, tag })
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
        for (seed, spread, population) in [
            (1, 10, 5),
            (2, 1000, 500),
            (3, 1 << 40, 2000),
            (4, 1 << 60, 300),
            (5, 64, 5000),
            (6, 1 << 20, 9000),
            (7, 1 << 14, 15_000),
        ] {
            compare(seed, spread, population);
        }
    }

    #[test]
    fn few_timers_keep_their_order_however_often_they_are_numbered_anew() {
        let mut random = Random::new(9, Stream::Policy);
        for reach in [1 << 3, 1 << 20, 1 << 37, 1 << 39] {
            let (mut wheel, mut model) = (TimerWheel::new(), BinaryHeap::new());
            let mut now = 0;
            for count in 0..300_000_u32 {
                // One taken and one set, now and then several.
                let several = 1 + random.below(60) / 58;
                for _ in 0..if count < 900 { 0 } else { several } {
                    let entry = wheel.pop().unwrap();
                    assert_eq!(model.pop(), Some(Reverse((entry.time, entry.task))));
                    now = entry.time;
                }
                for number in 0..several as u32 {
                    let (time, task) = (now + random.below(reach), 2 * count + number);
                    wheel.insert(Entry { time, task, tag: 0 });
                    model.push(Reverse((time, task)));
                }
                assert_eq!(Some(wheel.next_time()), model.peek().map(|Reverse((time, _))| *time));
            }
        }
    }

    #[test]
    fn timers_up_to_the_end_of_time_come_in_order() {
        let mut wheel = TimerWheel::new();
        let times = [NEVER, NEVER - 1, 5, NEVER - (1 << 20), NEVER, 1 << 63, 0];
        for (task, time) in (0..).zip(times) {
            wheel.insert(Entry { time, task, tag: 7 });
        }
        let order: Vec<_> = std::iter::from_fn(|| wheel.pop()).map(|entry| entry.task).collect();
        assert_eq!(order, [6, 2, 5, 3, 1, 0, 4]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn many_timers_of_one_instant_and_then_few_far_apart() {
        let mut wheel = TimerWheel::new();
        for task in 0..50_000 {
            wheel.insert(Entry { time: 1000 + u64::from(task % 3), task, tag: 0 });
        }
        let mut order: Vec<u32> = (0..50_000).collect();
        order.sort_by_key(|task| task % 3);
        assert!(order.into_iter().eq(std::iter::from_fn(|| wheel.pop()).map(|entry| entry.task)));
        let mut now = 1002;
        for task in 0..1000 {
            now += 1 << 33;
            wheel.insert(Entry { time: now + 5, task: task + 1, tag: 0 });
            wheel.insert(Entry { time: now, task, tag: 0 });
            assert_eq!(wheel.pop().map(|entry| (entry.time, entry.task)), Some((now, task)));
            assert_eq!(wheel.pop().map(|entry| (entry.time, entry.task)), Some((now + 5, task + 1)));
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
