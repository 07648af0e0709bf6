//! Cache warmth: a task is slow on a core until it has run there for a while, and until newer working sets push its own out.
//!
//! After OSTEP's `multi.py`. The time a task has warmed up so far is kept per core, so that a task which comes back goes on where it was.

use std::collections::HashMap;

use super::tasks::TaskId;
use crate::scenario::{Cache, Progress};
use crate::time::TimeScale;

/// Fraction bits of a rate.
const RATE: u32 = 20;

/// All cores' caches.
#[derive(Debug)]
pub(crate) struct Caches {
    capacity: f64,
    warmup: u64,
    /// The same after the working set was pushed out: at least one unit, even where the first time takes none.
    rewarm: u64,
    cold_rate: u64,
    warm_rate: u64,
    /// Bursts end at multiples of this.
    unit: u64,
    /// And no burst takes fewer of it.
    least: u64,
    working_sets: Vec<f64>,
    cores: Vec<CoreCache>,
}

#[derive(Debug, Clone, Default)]
struct CoreCache {
    /// Whose working sets are in, the oldest first.
    warm: Vec<TaskId>,
    /// How long tasks have to run until theirs is in.
    warming: HashMap<TaskId, u64>,
    phase: Phase,
    warm_time: u64,
}

/// The running task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    Warm,
    /// For so long.
    Warming(u64),
    /// Its working set does not fit.
    #[default]
    Cold,
}

impl Caches {
    pub(crate) fn new(cache: &Cache, cores: usize, working_sets: Vec<f64>, scale: TimeScale) -> Self {
        let rate = |rate: f64| libm::rint(rate * f64::from(1 << RATE)).max(1.0) as u64;
        let unit = if cache.progress == Progress::WholeUnits { scale.per_unit() } else { 1 };
        Self {
            capacity: cache.capacity,
            warmup: scale.ticks(cache.warmup),
            rewarm: scale.ticks(cache.warmup).max(unit),
            cold_rate: rate(cache.cold_rate),
            warm_rate: rate(cache.warm_rate),
            unit,
            least: u64::from(cache.progress == Progress::WholeUnits),
            working_sets,
            cores: vec![CoreCache::default(); cores],
        }
    }

    fn working_set(&self, task: TaskId) -> f64 {
        self.working_sets.get(task as usize).copied().unwrap_or(0.0)
    }

    /// A task begins to run on a core, perhaps only after a switch that may yet be broken off: nothing is pushed out before it has run.
    pub(crate) fn enter(&mut self, core: usize, task: TaskId) {
        let warmup = self.warmup;
        let cache = &mut self.cores[core];
        if cache.warm.contains(&task) {
            cache.phase = Phase::Warm;
            return;
        }
        let left = *cache.warming.entry(task).or_insert(warmup);
        cache.phase = Phase::Warming(left);
    }

    /// The task has ended, and its place will be another's.
    pub(crate) fn forget_place(&mut self, task: TaskId) {
        for cache in &mut self.cores {
            cache.warm.retain(|other| *other != task);
            cache.warming.remove(&task);
        }
    }

    /// The task's working set is in, and pushes out older ones.
    fn fill(&mut self, core: usize, task: TaskId) {
        let mut total: f64 = self.cores[core].warm.iter().map(|other| self.working_set(*other)).sum();
        total += self.working_set(task);
        let cache = &mut self.cores[core];
        cache.warming.remove(&task);
        cache.warm.push(task);
        while total > self.capacity && !self.cores[core].warm.is_empty() {
            let out = self.cores[core].warm.remove(0);
            total -= self.working_set(out);
            self.cores[core].warming.insert(out, self.rewarm);
        }
        let fits = self.cores[core].warm.contains(&task);
        self.cores[core].phase = if fits { Phase::Warm } else { Phase::Cold };
    }

    /// The task ran for so long: how much it got done.
    pub(crate) fn progress(&mut self, core: usize, task: TaskId, ran: u64) -> u64 {
        let (cold, warm) = match self.cores[core].phase {
            Phase::Warm => (0, ran),
            Phase::Cold => (ran, 0),
            Phase::Warming(left) if ran < left => {
                self.cores[core].phase = Phase::Warming(left - ran);
                self.cores[core].warming.insert(task, left - ran);
                (ran, 0)
            }
            Phase::Warming(left) => {
                self.fill(core, task);
                if self.cores[core].phase == Phase::Warm { (left, ran - left) } else { (ran, 0) }
            }
        };
        // A cache that makes nothing faster is never warm.
        self.cores[core].warm_time += if self.warm_rate > self.cold_rate { warm } else { 0 };
        work(cold, self.cold_rate) + work(warm, self.warm_rate)
    }

    /// How long the task needs for so much work.
    pub(crate) fn time_for(&self, core: usize, task: TaskId, remaining: u64) -> u64 {
        let fits = self.working_set(task) <= self.capacity;
        let exact = match self.cores[core].phase {
            Phase::Warm => time(remaining, self.warm_rate),
            Phase::Warming(left) if fits && work(left, self.cold_rate) < remaining => {
                left.saturating_add(time(remaining - work(left, self.cold_rate), self.warm_rate))
            }
            Phase::Cold | Phase::Warming(_) => time(remaining, self.cold_rate),
        };
        exact.div_ceil(self.unit).max(self.least).saturating_mul(self.unit)
    }

    /// How long tasks ran warm on a core.
    pub(crate) fn warm_time(&self, core: usize) -> u64 {
        self.cores[core].warm_time
    }
}

fn work(time: u64, rate: u64) -> u64 {
    ((u128::from(time) * u128::from(rate)) >> RATE) as u64
}

fn time(work: u64, rate: u64) -> u64 {
    u64::try_from((u128::from(work) << RATE).div_ceil(u128::from(rate))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::TimeUnit;

    #[test]
    fn who_never_ran_pushes_nobody_out() {
        let cache =
            Cache { capacity: 10.0, warmup: 0.0, cold_rate: 1.0, warm_rate: 2.0, progress: Progress::Continuous };
        let mut caches = Caches::new(&cache, 1, vec![8.0, 8.0], TimeScale::new(TimeUnit::Tick, [], false));
        caches.enter(0, 0);
        assert_eq!(caches.progress(0, 0, 10), 20);
        caches.enter(0, 1); // and its switch is broken off
        caches.enter(0, 0);
        assert_eq!(caches.progress(0, 0, 10), 20, "there was no need to fetch anything");
    }
}
