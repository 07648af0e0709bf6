//! What of a run is kept for its result.

use crate::scenario::{Record, Scenario};

/// Listed tasks up to which everything is recorded if the scenario does not say what.
const RECORDED_BY_DEFAULT: u64 = 10_000;

/// Listed tasks up to which nobody needs quantiles who did not ask for them: their times can be read one by one.
const READABLE: u64 = 100;

fn listed(scenario: &Scenario) -> u64 {
    scenario.tasks.iter().map(|task| u64::from(task.count)).sum()
}

impl Scenario {
    /// Of what is not the timeline: what is recorded if `record` does not say.
    pub fn recorded_by_default(&self) -> Vec<Record> {
        let tasks = listed(self);
        let per_task = (tasks > 0).then_some(Record::PerTask);
        let quantiles = [Record::ResponseHistogram, Record::WaitHistogram];
        let quantiles = quantiles.into_iter().filter(|_| tasks == 0 || tasks > READABLE);
        per_task.into_iter().chain(quantiles).collect()
    }
}

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
    let tasks = listed(scenario);
    let few = tasks > 0 && tasks <= RECORDED_BY_DEFAULT;
    let readable = tasks > 0 && tasks <= READABLE;
    Kept {
        per_task: tasks > 0,
        dispatches: few,
        run_segments: few,
        queue_depth: few,
        holders: few,
        response: !readable,
        wait: !readable,
    }
}
