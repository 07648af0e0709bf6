//! Rate monotonic: the shorter a task's period, the more urgent it is, always (Liu and Layland 1973).
//!
//! Tasks without a period come last. [`crate::analysis`] says beforehand whether deadlines hold.

use super::keyed::Keyed;
use super::{Context, Options, Policy, TaskId, Why};

/// Ready tasks by period.
#[derive(Debug)]
pub struct RateMonotonic {
    queue: Keyed,
}

impl Policy for RateMonotonic {
    const PREEMPTIVE: bool = true;

    fn new(_: &Options<'_>) -> Self {
        Self { queue: Keyed::default() }
    }

    #[inline]
    fn enqueue(&mut self, task: TaskId, _: Why, context: &Context<'_>) {
        self.queue.push(context.tasks.period(task), task, context);
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
        context.tasks.period(ready) < context.tasks.period(running)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
