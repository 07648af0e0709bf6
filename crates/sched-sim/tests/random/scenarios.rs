//! Random scenarios for property tests.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sched_sim::scenario::Level;
use sched_sim::{PolicyKind, Scenario, Step, Task};

/// The same cases in every run; `SCHED_SIM_TEST_SEED` gives others.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let seed = std::env::var("SCHED_SIM_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

/// Those that give cores to one task at a time.
pub(crate) const POLICIES: [PolicyKind; 13] = [
    PolicyKind::Fifo,
    PolicyKind::Sjf,
    PolicyKind::Srpt,
    PolicyKind::Rr,
    PolicyKind::Priority,
    PolicyKind::Mlfq,
    PolicyKind::Lottery,
    PolicyKind::Stride,
    PolicyKind::Cfs,
    PolicyKind::Eevdf,
    PolicyKind::Rm,
    PolicyKind::Edf,
    PolicyKind::WorkStealing,
];

/// A scenario without tasks, with options for every policy.
pub(crate) fn with_policy(cores: u32, kind: PolicyKind) -> Scenario {
    let mut scenario = Scenario::new(cores, kind).quantum(7.0);
    scenario.policy.levels = [3.0, 5.0, 9.0].map(|quantum| Level { quantum, allotment: 2 }).into();
    scenario.policy.boost_every = Some(50.0);
    scenario
}

prop_compose! {
    fn task(id: u32)(
        arrival in 0..60_u32,
        bursts in prop::collection::vec((0..30_u32, 0..20_u32), 1..5),
        nice in -5_i8..6,
        tickets in 1..50_u32,
        priority in 0..4_u32,
    ) -> Task {
        let program: Vec<Step> = bursts
            .into_iter()
            .flat_map(|(cpu, io)| [Step::cpu(f64::from(cpu)), Step::Io(f64::from(io))])
            .collect();
        Task { tickets, ..Task::new(id, program).arrives(f64::from(arrival)).nice(nice).priority(priority) }
    }
}

/// One to eight tasks that compute and wait.
pub(crate) fn tasks() -> impl Strategy<Value = Vec<Task>> {
    (1..9_u32).prop_flat_map(|count| (0..count).map(task).collect::<Vec<_>>())
}
