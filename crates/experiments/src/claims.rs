//! The claims people repeat, and what each predicts.

use bench_harness::claim::{Claim, Leg};
use bench_harness::placement::Placement::{self, Free, Pinned};
use bench_harness::plan::{CPU, WALL};

/// All claims.
pub fn claims() -> Vec<Claim> {
    [creating(), switching(), sharing(), falling(), following(), crate::memory::claims(), crate::allocators::claims()]
        .concat()
}

/// A unit of work for each job?
fn creating() -> Vec<Claim> {
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
    ]
}

/// What a switch costs, and between what.
fn switching() -> Vec<Claim> {
    vec![
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
            id: "stackful-switch".to_owned(),
            text: "stackful and stackless switches cost about the same".to_owned(),
            source: "study notes".to_owned(),
            note: "a stackful coroutine over a stackless task, each with a queue by hand and nothing else; about the same means \
                   within a factor of 1.5"
                .to_owned(),
            legs: vec![
                within("yield, alone", "yield/one", "coroutine", "floor", 1.5),
                within("yield among 1,000", "yield/many", "coroutine", "floor", 1.5),
            ],
        },
        Claim {
            id: "process-switch".to_owned(),
            text: "threads cost less to switch than processes, since there is less memory to copy".to_owned(),
            source: "study notes".to_owned(),
            note: "a byte to and fro over pipes, on one core; nothing is copied in a switch: with more memory in use it would \
                   take longer by at least a tenth, if the reason were right"
                .to_owned(),
            legs: vec![
                more("process over thread", "ping-pong/pipe", Pinned, "process", "thread"),
                at_least(1.1, more("64 MiB in use over none", "ping-pong/pipe-ballast", Pinned, "process@64MiB", "process")),
                at_least(1.1, more("256 MiB in use over none", "ping-pong/pipe-ballast", Pinned, "process@256MiB", "process")),
            ],
        },
        Claim {
            id: "network-decides-echo".to_owned(),
            text: "the network, not the executor, decides how fast an echo is".to_owned(),
            source: "study notes".to_owned(),
            note: "against epoll by hand; decides means the executor adds less than a quarter".to_owned(),
            legs: vec![
                at_most(1.25, "tokio, 1 connection, round trip", "tcp-echo/1", WALL, "tokio-ct"),
                at_most(1.25, "smol, 1 connection, round trip", "tcp-echo/1", WALL, "smol-local"),
                at_most(1.25, "tokio, 100 connections, CPU", "tcp-echo/100", CPU, "tokio-ct"),
                at_most(1.25, "smol, 100 connections, CPU", "tcp-echo/100", CPU, "smol-local"),
            ],
        },
    ]
}

/// Who has to wait for whom.
fn sharing() -> Vec<Claim> {
    vec![
        Claim {
            id: "blocked-loop".to_owned(),
            text: "a CPU-bound task blocks everyone on an event loop".to_owned(),
            source: "study notes".to_owned(),
            note: "worst lateness of a 5 ms ticker beside a 300 ms hog; blocked means at least 250 ms".to_owned(),
            legs: vec![late("tokio-ct"), late("smol-local")],
        },
        Claim {
            id: "offloading".to_owned(),
            text: "a pool for blocking calls keeps the loop responsive".to_owned(),
            source: "study notes".to_owned(),
            note: "worst lateness of a 5 ms ticker while 150 ms of computing are with the pool; responsive means at most 20 ms"
                .to_owned(),
            legs: ["tokio-ct", "tokio-mt", "smol-local", "async-std"].into_iter().map(responsive).collect(),
        },
        Claim {
            id: "self-yielding".to_owned(),
            text: "a unit that yields to itself starves its sibling".to_owned(),
            source: "study notes".to_owned(),
            note: "turns of the yielding unit until a ready sibling has its first; starves means at least 1,000".to_owned(),
            legs: ["tokio-ct", "tokio-mt", "async-std", "smol-local", "smol-mt", "coroutine", "may"]
                .into_iter()
                .map(starving)
                .collect(),
        },
        Claim {
            id: "threads-beyond-cores".to_owned(),
            text: "threads beyond the cores slow CPU-bound work".to_owned(),
            source: "study notes".to_owned(),
            note: "against one thread a core; creation is not in the figure; slow means by at least a twentieth".to_owned(),
            legs: [4, 16, 64]
                .into_iter()
                .map(|times| {
                    let contender = format!("thread@{times}x");
                    at_least(1.05, more(&format!("{times} threads a core"), "oversubscription/sum", Free, &contender, "thread"))
                })
                .collect(),
        },
        Claim {
            id: "threads-for-waiting".to_owned(),
            text: "threads beyond the cores help I/O-bound work".to_owned(),
            source: "study notes".to_owned(),
            note: "64 waits of 1 ms a core, against one thread a core; help means at most half the time".to_owned(),
            legs: [4, 16]
                .into_iter()
                .map(|times| Leg {
                    at_least: None,
                    at_most: Some(0.5),
                    ..more(
                        &format!("{times} threads a core"),
                        "oversubscription/wait",
                        Free,
                        &format!("thread@{times}x"),
                        "thread",
                    )
                })
                .collect(),
        },
        Claim {
            id: "ten-thousand-connections".to_owned(),
            text: "a waiting connection costs a thread ten times a task's memory, and more CPU per request".to_owned(),
            source: "study notes: \"async holds ten thousand connections where threads stop\"".to_owned(),
            note: "weights from 1,000 and 10,000 units that wait, which stand as threads, too; CPU with 1,000 connections"
                .to_owned(),
            legs: vec![
                at_least(10.0, Leg { metric: "bytes".to_owned(), ..more("memory", "memory/pending", Pinned, "thread", "tokio-ct") }),
                Leg { metric: CPU.to_owned(), ..more("CPU", "tcp-echo/1000", Pinned, "thread", "tokio-ct") },
            ],
        },
    ]
}

/// What becomes of a panic.
fn falling() -> Vec<Claim> {
    let runtimes = ["tokio-ct", "tokio-mt", "async-std", "smol-local", "smol-mt", "thread", "rayon", "may"];
    vec![Claim {
        id: "silent-panic".to_owned(),
        text: "a lost unit's panic is silent".to_owned(),
        source: "study notes; tokio #640, #2762, #4516".to_owned(),
        note: "1: somebody was told, be it by the end of the process; 0: nothing but a line on stderr".to_owned(),
        legs: runtimes
            .into_iter()
            .map(|runtime| Leg {
                metric: "told".to_owned(),
                at_most: Some(0.0),
                ..about(runtime, "panic/detached", Pinned, runtime)
            })
            .collect(),
    }]
}

/// What follows a unit of work.
fn following() -> Vec<Claim> {
    let runtimes = ["tokio-ct", "tokio-mt", "async-std", "smol-local", "smol-mt", "mini-local", "mini-mt"];
    let share = |label: &str, metric: &str, runtime: &str| Leg {
        metric: metric.to_owned(),
        ..about(&format!("{label}, {runtime}"), "context", Pinned, runtime)
    };
    let locals = runtimes.map(|runtime| at_least(0.5, share("thread-local", "local_mixed", runtime)));
    let variables = runtimes.map(|runtime| Leg { at_most: Some(0.0), ..share("variable", "variable_mixed", runtime) });
    let born = runtimes.map(|runtime| Leg { at_most: Some(0.0), ..share("spawned without", "variable_lost", runtime) });
    vec![Claim {
        id: "context-variables".to_owned(),
        text: "tasks that take turns find one another's values in a thread-local, and each its own in a context variable".to_owned(),
        source: "study notes; PEP 567".to_owned(),
        note: "shares of 50 tasks on one core: of those that found another's number, and of those that were not born with their maker's"
            .to_owned(),
        legs: [locals, variables, born].concat(),
    }]
}

/// A claim of the study notes.
pub(crate) fn claim(id: &str, text: &str, note: &str, legs: Vec<Leg>) -> Claim {
    Claim { id: id.to_owned(), text: text.to_owned(), source: "study notes".to_owned(), note: note.to_owned(), legs }
}

/// A contender's own figure; it predicts nothing yet.
pub(crate) fn figure(label: &str, workload: &str, placement: Placement, metric: &str, contender: &str) -> Leg {
    Leg {
        label: label.to_owned(),
        workload: workload.to_owned(),
        placement,
        metric: metric.to_owned(),
        contender: contender.to_owned(),
        versus: None,
        at_least: None,
        at_most: None,
    }
}

/// Predicts that `contender` costs more wall time than `versus`.
fn more(label: &str, workload: &str, placement: Placement, contender: &str, versus: &str) -> Leg {
    Leg { versus: Some(versus.to_owned()), at_least: Some(1.0), ..about(label, workload, placement, contender) }
}

pub(crate) fn at_least(bound: f64, leg: Leg) -> Leg {
    Leg { at_least: Some(bound), ..leg }
}

/// Predicts that `contender` costs the same as `versus`, but for a factor.
fn within(label: &str, workload: &str, contender: &str, versus: &str, factor: f64) -> Leg {
    Leg { at_least: Some(1.0 / factor), at_most: Some(factor), ..more(label, workload, Pinned, contender, versus) }
}

/// Predicts that a server on `contender` costs at most so many times the floor.
fn at_most(bound: f64, label: &str, workload: &str, metric: &str, contender: &str) -> Leg {
    let leg = more(label, workload, Pinned, contender, "floor");
    Leg { metric: metric.to_owned(), at_least: None, at_most: Some(bound), ..leg }
}

/// Looks at the wall time of `contender` itself, or what is named in its place.
fn about(label: &str, workload: &str, placement: Placement, contender: &str) -> Leg {
    figure(label, workload, placement, WALL, contender)
}

/// Predicts that a ticker on `contender` is late by nearly the whole time that its neighbour computes.
fn late(contender: &str) -> Leg {
    Leg {
        metric: "worst_lateness_ns".to_owned(),
        at_least: Some(250e6),
        ..about(contender, "blocked-loop", Free, contender)
    }
}

/// Predicts that a ticker on `contender` is hardly late while the pool computes.
fn responsive(contender: &str) -> Leg {
    Leg {
        metric: "worst_lateness_ns".to_owned(),
        at_most: Some(20e6),
        ..about(contender, "offload/ticker", Free, contender)
    }
}

/// Predicts that a ready sibling has to wait for many turns.
fn starving(contender: &str) -> Leg {
    Leg {
        metric: "turns_before_sibling".to_owned(),
        at_least: Some(1_000.0),
        ..about(contender, "fairness/sibling", Pinned, contender)
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
            assert!(experiment.standard.contains(&leg.placement), "{leg:?}");
            for name in std::iter::once(&leg.contender).chain(&leg.versus) {
                let takes_part = match experiment.field {
                    Field::All => true,
                    Field::Only(names) => names.contains(&name.as_str()),
                    Field::Varied { runtimes, .. } => {
                        name.split('@').next().is_some_and(|name| runtimes.contains(&name))
                    }
                };
                assert!(takes_part, "{name} in {leg:?}");
            }
        }
    }
}
