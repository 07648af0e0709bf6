//! What policies promise at their edges: who offers its core, who has no ticket, who is lifted, what switching took.
#![allow(clippy::float_cmp, reason = "times come out exactly")]

use sched_sim::outcome::StopReason;
use sched_sim::scenario::read::{Format, text};
use sched_sim::{Outcome, RunOptions, simulate};

fn run(cores: u32, policy: &str, rest: &str) -> Outcome {
    let head = format!("schema = 'sched-scenario/0'\nmachine = {{ cores = {cores} }}\npolicy = {{ {policy} }}");
    let scenario = text(&format!("{head}\n{rest}"), Format::Toml).unwrap_or_else(|problems| panic!("{problems}"));
    simulate(&scenario, &RunOptions::default()).unwrap()
}

fn finish(outcome: &Outcome, task: u32) -> f64 {
    outcome.task(task).unwrap().finish.unwrap_or(f64::NAN)
}

#[test]
fn who_yields_goes_behind_those_who_are_as_entitled() {
    let one = "tasks = [{ id = 0, program = [{ cpu = 1 }, { yield = true }, { cpu = 1 }] }, { id = 1, program = [{ cpu = 1 }] }]";
    for kind in ["fifo", "sjf", "srpt", "priority", "edf", "rm"] {
        let outcome = run(1, &format!("kind = '{kind}'"), one);
        assert_eq!((finish(&outcome, 1), finish(&outcome, 0)), (2.0, 3.0), "{kind}");
    }
    // Nor before one who did so first, in the same instant.
    let tasks = "tasks = [{ id = 0, arrival = 1, program = [{ yield = true }, { cpu = 1 }] }, { id = 1, program = [{ cpu = 1 }, { yield = true }, { cpu = 1 }] }]";
    for kind in ["fifo", "sjf", "srpt", "priority", "edf", "rm"] {
        let outcome = run(1, &format!("kind = '{kind}'"), tasks);
        assert_eq!((finish(&outcome, 1), finish(&outcome, 0)), (2.0, 3.0), "{kind}");
    }
    // But not behind those who are less.
    let urgent = one.replace("id = 1,", "id = 1, priority = 1,");
    assert_eq!(finish(&run(1, "kind = 'priority'", &urgent), 0), 2.0);
}

#[test]
fn who_gets_a_core_does_nothing_before_the_other_events_of_the_instant() {
    // At 4 the quantum of task 0 ends on core 0, and the burst of task 1 on core 1: that one takes the lock first, whoever gets core 0.
    for (first, steps) in [("", ""), ("", "{ cpu = 0 }, "), ("affinity = [0, 1], ", "")] {
        let outcome = run(
            2,
            "kind = 'rr', quantum = 4",
            &format!(
                "tasks = [{{ id = 0, {first}program = [{{ cpu = 20 }}] }},
                  {{ id = 1, program = [{{ io = 1 }}, {{ cpu = 3 }}, {{ lock = 'm' }}, {{ cpu = 2 }}, {{ unlock = 'm' }}] }},
                  {{ id = 2, arrival = 2, program = [{steps}{{ lock = 'm' }}, {{ cpu = 2 }}, {{ unlock = 'm' }}] }}]"
            ),
        );
        assert_eq!((finish(&outcome, 1), finish(&outcome, 2)), (6.0, 8.0), "{first}{steps}");
    }
}

#[test]
fn who_is_back_in_the_instant_in_which_it_left_comes_before_the_decision() {
    for first in ["", "affinity = [0, 1], "] {
        let outcome = run(
            2,
            "kind = 'rr', quantum = 4",
            &format!(
                "tasks = [{{ id = 0, {first}program = [{{ cpu = 20 }}] }}, {{ id = 1, program = [{{ cpu = 4 }}, {{ io = 0 }}, {{ cpu = 5 }}] }},
                  {{ id = 2, program = [{{ sem_post = 's' }}, {{ io = 0 }}, {{ cpu = 5 }}] }}]"
            ),
        );
        let moves: Vec<u32> = outcome.tasks.iter().map(|task| task.migrations).collect();
        assert_eq!(moves, [2, 1, 1], "{first}");
    }
}

#[test]
fn who_is_stolen_in_a_round_takes_the_core_of_a_less_urgent_one() {
    let outcome = run(
        2,
        "kind = 'priority', queues = 'per-core', steal = { every = 10, from = 'busiest', take = 'first-allowed' }",
        "tasks = [{ id = 0, priority = 1, program = [{ cpu = 100 }] }, { id = 1, priority = 9, program = [{ cpu = 100 }] },
          { id = 2, priority = 2, program = [{ cpu = 5 }] }]",
    );
    assert_eq!((finish(&outcome, 2), finish(&outcome, 1)), (15.0, 105.0));
}

#[test]
fn who_is_stolen_in_a_round_comes_into_a_queue_that_knows_what_its_own_task_had() {
    // Task 2 comes to core 1 at 150, when task 1 has had 150 there. At 300 it has had 100 more, and task 1 is behind it with 200.
    let outcome = run(
        2,
        "kind = 'stride', quantum = 100, queues = 'per-core', steal = { every = 150, from = 'busiest', take = 'first-allowed' }",
        "tasks = [{ id = 2, program = [{ cpu = 1000 }] }, { id = 1, program = [{ cpu = 250 }] }, { id = 0, program = [{ cpu = 1000 }] }]",
    );
    assert_eq!(finish(&outcome, 1), 350.0);
}

#[test]
fn a_lottery_with_a_queue_for_each_core_tells_all_winners_in_order() {
    let outcome = run(
        2,
        "kind = 'lottery', quantum = 5, queues = 'per-core'",
        "tasks = [{ id = 0, count = 2, program = [{ cpu = 10 }] }, { id = 2, arrival = 1, count = 2, program = [{ cpu = 10 }] }]",
    );
    let winners = outcome.winners.unwrap();
    assert_eq!((winners.len(), outcome.live_tickets.unwrap().len()), (8, 8), "a draw each 5 on each of two cores");
    let dispatched: Vec<u32> = outcome.dispatches.unwrap().iter().map(|dispatch| dispatch.task).collect();
    assert_eq!(winners, dispatched);
    assert!(!outcome.truncated);
}

#[test]
fn winners_that_are_left_out_are_said_to_be() {
    for queues in ["shared", "per-core"] {
        let outcome = run(
            2,
            &format!("kind = 'lottery', quantum = 5, queues = '{queues}'"),
            "record = ['per_task']\nlimits = { recorded = 6 }\ntasks = [{ id = 0, count = 4, program = [{ cpu = 10 }] }]",
        );
        assert_eq!((outcome.winners.unwrap().len(), outcome.truncated), (6, true), "{queues}");
    }
}

#[test]
fn a_boost_leaves_those_who_run_on_their_cores() {
    let outcome = run(
        4,
        "kind = 'mlfq', boost_every = 10, levels = [{ quantum = 100 }, { quantum = 100 }]",
        "tasks = [{ id = 0, count = 4, program = [{ cpu = 95 }] }]",
    );
    assert_eq!((outcome.counters.migrations, outcome.counters.switches), (0, 0));
}

#[test]
fn who_is_killed_as_a_quantum_ends_elsewhere_does_not_run_any_more() {
    // At 4 core 0 is free for task 2, and in the same instant task 1 kills it.
    let outcome = run(
        2,
        "kind = 'rr', quantum = 4",
        "tasks = [{ id = 0, program = [{ cpu = 8 }] }, { id = 1, program = [{ cpu = 3 }, { cpu = 1 }, { kill = 2 }] },
          { id = 2, program = [{ cpu = 5 }] }]",
    );
    let killed = outcome.task(2).unwrap();
    assert_eq!((killed.response, killed.cpu, killed.finish), (None, 0.0, Some(4.0)));
    assert_eq!(outcome.counters.switches, 0);
}

#[test]
fn a_switch_that_is_broken_off_took_the_time_it_took() {
    let outcome = run(
        1,
        "kind = 'priority'",
        "costs = { context_switch = 10 }
        tasks = [{ id = 0, priority = 0, program = [{ cpu = 5 }] }, { id = 1, priority = 2, program = [{ cpu = 5 }] },
          { id = 2, priority = 1, arrival = 8, program = [{ cpu = 5 }] }]",
    );
    // From 5 to 8 in vain, from 8 to 18 for task 2, from 23 to 33 for task 1.
    assert_eq!(outcome.finish_time, 38.0);
    assert_eq!(outcome.cores[0].switch_time, 23.0);
    assert_eq!(outcome.idle_ticks, 0.0);
    assert_eq!(outcome.task(1).unwrap().response, Some(33.0), "not at 15, when the switch would have been over");
    let cut = run(
        1,
        "kind = 'fifo'",
        "until = 8\ncosts = { context_switch = 10 }\ntasks = [{ id = 0, count = 2, program = [{ cpu = 5 }] }]",
    );
    assert_eq!(cut.cores[0].switch_time, 3.0);
    assert_eq!((cut.task(0).unwrap().response, cut.task(1).unwrap().response), (Some(0.0), None));
}

#[test]
fn who_loses_its_core_to_one_who_may_run_only_there_takes_that_of_a_less_urgent_one() {
    let outcome = run(
        2,
        "kind = 'priority'",
        "tasks = [{ id = 0, priority = 2, program = [{ cpu = 20 }] }, { id = 1, priority = 3, program = [{ cpu = 15 }] },
          { id = 2, priority = 1, arrival = 5, affinity = [0], program = [{ cpu = 10 }] }]",
    );
    assert_eq!((finish(&outcome, 2), finish(&outcome, 0), finish(&outcome, 1)), (15.0, 20.0, 25.0));
    // The same for one who offers its core and finds another before it.
    let outcome = run(
        2,
        "kind = 'priority'",
        "tasks = [{ id = 0, priority = 2, program = [{ cpu = 5 }, { yield = true }, { cpu = 15 }] },
          { id = 1, priority = 3, program = [{ cpu = 15 }] },
          { id = 2, priority = 2, arrival = 1, affinity = [0], program = [{ cpu = 10 }] }]",
    );
    assert_eq!((finish(&outcome, 2), finish(&outcome, 0), finish(&outcome, 1)), (15.0, 20.0, 25.0));
}

#[test]
fn who_is_woken_by_one_that_just_took_a_core_takes_one_as_well() {
    let outcome = run(
        2,
        "kind = 'priority'",
        "tasks = [{ id = 0, priority = 4, program = [{ cpu = 15 }] }, { id = 1, priority = 3, program = [{ cpu = 15 }] },
          { id = 2, priority = 1, arrival = 5, program = [{ sem_post = 's' }, { cpu = 1 }] },
          { id = 3, priority = 2, program = [{ sem_wait = 's' }, { cpu = 1 }] }]",
    );
    assert_eq!((finish(&outcome, 2), finish(&outcome, 3)), (6.0, 6.0));
}

#[test]
fn two_who_come_at_once_take_two_cores_whatever_their_order() {
    for urgent in [2, 3] {
        let tasks = "{ id = 2, priority = 2, arrival = 5, program = [{ cpu = 10 }] },
          { id = 3, priority = 2, arrival = 5, program = [{ cpu = 10 }] }";
        let tasks = tasks.replace(&format!("id = {urgent}, priority = 2"), &format!("id = {urgent}, priority = 1"));
        let hogs = "{ id = 0, count = 2, priority = 3, program = [{ cpu = 20 }] }";
        let outcome = run(2, "kind = 'priority'", &format!("tasks = [{hogs}, {tasks}]"));
        assert_eq!((finish(&outcome, 2), finish(&outcome, 3)), (15.0, 15.0), "task {urgent} is the more urgent one");
    }
}

#[test]
fn who_comes_to_a_level_does_not_go_before_those_who_run_there() {
    // Task 2 comes back from its I/O to the front at 5, where a core is idle. Who arrives at 7 waits for its turn.
    let outcome = run(
        2,
        "kind = 'mlfq', io_done_to_front = true, levels = [{ quantum = 20 }]",
        "tasks = [{ id = 0, program = [{ cpu = 20 }] }, { id = 2, program = [{ io = 5 }, { cpu = 10 }] },
          { id = 3, arrival = 7, program = [{ cpu = 1 }] }]",
    );
    assert_eq!((finish(&outcome, 2), finish(&outcome, 3)), (15.0, 16.0));
}

#[test]
fn a_task_that_is_stolen_stays_at_its_level() {
    // Both hogs are at the lowest level when core 1 is idle at 10 and takes one of them; at 11 a short task comes there.
    let outcome = run(
        2,
        "kind = 'mlfq', levels = [{ quantum = 2 }, { quantum = 100 }], queues = 'per-core', steal = { from = 'busiest', take = 'half' }",
        "tasks = [{ id = 0, program = [{ cpu = 30 }] }, { id = 1, program = [{ cpu = 10 }] }, { id = 2, program = [{ cpu = 30 }] },
          { id = 3, arrival = 11, program = [{ cpu = 1 }] }]",
    );
    let runs = outcome.run_segments.as_ref().unwrap();
    let stolen: Vec<_> = runs.iter().filter(|run| (run.task, run.cpu) == (2, 1)).collect();
    assert_eq!(stolen[0].start, 10.0);
    assert!(stolen.iter().all(|run| run.level == Some(0)), "{stolen:?}");
    assert_eq!(finish(&outcome, 3), 12.0);
}

#[test]
fn a_task_without_tickets_runs_where_nobody_else_may() {
    let outcome = run(
        2,
        "kind = 'lottery', quantum = 5",
        "tasks = [{ id = 0, count = 3, affinity = [0], program = [{ cpu = 50 }] },
          { id = 9, tickets = 0, affinity = [1], program = [{ cpu = 10 }] }]",
    );
    assert_eq!(finish(&outcome, 9), 10.0);
}

#[test]
fn a_lottery_ends_when_there_are_no_more_draws() {
    let draws = "randomness = { mode = 'draws', draws = [0, 0, 0] }";
    let listed = format!("{draws}\ntasks = [{{ id = 0, count = 2, program = [{{ cpu = 20 }}] }}]");
    let outcome = run(1, "kind = 'lottery', quantum = 5", &listed);
    assert_eq!((outcome.stopped, outcome.finish_time), (StopReason::DrawsExhausted, 15.0));
    assert_eq!(outcome.winners.unwrap(), [0, 0, 0]);
    let generated = format!(
        "{draws}\ngenerator = {{ arrivals = {{ kind = 'poisson', rate = 1 }}, service = {{ kind = 'det', value = 5 }}, count = 100 }}"
    );
    assert_eq!(run(1, "kind = 'lottery', quantum = 5", &generated).stopped, StopReason::DrawsExhausted);
}

#[test]
fn the_longest_slice_that_can_be_given_is_long() {
    let outcome = run(
        1,
        "kind = 'cfs', base_slice = 2305843009213693952",
        "time_unit = 'ns'\ntasks = [{ id = 0, count = 2, program = [{ cpu = 20000000 }] }]",
    );
    assert_eq!(outcome.counters.switches, 1, "the first one's slice does not end");
}

#[test]
fn tasks_that_share_cores_have_had_what_they_had_when_the_run_ends() {
    for kind in ["ps", "las"] {
        let tasks = "tasks = [{ id = 0, count = 4, program = [{ cpu = 10 }] }]";
        let outcome = run(2, &format!("kind = '{kind}'"), &format!("until = 5\n{tasks}"));
        assert_eq!(outcome.stopped, StopReason::Until);
        for task in &outcome.tasks {
            assert!((task.cpu - 2.5).abs() < 1e-5, "{kind}: {}", task.cpu);
        }
        let killed = run(
            1,
            &format!("kind = '{kind}'"),
            "tasks = [{ id = 0, program = [{ cpu = 10 }] }, { id = 1, program = [{ io = 4 }, { kill = 0 }] }]",
        );
        let killed = killed.task(0).unwrap();
        assert!((killed.cpu - 4.0).abs() < 1e-5 && killed.wait.unwrap() < 1e-5, "{kind}: {killed:?}");
    }
}

#[test]
fn the_trace_of_a_sharing_policy_has_a_lane_for_each_task() {
    for kind in ["ps", "las"] {
        let tasks = "tasks = [{ id = 3, name = 'long', program = [{ cpu = 6 }] }, { id = 5, arrival = 1, program = [{ cpu = 2 }] }]";
        let outcome = run(1, &format!("kind = '{kind}'"), tasks);
        let trace = sched_sim::render::chrome_trace(&outcome);
        let spans = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X");
        let spans: Vec<_> = spans
            .map(|span| (span["name"].as_str().unwrap(), span["ts"].as_f64().unwrap(), span["dur"].as_f64().unwrap()))
            .collect();
        let turnaround = |task| outcome.task(task).unwrap().turnaround.unwrap();
        assert_eq!(spans, [("long (3)", 0.0, turnaround(3)), ("task 5", 1.0, turnaround(5))], "{kind}");
    }
}

#[test]
fn quantiles_of_turnaround_are_over_listed_tasks_and_over_generated_ones() {
    let tasks = "record = ['histogram:turnaround']\ntasks = [{ id = 0, count = 10, program = [{ cpu = 1 }] }]";
    let outcome = run(1, "kind = 'fifo'", tasks);
    let quantiles = outcome.histograms["turnaround"];
    assert_eq!(outcome.histograms.len(), 1);
    assert_eq!(
        (quantiles.count, quantiles.min.round(), quantiles.p50.round(), quantiles.max.round()),
        (10, 1.0, 5.0, 10.0)
    );
    let generated = "record = ['histogram:turnaround', 'histogram:response']
        generator = { arrivals = { kind = 'poisson', rate = 0.5 }, service = { kind = 'exp', mean = 1 }, count = 100 }";
    let outcome = run(1, "kind = 'fifo'", generated);
    assert_eq!(outcome.histograms["turnaround"], outcome.histograms["response"]);
}

#[test]
fn the_next_burst_is_known_also_if_other_steps_come_before_it() {
    let finishes = |policy: &str, tasks: &str| {
        let outcome = run(1, policy, tasks);
        [0, 1].map(|task| finish(&outcome, task))
    };
    let long = "{ cpu = 100 }";
    for program in [
        format!("{{ mark = 'm' }}, {long}"),
        format!("{{ lock = 'm' }}, {long}, {{ unlock = 'm' }}"),
        format!("{{ repeat = [1, [{{ sem_post = 's' }}, {{ nogil = [{long}] }}]] }}"),
        format!("{{ repeat = [3, [{{ mark = 'm' }}]] }}, {long}"),
    ] {
        let tasks = format!("tasks = [{{ id = 0, program = [{program}] }}, {{ id = 1, program = [{{ cpu = 10 }}] }}]");
        assert_eq!(finishes("kind = 'sjf'", &tasks), [110.0, 10.0], "{program}");
        let later = format!(
            "tasks = [{{ id = 0, program = [{{ cpu = 5 }}] }}, {{ id = 1, arrival = 4, program = [{program}] }}]"
        );
        assert_eq!(finishes("kind = 'srpt'", &later), [5.0, 105.0], "{program}");
    }
    // Who will wait first is done soonest.
    let waits = "tasks = [{ id = 0, program = [{ lock = 'm' }, { cpu = 9 }, { unlock = 'm' }] },
        { id = 1, arrival = 4, program = [{ lock = 'm' }, { cpu = 20 }, { unlock = 'm' }] },
        { id = 2, arrival = 4, program = [{ cpu = 10 }] }]";
    assert_eq!(run(1, "kind = 'srpt'", waits).task(1).unwrap().response, Some(0.0));
}

#[test]
fn a_task_whose_next_burst_is_longer_may_lose_its_core_for_that() {
    let tasks = "tasks = [{ id = 0, program = [{ cpu = 1 }, { cpu = 100 }] }, { id = 1, program = [{ cpu = 50 }] }]";
    let outcome = run(1, "kind = 'srpt'", tasks);
    assert_eq!((finish(&outcome, 1), finish(&outcome, 0)), (51.0, 151.0));
    let outcome = run(1, "kind = 'sjf', preemptive = true", tasks);
    assert_eq!((finish(&outcome, 1), finish(&outcome, 0)), (51.0, 151.0));
    assert_eq!(finish(&run(1, "kind = 'sjf'", tasks), 0), 101.0, "nobody takes its core there");
    // The next in the queue may not run there.
    let elsewhere = "tasks = [{ id = 0, affinity = [0], program = [{ cpu = 1 }, { cpu = 100 }] },
        { id = 1, affinity = [1], program = [{ cpu = 30 }] }, { id = 2, affinity = [1], program = [{ cpu = 40 }] },
        { id = 3, affinity = [0], program = [{ cpu = 50 }] }]";
    assert_eq!(finish(&run(2, "kind = 'srpt'", elsewhere), 3), 51.0);
}

#[test]
fn a_switch_that_is_broken_off_leaves_nothing_behind() {
    // Task 1's first slice ends at 8, the switch back at 12: the boost comes in its middle. The next one to task 0 is one, too.
    let outcome = run(
        1,
        "kind = 'mlfq', boost_every = 10, levels = [{ quantum = 8 }, { quantum = 8 }]",
        "costs = { context_switch = 4 }\ntasks = [{ id = 0, program = [{ cpu = 12 }] }, { id = 1, program = [{ cpu = 8 }] }]",
    );
    // 0 until 8; the switch to 1 broken off at 10, and begun again: at 10 to 14, 1 until 22, 4 for the switch, 0's last 4.
    let finishes = [0, 1].map(|task| finish(&outcome, task));
    assert_eq!((finishes, outcome.counters.switches), ([30.0, 22.0], 3));
}

#[test]
fn who_had_its_time_in_more_pieces_comes_no_sooner() {
    for cores in 1..=2 {
        let tasks = "tasks = [{ id = 0, count = 2, tickets = 150, program = [{ cpu = 4 }, { cpu = 8 }] },
          { id = 2, count = 2, tickets = 150, program = [{ cpu = 1 }, { cpu = 3 }, { cpu = 8 }] }]";
        let tasks = if cores == 1 { tasks.replace("count = 2, ", "") } else { tasks.to_owned() };
        let outcome = run(cores, "kind = 'stride', quantum = 4", &tasks);
        let mut runs = outcome.run_segments.unwrap();
        runs.retain(|run| run.cpu == 0);
        let order: Vec<u32> = runs.iter().map(|run| run.task / 2).collect();
        assert_eq!(order, [0, 1, 0, 1, 0, 1], "on {cores}: {runs:?}");
    }
}

#[test]
fn work_that_is_counted_continuously_takes_no_time_if_there_is_none() {
    let cores = "1, cache = { capacity = 1, warmup = 2, cold_rate = 1, warm_rate = 3, progress = 'PROGRESS' }";
    let ended = |progress: &str, program: &str| {
        let scenario = format!(
            "schema = 'sched-scenario/0'\nmachine = {{ cores = {} }}\npolicy = {{ kind = 'fifo' }}\ntasks = [{{ id = 0, program = [{program}] }}]",
            cores.replace("PROGRESS", progress)
        );
        simulate(&text(&scenario, Format::Toml).unwrap(), &RunOptions::default()).unwrap().finish_time
    };
    let program = "{ cpu = 0 }, { cpu = 5 }, { cpu = 0 }";
    assert_eq!(ended("continuous", program), 3.0, "two units cold, one warm");
    assert_eq!(ended("whole-units", program), 5.0, "as the original: one for each that has none");
    assert_eq!(ended("continuous", "{ cpu = 5 }"), 3.0);
}

#[test]
fn a_cache_has_a_size_and_not_a_time() {
    let scenario = |capacity: &str| {
        format!(
            "schema = 'sched-scenario/0'
            machine = {{ cores = 1, cache = {{ capacity = {capacity}, warmup = 2, cold_rate = 1, warm_rate = 1e6 }} }}
            policy = {{ kind = 'fifo' }}
            tasks = [{{ id = 0, working_set = 1e29, program = [{{ cpu = 1 }}] }}]"
        )
    };
    let outcome = simulate(&text(&scenario("1e30"), Format::Toml).unwrap(), &RunOptions::default()).unwrap();
    assert_eq!(outcome.finish_time, 1.0);
    assert!(text(&scenario("inf"), Format::Toml).is_err());
}

#[test]
fn a_tick_of_no_time_is_a_timer_as_fine_as_needed() {
    let with = |tick: &str, format| {
        let scenario = match format {
            Format::Json => format!(
                "{{\"schema\":\"sched-scenario/0\",\"machine\":{{\"cores\":1}},\"policy\":{{\"kind\":\"cfs\",\"base_slice\":1.5,\"tick\":{tick}}},
                \"tasks\":[{{\"id\":0,\"count\":9,\"program\":[{{\"cpu\":20}}]}}]}}"
            ),
            Format::Toml => format!(
                "schema = 'sched-scenario/0'\nmachine = {{ cores = 1 }}\npolicy = {{ kind = 'cfs', base_slice = 1.5, tick = {tick} }}
                tasks = [{{ id = 0, count = 9, program = [{{ cpu = 20 }}] }}]"
            ),
        };
        simulate(&text(&scenario, format).unwrap(), &RunOptions::default()).unwrap().digest
    };
    assert_eq!(with("0", Format::Toml), with("null", Format::Json));
    assert_ne!(with("4", Format::Toml), with("null", Format::Json));
}

#[test]
fn what_is_of_use_is_not_refused_with_what_is_not() {
    let is_right = |policy: &str, rest: &str| {
        let scenario = format!(
            "schema = 'sched-scenario/0'\nmachine = {{ cores = 2 }}\npolicy = {{ {policy} }}\n{rest}
            tasks = [{{ id = 0, program = [{{ nogil = [{{ repeat = [2, [{{ send = 'c' }}, {{ sem_post = 's' }}]] }}] }}] }}]"
        );
        text(&scenario, Format::Toml).map_err(|problems| problems.to_string())
    };
    // An interrupt may take nearly all of a slice, and all of one after which a task gets longer ones.
    for policy in [
        "kind = 'rr', quantum = 2.1",
        "kind = 'mlfq', levels = [{ quantum = 1 }, { quantum = 3 }]",
        "kind = 'eevdf'",
        "kind = 'eevdf', tick = 0, base_slice = 2.1",
        "kind = 'fifo', quantum = 1",
    ] {
        assert!(is_right(policy, "costs = { tick_interrupt = 2 }").is_ok(), "{policy}");
    }
    for policy in [
        "kind = 'rr', quantum = 2",
        "kind = 'mlfq', levels = [{ quantum = 3 }, { quantum = 1 }]",
        "kind = 'eevdf', tick = 2",
        "kind = 'eevdf', tick = 0",
        "kind = 'cfs', tick = 0",
        "kind = 'stride', quantum = 1",
    ] {
        let said = is_right(policy, "costs = { tick_interrupt = 2 }").unwrap_err();
        assert!(said.contains("costs.tick_interrupt"), "{policy}: {said}");
    }
    for rest in [
        "semaphores = { s = 1 }\nchannels = { c = 3 }",
        "runtime = { kind = 'event_loop', workers = 1, queue_limit = 5, processes = [[0]] }",
        "runtime = { kind = 'gil2', processes = [[0]], gil3 = { switch_interval = 5 } }",
        "runtime = { kind = 'm_n', workers = 8, queue_limit = 0 }",
    ] {
        assert_eq!(is_right("kind = 'fifo'", rest).map(|_| ()), Ok(()), "{rest}");
    }
}
