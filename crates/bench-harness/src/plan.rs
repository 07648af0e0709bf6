//! What is to be compared, as data.

use std::time::Duration;

use crate::host::{Launch, Limits};
use crate::placement::Placement;
use crate::protocol::Params;
use crate::report::Kind;
use crate::stats::Looks;

/// One comparison to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Workload with variant, as the contenders know it.
    pub workload: String,
    /// What it does, in a sentence, for whoever reads the report.
    pub summary: String,
    /// The kind of work that it tells about, as `Making units of work`; those of a kind stand together in a report.
    pub topic: String,
    /// How it is counted.
    pub kind: Kind,
    /// Its parameters.
    pub params: Params,
    /// Where it runs.
    pub placement: Placement,
    /// What one operation is, as `unit`.
    pub operation: String,
    /// What is compared: [`WALL`] or the name of one of the workload's values.
    pub metric: String,
    /// The contender that all ratios are against.
    pub reference: String,
    /// Whether the reference takes part twice, which tells how noisy the machine is. Without it only where the comparison is
    /// itself one of a thing with itself.
    pub with_twin: bool,
    /// Ratios this close to 1 count as equal, as 0.01.
    pub margin: f64,
    /// For memory: the sizes that replace the parameter `n`, one fresh child each.
    pub sizes: Vec<u64>,
    /// Who takes part, the reference among them.
    pub entries: Vec<Entry>,
}

/// The metric that every workload has: wall time per operation.
pub const WALL: &str = "wall_ns";
/// The CPU time per operation.
pub const CPU: &str = "cpu_ns";
/// The contender that multiples of the possible are against, where it takes part.
pub const FLOOR: &str = "floor";

/// One contender of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name in the table.
    pub name: String,
    /// How to start it.
    pub launch: Launch,
    /// Parameters of its own, over the workload's.
    pub params: Vec<(String, u64)>,
}

impl Plan {
    /// The name under which the reference takes part a second time.
    pub fn twin(&self) -> String {
        twin_of(&self.reference)
    }

    /// Workload and placement, as progress shows it.
    pub fn title(&self) -> String {
        format!("{} · {}", self.workload, self.placement.name())
    }
}

/// The name of a reference's second self.
pub(crate) fn twin_of(reference: &str) -> String {
    format!("{reference}#twin")
}

/// How much to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Effort {
    /// `quick`, `default` or `full`.
    pub name: String,
    /// When to stop; `None` measures until everything is decided or the last look is reached.
    pub budget: Option<Duration>,
    /// After how many rounds to look, and the error over all looks.
    pub looks: Looks,
    /// Blocks in a round.
    pub blocks: u32,
    /// How long a block should take.
    pub block: Duration,
    /// Trials of an event workload.
    pub trials: u32,
    /// A contender whose single iteration takes longer is left out, and its cell says so.
    pub iteration_limit: Option<Duration>,
    /// Whether rounds that others disturbed are void. Off only where figures do not matter, as in tests of everything else.
    pub watch: bool,
    /// How long a child may be silent.
    pub limits: Limits,
}

impl Effort {
    /// About a minute.
    pub fn quick() -> Self {
        Self {
            name: "quick".to_owned(),
            budget: Some(Duration::from_mins(1)),
            iteration_limit: Some(Duration::from_millis(100)),
            ..Self::standard()
        }
    }

    /// Below six minutes.
    pub fn standard() -> Self {
        Self {
            name: "default".to_owned(),
            budget: Some(Duration::from_secs(345)),
            looks: Looks::default(),
            blocks: 4,
            block: Duration::from_millis(4),
            trials: 6,
            iteration_limit: Some(Duration::from_secs(1)),
            watch: true,
            limits: Limits::default(),
        }
    }

    /// As long as it takes.
    pub fn full() -> Self {
        Self {
            name: "full".to_owned(),
            budget: None,
            trials: 24,
            iteration_limit: None,
            limits: Limits { block: Duration::from_mins(2), ..Limits::default() },
            ..Self::standard()
        }
    }
}
