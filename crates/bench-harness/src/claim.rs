//! Claims: sentences with a prediction, and what a report says about them.

use crate::analysis::{FAMILY_ERROR, log_ratios, log_values, ratio_of};
use crate::placement::Placement;
use crate::plan::Plan;
use crate::report::{ClaimResult, Comparison, Kind, LegResult, Ratio, Report, Status, Verdict};
use crate::stats::{Alternative, Decision, Interval, Region, judge, multiple, signed_rank};

/// A claim as data. It is confirmed when every leg is, and refuted when one is.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Its name.
    pub id: String,
    /// The sentence people repeat.
    pub text: String,
    /// Where it is said.
    pub source: String,
    /// What the figures mean, in a clause.
    pub note: String,
    /// What is looked at.
    pub legs: Vec<Leg>,
}

/// One measurable part of a claim: a figure and the values it predicts for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// What it looks at, in a few words.
    pub label: String,
    /// The comparison's workload.
    pub workload: String,
    /// The comparison's placement.
    pub placement: Placement,
    /// [`WALL`](crate::plan::WALL), [`CPU`](crate::plan::CPU), or one of the workload's values.
    pub metric: String,
    /// Whose figure.
    pub contender: String,
    /// Over whose figure; `None` takes the figure itself, in its own unit.
    pub versus: Option<String>,
    /// The least value the claim predicts.
    pub at_least: Option<f64>,
    /// The largest value the claim predicts.
    pub at_most: Option<f64>,
}

impl Leg {
    /// Whether that comparison is what it looks at.
    pub fn is_about(&self, plan: &Plan) -> bool {
        plan.workload == self.workload && plan.placement == self.placement
    }
}

/// Judges all claims on a report. Over those that are decided, the false ones are kept below one in twenty (Benjamini and
/// Hochberg).
pub fn judge_all(claims: &[Claim], report: &Report) -> Vec<ClaimResult> {
    let mut judged: Vec<(ClaimResult, Option<f64>)> = claims.iter().map(|claim| judge_one(claim, report)).collect();
    let decided: Vec<usize> = (0..judged.len()).filter(|&index| judged[index].1.is_some()).collect();
    let p_values: Vec<f64> = decided.iter().filter_map(|&index| judged[index].1).collect();
    for (&index, adjusted) in decided.iter().zip(multiple::benjamini_hochberg(&p_values)) {
        let result = &mut judged[index].0;
        result.adjusted_p = Some(adjusted);
        if adjusted > FAMILY_ERROR {
            result.verdict = Verdict::Inconclusive;
            result.why = format!("{}: too little beside {} claims judged together", result.why, p_values.len());
        }
    }
    judged.into_iter().map(|(result, _)| result).collect()
}

/// A leg with what decides it.
struct JudgedLeg {
    result: LegResult,
    /// The one-sided p of its decision, over all looks.
    p: Option<f64>,
}

fn judge_one(claim: &Claim, report: &Report) -> (ClaimResult, Option<f64>) {
    let legs: Vec<JudgedLeg> = claim.legs.iter().map(|leg| judge_leg(leg, report)).collect();
    let with = |verdict: Verdict| legs.iter().filter(move |leg| leg.result.verdict == verdict).collect::<Vec<_>>();
    let (confirmed, refuted) = (with(Verdict::Confirmed), with(Verdict::Refuted));
    let (open, skipped) = (with(Verdict::Inconclusive), with(Verdict::Skipped));
    // The leg whose figure stands for the claim: the one that decides it.
    let (verdict, deciding, p) = if let Some(first) = refuted.first() {
        let p_values: Vec<f64> = refuted.iter().filter_map(|leg| leg.p).collect();
        (Verdict::Refuted, Some(*first), Some(simes(&p_values, legs.len())))
    } else if let Some(first) = open.first() {
        (Verdict::Inconclusive, Some(*first), None)
    } else if !skipped.is_empty() || confirmed.is_empty() {
        (Verdict::Skipped, None, None)
    } else {
        (Verdict::Confirmed, Some(confirmed[0]), Some(confirmed.iter().filter_map(|leg| leg.p).fold(0.0, f64::max)))
    };
    let listed = |legs: &[&JudgedLeg]| {
        let mut texts: Vec<String> = legs.iter().take(3).map(|leg| leg.result.sentence()).collect();
        if legs.len() > 3 {
            texts.push(format!("and {} more", legs.len() - 3));
        }
        texts.join("; ")
    };
    let why = match verdict {
        Verdict::Confirmed => listed(&confirmed),
        Verdict::Refuted if confirmed.is_empty() => listed(&refuted),
        Verdict::Refuted => format!("{}; it holds for {}", listed(&refuted), labels(&confirmed)),
        Verdict::Inconclusive => listed(&open),
        Verdict::Skipped | Verdict::OutOfScope => {
            skipped.first().and_then(|leg| leg.result.missing.clone()).unwrap_or_else(|| "it has no legs".to_owned())
        }
    };
    let figure = deciding.and_then(|leg| leg.result.figure);
    let note =
        if claim.note.is_empty() || verdict == Verdict::Skipped { String::new() } else { format!(" ({})", claim.note) };
    let result = ClaimResult {
        id: claim.id.clone(),
        text: claim.text.clone(),
        source: claim.source.clone(),
        verdict,
        estimate: figure.map(|figure| figure.estimate),
        low: figure.map(|figure| figure.low),
        high: figure.map(|figure| figure.high),
        why: format!("{why}{note}"),
        adjusted_p: None,
        legs: legs.into_iter().map(|leg| leg.result).collect(),
    };
    (result, p)
}

/// One leg refutes, so each of `all` had a chance to do it wrongly; but where many do, it is not chance (Simes, "An improved
/// Bonferroni procedure for multiple tests of significance", Biometrika 73, 1986; for tests that depend on one another as these
/// do: Sarkar 1998).
fn simes(p_values: &[f64], all: usize) -> f64 {
    let mut sorted = p_values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let scaled = sorted.iter().enumerate().map(|(index, p)| p * all as f64 / (index + 1) as f64);
    scaled.fold(1.0, f64::min)
}

fn labels(legs: &[&JudgedLeg]) -> String {
    legs.iter().map(|leg| leg.result.label.as_str()).collect::<Vec<_>>().join(", ")
}

fn judge_leg(leg: &Leg, report: &Report) -> JudgedLeg {
    let measured = took_part(leg, report);
    let unit = match (&leg.versus, leg.metric.ends_with("_ns")) {
        (Some(_), _) => "x",
        (None, true) => "ns",
        (None, false) => "",
    };
    let mut result = LegResult {
        label: leg.label.clone(),
        verdict: Verdict::Skipped,
        figure: None,
        unit: unit.to_owned(),
        missing: None,
        at_least: leg.at_least,
        at_most: leg.at_most,
    };
    let comparison = match measured {
        Ok(comparison) => comparison,
        Err(missing) => {
            result.missing = Some(missing);
            return JudgedLeg { result, p: None };
        }
    };
    if comparison.kind == Kind::Behaviour {
        return judge_behaviour(leg, comparison, result);
    }
    let logs = match log_figures(leg, comparison) {
        Ok(logs) => logs,
        Err(missing) => {
            result.missing = Some(missing);
            return JudgedLeg { result, p: None };
        }
    };
    let Some((mut ratio, interval)) = ratio_of(comparison, &logs) else {
        result.missing = Some(format!("{}: {} rounds are too few, it takes 6", leg.label, logs.len()));
        return JudgedLeg { result, p: None };
    };
    let region = Region { low: leg.at_least.map(f64::ln), high: leg.at_most.map(f64::ln) };
    let decision = judge(interval, region);
    result.verdict = match decision {
        Decision::Inside => Verdict::Confirmed,
        Decision::Outside => Verdict::Refuted,
        Decision::Straddles => Verdict::Inconclusive,
    };
    ratio.decided = decision != Decision::Straddles;
    ratio.needs_rounds = needs(&ratio, interval, region);
    result.figure = Some(ratio);
    let looks = comparison.looks.as_ref().map_or(1, |looks| looks.rounds.len());
    JudgedLeg { result, p: p_of(decision, &logs, region).map(|p| (p * looks as f64).min(1.0)) }
}

fn needs(ratio: &Ratio, interval: Interval, region: Region) -> Option<u32> {
    if ratio.decided {
        return None;
    }
    let bounds: Vec<f64> = region.low.into_iter().chain(region.high).collect();
    crate::stats::rounds_needed(ratio.rounds, ratio.estimate.ln(), interval, &bounds)
}

/// The p of the hypothesis that the decision is wrong.
fn p_of(decision: Decision, logs: &[f64], region: Region) -> Option<f64> {
    let above = |bound: f64| signed_rank::p_value(logs, bound, Alternative::Greater);
    let below = |bound: f64| signed_rank::p_value(logs, bound, Alternative::Less);
    match decision {
        // Both ends have to hold.
        Decision::Inside => region.low.and_then(above).into_iter().chain(region.high.and_then(below)).reduce(f64::max),
        // One end broken suffices.
        Decision::Outside => region.low.and_then(below).into_iter().chain(region.high.and_then(above)).reduce(f64::min),
        Decision::Straddles => None,
    }
}

/// What happens at all does so in every run, or the contender has failed: a figure without noise.
fn judge_behaviour(leg: &Leg, comparison: &Comparison, mut result: LegResult) -> JudgedLeg {
    let runs: Vec<f64> = comparison
        .valid_rounds()
        .flat_map(|round| &round.blocks)
        .filter_map(|block| block.done.get(&leg.contender)?.values.get(&leg.metric).copied())
        .collect();
    let Some(&value) = runs.first() else {
        result.missing = Some(format!("{}: no runs with `{}`", leg.label, leg.metric));
        return JudgedLeg { result, p: None };
    };
    let predicted = leg.at_least.is_none_or(|bound| value >= bound) && leg.at_most.is_none_or(|bound| value <= bound);
    result.verdict = if predicted { Verdict::Confirmed } else { Verdict::Refuted };
    let rounds = runs.len() as u32;
    result.figure = Some(Ratio {
        estimate: value,
        low: value,
        high: value,
        confidence: 1.0,
        rounds,
        decided: true,
        needs_rounds: None,
    });
    JudgedLeg { result, p: Some(0.0) }
}

/// The comparison that the leg is about, if its contenders came through it; or why not.
fn took_part<'a>(leg: &Leg, report: &'a Report) -> Result<&'a Comparison, String> {
    let title = format!("{} · {}", leg.workload, leg.placement.name());
    let comparison =
        report.comparison(&leg.workload, leg.placement).ok_or_else(|| format!("{title} was not measured"))?;
    if let Some(error) = &comparison.error {
        return Err(format!("{title}: {error}"));
    }
    for name in std::iter::once(&leg.contender).chain(&leg.versus) {
        match comparison.contender(name) {
            None => return Err(format!("{title}: {name} did not take part")),
            Some(row) if row.status != Status::Ok => {
                return Err(format!("{title}: {name}: {}", row.reason.as_deref().unwrap_or("failed")));
            }
            Some(_) => {}
        }
    }
    Ok(comparison)
}

/// The leg's figure, one number a round on the log scale; or why there is none.
fn log_figures(leg: &Leg, comparison: &Comparison) -> Result<Vec<f64>, String> {
    let title = format!("{} · {}", leg.workload, leg.placement.name());
    let logs = match &leg.versus {
        Some(versus) => log_ratios(comparison, &leg.contender, versus, &leg.metric),
        None => log_values(comparison, &leg.contender, &leg.metric),
    };
    if logs.is_empty() {
        return Err(format!("{title}: no rounds with `{}` of {}", leg.metric, leg.contender));
    }
    Ok(logs)
}

impl LegResult {
    /// The leg's figure as a phrase, as `empty jobs, CPU: 1.34x [1.29, 1.40]`.
    pub fn sentence(&self) -> String {
        let Some(figure) = &self.figure else {
            return format!("{}: {}", self.label, self.missing.as_deref().unwrap_or("not measured"));
        };
        let (scale, unit) = match self.unit.as_str() {
            "x" => (1.0, "x"),
            "ns" => crate::units::scale_of_ns(figure.estimate),
            other => (1.0, other),
        };
        let number = |value: f64| crate::units::significant(value / scale, 3);
        let gap = if unit == "x" || unit.is_empty() { "" } else { " " };
        let text = format!(
            "{}: {}{gap}{unit} [{}, {}]",
            self.label,
            number(figure.estimate),
            number(figure.low),
            number(figure.high)
        );
        if let (Verdict::Inconclusive, Some(more)) = (self.verdict, figure.needs_rounds) {
            return format!("{text}, needs {} more rounds", crate::units::about(more));
        }
        text
    }
}
