//! sched-sim beside other engines, by paired rounds: each bar with its verdict.
//!
//!     cargo bench --package benches --bench sched_sim
//!     cargo bench --package benches --bench sched_sim -- timers memory
//!
//! Takes about five minutes, or as long as the rows take whose names have one of the words; nothing else should run meanwhile. All engines do the same work: timers that set themselves again after
//! about a millisecond, at nanosecond resolution, and 100,000 tasks that share 64 cores in turn, with a cost for each switch. simrs
//! and `NeXosim` run in this process on one thread; `SimPy` runs in a Python of its own, where there is one and pip can get it. An event of
//! sched-sim is one state change of a task; of timers it is one timer. What runs ask of the allocator is exact and does not depend on
//! the machine's mood: `crates/sched-sim/tests/allocations.rs` holds it, and it is counted here for the table.
#![allow(clippy::print_stdout, reason = "it prints its result")]

#[path = "../crates/sched-sim/tests/counting/allocator.rs"]
mod allocator;
#[path = "sched_sim/peers.rs"]
mod peers;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bench_harness::Compare;
use bench_harness::report::Comparison;
use bench_harness::stats::{median, signed_rank};
use peers::simpy::SimPy;
use peers::{Delays, RoundRobin};
use sched_sim::scenario::Record;
use sched_sim::timer_wheel::{Entry, TimerWheel};
use sched_sim::{PolicyKind, RunOptions, Scenario, Step, Task, TimeUnit, simulate};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// Timers fired in one iteration of a block: enough that calling the closure costs nothing beside.
const BATCH: u64 = 1_000;

/// Quiet rounds that a figure needs, and how long a row is tried for them on a machine where others work, too.
const ROUNDS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(25);

/// Prints one line a figure.
struct Table {
    quick: bool,
    /// Words of the rows that are wanted; none is all.
    only: Vec<String>,
}

/// A contender's name, and one iteration of its work.
type Work<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// Whether a bar is a floor or a ceiling.
#[derive(Clone, Copy)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// What each round measured of a contender: the median of its blocks, ns an iteration.
fn rounds_of(comparison: &Comparison, contender: &str) -> Vec<f64> {
    let blocks = |round: &bench_harness::report::Round| -> Vec<f64> {
        let done = round.blocks.iter().filter_map(|block| block.done.get(contender));
        done.map(|done| (done.t1_ns - done.t0_ns) as f64 / done.ops as f64).collect()
    };
    comparison.valid_rounds().filter_map(|round| median(&blocks(round))).collect()
}

impl Table {
    /// Is a row wanted?
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }

    /// Rounds in pairs. Those that others disturbed are void; where too many are it begins anew, for a while.
    fn compare(&self, name: &str, mut works: Vec<Work<'_>>) -> Comparison {
        let begun = Instant::now();
        loop {
            // Bars are about times. How ratios compare with 1 is seen early, and more rounds would take minutes.
            let mut compare = Compare::new(name).watch(!self.quick).margin(0.05);
            if self.quick {
                compare = compare.block(Duration::from_micros(50));
            }
            for (contender, work) in &mut works {
                compare = compare.contender(*contender, work);
            }
            let comparison = compare.run().expect("contenders with names of their own");
            let quiet = comparison.valid_rounds().count();
            if self.quick || quiet >= ROUNDS || begun.elapsed() > PATIENCE {
                if let Some(why) = comparison.rounds.iter().find_map(|round| round.void.as_ref()) {
                    println!("{name}: {quiet} of {} rounds were quiet ({why})", comparison.rounds.len());
                }
                return comparison;
            }
        }
    }

    /// A figure of one contender in each round, times `scale`.
    fn just(&self, what: &str, unit: &str, bar: Bar, comparison: &Comparison, of: &str, value: impl Fn(f64) -> f64) {
        let values: Vec<f64> = rounds_of(comparison, of).into_iter().map(value).collect();
        self.line(what, unit, bar, &values);
    }

    /// How many times as long another takes as ours, round by round.
    fn beside(&self, what: &str, comparison: &Comparison, ours: &str, other: &str) {
        let pairs = rounds_of(comparison, ours).into_iter().zip(rounds_of(comparison, other));
        let ratios: Vec<f64> = pairs.map(|(ours, other)| other / ours).collect();
        self.line(&format!("{what}: {other} over {ours}"), "times", Bar::None, &ratios);
    }

    fn line(&self, what: &str, unit: &str, bar: Bar, values: &[f64]) {
        let (Some(estimate), Some(interval)) =
            (signed_rank::hodges_lehmann(values), signed_rank::interval(values, 0.95))
        else {
            println!("{what:<76} too few rounds");
            return;
        };
        let (sign, bar, met, missed) = match bar {
            Bar::AtMost(bar) => ("<=", bar, interval.high <= bar, interval.low > bar),
            Bar::AtLeast(bar) => (">=", bar, interval.low >= bar, interval.high < bar),
            Bar::None => ("", f64::NAN, false, false),
        };
        let verdict = match (self.quick, met, missed) {
            _ if sign.is_empty() => String::new(),
            (true, ..) => format!("  bar {sign} {bar}  -"),
            (_, true, _) => format!("  bar {sign} {bar}  met"),
            (_, _, true) => format!("  bar {sign} {bar}  MISSED"),
            _ => format!("  bar {sign} {bar}  open"),
        };
        println!("{what:<76} {estimate:>8.2} [{:.2}, {:.2}] {unit}{verdict}", interval.low, interval.high);
    }
}

/// sched-sim's own queue of timers.
fn wheel(count: u32) -> impl FnMut() {
    let mut wheel = TimerWheel::new();
    let mut delays = Delays::new();
    for task in 0..count {
        wheel.insert(Entry { time: delays.next(), task, tag: 0 });
    }
    move || {
        for _ in 0..BATCH {
            if let Some(entry) = wheel.pop() {
                wheel.insert(Entry { time: entry.time + delays.next(), ..entry });
            }
        }
    }
}

/// What is at hand in the standard library.
fn heap(count: u32) -> impl FnMut() {
    let mut heap = BinaryHeap::new();
    let mut delays = Delays::new();
    for task in 0..count {
        heap.push(Reverse((delays.next(), task)));
    }
    move || {
        for _ in 0..BATCH {
            if let Some(mut first) = heap.peek_mut() {
                first.0.0 += delays.next();
            }
        }
    }
}

/// Timers that set themselves again. A row for another queue is one more `contender`.
fn timers(table: &Table, count: u32, bar: f64, simpy: Option<&mut SimPy>) {
    let name = format!("{count} timers");
    if !table.wants(&name) {
        return;
    }
    let mut simrs = peers::simrs::timers(count);
    let mut nexosim = peers::nexosim::timers(count);
    let simrs_steps = || {
        for _ in 0..BATCH {
            simrs.step();
        }
    };
    let nexosim_steps = || {
        for _ in 0..BATCH {
            nexosim.step().expect("timers never end");
        }
    };
    let works: Vec<Work<'_>> = vec![
        ("sched-sim's wheel", Box::new(wheel(count))),
        ("std's BinaryHeap", Box::new(heap(count))),
        ("simrs", Box::new(simrs_steps)),
        ("NeXosim", Box::new(nexosim_steps)),
    ];
    let comparison = table.compare(&name, works);
    for contender in ["sched-sim's wheel", "std's BinaryHeap", "simrs", "NeXosim"] {
        let bar = if contender == "sched-sim's wheel" { Bar::AtMost(bar) } else { Bar::None };
        table.just(&format!("{name}, {contender}"), "ns/event", bar, &comparison, contender, |ns| ns / BATCH as f64);
    }
    for other in ["simrs", "NeXosim"] {
        table.beside(&name, &comparison, "sched-sim's wheel", other);
    }
    if let Some(simpy) = simpy {
        let rounds = if table.quick { 6 } else { 10 };
        let version = simpy.version.clone();
        let values: Vec<f64> = (0..rounds).filter_map(|_| simpy.batch(count)).collect();
        table.line(&format!("{name}, SimPy and Python {version}"), "ns/event", Bar::None, &values);
    }
}

/// Tasks that sleep and compute for 100 ns: the timers through the whole simulator.
fn sleepers(table: &Table, tasks: u32, bar: f64) {
    let name = format!("{tasks} sleeping tasks on 64 cores, the whole simulator");
    if !table.wants(&name) {
        return;
    }
    let rounds = (200_000 / tasks).max(2);
    let mut scenario = Scenario::new(64, PolicyKind::Fifo).time_unit(TimeUnit::Ns);
    scenario.record = Some(vec![Record::Switches]);
    for kind in 0..10_u32 {
        let sleep = Step::Sleep(900_000.0 + f64::from(kind) * 77_777.0);
        let program = [Step::Repeat(rounds, vec![Step::cpu(100.0), sleep])];
        let task = Task::new(kind * (tasks / 10), program).count(tasks / 10).arrives(f64::from(kind) * 12_345.0);
        scenario = scenario.task(task);
    }
    runs(table, &name, &scenario, Bar::AtMost(bar));
}

/// Whole simulations, beside the same with the digest: ns an event, building and taking apart included.
fn runs(table: &Table, name: &str, scenario: &Scenario, bar: Bar) {
    let plain = RunOptions { digest: false, ..RunOptions::default() };
    let events = events_of(scenario) as f64;
    let digest = RunOptions::default();
    let works = vec![simulation("plain", scenario, &plain), simulation("with digest", scenario, &digest)];
    let comparison = table.compare(name, works);
    table.just(name, "ns/event", bar, &comparison, "plain", |ns| ns / events);
    table.beside(name, &comparison, "plain", "with digest");
}

/// A whole simulation as an iteration.
fn simulation<'a>(name: &'a str, scenario: &'a Scenario, options: &'a RunOptions) -> Work<'a> {
    (name, Box::new(|| drop(black_box(simulate(scenario, options)))))
}

fn events_of(scenario: &Scenario) -> u64 {
    simulate(scenario, &RunOptions { digest: false, ..RunOptions::default() })
        .map_or(0, |outcome| outcome.counters.events)
}

/// The round robin as a scenario.
fn scenario_of(shape: RoundRobin) -> Scenario {
    let mut scenario = Scenario::new(shape.cores, PolicyKind::Rr).time_unit(TimeUnit::Ns).quantum(shape.quantum as f64);
    scenario.costs.context_switch = (shape.switch as f64).into();
    scenario.record = Some(vec![Record::Switches]);
    let each = shape.tasks / 4;
    for kind in 0..4 {
        let count = if kind == 3 { shape.tasks - 3 * each } else { each };
        let work = shape.work(kind * each) as f64;
        scenario = scenario.task(Task::new(kind * each, [Step::cpu(work)]).count(count));
    }
    scenario
}

fn round_robin(table: &Table) {
    if !table.wants("round robin") {
        return;
    }
    let shape = |quanta| RoundRobin { cores: 64, tasks: 100_000, quanta, quantum: 4_000_000, switch: 1_500 };
    let plain = RunOptions { digest: false, ..RunOptions::default() };
    let name = "64 cores, 100,000 tasks, round robin with switch cost";
    let scenario = scenario_of(shape(if table.quick { 2 } else { 20 }));
    let digest = RunOptions::default();
    let events = events_of(&scenario) as f64;
    let works = vec![simulation("sched-sim", &scenario, &plain), simulation("with digest", &scenario, &digest)];
    let comparison = table.compare("round robin", works);
    table.just(name, "M events/s", Bar::AtLeast(50.0), &comparison, "sched-sim", |ns| 1e3 * events / ns);
    table.beside("the same work", &comparison, "sched-sim", "with digest");
    // Beside the others fewer quanta: they need seconds for what takes a tenth of one here.
    let shape = shape(if table.quick { 2 } else { 4 });
    let scenario = scenario_of(shape);
    // Before the time, the work: all end at the same nanosecond, or they did not do the same.
    let ours = simulate(&scenario, &plain).expect("a scenario");
    for (engine, end) in [("simrs", peers::simrs::round_robin(shape)), ("NeXosim", peers::nexosim::round_robin(shape))]
    {
        assert!((ours.finish_time - end as f64).abs() < 0.5, "ours ended at {}, {engine} at {end}", ours.finish_time);
    }
    let works: Vec<Work<'_>> = vec![
        simulation("sched-sim", &scenario, &plain),
        ("simrs", Box::new(|| _ = black_box(peers::simrs::round_robin(shape)))),
        ("NeXosim", Box::new(|| _ = black_box(peers::nexosim::round_robin(shape)))),
    ];
    let comparison = table.compare("round robin", works);
    for other in ["simrs", "NeXosim"] {
        table.beside("the same work", &comparison, "sched-sim", other);
    }
}

/// What recording costs that nobody asked for: a scenario that could record everything, and asks for nothing, against one that has nothing to
/// record. The engine for runs without a record is a copy of its own; this is its bar.
fn recording(table: &Table) {
    if !table.wants("recording") {
        return;
    }
    let shape = RoundRobin { cores: 4, tasks: 1_000, quanta: 200, quantum: 4_000_000, switch: 1_500 };
    let off = scenario_of(shape);
    let on =
        Scenario { record: Some(vec![Record::RunSegments, Record::Dispatches, Record::QueueDepth]), ..off.clone() };
    let plain = RunOptions { digest: false, ..RunOptions::default() };
    let events = events_of(&off) as f64;
    let comparison = table.compare("recording", vec![simulation("off", &off, &plain), simulation("on", &on, &plain)]);
    table.just("recording off, 4 cores, 1,000 tasks", "ns/event", Bar::None, &comparison, "off", |ns| ns / events);
    table.beside("recording (segments, dispatches, queue depth)", &comparison, "off", "on");
}

/// Bytes of a task, and calls of the allocator in a run: exact.
fn memory(table: &Table) {
    if !table.wants("memory") {
        return;
    }
    let tasks = 1_000_000;
    let [(_, few), (events, many)] = [1, if table.quick { 2 } else { 10 }].map(|quanta| {
        let scenario = scenario_of(RoundRobin { cores: 64, tasks, quanta, quantum: 4_000_000, switch: 1_500 });
        let plain = RunOptions { digest: false, ..RunOptions::default() };
        let (outcome, asked) = allocator::during(|| simulate(&scenario, &plain).expect("a scenario"));
        (outcome.counters.events, asked)
    });
    let each = many.peak_bytes as f64 / f64::from(tasks);
    let verdict = if each <= 200.0 { "met" } else { "MISSED" };
    println!("{:<76} {each:>8.1} bytes  bar <= 200  {verdict}", format!("memory of a task, {tasks} tasks"));
    let more = many.calls.saturating_sub(few.calls);
    println!("{:<76} {more:>8} calls of the allocator more than for one quantum each", format!("{events} events"));
}

fn main() {
    let table = Table {
        quick: std::env::args().any(|argument| argument == "--test"),
        only: std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect(),
    };
    let mut simpy = None;
    if table.wants("1000 timers, 1000000 timers") {
        simpy = SimPy::start().inspect_err(|why| println!("SimPy is not beside the others: {why}")).ok();
    }
    timers(&table, 1_000, 10.0, simpy.as_mut());
    timers(&table, 1_000_000, 60.0, simpy.as_mut());
    sleepers(&table, 1_000, 10.0);
    sleepers(&table, 1_000_000, 60.0);
    round_robin(&table);
    recording(&table);
    memory(&table);
}
