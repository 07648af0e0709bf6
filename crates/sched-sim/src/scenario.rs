//! What is simulated: the types of `sched-scenario/0`, as they stand in a JSON or TOML file.
//!
//! Every time is a number in the scenario's [`TimeUnit`]; fractions are allowed. Nothing here computes: [`crate::check`] says what
//! is wrong with a scenario, [`crate::simulate`] runs it, and [`read`] gets it from a file.

mod build;
mod generate;
mod machine;
mod policy;
mod program;
pub mod read;

pub use generate::{Admission, Arrivals, Class, Closed, Distribution, Generator, MixturePart, PhasePart};
pub use machine::{Cache, Cost, CostShape, Costs, Machine, Progress, Smt};
pub use policy::{
    CoreOrder, Level, Pinned, Placement, Policy, PolicyKind, QuantumClock, Queues, SameInstant, Steal, StealFrom,
    StealTake,
};
pub use program::{Awaited, CpuTime, Nogil, Service, Step, StepKeys};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One simulation: a machine, what things cost, a policy, and the tasks or where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Always `sched-scenario/0`.
    pub schema: SchemaName,
    /// What one unit of time means.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// Seed of everything random; the same seed gives the same run everywhere.
    #[serde(default)]
    pub seed: u64,
    /// One sentence for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The hardware.
    pub machine: Machine,
    /// What the hardware and the system charge.
    #[serde(default)]
    pub costs: Costs,
    /// How the operating system chooses who runs.
    pub policy: Policy,
    /// What stands between the program and the operating system.
    #[serde(default)]
    pub runtime: Runtime,
    /// The tasks, if they are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    /// An open system: tasks that arrive at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<Generator>,
    /// A closed system: a fixed number of tasks that alternate between the cores and I/O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
    /// Classes that generated tasks belong to; the chances add up to 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// Who is let in.
    #[serde(default)]
    pub admission: Admission,
    /// Counting semaphores: name and initial count. One that is not listed starts at 0.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub semaphores: std::collections::BTreeMap<String, u32>,
    /// Bounded channels: name and capacity in messages. One that is not listed is unbounded.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub channels: std::collections::BTreeMap<String, u32>,
    /// Where random choices come from.
    #[serde(default)]
    pub randomness: Randomness,
    /// Ends the run at this time, finished or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// What the result shall contain; without it: all there is for listed tasks (up to 10,000), aggregates for generated ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Vec<Record>>,
    /// What a run may use before it is stopped.
    #[serde(default)]
    pub limits: Limits,
}

/// The name and version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SchemaName {
    /// The only version there is.
    #[default]
    #[serde(rename = "sched-scenario/0")]
    Version0,
}

/// What one unit of time means. Inside, time is an integer count of a fraction of it: see [`crate::time`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// No particular time: a textbook's tick.
    #[default]
    Tick,
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// The mean service time of a queueing model.
    ServiceMean,
}

/// One task: what it runs and how the system sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// A number of its own.
    pub id: u32,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// So many tasks of this kind, with ids `id`, `id + 1`, ...
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u32,
    /// When it arrives.
    #[serde(default)]
    pub arrival: f64,
    /// Started by another task's `spawn`, not by its arrival.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spawned: bool,
    /// The process it belongs to: tasks of one process share one GIL or one loop.
    #[serde(default)]
    pub process: u32,
    /// Niceness for cfs and eevdf, -20 to 19.
    #[serde(default)]
    pub nice: i8,
    /// Tickets for lottery and stride.
    #[serde(default = "hundred")]
    pub tickets: u32,
    /// For `priority`: the smaller, the more urgent.
    #[serde(default)]
    pub priority: u32,
    /// Time after each release by which the job has to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<f64>,
    /// Releases the program again and again with this distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<f64>,
    /// The cores it may run on; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Vec<u32>>,
    /// How much cache it wants, in the unit of `machine.cache.capacity`.
    #[serde(default)]
    pub working_set: f64,
    /// What it does with a core, for SMT siblings: equal words are of the same kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its steps, in order.
    pub program: Vec<Step>,
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_one(n: &u32) -> bool {
    *n == 1
}

fn hundred() -> u32 {
    100
}

/// What stands between tasks and threads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Runtime {
    /// Which model.
    pub kind: RuntimeKind,
    /// The GIL of Python 2: see [`Gil2`].
    pub gil2: Gil2,
    /// The GIL of Python 3.2 and later: see [`Gil3`].
    pub gil3: Gil3,
    /// Workers of a pool, or threads of `m_n`. Without it: one per core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// How many tasks may wait for a worker; more are dropped. Without it: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_limit: Option<u32>,
    /// Which tasks share one GIL or one loop. Without it: the tasks' own `process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<Vec<u32>>>,
}

/// Which model of a language's runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// A task is a thread of the operating system.
    #[default]
    Native,
    /// Threads under Python 2's GIL.
    Gil2,
    /// Threads under the GIL of Python 3.2 and later.
    Gil3,
    /// Threads of a Python without a GIL: as `native`.
    FreeThreaded,
    /// One thread per process that runs tasks one after the other, up to their next `await`.
    EventLoop,
    /// A fixed number of threads that run tasks to their end.
    ThreadPool,
    /// A fixed number of processes that run tasks to their end, each with a GIL of its own.
    ProcessPool,
    /// A new thread for each task, which costs `thread_create`.
    ThreadPerRequest,
    /// Many tasks on few threads: a task that waits leaves its thread to the next.
    MN,
}

impl RuntimeKind {
    /// Are cores given to workers that run tasks, and not to the tasks themselves?
    pub fn has_workers(self) -> bool {
        matches!(self, Self::EventLoop | Self::ThreadPool | Self::ProcessPool | Self::MN)
    }
}

/// Python 2: the holder lets go of the GIL every so many ticks of the interpreter, signals, and fights for it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gil2 {
    /// `sys.setcheckinterval`: 100.
    pub check_interval_ticks: u32,
    /// How long a tick of the interpreter takes, in nanoseconds whatever the time unit.
    pub ns_per_tick: f64,
}

impl Default for Gil2 {
    fn default() -> Self {
        Self { check_interval_ticks: 100, ns_per_tick: 20.0 }
    }
}

/// Python 3.2: who waits longer than the interval asks for the GIL, and the holder hands it over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gil3 {
    /// `sys.setswitchinterval`, in the scenario's unit; without it 5 ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch_interval: Option<f64>,
    /// Who let go on request waits until another thread has had the GIL.
    pub force_switch: bool,
}

impl Default for Gil3 {
    fn default() -> Self {
        Self { switch_interval: None, force_switch: true }
    }
}

/// Where random choices come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Randomness {
    /// From the scenario's seed.
    #[default]
    Seed,
    /// From this list, one after the other: a random policy then does the same in every simulator.
    Draws {
        /// Numbers for lottery, whose run ends when there are no more; `choice` for stealing, without which nobody steals; `shuffle` for the order of
        /// cores, one per unit of time, and ascending when there are no more.
        draws: Vec<Draw>,
    },
}

/// One recorded random choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "that is no draw; give a number, { op = \"choice\", .. } or { op = \"shuffle\", .. }")]
pub enum Draw {
    /// A lottery's draw, before the modulo.
    Number(u64),
    /// Something else, said by `op`.
    Op(DrawOp),
}

/// One recorded random choice that is not a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DrawOp {
    /// The element at `index` was chosen from `n`.
    Choice {
        /// How many there were to choose from.
        n: u32,
        /// Which was chosen, from 0.
        index: u32,
    },
    /// The cores were served in this order.
    Shuffle {
        /// All core numbers.
        order: Vec<u32>,
    },
}

/// One thing that the result may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Record {
    /// `tasks`.
    #[serde(rename = "per_task")]
    PerTask,
    /// `dispatches`: one entry each time a task gets a core.
    #[serde(rename = "dispatches")]
    Dispatches,
    /// `run_segments`: time on a core without a break, whatever quanta it took.
    #[serde(rename = "run_segments")]
    RunSegments,
    /// `counters.switches` and its like are always counted; kept for the contract's sake.
    #[serde(rename = "switches")]
    Switches,
    /// `cores` is always filled; kept for the contract's sake.
    #[serde(rename = "utilization")]
    Utilization,
    /// How many threads were ready, and how many tasks waited in each queue of a pool, loop or M:N, at each change.
    #[serde(rename = "queue_depth")]
    QueueDepth,
    /// Who held which lock or GIL, and when: lanes of the timeline.
    #[serde(rename = "holders")]
    Holders,
    /// Quantiles of response times: of listed tasks until they first ran, of generated ones until they ended.
    #[serde(rename = "histogram:response")]
    ResponseHistogram,
    /// Quantiles of the times from arrival to end; of generated tasks the same as response times.
    #[serde(rename = "histogram:turnaround")]
    TurnaroundHistogram,
    /// Quantiles of waiting times.
    #[serde(rename = "histogram:wait")]
    WaitHistogram,
}

impl Record {
    /// Is it a part of the timeline, which grows as time goes on?
    pub fn is_timeline(self) -> bool {
        matches!(self, Self::Dispatches | Self::RunSegments | Self::QueueDepth | Self::Holders)
    }
}

/// What a run may use. A run that reaches a limit ends with what it has and says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Tasks that exist at one time.
    pub tasks: u64,
    /// State changes of tasks, and steps that take no time.
    pub events: u64,
    /// Bytes for tasks, timers, queues and what is kept of locks, each.
    pub memory: u64,
    /// Entries of the timeline (dispatches, segments, changes of queue depth), each.
    pub recorded: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tasks: 10_000_000, events: 10_000_000_000, memory: 8 << 30, recorded: 1_000_000 }
    }
}
