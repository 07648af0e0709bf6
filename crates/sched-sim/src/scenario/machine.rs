//! The hardware and what it charges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The hardware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Cores as the operating system counts them: an SMT sibling is one, too.
    pub cores: u32,
    /// Siblings that share one physical core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smt: Option<Smt>,
    /// Cores that share their last-level cache; moving inside a group costs no migration. Absent: all share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llc_groups: Option<Vec<Vec<u32>>>,
    /// A cache per core that makes a task faster once it is warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

/// Siblings: each runs slower while the other is busy. Cores 0 .. `threads_per_core` are the first physical core, and so on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smt {
    /// Siblings per physical core.
    pub threads_per_core: u32,
    /// Speed of each (1 = alone) while a sibling runs a task of the same `kind`.
    pub factor_same_kind: f64,
    /// Speed of each while its siblings run only tasks of another `kind`.
    pub factor_mixed: f64,
}

/// A warm cache, after OSTEP's `multi.py`: `warmup` units of running fill it for one task, which then works at `warm_rate`.
///
/// Working sets stay until newer ones need the room, the oldest leaves first. One larger than the capacity is never warm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Working sets that fit, in total.
    pub capacity: f64,
    /// Time on the core until the working set is in.
    pub warmup: f64,
    /// Work done per unit of time while cold.
    pub cold_rate: f64,
    /// Work done per unit of time while warm.
    pub warm_rate: f64,
    /// How work is counted.
    #[serde(default)]
    pub progress: Progress,
}

/// How work is counted on a core with a cache model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// A burst ends at a whole unit of time: what the last unit had to spare is lost, and no burst takes less than one unit.
    /// So OSTEP's `multi.py` does.
    #[default]
    WholeUnits,
    /// A burst ends when its work is done.
    Continuous,
}

/// What things cost, in units of time, or drawn from a distribution each time. All are 0 by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Costs {
    /// A core goes on with another task than it ran last.
    pub context_switch: Cost,
    /// A task goes on at a core of another last-level cache than before.
    pub migration: Cost,
    /// A call into the kernel that may block: I/O, sleep, a contended lock.
    pub mode_switch: Cost,
    /// A task that was woken gets to run on the core of the one who woke it, right after that.
    pub wakeup_same_core: Cost,
    /// A task that was woken gets to run on another core, or on one that was idle: an interrupt, and an idle state to leave.
    pub wakeup_cross_core: Cost,
    /// How much later than asked for a timer of a sleep or of a timed wait is due: Linux gives ordinary threads a slack of 50 us.
    pub timer_slack: Cost,
    /// Starting a thread.
    pub thread_create: Cost,
    /// Joining a thread that has ended.
    pub thread_join: Cost,
    /// Starting a process (of a process pool).
    pub process_create: Cost,
    /// Starting a task on an event loop or on `m_n`.
    pub task_create: Cost,
    /// A loop or a worker goes on with another task than it had last; also with its first.
    pub task_switch: Cost,
    /// The timer interrupt at each end of a quantum or tick.
    pub tick_interrupt: Cost,
    /// Taking a lock that is free.
    pub lock_uncontended: Cost,
    /// Until the thread that has the new GIL notices, on another core, that it was asked for it: whether the one that asked is asleep by then decides
    /// who gets it.
    pub gil_notice: Cost,
    /// Passing the GIL on.
    pub gil_handoff: Cost,
}

/// A cost: a number, or a distribution by two of its quantiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "that is no cost; give a number, or { dist = \"lognormal\", p50 = 5, p99 = 40 }")]
pub enum Cost {
    /// Always the same.
    Fixed(f64),
    /// Drawn anew each time.
    Random(CostShape),
}

/// A distribution by two of its quantiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "dist", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CostShape {
    /// The logarithm is normal.
    Lognormal {
        /// The median.
        p50: f64,
        /// What 99 % stay below.
        p99: f64,
    },
}

impl Default for Cost {
    fn default() -> Self {
        Self::Fixed(0.0)
    }
}

impl From<f64> for Cost {
    fn from(cost: f64) -> Self {
        Self::Fixed(cost)
    }
}
