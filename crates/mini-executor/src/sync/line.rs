//! Something of which there is a limited number, and the line of those who want one: the one idea behind all that tasks wait for here.
//!
//! A semaphore hands out permits, a channel places for messages, a mutex its one turn, a notification itself. Call each of them a permit.
//! Some are free, and whoever finds too few of them stands in a line, in the order of coming. One rule says who may go:
//!
//! > Of the line, as many may take a permit as there are free ones: the foremost.
//!
//! - **Fair**: who comes late stands behind, and takes a permit only if there are more free ones than people in the line.
//! - **Cancel-safe**: nothing was handed to who waits, it is only allowed to take. If it is dropped instead, what it left is free, and the
//!   one who has moved up may take it.
//!
//! Whoever a permit becomes free for is *called*: it is woken, and its waker is gone from the line. Its place it keeps until it has come. So
//! those that may take one are those that were called.
//!
//! Each has a number, and the line is sorted by them, so that it is found by a binary search. To enter, to be called and to go from the front or
//! the back take constant time; to leave from the middle moves those on the shorter side. Links through the futures themselves would save
//! that, but take pinned futures and unsafe code.
//!
//! # The lock around it
//! It is std's, held for a few instructions. Never while a waker is woken or dropped, or a message is, since that may run anything, be it
//! code that wants the same lock. (A waker may be cloned under it: that only counts.) It is seldom contended for, and costs two atomic
//! operations when it is not.
//!
//! Built with `--cfg loom` it is loom's, and `tests/sync_loom.rs` goes through every order of what threads do.

use std::collections::VecDeque;
use std::task::Waker;

/// See the module.
pub(super) struct Line {
    free: usize,
    waiting: VecDeque<Waiting>,
    /// Of the next who comes.
    number: u64,
}

struct Waiting {
    number: u64,
    /// `None` once it was called.
    waker: Option<Waker>,
}

impl Line {
    pub(super) const fn new(free: usize) -> Self {
        Self { free, waiting: VecDeque::new(), number: 0 }
    }

    /// How many could be taken by who comes now.
    #[inline]
    pub(super) fn spare(&self) -> usize {
        self.free.saturating_sub(self.waiting.len())
    }

    /// Takes a permit for who comes now, if there is one to spare.
    #[inline]
    pub(super) fn try_take(&mut self) -> bool {
        let is_spare = self.free > self.waiting.len();
        if is_spare {
            self.free -= 1;
        }
        is_spare
    }

    /// Takes a permit for a waiter. Without one if it is not its turn: then it is in the line by that number, to be woken by `waker` from now
    /// on; the one it had before is to be dropped without the lock.
    #[inline]
    pub(super) fn take_or_wait(&mut self, number: &mut Option<u64>, waker: &Waker) -> Result<(), Option<Waker>> {
        if number.is_none() && self.try_take() { Ok(()) } else { self.wait(number, waker) }
    }

    fn wait(&mut self, number: &mut Option<u64>, waker: &Waker) -> Result<(), Option<Waker>> {
        let Some(known) = *number else {
            self.waiting.push_back(Waiting { number: self.number, waker: Some(waker.clone()) });
            *number = Some(self.number);
            self.number += 1;
            return Err(None);
        };
        let place = self.place(known).expect("who waits is in the line");
        match &mut self.waiting[place].waker {
            None => *number = None,
            Some(present) if present.will_wake(waker) => return Err(None),
            Some(present) => return Err(Some(std::mem::replace(present, waker.clone()))),
        }
        self.leave_from(place)
    }

    /// A waiter leaves the line. Who was called takes a permit along. Else its waker is to be dropped without the lock.
    pub(super) fn leave(&mut self, number: u64) -> Result<(), Option<Waker>> {
        // Nobody of that number: all were sent away.
        self.place(number).map_or(Err(None), |place| self.leave_from(place))
    }

    fn leave_from(&mut self, place: usize) -> Result<(), Option<Waker>> {
        match self.waiting.remove(place).and_then(|left| left.waker) {
            None => {
                self.free -= 1;
                Ok(())
            }
            waker => Err(waker),
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        let is_first = self.waiting.front().is_some_and(|first| first.number == number);
        if is_first { Some(0) } else { self.waiting.binary_search_by_key(&number, |waiting| waiting.number).ok() }
    }

    /// One more is free. Who may take it is to be woken without the lock.
    #[inline]
    pub(super) fn give(&mut self) -> Option<Waker> {
        self.free += 1;
        self.waiting.get_mut(self.free - 1)?.waker.take()
    }

    /// Sends everybody away who was not called. They are to be woken without the lock.
    pub(super) fn send_away(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let uncalled = self.free.min(self.waiting.len());
        self.waiting.split_off(uncalled).into_iter().filter_map(|waiting| waiting.waker)
    }
}

/// Wakes who was called, if anybody was.
#[inline]
pub(super) fn wake(called: Option<Waker>) {
    if let Some(waker) = called {
        waker.wake();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A line without permits, and the numbers of so many that wait in it.
    fn waiting(count: usize) -> (Line, Vec<Option<u64>>) {
        let mut line = Line::new(0);
        let numbers = (0..count).map(|_| {
            let mut number = None;
            assert!(line.take_or_wait(&mut number, Waker::noop()).is_err());
            number
        });
        let numbers = numbers.collect();
        (line, numbers)
    }

    /// In which order those who wait are called.
    fn call_all(line: &mut Line, numbers: &mut [Option<u64>]) -> Vec<usize> {
        let mut order = Vec::new();
        while line.give().is_some() {
            let mut takes =
                |number: &mut Option<u64>| number.is_some() && line.take_or_wait(number, Waker::noop()).is_ok();
            order.push(numbers.iter_mut().position(&mut takes).unwrap());
        }
        assert_eq!((line.spare(), line.waiting.len()), (1, 0));
        order
    }

    #[test]
    fn waiters_are_called_in_the_order_they_came() {
        let (mut line, mut numbers) = waiting(4);
        assert_eq!(call_all(&mut line, &mut numbers), [0, 1, 2, 3]);
    }

    #[test]
    fn the_first_one_in_the_middle_and_the_last_may_leave() {
        for (leaving, rest) in [(0, [1, 2, 3]), (1, [0, 2, 3]), (2, [0, 1, 3]), (3, [0, 1, 2])] {
            let (mut line, mut numbers) = waiting(4);
            assert!(line.leave(numbers[leaving].take().unwrap()).is_err());
            assert_eq!(call_all(&mut line, &mut numbers), rest);
        }
    }

    #[test]
    fn who_was_called_keeps_its_place_and_takes_the_permit_along_when_it_leaves() {
        let (mut line, mut numbers) = waiting(3);
        assert!(line.give().is_some() && line.give().is_some());
        assert!(!line.try_take() && line.spare() == 0);
        assert!(line.take_or_wait(&mut numbers[2], Waker::noop()).is_err());
        assert!(line.take_or_wait(&mut numbers[1], Waker::noop()).is_ok() && numbers[1].is_none());
        assert!(line.leave(numbers[0].take().unwrap()).is_ok());
        assert_eq!((line.free, call_all(&mut line, &mut numbers)), (0, vec![2]));
    }

    #[test]
    fn who_is_sent_away_leaves_without_a_permit_and_who_was_called_is_not() {
        let (mut line, mut numbers) = waiting(3);
        assert!(line.give().is_some());
        assert_eq!(line.send_away().count(), 2);
        assert!(line.take_or_wait(&mut numbers[0], Waker::noop()).is_ok());
        assert!(line.leave(numbers[1].unwrap()).is_err() && line.free == 0);
    }
}
