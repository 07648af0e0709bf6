//! Tables for Markdown.

use std::fmt::Write;

use super::{
    behaviour, cpu_ratio, cpu_text, figure, figure_heading, figure_text, footer, mark, missing, ratio_text, sorted,
    switches_per_1k, tally, title, word,
};
use crate::report::{Comparison, Kind, Report, Status};
use crate::units::significant;

/// The whole report.
pub fn report(report: &Report) -> String {
    let mut text = format!("# {}\n\n", if report.partial { "Comparison (partial)" } else { "Comparison" });
    let noise = &report.noise;
    let _ = writeln!(text, "- Machine: {}", report.machine.line());
    let _ = writeln!(
        text,
        "- Noise: {} ({} of {} twins told from their reference, {} void rounds)",
        noise.grade, noise.aa_flagged, noise.aa_total, noise.void_rounds
    );
    let _ = writeln!(
        text,
        "- Run again: `{}` (seed {}, {:.0} s measured)\n",
        report.command, report.seed, report.measured_s
    );
    for comparison in &report.comparisons {
        text += &comparison_table(comparison);
    }
    if !report.claims.is_empty() {
        let _ = writeln!(text, "## Claims: {}\n\n| | claim | measured here |\n|---|---|---|", tally(&report.claims));
        for claim in &report.claims {
            let (sign, name) = mark(claim.verdict);
            let _ = writeln!(text, "| {sign} {name} | {} | {} |", cell(&claim.text), cell(&claim.why));
        }
        for claim in report.claims.iter().filter(|claim| claim.legs.len() > 3) {
            let _ = writeln!(text, "\n### {}\n", claim.text);
            for leg in &claim.legs {
                let _ = writeln!(text, "- {} {}", mark(leg.verdict).0, leg.sentence());
            }
        }
    }
    text
}

/// One comparison.
pub fn comparison_table(comparison: &Comparison) -> String {
    let mut text = format!("## {}\n\n", title(comparison));
    if let Some(problem) = comparison.error.as_ref().or(comparison.note.as_ref()) {
        let _ = writeln!(text, "{problem}\n");
        return text;
    }
    if comparison.kind == Kind::Behaviour {
        text += &behaviour_table(comparison);
        let _ = writeln!(text, "\n{}\n", footer(comparison));
        return text;
    }
    let _ = writeln!(
        text,
        "| contender | {} | vs {} | | CPU | CPU vs {} | switches/1k | x floor |\n|---|---:|---|---|---:|---|---:|---:|",
        figure_heading(comparison),
        comparison.reference,
        comparison.reference
    );
    for row in sorted(comparison) {
        if row.status != Status::Ok || figure(comparison, row).is_none() {
            let _ = writeln!(text, "| {} | | {} | | | | | |", row.name, cell(&missing(row)));
            continue;
        }
        let ratio = row.ratio.get(&comparison.metric);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            figure_text(comparison, row).unwrap_or_default(),
            ratio.map_or_else(|| "1".to_owned(), ratio_text),
            ratio.map_or_else(String::new, |ratio| word(comparison, ratio)),
            cpu_text(row),
            cpu_ratio(row).map_or_else(|| "1".to_owned(), ratio_text),
            switches_per_1k(row).map_or_else(String::new, |count| format!("{count:.1}")),
            row.floor_multiple.map_or_else(String::new, |multiple| significant(multiple, 3)),
        );
    }
    if let Some(headline) = &comparison.headline {
        let _ = writeln!(text, "\n{}. ", headline.text);
    }
    let _ = writeln!(text, "\n{}\n", footer(comparison));
    text
}

fn behaviour_table(comparison: &Comparison) -> String {
    let table = behaviour(comparison);
    let mut text =
        format!("| contender | {} | |\n|---|{}---|\n", table.headings.join(" | "), "---|".repeat(table.headings.len()));
    for (name, values) in &table.rows {
        let _ = writeln!(text, "| {name} | {} | |", values.join(" | "));
    }
    for (name, why) in &table.missing {
        let _ = writeln!(text, "| {name} | {}{} |", "| ".repeat(table.headings.len()), cell(why));
    }
    text
}

/// Text that may stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
