//! Fixed priority: the task with the smallest `priority` number first, in order of arrival among equals.
//!
//! `preemptive: false` lets who runs finish its burst. Priority inversion shows when a lock is in play: no inheritance here.

use super::keyed::Keyed;
use super::{Context, Options, Policy, TaskId, Why};

/// Ready tasks by priority.
#[derive(Debug)]
pub struct FixedPriority {
    queue: Keyed,
    preemptive: bool,
}

impl Policy for FixedPriority {
    const PREEMPTIVE: bool = true;

    fn new(options: &Options<'_>) -> Self {
        Self { queue: Keyed::default(), preemptive: options.scenario.policy.preemptive.unwrap_or(true) }
    }

    #[inline]
    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        self.queue.push(u64::from(context.tasks.priority(task)), task, why, context);
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
        self.preemptive && context.tasks.priority(ready) < context.tasks.priority(running)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
