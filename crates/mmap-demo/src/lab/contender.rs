//! The lab's contender protocol, version 0: JSON lines on stdin and stdout. Each way of a comparison takes part under its name, and so
//! does each walk; its workload is `memory-` and the experiment's name. So the lab's own statistics, over fresh processes, judge the same
//! claims.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::outcome::Outcome;
use super::paired::{Subject, Timed, Way};
use super::{Experiment, Failure, Sort, experiments};

/// What can take part.
pub(crate) fn names() -> Vec<String> {
    parts().into_iter().map(|part| part.name.to_owned()).collect()
}

/// A way of a comparison, or a walk.
struct Part {
    name: &'static str,
    workload: String,
    prepare: Box<dyn Fn() -> Result<Box<dyn Subject>, Failure>>,
}

fn parts() -> Vec<Part> {
    let parts_of = |experiment: Experiment| -> Vec<Part> {
        let workload = format!("memory-{}", experiment.name);
        let way = |way: Way| Part { name: way.name, workload: workload.clone(), prepare: Box::new(way.prepare) };
        match experiment.sort {
            Sort::Comparison(comparison) => comparison.ways.into_iter().map(way).collect(),
            Sort::Walk(walk) => {
                let prepare = move || Ok(Box::new(Walked::new(walk()?)?) as Box<dyn Subject>);
                vec![Part { name: experiment.name, workload, prepare: Box::new(prepare) }]
            }
        }
    };
    // The programs that `free` starts take part themselves.
    experiments().into_iter().filter(|experiment| experiment.name != "free").flat_map(parts_of).collect()
}

/// A walk's figures. No time of it is of interest, and what it can't do is known when it has been tried: so it is done when it is
/// prepared.
struct Walked(BTreeMap<&'static str, f64>);

impl Walked {
    fn new(outcome: Outcome) -> Result<Self, Failure> {
        match outcome.skipped {
            Some(skipped) => Err(Failure::File(skipped.why)),
            None => Ok(Self(outcome.values)),
        }
    }
}

impl Subject for Walked {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        // The protocol has no blocks without a time.
        Ok(Timed { operations: iterations, spent: Duration::from_nanos(1) })
    }

    fn values(&self) -> BTreeMap<&'static str, f64> {
        self.0.clone()
    }
}

/// Takes part until the host says `bye`.
pub(crate) fn serve(name: &str) -> Result<(), Failure> {
    let Some(part) = parts().into_iter().find(|part| part.name == name) else {
        return Err(Failure::File(format!("there is no way {name:?}; there are: {}", names().join(", "))));
    };
    let workload = &part.workload;
    let mut out = std::io::stdout().lock();
    let mut say = |message: Value| -> Result<(), Failure> {
        writeln!(out, "{message}")?;
        Ok(out.flush()?)
    };
    let version = env!("CARGO_PKG_VERSION");
    say(json!({"hello": {
        "proto": 0, "name": name, "lang": "rust", "runtime": format!("mmap-demo {version}"), "workloads": [workload],
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
            (Some(prepare), ..) => match prepared(prepare, &part) {
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

fn refusal(kind: &str, message: &str) -> Value {
    json!({"error": {"kind": kind, "message": message}})
}

fn prepared(request: &Value, part: &Part) -> Result<Box<dyn Subject>, Value> {
    if request["workload"] != part.workload.as_str() {
        return Err(refusal("unsupported", &format!("it does {} and nothing else", part.workload)));
    }
    (part.prepare)().map_err(|failure| refusal("unsupported", &failure.to_string()))
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
        "latency": null, "values": subject.values(),
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
