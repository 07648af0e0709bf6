//! Turns: how many tasks are polled until others are looked after, timers and sockets above all.

use crate::clock;
use crate::driver::Driver;

/// Tasks in a turn: then come those that were queued for all, the future given to `run`, and whoever else is on the thread.
const POLLS: u32 = 61;
/// What a turn may take, in nanoseconds, where there are timers or sockets.
const TURN_NS: u64 = 100_000;
/// After so many polls the clock is looked at, which costs as much as two of the shortest.
const GAP: u32 = 8;
/// In place of a time: the turn is for one task, which is drawn. See [`deterministic`](crate::deterministic).
const DRAWN: u64 = 0;

/// After how many polls to look at the clock, as the last turns have taught: kept from turn to turn by whoever polls.
///
/// With tasks of 100 us each eight of them would be 800 us. So after a turn that was found to be late the next one looks after each poll,
/// and each turn that was not late doubles the distance again. Where polls are long, looks cost nothing beside them.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: u32,
    was_late: bool,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { gap: GAP, was_late: false }
    }
}

/// One turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// When it has to end, if anybody waits for it.
    end: Option<u64>,
    polls: u32,
    /// After so many polls something is to be decided.
    stop: u32,
}

impl Turn {
    #[inline]
    pub(crate) fn begin(pace: &mut Pace) -> Self {
        Self::until(
            Driver::is_current_watching()
                .then(|| if Driver::is_current_virtual() { DRAWN } else { clock::now() + TURN_NS }),
            pace,
        )
    }

    #[inline]
    fn until(end: Option<u64>, pace: &mut Pace) -> Self {
        if end.is_none() {
            return Self { end, polls: 0, stop: POLLS };
        }
        if !std::mem::take(&mut pace.was_late) {
            pace.gap = (2 * pace.gap).min(GAP);
        }
        Self { end, polls: 0, stop: pace.gap }
    }

    /// Whether timers or sockets wait for its end.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.end.is_some()
    }

    /// It is for one task, and any of those that are ready may be the one.
    pub(crate) fn is_drawn(&self) -> bool {
        self.end == Some(DRAWN)
    }

    /// A task was polled: whether it was the turn's last.
    #[inline]
    pub(crate) fn is_over(&mut self, pace: &mut Pace) -> bool {
        self.polls += 1;
        self.polls == self.stop && self.decide(pace)
    }

    #[cold]
    fn decide(&mut self, pace: &mut Pace) -> bool {
        if self.polls == POLLS {
            return true;
        }
        let is_late = self.end.is_some_and(|end| clock::now() > end);
        if is_late && !self.is_drawn() {
            *pace = Pace { gap: 1, was_late: true };
        }
        self.stop = (self.polls + pace.gap).min(POLLS);
        is_late
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Polls until the turn is over; each takes `poll_ns` of a time that is this test's own.
    fn polls(pace: &mut Pace, poll_ns: impl Fn(u32) -> u64) -> u32 {
        let mut now = 1_000;
        let mut turn = Turn::until(Some(now + TURN_NS), pace);
        let former = clock::pretend(Some(now));
        let count = (1..=POLLS)
            .find(|&number| {
                now += poll_ns(number);
                clock::pretend(Some(now));
                turn.is_over(pace)
            })
            .unwrap();
        clock::pretend(former);
        count
    }

    const LONG: u64 = TURN_NS + 10_000;

    #[test]
    fn short_polls_have_61_a_turn_and_the_clock_every_8th() {
        let mut pace = Pace::new();
        assert_eq!(polls(&mut pace, |_| 100), POLLS);
        assert_eq!(polls(&mut pace, |number| if number == 1 { LONG } else { 0 }), GAP);
    }

    #[test]
    fn after_a_late_turn_a_long_poll_is_the_last_whatever_comes_before_it() {
        let mut pace = Pace::new();
        assert_eq!(polls(&mut pace, |_| LONG), GAP);
        assert_eq!(polls(&mut pace, |_| LONG), 1);
        assert_eq!(polls(&mut pace, |number| if number == 8 { LONG } else { 0 }), 8);
    }

    #[test]
    fn turns_that_are_not_late_move_the_looks_apart_again() {
        let mut pace = Pace::new();
        polls(&mut pace, |_| LONG);
        for gap in [1, 2, 4, GAP, GAP] {
            assert_eq!(polls(&mut pace, |_| 100), POLLS);
            assert_eq!(pace.gap, gap);
        }
    }

    #[test]
    fn where_nobody_waits_the_clock_is_not_looked_at() {
        let mut pace = Pace::new();
        let mut turn = Turn::until(None, &mut pace);
        assert_eq!((1..=POLLS).find(|_| turn.is_over(&mut pace)), Some(POLLS));
    }
}
