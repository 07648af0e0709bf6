//! Does the harness cry wolf, and does it hear one? Comparisons of a program with itself, and with a slowed copy of itself,
//! whose true answer is known.

use std::time::Duration;

use bench_harness::analysis::log_ratios;
use bench_harness::host::{Child, ChildError, Interrupt, Launch, Limits, Stamps};
use bench_harness::placement::{Placement, allowed_cpus};
use bench_harness::plan::{Effort, Entry, Plan, WALL};
use bench_harness::protocol::{Params, Prepare, Run};
use bench_harness::report::{Kind, Ratio, Status};
use bench_harness::rng::SplitMix64;
use bench_harness::session::Session;
use bench_harness::stats::{Decision, Interval, Looks, Region, judge, signed_rank};

/// The workloads of the probe: a loop in registers, allocation, making threads, switching between threads.
pub const WORKLOADS: [&str; 4] = ["probe/cpu", "probe/alloc", "probe/thread", "probe/pipe"];
/// Those that a slowed copy is looked for in.
pub const SLOWED: [&str; 2] = ["probe/cpu", "probe/alloc"];
/// The slowdown that has to be found, in parts of a thousand.
pub const SLOWDOWN_PERMILLE: u64 = 30;

/// What one comparison of the probe with itself or a slowed copy came to.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The copy over the original.
    pub ratio: Ratio,
    /// One log-ratio a round.
    pub rounds: Vec<f64>,
    /// How long it took.
    pub seconds: f64,
}

impl Trial {
    /// Whether the two were told apart.
    pub fn flagged(&self) -> bool {
        self.ratio.low > 1.0 || self.ratio.high < 1.0
    }

    /// Whether the copy was found to be slower.
    pub fn found_slower(&self) -> bool {
        self.ratio.low > 1.0
    }
}

/// Compares the probe with a copy of itself that is slower by `slowdown_permille`, in fresh children, with the looks, the
/// stopping rule and the intervals of every other comparison.
///
/// # Errors
/// With the reason why there is no ratio.
pub fn trial(
    probe: &Launch,
    workload: &str,
    slowdown_permille: u64,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<Trial, String> {
    let entry = |name: &str, slowdown| Entry {
        name: name.to_owned(),
        launch: probe.clone(),
        params: vec![("slowdown_permille".to_owned(), slowdown)],
    };
    let plan = Plan {
        workload: workload.to_owned(),
        summary: String::new(),
        topic: String::new(),
        kind: Kind::Rate,
        params: Params::default(),
        placement: Placement::Pinned,
        operation: "unit".to_owned(),
        metric: WALL.to_owned(),
        reference: "original".to_owned(),
        with_twin: false,
        margin: 0.01,
        sizes: Vec::new(),
        entries: vec![entry("original", 0), entry("copy", slowdown_permille)],
    };
    let effort = Effort { budget: None, ..Effort::standard() };
    let report = Session::new(vec![plan], effort, seed, String::new(), interrupt.clone()).run(&[], &mut |_| {});
    let comparison = &report.comparisons[0];
    let copy = comparison.contender("copy").ok_or("the copy is not in the report")?;
    if interrupt.is_set() {
        return Err("interrupted".to_owned());
    }
    if copy.status != Status::Ok || comparison.error.is_some() {
        return Err(copy.reason.clone().or_else(|| comparison.error.clone()).unwrap_or_default());
    }
    let ratio =
        *copy.ratio.get(WALL).ok_or_else(|| format!("only {} rounds counted", comparison.valid_rounds().count()))?;
    let rounds = log_ratios(comparison, "copy", "original", WALL);
    Ok(Trial { ratio, rounds, seconds: report.measured_s })
}

/// How often intervals hold the truth, on resampled rounds whose truth is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Tries.
    pub tries: u32,
    /// The share in which a fixed-n 95 % interval held the truth.
    pub fixed: f64,
    /// The share in which the interval at which a sequential comparison stopped did.
    pub sequential: f64,
}

/// Draws rounds from `pools` (log-ratios of a thing with itself, a pool a workload), gives each a random sign so that the
/// truth is 0 exactly, adds an effect of 0, 3 or 10 %, and counts how often the intervals hold it.
///
/// `None` when no pool has enough rounds to draw from.
pub fn coverage(pools: &[Vec<f64>], tries: u32, seed: u64) -> Option<Coverage> {
    let pools: Vec<&Vec<f64>> = pools.iter().filter(|pool| pool.len() >= 64).collect();
    if pools.is_empty() {
        return None;
    }
    let mut rng = SplitMix64::new(seed);
    let looks = Looks::default();
    let last = looks.rounds.iter().copied().max().unwrap_or(32) as usize;
    let (mut fixed, mut sequential) = (0_u32, 0_u32);
    for attempt in 0..tries {
        let pool = pools[attempt as usize % pools.len()];
        let effect = [0.0_f64, 0.03, 0.10][(attempt as usize / pools.len()) % 3_usize].ln_1p();
        // Without replacement, for repeated values make intervals wider than they are in a real comparison.
        let mut order: Vec<usize> = (0..pool.len()).collect();
        rng.shuffle(&mut order);
        let draw = |index: &usize, rng: &mut SplitMix64| {
            let sign = if rng.below(2) == 0 { 1.0 } else { -1.0 };
            sign * pool[*index] + effect
        };
        let sample: Vec<f64> = order.iter().take(last).map(|index| draw(index, &mut rng)).collect();
        let size = [8, 16, 32][(attempt as usize / (3 * pools.len())) % 3];
        let interval = signed_rank::interval(&sample[..size], 0.95)?;
        fixed += u32::from(interval.contains(effect));
        sequential += u32::from(stopped_at(&sample, &looks)?.contains(effect));
    }
    let share = |count: u32| f64::from(count) / f64::from(tries);
    Some(Coverage { tries, fixed: share(fixed), sequential: share(sequential) })
}

/// The interval at which a comparison of these rounds stops: the first look that decides, else the last.
fn stopped_at(sample: &[f64], looks: &Looks) -> Option<Interval> {
    let margin = 0.01_f64.ln_1p();
    let equal = Region { low: Some(-margin), high: Some(margin) };
    let mut last = None;
    for &rounds in &looks.rounds {
        let interval = signed_rank::interval(sample.get(..rounds as usize)?, looks.confidence())?;
        last = Some(interval);
        if !interval.contains(0.0) || judge(interval, equal) == Decision::Inside {
            break;
        }
    }
    last
}

/// What measuring costs a block of 1 ms: its time over that of the same work done right after it, under bare stamps. What the
/// harness does inside the block and what its talk before the block does to caches are both in the first and not in the
/// second; interrupts and the like are in both.
///
/// # Errors
/// When the probe fails or too few blocks count.
pub fn overhead(probe: &Launch, children: u32, seed: u64, interrupt: &Interrupt) -> Result<Ratio, String> {
    const BLOCKS: u32 = 25;
    let text = |error: ChildError| error.to_string();
    let cpus = Placement::Pinned.cpus(&allowed_cpus().map_err(|error| error.to_string())?);
    let mut logs = Vec::new();
    for _ in 0..children {
        let mut child = Child::start(probe, &cpus, Limits::default(), interrupt).map_err(text)?;
        let params = Params::from([("slowdown_permille", 0)]);
        child.prepare(&Prepare { workload: "probe/overhead".to_owned(), params, seed }).map_err(text)?;
        let (first, _) = child.run(Run { block: 1, iters: 20 }).map_err(text)?;
        let iters = (20 * Duration::from_millis(1).as_nanos() as u64).div_ceil(first.wall_ns().max(1));
        let mut blocks = Vec::new();
        for _ in 0..BLOCKS {
            let (done, stamps) = child.run(Run { block: 1, iters }).map_err(text)?;
            let again = done.values.get("again_ns").ok_or("the probe did not time its work again")?;
            if stamps == Stamps::Fit {
                blocks.push((done.wall_ns() as f64 / again).ln());
            }
        }
        logs.extend(bench_harness::stats::median(&blocks));
        child.end();
    }
    let estimate = signed_rank::hodges_lehmann(&logs).ok_or("no blocks counted")?;
    let interval = signed_rank::interval(&logs, 0.95).ok_or("too few children for an interval")?;
    Ok(Ratio {
        estimate: estimate.exp(),
        low: interval.low.exp(),
        high: interval.high.exp(),
        confidence: 0.95,
        rounds: logs.len() as u32,
        decided: !interval.contains(0.0),
        needs_rounds: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal pools (Box and Muller), seeded.
    fn pools() -> Vec<Vec<f64>> {
        let mut rng = SplitMix64::new(3);
        let mut normal =
            |sd: f64| sd * (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos();
        [0.002, 0.03].map(|sd| (0..800).map(|_| normal(sd)).collect()).to_vec()
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let coverage = coverage(&pools(), 2_000, 1).unwrap();
        assert!((0.93..=0.97).contains(&coverage.fixed), "{coverage:?}");
        assert!(coverage.sequential >= 0.95, "{coverage:?}");
    }

    #[test]
    fn small_pools_are_not_drawn_from() {
        assert_eq!(coverage(&[vec![0.1; 8]], 10, 1), None);
    }
}
