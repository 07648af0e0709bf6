//! A figure over time.

/// Steps at most.
const MOST: usize = 1024;
/// The first length of a step: so many nanoseconds, as a power of two.
const FIRST_SHIFT: u32 = 14;

/// What a figure came to at most, in steps of equal length. Where there get to be too many, two become one: memory stays the same however
/// long a trace is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeline {
    /// Nanoseconds a step, as a power of two.
    shift: u32,
    /// The most in each step, from the beginning of the trace on.
    pub most: Vec<u64>,
    now: u64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { shift: FIRST_SHIFT, most: Vec::new(), now: 0 }
    }
}

impl Timeline {
    /// Nanoseconds a step.
    pub fn step(&self) -> u64 {
        1 << self.shift
    }

    /// The figure is `value` from `time` on, nanoseconds from the beginning. A time before the last one's step counts where it belongs.
    pub(super) fn set(&mut self, time: u64, value: u64) {
        while time >> self.shift >= MOST as u64 {
            self.shift += 1;
            self.most = self.most.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or(0)).collect();
        }
        let place = (time >> self.shift) as usize;
        if place >= self.most.len() {
            // Until now it was what it had been, and so it is when the step begins.
            self.most.resize(place + 1, self.now);
        }
        self.most[place] = self.most[place].max(value);
        self.now = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_STEP: u64 = 1 << FIRST_SHIFT;

    #[test]
    fn a_step_keeps_its_most_and_the_next_begins_with_the_last() {
        let mut line = Timeline::default();
        for (time, value) in [(0, 5), (1, 9), (2, 3), (3 * FIRST_STEP, 4)] {
            line.set(time, value);
        }
        assert_eq!(line.most, [9, 3, 3, 4]);
    }

    #[test]
    fn steps_become_longer_and_keep_the_most() {
        let mut line = Timeline::default();
        for time in 0..5000 {
            line.set(time * FIRST_STEP, if time == 1234 { 70 } else { time % 7 });
        }
        assert_eq!((line.step(), line.most.len()), (8 * FIRST_STEP, 625));
        assert_eq!((line.most[1234 / 8], line.most.iter().max()), (70, Some(&70)));
        line.set(u64::MAX, 1);
        assert!(line.most.len() <= MOST);
    }
}
