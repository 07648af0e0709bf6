//! Reports made up by hand: one with everything a report can hold, one as large as they become.

use std::collections::BTreeMap;

use bench_harness::analysis::analyse_all;
use bench_harness::claim::{Claim, Leg, judge_all};
use bench_harness::machine::Machine;
use bench_harness::placement::Placement::{self, Free, Pinned};
use bench_harness::plan::{CPU, WALL};
use bench_harness::protocol::{Done, Params, Usage, checksum_text};
use bench_harness::report::{
    Block, ClaimResult, Comparison, ContenderResult, Kind, Noise, Report, Round, SCHEMA, Status, Verdict,
};
use bench_harness::rng::SplitMix64;
use bench_harness::stats::Looks;

/// Contenders with how many times as long as the first each takes.
pub(crate) type Field = [(&'static str, f64)];

/// A name that would be a program if it were not escaped.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>";

const FIELD: [(&str, f64); 14] = [
    ("tokio-ct", 1.0),
    ("tokio-mt", 1.004),
    ("async-std", 1.31),
    ("smol-local", 0.62),
    ("smol-mt", 0.63),
    ("thread", 128.0),
    ("thread-pool", 41.0),
    ("rayon", 3.2),
    ("process", 1_450.0),
    ("mini-local", 0.41),
    ("python-asyncio", 88.0),
    ("go", 1.9),
    ("thread@16x", 131.0),
    ("floor", 0.12),
];

/// What is asked for: a workload with its figure for the reference.
pub(crate) struct Spec {
    pub(crate) workload: &'static str,
    pub(crate) placement: Placement,
    pub(crate) rounds: u32,
    pub(crate) latencies: bool,
}

fn done(wall_ns: f64, ops: u64, values: BTreeMap<String, f64>) -> Done {
    let wall_ns = wall_ns.round().max(1.0) as u64;
    let usage = Usage {
        user_ns: Some(wall_ns * 7 / 10),
        system_ns: Some(wall_ns / 5),
        voluntary_switches: Some(wall_ns / 40_000),
        involuntary_switches: Some(1),
        minor_faults: Some(wall_ns / 900_000),
        peak_rss_bytes: Some(4_300_000),
        ..Usage::default()
    };
    Done {
        block: 1,
        iters: 1,
        t0_ns: 1_000,
        t1_ns: 1_000 + wall_ns,
        ops,
        checksum: checksum_text(1),
        usage,
        latency: None,
        values,
    }
}

fn round(number: u32, blocks: Vec<Block>) -> Round {
    Round { round: number, void: None, startup_ns: BTreeMap::new(), not_flat: Vec::new(), blocks }
}

fn block(done: BTreeMap<String, Done>) -> Block {
    Block { order: done.keys().cloned().collect(), done, void: BTreeMap::new() }
}

/// What a workload is about, as a catalogue says it; of some it doesn't.
fn topic(workload: &str) -> &'static str {
    match workload.split('/').next() {
        Some("spawn-join") => "Making units of work",
        Some("yield" | "ping-pong" | "channel" | "mutex" | "foreign-wake") => "Switching and handing over",
        Some("tcp-echo" | "memory" | "timers" | "mixed") => "Many connections and timers",
        Some("fork-join" | "oversubscription") => "CPU-bound work",
        Some("blocked-loop" | "fairness" | "panic" | "cancel" | "offload") => "When something goes wrong",
        _ => "",
    }
}

fn empty(workload: &str, placement: Placement, kind: Kind, metric: &str, field: &Field) -> Comparison {
    Comparison {
        workload: workload.to_owned(),
        summary: "units do this and that, again and again".to_owned(),
        topic: topic(workload).to_owned(),
        kind,
        params: Params::from([("n", 1_000), ("tasks", 25)]),
        placement,
        operation: "unit".to_owned(),
        metric: metric.to_owned(),
        reference: field[0].0.to_owned(),
        margin: 0.01,
        looks: (kind == Kind::Rate).then(Looks::default),
        error: None,
        between_round_share: None,
        twin: None,
        headline: None,
        note: None,
        contenders: field
            .iter()
            .map(|(name, _)| ContenderResult {
                version: "runtime 1.2.3".to_owned(),
                ..ContenderResult::unmeasured(name)
            })
            .collect(),
        rounds: Vec::new(),
    }
}

/// Everybody in the field, and the reference's twin.
fn with_twin(field: &Field) -> Vec<(String, f64)> {
    let twin = (format!("{}#twin", field[0].0), field[0].1);
    field.iter().map(|(name, factor)| ((*name).to_owned(), *factor)).chain([twin]).collect()
}

/// Times per operation: with noise, a drift, and a pace of its own in every round.
pub(crate) fn rate(spec: &Spec, field: &Field, seed: u64) -> Comparison {
    let mut rng = SplitMix64::new(seed);
    let mut comparison = empty(spec.workload, spec.placement, Kind::Rate, WALL, field);
    let everybody = with_twin(field);
    for number in 1..=spec.rounds {
        let pace = 1.0 + 0.1 * rng.unit() + 0.004 * f64::from(number);
        let mut one = || {
            let timed = everybody.iter().map(|(name, factor)| {
                let ns = 200.0 * factor * pace * (1.0 + 0.04 * (rng.unit() - 0.5));
                let mut done = done(ns * 1_000.0, 1_000, BTreeMap::new());
                done.latency = spec.latencies.then(|| latencies(ns, &mut rng));
                (name.clone(), done)
            });
            block(timed.collect())
        };
        let blocks = (0..4).map(|_| one()).collect();
        comparison.rounds.push(round(number, blocks));
    }
    comparison
}

/// A hundred or so latencies with a heavy tail, 20,000 events.
fn latencies(ns: f64, rng: &mut SplitMix64) -> Vec<(u64, u64)> {
    let at = |step: i32| (ns * 20.0 * (1.0 + 0.12 * f64::from(step) + 1.07_f64.powi(step))) as u64;
    (0..100).map(|step| (at(step), 1 + (2_000.0 * 0.9_f64.powi(step) * (0.5 + rng.unit())) as u64)).collect()
}

/// Something that happens at times: one value a trial.
fn event(field: &Field) -> Comparison {
    let mut rng = SplitMix64::new(5);
    let mut comparison = empty("blocked-loop", Free, Kind::Event, "worst_lateness_ns", field);
    for number in 1..=8 {
        let one = with_twin(field).into_iter().map(|(name, factor)| {
            let worst = 3e6 * factor.min(90.0) * (1.0 + 0.1 * rng.unit());
            let values = BTreeMap::from([("worst_lateness_ns".to_owned(), worst), ("ticks".to_owned(), 60.0)]);
            (name, done(3e8, 60, values))
        });
        comparison.rounds.push(round(number, vec![block(one.collect())]));
    }
    comparison
}

/// What happens at all.
fn behaviour() -> Comparison {
    let field = [("tokio-ct", 1.0), ("thread", 1.0), ("process", 0.0), ("rayon", 1.0)];
    let mut comparison = empty("panic/told", Pinned, Kind::Behaviour, "told", &field);
    for number in 1..=3 {
        let one = with_twin(&field).into_iter().map(|(name, told)| {
            let values = [("told", told), ("process_lives", 1.0 - told), ("sibling_after_yields", 12_345.0 * told)];
            (name, done(1e6, 1, values.map(|(name, value)| (name.to_owned(), value)).into()))
        });
        comparison.rounds.push(round(number, vec![block(one.collect())]));
    }
    refuse(&mut comparison, "rayon", Status::Unsupported, "rayon's jobs give no handle");
    comparison
}

/// Bytes at three sizes, one block each.
fn memory(field: &Field) -> Comparison {
    let mut rng = SplitMix64::new(6);
    let mut comparison = empty("memory/idle", Free, Kind::Memory, "bytes", field);
    for number in 1..=6 {
        let mut at = |units: u64| {
            let one = with_twin(field).into_iter().map(|(name, factor)| {
                let bytes = 3e6 + 330.0 * factor * units as f64 * (1.0 + 0.01 * rng.unit());
                (name, done(1e6, units, BTreeMap::from([("bytes".to_owned(), bytes)])))
            });
            block(one.collect())
        };
        comparison.rounds.push(round(number, [1_000, 10_000, 100_000].map(&mut at).into()));
    }
    comparison
}

fn refuse(comparison: &mut Comparison, name: &str, status: Status, reason: &str) {
    let row = comparison.contenders.iter_mut().find(|row| row.name == name).unwrap();
    (row.status, row.reason) = (status, Some(reason.to_owned()));
    for block in comparison.rounds.iter_mut().flat_map(|round| &mut round.blocks) {
        block.done.remove(name);
    }
}

fn report(comparisons: Vec<Comparison>) -> Report {
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        partial: false,
        seed: 1,
        effort: "default".to_owned(),
        began_unix: 1_795_243_816,
        measured_s: 312.4,
        command: "cargo xtask compare-runtimes".to_owned(),
        machine: Machine {
            cpu: "A processor".to_owned(),
            cpus: 2,
            kernel: "Linux 6.18".to_owned(),
            ..Machine::default()
        },
        noise: Noise { grade: "D".to_owned(), half_width: None, aa_flagged: 0, aa_total: 0, void_rounds: 0 },
        comparisons,
        claims: Vec::new(),
    };
    analyse_all(&mut report);
    report
}

fn leg(label: &str, metric: &str, contender: &str, versus: Option<&str>, region: (Option<f64>, Option<f64>)) -> Leg {
    let event = versus.is_none();
    Leg {
        label: label.to_owned(),
        workload: if event { "blocked-loop" } else { "spawn-join/one-by-one" }.to_owned(),
        placement: if event { Free } else { Pinned },
        metric: metric.to_owned(),
        contender: contender.to_owned(),
        versus: versus.map(str::to_owned),
        at_least: region.0,
        at_most: region.1,
    }
}

fn claims(report: &Report) -> Vec<ClaimResult> {
    let claim = |id: &str, text: &str, legs: Vec<Leg>| Claim {
        id: id.to_owned(),
        text: text.to_owned(),
        source: "said in many places, https://example.org/claim".to_owned(),
        note: "as far as this goes".to_owned(),
        legs,
    };
    let threads = || leg("thread over task", WALL, "thread", Some("tokio-ct"), (Some(10.0), None));
    let near = || leg("about the same", WALL, "tokio-mt", Some("tokio-ct"), (Some(1.001), Some(1.3)));
    let blocked = leg("worst lateness of tokio-ct", "worst_lateness_ns", "tokio-ct", None, (Some(1e6), None));
    let many = vec![
        threads(),
        leg(
            "a pool over a task, with a label that is longer than any chart is wide",
            CPU,
            "thread-pool",
            Some("tokio-ct"),
            (None, Some(2.0)),
        ),
        near(),
        leg("smol", WALL, "smol-mt", Some("tokio-ct"), (Some(0.5), Some(0.7))),
        blocked.clone(),
    ];
    let gone = Leg { workload: "nowhere".to_owned(), ..threads() };
    let mut results = judge_all(
        &[
            claim("threads", "a thread costs more than ten tasks", vec![threads()]),
            claim("many", "everything costs about the same", many),
            claim("open", "one is a little slower than the other", vec![near()]),
            claim("blocked", "a CPU-bound task blocks everyone", vec![blocked]),
            claim("gone", "this was not measured", vec![gone]),
        ],
        report,
    );
    results.push(ClaimResult {
        id: "scope".to_owned(),
        verdict: Verdict::OutOfScope,
        legs: Vec::new(),
        ..results[4].clone()
    });
    results
}

/// Every kind of comparison, and everything that can go wrong with one.
pub(crate) fn everything() -> Report {
    let mut named = FIELD;
    named[11].0 = HOSTILE;
    let spec = |workload, placement, rounds| Spec { workload, placement, rounds, latencies: false };
    let mut first = rate(&spec("spawn-join/one-by-one", Pinned, 16), &named, 1);
    refuse(&mut first, "rayon", Status::Unsupported, "rayon has no handle to join a single unit by");
    refuse(&mut first, "python-asyncio", Status::Failed, "it ended with signal 11 & said <nothing>");
    refuse(&mut first, "process", Status::Unsupported, "left out: one iteration takes 2.1 s, the limit is 1 s");
    first.rounds[4].void = Some("others took 12 % of the CPU".to_owned());
    first.rounds[1].not_flat.push("tokio-mt".to_owned());
    let few = rate(&spec("yield/one", Pinned, 3), &FIELD[..4], 2);
    let echo = rate(&Spec { workload: "tcp-echo", placement: Free, rounds: 8, latencies: true }, &FIELD, 3);
    let alone = rate(&spec("channel/mpsc", Free, 8), &FIELD[..1], 4);
    let mut different = rate(&spec("fork-join/sum", Free, 1), &FIELD[..3], 5);
    different.error = Some("tokio-mt and tokio-ct did not do the same work: checksums differ".to_owned());
    let mut late = empty("oversubscription/sum", Free, Kind::Rate, WALL, &FIELD[..3]);
    late.note = Some("the time was up before its turn".to_owned());
    let own = rate(&spec("mine/<own> & \"only\"", Pinned, 8), &FIELD[..3], 6);
    let mut report =
        report(vec![first, few, echo, alone, different, late, own, event(&FIELD[..8]), behaviour(), memory(&FIELD)]);
    report.claims = claims(&report);
    report
}

/// As large as a report becomes: 60 comparisons of 14 contenders, 32 rounds of 4 blocks.
pub(crate) fn largest() -> Report {
    const FAMILIES: [&str; 30] = [
        "spawn-join/a",
        "spawn-join/b",
        "spawn-join/c",
        "spawn-join/d",
        "yield/one",
        "yield/many",
        "ping-pong/channel",
        "ping-pong/park",
        "ping-pong/pipe",
        "channel/a",
        "channel/b",
        "mutex/a",
        "mutex/b",
        "foreign-wake",
        "tcp-echo/1",
        "tcp-echo/100",
        "memory/a",
        "memory/b",
        "timers/a",
        "timers/b",
        "mixed",
        "fork-join/sum",
        "fork-join/fib",
        "oversubscription/sum",
        "blocked-loop",
        "fairness",
        "panic",
        "cancel",
        "offload/a",
        "offload/b",
    ];
    let specs = FAMILIES.iter().flat_map(|workload| [Pinned, Free].map(|placement| (workload, placement)));
    let comparisons = specs.enumerate().map(|(index, (workload, placement))| {
        let latencies = workload.starts_with("tcp-echo");
        rate(&Spec { workload, placement, rounds: 32, latencies }, &FIELD, index as u64)
    });
    let mut report = report(comparisons.collect());
    report.claims = claims(&report);
    report
}

/// Nothing at all.
pub(crate) fn nothing() -> Report {
    Report { partial: true, ..report(Vec::new()) }
}
