//! Linux's weights: every task's time is within one slice of its share, at any time.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use sched_sim::policy::NICE_TO_WEIGHT;
use sched_sim::{Outcome, PolicyKind, RunOptions, Scenario, Step, Task, TimeUnit, simulate};
use serde_json::Value;

fn file() -> Value {
    serde_json::from_str(include_str!("oracles/fairshare.json")).unwrap()
}

fn run(policy: PolicyKind, nice: &[i8], until: f64, change: impl Fn(&mut Scenario)) -> Outcome {
    let mut scenario = Scenario::new(1, policy).time_unit(TimeUnit::Ms).until(until);
    for (id, nice) in (0..).zip(nice) {
        scenario = scenario.task(Task::new(id, [Step::cpu(1e9)]).nice(*nice));
    }
    change(&mut scenario);
    simulate(&scenario, &RunOptions::default()).unwrap()
}

/// Time on the core up to a moment.
fn had(outcome: &Outcome, task: u32, until: f64) -> f64 {
    let segments = outcome.run_segments.as_ref().unwrap().iter().filter(|segment| segment.task == task);
    segments.map(|segment| segment.len.min((until - segment.start).max(0.0))).sum()
}

#[test]
fn the_weights_are_linux_s() {
    for (nice, weight) in file()["nice_to_weight"].as_object().unwrap() {
        let nice: i32 = nice.parse().unwrap();
        assert_eq!(u64::from(NICE_TO_WEIGHT[(nice + 20) as usize]), weight.as_u64().unwrap(), "nice {nice}");
    }
}

#[test]
fn eevdf_is_never_off_by_more_than_a_slice() {
    let file = file();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 33);
    for case in cases {
        let nice: Vec<i8> = case["nice"].as_array().unwrap().iter().map(|nice| nice.as_i64().unwrap() as i8).collect();
        // The slice in force is a tick of 4 ms; with a timer as fine as needed it is the base slice.
        for (tick, base_slice, slice) in [(Some(4.0), 1.4, 4.0), (None, 3.0, 3.0), (Some(1.0), 3.0, 3.0)] {
            let outcome = run(PolicyKind::Eevdf, &nice, 20_000.0, |scenario| {
                scenario.policy.tick = Some(tick);
                scenario.policy.base_slice = Some(base_slice);
            });
            for (id, share) in (0..).zip(case["share_one_core"].as_array().unwrap()) {
                for until in [10.0, 333.0, 4_567.0, 20_000.0] {
                    let lag = until * share.as_f64().unwrap() - had(&outcome, id, until);
                    assert!(
                        lag.abs() <= slice + 1e-6,
                        "{}, nice {nice:?}, task {id} at {until}: off by {lag}",
                        case["id"]
                    );
                }
            }
        }
    }
}

#[test]
fn eevdf_shares_as_measured() {
    for (nice, percent) in [(5, 75.3), (1, 55.5)] {
        let outcome = run(PolicyKind::Eevdf, &[0, nice], 60_000.0, |_| {});
        let share = had(&outcome, 0, 60_000.0) / 600.0;
        assert!((share - percent).abs() < 0.1, "nice 0 against {nice}: {share} %");
    }
}

#[test]
fn cfs_and_stride_come_to_the_same_shares() {
    let outcome = run(PolicyKind::Cfs, &[0, 5, -3], 60_000.0, |_| {});
    let weights = [1024.0, 335.0, 1991.0];
    for (id, weight) in (0..).zip(weights) {
        let share = had(&outcome, id, 60_000.0) / 60_000.0;
        assert!((share - weight / 3350.0).abs() < 0.005, "cfs, task {id}: {share}");
    }
    let outcome = run(PolicyKind::Stride, &[0, 0, 0], 60_000.0, |scenario| {
        scenario.policy.quantum = Some(10.0);
        for (task, tickets) in scenario.tasks.iter_mut().zip([100, 200, 300]) {
            task.tickets = tickets;
        }
    });
    for (id, share) in [(0, 1.0 / 6.0), (1, 1.0 / 3.0), (2, 0.5)] {
        let lag = had(&outcome, id, 60_000.0) - share * 60_000.0;
        assert!(lag.abs() <= 10.0, "stride, task {id}: {lag}");
    }
}
