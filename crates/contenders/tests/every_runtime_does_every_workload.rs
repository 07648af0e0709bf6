//! Every runtime does every workload it claims, comes to the same checksum as all others, and refuses the rest in a sentence.
//!
//! Each case is a real child process, as in a comparison, and what is looked at is what `cargo xtask contender check` looks at.

use bench_harness::host::{Child, ChildError, Interrupt, Launch, Limits};
use bench_harness::placement::allowed_cpus;
use bench_harness::protocol::{Params, Prepare, RefusalKind};
use contenders::workloads::names;
use experiments::check::{Outcome, check};
use experiments::vectors::{SEED, vectors};

fn runtimes() -> Vec<&'static str> {
    contenders::runtimes::runtimes().iter().map(|runtime| runtime.name).collect()
}

fn launch(runtime: &str) -> Launch {
    Launch { program: env!("CARGO_BIN_EXE_contenders").into(), args: vec![runtime.to_owned()] }
}

fn start(runtime: &str, cpus: &[usize]) -> Child {
    Child::start(&launch(runtime), cpus, Limits::default(), &Interrupt::default()).unwrap()
}

/// Has every runtime do every workload on `cpus`; tells how many cells did and how many refused.
fn check_all(cpus: &[usize]) -> (usize, usize) {
    let (mut did, mut refused) = (0, 0);
    for runtime in runtimes() {
        let checked = check(&launch(runtime), cpus, &Interrupt::default(), &mut |_| ()).unwrap();
        let claimed = checked.hello.as_ref().map_or(&[][..], |hello| &hello.workloads);
        let wrong: Vec<_> =
            checked.findings.iter().filter(|finding| !matches!(finding.outcome, Outcome::Right(_))).collect();
        assert!(wrong.is_empty(), "{runtime} with CPUs {cpus:?}: {wrong:#?}");
        did += claimed.len();
        for vector in vectors().into_iter().filter(|vector| !claimed.iter().any(|name| name == vector.workload)) {
            let case = format!("{runtime} on {} with CPUs {cpus:?}", vector.workload);
            let request = Prepare { workload: vector.workload.to_owned(), params: vector.params, seed: SEED };
            let Err(ChildError::Refused(refusal)) = start(runtime, cpus).prepare(&request) else {
                panic!("{case}: does what its hello does not claim")
            };
            assert_eq!(refusal.kind, RefusalKind::Unsupported, "{case}: {refusal}");
            assert!(refusal.message.len() > 10, "{case}: {refusal}");
            refused += 1;
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
