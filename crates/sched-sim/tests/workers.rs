//! What workers run: who of it counts, under which name it stands on the timeline, and what a core makes of it.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use sched_sim::scenario::read::{Format, text};
use sched_sim::{Outcome, RunOptions, simulate};

fn run(machine: &str, rest: &str) -> Outcome {
    let head = format!("schema = 'sched-scenario/0'\nmachine = {{ {machine} }}\npolicy = {{ kind = 'fifo' }}");
    let scenario = text(&format!("{head}\n{rest}"), Format::Toml).unwrap_or_else(|problems| panic!("{problems}"));
    simulate(&scenario, &RunOptions::default()).unwrap()
}

#[test]
fn generated_tasks_that_found_no_room_are_no_throughput() {
    let outcome = run(
        "cores = 1",
        "runtime = { kind = 'thread_pool', workers = 1, queue_limit = 1 }
        generator = { arrivals = { kind = 'periodic', rate = 10 }, service = { kind = 'det', value = 1 }, count = 1001 }",
    );
    assert!(outcome.counters.drops > 880, "{:?}", outcome.counters);
    // One a unit, but for the first, which has not ended when the second unit begins.
    let throughput = outcome.aggregate("throughput").unwrap();
    assert!((0.98..=1.0).contains(&throughput), "{throughput}");
}

#[test]
fn generated_tasks_stand_on_the_timeline_under_their_own_ids() {
    let work =
        "generator = { arrivals = { kind = 'periodic', rate = 0.5 }, service = { kind = 'det', value = 1 }, count = 50,
        program = [{ lock = 'm' }, { cpu = 'service' }, { unlock = 'm' }] }";
    // With `per_task` every task keeps its place, without it the place of an ended one is used again.
    for record in ["'per_task', 'dispatches', 'run_segments', 'holders'", "'dispatches', 'run_segments', 'holders'"] {
        for runtime in ["kind = 'native'", "kind = 'thread_pool', workers = 3"] {
            let outcome = run("cores = 2", &format!("runtime = {{ {runtime} }}\nrecord = [{record}]\n{work}"));
            // They come one after the other.
            let mut ran = outcome.run_segments.unwrap();
            ran.sort_by(|one, other| one.start.total_cmp(&other.start));
            let ran: Vec<u32> = ran.iter().map(|run| run.task).collect();
            let all: Vec<u32> = (0..50).collect();
            assert_eq!(ran, all, "{runtime}, {record}");
            let held: Vec<u32> = outcome.holders.unwrap().iter().map(|holder| holder.task).collect();
            assert_eq!(held, all, "{runtime}, {record}");
            // A worker that has no task yet is none of them.
            let began = outcome.dispatches.unwrap();
            let tasks: Vec<u32> = began.iter().map(|dispatch| dispatch.task).filter(|task| *task < 50).collect();
            assert_eq!(tasks, all, "{runtime}, {record}");
            let mut workers = began.iter().filter(|dispatch| dispatch.task >= 50);
            assert!(workers.all(|dispatch| dispatch.len == 0.0 && dispatch.task < 53), "{began:?}");
        }
    }
}

#[test]
fn workers_have_ids_that_no_task_has() {
    let outcome = run(
        "cores = 1",
        "runtime = { kind = 'thread_pool', workers = 1 }
        record = ['dispatches']
        tasks = [{ id = 2, program = [{ cpu = 1 }] }, { id = 1, program = [{ cpu = 1 }] }]",
    );
    let ids: Vec<u32> = outcome.dispatches.unwrap().iter().map(|dispatch| dispatch.task).collect();
    assert_eq!(ids, [3, 2, 1]);
}

#[test]
fn siblings_are_slowed_down_by_what_their_workers_run() {
    let outcome = run(
        "cores = 2, smt = { threads_per_core = 2, factor_same_kind = 0.5, factor_mixed = 0.75 }",
        "runtime = { kind = 'thread_pool', workers = 2 }
        tasks = [{ id = 0, kind = 'a', program = [{ cpu = 6 }] }, { id = 1, kind = 'b', program = [{ cpu = 3 }] },
          { id = 2, kind = 'a', program = [{ cpu = 1 }] }]",
    );
    // Of two kinds up to 4, of the same up to 6; what is left of task 0 then runs alone.
    let finish: Vec<f64> = outcome.tasks.iter().map(|task| task.finish.unwrap()).collect();
    assert!(finish.iter().zip([8.0, 4.0, 6.0]).all(|(is, should)| (is - should).abs() < 1e-5), "{finish:?}");
}

#[test]
fn a_worker_brings_its_task_into_the_cache() {
    let outcome = run(
        "cores = 1, cache = { capacity = 10, warmup = 10, cold_rate = 1, warm_rate = 2, progress = 'continuous' }",
        "runtime = { kind = 'thread_pool', workers = 1 }
        tasks = [{ id = 0, count = 2, working_set = 6, program = [{ cpu = 30 }] }]",
    );
    // Ten units cold, ten warm: each has to fetch its own working set.
    let finish: Vec<f64> = outcome.tasks.iter().map(|task| task.finish.unwrap()).collect();
    assert_eq!(finish, [20.0, 40.0]);
}

#[test]
fn deadlines_count_on_workers_unless_they_should_decide() {
    let scenario = |policy: &str| {
        format!(
            "schema = 'sched-scenario/0'
            machine = {{ cores = 1 }}
            policy = {{ kind = '{policy}' }}
            runtime = {{ kind = 'm_n' }}
            tasks = [{{ id = 0, count = 2, deadline = 5, program = [{{ cpu = 4 }}] }}]"
        )
    };
    let fifo = text(&scenario("fifo"), Format::Toml).unwrap();
    assert_eq!(simulate(&fifo, &RunOptions::default()).unwrap().counters.deadline_misses, 1);
    let problems = text(&scenario("edf"), Format::Toml).unwrap_err();
    assert_eq!(problems.0[0].key, "tasks[0].deadline", "{problems}");
}

#[test]
fn a_workers_first_task_is_another_than_none() {
    for (kind, ended) in [("event_loop", [15.0, 30.0]), ("thread_pool", [15.0, 30.0]), ("m_n", [15.0, 30.0])] {
        let outcome = run(
            "cores = 1",
            &format!(
                "runtime = {{ kind = '{kind}' }}\ncosts = {{ task_switch = 5 }}\ntasks = [{{ id = 0, count = 2, program = [{{ cpu = 10 }}] }}]"
            ),
        );
        let finish: Vec<f64> = outcome.tasks.iter().map(|task| task.finish.unwrap()).collect();
        assert_eq!(finish, ended, "{kind}");
    }
}

#[test]
fn an_await_keeps_a_pools_worker_and_no_other() {
    for (kind, response) in [("thread_pool", 10.0), ("process_pool", 10.0), ("event_loop", 1.0), ("m_n", 1.0)] {
        let outcome = run(
            "cores = 1",
            &format!(
                "runtime = {{ kind = '{kind}' }}
                tasks = [{{ id = 0, program = [{{ await = {{ cpu = 1, io = 9 }} }}] }}, {{ id = 1, program = [{{ cpu = 1 }}] }}]"
            ),
        );
        assert_eq!(outcome.task(1).unwrap().response, Some(response), "{kind}");
    }
}
