//! Every runtime does every workload it claims, comes to the same checksum as all others, and refuses the rest in a sentence.
//!
//! Each case is a real child process, as in a comparison. The vectors are the workloads' definitions computed here a second
//! time, in the plainest way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bench_harness::host::{Child, ChildError, Interrupt, Launch, Limits, Stamps};
use bench_harness::placement::allowed_cpus;
use bench_harness::protocol::{ECHO_MESSAGE, Params, Prepare, RefusalKind, Run, checksum_text};
use contenders::workloads::{chain, mix, names};

const SEED: u64 = 42;

struct Vector {
    workload: &'static str,
    params: Vec<(&'static str, u64)>,
    ops: u64,
    checksum: u64,
}

fn sum(range: std::ops::Range<u64>, term: impl Fn(u64) -> u64) -> u64 {
    range.map(term).fold(0, u64::wrapping_add)
}

fn mixed_params(cpu_percent: u64) -> [(&'static str, u64); 5] {
    [("n", 20), ("connections", 2), ("rate_per_s", 9), ("cpu_percent", cpu_percent), ("slice_us", 200)]
}

fn vectors() -> Vec<Vector> {
    let vector = |workload, params: &[(&'static str, u64)], ops, checksum| {
        let params = params.to_vec();
        Vector { workload, params, ops, checksum }
    };
    let mixed = |count| sum(0..count, |index| mix(SEED, index));
    let turns = |count| (0..count).fold(SEED, |number, _| mix(number, 1));
    let chained = sum(0..1_000, |index| chain(mix(SEED, index), 4));
    vec![
        vector("spawn-join/one-by-one", &[("n", 7)], 7, mixed(7)),
        vector("spawn-join/batch", &[("n", 60)], 60, mixed(60)),
        vector("spawn-join/compute-10us", &[("n", 3), ("steps", 500)], 3, sum(0..3, |i| chain(mix(SEED, i), 500))),
        vector("spawn-join/compute-100us", &[("n", 2), ("steps", 9)], 2, sum(0..2, |i| chain(mix(SEED, i), 9))),
        vector("spawn-join/compute-1ms", &[("n", 1), ("steps", 10)], 1, chain(mix(SEED, 0), 10)),
        vector("spawn-join/sleep-1ms", &[("n", 2), ("sleep_us", 50)], 2, mixed(2)),
        vector("skynet", &[("levels", 2)], 111, mixed(100)),
        vector("yield/one", &[("n", 9)], 9, mixed(9)),
        vector("yield/many", &[("tasks", 20), ("n", 5)], 100, mixed(20)),
        vector("ping-pong/channel", &[("n", 11)], 11, turns(11)),
        vector("ping-pong/park", &[("n", 11)], 11, turns(22)),
        vector("ping-pong/pipe", &[("n", 6)], 6, sum(0..6, |i| u64::from((mix(SEED, i) as u8).wrapping_add(1)))),
        vector(
            "ping-pong/pipe-ballast",
            &[("n", 6), ("ballast_mib", 3)],
            6,
            sum(0..6, |i| u64::from((mix(SEED, i) as u8).wrapping_add(1))),
        ),
        vector("channel/one-to-one", &[("n", 50)], 50, mixed(50)),
        vector("channel/fan-in", &[("n", 50), ("units", 3)], 50, mixed(50)),
        vector("channel/fan-out", &[("n", 50), ("units", 3)], 50, mixed(50)),
        vector("channel/bounded", &[("n", 50), ("capacity", 4)], 50, mixed(50)),
        vector("channel/shared", &[("n", 50)], 50, mixed(50)),
        vector("mutex/uncontended", &[("n", 30)], 30, turns(30)),
        vector("mutex/waiters-8", &[("n", 30), ("units", 8)], 30, turns(30)),
        vector("mutex/waiters-64", &[("n", 30), ("units", 64)], 30, turns(30)),
        vector("timers/fire", &[("n", 40), ("span_ms", 5)], 40, mixed(40)),
        vector("timers/fire-late", &[("n", 40), ("span_ms", 5)], 40, mixed(40)),
        vector("timers/cancel", &[("n", 40)], 40, mixed(40)),
        vector("timers/cancel-earliest", &[("n", 40)], 40, mixed(40)),
        vector("tcp-echo/1", &[("n", 20), ("connections", 1)], 20, mixed(20)),
        vector("tcp-echo/100", &[("n", 20), ("connections", 2)], 20, mixed(20)),
        vector("tcp-echo/1000", &[("n", 20), ("connections", 3)], 20, mixed(20)),
        vector("tcp-echo/open-rate", &[("n", 20), ("connections", 2), ("rate_per_s", 9)], 20, mixed(20)),
        vector("tcp-echo/open-50", &[("n", 20), ("connections", 2), ("capacity_permille", 9)], 20, mixed(20)),
        vector("tcp-echo/open-80", &[("n", 20), ("connections", 2), ("capacity_permille", 9)], 20, mixed(20)),
        vector("offload/round-trip", &[("n", 7)], 7, mixed(7)),
        vector("blocked-loop", &[("period_us", 1_000), ("hog_ms", 4)], 10, sum(1..11, |tick| mix(SEED, tick))),
        vector("offload/ticker", &[("period_us", 1_000), ("hog_ms", 4)], 10, sum(1..11, |tick| mix(SEED, tick))),
        vector("fairness/sibling", &[("most_turns", 1_000)], 1, mix(SEED, 1)),
        vector("fairness/timer", &[("spin_ms", 3), ("due_ms", 1)], 1, mix(SEED, 1)),
        vector("fairness/pipe", &[("spin_ms", 3), ("due_ms", 1)], 1, mix(SEED, 1)),
        vector("panic/joined", &[], 1, mix(SEED, 1)),
        vector("panic/detached", &[], 1, mix(SEED, 1)),
        vector("cancel/pending", &[("n", 40)], 40, mixed(40)),
        vector("cancel/shutdown", &[("stuck_ms", 2)], 1, mix(SEED, 1)),
        vector("memory/pending", &[("n", 50)], 50, mix(SEED, 1)),
        vector("memory/sleeping", &[("n", 50)], 50, mix(SEED, 1)),
        vector("fork-join/sum", &[("len", 1_000), ("parts", 7)], 1, chained),
        vector("fork-join/fib", &[("n", 12), ("cutoff", 8)], 1, 144 + SEED),
        vector("oversubscription/sum", &[("len", 1_000), ("threads_per_core", 3)], 1, chained),
        vector(
            "oversubscription/wait",
            &[("len", 20), ("threads_per_core", 3), ("wait_us", 50)],
            1,
            sum(0..20, |index| chain(mix(SEED, index), 4)),
        ),
        vector("mixed/0", &mixed_params(0), 20, mixed(20)),
        vector("mixed/50", &mixed_params(50), 20, mixed(20)),
        vector("mixed/100", &mixed_params(100), 20, mixed(20)),
        vector("foreign-wake", &[("n", 9)], 9, turns(9)),
        vector("probe/cpu", &[("slowdown_permille", 30)], 1_000, chain(1, 20_000).wrapping_add(SEED)),
        vector("probe/alloc", &[("slowdown_permille", 0)], 1_000, sum(0..1_000, |i| 16 + mix(7, i) % 2_048) + SEED),
        vector("probe/thread", &[("slowdown_permille", 500)], 10, sum(0..10, |i| mix(7, i)).wrapping_add(SEED)),
        vector("probe/pipe", &[("slowdown_permille", 0)], 100, (0..100).sum::<u64>() + SEED),
        vector("probe/overhead", &[("slowdown_permille", 0)], 1_000, chain(1, 20_000).wrapping_add(SEED)),
    ]
}

/// Asks an echo server, one request after the other.
fn ask(address: &str, requests: u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for index in 0..requests {
        let mut message = [0; ECHO_MESSAGE];
        message[..8].copy_from_slice(&mix(SEED, index).to_le_bytes());
        message[8] = 1;
        stream.write_all(&message).unwrap();
        let mut answer = [0; ECHO_MESSAGE];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, message);
    }
}

fn runtimes() -> Vec<&'static str> {
    contenders::runtimes::runtimes().iter().map(|runtime| runtime.name).collect()
}

fn start(runtime: &str, cpus: &[usize]) -> Child {
    let launch = Launch { program: env!("CARGO_BIN_EXE_contenders").into(), args: vec![runtime.to_owned()] };
    let limits = Limits { block: Duration::from_mins(1), ..Limits::default() };
    Child::start(&launch, cpus, limits, &Interrupt::default()).unwrap()
}

/// Has every runtime do every workload on `cpus`; tells how many cells did and how many refused.
fn check_all(cpus: &[usize]) -> (u32, u32) {
    let (mut did, mut refused) = (0, 0);
    for runtime in runtimes() {
        for vector in vectors() {
            let case = format!("{runtime} on {} with CPUs {cpus:?}", vector.workload);
            let mut child = start(runtime, cpus);
            let claimed = child.hello().workloads.iter().any(|name| name == vector.workload);
            let params =
                Params(vector.params.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect());
            let listen = match child.prepare(&Prepare { workload: vector.workload.to_owned(), params, seed: SEED }) {
                Ok(ready) => {
                    assert!(claimed, "{case}: does what its hello does not claim");
                    ready.listen
                }
                Err(ChildError::Refused(refusal)) => {
                    assert_eq!(refusal.kind, RefusalKind::Unsupported, "{case}: {refusal}");
                    assert!(!claimed, "{case}: claimed in hello, then refused: {refusal}");
                    assert!(refusal.message.len() > 10, "{case}: {refusal}");
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{case}: {error}"),
            };
            did += 1;
            // Units that wait for ever are made once in a process.
            let once = vector.workload.starts_with("memory/");
            for iters in if once { vec![1] } else { vec![1, 3] } {
                let request = Run { block: iters, iters };
                let ran = match &listen {
                    None => child.run(request),
                    Some(address) => child
                        .run_loaded(request, || {
                            ask(address, iters * vector.ops);
                            Ok(())
                        })
                        .map(|(done, stamps, ())| (done, stamps)),
                };
                let (done, stamps) = ran.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(stamps, Stamps::Fit, "{case}");
                assert_eq!(done.ops, iters * vector.ops, "{case}: operations");
                assert_eq!(done.checksum, checksum_text(vector.checksum), "{case}: checksum");
                if matches!(vector.workload, "blocked-loop" | "offload/ticker") {
                    let ticks: u64 = done.latency.iter().flatten().map(|(_, count)| count).sum();
                    assert_eq!(ticks, done.ops, "{case}: one latency a tick");
                    assert!(done.values["worst_lateness_ns"] >= 1.0, "{case}");
                }
            }
            child.end();
        }
    }
    (did, refused)
}

#[test]
fn every_workload_has_a_vector() {
    let known: Vec<&str> = vectors().iter().map(|vector| vector.workload).collect();
    assert_eq!(known, names());
}

#[test]
fn free() {
    let (did, refused) = check_all(&allowed_cpus().unwrap());
    // The counts keep a workload from being refused by everyone unseen.
    assert!(did >= 290 && refused >= 300, "{did} cells did their work, {refused} refused");
}

#[test]
fn pinned_to_one_cpu() {
    let last = *allowed_cpus().unwrap().last().unwrap();
    let (did, _) = check_all(&[last]);
    assert!(did >= 280, "{did} cells did their work");
}

#[test]
fn parameters_that_make_no_sense_are_refused_with_key_and_range() {
    let cpus = allowed_cpus().unwrap();
    for runtime in ["tokio-ct", "thread", "floor"] {
        let mut child = start(runtime, &cpus);
        let request = Prepare { workload: "yield/one".to_owned(), params: Params::from([("n", 0)]), seed: 1 };
        let Err(ChildError::Refused(refusal)) = child.prepare(&request) else { panic!("{runtime} took n = 0") };
        assert_eq!(refusal.kind, RefusalKind::BadParams);
        assert!(refusal.message.contains("`n` is 0"), "{refusal}");
    }
}

#[test]
fn a_slowed_probe_does_more_work_for_the_same_operations() {
    let cpus = allowed_cpus().unwrap();
    let cpu_ns = |slowdown: u64| {
        let mut child = start("probe", &cpus);
        let params = Params::from([("slowdown_permille", slowdown)]);
        child.prepare(&Prepare { workload: "probe/cpu".to_owned(), params, seed: 1 }).unwrap();
        let blocks = (0..5).map(|block| child.run(Run { block, iters: 200 }).unwrap().0.cpu_ns_per_op().unwrap());
        blocks.fold(f64::INFINITY, f64::min)
    };
    let ratio = cpu_ns(1_000) / cpu_ns(0);
    assert!((1.6..2.5).contains(&ratio), "twice the work took {ratio} times the CPU time");
}
