//! When does the next core have something to do? One timer per core; of equal times the lower core number comes first.
//!
//! Slices are mostly of one length, and so the timer that is set is mostly the last of all. Such timers stand in a [line](CoreTimers::line), where
//! setting one and taking the first are a few instructions. One that belongs before the end of the line goes into the tree ([`CoreTree`]), where it
//! takes as many comparisons as the number of cores has binary digits. The earliest of all is the first in line or the tree's winner.

use crate::core_tree::CoreTree;
use crate::time::NEVER;

/// A core has no timer.
const NOWHERE: u64 = u64::MAX;
/// A core's timer is in the tree.
const IN_TREE: u64 = u64::MAX - 1;

/// One timer per core.
#[derive(Debug, Clone)]
pub(crate) struct CoreTimers {
    /// The earliest, [`NEVER`] if there is none, and its core.
    next: u64,
    next_core: u32,
    /// Positions in the line only grow; the place of one is its remainder.
    head: u64,
    tail: u64,
    mask: usize,
    /// In order of time and core. The first is never void; one is void if its core's timer is not here (any more).
    line: Vec<(u64, u32)>,
    /// Where each core's timer is: a position in the line, [`IN_TREE`] or [`NOWHERE`].
    places: Vec<u64>,
    tree: CoreTree,
}

impl CoreTimers {
    pub(crate) fn new(cores: usize) -> Self {
        let room = (2 * cores).next_power_of_two();
        Self {
            next: NEVER,
            next_core: 0,
            head: 0,
            tail: 0,
            mask: room - 1,
            line: vec![(NEVER, 0); room],
            places: vec![NOWHERE; cores],
            tree: CoreTree::new(cores),
        }
    }

    /// The earliest time; [`NEVER`] if no timer is set.
    #[inline]
    pub(crate) fn next_time(&self) -> u64 {
        self.next
    }

    /// The core whose timer is the earliest.
    #[inline]
    pub(crate) fn next_core(&self) -> usize {
        self.next_core as usize
    }

    /// Sets a core's timer, or clears it with [`NEVER`].
    #[inline]
    pub(crate) fn set(&mut self, core: usize, time: u64) {
        let was = self.places[core];
        self.places[core] = NOWHERE;
        if was == self.head {
            self.head += 1;
            self.skip();
        }
        if time != NEVER && self.is_last(time, core) {
            if was == IN_TREE {
                self.tree.set(core, NEVER);
            }
            self.line[self.tail as usize & self.mask] = (time, core as u32);
            self.places[core] = self.tail;
            self.tail += 1;
        } else if time != NEVER || was == IN_TREE {
            self.tree.set(core, time);
            self.places[core] = if time == NEVER { NOWHERE } else { IN_TREE };
        }
        (self.next, self.next_core) = (NEVER, 0);
        if self.head != self.tail {
            (self.next, self.next_core) = self.line[self.head as usize & self.mask];
        }
        let winner = self.tree.next_time();
        if winner <= self.next {
            self.join(winner);
        }
    }

    /// The first in line is void, or nobody is in line: goes on to the next.
    #[inline]
    fn skip(&mut self) {
        while self.head != self.tail && self.is_void(self.head) {
            self.head += 1;
        }
    }

    #[inline]
    fn is_void(&self, position: u64) -> bool {
        self.places[self.line[position as usize & self.mask].1 as usize] != position
    }

    /// Belongs a timer at the end of the line, and is there room?
    #[inline]
    fn is_last(&mut self, time: u64, core: usize) -> bool {
        while self.head != self.tail && self.is_void(self.tail - 1) {
            self.tail -= 1;
        }
        self.head == self.tail
            || (self.line[(self.tail - 1) as usize & self.mask] < (time, core as u32)
                && self.tail - self.head <= self.mask as u64)
    }

    /// The tree's winner is at least as early as the first in line.
    fn join(&mut self, winner: u64) {
        let core = self.tree.next_core() as u32;
        if winner < NEVER && (winner, core) < (self.next, self.next_core) {
            (self.next, self.next_core) = (winner, core);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Stream};

    /// Timers that are mostly the last, and timers at any time.
    #[test]
    fn the_earliest_comes_first_and_of_equals_the_lowest_core() {
        for cores in [1, 2, 3, 5, 64, 100] {
            for disorder in [1, 2, 8, 1000] {
                let mut timers = CoreTimers::new(cores);
                assert_eq!(timers.next_time(), NEVER);
                let mut random = Random::new(7, Stream::Policy);
                let mut times = vec![NEVER; cores];
                for step in 0..3000 {
                    // Mostly the core whose time has come, as in a run.
                    let any = random.below(disorder) > 0 || timers.next_time() == NEVER;
                    let core = if any { random.below(cores as u64) as usize } else { timers.next_core() };
                    let time = step / 3 + if random.below(disorder) > 0 { random.below(50) } else { 40 };
                    times[core] = if random.below(8) == 0 { NEVER } else { time };
                    timers.set(core, times[core]);
                    let (first, time) = times.iter().enumerate().min_by_key(|(core, time)| (**time, *core)).unwrap();
                    assert_eq!(timers.next_time(), *time);
                    assert!(*time == NEVER || timers.next_core() == first, "{first} at {time}");
                }
            }
        }
    }
}
