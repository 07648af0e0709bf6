//! Sums over tasks that have ended, and what queueing theory makes of them.

use hdrhistogram::Histogram;

use super::tasks::{NONE, TaskId, Tasks};

/// Sums in sub-ticks over all that ended after the warm-up.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) arrivals: u64,
    pub(crate) drops: u64,
    /// Those of them that came after the warm-up.
    pub(crate) late_drops: u64,
    /// Tasks that have ended; those that found no room have not.
    pub(crate) served: u64,
    /// Those of them that came after the warm-up (closed systems: bursts).
    pub(crate) ended: u64,
    pub(crate) response: u128,
    pub(crate) wait: u128,
    pub(crate) waited: u64,
    pub(crate) slowdown: f64,
    pub(crate) slowdowns: u64,
    pub(crate) window: Window,
    pub(crate) classes: Vec<ClassSums>,
    pub(crate) residence: u128,
    pub(crate) response_histogram: Option<Histogram<u64>>,
    /// Of listed tasks; generated ones' response is theirs.
    pub(crate) turnaround_histogram: Option<Histogram<u64>>,
    pub(crate) wait_histogram: Option<Histogram<u64>>,
    /// Arrivals before this number are warm-up.
    pub(crate) warmup: u32,
}

/// The part of a run over which averages over time are taken: from the end of the warm-up to the last arrival, so that neither the empty
/// beginning nor the emptying at the end counts.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) state: WindowState,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Core time used before it opened, and before it closed.
    pub(crate) busy_from: u128,
    pub(crate) busy_to: u128,
    /// Tasks (or bursts) that ended in it.
    pub(crate) ended: u64,
    present: u64,
    changed: u64,
    area: u128,
}

/// How far a window is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowState {
    #[default]
    Before,
    /// It opens in this instant: the core time has to be noted.
    Opening,
    Open,
    Closing,
    Closed,
}

impl Window {
    pub(crate) fn new(open: bool) -> Self {
        Self { state: if open { WindowState::Open } else { WindowState::Before }, ..Self::default() }
    }

    /// A task has come.
    #[inline]
    pub(crate) fn came(&mut self, now: u64) {
        self.sum(now);
        self.present += 1;
    }

    /// A task has left: it has ended, or found no room.
    #[inline]
    pub(crate) fn left(&mut self, now: u64, served: bool) {
        self.sum(now);
        self.present -= 1;
        self.ended += u64::from(served && self.state == WindowState::Open);
    }

    #[inline]
    fn sum(&mut self, now: u64) {
        // Up to the event that closes it.
        if matches!(self.state, WindowState::Open | WindowState::Closing) {
            self.area += u128::from(self.present) * u128::from(now - self.changed);
        }
        self.changed = now;
    }

    /// Opens or closes the window, if that is due.
    pub(crate) fn turn(&mut self, now: u64, busy: u128) {
        self.sum(now);
        match self.state {
            WindowState::Opening => (self.state, self.from, self.busy_from) = (WindowState::Open, now, busy),
            WindowState::Closing => (self.state, self.to, self.busy_to) = (WindowState::Closed, now, busy),
            _ => {}
        }
    }

    #[inline]
    pub(crate) fn is_turning(&self) -> bool {
        matches!(self.state, WindowState::Opening | WindowState::Closing)
    }

    /// Mean number of tasks in the system.
    pub(crate) fn mean_present(&self) -> f64 {
        self.area as f64 / (self.to - self.from) as f64
    }
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
        if traits.id < self.warmup {
            return;
        }
        // A program may compute more than its service time.
        let wait = response.saturating_sub(tasks.hot[task as usize].cpu).saturating_sub(life.io);
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
            let _ = histogram.record(response); // it grows: nothing is too large
        }
        if let Some(histogram) = &mut self.wait_histogram {
            let _ = histogram.record(wait);
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
    /// It was released at least once, or never will be.
    pub(crate) has_come: bool,
    /// How many releases there were whose job has not begun because the one before is not done, and when the first of them was.
    pub(crate) pending: u64,
    pub(crate) first_pending: u64,
    pub(crate) jobs: u64,
    pub(crate) misses: u64,
    pub(crate) worst: u64,
    /// How long the first job took, and what of that it waited.
    pub(crate) first: Option<u64>,
    pub(crate) first_wait: u64,
}

impl Periodic {
    /// Jobs that are not done though their deadline is over at `now`.
    pub(crate) fn overdue(&self, active: Option<u64>, period: u64, now: u64) -> u64 {
        let late = |release: u64| now.checked_sub(release.saturating_add(self.deadline));
        let pending = late(self.first_pending).map_or(0, |late| self.pending.min(late / period + 1));
        u64::from(active.and_then(late).is_some()) + pending
    }

    /// Takes the first release whose job has not begun.
    pub(crate) fn next_pending(&mut self, period: u64) -> Option<u64> {
        self.pending = self.pending.checked_sub(1)?;
        let first = self.first_pending;
        self.first_pending = first.saturating_add(period);
        Some(first)
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
