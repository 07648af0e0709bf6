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

    fn take_over(&mut self, task: TaskId, from: &Self) {
        if self.bursts.len() <= task as usize {
            self.bursts.resize(task as usize + 1, 0);
        }
        // What was known here is of an earlier burst.
        self.bursts[task as usize] = from.bursts.get(task as usize).copied().unwrap_or(0);
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

    fn next_burst(
        &mut self,
        task: TaskId,
        context: &Context<'_>,
        allowed: impl FnMut(TaskId) -> bool,
    ) -> Option<TaskId> {
        if let Some(burst) = self.bursts.get_mut(task as usize) {
            *burst = context.tasks.remaining(task);
        }
        if self.preemptive { self.queue.first(allowed) } else { None }
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Tasks, Traits};
    use crate::policy::Options;
    use crate::random::{Random, Stream};
    use crate::scenario::{PolicyKind, Scenario};
    use crate::time::TimeScale;

    #[test]
    fn a_stolen_task_takes_the_length_of_its_burst_along() {
        let scenario = Scenario::new(2, PolicyKind::Sjf);
        let scale = TimeScale::new(scenario.time_unit, [], false);
        let queue = || Sjf::new(&Options { scenario: &scenario, scale, random: Random::new(0, Stream::Policy) });
        let (mut home, mut thief) = (queue(), queue());
        let mut tasks = Tasks::new(2);
        for id in 0..2 {
            tasks.add(Traits { id, ..Default::default() }, 0);
        }
        // Its first burst was short, and it had it where it comes to now.
        tasks.hot[0].remaining = 1;
        thief.enqueue(0, Why::Arrived, &Context { now: 0, tasks: &tasks });
        assert_eq!(thief.pick(&Context { now: 0, tasks: &tasks }, |_| true), Some(0));
        (tasks.hot[0].remaining, tasks.hot[1].remaining) = (9, 5);
        let context = Context { now: 1, tasks: &tasks };
        home.enqueue(0, Why::Woken, &context);
        assert_eq!(home.steal(&context, |_| true), Some(0));
        thief.take_over(0, &home);
        thief.enqueue(0, Why::Moved, &context);
        thief.enqueue(1, Why::Arrived, &context);
        assert_eq!(thief.pick(&context, |_| true), Some(1), "5 before 9");
    }
}
