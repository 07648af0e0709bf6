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
    /// What is recorded if `record` does not say.
    pub fn recorded_by_default(&self) -> Vec<Record> {
        let tasks = listed(self);
        let mut record = Vec::new();
        if tasks > 0 {
            record.push(Record::PerTask);
        }
        if tasks > 0 && tasks <= RECORDED_BY_DEFAULT {
            record.extend([Record::Dispatches, Record::RunSegments, Record::QueueDepth, Record::Holders]);
        }
        if tasks == 0 || tasks > READABLE {
            record.extend([Record::ResponseHistogram, Record::WaitHistogram]);
            if tasks > 0 {
                record.push(Record::TurnaroundHistogram);
            }
        }
        record
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
    pub(crate) turnaround: bool,
    pub(crate) wait: bool,
}

/// What a scenario's `record` asks for, or what it means if it is not there.
pub(crate) fn kept(scenario: &Scenario) -> Kept {
    let record = scenario.record.clone().unwrap_or_else(|| scenario.recorded_by_default());
    let asks = |what: Record| record.contains(&what);
    Kept {
        per_task: asks(Record::PerTask),
        dispatches: asks(Record::Dispatches),
        run_segments: asks(Record::RunSegments),
        queue_depth: asks(Record::QueueDepth),
        holders: asks(Record::Holders),
        response: asks(Record::ResponseHistogram),
        turnaround: asks(Record::TurnaroundHistogram),
        wait: asks(Record::WaitHistogram),
    }
}
