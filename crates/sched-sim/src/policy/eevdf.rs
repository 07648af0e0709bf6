//! Earliest eligible virtual deadline first: Linux's fair scheduler since 6.6 (Stoica and Abdel-Wahab 1995).
//!
//! A task's virtual time is its time on a core over its weight, and V is the weighted mean over all tasks that compete. A task is *eligible*
//! if it has had no more than its share, that is, its virtual time is at most V. It asks for a slice at a time and has a virtual deadline a
//! slice (over its weight) after its virtual time; of the eligible tasks the one with the earliest deadline goes next. No task is ever more
//! than one slice ahead of or behind its share.
//!
//! On a real kernel only a `tick` finds that a slice is used up: at 250 Hz a `base_slice` of 1.4 ms is in truth 4 ms. That is why deadlines
//! are made with the slice rounded up to ticks. A task that leaves keeps its lag, and comes back with it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cfs::{tick_of, until_tick};
use super::weights::weight;
use super::{Context, Options, Policy, TaskId, Tick, Why};

/// Virtual times have so many bits below a sub-tick of a task with weight 1.
const FRACTION: u32 = 20;

/// Those who compete, and their virtual times.
#[derive(Debug)]
pub struct Eevdf {
    /// Tasks that were eligible when last looked at, by deadline; the others, by virtual time.
    eligible: BinaryHeap<Reverse<(i128, u64, TaskId)>>,
    early: BinaryHeap<Reverse<(i128, u64, TaskId)>>,
    /// Those that a pick passes over, until it is done; kept, so that it does not allocate.
    passed: Vec<Reverse<(i128, u64, TaskId)>>,
    tasks: Vec<Account>,
    /// Sum of weights, and of weight x virtual time, of all that are ready or run.
    weights: i128,
    moments: i128,
    slice: u64,
    tick: Option<u64>,
    wakeup_preemption: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Virtual time; while the task is away, minus its lag.
    time: i128,
    deadline: i128,
    competes: bool,
}

impl Eevdf {
    fn is_eligible(&self, task: TaskId) -> bool {
        self.tasks[task as usize].time * self.weights <= self.moments
    }

    /// V.
    fn mean(&self) -> i128 {
        if self.weights == 0 { self.moments } else { self.moments.div_euclid(self.weights) }
    }

    fn request(&self, weight: i128) -> i128 {
        (i128::from(self.slice) << FRACTION) / weight
    }

    fn join(&mut self, task: TaskId, why: Why, weight: i128) {
        let mut account = self.tasks[task as usize];
        let lag = if matches!(why, Why::Arrived | Why::Moved) { 0 } else { -account.time };
        // Joining with a lag moves V by a part of it: what is given is made larger so that what is left is right.
        let lag = if self.weights > 0 { lag * (self.weights + weight) / self.weights } else { 0 };
        account.time = self.mean() - lag;
        account.deadline = account.time + self.request(weight);
        account.competes = true;
        self.tasks[task as usize] = account;
        if self.weights == 0 {
            self.moments = 0;
        }
        self.weights += weight;
        self.moments += weight * account.time;
    }

    fn part(&mut self, task: TaskId, weight: i128) {
        let mean = self.mean();
        let limit = self.request(weight);
        let account = &mut self.tasks[task as usize];
        if !std::mem::take(&mut account.competes) {
            return;
        }
        self.weights -= weight;
        self.moments -= weight * account.time;
        account.time = (account.time - mean).clamp(-limit, limit);
        if self.weights == 0 {
            // The clock stands still while nobody competes.
            self.moments = mean;
        }
    }

    fn queue(&mut self, task: TaskId, arrival: u64) {
        let account = self.tasks[task as usize];
        if self.is_eligible(task) {
            self.eligible.push(Reverse((account.deadline, arrival, task)));
        } else {
            self.early.push(Reverse((account.time, arrival, task)));
        }
    }
}

fn weight_of(task: TaskId, context: &Context<'_>) -> i128 {
    i128::from(weight(context.tasks.nice(task)))
}

impl Policy for Eevdf {
    const PREEMPTIVE: bool = true;
    const CHARGES: bool = true;

    fn new(options: &Options<'_>) -> Self {
        let policy = &options.scenario.policy;
        let tick = tick_of(options);
        let slice = policy.base_slice.map_or_else(|| options.milliseconds(1.4), |slice| options.ticks(slice)).max(1);
        Self {
            eligible: BinaryHeap::new(),
            early: BinaryHeap::new(),
            passed: Vec::new(),
            tasks: Vec::new(),
            weights: 0,
            moments: 0,
            slice: tick.map_or(slice, |tick| slice.div_ceil(tick) * tick),
            tick,
            wakeup_preemption: policy.wakeup_preemption,
        }
    }

    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        if self.tasks.len() <= task as usize {
            self.tasks.resize(context.tasks.len(), Account::default());
        }
        if !self.tasks[task as usize].competes {
            self.join(task, why, weight_of(task, context));
        }
        self.queue(task, context.tasks.arrival(task));
    }

    fn pick(&mut self, _: &Context<'_>, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        while let Some(Reverse((time, arrival, task))) = self.early.peek().copied() {
            if time * self.weights > self.moments {
                break;
            }
            self.early.pop();
            self.eligible.push(Reverse((self.tasks[task as usize].deadline, arrival, task)));
        }
        let mut found = None;
        while let Some(entry) = self.eligible.pop() {
            let Reverse((_, arrival, task)) = entry;
            if !self.is_eligible(task) {
                // V went back: somebody with a large lag left.
                self.early.push(Reverse((self.tasks[task as usize].time, arrival, task)));
            } else if allowed(task) {
                found = Some(task);
                break;
            } else {
                self.passed.push(entry);
            }
        }
        self.eligible.extend(self.passed.drain(..));
        // Some task is always eligible, but it may be one that runs, or that may not run here.
        while found.is_none() {
            let Some(entry) = self.early.pop() else { break };
            if allowed(entry.0.2) { found = Some(entry.0.2) } else { self.passed.push(entry) }
        }
        self.early.extend(self.passed.drain(..));
        found
    }

    fn len(&self) -> usize {
        self.eligible.len() + self.early.len()
    }

    fn slice(&mut self, task: TaskId, context: &Context<'_>) -> u64 {
        let account = self.tasks[task as usize];
        let left = (account.deadline - account.time).max(0) * weight_of(task, context);
        let left = u64::try_from((left + (1 << FRACTION) - 1) >> FRACTION).unwrap_or(u64::MAX).max(1);
        until_tick(context.now, self.tick, left)
    }

    fn tick(&mut self, task: TaskId, context: &Context<'_>) -> Tick {
        let weight = weight_of(task, context);
        let request = self.request(weight);
        let account = &mut self.tasks[task as usize];
        // Rounding of the virtual time down must not give a task one more slice: half a sub-tick is as good as nothing.
        if account.time + (1 << (FRACTION - 1)) / weight < account.deadline {
            return Tick::Stay;
        }
        account.deadline = account.time + request;
        Tick::Leave
    }

    fn charge(&mut self, task: TaskId, ran: u64, context: &Context<'_>) {
        let weight = weight_of(task, context);
        let grown = (i128::from(ran) << FRACTION) / weight;
        self.tasks[task as usize].time += grown;
        self.moments += weight * grown;
    }

    fn leave(&mut self, task: TaskId, _: bool, context: &Context<'_>) {
        self.part(task, weight_of(task, context));
    }

    fn preempts(&self, ready: TaskId, running: TaskId, _: &Context<'_>) -> bool {
        let earlier = self.tasks[ready as usize].deadline < self.tasks[running as usize].deadline;
        self.wakeup_preemption && earlier && self.is_eligible(ready)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        let before = self.len();
        self.eligible.retain(|entry| entry.0.2 != task);
        self.early.retain(|entry| entry.0.2 != task);
        self.len() < before
    }
}
