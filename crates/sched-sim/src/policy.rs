//! Scheduling policies: who of the ready tasks gets a core, for how long, and who takes it from whom.
//!
//! A policy is a queue with an opinion. It sees tasks only through [`Tasks`], never the cores or the clock's events; the engine asks it
//! and does the rest. With one queue per core there is one policy object per core, each knowing its own tasks.
//!
//! | event | call |
//! |---|---|
//! | a task becomes ready (and why) | [`Policy::enqueue`] |
//! | a core is free | [`Policy::pick`], then [`Policy::slice`] |
//! | a task ran for some time | [`Policy::charge`] |
//! | its slice is over | [`Policy::tick`] |
//! | it blocks or ends | [`Policy::leave`] |
//! | a ready task found no free core, or one with an affinity was put back | [`Policy::preempts`], until nobody is ready who may take a core |
//!
//! `ps` and `las` share a core among several tasks at once, in the limit of infinitely small quanta; they are [`fluid`]s.

pub mod cfs;
pub mod edf;
pub mod eevdf;
pub mod fifo;
pub mod fluid;
pub mod keyed;
pub mod las;
pub mod lottery;
pub mod mlfq;
pub mod priority;
pub mod ps;
pub mod rm;
pub mod rr;
pub mod sjf;
pub mod srpt;
pub mod stride;
mod weights;
pub mod work_stealing;

pub use weights::NICE_TO_WEIGHT;

pub use crate::engine::{TaskId, Tasks};

use crate::random::Random;
use crate::scenario::{PolicyKind, Queues, Scenario};
use crate::time::TimeScale;

/// Why a task became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is new.
    Arrived,
    /// Its I/O is done, or its sleep is over.
    IoDone,
    /// Another task woke it.
    Woken,
    /// Its slice is over.
    SliceEnded,
    /// It offered the core to others.
    Yielded,
    /// Another task took the core.
    Preempted,
    /// It comes from another core's queue.
    Moved,
}

/// What shall be when a slice is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// The task stays and gets another slice.
    Stay,
    /// The task leaves the core and is enqueued.
    Leave,
}

/// The most a policy is told when it is asked something.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time, in sub-ticks.
    pub now: u64,
    /// The tasks.
    pub tasks: &'a Tasks,
}

/// How a policy is made: its options in sub-ticks.
#[derive(Debug)]
pub struct Options<'a> {
    /// The scenario, whose policy section has the options.
    pub scenario: &'a Scenario,
    /// How its times become sub-ticks.
    pub scale: TimeScale,
    pub(crate) random: Random,
}

impl Options<'_> {
    /// A time of the scenario in sub-ticks.
    pub fn ticks(&self, units: f64) -> u64 {
        self.scale.ticks(units)
    }

    /// A time in milliseconds in sub-ticks: for defaults that stand for a real system's. A tick counts as one millisecond.
    pub fn milliseconds(&self, milliseconds: f64) -> u64 {
        self.scale.ticks(crate::engine::milliseconds(self.scenario.time_unit, milliseconds))
    }
}

/// Who of the ready tasks gets a core.
pub trait Policy: Sized {
    /// Can [`Policy::preempts`] ever say yes?
    const PREEMPTIVE: bool = false;
    /// Is the end of a slice no more than going to the end of the queue, as in round robin, and can nobody who is enqueued later go before who is there?
    /// Then [`Policy::first`] says who is next.
    const TAKES_TURNS: bool = false;
    /// Does [`Policy::charge`] do anything?
    const CHARGES: bool = false;
    /// Bytes that a queue keeps of every task of the run, whether it is in this queue or not.
    const BYTES_PER_TASK: usize = 0;

    /// A policy for one queue.
    fn new(options: &Options<'_>) -> Self;

    /// Takes a task that is ready.
    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>);

    /// Gives the task that goes next, of those that are allowed (on the core that asks), and forgets it.
    fn pick(&mut self, context: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId>;

    /// The task that [`Policy::pick`] gives if all are allowed, of a policy that takes turns.
    fn first(&self) -> Option<TaskId> {
        None
    }

    /// Gives a task to another core's queue: by default the one that would go next.
    fn steal(&mut self, context: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        self.pick(context, allowed)
    }

    /// A task comes from another core's queue, and will be enqueued as [`Why::Moved`]: takes over what that queue knows of it.
    fn take_over(&mut self, _task: TaskId, _from: &Self) {}

    /// How many tasks are in the queue.
    fn len(&self) -> usize;

    /// Is the queue empty?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the task may run from `context.now` on before [`Policy::tick`] is asked; [`u64::MAX`] is for ever.
    fn slice(&mut self, _task: TaskId, _context: &Context<'_>) -> u64 {
        u64::MAX
    }

    /// Does a slice keep its core to the end, even if the task needs less?
    fn keeps_core(&self) -> bool {
        false
    }

    /// The level the task is at, as the timeline shows it: the largest number is the highest.
    fn level(&self, _task: TaskId) -> Option<u32> {
        None
    }

    /// The running task's slice is over.
    fn tick(&mut self, _task: TaskId, _context: &Context<'_>) -> Tick {
        Tick::Leave
    }

    /// Shall all who run be charged up to now before the task is enqueued?
    fn needs_present(&self, _task: TaskId) -> bool {
        false
    }

    /// The task ran for so many sub-ticks.
    fn charge(&mut self, _task: TaskId, _ran: u64, _context: &Context<'_>) {}

    /// The running task blocks, or has ended: it is not this policy's until it is enqueued again.
    fn leave(&mut self, _task: TaskId, _ended: bool, _context: &Context<'_>) {}

    /// A task that slept has ended, without having come back to a queue.
    fn end_asleep(&mut self, _task: TaskId, _context: &Context<'_>) {}

    /// Shall the ready task take the core from the running one?
    fn preempts(&self, _ready: TaskId, _running: TaskId, _context: &Context<'_>) -> bool {
        false
    }

    /// The running task goes on from one burst to the next, of which so much is left as the context says. Gives who of those that are allowed on its core is
    /// to be asked whether it [`Policy::preempts`] for that.
    fn next_burst(
        &mut self,
        _task: TaskId,
        _context: &Context<'_>,
        _allowed: impl FnMut(TaskId) -> bool,
    ) -> Option<TaskId> {
        None
    }

    /// Takes a ready task out of the queue (it was killed). Returns whether it was there.
    fn remove(&mut self, task: TaskId) -> bool;

    /// The time for lifting all tasks has come (mlfq). No task is running.
    fn boost(&mut self, _context: &Context<'_>) {}

    /// Was there a random choice to make for which the scenario's list had no draw left? Then the run ends.
    fn is_exhausted(&self) -> bool {
        false
    }

    /// Draws of a lottery, in order: winners and the tickets that were in the game.
    fn draws(&mut self) -> Option<Draws> {
        None
    }
}

/// Bytes that all queues of a scenario's policy together keep of every task: with a queue per core each has a column of its own.
pub(crate) fn bytes_per_task(scenario: &Scenario) -> u64 {
    let bytes = match scenario.policy.kind {
        PolicyKind::Sjf => sjf::Sjf::BYTES_PER_TASK,
        PolicyKind::Mlfq => mlfq::Mlfq::BYTES_PER_TASK,
        PolicyKind::Lottery => lottery::Lottery::BYTES_PER_TASK,
        PolicyKind::Stride => stride::Stride::BYTES_PER_TASK,
        PolicyKind::Cfs => cfs::Cfs::BYTES_PER_TASK,
        PolicyKind::Eevdf => eevdf::Eevdf::BYTES_PER_TASK,
        PolicyKind::Fifo
        | PolicyKind::Srpt
        | PolicyKind::Las
        | PolicyKind::Ps
        | PolicyKind::Rr
        | PolicyKind::Priority
        | PolicyKind::Rm
        | PolicyKind::Edf
        | PolicyKind::WorkStealing => 0,
    };
    let queues = if scenario.policy.queues() == Queues::Shared { 1 } else { scenario.machine.cores };
    bytes as u64 * u64::from(queues)
}

/// What a lottery drew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draws {
    /// The tasks that won.
    pub winners: Vec<TaskId>,
    /// How many tickets took part.
    pub live_tickets: Vec<u64>,
    /// When, in sub-ticks.
    pub times: Vec<u64>,
    /// There were more than `limits.recorded`.
    pub truncated: bool,
}
