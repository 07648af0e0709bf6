//! Tasks that are not listed: open systems, where they arrive at random, and closed ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;

/// An open system: `count` tasks arrive, each with a service time of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// When they come.
    pub arrivals: Arrivals,
    /// How much time on a core each needs.
    pub service: Distribution,
    /// How many come.
    #[serde(default = "million")]
    pub count: u64,
    /// So many of the first are left out of the aggregates.
    #[serde(default)]
    pub warmup: u64,
    /// What each does; `{"cpu": "service"}` stands for its service time. Without it that is all it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Vec<Step>>,
}

fn million() -> u64 {
    1_000_000
}

/// When tasks come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrivals {
    /// At random: times between arrivals are exponential.
    Poisson {
        /// Arrivals per unit of time.
        rate: f64,
    },
    /// With equal distances.
    Periodic {
        /// Arrivals per unit of time.
        rate: f64,
    },
}

/// A distribution of times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Distribution {
    /// Exponential.
    Exp {
        /// Mean.
        mean: f64,
    },
    /// Always the same.
    Det {
        /// The time.
        value: f64,
    },
    /// Uniform on an interval.
    Uniform {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// The sum of `k` exponential times.
    Erlang {
        /// How many.
        k: u32,
        /// Mean of the sum.
        mean: f64,
    },
    /// One of several exponential distributions.
    Hyperexp {
        /// The chance and mean of each.
        parts: Vec<PhasePart>,
    },
    /// One of several values.
    Mixture {
        /// The chance and value of each.
        parts: Vec<MixturePart>,
    },
    /// P(X > x) = (scale/x)^shape for x above `scale`.
    Pareto {
        /// The tail's exponent; the mean is finite above 1.
        shape: f64,
        /// The least value.
        scale: f64,
        /// What is larger is cut to this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
}

/// One part of a hyperexponential distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhasePart {
    /// Its chance.
    pub p: f64,
    /// Its mean.
    pub mean: f64,
}

/// One part of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixturePart {
    /// Its chance.
    pub p: f64,
    /// Its value.
    pub value: f64,
}

impl Distribution {
    /// The mean in units of time; of a Pareto distribution without its cut, and infinite for a shape up to 1.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Exp { mean } | Self::Erlang { mean, .. } => *mean,
            Self::Det { value } => *value,
            Self::Uniform { lo, hi } => f64::midpoint(*lo, *hi),
            Self::Hyperexp { parts } => parts.iter().map(|part| part.p * part.mean).sum(),
            Self::Mixture { parts } => parts.iter().map(|part| part.p * part.value).sum(),
            Self::Pareto { shape, scale, .. } if *shape > 1.0 => shape * scale / (shape - 1.0),
            Self::Pareto { .. } => f64::INFINITY,
        }
    }
}

/// A closed system: every task of the population needs a core, then I/O, and so on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// How many tasks.
    pub population: u32,
    /// Time on a core.
    pub cpu: Distribution,
    /// Time in I/O (or thinking).
    pub io: Distribution,
    /// The run ends after so many bursts on a core, by all tasks together.
    #[serde(default = "million")]
    pub count: u64,
    /// So many of the first bursts are left out of the aggregates.
    #[serde(default)]
    pub warmup: u64,
}

/// A class of generated tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// The chance of an arrival to belong to it.
    pub p: f64,
    /// Its tasks' priority.
    #[serde(default)]
    pub priority: u32,
}

/// Who is let in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admission {
    /// Arrivals that find so many tasks in the system are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_system: Option<u32>,
}
