//! `contender check` finds what is wrong with a contender, and nothing in one that is right.
//!
//! The right one is the example in Python; the wrong ones are the same with one line changed. Needs `python3`; skipped with a reason where
//! there is none, unless `LAB_REQUIRE` names `python`.

use std::path::Path;

use bench_harness::host::{Interrupt, Launch};
use bench_harness::placement::allowed_cpus;
use experiments::check::{Checked, Outcome, check};
use integration_tests::has;

const RIGHT: &str = include_str!("../contender.py");

fn checked(program: &Path) -> Checked {
    let launch = Launch { program: "python3".into(), args: vec![program.display().to_string()] };
    check(&launch, &allowed_cpus().unwrap(), &Interrupt::default(), &mut |_| ()).unwrap()
}

/// What is found wrong with the example when `line` in it reads `changed`.
fn wrong(line: &str, changed: &str) -> Vec<(String, String)> {
    assert!(RIGHT.contains(line), "the example has no {line:?} any more");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("contender.py");
    std::fs::write(&program, RIGHT.replace(line, changed)).unwrap();
    let findings = checked(&program).findings.into_iter();
    findings
        .filter_map(|finding| match finding.outcome {
            Outcome::Wrong(what) => Some((finding.about, what)),
            _ => None,
        })
        .collect()
}

#[test]
fn nothing_is_wrong_with_the_example() {
    if has("python", "python3") {
        let checked = checked(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/contender.py")));
        assert!(checked.is_right(), "{:#?}", checked.findings);
        let looked_at = |name| {
            checked.findings.iter().any(|finding| finding.about == name && matches!(finding.outcome, Outcome::Right(_)))
        };
        assert!(["hello", "yield/one", "idle", "bye"].into_iter().all(looked_at), "{:#?}", checked.findings);
    }
}

#[test]
fn what_is_wrong_is_found_and_nothing_else_is() {
    if !has("python", "python3") {
        return;
    }
    for (line, changed, about, says) in [
        (
            "total + mix(seed, index)",
            "total ^ mix(seed, index)",
            "yield/one",
            "one iteration comes to 1a7070371cbdf499, with n = 9, seed = 42",
        ),
        ("\"ops\": size * asked[\"iters\"]", "\"ops\": 3 * asked[\"iters\"]", "yield/one", "it has to be 9 in each"),
        ("\"t0_ns\": begin", "\"t0_ns\": 5", "yield/one", "do not lie within the host's"),
        ("    if not 1 <= wanted", "    if False and wanted", "senseless parameters", "has to be refused as BadParams"),
        ("return refuse(\"unsupported\"", "return refuse(\"failed\"", "a workload it has not", "refused as Failed"),
        ("if \"bye\" in request:\n        break", "if \"bye\" in request:\n        sys.exit(3)", "bye", "exit code 3"),
        (
            "for line in sys.stdin:",
            "end = time.time() + 1\nwhile time.time() < end:\n    pass\nfor line in sys.stdin:",
            "idle",
            "block in read",
        ),
        (
            "    say({\"done\"",
            "    import threading\n    threading.Thread(target=exec, args=(\"while True: pass\",), daemon=True).start()\n    say({\"done\"",
            "yield/one",
            "asked for nothing",
        ),
        ("CLOCK_MONOTONIC\", \"threads\"", "CLOCK_REALTIME\", \"threads\"", "hello", "CLOCK_MONOTONIC"),
        ("\"proto\": 0", "\"proto\": 7", "hello", "protocol"),
        ("\"listen\": None", "\"listen\": \"127.0.0.1:1\"", "yield/one", "it is no server"),
    ] {
        let wrong = wrong(line, changed);
        let [(seen, what)] = &wrong[..] else { panic!("{changed:?}: {wrong:#?}") };
        assert!(seen == about && what.contains(says), "{changed:?}: {wrong:#?}");
    }
}

#[test]
fn a_program_that_is_none_is_told_in_a_sentence() {
    let launch = Launch { program: "/no/such/program".into(), args: Vec::new() };
    let mut told = 0;
    let checked = check(&launch, &allowed_cpus().unwrap(), &Interrupt::default(), &mut |_| told += 1).unwrap();
    let Outcome::Wrong(what) = &checked.findings[0].outcome else { panic!("{checked:?}") };
    assert!(what.contains("could not be started"), "{what}");
    assert_eq!((told, checked.findings.len(), checked.is_right()), (1, 1, false));
}
