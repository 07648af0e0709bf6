//! What of a run is kept for its result.

use crate::scenario::{Record, Scenario};

/// Listed tasks up to which everything is recorded if the scenario does not say what.
const RECORDED_BY_DEFAULT: u64 = 10_000;

/// What the result shall contain.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // one for each word of the contract
pub(crate) struct Kept {
    pub(crate) per_task: bool,
    pub(crate) dispatches: bool,
    pub(crate) run_segments: bool,
    pub(crate) queue_depth: bool,
    pub(crate) holders: bool,
    pub(crate) response: bool,
    pub(crate) wait: bool,
}

/// What a scenario's `record` asks for, or what it means if it is not there.
pub(crate) fn kept(scenario: &Scenario) -> Kept {
    if let Some(record) = &scenario.record {
        let asks = |what: Record| record.contains(&what);
        return Kept {
            per_task: asks(Record::PerTask),
            dispatches: asks(Record::Dispatches),
            run_segments: asks(Record::RunSegments),
            queue_depth: asks(Record::QueueDepth),
            holders: asks(Record::Holders),
            response: asks(Record::ResponseHistogram),
            wait: asks(Record::WaitHistogram),
        };
    }
    let tasks: u64 = scenario.tasks.iter().map(|task| u64::from(task.count)).sum();
    let few = tasks > 0 && tasks <= RECORDED_BY_DEFAULT;
    Kept {
        per_task: tasks > 0,
        dispatches: few,
        run_segments: few,
        queue_depth: few,
        holders: few,
        response: true,
        wait: true,
    }
}
