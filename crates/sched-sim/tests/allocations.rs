//! What a run asks of the allocator: a sum for each task when it is built, and nothing for an event.
//!
//! The counters are global: this file has one test, and a process of its own.

#[path = "counting/allocator.rs"]
mod allocator;

use allocator::{Counting, during};
use sched_sim::outcome::StopReason;
use sched_sim::scenario::read::{Format, text};
use sched_sim::scenario::{Limits, Record};
use sched_sim::{PolicyKind, RunOptions, RuntimeKind, Scenario, Step, Task, TimeUnit, simulate};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tasks that compute, sleep and take a lock, so many rounds; half of them may only use two of the cores, if they have threads and these have cores.
fn busy(policy: PolicyKind, runtime: RuntimeKind, rounds: u32) -> Scenario {
    let mut scenario = Scenario::new(4, policy).time_unit(TimeUnit::Us).quantum(100.0).runtime(runtime);
    scenario.costs.context_switch = 1.5.into();
    scenario.policy.levels = vec![sched_sim::scenario::Level { quantum: 100.0, allotment: 2 }; 3];
    scenario.record = Some(Vec::new());
    // Nobody asks for a lottery's winners here, but they are noted all the same: for a few draws only.
    scenario.limits.recorded = 100;
    let steps = vec![
        Step::cpu(250.0),
        Step::Lock("m".into()),
        Step::cpu(3.0),
        Step::Unlock("m".into()),
        Step::Sleep(777.0),
        Step::Io(33.0),
    ];
    let program = [Step::Repeat(rounds, steps)];
    let shares = matches!(policy, PolicyKind::Ps | PolicyKind::Las);
    let affinity = (!runtime.has_workers() && !shares).then(|| vec![1, 2]);
    let narrow = Task { affinity, ..Task::new(20, program.clone()).count(20) };
    scenario.task(Task::new(0, program).count(20)).task(narrow)
}

fn calls(scenario: &Scenario) -> (u64, u64) {
    let options = RunOptions { digest: false, ..RunOptions::default() };
    let (outcome, asked) = during(|| simulate(scenario, &options).unwrap());
    (outcome.counters.events, asked.calls)
}

const RUNTIMES: &[RuntimeKind] = &[
    RuntimeKind::Native,
    RuntimeKind::Gil2,
    RuntimeKind::Gil3,
    RuntimeKind::EventLoop,
    RuntimeKind::ThreadPool,
    RuntimeKind::MN,
];

/// With the runtimes that go with them.
const POLICIES: &[(PolicyKind, &[RuntimeKind])] = &[
    (PolicyKind::Fifo, RUNTIMES),
    (PolicyKind::Sjf, RUNTIMES),
    (PolicyKind::Srpt, RUNTIMES),
    (PolicyKind::Las, &[RuntimeKind::Native]),
    (PolicyKind::Ps, &[RuntimeKind::Native]),
    (PolicyKind::Rr, RUNTIMES),
    (PolicyKind::Priority, RUNTIMES),
    (PolicyKind::Mlfq, RUNTIMES),
    (PolicyKind::Lottery, RUNTIMES),
    (PolicyKind::Stride, RUNTIMES),
    (PolicyKind::Cfs, RUNTIMES),
    (PolicyKind::Eevdf, RUNTIMES),
    (PolicyKind::Edf, RUNTIMES),
    (PolicyKind::WorkStealing, RUNTIMES),
];

/// One function, so that no other test allocates beside it.
#[test]
fn events_allocate_nothing_and_a_task_takes_at_most_200_bytes() {
    for (policy, runtimes) in POLICIES {
        for runtime in *runtimes {
            let [(few, first), (many, second)] = [50, 500].map(|rounds| calls(&busy(*policy, *runtime, rounds)));
            assert!(many > 5 * few, "{policy:?}, {runtime:?}: {few} and {many} events");
            // What is sized by the deepest queue may grow once or twice more; ten times the events are no reason to.
            let what = format!("{policy:?}, {runtime:?}: {first} calls for {few} events, {second} for {many}");
            assert!(second <= first + 16, "{what}");
        }
    }
    let tasks = 1_000_000;
    let mut scenario = Scenario::new(64, PolicyKind::Rr).time_unit(TimeUnit::Ns).quantum(4e6);
    scenario.costs.context_switch = 1_500.0.into();
    scenario.record = Some(vec![Record::Switches]);
    scenario.limits = Limits { tasks, ..Limits::default() };
    let scenario = scenario.task(Task::new(0, [Step::cpu(1e7)]).count(tasks as u32));
    let options = RunOptions { digest: false, ..RunOptions::default() };
    let (outcome, asked) = during(|| simulate(&scenario, &options).unwrap());
    let each = asked.peak_bytes as f64 / tasks as f64;
    assert!(outcome.counters.events >= 4 * tasks);
    assert!(each <= 200.0, "{each:.1} bytes a task");
    a_queue_per_core_keeps_to_the_memory_too();
}

/// Each queue has an account of every task, of whichever core it is.
fn a_queue_per_core_keeps_to_the_memory_too() {
    let memory = 40_000_000;
    for kind in ["sjf", "mlfq", "lottery", "stride", "cfs", "eevdf"] {
        let scenario = format!(
            "schema = 'sched-scenario/0'
            machine = {{ cores = 64 }}
            policy = {{ kind = '{kind}', quantum = 1, levels = [{{ quantum = 1 }}], queues = 'per-core' }}
            limits = {{ memory = {memory} }}
            generator = {{ arrivals = {{ kind = 'poisson', rate = 1e6 }}, service = {{ kind = 'det', value = 1 }}, count = 100000 }}"
        );
        let scenario = text(&scenario, Format::Toml).unwrap();
        let options = RunOptions { digest: false, ..RunOptions::default() };
        let (outcome, asked) = during(|| simulate(&scenario, &options).unwrap());
        assert_eq!(outcome.stopped, StopReason::MemoryLimit, "{kind}");
        // Who is in which queue is not counted.
        assert!(asked.peak_bytes <= memory / 4 * 5, "{kind}: {} bytes", asked.peak_bytes);
    }
}
