//! From raw blocks to figures: medians, ratios with intervals, the twin, the headline.
//!
//! Everything here is a function of the rounds in the report, so it can be done again at any time.

use std::collections::BTreeMap;

use crate::plan::{CPU, FLOOR, WALL, twin_of};
use crate::protocol::Done;
use crate::report::{Comparison, ContenderResult, Headline, Kind, Noise, PerOp, Ratio, Report, Round, Spread, Status};
use crate::stats::{
    Alternative, Decision, Interval, Region, judge, median, rounds_needed, signed_rank, slope, variance,
};
use crate::tails::{QUANTILES, Tails};

/// How sure an interval is that was not looked at before its number of trials was reached.
const FIXED_CONFIDENCE: f64 = 0.95;
/// The error that verdicts over several comparisons together may have.
pub(crate) const FAMILY_ERROR: f64 = 0.05;

/// Computes every figure of the report again from its raw blocks, but for the claims' verdicts, which need the claims:
/// see [`crate::claim::judge_all`].
pub fn analyse_all(report: &mut Report) {
    for comparison in &mut report.comparisons {
        analyse(comparison);
    }
    report.noise = noise(&report.comparisons);
}

/// Computes every figure of one comparison from its rounds.
pub fn analyse(comparison: &mut Comparison) {
    let mut rows = std::mem::take(&mut comparison.contenders);
    for row in &mut rows {
        fill(row, comparison);
    }
    let silent = comparison.error.is_some();
    comparison.twin =
        (!silent).then(|| versus_reference(comparison, &twin_of(&comparison.reference), &comparison.metric)).flatten();
    let shares: Vec<f64> = rows.iter().filter_map(|row| between_share(comparison, &row.name)).collect();
    comparison.between_round_share = median(&shares);
    comparison.contenders = rows;
    // What happens at all has no order of merit.
    let ranked = !silent && comparison.kind != Kind::Behaviour;
    comparison.headline = if ranked { headline(comparison) } else { None };
}

/// How quiet the machine was, by the twins of all comparisons.
pub fn noise(comparisons: &[Comparison]) -> Noise {
    let twins: Vec<&Ratio> = comparisons.iter().filter_map(|comparison| comparison.twin.as_ref()).collect();
    // The width of those whose figure is a rate: tails scatter on the quietest machine.
    let any_rate = comparisons.iter().any(|comparison| comparison.kind == Kind::Rate);
    let telling = comparisons.iter().filter(|comparison| comparison.kind == Kind::Rate || !any_rate);
    let half_widths: Vec<f64> = telling
        .filter_map(|comparison| comparison.twin.as_ref())
        .map(|twin| (twin.high / twin.low).ln() / 2.0)
        .collect();
    let half_width = median(&half_widths);
    let grade = match half_width {
        Some(width) if width <= 0.01 => "A",
        Some(width) if width <= 0.03 => "B",
        Some(width) if width <= 0.10 => "C",
        _ => "D",
    };
    Noise {
        grade: grade.to_owned(),
        half_width,
        aa_flagged: twins.iter().filter(|twin| twin.low > 1.0 || twin.high < 1.0).count() as u32,
        aa_total: twins.len() as u32,
        void_rounds: comparisons
            .iter()
            .flat_map(|comparison| &comparison.rounds)
            .filter(|round| round.void.is_some())
            .count() as u32,
    }
}

/// The figure `metric` of a block, per operation where it is a cost; quantiles are read from its latencies. `None` where the child
/// could not say.
pub(crate) fn figure(done: &Done, metric: &str) -> Option<f64> {
    let value = match metric {
        WALL => done.wall_ns_per_op(),
        CPU => done.cpu_ns_per_op()?,
        named => done.values.get(named).copied().or_else(|| quantile(done, named))?,
    };
    // Ratios are taken as differences of logarithms.
    (value > 0.0).then_some(value)
}

/// A quantile of the latencies that a child sent, if `name` is one and there are enough of them.
fn quantile(done: &Done, name: &str) -> Option<f64> {
    let (_, q) = QUANTILES.into_iter().find(|(known, _)| name.strip_suffix("_ns") == Some(known))?;
    let mut latency = Tails::new();
    latency.add(done.latency.as_deref()?).ok()?;
    // On the log scale there is no 0; the clock's grain is 1 ns.
    latency.quantile(q).map(|ns| ns.max(1) as f64)
}

/// The natural logarithm of `contender`'s figure over `versus`'s, one number a round: the median over the blocks that both
/// ran, so that one disturbed block does not speak for its round.
pub fn log_ratios(comparison: &Comparison, contender: &str, versus: &str, metric: &str) -> Vec<f64> {
    if comparison.kind == Kind::Memory && metric == comparison.metric {
        let of_round = |round: &Round| {
            let (above, below) = (slope_of(round, contender, metric)?, slope_of(round, versus, metric)?);
            (above > 0.0 && below > 0.0).then(|| (above / below).ln())
        };
        return comparison.valid_rounds().filter_map(of_round).collect();
    }
    let of_round = |round: &Round| median(&block_log_ratios(round, contender, versus, metric));
    comparison.valid_rounds().filter_map(of_round).collect()
}

/// What one more unit adds to the figure, over the sizes of a round.
fn slope_of(round: &Round, name: &str, metric: &str) -> Option<f64> {
    let points = round.blocks.iter().filter_map(|block| block.done.get(name));
    let points = points.filter_map(|done| Some((done.ops as f64, *done.values.get(metric)?)));
    slope::theil_sen(&points.collect::<Vec<_>>())
}

fn block_log_ratios(round: &Round, contender: &str, versus: &str, metric: &str) -> Vec<f64> {
    let of_block = |block: &crate::report::Block| {
        let above = figure(block.done.get(contender)?, metric)?;
        let below = figure(block.done.get(versus)?, metric)?;
        Some((above / below).ln())
    };
    round.blocks.iter().filter_map(of_block).collect()
}

/// The logarithm of `contender`'s figure itself, one number a round.
pub(crate) fn log_values(comparison: &Comparison, contender: &str, metric: &str) -> Vec<f64> {
    let of_round = |round: &Round| {
        if comparison.kind == Kind::Memory && metric == comparison.metric {
            return slope_of(round, contender, metric).filter(|slope| *slope > 0.0).map(f64::ln);
        }
        let values = round.blocks.iter().filter_map(|block| Some(figure(block.done.get(contender)?, metric)?.ln()));
        median(&values.collect::<Vec<f64>>())
    };
    comparison.valid_rounds().filter_map(of_round).collect()
}

/// How sure one interval has to be so that all looks together keep the error.
fn look_confidence(comparison: &Comparison) -> f64 {
    comparison.looks.as_ref().map_or(FIXED_CONFIDENCE, crate::stats::Looks::confidence)
}

/// Estimate and interval of numbers on the log scale, as a ratio. `None` below six rounds.
pub(crate) fn ratio_of(comparison: &Comparison, logs: &[f64]) -> Option<(Ratio, Interval)> {
    let estimate = signed_rank::hodges_lehmann(logs)?;
    let interval = signed_rank::interval(logs, look_confidence(comparison))?;
    let rounds = logs.len() as u32;
    let margin = comparison.margin.ln_1p();
    let apart = interval.low > 0.0 || interval.high < 0.0;
    let equal = judge(interval, Region { low: Some(-margin), high: Some(margin) }) == Decision::Inside;
    let decided = apart || equal;
    let to_tell = rounds_needed(rounds, estimate, interval, &[0.0]);
    let to_equate =
        if estimate.abs() < margin { rounds_needed(rounds, estimate, interval, &[-margin, margin]) } else { None };
    let ratio = Ratio {
        estimate: estimate.exp(),
        low: interval.low.exp(),
        high: interval.high.exp(),
        confidence: comparison.looks.as_ref().map_or(FIXED_CONFIDENCE, |looks| 1.0 - looks.error),
        rounds,
        decided,
        needs_rounds: if decided { None } else { to_tell.into_iter().chain(to_equate).min() },
    };
    Some((ratio, interval))
}

fn versus_reference(comparison: &Comparison, name: &str, metric: &str) -> Option<Ratio> {
    let logs = log_ratios(comparison, name, &comparison.reference, metric);
    Some(ratio_of(comparison, &logs)?.0)
}

fn fill(row: &mut ContenderResult, comparison: &Comparison) {
    row.per_op = None;
    row.quantiles_ns.clear();
    row.quantile_spread_ns.clear();
    row.values.clear();
    row.ratio.clear();
    row.floor_multiple = None;
    row.not_flat = comparison.valid_rounds().filter(|round| round.not_flat.contains(&row.name)).count() as u32;
    let startups: Vec<f64> =
        comparison.valid_rounds().filter_map(|round| Some(*round.startup_ns.get(&row.name)? as f64)).collect();
    row.startup_ns = median(&startups);
    let done: Vec<&Done> = blocks_of(comparison, &row.name).collect();
    row.peak_rss_bytes = done.iter().filter_map(|done| done.usage.peak_rss_bytes).max();
    if row.status != Status::Ok || comparison.error.is_some() || done.is_empty() {
        return;
    }
    row.per_op = per_op(&done);
    row.values = values(comparison, &row.name, &done);
    fill_quantiles(row, comparison);
    for metric in [comparison.metric.as_str(), CPU] {
        if row.name != comparison.reference
            && let Some(ratio) = versus_reference(comparison, &row.name, metric)
        {
            row.ratio.insert(metric.to_owned(), ratio);
        }
    }
    row.floor_multiple =
        signed_rank::hodges_lehmann(&log_ratios(comparison, &row.name, FLOOR, &comparison.metric)).map(f64::exp);
}

fn blocks_of<'a>(comparison: &'a Comparison, name: &'a str) -> impl Iterator<Item = &'a Done> {
    comparison.valid_rounds().flat_map(|round| &round.blocks).filter_map(move |block| block.done.get(name))
}

fn per_op(done: &[&Done]) -> Option<PerOp> {
    let middle = |pick: &dyn Fn(&Done) -> Option<u64>| {
        let picked: Vec<f64> = done.iter().filter_map(|done| Some(pick(done)? as f64 / done.ops as f64)).collect();
        median(&picked)
    };
    Some(PerOp {
        wall_ns: middle(&|done| Some(done.wall_ns()))?,
        cpu_ns: middle(&|done| Some(done.usage.user_ns? + done.usage.system_ns?)),
        voluntary_switches: middle(&|done| done.usage.voluntary_switches),
        involuntary_switches: middle(&|done| done.usage.involuntary_switches),
        minor_faults: middle(&|done| done.usage.minor_faults),
        run_queue_wait_ns: middle(&|done| done.usage.run_queue_wait_ns),
        instructions: middle(&|done| done.usage.instructions),
    })
}

fn spread(values: &[f64]) -> Option<Spread> {
    let low = values.iter().copied().reduce(f64::min)?;
    let high = values.iter().copied().reduce(f64::max)?;
    Some(Spread { median: median(values)?, low, high })
}

fn values(comparison: &Comparison, name: &str, done: &[&Done]) -> BTreeMap<String, Spread> {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (value, figure) in done.iter().flat_map(|done| &done.values) {
        by_name.entry(value).or_default().push(*figure);
    }
    let mut values: BTreeMap<String, Spread> =
        by_name.iter().filter_map(|(value, figures)| Some(((*value).to_owned(), spread(figures)?))).collect();
    let compared: Vec<f64> = done.iter().filter_map(|done| quantile(done, &comparison.metric)).collect();
    if let Some(compared) = spread(&compared) {
        values.entry(comparison.metric.clone()).or_insert(compared);
    }
    if comparison.kind == Kind::Memory {
        // A unit's bytes are the slope over sizes: whatever the process needs anyway is in every size and drops out.
        let slopes: Vec<f64> =
            comparison.valid_rounds().filter_map(|round| slope_of(round, name, &comparison.metric)).collect();
        values.extend(spread(&slopes).map(|spread| (format!("{}_per_unit", comparison.metric), spread)));
    }
    values
}

fn fill_quantiles(row: &mut ContenderResult, comparison: &Comparison) {
    let mut all = Tails::new();
    let mut by_round: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in comparison.valid_rounds() {
        let mut tails = Tails::new();
        let latencies = round.blocks.iter().filter_map(|block| block.done.get(&row.name)?.latency.as_deref());
        for latency in latencies {
            // A latency beyond 2^53 was refused when the block came in.
            let _ = tails.add(latency).and_then(|()| all.add(latency));
        }
        for (name, q) in QUANTILES {
            if let Some(value) = tails.quantile(q) {
                by_round.entry(name).or_default().push(value as f64);
            }
        }
    }
    let whole = QUANTILES.into_iter().filter_map(|(name, q)| Some((name.to_owned(), all.quantile(q)? as f64)));
    row.quantiles_ns = whole.collect();
    row.quantile_spread_ns =
        by_round.into_iter().filter_map(|(name, values)| Some((name.to_owned(), spread(&values)?))).collect();
}

fn between_share(comparison: &Comparison, name: &str) -> Option<f64> {
    if name == comparison.reference {
        return None;
    }
    let rounds: Vec<Vec<f64>> = comparison
        .valid_rounds()
        .map(|round| block_log_ratios(round, name, &comparison.reference, &comparison.metric))
        .filter(|blocks| !blocks.is_empty())
        .collect();
    variance::between_share(&rounds)
}

/// Who is ahead, and of whom that is certain.
fn headline(comparison: &Comparison) -> Option<Headline> {
    let field: Vec<&str> = comparison
        .contenders
        .iter()
        .filter(|row| row.status == Status::Ok && row.per_op.is_some() && row.name != FLOOR)
        .map(|row| row.name.as_str())
        .collect();
    let against = |name: &str| {
        if name == comparison.reference {
            return Some(0.0);
        }
        signed_rank::hodges_lehmann(&log_ratios(comparison, name, &comparison.reference, &comparison.metric))
    };
    let best = *field.iter().filter(|name| against(name).is_some()).min_by(|left, right| {
        let key = |name| against(name).unwrap_or(f64::INFINITY);
        key(left).total_cmp(&key(right))
    })?;
    let others: Vec<&str> = field.into_iter().filter(|&name| name != best).collect();
    let looks = comparison.looks.as_ref().map_or(1, |looks| looks.rounds.len());
    // That the best of a sample is the best is as sure as that it beats the next best in a two-sided test, however many others
    // there are (Gutmann and Maymin, "Is the selected population the best?", Annals of Statistics 15, 1987).
    let in_doubt = |other: &str| {
        let logs = log_ratios(comparison, best, other, &comparison.metric);
        let p = signed_rank::p_value(&logs, 0.0, Alternative::Less).unwrap_or(1.0);
        2.0 * p * looks as f64 > FAMILY_ERROR
    };
    let open: Vec<String> = others.iter().filter(|other| in_doubt(other)).map(|name| (*name).to_owned()).collect();
    let word = if comparison.metric == WALL { "fastest" } else { "lowest" };
    let text = match (others.len(), open.len()) {
        (0, _) => format!("{best} is alone"),
        (1, 0) => format!("{best} is {word}, certain against {}", others[0]),
        (_, 0) => format!("{best} is {word}, certain against all {} others", others.len()),
        (all, unsure) if unsure == all && comparison.valid_rounds().count() < 6 => {
            format!("{best} is ahead, but {} rounds are too few to be sure of it", comparison.valid_rounds().count())
        }
        (all, unsure) if unsure == all => format!("{best} is ahead, but of none of the others certainly"),
        _ => format!("{best} is ahead; not certain against {}", open.join(", ")),
    };
    Some(Headline { leader: best.to_owned(), open, others: others.len() as u32, text })
}
