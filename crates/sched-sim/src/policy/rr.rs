//! Round robin: as first in, first out, but after a quantum the task goes to the end of the queue.
//!
//! A short quantum answers soon and switches often; `costs.context_switch` shows the price.

use std::collections::VecDeque;

use super::fifo::take_first;
use super::{Context, Options, Policy, TaskId, Why};
use crate::scenario::QuantumClock;

/// A queue and a quantum.
#[derive(Debug)]
pub struct RoundRobin {
    queue: VecDeque<TaskId>,
    quantum: u64,
    global: bool,
}

impl Policy for RoundRobin {
    const TAKES_TURNS: bool = true;

    fn new(options: &Options<'_>) -> Self {
        let policy = &options.scenario.policy;
        Self {
            queue: VecDeque::new(),
            quantum: policy.quantum.map_or(u64::MAX, |quantum| options.ticks(quantum).max(1)),
            global: policy.quantum_clock == QuantumClock::Global,
        }
    }

    #[inline]
    fn enqueue(&mut self, task: TaskId, _: Why, _: &Context<'_>) {
        self.queue.push_back(task);
    }

    #[inline]
    fn pick(&mut self, _: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        take_first(&mut self.queue, allowed)
    }

    #[inline]
    fn first(&self) -> Option<TaskId> {
        self.queue.front().copied()
    }

    #[inline]
    fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    fn slice(&mut self, _: TaskId, context: &Context<'_>) -> u64 {
        if self.global { self.quantum - context.now % self.quantum } else { self.quantum }
    }

    fn remove(&mut self, task: TaskId) -> bool {
        take_first(&mut self.queue, |other| other == task).is_some()
    }
}
