//! An outcome as a trace in Chrome's JSON format, which <https://ui.perfetto.dev> opens: one lane per core, one per lock and GIL, and counters of
//! ready tasks and of those that wait for a worker. Where it is not known who had which core (ps, las) there is one lane per task, from its arrival to its end.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::outcome::Outcome;
use crate::scenario::TimeUnit;

/// Lanes of cores, and of holders, as processes of the trace.
const CORES: u32 = 1;
const HOLDERS: u32 = 2;
/// Lanes of tasks of which it is not known which core they had.
const SHARING: u32 = 3;

/// The outcome's timeline. A tick (and a mean service time) shows as a microsecond.
pub fn chrome_trace(outcome: &Outcome) -> Value {
    let scale = match outcome.time_unit {
        TimeUnit::Ns => 1e-3,
        TimeUnit::Ms => 1e3,
        TimeUnit::Us | TimeUnit::Tick | TimeUnit::ServiceMean => 1.0,
    };
    let names: HashMap<u32, &str> =
        outcome.tasks.iter().filter_map(|task| Some((task.id, task.name.as_deref()?))).collect();
    let name = |task: u32| match names.get(&task) {
        Some(name) => format!("{name} ({task})"),
        None => format!("task {task}"),
    };
    let mut events = vec![named("process_name", CORES, 0, "cores")];
    for core in &outcome.cores {
        events.push(named("thread_name", CORES, core.cpu, &format!("core {}", core.cpu)));
    }
    for run in outcome.run_segments.iter().flatten() {
        let mut event = span(&name(run.task), CORES, run.cpu, run.start * scale, run.len * scale);
        event["args"] = json!({ "task": run.task, "level": run.level });
        events.push(event);
    }
    if outcome.run_segments.is_none() {
        events.push(named("process_name", SHARING, 0, "tasks, from arrival to end"));
        for (lane, task) in (0..).zip(&outcome.tasks) {
            let (Some(finish), Some(turnaround)) = (task.finish, task.turnaround) else { continue };
            events.push(named("thread_name", SHARING, lane, &name(task.id)));
            let mut event = span(&name(task.id), SHARING, lane, (finish - turnaround) * scale, turnaround * scale);
            event["args"] = json!({ "task": task.id, "cpu": task.cpu });
            events.push(event);
        }
    }
    let mut lanes: Vec<&str> = Vec::new();
    for holder in outcome.holders.iter().flatten() {
        let lane = lanes.iter().position(|lane| *lane == holder.what).unwrap_or_else(|| {
            if lanes.is_empty() {
                events.push(named("process_name", HOLDERS, 0, "held by"));
            }
            events.push(named("thread_name", HOLDERS, lanes.len() as u32, &holder.what));
            lanes.push(&holder.what);
            lanes.len() - 1
        });
        events.push(span(&name(holder.task), HOLDERS, lane as u32, holder.start * scale, holder.len * scale));
    }
    for depth in outcome.queue_depth.iter().flatten() {
        events.push(json!({ "name": "ready", "ph": "C", "pid": CORES, "ts": depth.time * scale, "args": { "ready": depth.ready } }));
    }
    for queue in &outcome.work_queues {
        let name = format!("{} queue", queue.name);
        for depth in queue.depth.iter().flatten() {
            events.push(json!({ "name": name, "ph": "C", "pid": CORES, "ts": depth.time * scale, "args": { "waiting": depth.ready } }));
        }
    }
    json!({ "displayTimeUnit": "ns", "traceEvents": events })
}

fn named(what: &str, process: u32, thread: u32, name: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": process, "tid": thread, "args": { "name": name } })
}

fn span(name: &str, process: u32, thread: u32, start: f64, length: f64) -> Value {
    json!({ "name": name, "ph": "X", "pid": process, "tid": thread, "ts": start, "dur": length })
}
