//! The policy section: which policy, and its options. What the options mean stands with each policy in [`crate::policy`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the operating system chooses who runs. Options that a policy has no use for are ignored.
#[allow(clippy::struct_excessive_bools)] // each is a word of the contract
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Which policy.
    pub kind: PolicyKind,
    /// Longest time on a core in one go (rr, lottery, stride, `work_stealing`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantum: Option<f64>,
    /// Where quanta end (rr).
    #[serde(default)]
    pub quantum_clock: QuantumClock,
    /// One queue for all cores, or one each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Queues>,
    /// Which queue a new task joins, if there is one per core.
    #[serde(default)]
    pub initial_placement: Placement,
    /// Who with an empty queue takes work from others, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal: Option<Steal>,
    /// In which order free cores are served.
    #[serde(default)]
    pub core_order: CoreOrder,
    /// What comes first among an arrival and the end of a quantum at one instant. Without it: `ends-first` for mlfq, as OSTEP's
    /// program has it, and `arrivals-first` for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_instant: Option<SameInstant>,
    /// Which of equal tasks goes first (sjf, srpt, priority, rm, edf): only `arrival-then-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tie: Option<String>,
    /// Does a more urgent arrival take the core away (priority, sjf)? Without it: priority yes, sjf no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemptive: Option<bool>,
    /// Levels of mlfq, the highest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Level>,
    /// mlfq lifts all tasks to the highest level at multiples of this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boost_every: Option<f64>,
    /// mlfq forgets what a task used of its quantum and allotment when it does I/O.
    #[serde(default)]
    pub io_resets_allotment: bool,
    /// mlfq puts a task whose I/O is done at the front of its level.
    #[serde(default)]
    pub io_done_to_front: bool,
    /// A lottery's slice keeps the core for a full quantum even if the task needs less.
    #[serde(default)]
    pub charge_full_quantum: bool,
    /// How a lottery's draw finds its winner: only the one way, kept for the contract's sake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// eevdf: what a task asks for at a time; cfs: the least it gets. Without it: 1.4 ms and 0.75 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_slice: Option<f64>,
    /// The timer tick of cfs and eevdf, at which alone a running task can be found to have used up its slice. `null` or 0 is a timer as
    /// fine as needed; without it: 4 ms (250 Hz).
    #[serde(default = "absent", deserialize_with = "present", skip_serializing_if = "is_absent")]
    pub tick: Option<Option<f64>>,
    /// Does a task that wakes up take the core from one that is less entitled (cfs, eevdf)?
    #[serde(default = "yes")]
    pub wakeup_preemption: bool,
    /// How niceness becomes a weight: only `linux`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice_to_weight: Option<String>,
}

fn yes() -> bool {
    true
}

#[allow(clippy::option_option)] // absent, null and a number are three things
fn absent() -> Option<Option<f64>> {
    None
}

#[allow(clippy::option_option, clippy::ref_option)] // as serde asks for it
fn is_absent(tick: &Option<Option<f64>>) -> bool {
    tick.is_none()
}

#[allow(clippy::option_option)]
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<f64>>, D::Error> {
    // TOML has no null.
    Option::<f64>::deserialize(from).map(|tick| Some(tick.filter(|tick| *tick != 0.0)))
}

impl Policy {
    /// One queue for all cores, or one each: what `queues` says, or what the policy has by itself.
    pub fn queues(&self) -> Queues {
        let own = if self.kind == PolicyKind::WorkStealing { Queues::PerCore } else { Queues::Shared };
        self.queues.unwrap_or(own)
    }

    /// A policy with nothing but its kind.
    pub fn of(kind: PolicyKind) -> Self {
        Self {
            kind,
            quantum: None,
            quantum_clock: QuantumClock::default(),
            queues: None,
            initial_placement: Placement::default(),
            steal: None,
            core_order: CoreOrder::default(),
            same_instant: None,
            tie: None,
            preemptive: None,
            levels: Vec::new(),
            boost_every: None,
            io_resets_allotment: false,
            io_done_to_front: false,
            charge_full_quantum: false,
            winner: None,
            base_slice: None,
            tick: None,
            wakeup_preemption: true,
            nice_to_weight: None,
        }
    }
}

/// The policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each has a file of its own that says what it is
pub enum PolicyKind {
    Fifo,
    Sjf,
    Srpt,
    Las,
    Ps,
    Rr,
    Priority,
    Mlfq,
    Lottery,
    Stride,
    Cfs,
    Eevdf,
    Rm,
    Edf,
    WorkStealing,
}

/// Where quanta end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuantumClock {
    /// A quantum after the task got the core.
    #[default]
    PerDispatch,
    /// At multiples of the quantum, as a periodic timer interrupt does.
    Global,
}

/// One queue for all cores, or one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Queues {
    /// One for all; the default of all policies but `work_stealing`.
    Shared,
    /// One per core.
    PerCore,
}

/// Which queue a new task joins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// In turn: that of the core which was given the fewest so far, of those where the task may run; of equals the lowest number.
    #[default]
    RoundRobin,
    /// The shortest, counting who runs.
    LeastLoaded,
    /// That of the core number (a hash of the task's id) modulo the cores.
    Hash,
}

/// How a core without work takes some from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steal {
    /// At multiples of this time every core with an empty queue tries; absent or 0: a core tries whenever it has nothing to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<f64>,
    /// Whom it asks.
    #[serde(default)]
    pub from: StealFrom,
    /// What it takes.
    #[serde(default)]
    pub take: StealTake,
    /// What holds for tasks with an `affinity` of their own.
    #[serde(default)]
    pub pinned: Pinned,
}

/// Whom a thief asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StealFrom {
    /// One of the other cores at random, whether it has work or not.
    #[default]
    RandomOther,
    /// The one with the longest queue.
    Busiest,
}

/// What a thief takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StealTake {
    /// The first task that may run at the thief's.
    #[default]
    FirstAllowed,
    /// Half of the queue, from its front.
    Half,
}

/// What holds for tasks with an `affinity` of their own when others steal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pinned {
    /// They are never stolen, even if they could run at the thief's: so OSTEP's `multi.py` does (by mistake, it seems).
    #[default]
    NeverStolen,
    /// They are stolen by cores they may run on.
    IfAllowed,
}

/// In which order free cores are served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CoreOrder {
    /// From core 0 on.
    #[default]
    Ascending,
    /// In another random order in each unit of time.
    Shuffled,
}

/// What comes first among an arrival and the end of a quantum at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SameInstant {
    /// Boost, then arrivals and finished I/O, then ends of quanta and bursts.
    ArrivalsFirst,
    /// Ends of quanta and bursts first.
    EndsFirst,
}

/// One level of mlfq.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Longest time on a core in one go.
    pub quantum: f64,
    /// Quanta until the task sinks to the next level.
    #[serde(default = "one_quantum")]
    pub allotment: u32,
}

fn one_quantum() -> u32 {
    1
}
