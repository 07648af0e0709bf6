//! Turns: how many tasks are polled until others are looked after, timers and sockets above all.

use crate::clock;
use crate::driver::{Demand, Driver};

/// Tasks in a turn: then come those that were queued for all, the future given to `run`, and whoever else is on the thread.
const POLLS: u32 = 61;
/// What a turn may take, in nanoseconds, where there are timers or sockets.
const TURN_NS: u64 = 100_000;
/// After so many polls the clock is looked at, which costs as much as two of the shortest.
const GAP: u32 = 8;
/// After so many it is looked whether anybody has begun to wait, where nobody did at the turn's begin.
const IDLE_GAP: u32 = 2 * GAP;
/// What the polls between two looks may take, so that a turn is late by no more.
const GAP_NS: u64 = TURN_NS / 2;
/// In place of a time: the turn is for one task, which is drawn. See [`deterministic`](crate::deterministic).
const DRAWN: u64 = 0;

/// After how many polls to look at the clock, as the last turns have taught: kept from turn to turn by whoever polls.
///
/// With tasks of 100 us each eight of them would be 800 us. So after a turn whose end was found out [too late](GAP_NS) the next one looks
/// after each poll, or after as many as would have been in time. Each turn doubles the distance again, unless the last has shown that this would
/// be too far. Where polls are long, looks cost nothing beside them. Where they are not they do: 20 ns a look beside 5 us of an echo.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: u32,
    /// Not to be doubled now.
    is_wide: bool,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { gap: GAP, is_wide: false }
    }
}

/// One turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// When it has to end, if anybody is known to wait for it.
    end: Option<u64>,
    /// When the clock was last looked at.
    looked: u64,
    polls: u32,
    /// After so many polls something is to be decided.
    stop: u32,
}

impl Turn {
    #[inline]
    pub(crate) fn begin(pace: &mut Pace) -> Self {
        if !std::mem::take(&mut pace.is_wide) {
            pace.gap = (2 * pace.gap).min(GAP);
        }
        match Driver::demand() {
            Demand::Nothing => Self { end: None, looked: 0, polls: 0, stop: Self::idle_gap(pace) },
            Demand::Time => {
                let now = clock::now();
                Self { end: Some(now + TURN_NS), looked: now, polls: 0, stop: pace.gap }
            }
            Demand::Seed => Self { end: Some(DRAWN), looked: 0, polls: 0, stop: 1 },
        }
    }

    /// Where polls are known to be long, a timer that the first of them arms is to be seen soon.
    #[inline]
    fn idle_gap(pace: &Pace) -> u32 {
        if pace.gap < GAP { pace.gap } else { IDLE_GAP }
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
        if self.polls == POLLS || self.is_drawn() {
            return true;
        }
        let Some(end) = self.end else {
            self.stop = (self.polls + Self::idle_gap(pace)).min(POLLS);
            // A task of this turn has begun to wait, be it for the first timer or for the next one. The next turn has a time.
            return Driver::demand() != Demand::Nothing;
        };
        self.stop = (self.polls + pace.gap).min(POLLS);
        let now = clock::now();
        let gap_ns = now.saturating_sub(std::mem::replace(&mut self.looked, now));
        let is_over = now > end;
        if is_over {
            pace.is_wide = 2 * gap_ns > GAP_NS;
            // As many polls as would have taken so long.
            let fitting = u64::from(pace.gap) * GAP_NS / gap_ns.max(1);
            pace.gap = fitting.clamp(1, pace.gap.into()) as u32;
        }
        is_over
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Waker;

    /// Polls until the turn is over; each takes `poll_ns` of a time that is this test's own. A timer is awaited all the time.
    fn polls(pace: &mut Pace, poll_ns: impl Fn(u32) -> u64) -> u32 {
        polls_armed_in(0, pace, poll_ns)
    }

    /// The same where that poll arms the timer, the first there is.
    fn polls_armed_in(poll: u32, pace: &mut Pace, poll_ns: impl Fn(u32) -> u64) -> u32 {
        let driver = Arc::new(Driver::new());
        let outer = Driver::enter(Some(driver.clone()));
        let arm_in = |number| (number == poll).then(|| driver.arm(u64::MAX - 1, false, Waker::noop()));
        let mut now = 1_000;
        let former = clock::pretend(Some(now));
        arm_in(0);
        let mut turn = Turn::begin(pace);
        let count = (1..=POLLS)
            .find(|&number| {
                arm_in(number);
                now += poll_ns(number);
                clock::pretend(Some(now));
                turn.is_over(pace)
            })
            .unwrap();
        clock::pretend(former);
        Driver::enter(outer);
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
    fn polls_of_some_microseconds_do_not_cost_a_look_each() {
        const MICROSECONDS: u64 = 1_000;
        let mut pace = Pace::new();
        for _ in 0..5 {
            // 16 polls take 88 us, so 24 it is.
            assert_eq!(polls(&mut pace, |_| 5 * MICROSECONDS + 500), 3 * GAP);
            assert_eq!(pace.gap, GAP);
        }
        // Eight would take longer than half a turn, so seven it is. The second look comes before the time, the third after 147 us.
        for looked in [2 * GAP, 21, 21] {
            assert_eq!(polls(&mut pace, |_| 7 * MICROSECONDS), looked);
            assert_eq!(pace.gap, 7);
        }
    }

    #[test]
    fn what_is_first_awaited_in_a_turn_does_not_wait_for_61_polls() {
        let mut pace = Pace::new();
        assert_eq!(polls_armed_in(1, &mut pace, |_| LONG), IDLE_GAP);
        assert_eq!(polls_armed_in(0, &mut pace, |_| LONG), GAP);
        // By now it is known that polls are long.
        assert_eq!(polls_armed_in(1, &mut pace, |_| LONG), 1);
        assert_eq!(polls_armed_in(0, &mut pace, |_| LONG), 2);
    }

    #[test]
    fn where_nobody_waits_the_clock_is_not_looked_at() {
        let mut pace = Pace::new();
        let mut turn = Turn::begin(&mut pace);
        assert_eq!((1..=POLLS).find(|_| turn.is_over(&mut pace)), Some(POLLS));
        assert_eq!((turn.end, turn.looked), (None, 0));
    }
}
