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
