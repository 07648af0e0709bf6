//! The lab's contender protocol, version 0: JSON lines on stdin and stdout. Each way of a comparison takes part under its name, and its
//! workload is `memory-` and the comparison's name. So the lab's own statistics, over fresh processes, judge the same claims.

use std::io::{BufRead, Write};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::paired::{Comparison, Subject, Way};
use super::{Failure, Sort, experiments};

/// What can take part.
pub(crate) fn names() -> Vec<String> {
    ways().into_iter().map(|(_, way)| way.name.to_owned()).collect()
}

fn ways() -> Vec<(Comparison, Way)> {
    let comparisons = experiments().into_iter().filter_map(|experiment| match experiment.sort {
        Sort::Comparison(comparison) => Some(comparison),
        Sort::Walk(_) => None,
    });
    comparisons
        .flat_map(|comparison| comparison.ways.clone().into_iter().map(move |way| (comparison.clone(), way)))
        .collect()
}

/// Takes part until the host says `bye`.
pub(crate) fn serve(name: &str) -> Result<(), Failure> {
    let Some((comparison, way)) = ways().into_iter().find(|(_, way)| way.name == name) else {
        return Err(Failure::File(format!("there is no way {name:?}; there are: {}", names().join(", "))));
    };
    let workload = workload(&comparison);
    let mut out = std::io::stdout().lock();
    let mut say = |message: Value| -> Result<(), Failure> {
        writeln!(out, "{message}")?;
        Ok(out.flush()?)
    };
    let version = env!("CARGO_PKG_VERSION");
    say(json!({"hello": {
        "proto": 0, "name": name, "lang": "rust", "runtime": format!("mmap-demo {version}"), "workloads": [&workload],
        "clock": "CLOCK_MONOTONIC", "threads": 1, "tags": [],
    }}))?;
    let mut subject: Option<Box<dyn Subject>> = None;
    for line in std::io::stdin().lock().lines() {
        let request: Value = match serde_json::from_str(&line?) {
            Ok(request) => request,
            Err(error) => {
                say(refusal("bad_params", &format!("not a request: {error}")))?;
                continue;
            }
        };
        if request.get("bye").is_some() {
            break;
        }
        say(match (request.get("prepare"), request.get("run"), subject.as_mut()) {
            (Some(prepare), ..) => match prepared(prepare, &workload, way) {
                Ok(ready) => {
                    subject = Some(ready);
                    json!({"ready": {"listen": null}})
                }
                Err(refusal) => refusal,
            },
            (None, Some(run), Some(subject)) => done(run, &mut **subject),
            (None, Some(_), None) => refusal("failed", "`run` came before `prepare`"),
            (None, None, _) => refusal("bad_params", "neither `prepare` nor `run` nor `bye`"),
        })?;
    }
    Ok(())
}

fn workload(comparison: &Comparison) -> String {
    format!("memory-{}", comparison.name)
}

fn refusal(kind: &str, message: &str) -> Value {
    json!({"error": {"kind": kind, "message": message}})
}

fn prepared(request: &Value, workload: &str, way: Way) -> Result<Box<dyn Subject>, Value> {
    if request["workload"] != workload {
        return Err(refusal("unsupported", &format!("it does {workload} and nothing else")));
    }
    (way.prepare)().map_err(|failure| refusal("unsupported", &failure.to_string()))
}

/// The stamps span what the comparison is about, and no more: what a way does beside its figure lies before them.
fn done(request: &Value, subject: &mut dyn Subject) -> Value {
    let Some(iters) = request["iters"].as_u64().filter(|&iters| iters > 0) else {
        return refusal("bad_params", "`iters` has to be a whole number from 1 on");
    };
    let before = usage();
    let timed = match subject.run(iters) {
        Ok(timed) => timed,
        Err(failure) => return refusal("failed", &failure.to_string()),
    };
    let after = usage();
    let end = clock_gettime(ClockId::Monotonic);
    let end = Duration::new(end.tv_sec.cast_unsigned(), end.tv_nsec as u32);
    let less = |key: &str| after[key].as_u64().unwrap_or(0).saturating_sub(before[key].as_u64().unwrap_or(0));
    let per_iteration = timed.operations / iters;
    json!({"done": {
        "block": request["block"], "iters": iters,
        "t0_ns": end.saturating_sub(timed.spent).as_nanos() as u64, "t1_ns": end.as_nanos() as u64,
        "ops": timed.operations, "checksum": format!("{per_iteration:016x}"),
        "usage": {
            "user_ns": null, "system_ns": null, "voluntary_switches": less("voluntary"),
            "involuntary_switches": less("involuntary"), "minor_faults": less("minor"), "major_faults": less("major"),
        },
        "latency": null, "values": {},
    }})
}

fn usage() -> Value {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let words: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let switches = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    json!({
        "minor": number(7), "major": number(9),
        "voluntary": switches("voluntary_ctxt_switches:"), "involuntary": switches("nonvoluntary_ctxt_switches:"),
    })
}
