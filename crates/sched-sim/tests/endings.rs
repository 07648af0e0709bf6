//! How tasks and runs end: killed wherever they are, dropped, spawned with a deadline, stuck long before `until`.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use sched_sim::outcome::StopReason;
use sched_sim::scenario::read::{Format, text};
use sched_sim::{Outcome, RunOptions, simulate};

fn run(cores: u32, rest: &str) -> Outcome {
    let policy = if rest.contains("policy = ") { "" } else { "policy = { kind = 'fifo' }" };
    let machine = if rest.contains("machine = ") { String::new() } else { format!("machine = {{ cores = {cores} }}") };
    let head = format!("schema = 'sched-scenario/0'\n{policy}\n{machine}");
    let scenario = text(&format!("{head}\n{rest}"), Format::Toml).unwrap_or_else(|problems| panic!("{problems}"));
    simulate(&scenario, &RunOptions::default()).unwrap()
}

fn finish(outcome: &Outcome, task: u32) -> f64 {
    outcome.task(task).unwrap().finish.unwrap_or(f64::NAN)
}

#[test]
fn a_task_on_a_worker_is_killed_at_once() {
    for kind in ["thread_pool", "m_n"] {
        let outcome = run(
            2,
            &format!(
                "runtime = {{ kind = '{kind}', workers = 2 }}
                tasks = [{{ id = 0, program = [{{ cpu = 100 }}] }}, {{ id = 1, program = [{{ cpu = 5 }}, {{ kill = 0 }}, {{ cpu = 1 }}] }},
                  {{ id = 2, program = [{{ cpu = 10 }}] }}]"
            ),
        );
        assert_eq!(outcome.stopped, StopReason::Finished);
        assert_eq!((finish(&outcome, 0), outcome.task(0).unwrap().cpu), (5.0, 5.0), "{kind}");
        assert_eq!(finish(&outcome, 2), 15.0, "{kind}: its worker goes on with the next");
    }
    // Its worker has no core at the moment: it finds out when it has one.
    let outcome = run(
        1,
        "policy = { kind = 'rr', quantum = 2 }
        runtime = { kind = 'thread_pool', workers = 2 }
        tasks = [{ id = 0, program = [{ cpu = 100 }] }, { id = 1, program = [{ cpu = 1 }, { kill = 0 }, { cpu = 1 }] }]",
    );
    assert_eq!((finish(&outcome, 1), outcome.task(0).unwrap().cpu), (4.0, 2.0));
    assert!(outcome.finish_time < 5.0, "{}", outcome.finish_time);
}

#[test]
fn who_is_killed_before_it_is_spawned_never_runs() {
    let outcome = run(
        1,
        "tasks = [{ id = 0, program = [{ kill = 1 }, { spawn = 1 }, { join = 1 }, { cpu = 1 }] },
          { id = 1, spawned = true, program = [{ cpu = 50 }] }]",
    );
    assert_eq!((&outcome.stopped, outcome.finish_time), (&StopReason::Finished, 1.0));
    assert_eq!(outcome.task(1).unwrap().cpu, 0.0);
}

#[test]
fn a_periodic_task_that_is_killed_has_no_more_jobs() {
    for killed_at in [12, 15] {
        let outcome = run(
            2,
            &format!(
                "until = 100
                tasks = [{{ id = 0, period = 10, program = [{{ cpu = 4 }}] }}, {{ id = 1, program = [{{ cpu = {killed_at} }}, {{ kill = 0 }}, {{ join = 0 }}, {{ cpu = 1 }}] }}]"
            ),
        );
        let task = outcome.task(0).unwrap();
        assert_eq!(outcome.stopped, StopReason::Finished);
        assert_eq!(task.jobs, Some(if killed_at == 12 { 1 } else { 2 }));
        assert_eq!((task.cpu, task.deadline_misses), (f64::from(killed_at.min(14)) - 6.0, Some(0)));
        assert_eq!((task.turnaround, task.wait), (Some(4.0), Some(0.0)), "of its first job");
        assert_eq!(finish(&outcome, 1), f64::from(killed_at) + 1.0);
    }
    let suicide = run(1, "until = 100\ntasks = [{ id = 0, period = 10, program = [{ cpu = 4 }, { kill = 0 }] }]");
    assert_eq!((&suicide.stopped, suicide.task(0).unwrap().cpu), (&StopReason::Finished, 4.0));
}

#[test]
fn a_periodic_task_waits_as_long_as_its_first_job_did() {
    let outcome = run(
        1,
        "until = 50
        tasks = [{ id = 0, program = [{ cpu = 3 }] }, { id = 1, period = 10, program = [{ cpu = 2 }, { io = 1 }, { cpu = 1 }] }]",
    );
    let task = outcome.task(1).unwrap();
    assert_eq!((task.response, task.turnaround, task.wait), (Some(3.0), Some(7.0), Some(3.0)));
}

#[test]
fn a_deadline_of_a_spawned_task_counts_from_when_it_was_spawned() {
    let misses = |deadline: u32, spawn: &str| {
        let outcome = run(
            1,
            &format!(
                "policy = {{ kind = 'edf' }}
                tasks = [{{ id = 0, program = [{{ cpu = 20 }}{spawn}] }}, {{ id = 1, spawned = true, deadline = {deadline}, program = [{{ cpu = 5 }}] }}]"
            ),
        );
        outcome.counters.deadline_misses
    };
    assert_eq!((misses(5, ", { spawn = 1 }"), misses(4, ", { spawn = 1 }")), (0, 1));
    assert_eq!(misses(4, ""), 0, "it never was");
    // And decides who goes first.
    let outcome = run(
        1,
        "policy = { kind = 'edf' }
        tasks = [{ id = 0, deadline = 100, program = [{ cpu = 20 }, { spawn = 1 }, { cpu = 20 }] },
          { id = 1, spawned = true, deadline = 10, program = [{ cpu = 5 }] }]",
    );
    assert_eq!((finish(&outcome, 1), finish(&outcome, 0)), (25.0, 45.0));
}

#[test]
fn who_was_not_let_in_has_not_ended_and_keeps_nobody_waiting() {
    let dropped = run(
        1,
        "runtime = { kind = 'thread_pool', workers = 1, queue_limit = 0 }
        tasks = [{ id = 0, program = [{ cpu = 10 }] }, { id = 1, count = 4, arrival = 1, program = [{ cpu = 10 }] }]",
    );
    assert_eq!((dropped.counters.drops, dropped.aggregate("throughput")), (4, Some(0.1)));
    let listed = run(
        4,
        "admission = { max_in_system = 2 }
        tasks = [{ id = 0, count = 2, program = [{ cpu = 10 }] }, { id = 2, arrival = 5, program = [{ cpu = 10 }] },
          { id = 3, arrival = 11, program = [{ join = 2 }, { cpu = 1 }] }]",
    );
    assert_eq!((&listed.stopped, listed.counters.drops, listed.counters.arrivals), (&StopReason::Finished, 1, 4));
    assert_eq!((finish(&listed, 3), listed.task(2).unwrap().finish), (12.0, None));
}

#[test]
fn a_deadlock_long_before_until_is_one() {
    for policy in ["fifo", "ps"] {
        let outcome = run(
            2,
            &format!(
                "until = 1000\npolicy = {{ kind = '{policy}' }}
                tasks = [{{ id = 0, program = [{{ lock = 'a' }}, {{ cpu = 5 }}, {{ lock = 'b' }}] }},
                  {{ id = 1, program = [{{ lock = 'b' }}, {{ cpu = 5 }}, {{ lock = 'a' }}] }}]"
            ),
        );
        assert_eq!((&outcome.stopped, outcome.finish_time), (&StopReason::Deadlock, 5.0), "{policy}");
        assert_eq!(outcome.deadlock.unwrap().cycle.len(), 2);
    }
    // As long as anything can happen the end is what was asked for.
    let outcome = run(
        1,
        "until = 1000\ntasks = [{ id = 0, program = [{ recv = 'c' }] }, { id = 1, program = [{ cpu = 2000 }] }]",
    );
    assert_eq!((outcome.stopped, outcome.finish_time), (StopReason::Until, 1000.0));
}

#[test]
fn who_waits_for_the_end_of_a_killed_task_goes_on_under_every_policy() {
    for policy in ["fifo", "ps", "las"] {
        let outcome = run(
            4,
            &format!(
                "policy = {{ kind = '{policy}' }}
                tasks = [{{ id = 0, program = [{{ cpu = 100 }}] }}, {{ id = 1, program = [{{ cpu = 5 }}, {{ kill = 0 }}] }},
                  {{ id = 2, program = [{{ join = 0 }}, {{ kill = 3 }}, {{ cpu = 1 }}] }}, {{ id = 3, program = [{{ io = 4 }}, {{ cpu = 50 }}] }},
                  {{ id = 4, program = [{{ join = 3 }}, {{ cpu = 1 }}] }}]"
            ),
        );
        assert_eq!(outcome.stopped, StopReason::Finished, "{policy}: {:?}", outcome.deadlock);
        assert!((finish(&outcome, 0) - 5.0).abs() < 1e-5, "{policy}");
        assert!((finish(&outcome, 4) - 6.0).abs() < 1e-5, "{policy}: killed by one who waited for another's end");
    }
}

#[test]
fn one_section_without_the_gil_inside_another_ends_with_the_outer_one() {
    let outcome = run(
        2,
        "runtime = { kind = 'gil3' }
        tasks = [{ id = 0, program = [{ cpu = 100 }] }, { id = 1, program = [{ nogil = [{ nogil = { cpu = 1 } }, { cpu = 99 }] }] }]",
    );
    assert_eq!(outcome.finish_time, 100.0);
}

#[test]
fn what_is_spawned_is_paid_for_once() {
    let tasks = "tasks = [{ id = 0, program = [{ cpu = 1 }, { spawn = 1 }, { cpu = 1 }] }, { id = 1, spawned = true, program = [{ cpu = 1 }] }]";
    let per_request =
        run(2, &format!("runtime = {{ kind = 'thread_per_request' }}\ncosts = {{ thread_create = 10 }}\n{tasks}"));
    // Its own thread, a step, and the child's.
    assert_eq!((finish(&per_request, 0), finish(&per_request, 1)), (22.0, 12.0));
    let on_a_loop = run(1, &format!("runtime = {{ kind = 'event_loop' }}\ncosts = {{ task_create = 10 }}\n{tasks}"));
    assert_eq!((finish(&on_a_loop, 0), finish(&on_a_loop, 1)), (12.0, 23.0));
}

#[test]
fn a_hundred_thousand_can_wait_for_the_end_of_one() {
    let outcome = run(
        4,
        "record = []\ntasks = [{ id = 0, program = [{ io = 5 }] }, { id = 1, count = 100000, program = [{ join = 0 }, { cpu = 1 }] }]",
    );
    assert_eq!((outcome.stopped, outcome.finish_time), (StopReason::Finished, 25_005.0));
}

#[test]
fn quantiles_of_listed_tasks_are_over_all_of_them() {
    let tasks = "tasks = [{ id = 0, count = 101, program = [{ cpu = 1 }] }]";
    let response = run(1, tasks).histograms["response"];
    assert_eq!((response.count, response.min), (101, 0.0));
    assert!((response.p50 - 50.0).abs() < 0.1 && (response.p99 - 99.0).abs() < 0.2, "{response:?}");
    let only = run(1, &format!("record = ['histogram:wait']\n{tasks}"));
    assert_eq!(only.histograms.keys().collect::<Vec<_>>(), ["wait"]);
    assert!(run(1, &format!("record = []\n{tasks}")).histograms.is_empty());
}

#[test]
fn counters_of_loops_are_memory_too() {
    let loops = "{ repeat = [2, [{ cpu = 1 }]] }, ".repeat(1000);
    let head = "schema = 'sched-scenario/0'\npolicy = { kind = 'fifo' }\nmachine = { cores = 1 }";
    let listed = format!("{head}\ntasks = [{{ id = 0, count = 9000000, program = [{loops}] }}]");
    let problems = text(&listed, Format::Toml).unwrap_err();
    assert_eq!(problems.0[0].key, "tasks[0].count", "{problems}");
    let generated = run(
        1,
        &format!(
            "limits = {{ memory = 50000000 }}
            generator = {{ arrivals = {{ kind = 'poisson', rate = 1e6 }}, service = {{ kind = 'det', value = 1 }}, program = [{loops}] }}"
        ),
    );
    assert_eq!(generated.stopped, StopReason::MemoryLimit);
    assert!(generated.counters.arrivals < 13_000, "{:?}", generated.counters);
}

#[test]
fn what_each_queue_keeps_of_every_task_is_memory_too() {
    let scenario = |queues: &str| {
        format!(
            "schema = 'sched-scenario/0'
            machine = {{ cores = 64 }}
            policy = {{ kind = 'eevdf', queues = '{queues}' }}
            limits = {{ memory = 20000000 }}
            tasks = [{{ id = 0, count = 60000, program = [{{ cpu = 1 }}] }}]"
        )
    };
    let problems = text(&scenario("per-core"), Format::Toml).unwrap_err();
    assert_eq!(problems.0[0].key, "tasks[0].count", "{problems}");
    assert!(problems.0[0].fix.contains("queues = \"shared\""), "{problems}");
    text(&scenario("shared"), Format::Toml).unwrap();
}

/// Runs with places that are given back, and with each task kept.
fn both(cores: u32, rest: &str) -> (Outcome, Outcome) {
    let kept = format!("record = ['per_task']\n{rest}");
    (run(cores, rest), run(cores, &kept))
}

#[test]
fn who_gets_an_ended_tasks_place_is_not_taken_for_it() {
    let ten = "generator = { arrivals = { kind = 'periodic', rate = 0.05 }, service = { kind = 'det', value = 10 }, count = 10 }";
    let same = |cores: u32, rest: &str| {
        let (recycled, kept) = both(cores, &format!("{rest}\n{ten}"));
        assert_eq!(recycled.aggregate("mean_response"), kept.aggregate("mean_response"), "{rest}");
        assert_eq!(recycled.counters.switches, kept.counters.switches, "{rest}");
        kept
    };
    // Its core was the ended one's: it has to be switched to.
    assert_eq!(same(1, "costs = { context_switch = 1 }").counters.switches, 9);
    // Its worker was, and its cache, and its GIL.
    for kind in ["thread_pool", "process_pool", "event_loop", "m_n", "gil2", "gil3"] {
        same(1, &format!("runtime = {{ kind = '{kind}' }}\ncosts = {{ task_switch = 1, gil_handoff = 1 }}"));
    }
    let cold = same(
        1,
        "machine = { cores = 1, cache = { capacity = 100, warmup = 5, cold_rate = 1, warm_rate = 2, progress = 'continuous' } }",
    );
    assert_eq!(cold.aggregate("mean_response"), Some(7.5));
    // And so was what it left unfinished: a stopwatch, a lock.
    let head =
        "generator = { arrivals = { kind = 'periodic', rate = 0.1 }, service = { kind = 'det', value = 1 }, count = 3";
    let (recycled, _) = both(1, &format!("{head}, program = [{{ mark = 'a' }}, {{ cpu = 'service' }}] }}"));
    assert!(!recycled.histograms.contains_key("mark:a"), "nobody stopped one");
    let (recycled, kept) = both(1, &format!("{head}, program = [{{ lock = 'm' }}, {{ cpu = 'service' }}] }}"));
    assert_eq!(recycled.stopped, StopReason::Deadlock);
    assert_eq!(recycled.deadlock, kept.deadlock);
}

#[test]
fn a_task_whose_last_io_stands_in_a_loop_ends_when_that_is_done() {
    for last in ["{ io = 5 }", "{ repeat = [1, [{ io = 5 }]] }", "{ nogil = [{ repeat = [2, [{ io = 2.5 }]] }] }"] {
        let outcome = run(
            1,
            &format!(
                "tasks = [{{ id = 0, program = [{{ cpu = 1 }}, {last}] }}, {{ id = 1, arrival = 4, program = [{{ cpu = 100 }}] }}]"
            ),
        );
        assert_eq!(finish(&outcome, 0), 6.0, "{last}");
    }
}

#[test]
fn who_goes_round_without_time_is_found_also_if_it_changes_something_each_time() {
    let yields = "tasks = [{ id = 7, program = [{ repeat = [4000000000, [{ yield = true }]] }] }]";
    let sends = "tasks = [
        { id = 7, program = [{ repeat = [4000000000, [{ send = 'to' }, { recv = 'fro' }]] }] },
        { id = 8, program = [{ repeat = [4000000000, [{ recv = 'to' }, { send = 'fro' }]] }] }]";
    for tasks in [yields, sends] {
        let outcome = run(1, tasks);
        assert!(matches!(outcome.stopped, StopReason::Livelock { task: 7 | 8 }), "{:?}", outcome.stopped);
    }
}

#[test]
fn timers_that_nobody_waits_for_keep_no_deadlock_from_being_one() {
    let by_signal = "runtime = { kind = 'gil3', gil3 = { switch_interval = 50 } }
        tasks = [{ id = 0, program = [{ cpu = 10 }, { sem_wait = 's' }] }, { id = 1, program = [{ cpu = 1 }, { sem_wait = 's' }] }]";
    let asleep = "tasks = [{ id = 0, program = [{ io = 100 }] }, { id = 1, program = [{ cpu = 11 }, { kill = 0 }, { recv = 'c' }] }]";
    let on_a_worker = format!("runtime = {{ kind = 'm_n', workers = 2 }}\n{asleep}");
    let with_it = format!("runtime = {{ kind = 'thread_pool', workers = 2 }}\n{asleep}");
    let sharing = format!("policy = {{ kind = 'ps' }}\n{asleep}");
    let boosted = format!("policy = {{ kind = 'mlfq', boost_every = 3, levels = [{{ quantum = 2 }}] }}\n{asleep}");
    // One that waits for the GIL, with a timer, is killed by another that has none to give.
    let for_the_gil = "runtime = { kind = 'gil3', gil3 = { switch_interval = 50 } }
        tasks = [{ id = 0, program = [{ nogil = [{ cpu = 1 }] }, { cpu = 10 }, { sem_wait = 's' }] }, { id = 1, program = [{ nogil = [{ cpu = 2 }] }, { cpu = 5 }] },
          { id = 2, program = [{ nogil = [{ cpu = 4 }, { kill = 1 }] }, { sem_wait = 's' }] }]";
    for rest in [by_signal, asleep, &on_a_worker, &with_it, &sharing, &boosted, for_the_gil] {
        for until in ["", "until = 30", "until = 1000"] {
            let outcome = run(3, &format!("{until}\n{rest}"));
            assert_eq!((&outcome.stopped, outcome.finish_time), (&StopReason::Deadlock, 11.0), "{until}, {rest}");
        }
    }
    // Between two jobs, and before the first.
    for arrival in [0, 50] {
        let outcome = run(
            2,
            &format!(
                "until = 1000
                tasks = [{{ id = 0, arrival = {arrival}, period = 20, program = [{{ cpu = 4 }}] }}, {{ id = 1, program = [{{ cpu = 11 }}, {{ kill = 0 }}, {{ recv = 'c' }}] }}]"
            ),
        );
        assert_eq!((outcome.stopped, outcome.finish_time), (StopReason::Deadlock, 11.0), "{arrival}");
    }
    // Somebody still sleeps beside the void timer, and that is no deadlock.
    let outcome = run(
        2,
        "tasks = [{ id = 0, program = [{ io = 100 }] }, { id = 1, program = [{ cpu = 5 }, { kill = 0 }, { recv = 'c' }] },
          { id = 2, program = [{ io = 50 }, { send = 'c' }] }]",
    );
    assert_eq!((outcome.stopped, outcome.finish_time), (StopReason::Finished, 50.0));
}

#[test]
fn a_periodic_task_is_in_the_system_from_its_first_release_on() {
    let outcome = run(
        1,
        "until = 200
        admission = { max_in_system = 1 }
        tasks = [{ id = 0, arrival = 100, period = 50, program = [{ cpu = 1 }] }, { id = 1, program = [{ cpu = 1 }] },
          { id = 2, arrival = 120, program = [{ cpu = 1 }] }]",
    );
    assert_eq!(finish(&outcome, 1), 1.0, "nobody else is here");
    assert_eq!(outcome.task(2).unwrap().finish, None, "task 0 is, between its jobs");
    assert_eq!((outcome.counters.arrivals, outcome.counters.drops), (3, 1));
    // One that is killed before has never come.
    let outcome = run(
        1,
        "until = 200
        admission = { max_in_system = 1 }
        tasks = [{ id = 0, arrival = 100, period = 50, program = [{ cpu = 1 }] }, { id = 1, program = [{ cpu = 1 }, { kill = 0 }] },
          { id = 2, arrival = 120, program = [{ cpu = 1 }] }]",
    );
    assert_eq!((finish(&outcome, 1), finish(&outcome, 2)), (1.0, 121.0));
    assert_eq!((outcome.counters.arrivals, outcome.counters.drops), (2, 0));
}

#[test]
fn who_is_woken_by_the_end_has_slept_until_then() {
    let killer = "{ id = 1, program = [{ cpu = 5 }, { kill = 0 }] }";
    for head in [
        "",
        "policy = { kind = 'ps' }",
        "runtime = { kind = 'm_n' }",
        "runtime = { kind = 'thread_pool' }",
        "runtime = { kind = 'gil3' }",
    ] {
        for sleep in ["{ io = 100 }", "{ sleep = 100 }", "{ await = { cpu = 0, io = 100 } }", "{ io = 3 }, { io = 97 }"]
        {
            let tasks = format!("{head}\ntasks = [{{ id = 0, program = [{sleep}] }}, {killer}]");
            let killed = run(2, &tasks);
            let task = killed.task(0).unwrap();
            assert_eq!((task.turnaround, task.io, task.wait), (Some(5.0), 5.0, Some(0.0)), "{tasks}");
            let cut = run(2, &format!("until = 4\n{tasks}"));
            assert_eq!((&cut.stopped, cut.task(0).unwrap().io), (&StopReason::Until, 4.0), "{tasks}");
            let whole = run(2, &tasks.replace("{ kill = 0 }", "{ cpu = 1 }"));
            assert_eq!((finish(&whole, 0), whole.task(0).unwrap().io), (100.0, 100.0), "{tasks}");
        }
    }
}
