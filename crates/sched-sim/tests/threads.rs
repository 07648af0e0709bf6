//! The same scenarios, done by one thread and by several at once, come to the same.

#[path = "random/scenarios.rs"]
mod scenarios;

use proptest::prelude::*;
use rayon::prelude::*;
use scenarios::{POLICIES, config, tasks, with_policy};
use sched_sim::sweep::{Grid, RunSummary, merge};
use sched_sim::{RunOptions, RuntimeKind, Scenario};
use serde_json::json;

/// All runs of a sweep by so many threads.
fn sweep(grid: &Grid, threads: usize) -> Vec<RunSummary> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let one = |run| grid.simulate(run, &RunOptions::default()).unwrap();
    pool.install(|| (0..grid.len()).into_par_iter().map(one).collect())
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let costs = (prop::bool::ANY, 0..4_u32);
    (tasks(), 1..6_u32, 0..POLICIES.len(), 0..3_u32, costs).prop_map(
        |(tasks, cores, policy, runtime, (random, cost))| {
            let runtime = [RuntimeKind::Native, RuntimeKind::Gil3, RuntimeKind::FreeThreaded][runtime as usize];
            let mut scenario = with_policy(cores, POLICIES[policy]).runtime(runtime);
            scenario.tasks = tasks;
            scenario.costs.context_switch = if random {
                serde_json::from_value(json!({ "dist": "lognormal", "p50": 0.5, "p99": 4 })).unwrap()
            } else {
                f64::from(cost).into()
            };
            scenario
        },
    )
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn a_sweep_does_not_depend_on_the_number_of_threads(scenario in scenario()) {
        let grid = Grid {
            scenario: serde_json::to_value(&scenario).unwrap(),
            vary: [("policy.quantum".to_owned(), vec![json!(2), json!(5.5), json!(9)])].into(),
            replicates: 4,
        };
        let alone = sweep(&grid, 1);
        for threads in [2, 4] {
            prop_assert_eq!(&sweep(&grid, threads), &alone, "{} threads", threads);
        }
        let backwards = merge(alone.iter().rev().cloned()).unwrap();
        prop_assert_eq!(merge(alone).unwrap(), backwards);
    }
}
