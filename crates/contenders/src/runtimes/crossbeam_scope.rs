//! Threads that may borrow from the function that makes them, by crossbeam. The scope joins what is left.

use super::Runtime;
use crate::capability::workers;
use crate::workloads::{OnScope, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "crossbeam-scope",
    version: concat!("crossbeam-utils ", env!("VERSION_CROSSBEAM_UTILS")),
    tags: &[],
    threads: workers,
    offer: offer::<OnScope>,
};
