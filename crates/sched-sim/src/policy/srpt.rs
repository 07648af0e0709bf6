//! Shortest remaining processing time: the task that will be done soonest has the core at every moment.
//!
//! No policy has a lower mean response time on one core (Schrage 1968); long tasks pay for it.

use super::keyed::Keyed;
use super::{Context, Options, Policy, TaskId, Why};

/// Ready tasks by what is left of their bursts.
#[derive(Debug)]
pub struct Srpt {
    queue: Keyed,
}

impl Policy for Srpt {
    const PREEMPTIVE: bool = true;

    fn new(_: &Options<'_>) -> Self {
        Self { queue: Keyed::default() }
    }

    #[inline]
    fn enqueue(&mut self, task: TaskId, _: Why, context: &Context<'_>) {
        self.queue.push(context.tasks.remaining(task), task, context);
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
        context.tasks.remaining(ready) < context.tasks.remaining(running)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
