//! What stands above and below all figures: where, when, how quiet, with what.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::machine::Machine;
use crate::report::{Noise, Report};
use crate::units::{bytes, significant, whole};

/// A heading and what is to be said of it.
#[derive(Serialize)]
pub(super) struct Fact {
    name: &'static str,
    text: String,
}

fn fact(name: &'static str, text: impl Into<String>) -> Fact {
    Fact { name, text: text.into() }
}

/// Where, when, how much.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let rounds: usize = report.comparisons.iter().map(|comparison| comparison.rounds.len()).sum();
    vec![
        fact("Machine", report.machine.line()),
        fact(
            "Measured",
            format!(
                "{} · {} s in {} comparisons and {} rounds · effort {} · seed {}",
                date(report.began_unix),
                significant(report.measured_s, 3),
                report.comparisons.len(),
                whole(rounds as u64),
                report.effort,
                report.seed
            ),
        ),
    ]
}

/// What the grade means for a reader.
pub(super) fn noise(noise: &Noise) -> String {
    let Some(width) = noise.half_width else {
        return "No twin was measured often enough to say how quiet the machine was.".to_owned();
    };
    let meaning = match noise.grade.as_str() {
        "A" => "quiet: differences of 1 % show",
        "B" => "usual: differences of about 3 % show",
        "C" => "noisy: only differences of about 10 % show",
        _ => "very noisy: only large differences show",
    };
    format!(
        "{meaning}. The reference, measured against itself, is told within {} %; it was taken for another in {} of {} \
         comparisons. Void rounds: {}.",
        significant(100.0 * width, 2),
        noise.aa_flagged,
        noise.aa_total,
        noise.void_rounds
    )
}

/// All that is known of the machine.
pub(super) fn machine(machine: &Machine) -> Vec<Fact> {
    let list = |items: &[String]| if items.is_empty() { "none known".to_owned() } else { items.join("; ") };
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "none known".to_owned());
    let allowed: Vec<String> = machine.allowed.iter().map(ToString::to_string).collect();
    vec![
        fact("Processor", machine.cpu.clone()),
        fact("CPUs", format!("{} online, allowed: {}", machine.cpus, allowed.join(", "))),
        fact("Threads per core", machine.threads_per_core.map_or_else(|| "not known".to_owned(), |n| n.to_string())),
        fact("Caches", list(&machine.caches)),
        fact("Memory", machine.memory_bytes.map_or_else(|| "not known".to_owned(), |size| bytes(size as f64))),
        fact("Kernel", machine.kernel.clone()),
        fact("Hypervisor", known(&machine.hypervisor)),
        fact("Governor", known(&machine.governor)),
        fact("Mitigations", list(&machine.mitigations)),
        fact("Compiler", known(&machine.toolchain)),
        fact(
            "Hardware counters",
            match &machine.hardware_counters_missing {
                Some(why) => format!("absent: {why}"),
                None => "present".to_owned(),
            },
        ),
    ]
}

/// Every contender with the version of its runtime, in the given order.
pub(super) fn versions(report: &Report, contenders: &[&str]) -> Vec<(String, String)> {
    let rows = report.comparisons.iter().flat_map(|comparison| &comparison.contenders);
    let known: BTreeMap<&str, &str> =
        rows.filter(|row| !row.version.is_empty()).map(|row| (row.name.as_str(), row.version.as_str())).collect();
    let version = |name: &str| known.get(name).copied().unwrap_or("not known: it never ran").to_owned();
    contenders.iter().map(|name| ((*name).to_owned(), version(name))).collect()
}

/// A moment as `2026-11-21 06:50 UTC`.
fn date(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = civil(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)
}

/// The date of a day since 1970-01-01, in years that begin in March so that the leap day is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    // 0000-03-01 was 719,468 days before.
    let since = days + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_at_their_turns() {
        let cases = [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_795_243_816, "2026-11-21 06:50 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ];
        for (unix, expected) in cases {
            assert_eq!(date(unix), expected);
        }
    }
}
