//! OSTEP's homework programs, to the printed digit: FIFO, SJF, RR, MLFQ, lottery with its draws, several cores with one queue or many.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use sched_sim::outcome::{Outcome, Segment};
use sched_sim::scenario::read::{Format, text};
use sched_sim::{RunOptions, simulate};
use serde_json::Value;

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("oracles/ostep.json")).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn close(got: Option<f64>, expected: &Value, precision: f64, what: &str, wrong: &mut Vec<String>) {
    let expected = expected.as_f64().unwrap();
    let fits = got.is_some_and(|got| (got - expected).abs() <= precision / 2.0 + 1e-9);
    if !fits {
        wrong.push(format!("{what}: got {got:?}, expected {expected}"));
    }
}

fn segments(got: Option<&Vec<Segment>>, expected: &Value, what: &str, wrong: &mut Vec<String>) {
    let got = got.map_or(&[][..], Vec::as_slice);
    let expected = expected.as_array().unwrap();
    if got.len() != expected.len() {
        wrong.push(format!("{} {what} instead of {}", got.len(), expected.len()));
    }
    for (got, expected) in got.iter().zip(expected) {
        let same = got.cpu == expected["cpu"].as_u64().unwrap() as u32
            && got.task == expected["task"].as_u64().unwrap() as u32
            && (got.start - expected["start"].as_f64().unwrap()).abs() < 1e-9
            && (got.len - expected["len"].as_f64().unwrap()).abs() < 1e-9
            && expected.get("level").is_none_or(|level| Some(level.as_u64().unwrap() as u32) == got.level);
        if !same {
            wrong.push(format!("{what}: got {got:?}, expected {expected}"));
            return;
        }
    }
}

fn compare(outcome: &Outcome, expected: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, expected) in expected.as_object().unwrap() {
        match key.as_str() {
            "print_precision" => {}
            "tasks" => {
                for task in expected.as_array().unwrap() {
                    let id = task["id"].as_u64().unwrap() as u32;
                    let got = outcome.task(id).unwrap();
                    for (name, value) in task.as_object().unwrap() {
                        let got = match name.as_str() {
                            "id" => continue,
                            "response" => got.response,
                            "turnaround" => got.turnaround,
                            "wait" => got.wait,
                            "finish" => got.finish,
                            other => panic!("unknown {other}"),
                        };
                        close(got, value, 0.0, &format!("task {id} {name}"), &mut wrong);
                    }
                }
            }
            "mean" => {
                let mean = outcome.mean.unwrap();
                close(Some(mean.response), &expected["response"], 0.01, "mean response", &mut wrong);
                close(Some(mean.turnaround), &expected["turnaround"], 0.01, "mean turnaround", &mut wrong);
                close(Some(mean.wait), &expected["wait"], 0.01, "mean wait", &mut wrong);
            }
            "dispatches" => segments(outcome.dispatches.as_ref(), expected, "dispatches", &mut wrong),
            "run_segments" => segments(outcome.run_segments.as_ref(), expected, "run_segments", &mut wrong),
            "idle_ticks" => close(Some(outcome.idle_ticks), expected, 0.0, "idle_ticks", &mut wrong),
            "finish_time" => close(Some(outcome.finish_time), expected, 0.0, "finish_time", &mut wrong),
            "cores" => {
                for (got, core) in outcome.cores.iter().zip(expected.as_array().unwrap()) {
                    let name = format!("core {}", got.cpu);
                    close(
                        Some(got.utilization_pct),
                        &core["utilization_pct"],
                        0.01,
                        &format!("{name} utilization"),
                        &mut wrong,
                    );
                    close(Some(got.warm_pct), &core["warm_pct"], 0.01, &format!("{name} warm"), &mut wrong);
                }
            }
            "winners" => {
                if serde_json::to_value(&outcome.winners).unwrap() != *expected {
                    wrong.push(format!("winners {:?}, expected {expected}", outcome.winners));
                }
            }
            "live_tickets" => {
                if serde_json::to_value(&outcome.live_tickets).unwrap() != *expected {
                    wrong.push(format!("live tickets {:?}, expected {expected}", outcome.live_tickets));
                }
            }
            other => panic!("unknown expectation {other}"),
        }
    }
    wrong
}

/// Runs all cases of a family; the message lists what differs.
fn family(name: &str, count: usize) {
    let cases: Vec<Value> = cases().into_iter().filter(|case| case["family"] == name).collect();
    assert_eq!(cases.len(), count, "cases of {name}");
    let mut wrong = Vec::new();
    for case in &cases {
        let scenario = text(&case["scenario"].to_string(), Format::Json).unwrap();
        let outcome = simulate(&scenario, &RunOptions::default()).unwrap();
        let differs = compare(&outcome, &case["expected"]);
        if !differs.is_empty() {
            wrong.push(format!("{}: {}", case["id"], differs[..differs.len().min(4)].join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn fifo() {
    family("fifo", 13);
}

#[test]
fn shortest_job_first() {
    family("sjf", 17);
}

#[test]
fn round_robin() {
    family("rr", 27);
}

#[test]
fn multi_level_feedback_queue() {
    family("mlfq", 50);
}

#[test]
fn lottery() {
    family("lottery", 30);
}

#[test]
fn several_cores_with_one_queue() {
    family("multi-shared", 35);
}

#[test]
fn several_cores_with_a_queue_each() {
    family("multi-percore", 21);
}
