//! Earliest deadline first: the job whose deadline is nearest has the core (Liu and Layland 1973).
//!
//! On one core it meets all deadlines whenever any policy could. Tasks without a deadline come last.

use super::keyed::Keyed;
use super::{Context, Options, Policy, TaskId, Why};

/// Ready tasks by deadline.
#[derive(Debug)]
pub struct EarliestDeadline {
    queue: Keyed,
}

impl Policy for EarliestDeadline {
    const PREEMPTIVE: bool = true;

    fn new(_: &Options<'_>) -> Self {
        Self { queue: Keyed::default() }
    }

    #[inline]
    fn enqueue(&mut self, task: TaskId, _: Why, context: &Context<'_>) {
        self.queue.push(context.tasks.deadline(task), task, context);
    }

    #[inline]
    fn pick(&mut self, _: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        self.queue.pop(allowed)
    }

    #[inline]
    fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    fn preempts(&self, ready: TaskId, running: TaskId, context: &Context<'_>) -> bool {
        context.tasks.deadline(ready) < context.tasks.deadline(running)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
