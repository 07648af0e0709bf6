//! From raw blocks to figures, headlines, verdicts and changes, on rounds whose true answers are known.

use std::collections::BTreeMap;

use bench_harness::analysis::{analyse, analyse_all, noise};
use bench_harness::change::changes;
use bench_harness::claim::{Claim, Leg, judge_all};
use bench_harness::machine::Machine;
use bench_harness::placement::Placement;
use bench_harness::plan::{CPU, WALL};
use bench_harness::protocol::{Done, Params, Usage, checksum_text};
use bench_harness::report::{Block, Comparison, ContenderResult, Kind, Report, Round, SCHEMA, Verdict};
use bench_harness::rng::SplitMix64;
use bench_harness::stats::Looks;

const OPS: u64 = 1_000;

/// A contender and the time of its operations: ns, and how much that scatters.
#[derive(Clone, Copy)]
struct Truth(&'static str, f64, f64);

fn done(wall_ns: f64, values: &[(&str, f64)]) -> Done {
    let wall_ns = wall_ns.round() as u64;
    Done {
        block: 1,
        iters: 1,
        t0_ns: 1_000,
        t1_ns: 1_000 + wall_ns,
        ops: OPS,
        checksum: checksum_text(1),
        // Half the time on a core.
        usage: Usage { user_ns: Some(wall_ns / 2), system_ns: Some(0), ..Usage::default() },
        latency: None,
        values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
    }
}

/// A comparison of `truths`, the first of them the reference, its twin included. A round's pace is common to all.
fn comparison(truths: &[Truth], rounds: u32, seed: u64) -> Comparison {
    let mut rng = SplitMix64::new(seed);
    let reference = truths[0];
    let twin = format!("{}#twin", reference.0);
    let round = |number| {
        let pace = 1.0 + rng.unit();
        let mut time = |truth: &Truth| {
            let ns = truth.1 * OPS as f64 * pace * (1.0 + truth.2 * (rng.unit() - 0.5));
            done(ns, &[])
        };
        let mut block = || {
            let mut all: BTreeMap<String, Done> =
                truths.iter().map(|truth| (truth.0.to_owned(), time(truth))).collect();
            all.insert(twin.clone(), time(&reference));
            Block { order: all.keys().cloned().collect(), done: all, void: BTreeMap::new() }
        };
        let blocks = (0..4).map(|_| block()).collect();
        Round { round: number, void: None, startup_ns: BTreeMap::new(), not_flat: Vec::new(), blocks }
    };
    let rounds: Vec<Round> = (1..=rounds).map(round).collect();
    let mut comparison = Comparison {
        workload: "work".to_owned(),
        summary: String::new(),
        topic: String::new(),
        kind: Kind::Rate,
        params: Params::default(),
        placement: Placement::Pinned,
        operation: "unit".to_owned(),
        metric: WALL.to_owned(),
        reference: reference.0.to_owned(),
        margin: 0.01,
        looks: Some(Looks::default()),
        error: None,
        between_round_share: None,
        twin: None,
        headline: None,
        note: None,
        contenders: truths.iter().map(|truth| ContenderResult::unmeasured(truth.0)).collect(),
        rounds,
    };
    analyse(&mut comparison);
    comparison
}

#[test]
fn a_quantile_of_the_latencies_is_compared_where_there_are_enough_of_them() {
    let mut comparison = comparison(&[Truth("base", 10.0, 0.0), Truth("twice", 20.0, 0.0)], 8, 1);
    comparison.metric = "p90_ns".to_owned();
    let blocks = comparison.rounds.iter_mut().flat_map(|round| &mut round.blocks);
    for (name, done) in blocks.flat_map(|block| &mut block.done) {
        let ns = if name == "twice" { 200 } else { 100 };
        done.latency = Some(vec![(1, 89), (ns, 11)]);
    }
    analyse(&mut comparison);
    let row = comparison.contender("twice").unwrap();
    assert_eq!((row.values["p90_ns"].median, row.ratio["p90_ns"].estimate.round()), (200.0, 2.0));
    // For a p99 it takes 1,000.
    comparison.metric = "p99_ns".to_owned();
    analyse(&mut comparison);
    let row = comparison.contender("twice").unwrap();
    assert!(!row.values.contains_key("p99_ns") && !row.ratio.contains_key("p99_ns"));
}

fn report(comparison: Comparison) -> Report {
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        partial: false,
        seed: 1,
        effort: "default".to_owned(),
        began_unix: 0,
        measured_s: 1.0,
        command: "test".to_owned(),
        machine: Machine::default(),
        noise: noise(&[]),
        comparisons: vec![comparison],
        claims: Vec::new(),
    };
    analyse_all(&mut report);
    report
}

fn claim(id: &str, contender: &str, at_least: Option<f64>, at_most: Option<f64>) -> Claim {
    let leg = Leg {
        label: id.to_owned(),
        workload: "work".to_owned(),
        placement: Placement::Pinned,
        metric: WALL.to_owned(),
        contender: contender.to_owned(),
        versus: Some("base".to_owned()),
        at_least,
        at_most,
    };
    Claim { id: id.to_owned(), text: id.to_owned(), source: String::new(), note: String::new(), legs: vec![leg] }
}

const BASE: Truth = Truth("base", 100.0, 0.02);

#[test]
fn a_ratio_holds_the_truth_though_every_round_has_its_own_pace() {
    let comparison = comparison(&[BASE, Truth("slow", 150.0, 0.02)], 16, 1);
    let slow = comparison.contender("slow").unwrap();
    for metric in [WALL, CPU] {
        let ratio = slow.ratio[metric];
        assert!(ratio.low < 1.5 && 1.5 < ratio.high && ratio.high / ratio.low < 1.03, "{metric}: {ratio:?}");
        assert!(ratio.decided && ratio.rounds == 16);
    }
    assert!(comparison.contender("base").unwrap().ratio.is_empty(), "the reference has no ratio to itself");
    let twin = comparison.twin.unwrap();
    assert!(twin.low < 1.0 && 1.0 < twin.high, "{twin:?}");
}

#[test]
fn the_floors_multiple_and_the_headline_leave_the_floor_itself_aside() {
    let comparison = comparison(&[BASE, Truth("floor", 10.0, 0.02), Truth("fast", 50.0, 0.02)], 16, 2);
    let multiple = comparison.contender("fast").unwrap().floor_multiple.unwrap();
    assert!((4.9..5.1).contains(&multiple), "{multiple}");
    let headline = comparison.headline.unwrap();
    assert_eq!((headline.leader.as_str(), headline.others, headline.open.len()), ("fast", 1, 0));
    assert_eq!(headline.text, "fast is fastest, certain against base");
}

#[test]
fn below_six_rounds_there_is_no_interval_and_nobody_is_certainly_ahead() {
    let few = comparison(&[BASE, Truth("slow", 150.0, 0.02)], 5, 3);
    assert!(few.contender("slow").unwrap().ratio.is_empty());
    assert!(few.contender("slow").unwrap().per_op.is_some(), "what was measured is shown all the same");
    let field = [BASE, Truth("a", 200.0, 0.02), Truth("b", 300.0, 0.02)];
    let five = comparison(&field, 5, 3).headline.unwrap();
    assert_eq!(five.text, "base is ahead, but 5 rounds are too few to be sure of it");
    let eight = comparison(&field, 8, 3).headline.unwrap();
    assert!(eight.open.is_empty(), "{eight:?}");
}

/// However many are equally good and however much they scatter, one of them is called the best with certainty in at most 5 % of
/// the runs (the limit here is 3 standard deviations above).
#[test]
fn among_equals_nobody_is_certainly_the_best() {
    const TRIES: u32 = 400;
    for equals in [2, 3, 6, 12] {
        for scatter in [[0.05, 0.05], [0.01, 0.20]] {
            let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
            let mut field: Vec<Truth> = vec![Truth("last", 500.0, 0.05)];
            let of = |(index, name): (usize, &&'static str)| Truth(name, 100.0, scatter[index % 2]);
            field.extend(names[..equals].iter().enumerate().map(of));
            let certain = (0..TRIES).filter(|&seed| {
                let mut tried = comparison(&field, 8, u64::from(seed) + 1_000);
                tried.looks = None;
                analyse(&mut tried);
                tried.headline.unwrap().open.is_empty()
            });
            let share = certain.count() as f64 / f64::from(TRIES);
            assert!(share <= 0.05 + 3.0 * (0.05 * 0.95 / f64::from(TRIES)).sqrt(), "{equals} equals: {share}");
        }
    }
}

#[test]
fn undecided_says_how_many_more_rounds() {
    let comparison = comparison(&[BASE, Truth("near", 103.0, 0.6)], 8, 4);
    let ratio = comparison.contender("near").unwrap().ratio[WALL];
    assert!(!ratio.decided && ratio.needs_rounds.is_some_and(|more| more > 0), "{ratio:?}");
}

#[test]
fn void_rounds_do_not_count() {
    let mut comparison = comparison(&[BASE, Truth("slow", 150.0, 0.02)], 16, 5);
    for round in &mut comparison.rounds[..10] {
        round.void = Some("others were busy".to_owned());
    }
    analyse(&mut comparison);
    let slow = comparison.contender("slow").unwrap();
    assert!(slow.ratio.is_empty() || slow.ratio[WALL].rounds == 6, "{slow:?}");
    assert_eq!(report(comparison).noise.void_rounds, 10);
}

#[test]
fn a_twin_that_differs_is_counted_as_a_false_alarm_and_the_grade_follows_the_width() {
    let quiet = comparison(&[Truth("base", 100.0, 0.002), Truth("other", 100.0, 0.002)], 16, 6);
    let mut broken = quiet.clone();
    for done in
        broken.rounds.iter_mut().flat_map(|round| &mut round.blocks).filter_map(|block| block.done.get_mut("base#twin"))
    {
        done.t1_ns = done.t0_ns + (done.t1_ns - done.t0_ns) * 11 / 10;
    }
    analyse(&mut broken);
    let noise = noise(&[quiet, broken]);
    assert_eq!((noise.aa_flagged, noise.aa_total, noise.grade.as_str()), (1, 2, "A"));
}

#[test]
fn verdicts_follow_the_interval_and_the_bound() {
    let report = report(comparison(&[BASE, Truth("slow", 150.0, 0.02), Truth("near", 103.0, 0.6)], 16, 7));
    let claims = [
        claim("slower", "slow", Some(1.0), None),
        claim("about the same", "slow", Some(0.9), Some(1.1)),
        claim("near", "near", Some(1.03), None),
        claim("absent", "nobody", Some(1.0), None),
    ];
    let results = judge_all(&claims, &report);
    let verdicts: Vec<Verdict> = results.iter().map(|result| result.verdict).collect();
    assert_eq!(verdicts, [Verdict::Confirmed, Verdict::Refuted, Verdict::Inconclusive, Verdict::Skipped]);
    assert!(
        results[0].why.starts_with("slower: 1.5") || results[0].why.starts_with("slower: 1.49"),
        "{}",
        results[0].why
    );
    assert!(results[3].why.contains("nobody did not take part"), "{}", results[3].why);
    assert!(results[0].adjusted_p.unwrap() < 0.01 && results[2].adjusted_p.is_none());
}

#[test]
fn one_refuted_leg_refutes_the_claim_and_says_where_it_holds() {
    let report = report(comparison(&[BASE, Truth("slow", 150.0, 0.02)], 16, 8));
    let mut both = claim("slower", "slow", Some(1.0), None);
    both.legs.push(claim("twice as slow", "slow", Some(2.0), None).legs.remove(0));
    let result = &judge_all(&[both], &report)[0];
    assert_eq!(result.verdict, Verdict::Refuted);
    assert!(result.why.contains("twice as slow: 1.") && result.why.ends_with("it holds for slower"), "{}", result.why);
}

#[test]
fn many_weak_claims_together_are_not_confirmed() {
    // Eight rounds at the first of three looks carry p = 3/256 at best; alone that is enough, but not for a leg among many that
    // have nothing to show.
    let report = report(comparison(&[BASE, Truth("slow", 150.0, 0.02)], 8, 9));
    let alone = judge_all(&[claim("slower", "slow", Some(1.0), None)], &report);
    assert_eq!(alone[0].verdict, Verdict::Confirmed);
    assert!(alone[0].adjusted_p.unwrap() > 0.01, "{:?}", alone[0].adjusted_p);
}

#[test]
fn contenders_with_an_error_between_them_have_no_figures() {
    let mut comparison = comparison(&[BASE, Truth("slow", 150.0, 0.02)], 16, 10);
    comparison.error = Some("not the same work".to_owned());
    analyse(&mut comparison);
    assert!(comparison.contenders.iter().all(|row| row.per_op.is_none() && row.ratio.is_empty()));
    assert!(comparison.twin.is_none() && comparison.headline.is_none());
}

#[test]
fn bytes_per_unit_are_the_slope_over_sizes_whatever_the_process_needs_anyway() {
    let mut comparison = comparison(&[BASE], 3, 11);
    comparison.kind = Kind::Memory;
    "bytes".clone_into(&mut comparison.metric);
    for round in &mut comparison.rounds {
        for (block, size) in round.blocks.iter_mut().zip([1_000, 2_000, 4_000, 8_000]) {
            let done = block.done.get_mut("base").unwrap();
            done.ops = size;
            done.values.insert("bytes".to_owned(), 3e6 + 328.0 * size as f64);
        }
    }
    analyse(&mut comparison);
    let slope = comparison.contender("base").unwrap().values["bytes_per_unit"];
    assert!((slope.median - 328.0).abs() < 1e-6, "{slope:?}");
}

#[test]
fn a_change_is_found_though_the_machine_has_another_pace_and_no_change_is_not() {
    let old = report(comparison(&[BASE, Truth("a", 120.0, 0.02), Truth("b", 80.0, 0.02)], 16, 12));
    // Everything takes three times as long now; only `a` has become slower beyond that.
    let now = [Truth("base", 300.0, 0.02), Truth("a", 3.0 * 132.0, 0.02), Truth("b", 240.0, 0.02)];
    let found = changes(&old, &report(comparison(&now, 16, 13)));
    let by_name = |name: &str| found.changes.iter().find(|change| change.contender == name).unwrap();
    let (a, b) = (by_name("a"), by_name("b"));
    assert!(a.changed && a.low < 1.1 && 1.1 < a.high, "{a:?}");
    assert!(!b.changed && b.low < 1.0 && 1.0 < b.high, "{b:?}");
    let mut other = old.clone();
    "elsewhere".clone_into(&mut other.comparisons[0].workload);
    assert_eq!(changes(&other, &old).left_out, ["work · pinned: not in the old report"]);
}

#[test]
fn a_report_survives_json_and_gives_the_same_figures_again() {
    let first = report(comparison(&[BASE, Truth("slow", 150.0, 0.02)], 16, 14));
    let mut second = Report::parse(&serde_json::to_string(&first).unwrap()).unwrap();
    assert!(second == first, "the figures differ after a trip through JSON");
    for row in &mut second.comparisons[0].contenders {
        row.ratio.clear();
        row.per_op = None;
    }
    analyse_all(&mut second);
    assert!(second == first, "the figures differ after a trip through JSON");
}
