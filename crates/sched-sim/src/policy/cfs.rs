//! Linux's completely fair scheduler, up to 6.5: the task that has had the least for its weight goes next.
//!
//! A task's *virtual runtime* is its time on a core over its weight. Each task shall get a turn within a latency of eight base slices, and no
//! turn is shorter than a base slice. Who slept comes back with at most half a latency of credit. The running task is found to have used up
//! its turn only at a `tick`. Per-core load balancing beyond stealing is not modelled.
//! Who is stolen starts where its new queue is: Linux would keep how far it was ahead or behind (`dequeue_entity`).

use super::keyed::Keyed;
use super::weights::weight;
use super::{Context, Options, Policy, TaskId, Tick, Why};

/// Virtual runtime has so many bits below a sub-tick, at the weight of nice 0.
const FRACTION: u32 = 16;
const NICE_0: u128 = 1024;

/// Ready tasks by virtual runtime.
#[derive(Debug)]
pub struct Cfs {
    queue: Keyed<u128>,
    runtimes: Vec<u128>,
    /// Never goes back; where newcomers start.
    least: u128,
    /// Weights of all that are here or run.
    load: u64,
    slice: u64,
    tick: Option<u64>,
    wakeup_preemption: bool,
    /// When the running task's turn ends, by task.
    turn_ends: Vec<u64>,
}

/// Sub-ticks as virtual runtime at a weight.
fn virtual_time(ran: u64, weight: u64) -> u128 {
    (u128::from(ran) << FRACTION) * NICE_0 / u128::from(weight)
}

/// Time from `now` to the next tick; the whole turn if the timer is as fine as needed.
pub(crate) fn until_tick(now: u64, tick: Option<u64>, turn: u64) -> u64 {
    tick.map_or(turn, |tick| tick - now % tick)
}

/// The policy's tick in sub-ticks: 4 ms unless the scenario says otherwise.
pub(crate) fn tick_of(options: &Options<'_>) -> Option<u64> {
    match options.scenario.policy.tick {
        None => Some(options.milliseconds(4.0).max(1)),
        Some(tick) => tick.map(|tick| options.ticks(tick).max(1)),
    }
}

impl Cfs {
    fn turn(&self, task: TaskId, context: &Context<'_>) -> u64 {
        let latency = 8 * u128::from(self.slice);
        let share = latency * u128::from(weight(context.tasks.nice(task))) / u128::from(self.load.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).max(self.slice)
    }
}

impl Policy for Cfs {
    const PREEMPTIVE: bool = true;
    const CHARGES: bool = true;
    const BYTES_PER_TASK: usize = size_of::<u128>() + size_of::<u64>();

    fn new(options: &Options<'_>) -> Self {
        let policy = &options.scenario.policy;
        Self {
            queue: Keyed::default(),
            runtimes: Vec::new(),
            least: 0,
            load: 0,
            slice: policy.base_slice.map_or_else(|| options.milliseconds(0.75), |slice| options.ticks(slice)).max(1),
            tick: tick_of(options),
            wakeup_preemption: policy.wakeup_preemption,
            turn_ends: Vec::new(),
        }
    }

    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        if self.runtimes.len() <= task as usize {
            self.runtimes.resize(context.tasks.room(), 0);
            self.turn_ends.resize(context.tasks.room(), 0);
        }
        let credit = virtual_time(4 * self.slice, 1024);
        let runtime = &mut self.runtimes[task as usize];
        match why {
            Why::Arrived | Why::Moved => *runtime = self.least,
            Why::IoDone | Why::Woken => *runtime = (*runtime).max(self.least.saturating_sub(credit)),
            Why::SliceEnded | Why::Yielded | Why::Preempted => {}
        }
        if !matches!(why, Why::SliceEnded | Why::Yielded | Why::Preempted) {
            self.load += weight(context.tasks.nice(task));
        }
        self.queue.push(*runtime, task, why, context);
    }

    fn pick(&mut self, context: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        let task = self.queue.pop(allowed)?;
        self.least = self.least.max(self.runtimes[task as usize]);
        self.turn_ends[task as usize] = context.now.saturating_add(self.turn(task, context));
        Some(task)
    }

    fn len(&self) -> usize {
        self.queue.len()
    }

    fn slice(&mut self, task: TaskId, context: &Context<'_>) -> u64 {
        let turn = self.turn_ends[task as usize].saturating_sub(context.now).max(1);
        until_tick(context.now, self.tick, turn)
    }

    fn tick(&mut self, task: TaskId, context: &Context<'_>) -> Tick {
        if context.now < self.turn_ends[task as usize] {
            return Tick::Stay;
        }
        Tick::Leave
    }

    fn charge(&mut self, task: TaskId, ran: u64, context: &Context<'_>) {
        self.runtimes[task as usize] += virtual_time(ran, weight(context.tasks.nice(task)));
    }

    fn leave(&mut self, task: TaskId, _: bool, context: &Context<'_>) {
        self.load = self.load.saturating_sub(weight(context.tasks.nice(task)));
    }

    fn preempts(&self, ready: TaskId, running: TaskId, context: &Context<'_>) -> bool {
        let margin = virtual_time(self.slice, weight(context.tasks.nice(ready)));
        self.wakeup_preemption && self.runtimes[ready as usize] + margin < self.runtimes[running as usize]
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
