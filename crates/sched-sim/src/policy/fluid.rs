//! Policies that share cores among several tasks at once: the limit of time slicing with ever smaller quanta and no cost of switching.
//!
//! No task has a core of its own, so there is nothing to pick and nobody to preempt; a fluid policy says how fast each task gets on and when
//! the next one is done. Only `native` runtimes fit.

use super::TaskId;

/// Tasks that share the cores.
pub trait Fluid {
    /// Cores without tasks.
    fn new(cores: u32) -> Self;

    /// Adds a task that has so many sub-ticks of work to do and has had `attained` before. Time must stand at the present.
    fn enter(&mut self, task: TaskId, work: u64, attained: u64);

    /// When something changes next: a task is done, or a rate changes. [`u64::MAX`] if never.
    fn next(&self) -> u64;

    /// Moves the time on, at most to [`Fluid::next`]. Gives the core time that was used.
    fn advance(&mut self, now: u64) -> u128;

    /// Takes a task that is done.
    fn take_done(&mut self) -> Option<TaskId>;

    /// Takes a task out, done or not. Returns whether it was there.
    fn remove(&mut self, task: TaskId) -> bool;

    /// All tasks, and the work in sub-ticks that each has left at the present, rounded up.
    fn left(&self) -> impl Iterator<Item = (TaskId, u64)>;

    /// How many tasks share the cores.
    fn len(&self) -> usize;

    /// Are there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Work is counted with so many bits below a sub-tick.
pub(super) const FRACTION: u32 = 20;

/// Work that each of `members` tasks gets done in `time` with `cores` cores for all.
#[inline]
pub(super) fn progress(time: u64, cores: u64, members: u64) -> u128 {
    if members <= cores {
        return u128::from(time) << FRACTION;
    }
    (u128::from(time) << FRACTION) * u128::from(cores) / u128::from(members)
}

/// Work that is left until `done` of one that is at `attained`, in sub-ticks, rounded up.
pub(super) fn work_left(done: u128, attained: u128) -> u64 {
    u64::try_from(done.saturating_sub(attained).div_ceil(1 << FRACTION)).unwrap_or(u64::MAX)
}

/// Time until each of `members` tasks has done so much `work`, rounded up to sub-ticks.
#[inline]
pub(super) fn time_for(work: u128, cores: u64, members: u64) -> u64 {
    let ticks = if members <= cores {
        work.div_ceil(1 << FRACTION)
    } else {
        (work * u128::from(members)).div_ceil(u128::from(cores) << FRACTION)
    };
    u64::try_from(ticks).unwrap_or(u64::MAX / 2)
}
