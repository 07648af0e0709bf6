//! SMT siblings: cores that share a physical one, and run slower while they are busy together.

use std::ops::Range;

use crate::scenario::Smt;

/// Fraction bits of a speed.
const SPEED: u32 = 32;
const FULL: u64 = 1 << SPEED;

/// How fast each core is at the moment.
#[derive(Debug)]
pub(crate) struct Siblings {
    threads: usize,
    same: u64,
    mixed: u64,
    speeds: Vec<u64>,
}

impl Siblings {
    pub(crate) fn new(smt: &Smt, cores: usize) -> Self {
        let speed = |factor: f64| libm::rint(factor * FULL as f64).max(1.0) as u64;
        Self {
            threads: smt.threads_per_core.max(1) as usize,
            same: speed(smt.factor_same_kind),
            mixed: speed(smt.factor_mixed),
            speeds: vec![FULL; cores],
        }
    }

    /// The siblings of a core, itself among them.
    pub(crate) fn group(&self, core: usize) -> Range<usize> {
        let first = core / self.threads * self.threads;
        first..(first + self.threads).min(self.speeds.len())
    }

    /// Computes the speeds of a core's group anew, from the kind of task that each runs.
    pub(crate) fn update(&mut self, core: usize, kind: impl Fn(usize) -> Option<u16>) {
        for one in self.group(core) {
            let mine = kind(one);
            let others = || self.group(core).filter(|other| *other != one).filter_map(&kind);
            self.speeds[one] = if others().next().is_none() {
                FULL
            } else if others().any(|other| Some(other) == mine) {
                self.same
            } else {
                self.mixed
            };
        }
    }

    /// Work done in a time.
    #[inline]
    pub(crate) fn work(&self, core: usize, time: u64) -> u64 {
        ((u128::from(time) * u128::from(self.speeds[core])) >> SPEED) as u64
    }

    /// Time needed for work.
    #[inline]
    pub(crate) fn time_for(&self, core: usize, work: u64) -> u64 {
        let time = (u128::from(work) << SPEED).div_ceil(u128::from(self.speeds[core]));
        u64::try_from(time).unwrap_or(u64::MAX)
    }
}
