//! Sums over tasks that have ended, and what queueing theory makes of them.

use hdrhistogram::Histogram;

use super::tasks::{NONE, TaskId, Tasks};

/// Sums in sub-ticks over all that ended after the warm-up.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) arrivals: u64,
    pub(crate) drops: u64,
    /// Ended tasks (closed systems: bursts).
    pub(crate) ended: u64,
    pub(crate) response: u128,
    pub(crate) wait: u128,
    pub(crate) waited: u64,
    pub(crate) slowdown: f64,
    pub(crate) slowdowns: u64,
    /// Integral of the number of tasks in the system, over ended ones.
    pub(crate) presence: u128,
    pub(crate) classes: Vec<ClassSums>,
    pub(crate) residence: u128,
    pub(crate) response_histogram: Option<Histogram<u64>>,
    pub(crate) wait_histogram: Option<Histogram<u64>>,
    /// Arrivals before this number are warm-up.
    pub(crate) warmup: u32,
}

/// Sums of one class.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClassSums {
    pub(crate) ended: u64,
    pub(crate) response: u128,
    pub(crate) wait: u128,
}

/// Three digits: each value is at most 0.1 % off.
pub(crate) fn new_histogram() -> Option<Histogram<u64>> {
    Histogram::new(3).ok()
}

impl Stats {
    /// A generated task has ended.
    #[inline]
    pub(crate) fn end(&mut self, task: TaskId, tasks: &Tasks, now: u64) {
        let (life, traits) = (&tasks.life[task as usize], &tasks.traits[task as usize]);
        let response = now - life.arrival;
        self.presence += u128::from(response);
        if traits.id < self.warmup {
            return;
        }
        let wait = response.saturating_sub(life.service + life.io);
        self.ended += 1;
        self.response += u128::from(response);
        self.wait += u128::from(wait);
        self.waited += u64::from(wait > 0);
        if life.service > 0 {
            self.slowdown += response as f64 / life.service as f64;
            self.slowdowns += 1;
        }
        if let Some(class) = self.classes.get_mut(traits.class as usize) {
            class.ended += 1;
            class.response += u128::from(response);
            class.wait += u128::from(wait);
        }
        if let Some(histogram) = &mut self.response_histogram {
            histogram.saturating_record(response);
        }
        if let Some(histogram) = &mut self.wait_histogram {
            histogram.saturating_record(wait);
        }
    }
}

/// A task that is released again and again.
#[derive(Debug, Clone)]
pub(crate) struct Periodic {
    pub(crate) task: TaskId,
    /// Relative.
    pub(crate) deadline: u64,
    pub(crate) next_release: u64,
    /// Releases whose job has not begun because the one before is not done.
    pub(crate) pending: std::collections::VecDeque<u64>,
    pub(crate) jobs: u64,
    pub(crate) misses: u64,
    pub(crate) worst: u64,
    pub(crate) first: Option<u64>,
}

impl Periodic {
    /// Jobs that are not done though their deadline is over at `now`.
    pub(crate) fn overdue(&self, active: Option<u64>, now: u64) -> u64 {
        let late = |release: &u64| release.saturating_add(self.deadline) <= now;
        active.iter().chain(&self.pending).filter(|release| late(release)).count() as u64
    }
}

/// Which periodic entry belongs to a task.
#[derive(Debug, Default)]
pub(crate) struct PeriodicTasks {
    pub(crate) list: Vec<Periodic>,
    /// By task; empty if there is no periodic task at all.
    pub(crate) index: Vec<u32>,
}

impl PeriodicTasks {
    pub(crate) fn of(&mut self, task: TaskId) -> Option<&mut Periodic> {
        let index = *self.index.get(task as usize).filter(|index| **index != NONE)?;
        Some(&mut self.list[index as usize])
    }
}
