//! The claims people repeat, and what each predicts.

use bench_harness::claim::{Claim, Leg};
use bench_harness::placement::Placement::{self, Free, Pinned};
use bench_harness::plan::{CPU, WALL};

/// All claims.
pub fn claims() -> Vec<Claim> {
    vec![
        Claim {
            id: "thread-per-job".to_owned(),
            text: "a new thread per job costs about 10 % over a pool".to_owned(),
            source: "study notes; in Python 8 to 10 % for jobs that sleep 1 ms, 3 to 4 % for jobs that compute 1 ms"
                .to_owned(),
            note: "about 10 % means 1.05x to 1.15x; the share depends on how long the job is".to_owned(),
            legs: thread_per_job(),
        },
        Claim {
            id: "cost-of-creation".to_owned(),
            text: "a process costs more to create than a thread, a thread more than a task".to_owned(),
            source: "study notes".to_owned(),
            note: String::new(),
            legs: vec![
                more("process over thread", "spawn-join/one-by-one", Pinned, "process", "thread"),
                more("thread over a tokio task", "spawn-join/one-by-one", Pinned, "thread", "tokio-ct"),
                more("thread over a smol task", "spawn-join/one-by-one", Pinned, "thread", "smol-local"),
            ],
        },
        Claim {
            id: "async-switch".to_owned(),
            text: "an async switch is cheaper than a thread switch".to_owned(),
            source: "study notes".to_owned(),
            note: "thread over task, on one core".to_owned(),
            legs: vec![
                more("yield among 1,000", "yield/many", Pinned, "thread", "tokio-ct"),
                more("channel round trip", "ping-pong/channel", Pinned, "thread", "tokio-ct"),
                more("park and wake", "ping-pong/park", Pinned, "thread", "tokio-ct"),
            ],
        },
        Claim {
            id: "blocked-loop".to_owned(),
            text: "a CPU-bound task blocks everyone on an event loop".to_owned(),
            source: "study notes".to_owned(),
            note: "worst lateness of a 5 ms ticker beside a 300 ms hog; blocked means at least 250 ms".to_owned(),
            legs: vec![late("tokio-ct"), late("smol-local")],
        },
        Claim {
            id: "threads-beyond-cores".to_owned(),
            text: "threads beyond the cores slow CPU-bound work".to_owned(),
            source: "study notes".to_owned(),
            note: "against one thread a core; creation is not in the figure".to_owned(),
            legs: [4, 16, 64]
                .into_iter()
                .map(|times| {
                    let contender = format!("thread@{times}x");
                    more(&format!("{times} threads a core"), "oversubscription/sum", Free, &contender, "thread")
                })
                .collect(),
        },
    ]
}

/// Predicts that `contender` costs more wall time than `versus`.
fn more(label: &str, workload: &str, placement: Placement, contender: &str, versus: &str) -> Leg {
    Leg {
        label: label.to_owned(),
        workload: workload.to_owned(),
        placement,
        metric: WALL.to_owned(),
        contender: contender.to_owned(),
        versus: Some(versus.to_owned()),
        at_least: Some(1.0),
        at_most: None,
    }
}

/// Predicts that a ticker on `contender` is late by nearly the whole time that its neighbour computes.
fn late(contender: &str) -> Leg {
    Leg {
        label: contender.to_owned(),
        workload: "blocked-loop".to_owned(),
        placement: Free,
        metric: "worst_lateness_ns".to_owned(),
        contender: contender.to_owned(),
        versus: None,
        at_least: Some(250e6),
        at_most: None,
    }
}

/// The table over job length: computing and sleeping apart, wall time and CPU.
fn thread_per_job() -> Vec<Leg> {
    let jobs = [
        ("empty jobs", "spawn-join/one-by-one"),
        ("computing 10 us", "spawn-join/compute-10us"),
        ("computing 100 us", "spawn-join/compute-100us"),
        ("computing 1 ms", "spawn-join/compute-1ms"),
        ("sleeping 1 ms", "spawn-join/sleep-1ms"),
    ];
    let about_ten_percent = |label: String, workload: &str, metric: &str| Leg {
        at_least: Some(1.05),
        at_most: Some(1.15),
        metric: metric.to_owned(),
        ..more(&label, workload, Free, "thread", "thread-pool")
    };
    jobs.into_iter()
        .flat_map(|(job, workload)| {
            [(WALL, "wall"), (CPU, "CPU")]
                .map(|(metric, name)| about_ten_percent(format!("{job}, {name}"), workload, metric))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::{Field, experiments};

    #[test]
    fn every_leg_names_a_comparison_that_is_made_and_contenders_that_can_take_part() {
        let all = experiments();
        for leg in claims().iter().flat_map(|claim| &claim.legs) {
            let experiment = all.iter().find(|experiment| experiment.workload == leg.workload).expect(&leg.workload);
            assert!(experiment.placements.contains(&leg.placement), "{leg:?}");
            for name in std::iter::once(&leg.contender).chain(&leg.versus) {
                let takes_part = match experiment.field {
                    Field::All => true,
                    Field::Only(names) => names.contains(&name.as_str()),
                    Field::Varied { runtime, .. } => name.split('@').next() == Some(runtime),
                };
                assert!(takes_part, "{name} in {leg:?}");
            }
        }
    }
}
