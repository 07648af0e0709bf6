//! Rate monotonic and earliest deadline first: the analysis, and the same sets of tasks simulated over a hyperperiod.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use sched_sim::analysis::{
    PeriodicTask, edf_schedulable, hyperperiod, liu_layland_bound, passes_hyperbolic, passes_liu_layland,
    rm_response_times, rm_schedulable, utilization,
};
use sched_sim::{Outcome, PolicyKind, RunOptions, Scenario, Step, Task, simulate};
use serde_json::Value;

fn cases() -> Vec<(Value, Vec<PeriodicTask>)> {
    let file: Value = serde_json::from_str(include_str!("oracles/realtime.json")).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), 42);
    let task = |task: &Value| PeriodicTask {
        wcet: task["wcet"].as_u64().unwrap(),
        period: task["period"].as_u64().unwrap(),
        deadline: task["deadline"].as_u64().unwrap(),
    };
    cases.into_iter().map(|case| (case.clone(), case["tasks"].as_array().unwrap().iter().map(task).collect())).collect()
}

fn simulated(tasks: &[PeriodicTask], policy: PolicyKind, until: u64) -> Outcome {
    let mut scenario = Scenario::new(1, policy).until(until as f64);
    for (id, task) in (0..).zip(tasks) {
        let program = [Step::cpu(task.wcet as f64)];
        scenario = scenario.task(Task::new(id, program).periodic(task.period as f64, task.deadline as f64));
    }
    simulate(&scenario, &RunOptions::default()).unwrap()
}

#[test]
fn analysis_agrees_with_the_books() {
    for (case, tasks) in cases() {
        let (id, expected) = (&case["id"], &case["expected"]);
        assert_eq!(hyperperiod(&tasks), case["hyperperiod"].as_u64(), "{id}");
        assert!((utilization(&tasks) - case["utilization"].as_f64().unwrap()).abs() < 1e-12, "{id}");
        assert!((liu_layland_bound(tasks.len()) - expected["ll_bound"].as_f64().unwrap()).abs() < 1e-12, "{id}");
        assert_eq!(Value::from(passes_liu_layland(&tasks)), expected["ll_test_passes"], "{id}");
        assert_eq!(Value::from(passes_hyperbolic(&tasks)), expected["hyperbolic_passes"], "{id}");
        assert_eq!(Value::from(rm_response_times(&tasks)), expected["rm_first_job_response"], "{id}");
        assert_eq!(Value::from(rm_schedulable(&tasks)), expected["rm_schedulable"], "{id}");
        assert_eq!(Value::from(edf_schedulable(&tasks)), expected["edf_schedulable"], "{id}");
    }
}

#[test]
fn simulation_agrees_with_the_analysis() {
    for (case, tasks) in cases() {
        let (id, expected) = (&case["id"], &case["expected"]);
        let whole = hyperperiod(&tasks).unwrap();
        let edf = simulated(&tasks, PolicyKind::Edf, whole);
        assert_eq!(Value::from(edf.counters.deadline_misses == 0), expected["edf_schedulable"], "{id}");
        let rm = simulated(&tasks, PolicyKind::Rm, whole);
        assert_eq!(Value::from(rm.counters.deadline_misses == 0), expected["rm_schedulable"], "{id}");
        for (task, response) in rm.tasks.iter().zip(rm_response_times(&tasks)) {
            let within = response.filter(|response| *response <= whole).map(|response| response as f64);
            assert_eq!(task.turnaround, within, "{id}, task {}: first job", task.id);
            if rm.counters.deadline_misses == 0 {
                assert_eq!(task.worst_turnaround, within, "{id}, task {}: the first job is the worst", task.id);
            }
        }
    }
}
