//! First in, first out: who came first runs until it blocks or ends.
//!
//! The convoy effect is its price: many short tasks wait behind a long one.

use std::collections::VecDeque;

use super::{Context, Options, Policy, TaskId, Why};

/// A plain queue.
#[derive(Debug)]
pub struct Fifo {
    queue: VecDeque<TaskId>,
}

impl Policy for Fifo {
    fn new(_: &Options<'_>) -> Self {
        Self { queue: VecDeque::new() }
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
    fn len(&self) -> usize {
        self.queue.len()
    }

    fn remove(&mut self, task: TaskId) -> bool {
        take_first(&mut self.queue, |other| other == task).is_some()
    }
}

/// The first task of a queue that is allowed.
#[inline]
pub(crate) fn take_first(queue: &mut VecDeque<TaskId>, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
    let first = *queue.front()?;
    if allowed(first) {
        return queue.pop_front();
    }
    let at = queue.iter().position(|task| allowed(*task))?;
    queue.remove(at)
}
