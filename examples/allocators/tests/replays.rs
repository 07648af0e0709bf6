//! A program's trace becomes a recording, and a recording is replayed; what can't be one is told, with what to do.

mod trace;

use std::path::Path;
use std::process::{Command, Output};

use allocators::replay::recording::{self, Call};
use allocators::replay::traced::{self, Traced};
use bench_harness::host::{Child, ChildError, Interrupt, Launch, Limits};
use bench_harness::placement::allowed_cpus;
use bench_harness::protocol::{Params, Prepare, RefusalKind, Run};
use experiments::REPLAY;
use trace::{Kind, Trace};

fn allocate(bytes: u64) -> Call {
    Call::Allocate { bytes }
}

fn traced(trace: &Trace) -> Traced {
    traced::calls(&trace.write().path().join("trace")).unwrap()
}

#[test]
fn calls_keep_their_order_and_what_was_resized_is_one_block() {
    let mut trace = Trace::default();
    // Blocks 1 to 4; 2 becomes 3 by `realloc`, 1 is freed just before `realloc` of nothing by another thread.
    let events = [(Kind::Malloc, 10), (Kind::Malloc, 20), (Kind::Free, 2), (Kind::Realloc, 300), (Kind::Free, 1)];
    trace.thread(1, 0, &events);
    trace.thread(5_000, 1, &[(Kind::Realloc, 7)]);
    let Traced { calls, blocks, resized, kept, threads, damaged, .. } = traced(&trace);
    let resize = Call::Resize { block: 1, bytes: 300 };
    assert_eq!(calls, [allocate(10), allocate(20), resize, Call::Free { block: 0 }, allocate(7)]);
    assert_eq!((blocks, resized, kept, threads, damaged), ((3, 3), 1, 2, 2, 0));
}

#[test]
fn a_block_that_seems_to_be_freed_before_it_is_there_does_not_stay() {
    let mut trace = Trace::default();
    trace.thread(1, 0, &[(Kind::Malloc, 10), (Kind::Free, 5_000)]);
    trace.thread(5_000, 1, &[(Kind::Malloc, 20), (Kind::Malloc, 30)]);
    let Traced { calls, kept, .. } = traced(&trace);
    assert_eq!(calls, [allocate(10), allocate(20), Call::Free { block: 1 }, allocate(30)]);
    assert_eq!(kept, 2);
}

#[test]
fn what_a_killed_program_left_is_replayed_without_what_can_not_be_read() {
    let mut trace = Trace::default();
    trace.thread(1, 0, &[(Kind::Malloc, 10), (Kind::Malloc, 20)]);
    let whole = trace.bytes.len();
    let found = traced(&trace);
    assert_eq!((found.calls.len(), found.damaged), (2, 0));
    trace.damage();
    trace.thread(5_000, 1, &[(Kind::Malloc, 30), (Kind::Malloc, 40)]);
    // After the first of these words the file ends.
    trace.bytes.truncate(whole + 160 + 48 + 8 * (5 + 6 + 1));
    let found = traced(&trace);
    assert_eq!((found.calls.len(), found.damaged), (3, 1));
    let said = found.sentence(30 << 20);
    assert!(
        said.contains("30.0 MiB live") && said.contains("3 never freed") && said.contains("can't be read"),
        "{said}"
    );
}

/// Runs the program that makes a recording of a trace.
fn converted(trace: &Path, to: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trace-to-replay")).args([trace, to]).output().unwrap()
}

#[test]
fn what_is_no_trace_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace");
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let output = converted(&file, &folder.path().join("recording"));
        assert_eq!(output.status.code(), Some(2));
        assert!(!folder.path().join("recording").exists());
        String::from_utf8(output.stderr).unwrap()
    };
    for foreign in [&b""[..], b"#!/bin/sh", &[0; 5_000]] {
        let said = refused(foreign);
        assert!(said.contains("no trace of alloc-trace") && said.contains("cargo xtask trace -o F"), "{said}");
    }
    let mut sampled = Trace::sampled(512 << 10);
    sampled.thread(1, 0, &[(Kind::Malloc, 10)]);
    let said = refused(&sampled.bytes);
    assert!(said.contains("sampled") && said.contains("without --sample"), "{said}");
    let said = refused(&Trace::default().bytes);
    assert!(said.contains("no block is allocated in it"), "{said}");
    let mut damaged = Trace::default();
    damaged.damage();
    let said = refused(&damaged.bytes);
    assert!(said.contains("no block of it can be read") && said.contains("no chunk"), "{said}");
    let said = String::from_utf8(converted(&folder.path().join("none"), &file).stderr).unwrap();
    assert!(said.contains("can't be read: No such file"), "{said}");
}

/// A program with a recording of a person's own, or none.
fn started(recording: Option<&Path>) -> Child {
    let more = recording.map(|path| ["--replay".to_owned(), path.display().to_string()]);
    let args = ["--one-arena".to_owned()].into_iter().chain(more.into_iter().flatten()).collect();
    let launch = Launch { program: env!("CARGO_BIN_EXE_free-glibc").into(), args };
    Child::start(&launch, &allowed_cpus().unwrap(), Limits::default(), &Interrupt::default()).unwrap()
}

/// What one replay of `n` blocks comes to: operations, and values' names.
fn replayed(child: &mut Child, workload: &str, n: u64) -> Result<(u64, Vec<String>), ChildError> {
    let params = Params::from([("n", n)]);
    child.prepare(&Prepare { workload: workload.to_owned(), params, seed: 42 })?;
    let (done, _) = child.run(Run { block: 1, iters: 1 })?;
    Ok((done.ops, done.values.into_keys().collect()))
}

#[test]
fn the_recordings_have_the_blocks_that_the_catalogue_asks_for_and_no_more() {
    let experiments = experiments::experiments();
    let replays = experiments.iter().filter(|experiment| experiment.workload.starts_with(REPLAY));
    let mut count = 0;
    for experiment in replays {
        let &[("n", n)] = experiment.params else { panic!("{:?}", experiment.params) };
        let (ops, values) = replayed(&mut started(None), experiment.workload, n).unwrap();
        assert_eq!(ops, n);
        assert_eq!(values, ["first_faults_per_1k", "left_resident_percent", "peak_resident_over_live"]);
        let more = replayed(&mut started(None), experiment.workload, n + 1);
        let Err(ChildError::Refused(refusal)) = more else { panic!("{more:?}") };
        assert_eq!(refusal.kind, RefusalKind::BadParams);
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn a_persons_own_trace_is_replayed() {
    let mut trace = Trace::default();
    // Larger than a page, grown, made smaller; one is never freed.
    let events = [
        (Kind::Malloc, 100_000),
        (Kind::Malloc, 0),
        (Kind::Free, 1),
        (Kind::Realloc, 1_000_000),
        (Kind::Free, 3),
        (Kind::Realloc, 50),
        (Kind::Free, 4),
    ];
    trace.thread(1, 0, &events);
    let folder = trace.write();
    let recording = folder.path().join("recording");
    let output = converted(&folder.path().join("trace"), &recording);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        "2\twhat `app --all` asked malloc for: 2 blocks, at most 1.0 MiB live, 2 calls that resize, 1 never freed\n"
    );
    let mut child = started(Some(&recording));
    assert!(child.hello().workloads.iter().any(|name| name == REPLAY));
    assert_eq!(replayed(&mut child, REPLAY, 2).unwrap().0, 2);
    // Who has none, has no such workload; and what is none is refused.
    let none = replayed(&mut started(None), REPLAY, 2);
    let Err(ChildError::Refused(refusal)) = none else { panic!("{none:?}") };
    assert_eq!(refusal.kind, RefusalKind::Unsupported);
    let foreign = replayed(&mut started(Some(&folder.path().join("trace"))), REPLAY, 2);
    let Err(ChildError::Refused(refusal)) = foreign else { panic!("{foreign:?}") };
    assert!(refusal.message.contains("no recording: `trace-to-replay` makes one"), "{refusal}");
}

#[test]
fn a_recording_is_no_larger_than_it_has_to_be() {
    let calls: Vec<Call> = (0..10_000).flat_map(|block| [allocate(48), Call::Free { block }]).collect();
    assert!(recording::write("", &calls).unwrap().bytes.len() < 1_000);
}
