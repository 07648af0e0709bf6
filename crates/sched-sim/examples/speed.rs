//! Events a second, without the digest: `cargo run --release -p sched-sim --example speed`.
//!
//! An event is one state change of a task: a quantum's end and the dispatch after it are two. Each figure is the best of five runs, in time on
//! the processor (Linux's schedstat), so that others' work beside it counts little. `speed WORDS once` does each row whose name has the words
//! once, for a profiler: `valgrind --tool=callgrind target/release/examples/speed sleeping once` counts instructions.
#![allow(clippy::print_stdout, reason = "this is a program")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use sched_sim::scenario::Record;
use sched_sim::timer_wheel::{Entry, TimerWheel};
use sched_sim::{PolicyKind, RunOptions, Scenario, Step, Task, TimeUnit, simulate};

fn main() {
    let only = std::env::args().nth(1);
    let rounds = if std::env::args().nth(2).is_some() { 1 } else { 5 };
    let report = |name: &str, run: &mut dyn FnMut() -> u64| {
        if only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            report(name, rounds, run);
        }
    };
    let options = RunOptions { digest: false, ..RunOptions::default() };
    println!("{:<52} {:>12} {:>10} {:>10}", "", "events", "ns/event", "M/s");
    for (cores, tasks) in [(1, 10), (1, 1_000), (64, 1_000), (64, 100_000), (64, 1_000_000)] {
        let scenario = round_robin(cores, tasks, 20_000_000 / u64::from(tasks));
        report(&format!("round robin, {cores} cores, {tasks} tasks, switch cost"), &mut || {
            simulate(&scenario, &options).map_or(0, |outcome| outcome.counters.events)
        });
    }
    let scenario = round_robin(64, 100_000, 200);
    report("the same with the digest, 64 cores, 100000 tasks", &mut || {
        simulate(&scenario, &RunOptions::default()).map_or(0, |outcome| outcome.counters.events)
    });
    for timers in [64, 1_000, 100_000, 1_000_000] {
        report(&format!("timer wheel alone, {timers} timers, ns"), &mut || hold(timers, 5_000_000));
    }
    for timers in [64, 1_000, 100_000, 1_000_000] {
        report(&format!("std BinaryHeap, {timers} timers, ns"), &mut || hold_heap(timers, 5_000_000));
    }
    for sleepers in [1_000, 1_000_000] {
        let scenario = sleepers_scenario(sleepers, 6_000_000 / sleepers);
        report(&format!("{sleepers} sleeping tasks, 64 cores"), &mut || {
            simulate(&scenario, &options).map_or(0, |outcome| outcome.counters.events)
        });
    }
    let text = r#"{"schema":"sched-scenario/0","time_unit":"service-mean","machine":{"cores":1},"policy":{"kind":"fifo"},"record":[],
        "generator":{"arrivals":{"kind":"poisson","rate":0.7},"service":{"kind":"exp","mean":1},"count":2000000}}"#;
    if let Ok(scenario) = serde_json::from_str::<Scenario>(text) {
        report("M/M/1, load 0.7", &mut || simulate(&scenario, &options).map_or(0, |outcome| outcome.counters.events));
    }
}

/// Prints the best of so many rounds.
fn report(name: &str, rounds: u32, mut run: impl FnMut() -> u64) {
    let mut best = f64::INFINITY;
    let mut events = 0;
    for _ in 0..rounds {
        let (start, on_cpu) = (Instant::now(), time_on_cpu());
        events = run();
        let wall = start.elapsed().as_nanos() as f64;
        let time = on_cpu.zip(time_on_cpu()).map_or(wall, |(before, after)| after - before);
        best = best.min(time / events as f64);
    }
    println!("{name:<52} {events:>12} {best:>10.2} {:>10.1}", 1e3 / best);
}

/// This thread's time on a processor, in nanoseconds, where the system says it.
fn time_on_cpu() -> Option<f64> {
    // Giving up the processor brings the figure up to date.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn round_robin(cores: u32, tasks: u32, quanta: u64) -> Scenario {
    let mut scenario = Scenario::new(cores, PolicyKind::Rr).time_unit(TimeUnit::Ns).quantum(4_000_000.0);
    scenario.costs.context_switch = 1_500.0.into();
    scenario.record = Some(vec![Record::Switches]);
    let quanta = (quanta / 2).max(1) as f64;
    // Four lengths, so that ends do not all fall together.
    for kind in 0..4_u32 {
        let work = quanta * 4_000_000.0 + f64::from(kind) * 777_777.0;
        let first = kind * (tasks / 4);
        let count = if kind == 3 { tasks - 3 * (tasks / 4) } else { tasks / 4 };
        scenario = scenario.task(Task::new(first, [Step::cpu(work)]).count(count));
    }
    scenario
}

fn sleepers_scenario(tasks: u32, rounds: u32) -> Scenario {
    let mut scenario = Scenario::new(64, PolicyKind::Fifo).time_unit(TimeUnit::Ns);
    scenario.record = Some(vec![Record::Switches]);
    for kind in 0..10_u32 {
        let program =
            [Step::Repeat(rounds, vec![Step::cpu(100.0), Step::Sleep(900_000.0 + f64::from(kind) * 77_777.0)])];
        scenario = scenario
            .task(Task::new(kind * (tasks / 10), program).count(tasks / 10).arrives(f64::from(kind) * 12_345.0));
    }
    scenario
}

/// Delays of about a millisecond, the same in every run (xorshift, Marsaglia 2003).
fn delays() -> impl FnMut() -> u64 {
    let mut state = 88_172_645_463_325_252_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1 + (state >> 44)
    }
}

/// So many timers that set themselves again.
fn hold(timers: u32, events: u64) -> u64 {
    let mut wheel = TimerWheel::new();
    let mut delay = delays();
    for task in 0..timers {
        wheel.insert(Entry { time: delay(), task, tag: 0 });
    }
    for _ in 0..events {
        if let Some(entry) = wheel.pop() {
            wheel.insert(Entry { time: entry.time + delay(), ..entry });
        }
    }
    events
}

/// The same with the standard library's heap, to compare with.
fn hold_heap(timers: u32, events: u64) -> u64 {
    let mut heap = BinaryHeap::new();
    let mut delay = delays();
    for task in 0..timers {
        heap.push(Reverse((delay(), task)));
    }
    for _ in 0..events {
        if let Some(Reverse((time, task))) = heap.pop() {
            heap.push(Reverse((time + delay(), task)));
        }
    }
    events
}
