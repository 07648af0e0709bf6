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

/// After how many polls to look at the clock, as the polls of late have taught: kept from turn to turn by whoever polls.
///
/// With tasks of 100 us each eight of them would be 800 us. So a turn that was found to be late makes the looks close, after each poll,
/// and each look that finds none of that moves them apart again. Where polls are long, looks cost nothing beside them.
#[derive(Debug)]
pub(crate) struct Pace(u32);

impl Pace {
    pub(crate) const fn new() -> Self {
        Self(GAP)
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
    pub(crate) fn begin(pace: &Pace) -> Self {
        let end = Driver::is_current_watching()
            .then(|| if Driver::is_current_virtual() { DRAWN } else { clock::now() + TURN_NS });
        Self { end, polls: 0, stop: if end.is_some() { pace.0 } else { POLLS } }
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
        pace.0 = if is_late { 1 } else { (2 * pace.0).min(GAP) };
        self.stop = (self.polls + pace.0).min(POLLS);
        is_late
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Polls until the turn is over; each takes `poll_ns` of a time that is this test's own.
    fn polls(pace: &mut Pace, poll_ns: impl Fn(u32) -> u64) -> u32 {
        let mut now = 1_000;
        let mut turn = Turn { end: Some(now + TURN_NS), polls: 0, stop: pace.0 };
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

    #[test]
    fn short_polls_have_61_a_turn_and_the_clock_every_8th() {
        let mut pace = Pace::new();
        assert_eq!(polls(&mut pace, |_| 100), POLLS);
        assert_eq!(pace.0, GAP);
        assert_eq!(polls(&mut pace, |number| if number == 1 { 2 * TURN_NS } else { 0 }), GAP);
    }

    #[test]
    fn after_a_late_turn_a_long_poll_is_the_last_and_short_ones_move_the_looks_apart() {
        let mut pace = Pace::new();
        assert_eq!(polls(&mut pace, |_| 110_000), GAP);
        assert_eq!(polls(&mut pace, |_| 110_000), 1);
        // Looks after 1, 3, 7 and 15: it is found at 15 that the 8th was long.
        assert_eq!(polls(&mut pace, |number| if number == 8 { 110_000 } else { 0 }), 15);
        assert_eq!(polls(&mut pace, |number| if number == 2 { 110_000 } else { 0 }), 3);
        assert_eq!(polls(&mut pace, |_| 100), POLLS);
        assert_eq!(pace.0, GAP);
    }

    #[test]
    fn where_nobody_waits_the_clock_is_not_looked_at() {
        let (mut pace, mut turn) = (Pace::new(), Turn { end: None, polls: 0, stop: POLLS });
        assert_eq!((1..=POLLS).find(|_| turn.is_over(&mut pace)), Some(POLLS));
    }
}
