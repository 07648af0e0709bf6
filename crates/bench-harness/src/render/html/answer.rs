//! Which runtime for which kind of work: the sentences at the top, from the figures and from nothing else.

use std::collections::BTreeMap;

use serde::Serialize;

use super::multiples::{multiple_text, multiples};
use super::uses::grouped;
use crate::plan::FLOOR;
use crate::report::{Comparison, Report};

/// What the report says about one kind of work.
#[derive(Serialize)]
pub(super) struct Answer {
    id: &'static str,
    title: &'static str,
    leader: Option<String>,
    text: String,
}

/// How a contender did over the comparisons of one kind of work.
struct Standing<'a> {
    name: &'a str,
    /// The geometric mean of its multiples of the best.
    mean: f64,
    comparisons: usize,
}

/// One answer per kind of work, and the sentence over them all.
pub(super) fn answers(report: &Report) -> (String, Vec<Answer>) {
    let answers: Vec<Answer> = grouped(&report.comparisons)
        .into_iter()
        .map(|(kind, comparisons)| {
            let comparisons: Vec<&Comparison> = comparisons.into_iter().map(|(_, comparison)| comparison).collect();
            let (leader, text) = answer(&comparisons);
            Answer { id: kind.id, title: kind.title, leader, text }
        })
        .collect();
    (overall(&answers), answers)
}

fn overall(answers: &[Answer]) -> String {
    let mut led: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for answer in answers {
        if let Some(leader) = &answer.leader {
            led.entry(leader).or_default().push(answer.title.to_lowercase());
        }
    }
    let mut led: Vec<(&str, Vec<String>)> = led.into_iter().collect();
    led.sort_by_key(|(_, titles)| std::cmp::Reverse(titles.len()));
    match led.as_slice() {
        [] => "Too few rounds to name a runtime for any kind of work.".to_owned(),
        [(name, titles)] if titles.len() == 1 => format!("One kind of work was measured; {name} is ahead in it."),
        [(name, _)] => format!("{name} is ahead in every kind of work that was measured."),
        many => {
            let parts = many.iter().map(|(name, titles)| format!("{name} for {}", listed(titles)));
            format!("No runtime is best at everything. Ahead here: {}.", parts.collect::<Vec<_>>().join("; "))
        }
    }
}

fn listed(titles: &[String]) -> String {
    match titles {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => titles.join(""),
    }
}

/// The leader, where the figures name one, and the sentence.
fn answer(comparisons: &[&Comparison]) -> (Option<String>, String) {
    let compared: Vec<&Comparison> = comparisons.iter().filter(|c| !multiples(c).is_empty()).copied().collect();
    if compared.is_empty() {
        let what = if comparisons.iter().all(|c| c.kind == crate::report::Kind::Behaviour) {
            "what happens is told below, nothing is timed."
        } else {
            "not measured."
        };
        return (None, what.to_owned());
    }
    let standings = standings(&compared);
    let Some(first) = standings.first() else { return (None, "not measured.".to_owned()) };
    let certain = |c: &&&Comparison| {
        c.headline.as_ref().is_some_and(|line| line.leader == first.name && line.open.is_empty() && line.others > 0)
    };
    let sure = compared.iter().filter(certain).count();
    let rounds = compared.iter().any(|c| c.contenders.iter().any(|row| !row.ratio.is_empty()));
    let over = match first.comparisons {
        1 => "in 1 comparison".to_owned(),
        several => format!("over {several} comparisons"),
    };
    let certainty = match (sure, first.comparisons) {
        _ if !rounds => "but with too few rounds to be sure of anything".to_owned(),
        (0, 1) => "but not certainly ahead of all others".to_owned(),
        (0, _) => "but in none of them certainly ahead of all others".to_owned(),
        (1, 1) => "certainly ahead of all others".to_owned(),
        (all, several) if all == several => "in each of them certainly ahead of all others".to_owned(),
        (some, _) => format!("in {some} of them certainly ahead of all others"),
    };
    let next: Vec<String> =
        standings.iter().skip(1).take(2).map(|next| format!("{} {}", next.name, multiple_text(next.mean))).collect();
    let next = if next.is_empty() { String::new() } else { format!(" Then {}.", next.join(", ")) };
    let text = format!("{} the best figure {over}, {certainty}.{next}", multiple_text(first.mean));
    (Some(first.name.to_owned()), text)
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
