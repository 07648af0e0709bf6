//! Which runtime for which kind of work: the sentences at the top, from the figures and from nothing else.

use std::collections::BTreeMap;

use serde::Serialize;

use super::multiples::{multiple_text, multiples};
use super::uses::{Use, grouped};
use crate::plan::FLOOR;
use crate::report::{Comparison, Kind, Report};

/// What the report says about one kind of work.
#[derive(Serialize)]
pub(super) struct Answer {
    id: String,
    title: String,
    leader: Option<String>,
    text: String,
    /// Whether the leader is certainly ahead of all others anywhere.
    #[serde(skip)]
    sure: bool,
}

/// How a contender did over the comparisons of one kind of work.
struct Standing<'a> {
    name: &'a str,
    /// The geometric mean of its multiples of the best.
    mean: f64,
    comparisons: usize,
}

/// One answer per kind of work, and the sentence over them all; `subject` is what is compared, as `runtime`.
pub(super) fn answers(report: &Report, subject: &str) -> (String, Vec<Answer>) {
    let answers: Vec<Answer> = grouped(&report.comparisons)
        .into_iter()
        .map(|(kind, comparisons)| {
            let comparisons: Vec<&Comparison> = comparisons.into_iter().map(|(_, comparison)| comparison).collect();
            answer(&kind, &comparisons)
        })
        .collect();
    (overall(&answers, subject), answers)
}

fn overall(answers: &[Answer], subject: &str) -> String {
    let mut led: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for answer in answers {
        if let Some(leader) = &answer.leader {
            let doubt = if answer.sure { "" } else { " (not certain)" };
            led.entry(leader).or_default().push(format!("{}{doubt}", inside(&answer.title)));
        }
    }
    let mut led: Vec<(&str, Vec<String>)> = led.into_iter().collect();
    led.sort_by_key(|(_, titles)| std::cmp::Reverse(titles.len()));
    match led.as_slice() {
        [] => format!("Too few rounds to name {} {subject} for any kind of work.", article(subject)),
        [(name, _)] if answers.len() == 1 => {
            let doubt = if answers[0].sure { "" } else { ", but not certainly" };
            format!("One kind of work was measured; {name} is ahead in it{doubt}.")
        }
        [(name, _)] if answers.iter().all(|answer| answer.sure) => {
            format!("{name} is ahead in every kind of work that was measured.")
        }
        [(name, titles)] => format!("{name} is ahead in {}.", listed(titles)),
        many => {
            let parts = many.iter().map(|(name, titles)| format!("{name} for {}", listed(titles)));
            format!("No {subject} is best at everything. Ahead here: {}.", parts.collect::<Vec<_>>().join("; "))
        }
    }
}

/// The article before it.
fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// A title within a sentence; an abbreviation stays one.
fn inside(title: &str) -> String {
    match title.as_bytes() {
        [_, second, ..] if second.is_ascii_uppercase() => title.to_owned(),
        _ => title.to_lowercase(),
    }
}

fn listed(titles: &[String]) -> String {
    match titles {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => titles.join(""),
    }
}

fn answer(kind: &Use, comparisons: &[&Comparison]) -> Answer {
    let without = |text: &str| Answer {
        id: kind.id.clone(),
        title: kind.title.clone(),
        leader: None,
        text: text.to_owned(),
        sure: false,
    };
    let compared: Vec<&Comparison> =
        comparisons.iter().filter(|comparison| has_rivals(comparison) && !comparison.varies_one()).copied().collect();
    let standings = standings(&compared);
    let Some(first) = standings.first() else {
        let behaviour = comparisons.iter().all(|comparison| comparison.kind == Kind::Behaviour);
        return without(if behaviour { "What happens stands below; nothing is timed." } else { "Nothing to compare." });
    };
    if compared.iter().all(|comparison| comparison.contenders.iter().all(|row| row.ratio.is_empty())) {
        return without(&format!("Too few rounds to say; {} has the lowest figures so far.", first.name));
    }
    let next: Vec<String> =
        standings.iter().skip(1).take(2).map(|next| format!("{} {}", next.name, multiple_text(next.mean))).collect();
    let next = if next.is_empty() { String::new() } else { format!(" Then {}.", next.join(", ")) };
    let sure = compared.iter().filter(|comparison| certain(comparison, first.name)).count();
    Answer {
        id: kind.id.clone(),
        title: kind.title.clone(),
        leader: Some(first.name.to_owned()),
        text: format!("{}, {}.{next}", lead(first), certainty(sure, first.comparisons)),
        sure: sure > 0,
    }
}

/// Whether anybody is to be compared with anybody, the floor aside.
fn has_rivals(comparison: &Comparison) -> bool {
    multiples(comparison).keys().filter(|name| **name != FLOOR).count() > 1
}

/// Whether the comparison's headline has no doubt that `name` is ahead.
fn certain(comparison: &Comparison, name: &str) -> bool {
    comparison.headline.as_ref().is_some_and(|line| line.leader == name && line.open.is_empty() && line.others > 0)
}

fn lead(first: &Standing) -> String {
    match (first.comparisons, first.mean < 1.005) {
        (1, true) => "the best figure in 1 comparison".to_owned(),
        (2, true) => "the best figure in both comparisons".to_owned(),
        (all, true) => format!("the best figure in all {all} comparisons"),
        (1, false) => format!("{} the best figure in 1 comparison", multiple_text(first.mean)),
        (all, false) => format!("{} the best figure over {all} comparisons", multiple_text(first.mean)),
    }
}

fn certainty(sure: usize, comparisons: usize) -> String {
    match (sure, comparisons) {
        (0, 1) => "but not certainly ahead of all others".to_owned(),
        (0, _) => "but in none of them certainly ahead of all others".to_owned(),
        (1, 1) => "certainly ahead of all others".to_owned(),
        (all, several) if all == several => "certainly ahead of all others in each".to_owned(),
        (some, _) => format!("certainly ahead of all others in {some}"),
    }
}

/// By mean, the best first. Who took part in less than half of what the busiest did is not ranked: one lucky workload is no
/// answer.
fn standings<'a>(comparisons: &[&'a Comparison]) -> Vec<Standing<'a>> {
    let mut logs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for comparison in comparisons {
        for (name, times) in multiples(comparison) {
            if name != FLOOR && times > 0.0 {
                logs.entry(name).or_default().push(times.ln());
            }
        }
    }
    let most = logs.values().map(Vec::len).max().unwrap_or(0);
    let mut standings: Vec<Standing> = logs
        .into_iter()
        .filter(|(_, logs)| 2 * logs.len() > most || logs.len() == most)
        .map(|(name, logs)| Standing {
            name,
            mean: (logs.iter().sum::<f64>() / logs.len() as f64).exp(),
            comparisons: logs.len(),
        })
        .collect();
    standings.sort_by(|left, right| left.mean.total_cmp(&right.mean));
    standings
}
