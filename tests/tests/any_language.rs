//! The protocol is for any language: a page of Python takes part beside a Rust one.
//!
//! Needs `python3`; skipped with a reason where there is none, unless `LAB_REQUIRE` names `python`.

use bench_harness::host::{Interrupt, Launch};
use bench_harness::placement::Placement;
use bench_harness::plan::{Effort, Entry, Plan, WALL};
use bench_harness::protocol::Params;
use bench_harness::report::{Kind, Status};
use bench_harness::session::Session;
use bench_harness::stats::Looks;
use integration_tests::has;

#[test]
fn a_python_contender_does_the_same_work_and_is_compared() {
    if !has("python", "python3") {
        return;
    }
    let entry = |name: &str, program: &str, word: &str| Entry {
        name: name.to_owned(),
        launch: Launch { program: program.into(), args: vec![word.to_owned()] },
        params: Vec::new(),
    };
    let plan = Plan {
        workload: "spin".to_owned(),
        summary: String::new(),
        topic: String::new(),
        kind: Kind::Rate,
        params: Params::from([("units", 100)]),
        placement: Placement::Free,
        operation: "unit".to_owned(),
        metric: WALL.to_owned(),
        reference: "rust".to_owned(),
        with_twin: true,
        margin: 0.01,
        sizes: Vec::new(),
        entries: vec![
            entry("rust", env!("CARGO_BIN_EXE_fixture-contender"), "honest"),
            entry("python", "python3", concat!(env!("CARGO_MANIFEST_DIR"), "/contender.py")),
        ],
    };
    let effort = Effort { looks: Looks { rounds: vec![6], error: 0.05 }, watch: false, ..Effort::quick() };
    let report = Session::new(vec![plan], effort, 1, "test".to_owned(), Interrupt::default()).run(&[], &mut |_| {});
    let comparison = &report.comparisons[0];
    assert_eq!(comparison.error, None, "the same work gives the same checksum in both languages");
    let python = comparison.contender("python").unwrap();
    assert_eq!((python.status, &python.reason), (Status::Ok, &None));
    assert!(python.version.starts_with("cpython 3"), "{}", python.version);
    assert!(python.per_op.is_some() && python.ratio.contains_key(WALL), "it has figures, beside the compiled loop's");
}
