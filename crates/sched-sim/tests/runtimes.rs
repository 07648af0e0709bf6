//! Locks, the GIL, event loops and pools: what the models promise.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use sched_sim::outcome::{Counters, Quantiles, StopReason};
use sched_sim::scenario::read::{Format, text};
use sched_sim::{Control, Outcome, RunOptions, simulate};

fn run(scenario: &str) -> Outcome {
    let scenario = text(scenario, Format::Toml).unwrap_or_else(|problems| panic!("{problems}"));
    simulate(&scenario, &RunOptions::default()).unwrap()
}

/// A machine and policy, and what follows.
fn fifo(cores: u32, rest: &str) -> Outcome {
    let policy = if rest.contains("policy = ") { "" } else { "policy = { kind = 'fifo' }" };
    run(&format!("schema = 'sched-scenario/0'\n{policy}\nmachine = {{ cores = {cores} }}\n{rest}"))
}

const RUNTIMES: [&str; 9] = [
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

/// Of the runtimes that can have several.
fn workers(kind: &str, number: u32) -> String {
    let can = ["thread_pool", "process_pool", "m_n"].contains(&kind);
    if can { format!(", workers = {number}") } else { String::new() }
}

fn finish(outcome: &Outcome, task: u32) -> f64 {
    outcome.task(task).unwrap().finish.unwrap_or(f64::NAN)
}

#[test]
fn a_lock_lets_one_in_at_a_time() {
    let outcome = fifo(
        4,
        "tasks = [{ id = 0, count = 4, program = [{ lock = 'm' }, { cpu = 10 }, { unlock = 'm' }, { cpu = 1 }] }]",
    );
    assert_eq!(outcome.stopped, StopReason::Finished);
    assert_eq!(outcome.finish_time, 41.0);
    let holders = outcome.holders.unwrap();
    assert_eq!(holders.len(), 4);
    assert!(holders.windows(2).all(|pair| pair[0].start + pair[0].len <= pair[1].start));
}

#[test]
fn a_deadlock_is_reported_with_its_cycle() {
    let outcome = fifo(
        2,
        "tasks = [
          { id = 7, program = [{ lock = 'a' }, { cpu = 5 }, { lock = 'b' }] },
          { id = 9, program = [{ lock = 'b' }, { cpu = 5 }, { lock = 'a' }] },
          { id = 3, program = [{ cpu = 1 }, { join = 7 }] }]",
    );
    assert_eq!(outcome.stopped, StopReason::Deadlock);
    let deadlock = outcome.deadlock.unwrap();
    let mut cycle = deadlock.cycle.clone();
    cycle.sort_unstable();
    assert_eq!(cycle, [7, 9]);
    assert_eq!(deadlock.waiting.len(), 3);
    assert!(deadlock.waiting.iter().any(|blocked| blocked.task == 3 && blocked.waits_for == "the end of task 7"));
}

#[test]
fn a_task_that_is_killed_leaves_its_lock_held() {
    let outcome = fifo(
        2,
        "tasks = [
          { id = 0, program = [{ lock = 'm' }, { cpu = 100 }, { unlock = 'm' }] },
          { id = 1, program = [{ cpu = 5 }, { kill = 0 }, { lock = 'm' }, { cpu = 1 }] }]",
    );
    assert_eq!(outcome.stopped, StopReason::Deadlock);
    assert_eq!(finish(&outcome, 0), 5.0);
    let blocked = &outcome.deadlock.unwrap().waiting[0];
    assert_eq!((blocked.task, blocked.held_by, blocked.holder_has_ended), (1, Some(0), true));
}

#[test]
fn channels_semaphores_and_conditions_hand_over_in_order() {
    let outcome = fifo(
        2,
        "channels = { full = 1 }
        semaphores = { s = 1 }
        tasks = [
          { id = 0, program = [{ repeat = [3, [{ cpu = 1 }, { send = 'full', bytes = 10 }]] }] },
          { id = 1, program = [{ repeat = [3, [{ recv = 'full' }, { cpu = 5 }]] }] },
          { id = 2, program = [{ sem_wait = 's' }, { io = 20 }, { sem_post = 's' }] },
          { id = 3, program = [{ sem_wait = 's' }, { io = 5 }, { sem_post = 's' }] },
          { id = 4, program = [{ lock = 'm' }, { wait = 'c', lock = 'm' }, { cpu = 1 }, { unlock = 'm' }] },
          { id = 5, program = [{ io = 50 }, { lock = 'm' }, { notify = 'c' }, { cpu = 3 }, { unlock = 'm' }] }]",
    );
    assert_eq!(outcome.stopped, StopReason::Finished);
    assert_eq!(outcome.counters.bytes, 30);
    assert_eq!(finish(&outcome, 1), 16.0, "1 for the first message, then 3 x 5");
    assert_eq!(finish(&outcome, 3), 25.0, "after the 20 of the other");
    assert_eq!(finish(&outcome, 4), 54.0, "notified at 50, gets the lock at 53");
}

#[test]
fn spawned_tasks_cost_their_parent_and_can_be_joined() {
    let outcome = fifo(
        2,
        "costs = { thread_create = 2, thread_join = 1 }
        tasks = [
          { id = 0, program = [{ cpu = 5 }, { spawn = 1 }, { cpu = 1 }, { join = 1 }, { cpu = 1 }] },
          { id = 1, spawned = true, program = [{ cpu = 10 }] }]",
    );
    assert_eq!(finish(&outcome, 1), 15.0);
    assert_eq!(finish(&outcome, 0), 17.0, "waits until 15, then 1 for the join and 1 of its own");
}

#[test]
fn one_blocking_step_blocks_an_event_loop() {
    let tasks = |step: &str| {
        format!(
            "runtime = {{ kind = 'event_loop' }}
            tasks = [{{ id = 0, program = [{step}, {{ cpu = 1 }}] }}, {{ id = 1, count = 3, program = [{{ cpu = 1 }}] }}]"
        )
    };
    let blocked = fifo(4, &tasks("{ io = 50 }"));
    let awaited = fifo(4, &tasks("{ await = { cpu = 0, io = 50 } }"));
    assert_eq!(finish(&blocked, 1), 52.0);
    assert_eq!(finish(&awaited, 1), 1.0);
    assert_eq!(finish(&awaited, 0), 51.0);
    assert_eq!(finish(&awaited, 3), 3.0, "one loop runs one task at a time, however many cores there are");
}

#[test]
fn a_pool_runs_as_many_tasks_as_it_has_workers() {
    let tasks = "tasks = [{ id = 0, count = 6, program = [{ cpu = 2 }, { io = 8 }] }]";
    let pool = fifo(8, &format!("runtime = {{ kind = 'thread_pool', workers = 2 }}\n{tasks}"));
    let many = fifo(8, &format!("runtime = {{ kind = 'm_n', workers = 2 }}\n{tasks}"));
    assert_eq!(pool.finish_time, 30.0, "a worker waits with its task");
    assert_eq!(many.finish_time, 14.0, "a worker leaves a waiting task: 6 x 2 on 2 workers, and the last one's 8");
    let dropped = fifo(8, &format!("runtime = {{ kind = 'thread_pool', workers = 2, queue_limit = 1 }}\n{tasks}"));
    assert_eq!(dropped.counters.drops, 3);
}

#[test]
fn a_thread_per_request_costs_a_thread() {
    let tasks = "costs = { thread_create = 10 }\ntasks = [{ id = 0, count = 2, program = [{ cpu = 5 }] }]";
    let outcome = fifo(2, &format!("runtime = {{ kind = 'thread_per_request' }}\n{tasks}"));
    assert_eq!(outcome.finish_time, 15.0);
}

#[test]
fn threads_under_a_gil_compute_one_at_a_time() {
    for kind in ["gil2", "gil3"] {
        let tasks = "tasks = [{ id = 0, count = 2, program = [{ cpu = 100 }] }, { id = 2, process = 1, program = [{ cpu = 100 }] }]";
        let outcome = fifo(4, &format!("runtime = {{ kind = '{kind}' }}\n{tasks}"));
        assert_eq!(outcome.stopped, StopReason::Finished, "{kind}");
        assert!((outcome.finish_time - 200.0).abs() < 0.1, "{kind}: {}", outcome.finish_time);
        assert_eq!(finish(&outcome, 2), 100.0, "{kind}: another process has a GIL of its own");
        let free = fifo(4, &format!("runtime = {{ kind = 'free_threaded' }}\n{tasks}"));
        assert_eq!(free.finish_time, 100.0);
    }
}

#[test]
fn the_new_gil_changes_hands_every_interval() {
    let outcome = fifo(
        2,
        "time_unit = 'ms'\nruntime = { kind = 'gil3' }\ntasks = [{ id = 0, count = 2, program = [{ cpu = 100 }] }]",
    );
    assert_eq!(outcome.finish_time, 200.0);
    // Each waits 5 ms, and asks.
    assert!((38..=41).contains(&outcome.counters.gil_switches), "{}", outcome.counters.gil_switches);
}

#[test]
fn nogil_sections_run_beside_the_holder() {
    let outcome = fifo(
        2,
        "runtime = { kind = 'gil3' }
        tasks = [{ id = 0, program = [{ cpu = 100 }] }, { id = 1, program = [{ nogil = { cpu = 100 } }] }]",
    );
    assert_eq!(outcome.finish_time, 100.0);
}

/// An echo thread beside so many hogs, under the new GIL; its client is another process. Wake-ups cost half a round trip as measured, and each side
/// computes for 10 us a message, so that a round trip on an idle machine takes the measured 24 us.
fn echo(hogs: u32, interval_ms: f64, messages: u32) -> Outcome {
    let hog = if hogs == 0 {
        String::new()
    } else {
        format!("{{ id = 10, name = 'hog', count = {hogs}, program = [{{ cpu = 1e9 }}] }}")
    };
    run(&format!(
        "schema = 'sched-scenario/0'
        time_unit = 'us'
        machine = {{ cores = 2 }}
        policy = {{ kind = 'eevdf' }}
        costs = {{ wakeup_same_core = 2.15, wakeup_cross_core = 22.3, context_switch = 1 }}
        runtime = {{ kind = 'gil3', gil3 = {{ switch_interval = {} }} }}
        until = 60000000
        tasks = [
          {{ id = 0, name = 'echo', program = [{{ repeat = [{messages}, [{{ recv = 'there' }}, {{ cpu = 9.5 }}, {{ send = 'back' }}]] }}] }},
          {{ id = 1, name = 'client', process = 1, program =
              [{{ repeat = [{messages}, [{{ mark = 'trip' }}, {{ cpu = 9.5 }}, {{ send = 'there' }}, {{ recv = 'back' }}, {{ mark = 'trip' }}, {{ sleep = 313 }}]] }}] }},
          {hog}]",
        interval_ms * 1000.0
    ))
}

#[test]
fn an_echo_thread_beside_a_hog_waits_for_the_interval() {
    let idle = echo(0, 5.0, 2_000).histograms["mark:trip"].p50;
    assert!((idle / 24.0 - 1.0).abs() < 0.15, "idle: {idle} us instead of 24 us");
    // Measured with Python 3.13 (3.11 is within 5 % of it) on a machine with a same-core round trip of 4.3 us and a cross-core one of 44.6 us.
    for (interval, measured) in [(5.0, 5_100.0), (0.5, 590.0), (0.05, 135.0)] {
        let outcome = echo(1, interval, 2_000);
        let trips = &outcome.histograms["mark:trip"];
        assert!(trips.count > 300, "{trips:?}");
        let ratio = trips.p50 / measured;
        assert!((ratio - 1.0).abs() < 0.15, "interval {interval} ms: {} us instead of {measured} us", trips.p50);
    }
}

/// The same beside two hogs, each pinned to a core as in the measurement, the echo thread to that of the first and the client to that of the second. How
/// long it takes a thread to fall asleep decides who takes the signal when the GIL is free.
fn echo_beside_two(falling_asleep: f64) -> Outcome {
    let trip = |sleep: u32| {
        format!(
            "{{ mark = 'trip' }}, {{ cpu = 9.5 }}, {{ send = 'there' }}, {{ recv = 'back' }}, {{ mark = 'trip' }}, {{ sleep = {sleep} }}"
        )
    };
    run(&format!(
        "schema = 'sched-scenario/0'
        time_unit = 'us'
        machine = {{ cores = 2 }}
        policy = {{ kind = 'eevdf', queues = 'per-core' }}
        costs = {{ wakeup_same_core = 2.15, wakeup_cross_core = 22.3, context_switch = 1, timer_slack = 50, mode_switch = {falling_asleep} }}
        runtime = {{ kind = 'gil3' }}
        until = 30000000
        tasks = [
          {{ id = 0, name = 'echo', affinity = [0], program = [{{ repeat = [5000, [{{ recv = 'there' }}, {{ cpu = 9.5 }}, {{ send = 'back' }}]] }}] }},
          {{ id = 1, name = 'client', process = 1, affinity = [1], program = [{{ repeat = [1000, [{}, {}, {}, {}]] }}] }},
          {{ id = 10, name = 'hog', affinity = [0], program = [{{ cpu = 1e9 }}] }},
          {{ id = 11, name = 'hog', affinity = [1], program = [{{ cpu = 1e9 }}] }}]",
        trip(313),
        trip(17_177),
        trip(6_131),
        trip(12_373)
    ))
}

#[test]
fn two_hogs_pass_the_gil_to_each_other_over_a_thread_that_waits_because_the_one_that_asked_is_still_awake() {
    // If it were asleep at once, the signal would be for the one that waited longest.
    let (fair, unfair) = (echo_beside_two(0.0), echo_beside_two(2.0));
    let (fair, unfair) = (&fair.histograms["mark:trip"], &unfair.histograms["mark:trip"]);
    assert!(fair.count > 1000 && unfair.count > 300, "{fair:?} {unfair:?}");
    assert!(fair.p50 < 5_500.0, "{fair:?}");
    assert!(unfair.p50 > 2.0 * 5_000.0, "{unfair:?}");
    assert!(unfair.p99 > 4.0 * 5_000.0, "{unfair:?}");
}

/// Two cores, threads that move freely; whether who asked for the GIL is asleep when its holder notices is a matter of chance.
fn under_the_new_gil(notice: f64, tasks: &str) -> Outcome {
    run(&format!(
        "schema = 'sched-scenario/0'
        time_unit = 'us'
        machine = {{ cores = 2 }}
        policy = {{ kind = 'eevdf', queues = 'per-core' }}
        runtime = {{ kind = 'gil3' }}
        until = 60000000
        record = ['holders']
        [costs]
        wakeup_same_core = 2.15
        wakeup_cross_core = 22.3
        context_switch = 1
        timer_slack = 50
        mode_switch = 2
        gil_notice = {{ dist = 'lognormal', p50 = {notice}, p99 = 10 }}
        {tasks}"
    ))
}

/// How often, of three hogs, the one that waited longest gets the GIL, and not the one that let go last.
fn turns_of_the_third(notice: f64) -> f64 {
    let outcome = under_the_new_gil(notice, "[[tasks]]\nid = 0\ncount = 3\nprogram = [{ cpu = 1e9 }]");
    let holders: Vec<u32> = outcome.holders.unwrap().iter().map(|holder| holder.task).collect();
    let thirds = holders.windows(3).filter(|three| three[0] != three[2]).count();
    thirds as f64 / (holders.len() - 2) as f64
}

/// Round trips to an echo thread beside two hogs; the client waits up to 20 ms between two of them.
fn trips_beside_two(notice: f64) -> Quantiles {
    let trip = |number: u32| {
        let pause = number * 7_919 % 20_000;
        format!(
            "{{ mark = 'trip' }}, {{ cpu = 9.5 }}, {{ send = 'there' }}, {{ recv = 'back' }}, {{ mark = 'trip' }}, {{ sleep = {pause} }}"
        )
    };
    let trips: Vec<String> = (1..500).map(trip).collect();
    let outcome = under_the_new_gil(
        notice,
        &format!(
            "[[tasks]]
            id = 0
            program = [{{ repeat = [9000, [{{ recv = 'there' }}, {{ cpu = 9.5 }}, {{ send = 'back' }}]] }}]
            [[tasks]]
            id = 1
            process = 1
            program = [{{ repeat = [9, [{}]] }}]
            [[tasks]]
            id = 10
            count = 2
            program = [{{ cpu = 1e9 }}]",
            trips.join(", ")
        ),
    );
    outcome.histograms["mark:trip"]
}

#[test]
fn three_hogs_tell_how_long_an_echo_thread_waits_beside_two() {
    // Measured with CPython 3.11 and 3.13, Linux 6.18 (250 Hz) and glibc 2.36 on two cores, first three hogs, then the echo thread, for 25 and 75 seconds.
    // The machine was in two moods that day; what decides between them is whether a thread falls asleep before another notices, within a microsecond.
    // (gil_notice p50, turns of the third, mean, p90, p99 of round trips in ms)
    for (notice, turns, mean, p90, p99) in [(1.1, 0.505, 15.6, 35.2, 70.6), (1.6, 0.620, 10.5, 22.6, 43.6)] {
        // Calibrated on the hogs ...
        let third = turns_of_the_third(notice);
        assert!((third - turns).abs() < 0.03, "the third has {third} of the turns");
        // ... and then foretold.
        let trips = trips_beside_two(notice);
        assert!(trips.count > 1_500, "{trips:?}");
        for (name, simulated, measured) in
            [("mean", trips.mean, mean), ("p90", trips.p90, p90), ("p99", trips.p99, p99)]
        {
            let ratio = simulated / (1000.0 * measured);
            assert!((ratio - 1.0).abs() < 0.15, "notice {notice}, {name}: {simulated} us instead of {measured} ms");
        }
    }
}

/// One core, a limit on events, and programs that take no time.
fn timeless(head: &str, tasks: &str) -> Outcome {
    fifo(1, &format!("limits = {{ events = 50000 }}\n{head}\ntasks = [{tasks}]"))
}

/// So often that it would take minutes to days.
const OFTEN: u32 = 4_000_000_000;

#[test]
fn what_takes_no_time_counts_and_so_every_run_ends() {
    let steps = [
        "{ cpu = 0 }",
        "{ cpu = 1 }",
        "{ repeat = [1, []] }",
        "{ repeat = [60, [{ lock = 'm' }, { unlock = 'm' }]] }, { cpu = 0 }",
        "{ sem_post = 's' }, { sem_wait = 's' }",
        "{ send = 'full', bytes = 1 }, { recv = 'full' }",
        "{ nogil = [{ cpu = 0 }] }",
        "{ notify_all = 'c' }, { mark = 'trip' }",
        "{ yield = true }",
        "{ kill = 99 }",
        "{ io = 0 }",
        "{ sleep = 0 }",
        "{ await = { cpu = 0, io = 0 } }",
        "{ repeat = [1000, [{ repeat = [1000, [{ cpu = 0 }]] }]] }",
    ];
    let runtimes = ["native", "gil2", "gil3", "event_loop", "thread_pool", "thread_per_request", "m_n"];
    let policies = ["fifo", "rr", "eevdf", "lottery", "ps", "las"];
    for step in steps {
        let task = format!(
            "{{ id = 0, program = [{{ repeat = [{OFTEN}, [{step}]] }}] }}, {{ id = 99, arrival = 1, program = [] }}"
        );
        let run = |head: &str| {
            let outcome = timeless(head, &task);
            let Counters { events, idle_steps, .. } = outcome.counters;
            // Where something counts by batches the limit is passed by less than one.
            assert_eq!(outcome.stopped, StopReason::EventLimit, "{step}, {head}");
            assert!((50_000..50_100).contains(&(events + idle_steps)), "{step}, {head}: {events} and {idle_steps}");
        };
        for runtime in runtimes {
            run(&format!("runtime = {{ kind = '{runtime}' }}"));
        }
        for policy in policies {
            run(&format!("policy = {{ kind = '{policy}', quantum = 1 }}"));
        }
    }
}

#[test]
fn tasks_that_pass_each_other_the_time_away_end_at_the_limit() {
    let pairs = [
        ("{ send = 'full', bytes = 1 }, { recv = 'back' }", "{ recv = 'full' }, { send = 'back' }"),
        ("{ sem_post = 's' }, { sem_wait = 't' }", "{ sem_wait = 's' }, { sem_post = 't' }"),
        ("{ yield = true }", "{ yield = true }"),
    ];
    for (one, other) in pairs {
        for head in ["native", "gil3", "event_loop", "m_n"].map(|kind| format!("runtime = {{ kind = '{kind}' }}")) {
            let tasks = [(0, one), (1, other)]
                .map(|(id, steps)| format!("{{ id = {id}, program = [{{ repeat = [{OFTEN}, [{steps}]] }}] }}"));
            let outcome = timeless(&head, &tasks.join(", "));
            assert_eq!(outcome.stopped, StopReason::EventLimit, "{one}, {head}");
            let counted = outcome.counters.events + outcome.counters.idle_steps;
            assert!((50_000..50_100).contains(&counted), "{one}, {head}: {counted}");
        }
    }
}

#[test]
fn ticks_and_checks_that_change_nothing_count() {
    for head in [
        "policy = { kind = 'eevdf', tick = 0.000001 }",
        "policy = { kind = 'cfs', tick = 0.000001 }",
        "policy = { kind = 'mlfq', boost_every = 0.000001, levels = [{ quantum = 5 }] }",
        "runtime = { kind = 'gil2', gil2 = { check_interval_ticks = 1, ns_per_tick = 0.001 } }",
        "policy = { kind = 'fifo', queues = 'per-core', steal = { every = 0.000001, from = 'busiest', take = 'half' } }",
        "costs = { tick_interrupt = { dist = 'lognormal', p50 = 2, p99 = 2 } }\npolicy = { kind = 'rr', quantum = 1 }",
    ] {
        let outcome = timeless(head, "{ id = 0, program = [{ cpu = 1000000 }] }");
        assert_eq!(outcome.stopped, StopReason::EventLimit, "{head}");
        let counted = outcome.counters.events + outcome.counters.idle_steps;
        assert!((50_000..50_100).contains(&counted), "{head}: {counted}");
    }
}

#[test]
fn arrivals_that_nobody_lets_in_and_releases_that_nobody_works_off_count() {
    let scenario = |rest: &str| {
        run(&format!(
            "schema = 'sched-scenario/0'\nmachine = {{ cores = 1 }}\nlimits = {{ events = 50000 }}\npolicy = {{ kind = 'edf' }}\n{rest}"
        ))
    };
    let refused = scenario(
        "admission = { max_in_system = 1 }
        generator = { arrivals = { kind = 'poisson', rate = 1e300 }, service = { kind = 'det', value = 1 }, count = 4000000000 }",
    );
    let late = scenario("until = 1000000\ntasks = [{ id = 0, period = 0.000001, program = [{ cpu = 1000 }] }]");
    for outcome in [&refused, &late] {
        assert_eq!(outcome.stopped, StopReason::EventLimit);
        assert!((50_000..50_100).contains(&outcome.counters.events), "{:?}", outcome.counters);
    }
    assert!(refused.counters.drops > 49_000);
    assert!(late.counters.deadline_misses > 49_000);
}

#[test]
fn a_program_that_goes_round_for_ever_in_one_instant_is_named() {
    let outcome = fifo(
        1,
        &format!("tasks = [{{ id = 4, program = [{{ cpu = 3 }}, {{ repeat = [{OFTEN}, [{{ cpu = 0 }}]] }}] }}]"),
    );
    assert_eq!(outcome.stopped, StopReason::Livelock { task: 4 });
    assert_eq!(outcome.finish_time, 3.0);
}

#[test]
fn a_run_that_needs_more_memory_than_it_may_have_ends() {
    let outcome = run(
        "schema = 'sched-scenario/0'
        machine = { cores = 1 }
        policy = { kind = 'fifo' }
        limits = { memory = 20000000 }
        generator = { arrivals = { kind = 'poisson', rate = 2 }, service = { kind = 'det', value = 1 }, count = 4000000 }",
    );
    assert_eq!(outcome.stopped, StopReason::MemoryLimit);
    assert!(outcome.counters.arrivals > 100_000 && outcome.counters.arrivals < 1_000_000, "{:?}", outcome.counters);
}

#[test]
fn somebody_outside_can_end_a_run_that_takes_no_time() {
    let scenario = text(
        &format!(
            "schema = 'sched-scenario/0'
            machine = {{ cores = 2 }}
            policy = {{ kind = 'fifo' }}
            limits = {{ events = 1000000000000 }}
            tasks = [{{ id = 0, count = 20000, program = [{{ repeat = [{OFTEN}, [{{ cpu = 0 }}]] }}] }}]"
        ),
        Format::Toml,
    );
    let control = Control::default();
    control.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let outcome = simulate(&scenario.unwrap(), &RunOptions { control, ..RunOptions::default() }).unwrap();
    assert_eq!(outcome.stopped, StopReason::Interrupted);
    assert!(outcome.counters.events + outcome.counters.idle_steps < 200_000, "it looks up every 65,536 events");
}

#[test]
fn tasks_that_end_with_their_io_end_once() {
    for policy in ["fifo", "rr", "las"] {
        let outcome = fifo(
            1,
            &format!(
                "policy = {{ kind = '{policy}', quantum = 3 }}
                generator = {{ arrivals = {{ kind = 'poisson', rate = 0.5 }}, service = {{ kind = 'det', value = 1 }}, count = 1000,
                    program = [{{ cpu = 'service' }}, {{ io = 20 }}, {{ io = 20 }}] }}"
            ),
        );
        assert_eq!(outcome.stopped, StopReason::Finished, "{policy}");
        assert!(outcome.aggregate("mean_response").unwrap() > 41.0, "{policy}");
    }
    // Jobs, too: one that waits begins as the one before ends.
    let jobs = fifo(1, "until = 100\ntasks = [{ id = 0, period = 10, program = [{ cpu = 1 }, { io = 12 }] }]");
    assert_eq!(jobs.task(0).unwrap().jobs, Some(7));
}

#[test]
fn queues_in_front_of_workers_are_in_the_result() {
    let tasks = "tasks = [{ id = 0, count = 6, program = [{ cpu = 2 }, { io = 8 }] }]";
    let outcome = fifo(8, &format!("runtime = {{ kind = 'thread_pool', workers = 2 }}\n{tasks}"));
    let [pool] = &outcome.work_queues[..] else { panic!("{:?}", outcome.work_queues) };
    assert_eq!((pool.name.as_str(), pool.workers, pool.max_depth), ("pool", 2, 6));
    // Two at a time for ten each: four wait, then two, then none.
    let depth: Vec<(f64, u32)> = pool.depth.iter().flatten().map(|depth| (depth.time, depth.ready)).collect();
    assert_eq!(depth, [(0.0, 4), (10.0, 2), (20.0, 0)]);
    assert_eq!(pool.mean_depth, 2.0);
    let loops = fifo(
        8,
        "runtime = { kind = 'event_loop' }
        tasks = [{ id = 0, count = 3, program = [{ cpu = 5 }] }, { id = 3, process = 1, count = 2, program = [{ cpu = 5 }] }]",
    );
    let depths =
        |number: usize| loops.work_queues[number].depth.iter().flatten().map(|depth| depth.ready).collect::<Vec<_>>();
    assert_eq!((depths(0), depths(1)), (vec![2, 1, 0], vec![1, 0]));
    assert!(fifo(1, "tasks = [{ id = 0, program = [{ cpu = 1 }] }]").work_queues.is_empty());
}

#[test]
fn the_old_gils_signal_goes_to_the_next_if_the_one_that_had_it_is_killed() {
    // At 5 the holder lets go and signals task 1, which is killed before it has a core. Without another signal task 2 would wait for the holder's return.
    let outcome = fifo(
        1,
        "policy = { kind = 'priority' }
        runtime = { kind = 'gil2', gil2 = { check_interval_ticks = 100, ns_per_tick = 1e8 } }
        time_unit = 'ms'
        tasks = [
          { id = 0, priority = 3, program = [{ cpu = 5 }, { io = 100 }, { cpu = 1 }] },
          { id = 1, priority = 1, arrival = 1, program = [{ cpu = 1 }] },
          { id = 2, priority = 2, arrival = 1, program = [{ cpu = 1 }] },
          { id = 3, priority = 0, process = 1, program = [{ io = 5 }, { kill = 1 }] }]",
    );
    assert_eq!(outcome.stopped, StopReason::Finished);
    assert_eq!((finish(&outcome, 1), finish(&outcome, 2), finish(&outcome, 0)), (5.0, 6.0, 106.0));
}

#[test]
fn the_new_gils_signal_goes_to_the_next_if_the_one_that_had_it_is_killed() {
    let signalled = |cores: u32, rest: &str, [holder, first, second, killer]: [&str; 4], killed_at: f64| {
        let outcome = fifo(
            cores,
            &format!(
                "policy = {{ kind = 'priority' }}
                runtime = {{ kind = 'gil3', gil3 = {{ switch_interval = 50 }} }}
                time_unit = 'ms'
                {rest}
                tasks = [
                  {{ id = 0, priority = 3, {holder}program = [{{ cpu = 5 }}, {{ io = 100 }}, {{ cpu = 1 }}] }},
                  {{ id = 1, priority = 1, {first}arrival = 1, program = [{{ cpu = 1 }}] }},
                  {{ id = 2, priority = 2, {second}arrival = 1, program = [{{ cpu = 1 }}] }},
                  {{ id = 3, priority = 0, {killer}process = 1, program = [{{ io = {killed_at} }}, {{ kill = 1 }}] }}]"
            ),
        );
        assert_eq!(outcome.stopped, StopReason::Finished);
        [1, 2, 0].map(|task| finish(&outcome, task))
    };
    // In the queue, as above.
    assert_eq!(signalled(1, "", [""; 4], 5.0), [5.0, 6.0, 106.0]);
    // On its way to a core, from 5 to 6. At 5.5 that core is task 2's, without a switch: nobody has run there yet.
    let pinned = ["affinity = [0], ", "affinity = [1], ", "affinity = [1], ", "affinity = [2], "];
    assert_eq!(signalled(3, "costs = { context_switch = 1 }", pinned, 5.5), [5.5, 6.5, 106.0]);
}

#[test]
fn what_a_task_owes_at_its_end_it_pays_with_every_runtime() {
    for kind in RUNTIMES {
        let outcome = fifo(
            1,
            &format!(
                "runtime = {{ kind = '{kind}'{} }}
                costs = {{ mode_switch = 2 }}
                tasks = [{{ id = 0, program = [{{ cpu = 1 }}, {{ io = 3 }}] }}]",
                workers(kind, 2)
            ),
        );
        assert_eq!((finish(&outcome, 0), outcome.task(0).unwrap().cpu), (6.0, 3.0), "{kind}");
        let family = fifo(
            2,
            &format!(
                "runtime = {{ kind = '{kind}'{} }}
                costs = {{ thread_create = 12, thread_join = 5 }}
                tasks = [{{ id = 0, program = [{{ spawn = 1 }}, {{ spawn = 2 }}, {{ join = 1 }}, {{ join = 2 }}] }},
                  {{ id = 1, spawned = true, program = [{{ cpu = 1 }}] }}, {{ id = 2, spawned = true, program = [{{ cpu = 1 }}] }}]",
                workers(kind, 3)
            ),
        );
        // Two joins after the last child, and what creating threads cost.
        let expected = match kind {
            "gil2" | "gil3" => 2.0 + 24.0 + 10.0,
            "thread_per_request" => 1.0 + 12.0 + 24.0 + 10.0,
            "process_pool" => 1.0 + 10.0,
            // All on one worker, or it goes on on one of theirs.
            "event_loop" => 12.0 + 2.0 + 10.0,
            "m_n" => 12.0 + 1.0 + 10.0,
            // In a pool its own worker's creation and that of one child's, which are created at the same time: 24, too.
            _ => 1.0 + 24.0 + 10.0,
        };
        assert_eq!(finish(&family, 0), expected, "{kind}");
    }
}

#[test]
fn a_second_request_for_the_gil_does_not_make_the_holder_notice_the_first_later() {
    // Task 1 asks at 5, task 2 at 8; the holder needs 4 to notice.
    let outcome = fifo(
        3,
        "runtime = { kind = 'gil3', gil3 = { switch_interval = 5 } }
        time_unit = 'ms'
        costs = { gil_notice = 4 }
        tasks = [
          { id = 0, program = [{ cpu = 100 }] },
          { id = 1, program = [{ cpu = 1 }] },
          { id = 2, arrival = 3, program = [{ cpu = 1 }] }]",
    );
    assert_eq!(finish(&outcome, 1), 10.0);
}

#[test]
fn a_worker_that_runs_tasks_to_their_ends_offers_its_core_and_keeps_its_task() {
    for runtime in ["kind = 'thread_pool', workers = 2", "kind = 'process_pool', workers = 2", "kind = 'native'"] {
        let tasks = "tasks = [{ id = 0, program = [{ io = 5 }, { cpu = 1 }] }, { id = 1, program = [{ cpu = 6 }, { yield = true }, { cpu = 10 }] }]";
        assert_eq!(finish(&fifo(1, &format!("runtime = {{ {runtime} }}\n{tasks}")), 0), 7.0, "{runtime}");
    }
    let tasks = "tasks = [{ id = 0, program = [{ cpu = 1 }, { yield = true }, { cpu = 1 }] }, { id = 1, program = [{ cpu = 1 }] }]";
    let one = |runtime: &str| {
        let outcome = fifo(1, &format!("runtime = {{ {runtime} }}\n{tasks}"));
        [0, 1].map(|task| finish(&outcome, task))
    };
    assert_eq!(one("kind = 'thread_pool', workers = 1"), [2.0, 3.0]);
    // A loop goes on with the others that it has.
    assert_eq!((one("kind = 'event_loop'"), one("kind = 'm_n', workers = 1")), ([3.0, 2.0], [3.0, 2.0]));
}

#[test]
fn bytes_that_never_got_through_are_not_counted() {
    let bytes = |capacity: u32, receiver: &str| {
        let outcome = fifo(
            2,
            &format!(
                "channels = {{ c = {capacity} }}
                tasks = [{{ id = 0, program = [{{ send = 'c', bytes = 8 }}, {{ send = 'c', bytes = 4 }}] }}, {{ id = 1, program = [{{ cpu = 1 }}{receiver}] }}]"
            ),
        );
        outcome.counters.bytes
    };
    assert_eq!((bytes(0, ""), bytes(1, ""), bytes(2, "")), (0, 8, 12));
    assert_eq!((bytes(0, ", { recv = 'c' }"), bytes(1, ", { recv = 'c' }")), (8, 12));
    assert_eq!(bytes(0, ", { recv = 'c' }, { recv = 'c' }"), 12);
    assert_eq!(bytes(0, ", { kill = 0 }, { cpu = 1 }"), 0);
    assert_eq!((bytes(0, ", { kill = 0 }, { recv = 'c' }"), bytes(1, ", { kill = 0 }, { recv = 'c' }")), (0, 8));
}
