//! Scenarios made of the fuzzer's bytes: nearly all are well-formed, so that what is tried is the simulator and not the parser.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use sched_sim::scenario::read::{Format, text};
use serde_json::{Map, Value, json};

#[path = "../run.rs"]
mod run;

fuzz_target!(|made: Made| {
    if let Ok(scenario) = text(&made.0.to_string(), Format::Json) {
        run::within_limits(scenario);
    }
});

/// A scenario; what is found is printed as JSON, for `sched-sim run` to read.
struct Made(Value);

impl<'a> Arbitrary<'a> for Made {
    fn arbitrary(from: &mut Unstructured<'a>) -> Result<Self> {
        scenario(from).map(Self)
    }
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One of some words.
fn word(from: &mut Unstructured<'_>, words: &[&str]) -> Result<Value> {
    Ok(Value::from(*from.choose(words)?))
}

/// A time: mostly small, now and then what nobody would write.
fn time(from: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match from.int_in_range(0..=19)? {
        0 => json!(0),
        1 => json!(1e15),
        2 => json!(0.000_000_001),
        3 => json!(f64::arbitrary(from)?),
        4..=8 => json!(f64::from(from.int_in_range(0..=1000)?) / 8.0),
        _ => json!(from.int_in_range(0..=50)?),
    })
}

fn number(from: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match from.int_in_range(0..=9)? {
        0 => json!(u32::arbitrary(from)?),
        _ => json!(from.int_in_range(0..=7)?),
    })
}

/// How often: mostly a few times, now and then for days.
fn times(from: &mut Unstructured<'_>) -> Result<u32> {
    if from.ratio(1, 8)? { u32::arbitrary(from) } else { from.int_in_range(0..=40) }
}

fn steps(from: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let count = from.int_in_range(0..=5)?;
    let steps: Result<Vec<Value>> = (0..count).map(|_| step(from, depth)).collect();
    Ok(Value::Array(steps?))
}

fn step(from: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let name = *from.choose(&["m", "n"])?;
    Ok(match from.int_in_range(0..=23)? {
        0..=5 => json!({ "cpu": time(from)? }),
        6 => json!({ "io": time(from)? }),
        7 => json!({ "sleep": time(from)? }),
        8 | 9 => json!({ "lock": name }),
        10 | 11 => json!({ "unlock": name }),
        12 => json!({ "sem_wait": name }),
        13 => json!({ "sem_post": name }),
        14 => json!({ "wait": "c", "lock": name }),
        15 => json!({ *from.choose(&["notify", "notify_all"])?: "c" }),
        16 => json!({ "send": name, "bytes": number(from)? }),
        17 => json!({ "recv": name }),
        18 => json!({ *from.choose(&["spawn", "join", "kill"])?: number(from)? }),
        19 => json!({ "yield": true }),
        20 => json!({ "await": { "cpu": time(from)?, "io": time(from)? } }),
        21 => json!({ "mark": name }),
        22 if depth < 4 => json!({ "nogil": steps(from, depth + 1)? }),
        23 if depth < 4 => json!({ "repeat": [times(from)?, steps(from, depth + 1)?] }),
        _ => json!({ "cpu": 1 }),
    })
}

fn distribution(from: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match from.int_in_range(0..=6)? {
        0 => json!({ "kind": "det", "value": time(from)? }),
        1 => json!({ "kind": "uniform", "lo": time(from)?, "hi": time(from)? }),
        2 => json!({ "kind": "erlang", "k": number(from)?, "mean": time(from)? }),
        3 => json!({ "kind": "hyperexp", "parts": [{ "p": 0.5, "mean": time(from)? }, { "p": 0.5, "mean": time(from)? }] }),
        4 => json!({ "kind": "mixture", "parts": [{ "p": 0.25, "value": time(from)? }, { "p": 0.75, "value": time(from)? }] }),
        5 => json!({ "kind": "pareto", "shape": time(from)?, "scale": time(from)?, "max": time(from)? }),
        _ => json!({ "kind": "exp", "mean": time(from)? }),
    })
}

fn task(from: &mut Unstructured<'_>, id: u32) -> Result<Value> {
    let mut task = Map::new();
    task.insert("id".into(), json!(id * 3));
    task.insert("program".into(), steps(from, 0)?);
    for _ in 0..from.int_in_range(0..=4)? {
        let (key, value) = match from.int_in_range(0..=11)? {
            0 => ("count", json!(from.int_in_range(0..=3)?)),
            1 => ("arrival", time(from)?),
            2 => ("spawned", json!(true)),
            3 => ("process", number(from)?),
            4 => ("nice", json!(from.int_in_range(-20..=19)?)),
            5 => ("tickets", number(from)?),
            6 => ("priority", number(from)?),
            7 => ("deadline", time(from)?),
            8 => ("period", time(from)?),
            9 => ("affinity", json!([number(from)?, number(from)?])),
            10 => ("working_set", time(from)?),
            _ => ("kind", word(from, &["int", "float"])?),
        };
        task.insert(key.into(), value);
    }
    Ok(task.into())
}

fn policy(from: &mut Unstructured<'_>) -> Result<Value> {
    let kinds = [
        "fifo", "sjf", "srpt", "las", "ps", "rr", "priority", "mlfq", "lottery", "stride", "cfs", "eevdf", "rm", "edf", "work_stealing",
    ];
    let mut policy = Map::new();
    policy.insert("kind".into(), word(from, &kinds)?);
    policy.insert("quantum".into(), time(from)?);
    policy.insert("levels".into(), json!([{ "quantum": time(from)?, "allotment": number(from)? }, { "quantum": 5 }]));
    for _ in 0..from.int_in_range(0..=4)? {
        let (key, value) = match from.int_in_range(0..=17)? {
            0 => ("quantum_clock", word(from, &["per-dispatch", "global"])?),
            1 | 2 => ("queues", word(from, &["shared", "per-core"])?),
            3 => ("initial_placement", word(from, &["round-robin", "least-loaded", "hash"])?),
            4 | 5 => ("steal", json!({
                "every": time(from)?,
                "from": word(from, &["random-other", "busiest"])?,
                "take": word(from, &["first-allowed", "half"])?,
            })),
            6 => ("steal", json!({ "from": "busiest", "take": "half" })),
            7 => ("boost_every", time(from)?),
            8 => ("io_resets_allotment", json!(bool::arbitrary(from)?)),
            9 => ("io_done_to_front", json!(bool::arbitrary(from)?)),
            10 => ("charge_full_quantum", json!(bool::arbitrary(from)?)),
            11 => ("base_slice", time(from)?),
            12 => ("tick", time(from)?),
            13 => ("tick", Value::Null),
            14 => ("wakeup_preemption", json!(bool::arbitrary(from)?)),
            15 => ("preemptive", json!(bool::arbitrary(from)?)),
            16 => ("core_order", word(from, &["ascending", "shuffled"])?),
            _ => ("same_instant", word(from, &["arrivals-first", "ends-first"])?),
        };
        policy.insert(key.into(), value);
    }
    Ok(policy.into())
}

fn machine(from: &mut Unstructured<'_>) -> Result<Value> {
    let cores = from.int_in_range(1..=5)?;
    let mut machine = json!({ "cores": cores });
    match from.int_in_range(0..=9)? {
        0 => machine["smt"] = json!({ "threads_per_core": cores, "factor_same_kind": 0.6, "factor_mixed": 0.8 }),
        1 => {
            machine["cache"] = json!({
                "capacity": time(from)?, "warmup": time(from)?, "cold_rate": 1, "warm_rate": 2,
                "progress": word(from, &["whole-units", "continuous"])?,
            });
        }
        2 => machine["llc_groups"] = json!([[0], [cores - 1]]),
        _ => {}
    }
    Ok(machine)
}

fn costs(from: &mut Unstructured<'_>) -> Result<Value> {
    let names = [
        "context_switch", "migration", "mode_switch", "wakeup_same_core", "wakeup_cross_core", "thread_create", "thread_join",
        "process_create", "task_create", "task_switch", "tick_interrupt", "lock_uncontended", "gil_notice", "gil_handoff",
    ];
    let mut costs = Map::new();
    for _ in 0..from.int_in_range(0..=4)? {
        let cost = if u8::arbitrary(from)? == 0 { json!({ "dist": "lognormal", "p50": 1, "p99": 9 }) } else { time(from)? };
        costs.insert((*from.choose(&names)?).into(), cost);
    }
    Ok(costs.into())
}

fn scenario(from: &mut Unstructured<'_>) -> Result<Value> {
    let runtimes = [
        "native", "gil2", "gil3", "free_threaded", "event_loop", "thread_pool", "process_pool", "thread_per_request", "m_n",
    ];
    let mut scenario = json!({
        "schema": "sched-scenario/0",
        "time_unit": word(from, &["tick", "ns", "us", "ms", "service-mean"])?,
        "machine": machine(from)?, "policy": policy(from)?, "costs": costs(from)?,
        "runtime": { "kind": word(from, &runtimes)? },
        "seed": u8::arbitrary(from)?,
    });
    if u8::arbitrary(from)? < 64 {
        let kind = scenario["runtime"]["kind"].as_str().unwrap_or_default();
        let (is_pool, is_loop) = (["thread_pool", "process_pool", "m_n"].contains(&kind), kind == "event_loop");
        if is_pool {
            scenario["runtime"]["workers"] = number(from)?;
        }
        if is_pool || is_loop {
            scenario["runtime"]["queue_limit"] = number(from)?;
        }
        scenario["runtime"]["gil3"] = json!({ "switch_interval": time(from)?, "force_switch": bool::arbitrary(from)? });
        scenario["runtime"]["gil2"] = json!({ "check_interval_ticks": number(from)?, "ns_per_tick": time(from)? });
        scenario["admission"] = json!({ "max_in_system": number(from)? });
    }
    if u8::arbitrary(from)? < 160 {
        scenario["until"] = time(from)?;
    }
    match from.int_in_range(0..=9)? {
        0 | 1 => {
            scenario["generator"] = json!({
                "arrivals": { "kind": word(from, &["poisson", "periodic"])?, "rate": time(from)? },
                "service": distribution(from)?, "count": from.int_in_range(0..=3_000)?, "warmup": from.int_in_range(0..=300)?,
            });
            if bool::arbitrary(from)? {
                scenario["generator"]["program"] = json!([{ "cpu": "service" }, step(from, 0)?, step(from, 0)?]);
            }
            if bool::arbitrary(from)? {
                scenario["classes"] = json!([{ "p": 0.5, "priority": 1 }, { "p": 0.5, "priority": 2 }]);
            }
        }
        2 => {
            scenario["closed"] = json!({
                "population": number(from)?, "cpu": distribution(from)?, "io": distribution(from)?,
                "count": from.int_in_range(0..=3_000)?, "warmup": from.int_in_range(0..=300)?,
            });
        }
        _ => {
            let count = from.int_in_range(1..=5)?;
            let tasks: Result<Vec<Value>> = (0..count).map(|id| task(from, id)).collect();
            scenario["tasks"] = Value::Array(tasks?);
        }
    }
    // Names that no program uses are refused.
    let text = scenario.to_string();
    if text.contains(r#""sem_wait":"m""#) && bool::arbitrary(from)? {
        scenario["semaphores"] = json!({ "m": number(from)? });
    }
    if text.contains(r#""recv":"n""#) && bool::arbitrary(from)? {
        scenario["channels"] = json!({ "n": number(from)? });
    }
    Ok(scenario)
}
