//! Turns: how many tasks are polled until others are looked after, timers and sockets above all.

use std::cell::Cell;

use crate::clock;
use crate::driver::{Demand, Driver};

/// Tasks in a turn: then come those that were queued for all, the future given to `run`, and whoever else is on the thread.
const POLLS: u32 = 61;
/// What a turn may take, in nanoseconds, where there are timers or sockets.
const TURN_NS: u64 = 100_000;
/// After so many polls the clock is looked at, which costs as much as two of the shortest; where nobody waits it is looked whether anybody
/// has begun to.
const GAP: u32 = 8;
/// A turn that ends so much too late has long polls in it, and so has one that ends before the eighth. Eight of 100 us each would be 800 us:
/// the next turn looks after each poll. There a look costs nothing beside them.
const LATE_NS: u64 = TURN_NS / 2;
/// In place of a time: the turn is for one task, which is drawn. See [`deterministic`](crate::deterministic).
const DRAWN: u64 = 0;

thread_local! {
    /// After so many polls this thread's next turn looks at the clock.
    static NEXT_GAP: Cell<u32> = const { Cell::new(GAP) };
}

/// One turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// When it has to end, if anybody is known to wait for it.
    end: Option<u64>,
    polls: u32,
    /// After so many polls something is to be decided.
    stop: u32,
    /// And then after so many more.
    gap: u32,
}

impl Turn {
    #[inline]
    pub(crate) fn begin() -> Self {
        // Turns that are in time move the looks apart again.
        let gap = NEXT_GAP.get();
        NEXT_GAP.set((2 * gap).min(GAP));
        match Driver::demand() {
            Demand::Nothing => Self { end: None, polls: 0, stop: gap, gap },
            Demand::Time => Self { end: Some(clock::now() + TURN_NS), polls: 0, stop: gap, gap },
            Demand::Seed => Self { end: Some(DRAWN), polls: 0, stop: 1, gap },
        }
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
    pub(crate) fn is_over(&mut self) -> bool {
        self.polls += 1;
        self.polls == self.stop && self.decide()
    }

    #[cold]
    fn decide(&mut self) -> bool {
        if self.polls == POLLS || self.is_drawn() {
            return true;
        }
        self.stop = (self.polls + self.gap).min(POLLS);
        let Some(end) = self.end else {
            // A task of this turn has begun to wait, be it for the first timer or for the next one. The next turn has a time.
            NEXT_GAP.set(self.gap);
            return Driver::demand() != Demand::Nothing;
        };
        let now = clock::now();
        if now > end && (now > end + LATE_NS || self.polls < GAP) {
            NEXT_GAP.set(1);
        }
        now > end
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Waker;

    /// Polls until the turn is over, of which each takes `poll_ns` of a time that is this test's own. The timer that there is, is armed in that
    /// poll; before the turn in that of number 0.
    fn polls(armed_in: u32, poll_ns: impl Fn(u32) -> u64) -> u32 {
        let driver = Arc::new(Driver::new());
        let outer = Driver::enter(Some(driver.clone()));
        let arm_in = |number| (number == armed_in).then(|| driver.arm(u64::MAX - 1, false, Waker::noop()));
        let mut now = 1_000;
        let former = clock::pretend(Some(now));
        arm_in(0);
        let mut turn = Turn::begin();
        let count = (1..=POLLS)
            .find(|&number| {
                arm_in(number);
                now += poll_ns(number);
                clock::pretend(Some(now));
                turn.is_over()
            })
            .unwrap();
        clock::pretend(former);
        Driver::enter(outer);
        count
    }

    const LONG: u64 = TURN_NS + 10_000;

    #[test]
    fn after_a_late_turn_a_long_poll_is_the_last_whatever_comes_before_it() {
        NEXT_GAP.set(GAP);
        let long = 2 * TURN_NS;
        assert_eq!(polls(0, |_| long), GAP);
        assert_eq!(polls(0, |_| long), 1);
        assert_eq!(polls(0, |number| if number == 5 { long } else { 0 }), 5);
        // By now it is known that polls are long, also to who arms the first timer.
        assert_eq!(polls(1, |_| long), 1);
        // And now that they are not.
        for _ in 0..3 {
            assert_eq!(polls(0, |_| 100), POLLS);
        }
        assert_eq!(polls(0, |_| LONG), GAP);
    }

    #[test]
    fn turns_inside_of_polls_learn_as_well() {
        NEXT_GAP.set(GAP);
        let mut inner = Vec::new();
        for _ in 0..5 {
            // A group in a task: its turn is one poll of the turn around it.
            let mut outer = Turn::begin();
            inner.push(polls(0, |_| TURN_NS + 1));
            outer.is_over();
        }
        assert_eq!(inner[0], GAP);
        assert!(inner[1..].iter().all(|&polls| polls <= 2), "{inner:?}");
    }

    #[test]
    fn short_polls_have_61_a_turn_and_the_clock_every_8th() {
        NEXT_GAP.set(GAP);
        assert_eq!(polls(0, |_| 100), POLLS);
        assert_eq!(polls(0, |number| if number == 1 { LONG } else { 0 }), GAP);
        assert_eq!(polls(0, |_| 5_500), 3 * GAP, "16 polls take 88 us");
    }

    #[test]
    fn what_is_first_awaited_in_a_turn_does_not_wait_for_61_polls() {
        NEXT_GAP.set(GAP);
        assert_eq!(polls(1, |_| LONG), GAP);
        assert_eq!(polls(GAP + 1, |_| LONG), 2 * GAP);
    }

    #[test]
    fn where_nobody_waits_the_clock_is_not_looked_at() {
        let mut turn = Turn::begin();
        assert_eq!((1..=POLLS).find(|_| turn.is_over()), Some(POLLS));
        assert_eq!(turn.end, None);
    }
}
