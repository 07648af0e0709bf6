//! The self-test's subject: known work, that can be slowed by a known part. No runtime to choose.

use super::{Runtime, one};
use crate::workloads::{OnProbe, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "probe",
    version: concat!("std ", env!("VERSION_RUST")),
    tags: &[],
    threads: one,
    offer: offer::<OnProbe>,
};
