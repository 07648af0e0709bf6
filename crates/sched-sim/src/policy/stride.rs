//! Stride: shares after tickets without chance (Waldspurger and Weihl 1995).
//!
//! A task's *pass* grows as it runs, the slower the more tickets it has; the task with the least pass goes next. A task that was away comes
//! back with the distance to the others that it had when it left. Who is stolen comes to its new queue without one.

use super::keyed::Keyed;
use super::{Context, Options, Policy, TaskId, Why};

/// Pass of a task with one ticket after one sub-tick.
const STRIDE: u128 = 1 << 32;

/// Ready tasks by pass.
#[derive(Debug)]
pub struct Stride {
    queue: Keyed<u128>,
    quantum: u64,
    /// While a task is here or runs: its pass. While it is away: how far it was ahead of all.
    passes: Vec<u128>,
    /// What the last charges left over, in parts of one by tickets: nobody comes before an equal because it had its time in more pieces.
    rests: Vec<u32>,
    /// Pass of a task that had all tickets.
    global: u128,
    global_rest: u128,
    /// Tickets of tasks that are here or run.
    tickets: u128,
}

impl Policy for Stride {
    const CHARGES: bool = true;
    const BYTES_PER_TASK: usize = size_of::<u128>() + size_of::<u32>();

    fn new(options: &Options<'_>) -> Self {
        Self {
            queue: Keyed::default(),
            quantum: options.scenario.policy.quantum.map_or(u64::MAX, |quantum| options.ticks(quantum).max(1)),
            passes: Vec::new(),
            rests: Vec::new(),
            global: 0,
            global_rest: 0,
            tickets: 0,
        }
    }

    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        if self.passes.len() <= task as usize {
            self.passes.resize(context.tasks.room(), 0);
            self.rests.resize(context.tasks.room(), 0);
        }
        let pass = &mut self.passes[task as usize];
        match why {
            Why::Arrived | Why::Moved => (*pass, self.rests[task as usize]) = (self.global, 0),
            Why::IoDone | Why::Woken => *pass += self.global,
            Why::SliceEnded | Why::Yielded | Why::Preempted => {}
        }
        if !matches!(why, Why::SliceEnded | Why::Yielded | Why::Preempted) {
            self.tickets += u128::from(context.tasks.tickets(task).max(1));
            self.global_rest = 0;
        }
        self.queue.push(*pass, task, why, context);
    }

    fn pick(&mut self, _: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        self.queue.pop(allowed)
    }

    fn len(&self) -> usize {
        self.queue.len()
    }

    fn slice(&mut self, _: TaskId, _: &Context<'_>) -> u64 {
        self.quantum
    }

    fn charge(&mut self, task: TaskId, ran: u64, context: &Context<'_>) {
        let (rest, tickets) = (&mut self.rests[task as usize], u128::from(context.tasks.tickets(task).max(1)));
        let work = u128::from(ran) * STRIDE;
        let total = work + u128::from(*rest);
        self.passes[task as usize] += total / tickets;
        *rest = (total % tickets) as u32;
        let (total, tickets) = (work + self.global_rest, self.tickets.max(1));
        self.global += total / tickets;
        self.global_rest = total % tickets;
    }

    fn leave(&mut self, task: TaskId, _: bool, context: &Context<'_>) {
        self.passes[task as usize] = self.passes[task as usize].saturating_sub(self.global);
        self.global_rest = 0;
        self.tickets = self.tickets.saturating_sub(u128::from(context.tasks.tickets(task).max(1)));
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
