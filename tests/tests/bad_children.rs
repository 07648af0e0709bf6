//! A child may lie, flood, send garbage, exit or hang: its cell says so in a sentence, and the rest goes on.

use std::time::{Duration, Instant};

use bench_harness::host::{Interrupt, Launch, Limits};
use bench_harness::placement::Placement;
use bench_harness::plan::{Effort, Entry, Plan, WALL};
use bench_harness::protocol::Params;
use bench_harness::report::{Comparison, Kind, Report, Status};
use bench_harness::session::Session;
use bench_harness::stats::Looks;

fn launch(mode: &str) -> Launch {
    Launch { program: env!("CARGO_BIN_EXE_fixture-contender").into(), args: vec![mode.to_owned()] }
}

fn plan(modes: &[&str]) -> Plan {
    let entry = |mode: &&str| Entry { name: (*mode).to_owned(), launch: launch(mode), params: Vec::new() };
    Plan {
        workload: "spin".to_owned(),
        summary: String::new(),
        topic: String::new(),
        kind: Kind::Rate,
        params: Params::from([("units", 1000)]),
        placement: Placement::Free,
        operation: "unit".to_owned(),
        metric: WALL.to_owned(),
        reference: modes[0].to_owned(),
        with_twin: true,
        margin: 0.01,
        sizes: Vec::new(),
        entries: modes.iter().map(entry).collect(),
    }
}

/// Two rounds of small blocks, with little patience.
fn effort() -> Effort {
    let second = Duration::from_secs(1);
    Effort {
        looks: Looks { rounds: vec![2], error: 0.05 },
        block: Duration::from_micros(200),
        watch: false,
        limits: Limits { hello: 5 * second, prepare: 5 * second, block: second },
        ..Effort::standard()
    }
}

fn session(plan: Plan) -> Session {
    Session::new(vec![plan], effort(), 1, "test".to_owned(), Interrupt::default())
}

/// Compares an honest contender with a broken one.
fn beside_honest(mode: &str) -> Comparison {
    let report = session(plan(&["honest", mode])).run(&[], &mut |_| {});
    report.comparisons.into_iter().next().unwrap()
}

#[track_caller]
fn assert_failed(mode: &str, sentence: &str) {
    let comparison = beside_honest(mode);
    let row = comparison.contender(mode).unwrap();
    let reason = row.reason.clone().unwrap_or_default();
    assert_eq!(row.status, Status::Failed, "{reason}");
    assert!(reason.contains(sentence), "{reason:?} should say {sentence:?}");
    assert!(row.per_op.is_none() && row.ratio.is_empty(), "no figures of a contender that failed");
    let honest = comparison.contender("honest").unwrap();
    assert_eq!(honest.status, Status::Ok);
    assert!(honest.per_op.is_some(), "the rest has to go on");
}

#[test]
fn one_that_exits_is_named_with_its_code_and_last_words() {
    assert_failed("exit", "ended (exit code 9) instead of answering `run`; its last words: the fixture has had enough");
}

#[test]
fn one_that_panics_is_named_with_its_code() {
    assert_failed("panic", "ended (exit code 101) instead of answering `run`; its last words: the fixture panics");
}

#[test]
fn one_that_hangs_is_ended_after_the_limit() {
    let begin = Instant::now();
    assert_failed("hang", "did not answer `run` within 1s and was ended");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn one_that_never_says_hello_is_ended() {
    assert_failed("silent", "did not answer `hello` within 5s");
}

#[test]
fn garbage_is_quoted() {
    assert_failed(
        "garbage",
        "answered `run` with something that is not the protocol: “Traceback (most recent call last):”",
    );
}

#[test]
fn a_flood_is_cut_off() {
    assert_failed("flood", "a line longer than 4194304 bytes");
}

#[test]
fn talking_out_of_turn_is_not_taken_for_an_answer() {
    assert_failed("talkative", "spoke without being asked: “{\\\"ready\\\":{}}");
}

#[test]
fn another_protocol_or_clock_is_refused_at_hello() {
    assert_failed("old-protocol", "speaks protocol 7, this host speaks 0");
    assert_failed("other-clock", "stamps with CLOCK_REALTIME");
}

#[test]
fn claims_that_cannot_be_are_refused() {
    assert_failed("other-block", "answered for block 99");
    assert_failed("bad-checksum", "16 lower-case hex digits");
    assert_failed("huge-integer", "beyond 2^53");
}

#[test]
fn much_on_stderr_does_not_block_anybody() {
    let comparison = beside_honest("chatty");
    assert_eq!(comparison.contender("chatty").unwrap().status, Status::Ok);
}

#[test]
fn no_such_thing_is_said_in_the_contenders_words() {
    let comparison = beside_honest("unsupported");
    let row = comparison.contender("unsupported").unwrap();
    assert_eq!((row.status, row.reason.as_deref()), (Status::Unsupported, Some("fixtures don't spin")));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let mut plan = plan(&["honest", "missing"]);
    plan.entries[1].launch.program = "/nonexistent/contender".into();
    let report = session(plan).run(&[], &mut |_| {});
    let row = report.comparisons[0].contender("missing").unwrap().clone();
    assert_eq!(row.status, Status::Failed);
    assert!(row.reason.unwrap().contains("could not be started: /nonexistent/contender"));
}

#[test]
fn other_work_stops_the_comparison_before_a_number_is_out() {
    for (mode, what) in [("wrong-checksum", "checksum"), ("wrong-ops", "operations")] {
        let comparison = beside_honest(mode);
        let error = comparison.error.clone().unwrap_or_default();
        assert!(error.contains(what) && error.contains("not the same work"), "{error:?}");
        for row in &comparison.contenders {
            assert!(row.per_op.is_none() && row.ratio.is_empty(), "{row:?}");
        }
    }
}

#[test]
fn stamps_outside_the_hosts_own_void_the_block_and_then_the_contender() {
    let comparison = beside_honest("stale-stamps");
    let row = comparison.contender("stale-stamps").unwrap();
    assert!(row.per_op.is_none(), "{row:?}");
}

#[test]
fn a_reference_that_fails_leaves_the_others_figures_without_ratios() {
    let report = session(plan(&["exit", "honest"])).run(&[], &mut |_| {});
    let comparison = &report.comparisons[0];
    assert_eq!(comparison.contender("exit").unwrap().status, Status::Failed);
    let honest = comparison.contender("honest").unwrap();
    assert!(honest.per_op.is_some() && honest.ratio.is_empty());
}

#[test]
fn one_that_computes_between_its_blocks_is_found_out_and_those_it_disturbs_are_not() {
    // Long blocks: it rests while the other and its twin have theirs.
    let effort = Effort { block: Duration::from_millis(60), ..effort() };
    let session = Session::new(vec![plan(&["honest", "restless"])], effort, 1, "test".to_owned(), Interrupt::default());
    let report = session.run(&[], &mut |_| {});
    let row = report.comparisons[0].contender("restless").unwrap();
    assert_eq!(row.status, Status::Failed, "{:?}", row.reason);
    assert!(
        row.reason.as_deref().unwrap_or_default().contains("in which it was asked for nothing"),
        "{:?}",
        row.reason
    );
    assert_eq!(report.comparisons[0].contender("honest").unwrap().status, Status::Ok);
}

#[test]
fn what_a_child_leaves_behind_is_ended_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut plan = plan(&["honest", "orphan"]);
    plan.entries[1].launch = Launch {
        program: "/usr/bin/env".into(),
        args: vec![
            format!("FIXTURE_ORPHAN_PID={}", file.display()),
            env!("CARGO_BIN_EXE_fixture-contender").to_owned(),
            "orphan".to_owned(),
        ],
    };
    let report = session(plan).run(&[], &mut |_| {});
    assert_eq!(report.comparisons[0].contender("orphan").unwrap().status, Status::Ok);
    let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    // It is killed with the group; whoever inherited it may take a moment to collect it.
    let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => true,
        Ok(stat) => stat.contains(") Z "),
    };
    let begin = Instant::now();
    while !gone() && begin.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(gone(), "process {pid} outlived its contender");
}

#[test]
fn an_interrupt_keeps_what_was_measured_and_a_resumed_session_goes_on_as_the_whole_would_have() {
    let orders = |report: &Report| -> Vec<Vec<String>> {
        let rounds = report.comparisons[0].rounds.iter();
        rounds.flat_map(|round| round.blocks.iter().map(|block| block.order.clone())).collect()
    };
    let more_rounds = || Effort { looks: Looks { rounds: vec![6], error: 0.05 }, ..effort() };
    let start = |interrupt: &Interrupt| {
        Session::new(vec![plan(&["honest", "slow"])], more_rounds(), 3, "test".to_owned(), interrupt.clone())
    };
    let whole = start(&Interrupt::default()).run(&[], &mut |_| {});
    assert!(!whole.partial);

    let interrupt = Interrupt::default();
    let cut = start(&interrupt).run(&[], &mut |progress| {
        if progress.rounds >= 2 {
            interrupt.set();
        }
    });
    assert!(cut.partial);
    let done = cut.comparisons[0].rounds.len();
    assert!((2..6).contains(&done), "{done} rounds");

    // Through JSON, as from a file.
    let cut = Report::parse(&serde_json::to_string(&cut).unwrap()).unwrap();
    let resumed = start(&Interrupt::default()).resume(cut).unwrap().run(&[], &mut |_| {});
    assert!(!resumed.partial);
    assert_eq!(resumed.comparisons[0].valid_rounds().count(), 6);
    let shared = orders(&whole).len().min(orders(&resumed).len());
    assert_eq!(orders(&resumed)[..shared], orders(&whole)[..shared], "the seed fixes the orders, resumed or not");
    assert!(resumed.comparisons[0].contender("slow").unwrap().ratio.contains_key(WALL));
}

#[test]
fn a_report_of_another_session_is_not_gone_on_with() {
    let interrupt = Interrupt::default();
    interrupt.set();
    let cut = session(plan(&["honest", "slow"])).run(&[], &mut |_| {});
    let refusal = |report: Report, plan: Plan| session(plan).resume(report).unwrap_err().to_string();
    let partial = Report { partial: true, ..cut.clone() };
    assert!(refusal(cut, plan(&["honest", "slow"])).contains("it is complete"));
    assert!(refusal(partial.clone(), plan(&["honest", "chatty"])).contains("other contenders"));
    let elsewhere = Report { seed: 99, ..partial.clone() };
    assert!(refusal(elsewhere, plan(&["honest", "slow"])).contains("the seed was 99, now it is 1"));
    let endless = Report { measured_s: 1e300, ..partial.clone() };
    assert!(refusal(endless, plan(&["honest", "slow"])).contains("it claims to have measured for 1"));
    let mut machine = partial;
    machine.machine.kernel = "Linux 2.4".to_owned();
    assert!(refusal(machine, plan(&["honest", "slow"])).contains("the machine was"));
}

#[test]
fn a_report_with_impossible_blocks_is_refused_not_computed_with() {
    let report = session(plan(&["honest", "slow"])).run(&[], &mut |_| {});
    let whole = serde_json::to_value(&report).unwrap();
    for (key, value) in [("iters", 0), ("ops", 0), ("t1_ns", 1)] {
        let mut broken = whole.clone();
        broken["comparisons"][0]["rounds"][0]["blocks"][0]["done"]["honest"][key] = value.into();
        let refusal = Report::parse(&broken.to_string()).unwrap_err().to_string();
        assert!(refusal.contains("can't be") && refusal.contains("spin · free, round 1, honest"), "{refusal}");
    }
}
