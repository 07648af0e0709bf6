//! How fine time is in a run, and when it ends: from the numbers that the scenario names.

use crate::scenario::{Cost, PolicyKind, Scenario, Step};
use crate::time::{NEVER, TimeScale};

/// How times of a scenario become sub-ticks.
pub(crate) fn scale(scenario: &Scenario) -> TimeScale {
    let policy = &scenario.policy;
    let mut exact: Vec<f64> = Vec::new();
    for task in &scenario.tasks {
        exact.push(task.arrival);
        exact.extend(task.deadline);
        exact.extend(task.period);
    }
    super::every_step(scenario, &mut |step| match step {
        Step::Cpu(crate::scenario::CpuTime::Fixed(time)) | Step::Io(time) | Step::Sleep(time) => exact.push(*time),
        Step::Await { cpu, io } => exact.extend([*cpu, *io]),
        _ => {}
    });
    exact.extend(policy.quantum);
    exact.extend(policy.boost_every);
    exact.extend(policy.base_slice);
    exact.extend(policy.tick.flatten());
    exact.extend(policy.levels.iter().map(|level| level.quantum));
    exact.extend(policy.steal.as_ref().and_then(|steal| steal.every));
    exact.extend(scenario.until);
    exact.extend(scenario.runtime.gil3.switch_interval);
    exact.extend(scenario.machine.cache.as_ref().map(|cache| cache.warmup));
    let mut computed = scenario.generator.is_some() || scenario.closed.is_some() || scenario.machine.smt.is_some();
    computed |= matches!(policy.kind, PolicyKind::Ps | PolicyKind::Las);
    for cost in costs(scenario) {
        match cost {
            Cost::Fixed(cost) => exact.push(*cost),
            Cost::Random(_) => computed = true,
        }
    }
    TimeScale::new(scenario.time_unit, exact, computed)
}

fn costs(scenario: &Scenario) -> [&Cost; 15] {
    let costs = &scenario.costs;
    [
        &costs.context_switch,
        &costs.migration,
        &costs.mode_switch,
        &costs.wakeup_same_core,
        &costs.wakeup_cross_core,
        &costs.timer_slack,
        &costs.thread_create,
        &costs.thread_join,
        &costs.process_create,
        &costs.task_create,
        &costs.task_switch,
        &costs.tick_interrupt,
        &costs.lock_uncontended,
        &costs.gil_notice,
        &costs.gil_handoff,
    ]
}

/// When the run ends at the latest, in sub-ticks.
pub(crate) fn until(scenario: &Scenario, scale: TimeScale) -> u64 {
    scenario.until.map_or(NEVER, |until| scale.ticks(until))
}
