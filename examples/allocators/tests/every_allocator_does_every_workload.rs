//! Every program does every workload, comes to the test vectors' checksums, and refuses parameters that make no sense. Each case is a real
//! child process, as in a comparison.

use bench_harness::host::{Interrupt, Launch};
use bench_harness::placement::allowed_cpus;
use experiments::check::{Outcome, check};

const PROGRAMS: [(&str, &[&str], &str); 4] = [
    (env!("CARGO_BIN_EXE_free-glibc"), &[], "glibc"),
    (env!("CARGO_BIN_EXE_free-glibc"), &["--one-arena"], "glibc-one-arena"),
    (env!("CARGO_BIN_EXE_free-jemalloc"), &[], "jemalloc"),
    (env!("CARGO_BIN_EXE_free-mimalloc"), &[], "mimalloc"),
];

/// Looks at all that each program does on `cpus`.
fn check_all(cpus: &[usize]) {
    let workloads = experiments::experiments().into_iter();
    let workloads: Vec<&str> = workloads
        .filter(|experiment| experiment.program == experiments::Program::Allocators)
        .map(|experiment| experiment.workload)
        .collect();
    for (program, args, name) in PROGRAMS {
        let args = args.iter().map(|&word| word.to_owned()).collect();
        let checked = check(&Launch { program: program.into(), args }, cpus, &Interrupt::default(), &mut |_| ());
        let checked = checked.unwrap();
        let wrong: Vec<_> =
            checked.findings.iter().filter(|finding| !matches!(finding.outcome, Outcome::Right(_))).collect();
        assert!(wrong.is_empty(), "{name} with CPUs {cpus:?}: {wrong:#?}");
        let hello = checked.hello.unwrap();
        assert_eq!(hello.name, name);
        for workload in &workloads {
            assert!(hello.workloads.iter().any(|known| known == workload), "{name} has no {workload}");
        }
        assert_eq!(hello.workloads.len(), workloads.len());
    }
}

#[test]
fn free() {
    check_all(&allowed_cpus().unwrap());
}

#[test]
fn pinned_to_one_cpu() {
    check_all(&[*allowed_cpus().unwrap().last().unwrap()]);
}
