//! rayon's global pool: fork-join parallelism, no handles to single jobs.

use super::Runtime;
use crate::capability::workers;
use crate::workloads::{OnRayon, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "rayon",
    version: concat!("rayon ", env!("VERSION_RAYON")),
    tags: &[],
    // Its global pool asks for the CPUs of the affinity mask by itself.
    threads: workers,
    offer: offer::<OnRayon>,
};
