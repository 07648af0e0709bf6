//! Multi-level feedback queue: tasks start at the highest level and sink as they use up their time; the highest level with a ready task
//! runs, round robin inside (Corbató 1962; the rules are OSTEP's, chapter 8).
//!
//! - A level has a quantum and an **allotment**: so many quanta until the task sinks. What is used of both is kept when the task does I/O,
//!   so that it can't stay up by giving up the core shortly before the end (`io_resets_allotment` allows that game).
//! - A task that loses the core to a higher level stays at the front of its level, with what is left of its quantum.
//! - Every `boost_every` all tasks, also those in I/O, go to the highest level with fresh quantum and allotment. Those of the lowest level
//!   come first, then those of the next.
//! - With a queue per core a task that is stolen keeps its level, and what is left of quantum and allotment.
//! - I/O that begins as a quantum ends costs a unit of the allotment, even if `io_resets_allotment` has just refilled it.

use std::collections::VecDeque;

use super::fifo::take_first;
use super::{Context, Options, Policy, TaskId, Tick, Why};

/// A queue per level.
#[derive(Debug)]
pub struct Mlfq {
    levels: Vec<LevelQueue>,
    ready: usize,
    tasks: Vec<Standing>,
    io_resets: bool,
    io_to_front: bool,
}

#[derive(Debug)]
struct LevelQueue {
    quantum: u64,
    allotment: u32,
    queue: VecDeque<TaskId>,
    /// How many tasks were ever put at the front.
    fronts: u32,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// What is left of its quantum.
    left: u64,
    level: u32,
    /// Quanta left at this level.
    allotment: u32,
    /// `fronts` of its level when it was picked, or put at the front.
    fronts: u32,
    /// It was put at the front when it became ready.
    in_front: bool,
}

impl Mlfq {
    fn fresh(&self, level: usize) -> Standing {
        let queue = &self.levels[level];
        Standing { left: queue.quantum, level: level as u32, allotment: queue.allotment, fronts: 0, in_front: false }
    }

    /// A quantum is used up: one unit of allotment, and perhaps a level.
    fn use_up(&mut self, task: TaskId) {
        let mut standing = self.tasks[task as usize];
        let level = standing.level as usize;
        standing.allotment -= 1;
        standing.left = self.levels[level].quantum;
        if standing.allotment == 0 {
            standing = self.fresh((level + 1).min(self.levels.len() - 1));
        }
        self.tasks[task as usize] = standing;
    }

    fn level_of(&self, task: TaskId) -> usize {
        self.tasks[task as usize].level as usize
    }
}

impl Policy for Mlfq {
    const PREEMPTIVE: bool = true;
    const CHARGES: bool = true;
    const BYTES_PER_TASK: usize = size_of::<Standing>();

    fn new(options: &Options<'_>) -> Self {
        let policy = &options.scenario.policy;
        let levels = policy.levels.iter().map(|level| LevelQueue {
            quantum: options.ticks(level.quantum).max(1),
            allotment: level.allotment.max(1),
            queue: VecDeque::new(),
            fronts: 0,
        });
        Self {
            levels: levels.collect(),
            ready: 0,
            tasks: Vec::new(),
            io_resets: policy.io_resets_allotment,
            io_to_front: policy.io_done_to_front,
        }
    }

    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        if self.tasks.len() <= task as usize {
            let fresh = self.fresh(0);
            self.tasks.resize(context.tasks.room(), fresh);
        }
        if why == Why::Arrived {
            self.tasks[task as usize] = self.fresh(0);
        }
        self.ready += 1;
        let standing = &mut self.tasks[task as usize];
        let level = &mut self.levels[standing.level as usize];
        standing.in_front = self.io_to_front && matches!(why, Why::IoDone | Why::Woken);
        match why {
            _ if standing.in_front => {
                level.queue.push_front(task);
                level.fronts += 1;
                standing.fronts = level.fronts;
            }
            // While it ran it counted as the first of its level; whoever was put before it since is before it.
            Why::Preempted => {
                let before = level.fronts.wrapping_sub(standing.fronts) as usize;
                level.queue.insert(before.min(level.queue.len()), task);
            }
            _ => level.queue.push_back(task),
        }
    }

    fn pick(&mut self, _: &Context<'_>, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        for level in &mut self.levels {
            if let Some(task) = take_first(&mut level.queue, &mut allowed) {
                self.tasks[task as usize].fronts = level.fronts;
                self.ready -= 1;
                return Some(task);
            }
        }
        None
    }

    fn take_over(&mut self, task: TaskId, from: &Self) {
        if self.tasks.len() < from.tasks.len() {
            let fresh = self.fresh(0);
            self.tasks.resize(from.tasks.len(), fresh);
        }
        self.tasks[task as usize] = from.tasks[task as usize];
    }

    fn len(&self) -> usize {
        self.ready
    }

    fn slice(&mut self, task: TaskId, _: &Context<'_>) -> u64 {
        self.tasks[task as usize].left
    }

    fn level(&self, task: TaskId) -> Option<u32> {
        Some((self.levels.len() - 1 - self.level_of(task)) as u32)
    }

    fn charge(&mut self, task: TaskId, ran: u64, _: &Context<'_>) {
        let left = &mut self.tasks[task as usize].left;
        *left = left.saturating_sub(ran);
    }

    fn tick(&mut self, task: TaskId, _: &Context<'_>) -> Tick {
        self.use_up(task);
        Tick::Leave
    }

    fn leave(&mut self, task: TaskId, ended: bool, _: &Context<'_>) {
        if ended {
            return;
        }
        let at_its_end = self.tasks[task as usize].left == 0;
        if self.io_resets {
            self.tasks[task as usize] = self.fresh(self.level_of(task));
        }
        if at_its_end {
            self.use_up(task);
        }
    }

    fn preempts(&self, ready: TaskId, running: TaskId, _: &Context<'_>) -> bool {
        let (above, below) = (self.level_of(ready), self.level_of(running));
        let (one, other) = (&self.tasks[ready as usize], &self.tasks[running as usize]);
        // Only who was put at the front goes before who runs already, and only before who was picked earlier.
        let is_before = one.in_front && one.fronts > other.fronts;
        above < below || (above == below && is_before)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        let found = self.levels.iter_mut().any(|level| take_first(&mut level.queue, |other| other == task).is_some());
        self.ready -= usize::from(found);
        found
    }

    fn boost(&mut self, _: &Context<'_>) {
        for level in (1..self.levels.len()).rev() {
            let mut moved = std::mem::take(&mut self.levels[level].queue);
            self.levels[0].queue.append(&mut moved);
        }
        let fresh = Standing { fronts: self.levels[0].fronts, ..self.fresh(0) };
        self.tasks.fill(fresh);
    }
}
