//! An outcome as text.

use std::fmt::Write;

use super::number::number;
use crate::outcome::{Aggregate, Outcome};

/// Tasks and cores that are listed at most.
const TASKS: usize = 40;
const CORES: usize = 16;

/// What happened, as a table: tasks, cores, counters, aggregates, and why the run ended.
pub fn table(outcome: &Outcome) -> String {
    let mut text = String::new();
    let _ = write_table(&mut text, outcome); // writing to a string can't fail
    text
}

fn write_table(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(text, "ended at {}: {}", number(outcome.finish_time), outcome.stopped)?;
    if let Some(deadlock) = &outcome.deadlock {
        for blocked in &deadlock.waiting {
            write!(text, "  task {} waits for {}", blocked.task, blocked.waits_for)?;
            if let Some(holder) = blocked.held_by {
                let ended = if blocked.holder_has_ended { ", which has ended" } else { "" };
                write!(text, " (task {holder}{ended})")?;
            }
            writeln!(text)?;
        }
        if !deadlock.cycle.is_empty() {
            let cycle: Vec<String> = deadlock.cycle.iter().chain(deadlock.cycle.first()).map(u32::to_string).collect();
            writeln!(text, "  cycle: {}", cycle.join(" -> "))?;
        }
    }
    if !outcome.tasks.is_empty() {
        writeln!(
            text,
            "\n{:>6} {:<14} {:>12} {:>12} {:>12} {:>12} {:>8} {:>8}",
            "task", "name", "response", "turnaround", "wait", "finish", "switches", "moves"
        )?;
        for task in outcome.tasks.iter().take(TASKS) {
            writeln!(
                text,
                "{:>6} {:<14} {:>12} {:>12} {:>12} {:>12} {:>8} {:>8}",
                task.id,
                task.name.as_deref().unwrap_or(""),
                optional(task.response),
                optional(task.turnaround),
                optional(task.wait),
                optional(task.finish),
                task.switches,
                task.migrations
            )?;
        }
        if outcome.tasks.len() > TASKS {
            writeln!(text, "   ... and {} more", outcome.tasks.len() - TASKS)?;
        }
    }
    if let Some(mean) = &outcome.mean {
        writeln!(
            text,
            "{:>6} {:<14} {:>12} {:>12} {:>12}",
            "mean",
            "",
            number(mean.response),
            number(mean.turnaround),
            number(mean.wait)
        )?;
    }
    write_rest(text, outcome)
}

fn write_rest(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(text)?;
    for core in outcome.cores.iter().take(CORES) {
        let bar = "#".repeat((core.utilization_pct / 4.0).round().clamp(0.0, 25.0) as usize);
        writeln!(
            text,
            "core {:>3} {bar:<25} {:>6.2} % busy, switching {}",
            core.cpu,
            core.utilization_pct,
            number(core.switch_time)
        )?;
    }
    if outcome.cores.len() > CORES {
        writeln!(text, "     ... and {} more", outcome.cores.len() - CORES)?;
    }
    for (name, quantiles) in &outcome.histograms {
        writeln!(
            text,
            "{name}: p50 {}, p90 {}, p99 {}, max {} ({} samples)",
            number(quantiles.p50),
            number(quantiles.p90),
            number(quantiles.p99),
            number(quantiles.max),
            quantiles.count
        )?;
    }
    for queue in &outcome.work_queues {
        let (mean, workers) = (number(queue.mean_depth), queue.workers);
        writeln!(text, "{}: {workers} workers, queue {mean} on average, {} at most", queue.name, queue.max_depth)?;
    }
    let counters = &outcome.counters;
    write!(text, "events {}, switches {}, migrations {}", counters.events, counters.switches, counters.migrations)?;
    for (name, count) in [
        ("deadline misses", counters.deadline_misses),
        ("drops", counters.drops),
        ("GIL switches", counters.gil_switches),
    ] {
        if count > 0 {
            write!(text, ", {name} {count}")?;
        }
    }
    writeln!(text)?;
    for (name, aggregate) in &outcome.aggregates {
        match aggregate {
            Aggregate::One(value) => writeln!(text, "{name:<38} {}", number(*value))?,
            Aggregate::PerClass(values) => {
                let values: Vec<String> = values.iter().map(|value| number(*value)).collect();
                writeln!(text, "{name:<38} {}", values.join(", "))?;
            }
        }
    }
    if let Some(digest) = &outcome.digest {
        writeln!(text, "digest {digest}")?;
    }
    Ok(())
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), number)
}
