//! Shortest job first: of the ready tasks the one with the shortest next burst; who runs is left alone.
//!
//! With `preemptive: true` a shorter arrival takes the core, judged by whole bursts; [`super::srpt`] judges by what is left.

use super::keyed::Keyed;
use super::{Context, Options, Policy, TaskId, Why};

/// Ready tasks by the length of their next burst.
#[derive(Debug)]
pub struct Sjf {
    queue: Keyed,
    preemptive: bool,
    /// The whole burst of each task that is here or runs.
    bursts: Vec<u64>,
}

impl Sjf {
    fn burst(&self, task: TaskId) -> u64 {
        self.bursts.get(task as usize).copied().unwrap_or(u64::MAX)
    }
}

impl Policy for Sjf {
    const PREEMPTIVE: bool = true;
    const BYTES_PER_TASK: usize = size_of::<u64>();

    fn new(options: &Options<'_>) -> Self {
        let preemptive = options.scenario.policy.preemptive.unwrap_or(false);
        Self { queue: Keyed::default(), preemptive, bursts: Vec::new() }
    }

    #[inline]
    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        if self.bursts.len() <= task as usize {
            self.bursts.resize(context.tasks.room(), 0);
        }
        // A task that was interrupted keeps the length its burst began with.
        if !matches!(why, Why::Preempted | Why::SliceEnded | Why::Moved) || self.bursts[task as usize] == 0 {
            self.bursts[task as usize] = context.tasks.remaining(task);
        }
        self.queue.push(self.bursts[task as usize], task, why, context);
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
    fn preempts(&self, ready: TaskId, running: TaskId, _: &Context<'_>) -> bool {
        self.preemptive && self.burst(ready) < self.burst(running)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
