//! Ways of doing the same thing, timed in turns: ratios of figures that were taken one after the other.
//!
//! What slows a machine for a second slows all that was timed in that second. So all ways take their turn in each round, in another order
//! each time, and it is the ratios *within* rounds that are judged. Their median has an interval from the signs alone: of 15 ratios the true
//! median lies between the fourth smallest and the fourth largest with 96.5 %, whatever their distribution (the binomial
//! distribution with p = 1/2; Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 3rd edition, 3.6).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Failure;
use super::outcome::{Cost, Findings, Judged, Outcome, Verdict, time};

const ROUNDS: usize = 15;
/// The ranks, from both ends, that bound the median.
const RANK: usize = 3;
/// What a turn should take at least.
const TURN: Duration = Duration::from_millis(8);

/// Something to be timed.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    /// What one operation is.
    pub(crate) operation: &'static str,
    pub(crate) ways: Vec<Way>,
    pub(crate) claims: Vec<Claim>,
}

/// One way of doing it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// Sets it up; an error is the reason why it can't be done here.
    pub(crate) prepare: fn() -> Result<Box<dyn Subject>, Failure>,
}

/// A way that is set up.
pub(crate) trait Subject {
    /// Does so many iterations.
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure>;

    /// Figures beside its time.
    fn values(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::new()
    }
}

/// What a turn did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timed {
    /// Operations.
    pub(crate) operations: u64,
    /// The time of that alone which the comparison is about.
    pub(crate) spent: Duration,
}

/// A sentence about the ratio of two ways.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) text: &'static str,
    pub(crate) way: &'static str,
    /// `None` takes the figure itself, in ns.
    pub(crate) versus: Option<&'static str>,
    pub(crate) at_least: f64,
    pub(crate) at_most: f64,
}

impl Comparison {
    pub(crate) fn outcome(&self) -> Outcome {
        let mut subjects: Vec<(&'static str, Box<dyn Subject>, u64)> = Vec::new();
        let mut missing: BTreeMap<&'static str, Missing> = BTreeMap::new();
        for way in &self.ways {
            match (way.prepare)().and_then(|mut subject| Ok((calibrated(&mut *subject)?, subject))) {
                Ok((iterations, subject)) => subjects.push((way.name, subject, iterations)),
                Err(failure) => drop(missing.insert(way.name, failure.into())),
            }
        }
        let mut figures: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..ROUNDS {
            shuffle(&mut subjects, &mut random);
            subjects.retain_mut(|(name, subject, iterations)| match subject.run(*iterations) {
                Ok(timed) => {
                    let ns = timed.spent.as_nanos() as f64 / timed.operations.max(1) as f64;
                    figures.entry(name).or_default().push(ns);
                    true
                }
                // What it measured before it failed is no figure of all rounds.
                Err(failure) => {
                    missing.insert(name, failure.into());
                    figures.remove(name);
                    false
                }
            });
        }
        let cost = |way: &Way| Cost {
            name: way.name.to_owned(),
            ns: figures.get(way.name).map(|figures| median(figures)),
            operation: self.operation.to_owned(),
            note: missing.get(way.name).map(|missing| missing.why.clone()).unwrap_or_default(),
            reason: missing.get(way.name).and_then(|missing| missing.reason),
        };
        let verdicts = self.claims.iter().map(|claim| judge(claim, &figures, &missing)).collect();
        let costs = self.ways.iter().map(cost).collect();
        Outcome::new(self.name, self.question, Findings::Costs(costs), verdicts)
    }
}

/// Why a way could not be measured.
#[derive(Debug, Clone)]
struct Missing {
    /// A word for programs, where there is one.
    reason: Option<&'static str>,
    why: String,
}

impl From<Failure> for Missing {
    fn from(failure: Failure) -> Self {
        let reason = if let Failure::NotHere { reason, .. } = failure { Some(reason) } else { None };
        Self { reason, why: failure.to_string() }
    }
}

/// How many iterations take a turn's time.
fn calibrated(subject: &mut dyn Subject) -> Result<u64, Failure> {
    let mut iterations = 1;
    loop {
        // The whole call counts: what is not timed takes time, too.
        let begin = std::time::Instant::now();
        subject.run(iterations)?;
        let took = begin.elapsed();
        if took >= TURN || iterations >= 1 << 30 {
            return Ok(iterations);
        }
        let missing = TURN.as_nanos() as f64 / took.as_nanos().max(1) as f64;
        iterations = (iterations as f64 * missing.clamp(1.5, 10.0)).ceil() as u64;
    }
}

/// Fisher and Yates; the numbers are Marsaglia's xorshift.
fn shuffle<T>(items: &mut [T], random: &mut u64) {
    for last in (1..items.len()).rev() {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        items.swap(last, (*random % (last as u64 + 1)) as usize);
    }
}

fn judge(claim: &Claim, figures: &BTreeMap<&str, Vec<f64>>, missing: &BTreeMap<&str, Missing>) -> Verdict {
    let skipped = |name: &str| match missing.get(name) {
        None => Verdict::skipped(claim.text, &format!("{name} was not measured")),
        Some(Missing { reason: None, why }) => Verdict::skipped(claim.text, why),
        Some(Missing { reason: Some(reason), why }) => Verdict::skipped_because(claim.text, reason, why),
    };
    let Some(of) = figures.get(claim.way) else { return skipped(claim.way) };
    let values: Vec<f64> = match claim.versus {
        None => of.clone(),
        Some(versus) => match figures.get(versus) {
            None => return skipped(versus),
            Some(against) => of.iter().zip(against).map(|(of, against)| of / against).collect(),
        },
    };
    let (low, high) = interval(&values);
    let judged = if low >= claim.at_least && high <= claim.at_most {
        Judged::True
    } else if high < claim.at_least || low > claim.at_most {
        Judged::False
    } else {
        Judged::Open
    };
    let middle = median(&values);
    let (figure, prediction) = match claim.versus {
        None => {
            let figure = format!("{}: {} [{}, {}]", claim.way, time(middle), time(low), time(high));
            (figure, format!("{} to {}", time(claim.at_least), time(claim.at_most)))
        }
        Some(versus) => {
            let figure = format!("{} over {versus}: {middle:.3}x [{low:.3}, {high:.3}]", claim.way);
            let prediction = match (claim.at_least, claim.at_most) {
                (least, f64::INFINITY) => format!("at least {least}x"),
                (0.0, most) => format!("at most {most}x"),
                (least, most) => format!("{least}x to {most}x"),
            };
            (figure, prediction)
        }
    };
    Verdict::judged(claim.text, judged, format!("{figure}; predicted {prediction}"))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    sorted[sorted.len() / 2]
}

fn interval(values: &[f64]) -> (f64, f64) {
    let sorted = sorted(values);
    let rank = RANK.min((sorted.len() - 1) / 2);
    (sorted[rank], sorted[sorted.len() - 1 - rank])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim = Claim { text: "a costs twice b", way: "a", versus: Some("b"), at_least: 1.8, at_most: 2.2 };

    fn judged(a: &[f64], b: &[f64]) -> Verdict {
        let figures = BTreeMap::from([("a", a.to_vec()), ("b", b.to_vec())]);
        judge(&CLAIM, &figures, &BTreeMap::new())
    }

    #[test]
    fn ratios_are_judged_within_rounds_whatever_the_rounds_have_in_common() {
        // A machine that is slower by a tenth in each round.
        let b: Vec<f64> = (0..15).map(|round| 100.0 * 1.1_f64.powi(round)).collect();
        let a: Vec<f64> = b.iter().map(|b| b * 2.0).collect();
        assert_eq!(judged(&a, &b).judged, Judged::True);
        assert_eq!(judged(&b, &b).judged, Judged::False);
        // Three rounds of fifteen may say anything.
        let mut disturbed = a.clone();
        disturbed[..3].copy_from_slice(&[1e9, 0.1, 1e9]);
        assert_eq!(judged(&disturbed, &b).judged, Judged::True);
        disturbed[..8].copy_from_slice(&[1e9; 8]);
        assert_eq!(judged(&disturbed, &b).judged, Judged::Open);
    }

    #[test]
    fn what_was_not_measured_is_skipped_with_the_reason() {
        let failure = Failure::NotHere { reason: "no_device", why: "no such device".to_owned() };
        let missing = BTreeMap::from([("b", failure.into())]);
        let verdict = judge(&CLAIM, &BTreeMap::from([("a", vec![1.0; 15])]), &missing);
        let said = (verdict.judged, verdict.why.as_str(), verdict.reason);
        assert_eq!(said, (Judged::Skipped, "no such device", Some("no_device")));
    }

    #[test]
    fn a_way_that_fails_in_the_middle_is_skipped_and_the_others_are_not() {
        struct Fails(u32);
        impl Subject for Fails {
            fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
                self.0 += 1;
                // Once for the calibration, and in rounds after.
                if self.0 > 4 {
                    return Err(Failure::NotHere { reason: "worn_out", why: "it has had enough".to_owned() });
                }
                std::thread::sleep(TURN);
                Ok(Timed { operations: iterations, spent: TURN })
            }
        }
        struct Goes;
        impl Subject for Goes {
            fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
                std::thread::sleep(TURN);
                Ok(Timed { operations: iterations, spent: TURN })
            }
        }
        let comparison = Comparison {
            name: "test",
            question: "?",
            operation: "call",
            ways: vec![
                Way { name: "a", prepare: || Ok(Box::new(Fails(0))) },
                Way { name: "b", prepare: || Ok(Box::new(Goes)) },
            ],
            claims: vec![CLAIM],
        };
        let outcome = comparison.outcome();
        let Findings::Costs(costs) = outcome.result else { panic!("a comparison has costs") };
        assert_eq!((costs[0].ns, costs[0].reason), (None, Some("worn_out")));
        assert!(costs[1].ns.is_some());
        assert_eq!(outcome.verdicts[0].judged, Judged::Skipped);
    }

    #[test]
    fn the_interval_of_fifteen_is_from_the_fourth_to_the_twelfth() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        assert_eq!((interval(&values), median(&values)), ((4.0, 12.0), 8.0));
    }
}
