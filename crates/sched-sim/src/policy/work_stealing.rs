//! Work stealing: each core has a queue of its own and takes from another's only when it has nothing (Blumofe and Leiserson 1999).
//!
//! A core takes its own newest task, whose data are still in its cache; thieves take the oldest. Whom they ask and how much they take stands
//! in `policy.steal`; without it they take the first half of a random queue as soon as they have nothing to run.

use std::collections::VecDeque;

use super::fifo::take_first;
use super::{Context, Options, Policy, TaskId, Why};

/// One core's queue, the oldest at the front.
#[derive(Debug)]
pub struct WorkStealing {
    queue: VecDeque<TaskId>,
    quantum: u64,
}

impl Policy for WorkStealing {
    fn new(options: &Options<'_>) -> Self {
        let quantum = options.scenario.policy.quantum;
        Self { queue: VecDeque::new(), quantum: quantum.map_or(u64::MAX, |quantum| options.ticks(quantum).max(1)) }
    }

    fn enqueue(&mut self, task: TaskId, why: Why, _: &Context<'_>) {
        match why {
            // Its turn is over: all others come first.
            Why::SliceEnded | Why::Yielded => self.queue.push_front(task),
            _ => self.queue.push_back(task),
        }
    }

    fn pick(&mut self, _: &Context<'_>, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        let at = self.queue.iter().rposition(|task| allowed(*task))?;
        self.queue.remove(at)
    }

    fn steal(&mut self, _: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        take_first(&mut self.queue, allowed)
    }

    fn len(&self) -> usize {
        self.queue.len()
    }

    fn slice(&mut self, _: TaskId, _: &Context<'_>) -> u64 {
        self.quantum
    }

    fn remove(&mut self, task: TaskId) -> bool {
        take_first(&mut self.queue, |other| other == task).is_some()
    }
}
