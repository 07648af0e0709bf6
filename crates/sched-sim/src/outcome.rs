//! What comes out of a run: the types of `sched-result/0`. All times are in the scenario's unit.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::TimeUnit;

/// The result of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Always `sched-result/0`.
    pub schema: ResultSchema,
    /// The unit of all times.
    pub time_unit: TimeUnit,
    /// Why the run ended.
    pub stopped: StopReason,
    /// When the last task ended, or the run did.
    pub finish_time: f64,
    /// Time in which cores had nothing to run, over all cores.
    pub idle_ticks: f64,
    /// What became of each task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskOutcome>,
    /// Means over all listed tasks that have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Means>,
    /// Each time a task had a core, by start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatches: Option<Vec<Segment>>,
    /// Time on a core without a break, by core and start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_segments: Option<Vec<Segment>>,
    /// The timeline reached `limits.recorded` and lacks its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The cores.
    pub cores: Vec<CoreOutcome>,
    /// Quantiles by name: `response`, `wait`, `mark:NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub histograms: BTreeMap<String, Quantiles>,
    /// What was counted.
    pub counters: Counters,
    /// What queueing theory would predict, by the names it uses.
    pub aggregates: BTreeMap<String, Aggregate>,
    /// A lottery's winners, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winners: Option<Vec<u32>>,
    /// Tickets in the game at each of a lottery's draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_tickets: Option<Vec<u64>>,
    /// How many threads were ready, at each change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_depth: Option<Vec<Depth>>,
    /// The queues in which tasks wait for a worker of a pool, for their event loop, or for a thread of M:N.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work_queues: Vec<WorkQueue>,
    /// Who held which lock or GIL, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holders: Option<Vec<Holder>>,
    /// Who waits for whom, if the run ended in a deadlock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadlock: Option<Deadlock>,
    /// A hash of all arrivals, dispatches and departures: 16 hex digits, the same for the same scenario everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The name and version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResultSchema {
    /// The only version there is.
    #[default]
    #[serde(rename = "sched-result/0")]
    Version0,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum StopReason {
    /// All tasks have ended.
    Finished,
    /// The time `until` was reached.
    Until,
    /// Tasks wait, and nothing will ever wake them: see `deadlock`.
    Deadlock,
    /// A task goes through its program without taking time.
    Livelock {
        /// Its id.
        task: u32,
    },
    /// A task gave back a lock that it did not hold.
    NotTheHolder {
        /// Its id.
        task: u32,
        /// The lock.
        lock: String,
    },
    /// A task was spawned a second time.
    SpawnedTwice {
        /// Its id.
        task: u32,
    },
    /// `randomness.draws` had fewer draws than the run needed.
    DrawsExhausted,
    /// `limits.events` was reached.
    EventLimit,
    /// `limits.tasks` was reached.
    TaskLimit,
    /// `limits.memory` was reached.
    MemoryLimit,
    /// The clock can't count further: see [`crate::time`].
    EndOfTime,
    /// Somebody ended it from outside.
    Interrupted,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Finished => write!(f, "all tasks have ended"),
            Self::Until => write!(f, "`until` was reached"),
            Self::Deadlock => write!(f, "deadlock: tasks wait and nothing will wake them"),
            Self::Livelock { task } => {
                write!(f, "task {task} goes round without taking time: give its loop a cpu step")
            }
            Self::NotTheHolder { task, lock } => write!(f, "task {task} unlocked {lock:?} without holding it"),
            Self::SpawnedTwice { task } => write!(f, "task {task} was spawned a second time"),
            Self::DrawsExhausted => write!(f, "randomness.draws has fewer draws than the run needs"),
            Self::EventLimit => write!(f, "limits.events was reached"),
            Self::TaskLimit => write!(f, "limits.tasks was reached"),
            Self::MemoryLimit => write!(f, "limits.memory was reached"),
            Self::EndOfTime => write!(f, "the clock can't count further: use a coarser time_unit"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

/// What became of a task. Times are `null` for what did not happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskOutcome {
    /// The scenario's id.
    pub id: u32,
    /// The scenario's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// First time on a core, minus arrival.
    pub response: Option<f64>,
    /// End minus arrival; of a periodic task: of its first job.
    pub turnaround: Option<f64>,
    /// Turnaround minus time on cores and in I/O; of a periodic task: of its first job.
    pub wait: Option<f64>,
    /// When it ended; a periodic task: its first job.
    pub finish: Option<f64>,
    /// Time on cores, without switching.
    pub cpu: f64,
    /// Time in I/O and sleep.
    pub io: f64,
    /// How often it got a core that had run another task.
    pub switches: u32,
    /// How often it got another core than before.
    pub migrations: u32,
    /// Jobs done, of a periodic task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u64>,
    /// Jobs that were late, or are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_misses: Option<u64>,
    /// The longest that a job took from its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_turnaround: Option<f64>,
}

/// Means over tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Means {
    /// Of first time on a core minus arrival.
    pub response: f64,
    /// Of end minus arrival.
    pub turnaround: f64,
    /// Of turnaround minus time on cores and in I/O.
    pub wait: f64,
}

/// A task on a core.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// The core.
    pub cpu: u32,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub len: f64,
    /// The task's id; of a worker that has no task yet a number that no task has.
    pub task: u32,
    /// The level it ran at (mlfq), the largest being the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
}

/// A core.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoreOutcome {
    /// Its number.
    pub cpu: u32,
    /// Time with a task, in percent of the run.
    pub utilization_pct: f64,
    /// Time with a task whose working set was in the cache, in percent of the run.
    pub warm_pct: f64,
    /// Time spent switching, moving and waking tasks.
    pub switch_time: f64,
}

/// Quantiles of a time, each at most 0.1 % off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // pNN is what NN % stay below
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// State changes of tasks.
    pub events: u64,
    /// Steps that took no time, and ticks after which a task just went on. They count for `limits.events`, too.
    #[serde(default)]
    pub idle_steps: u64,
    /// Cores that went on with another task than before.
    pub switches: u64,
    /// Tasks that went on at another core than before.
    pub migrations: u64,
    /// Jobs that were late.
    pub deadline_misses: u64,
    /// Tasks that arrived.
    pub arrivals: u64,
    /// Tasks that were not let in.
    pub drops: u64,
    /// How often a GIL changed hands.
    pub gil_switches: u64,
    /// Bytes sent through channels.
    pub bytes: u64,
}

/// A number, or one per class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Aggregate {
    /// A number.
    One(f64),
    /// One per class.
    PerClass(Vec<f64>),
}

impl Aggregate {
    /// The number, if it is one.
    pub fn one(&self) -> Option<f64> {
        if let Self::One(number) = self { Some(*number) } else { None }
    }
}

/// A queue in front of workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkQueue {
    /// `pool`, `loop NUMBER` (one per process), `m:n threads`.
    pub name: String,
    /// How many workers take from it.
    pub workers: u32,
    /// Tasks that waited in it, on average over time.
    pub mean_depth: f64,
    /// The most that waited in it.
    pub max_depth: u32,
    /// How many waited, at each change, if the record has `queue_depth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<Vec<Depth>>,
}

/// How long a queue was from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Depth {
    /// The time.
    pub time: f64,
    /// What waits in it for a core, or for a worker.
    pub ready: u32,
}

/// Who held a lock or a GIL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// `lock NAME` or `gil NUMBER`.
    pub what: String,
    /// The task's id.
    pub task: u32,
    /// From when.
    pub start: f64,
    /// How long.
    pub len: f64,
}

/// Who waits for whom for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deadlock {
    /// All who wait.
    pub waiting: Vec<Blocked>,
    /// Tasks that wait for one another in a circle; empty if there is none (somebody ended and left others waiting).
    pub cycle: Vec<u32>,
}

/// A task that waits for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    /// Its id.
    pub task: u32,
    /// What it waits for.
    pub waits_for: String,
    /// Who could end its waiting, if that is one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<u32>,
    /// That one has ended already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holder_has_ended: bool,
}

impl Outcome {
    /// An aggregate that is one number.
    pub fn aggregate(&self, name: &str) -> Option<f64> {
        self.aggregates.get(name).and_then(Aggregate::one)
    }

    /// The outcome of a task.
    pub fn task(&self, id: u32) -> Option<&TaskOutcome> {
        self.tasks.iter().find(|task| task.id == id)
    }
}
