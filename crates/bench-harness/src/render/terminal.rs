//! Tables for a terminal.

use std::fmt::Write;

use super::{
    behaviour, cpu_text, figure, figure_heading, figure_text, footer, mark, missing, ratio_text, sorted,
    switches_per_1k, tally, title, word,
};
use crate::change::Changes;
use crate::report::{Comparison, ContenderResult, Kind, Report, Status, Verdict};
use crate::units::significant;

/// The longest bar, in characters.
const BAR: usize = 20;
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

/// The whole report, with colours as ANSI sequences (strip them where nobody can see them).
pub fn report(report: &Report) -> String {
    let mut text = String::new();
    for comparison in &report.comparisons {
        text += &comparison_table(comparison);
        text.push('\n');
    }
    text += &claims(report);
    text += &machine_line(report);
    text
}

/// Machine and noise, one line each.
pub fn machine_line(report: &Report) -> String {
    let noise = &report.noise;
    let width = noise
        .half_width
        .map_or_else(String::new, |width| format!(": twins within {} %", significant(100.0 * width, 2)));
    let mut text = format!("Machine  {}\n", report.machine.line());
    let _ = writeln!(
        text,
        "Noise    {}{width} · false alarms {} of {} twins · void rounds {} · {} s measured{}",
        noise.grade,
        noise.aa_flagged,
        noise.aa_total,
        noise.void_rounds,
        significant(report.measured_s, 3),
        if report.partial { " · PARTIAL: interrupted" } else { "" }
    );
    text
}

/// One comparison.
pub fn comparison_table(comparison: &Comparison) -> String {
    let mut text = format!("{BOLD}{}{RESET}\n", title(comparison));
    if let Some(problem) = comparison.error.as_ref().or(comparison.note.as_ref()) {
        let _ = writeln!(text, "  {problem}");
        return text;
    }
    if comparison.kind == Kind::Behaviour {
        text += &behaviour_table(comparison);
        let _ = writeln!(text, "  {DIM}{}{RESET}", footer(comparison));
        return text;
    }
    let rows = sorted(comparison);
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(9);
    let heading = figure_heading(comparison);
    let versus = format!("vs {}", comparison.reference);
    let _ = writeln!(
        text,
        "  {DIM}{:<width$}  {heading:>12}  {:BAR$}  {versus:<22} {:>10}  {:>11}  {:>8}{RESET}",
        "contender", "", "CPU", "switches/1k", "x floor"
    );
    let scale = bar_scale(comparison, &rows);
    for row in rows {
        text += &row_line(comparison, row, width, scale);
    }
    if let Some(headline) = &comparison.headline {
        let _ = writeln!(text, "  {}", headline.text);
    }
    let _ = writeln!(text, "  {DIM}{}{RESET}", footer(comparison));
    text
}

/// What happens at all: a column a value.
fn behaviour_table(comparison: &Comparison) -> String {
    let table = behaviour(comparison);
    let width = comparison.contenders.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(9);
    let mut text = format!("  {DIM}{:<width$}", "contender");
    for heading in &table.headings {
        let _ = write!(text, "  {heading:>14}");
    }
    let _ = writeln!(text, "{RESET}");
    for (name, values) in &table.rows {
        let cells: Vec<String> = values.iter().map(|value| format!("  {value:>14}")).collect();
        let _ = writeln!(text, "  {name:<width$}{}", cells.concat());
    }
    for (name, why) in &table.missing {
        let _ = writeln!(text, "  {name:<width$}  {DIM}{why}{RESET}");
    }
    text
}

fn row_line(comparison: &Comparison, row: &ContenderResult, width: usize, scale: f64) -> String {
    let (Status::Ok, Some(value)) = (row.status, figure(comparison, row)) else {
        let colour = if row.status == Status::Failed { RED } else { DIM };
        return format!("  {:<width$}  {colour}{}{RESET}\n", row.name, missing(row));
    };
    let ratio = row.ratio.get(&comparison.metric);
    let (versus, verdict) = match ratio {
        Some(ratio) => (ratio_text(ratio), word(comparison, ratio)),
        None if row.name == comparison.reference => ("1".to_owned(), String::new()),
        None => ("too few rounds".to_owned(), String::new()),
    };
    let colour = match verdict.as_str() {
        "faster" | "lower" => GREEN,
        "slower" | "higher" => RED,
        _ => DIM,
    };
    let floor = row.floor_multiple.map_or_else(|| "-".to_owned(), |multiple| significant(multiple, 3));
    let switches = switches_per_1k(row).map_or_else(|| "-".to_owned(), significant_or_zero);
    let flat = if row.not_flat > 0 { format!(" (still warming up in {} rounds)", row.not_flat) } else { String::new() };
    format!(
        "  {:<width$}  {:>12}  {}  {versus:<22} {:>10}  {switches:>11}  {floor:>8}  {colour}{verdict}{RESET}{flat}\n",
        row.name,
        figure_text(comparison, row).unwrap_or_default(),
        bar(value / scale),
        cpu_text(row),
    )
}

fn significant_or_zero(count: f64) -> String {
    if count < 0.05 { "0".to_owned() } else { significant(count, 3) }
}

/// What a full bar stands for: the largest figure, but not more than 24 times the reference's, or small ones would vanish.
fn bar_scale(comparison: &Comparison, rows: &[&ContenderResult]) -> f64 {
    let ok = || rows.iter().filter(|row| row.status == Status::Ok);
    let largest = ok().filter_map(|row| figure(comparison, row)).fold(0.0, f64::max);
    let reference = ok().find(|row| row.name == comparison.reference).and_then(|row| figure(comparison, row));
    reference.map_or(largest, |reference| largest.min(24.0 * reference)).max(f64::MIN_POSITIVE)
}

/// A bar of eighths; beyond the scale it ends in an arrow.
fn bar(share: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if share > 1.0 + 1e-9 {
        return format!("{}▸", "█".repeat(BAR - 1));
    }
    let eighths = ((share * (BAR * 8) as f64).round() as usize).clamp(1, BAR * 8);
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8]);
    }
    format!("{text:<BAR$}")
}

/// The claims, each with its verdict and why.
pub fn claims(report: &Report) -> String {
    if report.claims.is_empty() {
        return String::new();
    }
    let mut text = format!("{BOLD}Claims{RESET}   {}\n", tally(&report.claims));
    for claim in &report.claims {
        let (sign, _) = mark(claim.verdict);
        let colour = match claim.verdict {
            Verdict::Confirmed => GREEN,
            Verdict::Refuted => RED,
            _ => DIM,
        };
        let _ = writeln!(text, "  {colour}{sign}{RESET} {}\n      {}", claim.text, claim.why);
        if claim.legs.len() > 3 {
            for leg in &claim.legs {
                let _ = writeln!(text, "      {DIM}{} {}{RESET}", mark(leg.verdict).0, leg.sentence());
            }
        }
    }
    text.push('\n');
    text
}

/// What changed since another report.
pub fn changes(changes: &Changes, since: &str) -> String {
    let changed: Vec<_> = changes.changes.iter().filter(|change| change.changed).collect();
    let mut text = format!(
        "{BOLD}Since {since}{RESET}   {} of {} ratios changed (95 % intervals, at most 5 % false over all)\n",
        changed.len(),
        changes.changes.len()
    );
    for change in changed {
        let colour = if change.estimate < 1.0 { GREEN } else { RED };
        let percent = |ratio: f64| format!("{:+.1}", 100.0 * (ratio - 1.0));
        let _ = writeln!(
            text,
            "  {} · {}  {}  {colour}{} % [{}, {}]{RESET} against {}",
            change.workload,
            change.placement.name(),
            change.contender,
            percent(change.estimate),
            percent(change.low),
            percent(change.high),
            change.reference
        );
    }
    if !changes.changes.is_empty() {
        let _ = writeln!(
            text,
            "  {DIM}The intervals cover rounds, not sessions: two runs of one program can differ by a few per cent by themselves, and a new \
             build lays code out anew.{RESET}"
        );
    }
    for reason in &changes.left_out {
        let _ = writeln!(text, "  {DIM}left out: {reason}{RESET}");
    }
    text
}
