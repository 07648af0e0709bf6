//! Closed forms of queueing theory. The ordinary test takes a few arrivals in twenty replications, and allows six standard errors of their mean;
//! `full_size` (ignored: minutes) takes the stated ten million.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use std::collections::BTreeMap;

use sched_sim::outcome::Aggregate;
use sched_sim::scenario::read::{Format, text};
use sched_sim::{Outcome, RunOptions, Scenario, simulate};
use serde_json::Value;

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("oracles/queueing.json")).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), 99);
    cases
}

fn scenario(case: &Value, seed: u64, arrivals: u64, warmup: u64) -> Scenario {
    let mut scenario = text(&case["scenario"].to_string(), Format::Json).unwrap();
    scenario.seed = seed;
    if let Some(generator) = &mut scenario.generator {
        generator.count = arrivals;
        generator.warmup = warmup;
    }
    if let Some(closed) = &mut scenario.closed {
        closed.count = arrivals;
        closed.warmup = warmup.max(arrivals / 4).min(100_000);
    }
    scenario
}

fn run(scenario: &Scenario) -> Outcome {
    simulate(scenario, &RunOptions { digest: false, ..RunOptions::default() }).unwrap()
}

/// The outcome's figures under the expectation's names; figures per class as `name[class]`.
fn figures(outcome: &Outcome, expected: &Value) -> BTreeMap<String, (f64, f64)> {
    let mut figures = BTreeMap::new();
    for (name, expected) in expected.as_object().unwrap() {
        match (outcome.aggregates.get(name), expected) {
            (Some(Aggregate::PerClass(got)), Value::Array(expected)) => {
                for (class, (got, expected)) in got.iter().zip(expected).enumerate() {
                    figures.insert(format!("{name}[{class}]"), (*got, expected.as_f64().unwrap()));
                }
            }
            (Some(Aggregate::One(got)), expected) => {
                figures.insert(name.clone(), (*got, expected.as_f64().unwrap()));
            }
            (None, _) => panic!("no aggregate {name}: {:?}", outcome.aggregates.keys()),
            (got, expected) => panic!("{name}: {got:?} for {expected}"),
        }
    }
    figures
}

/// Mean over replications, and its standard error, by name; with what is expected.
fn replicate(case: &Value, replications: u64, arrivals: u64, warmup: u64) -> BTreeMap<String, (f64, f64, f64)> {
    let mut all: BTreeMap<String, (Vec<f64>, f64)> = BTreeMap::new();
    for seed in 0..replications {
        let outcome = run(&scenario(case, seed, arrivals, warmup));
        for (name, (got, expected)) in figures(&outcome, &case["expected"]) {
            let entry = all.entry(name).or_insert((Vec::new(), expected));
            entry.0.push(got);
        }
    }
    let summary = |(values, expected): (Vec<f64>, f64)| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, (variance / n).sqrt(), expected)
    };
    all.into_iter().map(|(name, values)| (name, summary(values))).collect()
}

fn is_random(case: &Value) -> bool {
    case["rel_tol"].as_f64().unwrap() > 0.0
}

#[test]
fn round_robin_with_switch_cost_is_exact() {
    let cases: Vec<Value> = cases().into_iter().filter(|case| !is_random(case)).collect();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let outcome = run(&scenario(&case, 0, 0, 0));
        for (name, (got, expected)) in figures(&outcome, &case["expected"]) {
            assert!((got - expected).abs() <= 1e-12 * expected, "{}: {name} {got} instead of {expected}", case["id"]);
        }
    }
}

/// Are there enough independent samples beyond a quantile? Waiting times are alike over about 1 / (1 - sqrt(load))^2 arrivals; with a tenth of such
/// a stretch beyond the quantile its estimate is biased. Those quantiles are for `full_size`.
fn can_hold(case: &Value, name: &str, arrivals: f64) -> bool {
    let beyond = match name.rsplit_once('_') {
        Some((_, "p50")) => 0.5,
        Some((_, "p90")) => 0.1,
        Some((_, "p99")) => 0.01,
        Some((_, "p999")) => 0.001,
        _ => return true,
    };
    let rate = case["scenario"]["generator"]["arrivals"]["rate"].as_f64().unwrap();
    let load = rate / case["scenario"]["machine"]["cores"].as_f64().unwrap();
    arrivals * beyond * (1.0 - load.sqrt()).powi(2) >= 0.1
}

#[test]
fn means_and_quantiles_are_within_six_standard_errors() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| is_random(case)) {
        for (name, (mean, error, expected)) in replicate(case, 20, 12_000, 2_000) {
            if !can_hold(case, &name, 10_000.0) {
                continue;
            }
            // The histogram's bins, and what starting empty leaves.
            let allowed = 6.0 * error + 0.002 * expected;
            if (mean - expected).abs() > allowed {
                wrong.push(format!("{}: {name} {mean:.5} instead of {expected:.5}, allowed {allowed:.5}", case["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "minutes: ten million arrivals each; .ci/deep runs it"]
fn full_size() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| is_random(case)) {
        let arrivals = case["arrivals"].as_u64().unwrap();
        let tolerance = case["rel_tol"].as_f64().unwrap();
        for (name, (mean, error, expected)) in replicate(case, 10, arrivals / 10, 10_000) {
            // A rare or far-tail figure is held within five of its own standard errors.
            let allowed = (tolerance * expected).max(5.0 * error);
            if (mean - expected).abs() > allowed {
                wrong.push(format!("{}: {name} {mean:.6} instead of {expected:.6}, allowed {allowed:.6}", case["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn who_computes_more_than_its_service_time_does_not_wait_meanwhile() {
    for policy in ["fifo", "ps"] {
        let scenario = format!(
            "schema = 'sched-scenario/0'
            machine = {{ cores = 1 }}
            policy = {{ kind = '{policy}' }}
            generator = {{ arrivals = {{ kind = 'periodic', rate = 0.1 }}, service = {{ kind = 'det', value = 2 }}, count = 20,
              program = [{{ cpu = 3 }}, {{ io = 1 }}, {{ cpu = 'service' }}] }}"
        );
        let outcome = run(&text(&scenario, Format::Toml).unwrap());
        let figures = ["mean_response", "mean_wait", "p_wait"].map(|name| outcome.aggregate(name).unwrap());
        assert_eq!(figures, [6.0, 0.0, 0.0], "{policy}");
    }
}

#[test]
fn all_who_are_in_the_system_up_to_the_last_arrival_count() {
    for policy in ["fifo", "ps"] {
        let scenario = |rate: f64, work: f64, count: u64, until: &str| {
            text(
                &format!(
                    "schema = 'sched-scenario/0'
                    machine = {{ cores = 1 }}
                    policy = {{ kind = '{policy}' }}
                    {until}
                    generator = {{ arrivals = {{ kind = 'periodic', rate = {rate} }}, service = {{ kind = 'det', value = {work} }}, count = {count} }}"
                ),
                Format::Toml,
            )
            .unwrap()
        };
        // One from 1 on, when the window opens, to 2, when it closes.
        assert_eq!(run(&scenario(1.0, 5.0, 2, "")).aggregate("mean_in_system"), Some(1.0), "{policy}");
        // One for two units, two for the last.
        let cut = run(&scenario(0.5, 50.0, 20, "until = 5")).aggregate("mean_in_system").unwrap();
        assert!((cut - 4.0 / 3.0).abs() < 1e-12, "{policy}: {cut}");
    }
}

#[test]
fn who_came_in_the_warm_up_was_not_let_in_either() {
    for room in
        ["admission = { max_in_system = 1 }", "runtime = { kind = 'thread_pool', workers = 1, queue_limit = 0 }"]
    {
        let scenario = format!(
            "schema = 'sched-scenario/0'
            machine = {{ cores = 1 }}
            policy = {{ kind = 'fifo' }}
            {room}
            record = ['histogram:response', 'histogram:wait']
            generator = {{ arrivals = {{ kind = 'periodic', rate = 1 }}, service = {{ kind = 'det', value = 5 }}, count = 2, warmup = 1 }}"
        );
        let outcome = run(&text(&scenario, Format::Toml).unwrap());
        assert_eq!((outcome.counters.arrivals, outcome.counters.drops), (2, 1));
        assert_eq!(outcome.aggregate("p_drop"), Some(1.0), "{room}: the one that came after the warm-up");
        // Of nobody there are no quantiles.
        assert_eq!((outcome.aggregate("response_p50"), outcome.aggregate("wait_p99")), (None, None), "{room}");
        assert!(outcome.histograms.is_empty(), "{:?}", outcome.histograms);
    }
}
