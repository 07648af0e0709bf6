//! What holds for every scenario: nobody is on two cores, no work is lost or made up, no core idles beside a task that could use it, and nothing
//! that is thrown at the reader or the simulator makes it panic or hang.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use proptest::prelude::*;
use sched_sim::outcome::{Outcome, StopReason};
use sched_sim::scenario::read::{Format, text};
use sched_sim::scenario::{Pinned, QuantumClock, Queues, Record, Steal, StealFrom, StealTake};
use sched_sim::{PolicyKind, RunOptions, RuntimeKind, Scenario, Step, Task, simulate};
use serde_json::{Value, json};

#[path = "random/scenarios.rs"]
mod scenarios;

use scenarios::{POLICIES, config, tasks, with_policy};

fn run(scenario: &Scenario) -> Outcome {
    simulate(scenario, &RunOptions::default()).unwrap()
}

/// Who steals takes half of a queue, and none of those that may not come.
fn half_of(from: StealFrom, every: Option<f64>) -> Steal {
    Steal { every, from, take: StealTake::Half, pinned: Pinned::IfAllowed }
}

fn computing(program: &[Step]) -> f64 {
    let of = |step: &Step| match step {
        Step::Cpu(sched_sim::scenario::CpuTime::Fixed(time)) => *time,
        _ => 0.0,
    };
    program.iter().map(of).sum()
}

fn check_timeline(scenario: &Scenario, outcome: &Outcome) {
    check_apart(outcome);
    check_order(outcome);
    let runs = outcome.run_segments.as_ref().unwrap();
    for task in &scenario.tasks {
        let ran: f64 = runs.iter().filter(|run| run.task == task.id).map(|run| run.len).sum();
        assert!((ran - computing(&task.program)).abs() < 1e-6, "task {} ran for {ran}", task.id);
    }
}

/// What happens is written down in order of time: the queue's length at each instant, who held what, and each core's runs.
fn check_order(outcome: &Outcome) {
    let depth = outcome.queue_depth.as_ref().unwrap();
    assert!(depth.windows(2).all(|pair| pair[0].time < pair[1].time), "time went back: {depth:?}");
    let held = outcome.holders.as_ref().unwrap();
    assert!(held.windows(2).all(|pair| pair[0].start <= pair[1].start), "time went back: {held:?}");
    let runs = outcome.run_segments.as_ref().unwrap();
    let ends = |pair: &[sched_sim::outcome::Segment]| pair[0].start + pair[0].len <= pair[1].start + 1e-9;
    assert!(runs.windows(2).all(|pair| pair[0].cpu != pair[1].cpu || ends(pair)), "time went back: {runs:?}");
    for task in &outcome.tasks {
        assert!(task.response.unwrap() >= 0.0 && task.turnaround.unwrap() >= task.response.unwrap(), "{task:?}");
    }
    let last = depth.last().map_or(0.0, |depth| depth.time).max(runs.iter().map(|run| run.start).fold(0.0, f64::max));
    assert!(outcome.finish_time >= last, "it ended at {}, and something happened at {last}", outcome.finish_time);
}

/// Nobody is on two cores, and no core has two at once.
fn check_apart(outcome: &Outcome) {
    let runs = outcome.run_segments.as_ref().unwrap();
    for (number, one) in runs.iter().enumerate() {
        assert!(one.len > 0.0 && one.start >= 0.0);
        for other in &runs[number + 1..] {
            let apart = one.start + one.len <= other.start + 1e-9 || other.start + other.len <= one.start + 1e-9;
            assert!(apart || (one.cpu != other.cpu && one.task != other.task), "{one:?} and {other:?}");
        }
    }
}

/// No core is idle while a task waits for one.
fn check_work_conserving(scenario: &Scenario, outcome: &Outcome) {
    let runs = outcome.run_segments.as_ref().unwrap();
    let busy = |time: f64| runs.iter().filter(|run| run.start <= time && time < run.start + run.len).count();
    let mut changes: Vec<f64> = runs.iter().flat_map(|run| [run.start, run.start + run.len]).collect();
    changes.sort_by(f64::total_cmp);
    changes.dedup();
    let depth = outcome.queue_depth.as_ref().unwrap();
    for pair in changes.windows(2) {
        let middle = f64::midpoint(pair[0], pair[1]);
        let ready = depth.iter().take_while(|depth| depth.time <= middle).last().map_or(0, |depth| depth.ready);
        let idle = scenario.machine.cores as usize - busy(middle);
        assert!(idle == 0 || ready == 0, "at {middle}: {idle} idle cores, {ready} ready tasks");
    }
}

/// Makes a program lock, send, receive and wake somewhere, at the same instants as others. Whoever waits may do so for ever.
fn meet_others(program: &mut Vec<Step>, what: u32, place: usize) {
    let at = place % (program.len() + 1);
    let (channel, lock, semaphore) = ("ch".to_owned(), "m".to_owned(), "s".to_owned());
    match what {
        0 | 1 => {
            let to = if what == 0 { program.len() } else { (at + 1).min(program.len()) };
            program.insert(to, Step::Unlock(lock.clone()));
            program.insert(at, Step::Lock(lock));
        }
        2 => program.insert(at, Step::Send { channel, bytes: 1 }),
        3 => program.insert(at, Step::Recv(channel)),
        4 => program.insert(at, Step::SemPost(semaphore)),
        5 => program.insert(at, Step::SemWait(semaphore)),
        6 => program.insert(at, Step::Yield),
        _ => {}
    }
}

const RUNTIMES: [RuntimeKind; 9] = [
    RuntimeKind::Native,
    RuntimeKind::Gil2,
    RuntimeKind::Gil3,
    RuntimeKind::FreeThreaded,
    RuntimeKind::EventLoop,
    RuntimeKind::ThreadPool,
    RuntimeKind::ProcessPool,
    RuntimeKind::ThreadPerRequest,
    RuntimeKind::MN,
];

/// How urgent a task is under a policy for which that never changes: the smaller, the more.
fn urgency(kind: PolicyKind, task: &Task) -> Option<f64> {
    match kind {
        PolicyKind::Priority => Some(task.priority.into()),
        PolicyKind::Edf => task.deadline.map(|deadline| task.arrival + deadline),
        _ => None,
    }
}

/// Nobody runs where it may not; no core is idle, and none has a less urgent task, where somebody might run who waits. For tasks that only compute.
fn check_affinities(scenario: &Scenario, outcome: &Outcome) {
    let runs = outcome.run_segments.as_ref().unwrap();
    let allowed = |task: &Task, core: u32| task.affinity.as_ref().is_none_or(|cores| cores.contains(&core));
    assert!(runs.iter().all(|run| allowed(&scenario.tasks[run.task as usize], run.cpu)));
    let mut changes: Vec<f64> = runs.iter().flat_map(|run| [run.start, run.start + run.len]).collect();
    changes.extend(scenario.tasks.iter().map(|task| task.arrival));
    changes.sort_by(f64::total_cmp);
    for pair in changes.windows(2).filter(|pair| pair[1] - pair[0] > 1e-9) {
        let middle = f64::midpoint(pair[0], pair[1]);
        let now: Vec<_> = runs.iter().filter(|run| run.start <= middle && middle < run.start + run.len).collect();
        for (task, ended) in scenario.tasks.iter().zip(&outcome.tasks) {
            let waits =
                task.arrival <= middle && ended.finish.unwrap() > middle && now.iter().all(|run| run.task != task.id);
            let place =
                (0..scenario.machine.cores).find(|core| allowed(task, *core) && now.iter().all(|run| run.cpu != *core));
            let kind = scenario.policy.kind;
            assert!(!waits || place.is_none(), "{kind:?}: task {} waits at {middle}, core {place:?} is idle", task.id);
            if waits && scenario.policy.queues.is_none() {
                let less = |other: &Task| urgency(kind, task) < urgency(kind, other);
                let wrong = now.iter().find(|run| allowed(task, run.cpu) && less(&scenario.tasks[run.task as usize]));
                assert!(wrong.is_none(), "{kind:?}: task {} waits at {middle} beside {wrong:?}", task.id);
            }
        }
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn the_timeline_is_possible(tasks in tasks(), cores in 1..5_u32) {
        for kind in POLICIES {
            let mut scenario = with_policy(cores, kind);
            scenario.tasks.clone_from(&tasks);
            let outcome = run(&scenario);
            prop_assert_eq!(&outcome.stopped, &StopReason::Finished, "{:?}", kind);
            check_timeline(&scenario, &outcome);
            check_work_conserving(&scenario, &outcome);
            // The same again is the same again.
            prop_assert_eq!(run(&scenario).digest, outcome.digest);
        }
    }

    #[test]
    fn queues_per_core_with_stealing_leave_no_core_idle(
        tasks in tasks(), cores in 1..5_u32, every in prop::option::of(1..30_u32)
    ) {
        for kind in POLICIES {
            let mut scenario = with_policy(cores, kind);
            scenario.tasks.clone_from(&tasks);
            scenario.policy.queues = Some(Queues::PerCore);
            scenario.policy.steal = Some(half_of(StealFrom::Busiest, every.map(f64::from)));
            let outcome = run(&scenario);
            prop_assert_eq!(&outcome.stopped, &StopReason::Finished, "{:?}", kind);
            check_timeline(&scenario, &outcome);
            // In rounds a core waits for the next one.
            if every.is_none() {
                check_work_conserving(&scenario, &outcome);
            }
        }
    }

    #[test]
    fn no_core_idles_beside_a_task_that_may_run_there(
        tasks in prop::collection::vec((0..40_u32, 1..30_u32, 1..16_u32, 0..3_u32, 0..6_u32), 1..12),
        cores in 1..5_u32,
        steals in prop::bool::ANY,
    ) {
        let tasks: Vec<Task> = (0..).zip(tasks).map(|(id, (arrival, work, allowed, tickets, urgency))| {
            let set: Vec<u32> = (0..cores).filter(|core| allowed >> core & 1 == 1).collect();
            let affinity = if set.is_empty() { vec![id % cores] } else { set };
            let program = [Step::cpu(f64::from(work)), Step::Yield, Step::cpu(3.0)];
            let deadline = Some(f64::from(10 * urgency));
            let task = Task { affinity: Some(affinity), tickets, deadline, ..Task::new(id, program) };
            task.arrives(f64::from(arrival)).priority(urgency)
        }).collect();
        for kind in POLICIES {
            let mut scenario = with_policy(cores, kind);
            scenario.tasks.clone_from(&tasks);
            if steals {
                scenario.policy.queues = Some(Queues::PerCore);
                scenario.policy.steal = Some(half_of(StealFrom::RandomOther, None));
            }
            let outcome = run(&scenario);
            prop_assert_eq!(&outcome.stopped, &StopReason::Finished, "{:?}", kind);
            check_timeline(&scenario, &outcome);
            check_affinities(&scenario, &outcome);
        }
    }

    #[test]
    fn the_timeline_is_possible_with_every_runtime_and_policy(
        tasks in tasks(), cores in 1..5_u32, policy in 0..13_usize, steals in prop::bool::ANY, costs in prop::bool::ANY
    ) {
        for kind in RUNTIMES {
            let mut scenario = with_policy(cores, POLICIES[policy]).runtime(kind);
            scenario.tasks.clone_from(&tasks);
            if kind.has_workers() {
                // Which these do not look at.
                scenario.tasks.iter_mut().for_each(|task| (task.nice, task.tickets, task.priority) = (0, 100, 0));
            }
            scenario.runtime.gil2.ns_per_tick = 20_000.0;
            if steals {
                scenario.policy.queues = Some(Queues::PerCore);
                scenario.policy.steal = Some(half_of(StealFrom::Busiest, None));
            }
            if costs {
                scenario.costs.wakeup_cross_core = 0.5.into();
                scenario.costs.context_switch = 0.25.into();
                scenario.costs.mode_switch = 0.125.into();
                // Longer than it takes all other threads to wake up and wait again: where the last to come is the first to go, they would leave the
                // holder no core otherwise, and the run would have no end.
                scenario.runtime.gil3.switch_interval = Some(20.0);
            }
            let outcome = run(&scenario);
            prop_assert_eq!(&outcome.stopped, &StopReason::Finished, "{:?} on {:?}", kind, POLICIES[policy]);
            check_apart(&outcome);
            check_order(&outcome);
            // A core that switches is busy, but nobody runs on it: where that costs time the timeline does not tell it from an idle one.
            if !costs {
                check_work_conserving(&scenario, &outcome);
            }
        }
    }

    #[test]
    fn the_shortest_way_from_slice_to_slice_comes_to_the_same_as_the_long_one(
        tasks in tasks(), cores in 1..5_u32, quantum in 1..9_u32, cost in 0..3_u32, global in prop::bool::ANY,
        others in prop::collection::vec((0..8_u32, 0..9_usize), 8)
    ) {
        let mut scenario = with_policy(cores, PolicyKind::Rr).quantum(f64::from(quantum));
        scenario.tasks = tasks;
        // Enough of them that no core is idle for long.
        scenario.tasks.iter_mut().for_each(|task| (task.id, task.count) = (20 * task.id, 20));
        for (task, (what, place)) in scenario.tasks.iter_mut().zip(others) {
            meet_others(&mut task.program, what, place);
        }
        scenario.costs.context_switch = (f64::from(cost) / 4.0).into();
        scenario.costs.migration = (f64::from(cost) / 8.0).into();
        scenario.costs.tick_interrupt = (f64::from(cost) / 16.0).into();
        scenario.machine.llc_groups = (cores > 1).then(|| vec![vec![0], (1..cores).collect()]);
        if global {
            scenario.policy.quantum_clock = QuantumClock::Global;
        }
        let short = run(&scenario);
        // Where a task is pinned, if only to all cores, each slice's end is a decision of its own.
        scenario.tasks[0].affinity = Some((0..cores).collect());
        let long = run(&scenario);
        // What happens on several cores at one instant is in another order.
        prop_assert_eq!(Outcome { digest: None, ..short }, Outcome { digest: None, ..long });
    }

    #[test]
    fn giving_an_ended_tasks_place_to_another_changes_nothing(
        rate in 0.3..1.9_f64, io in 0..4_u32, cores in 1..3_u32, seed in 0..1000_u64, runtime in 0..RUNTIMES.len(), cost in 0..2_u32
    ) {
        // But for lottery, where the tickets lie in the order of places.
        let sharing = [PolicyKind::Ps, PolicyKind::Las];
        for kind in POLICIES.into_iter().filter(|kind| *kind != PolicyKind::Lottery).chain(sharing) {
            let mut scenario = with_policy(cores, kind);
            scenario.seed = seed;
            if !sharing.contains(&kind) {
                scenario = scenario.runtime(RUNTIMES[runtime]);
                scenario.costs.context_switch = (f64::from(cost) / 16.0).into();
                scenario.costs.task_switch = (f64::from(cost) / 32.0).into();
                scenario.costs.gil_handoff = (f64::from(cost) / 64.0).into();
            }
            scenario.generator = serde_json::from_value(json!({
                "arrivals": { "kind": "poisson", "rate": rate * f64::from(cores) }, "count": 120,
                "service": { "kind": "exp", "mean": 0.5 },
                // Who has nothing left to do after its I/O ends without a core.
                "program": [{ "mark": "one" }, { "cpu": "service" }, { "io": f64::from(io) }],
            })).unwrap();
            scenario.limits.events = 10_000_000;
            scenario.record = Some(vec![]);
            let recycled = run(&scenario);
            scenario.record = Some(vec![Record::PerTask]);
            let kept = run(&scenario);
            prop_assert_eq!(kept.digest, recycled.digest, "{:?}", kind);
            prop_assert_eq!(&kept.counters, &recycled.counters, "{:?}", kind);
            prop_assert_eq!(&kept.aggregates, &recycled.aggregates, "{:?}", kind);
            prop_assert_eq!(&kept.histograms, &recycled.histograms, "{:?}", kind);
        }
    }

    #[test]
    fn sharing_policies_lose_no_work(tasks in tasks(), cores in 1..5_u32) {
        let work: f64 = tasks.iter().map(|task| computing(&task.program)).sum();
        for kind in [PolicyKind::Ps, PolicyKind::Las] {
            let mut scenario = with_policy(cores, kind);
            scenario.tasks.clone_from(&tasks);
            let outcome = run(&scenario);
            prop_assert_eq!(&outcome.stopped, &StopReason::Finished);
            let used = f64::from(cores) * outcome.finish_time - outcome.idle_ticks;
            prop_assert!((used - work).abs() < 0.001 * (1.0 + work), "{:?}: {} of {}", kind, used, work);
        }
    }

    #[test]
    fn runtimes_end_what_they_begin(tasks in tasks(), cores in 1..4_u32, policy in 0..13_usize) {
        for kind in [RuntimeKind::Gil2, RuntimeKind::Gil3, RuntimeKind::EventLoop, RuntimeKind::ThreadPool, RuntimeKind::MN] {
            let mut scenario = with_policy(cores, POLICIES[policy]).runtime(kind);
            scenario.tasks.clone_from(&tasks);
            if kind.has_workers() {
                // Which these do not look at.
                scenario.tasks.iter_mut().for_each(|task| (task.nice, task.tickets, task.priority) = (0, 100, 0));
            }
            scenario.costs.wakeup_cross_core = 0.5.into();
            scenario.costs.context_switch = 0.25.into();
            scenario.runtime.gil2.ns_per_tick = 20_000.0;
            scenario.limits.events = 1_000_000;
            let outcome = run(&scenario);
            prop_assert_eq!(&outcome.stopped, &StopReason::Finished, "{:?} on {:?}", kind, POLICIES[policy]);
            let work: f64 = tasks.iter().map(|task| computing(&task.program)).sum();
            let ran: f64 = outcome.tasks.iter().map(|task| task.cpu).sum();
            prop_assert!(ran >= work - 1e-6, "{:?}: {} of {}", kind, ran, work);
        }
    }
}

/// A JSON value that is near a scenario, or not.
#[allow(clippy::too_many_lines, reason = "a list")]
fn anything() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        (-3..40_i32).prop_map(|n| json!(n)),
        prop::num::f64::ANY.prop_map(|n| json!(n)),
        Just(json!(1e300)),
        Just(json!(0.1)),
        Just(json!(u64::MAX)),
        Just(Value::Null),
        Just(json!("m")),
        Just(json!([]))
    ];
    let step_key = prop::sample::select(vec![
        "cpu",
        "io",
        "sleep",
        "lock",
        "unlock",
        "sem_wait",
        "sem_post",
        "wait",
        "notify",
        "notify_all",
        "send",
        "recv",
        "spawn",
        "join",
        "yield",
        "kill",
        "mark",
    ]);
    let step = (step_key, number.clone(), prop::bool::weighted(0.95)).prop_map(|(key, value, sane)| {
        let value = match (sane, key) {
            (
                true,
                "lock" | "unlock" | "sem_wait" | "sem_post" | "notify" | "notify_all" | "send" | "recv" | "mark",
            ) => json!("m"),
            (true, "wait") => return json!({ "wait": "c", "lock": "m" }),
            (true, "spawn" | "join" | "kill") => json!(1),
            (true, "yield") => json!(true),
            (true, _) => json!(2.5),
            _ => value,
        };
        json!({ key: value })
    });
    let program = prop::collection::vec(step, 0..6).prop_flat_map(|steps| {
        (0..4_u32).prop_map(move |shape| match shape {
            0 => json!([{ "repeat": [3, steps] }]),
            1 => json!([{ "nogil": steps }, { "cpu": 1 }]),
            _ => json!(steps),
        })
    });
    let policies = [
        "fifo",
        "sjf",
        "srpt",
        "las",
        "ps",
        "rr",
        "priority",
        "mlfq",
        "lottery",
        "stride",
        "cfs",
        "eevdf",
        "rm",
        "edf",
        "work_stealing",
        "nonsense",
    ];
    let runtimes = [
        "native",
        "gil2",
        "gil3",
        "free_threaded",
        "event_loop",
        "thread_pool",
        "process_pool",
        "thread_per_request",
        "m_n",
    ];
    let parts = (
        prop::sample::select(policies.to_vec()),
        prop::sample::select(runtimes.to_vec()),
        prop::collection::vec(program, 1..5),
        prop::collection::vec((prop::sample::select(KEYS.to_vec()), number), 0..3),
        1..4_u32,
    );
    parts.prop_map(|(policy, runtime, programs, changes, cores)| {
        let tasks: Vec<Value> = (0..)
            .zip(programs)
            .map(|(id, program)| json!({ "id": id, "spawned": id == 1, "program": program }))
            .collect();
        let mut scenario = json!({
            "schema": "sched-scenario/0", "machine": { "cores": cores },
            "policy": { "kind": policy, "quantum": 1, "levels": [{ "quantum": 1 }] },
            "runtime": { "kind": runtime }, "tasks": tasks, "limits": { "events": 20000, "tasks": 1000 },
        });
        for (key, value) in changes {
            if let Some(place) = scenario.pointer_mut(key) {
                *place = value;
            } else if let Some((parent, name)) = key.rsplit_once('/')
                && let Some(Value::Object(parent)) = scenario.pointer_mut(parent)
            {
                parent.insert(name.into(), value);
            }
        }
        scenario
    })
}

/// Places to put nonsense.
const KEYS: [&str; 22] = [
    "/time_unit",
    "/until",
    "/seed",
    "/machine/cores",
    "/machine/smt",
    "/policy/quantum",
    "/policy/levels/0/quantum",
    "/policy/boost_every",
    "/policy/tick",
    "/policy/base_slice",
    "/policy/queues",
    "/policy/steal",
    "/costs",
    "/runtime/workers",
    "/runtime/queue_limit",
    "/tasks/0/arrival",
    "/tasks/0/affinity",
    "/tasks/0/period",
    "/tasks/0/deadline",
    "/tasks/0/count",
    "/tasks/0/id",
    "/tasks/0/nice",
];

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn nonsense_gets_an_error_and_the_rest_an_end(scenario in anything()) {
        if let Ok(scenario) = text(&scenario.to_string(), Format::Json) {
            let outcome = simulate(&scenario, &RunOptions::default()).unwrap();
            // The limit of 20,000, and what else is due at the instant in which it is reached.
            let counted = outcome.counters.events + outcome.counters.idle_steps;
            prop_assert!(counted < 25_000, "{} events", counted);
        }
    }

    #[test]
    fn the_readers_stand_any_text(input in "\\PC{0,80}", toml in prop::bool::ANY) {
        let _ = text(&input, if toml { Format::Toml } else { Format::Json });
    }
}
