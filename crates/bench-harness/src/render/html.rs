//! One page, one file: everything a report says, for a browser that need not be online.

mod answer;
mod claims;
mod counters;
mod curves;
mod forest;
mod heat;
mod latency;
mod memory;
mod multiples;
mod scale;
mod section;
mod strip;
mod svg;
mod top;
mod uses;

use minijinja::Environment;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::plan::FLOOR;
use crate::report::Report;

/// Names ending in `.html` are escaped.
const TEMPLATE: &str = "page.html";

/// What the template is filled with.
#[derive(Serialize)]
struct Page {
    css: Value,
    script: Value,
    subject: String,
    partial: bool,
    command: String,
    grade: String,
    noise: String,
    facts: Vec<top::Fact>,
    overall: String,
    answers: Vec<answer::Answer>,
    heat: heat::Heat,
    groups: Vec<Group>,
    tally: String,
    claims: Vec<claims::Card>,
    machine: Vec<top::Fact>,
    versions: Vec<(String, String)>,
}

/// The comparisons about one kind of work.
#[derive(Serialize)]
struct Group {
    id: String,
    title: String,
    sections: Vec<section::Section>,
}

/// The whole report as one HTML file that loads nothing.
///
/// # Panics
/// Never: the template is part of this crate, and every test renders it.
pub fn report(report: &Report) -> String {
    let contenders = contenders(report);
    let ids = ids(report);
    let rank = |name: &str| contenders.iter().position(|known| *known == name).unwrap_or(0);
    let subject = subject(report);
    let (overall, answers) = answer::answers(report, subject);
    let groups = uses::grouped(&report.comparisons).into_iter().map(|(kind, comparisons)| Group {
        id: kind.id,
        title: kind.title,
        sections: comparisons
            .into_iter()
            .map(|(index, comparison)| {
                let mut section = section::section(comparison, &ids[index], &rank, subject);
                // Alone it has been asked for, with more than its name, perhaps.
                if report.comparisons.len() == 1 {
                    section.command.clone_from(&report.command);
                }
                section
            })
            .collect(),
    });
    let page = Page {
        css: Value::from_safe_string(include_str!("html/page.css").to_owned()),
        script: Value::from_safe_string(include_str!("html/page.js").to_owned()),
        subject: subject.to_owned(),
        partial: report.partial,
        command: report.command.clone(),
        grade: report.noise.grade.clone(),
        noise: top::noise(&report.noise),
        facts: top::facts(report),
        overall,
        answers,
        heat: heat::heat(report, &contenders, &ids),
        groups: groups.collect(),
        tally: super::tally(&report.claims),
        claims: claims::cards(&report.claims),
        machine: top::machine(&report.machine),
        versions: top::versions(report, &contenders),
    };
    let mut environment = Environment::new();
    environment.add_template(TEMPLATE, include_str!("html/page.html")).expect("the template is well-formed");
    let template = environment.get_template(TEMPLATE).expect("it was just added");
    template.render(Serde(page)).expect("the template asks for nothing that is not there")
}

/// What is compared: its command says so, as in `compare-allocators`.
fn subject(report: &Report) -> &str {
    let compared = report.command.split_whitespace().find_map(|word| word.strip_prefix("compare-")?.strip_suffix('s'));
    compared.unwrap_or("runtime")
}

/// Everybody who takes part anywhere, in the order of their first appearance; variants of one runtime and the floor last.
fn contenders(report: &Report) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let rivals = report.comparisons.iter().filter(|comparison| !comparison.varies_one());
    for row in rivals.flat_map(|comparison| &comparison.contenders) {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    names.sort_by_key(|name| (*name == FLOOR, name.contains('@')));
    names
}

/// A name for every comparison's section, fit for links and told from all others.
fn ids(report: &Report) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for comparison in &report.comparisons {
        let plain = format!("{} {}", comparison.workload, comparison.placement.name());
        let mut id: String = plain
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
            .collect();
        id.insert_str(0, "w-");
        while ids.contains(&id) {
            id.push('x');
        }
        ids.push(id);
    }
    ids
}
