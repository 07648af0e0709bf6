//! What is done with a scenario that was read.

use sched_sim::render::{Picture, chrome_trace, gantt, table};
use sched_sim::{RunOptions, Scenario, simulate};

/// Runs it within limits that take milliseconds, shows the outcome in every way, and runs it again without a record.
pub fn within_limits(mut scenario: Scenario) {
    scenario.limits.events = scenario.limits.events.min(20_000);
    scenario.limits.tasks = scenario.limits.tasks.min(2_000);
    scenario.limits.memory = scenario.limits.memory.min(1 << 28);
    scenario.limits.recorded = scenario.limits.recorded.min(10_000);
    // What the limits refuse is refused in words.
    let Ok(outcome) = simulate(&scenario, &RunOptions::default()) else { return };
    assert!(outcome.finish_time >= 0.0, "time went back: {}", outcome.finish_time);
    // The limit, and what else is due at the instant in which it is reached.
    let counted = outcome.counters.events + outcome.counters.idle_steps;
    assert!(counted < 30_000, "{counted} events");
    let _ = table(&outcome);
    let _ = gantt(&outcome, &Picture::default());
    let _ = chrome_trace(&outcome);
    scenario.record = Some(Vec::new());
    let again = simulate(&scenario, &RunOptions::default()).expect("it ran before");
    assert_eq!(again.digest, outcome.digest, "what is recorded changed what happens");
}
