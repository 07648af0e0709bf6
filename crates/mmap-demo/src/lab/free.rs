//! What three allocators give back of what was freed: each a program of its own, of the package `allocators`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::outcome::{Findings, Outcome, Step, Verdict};
use super::{Failure, Trying};

/// What the programs allocate and free, MiB.
const TOTAL: u64 = 64;
const PROGRAMS: [&str; 3] = ["free-glibc", "free-jemalloc", "free-mimalloc"];
const QUESTION: &str = "What do three allocators give back of what was freed?";
/// When they look, and how they call it.
const MOMENTS: [(&str, &str); 2] =
    [("sparse_", "64 MiB, all but one KiB in a hundred freed"), ("", "all of them freed")];

/// What a program prints, percent of what was allocated.
type Found = BTreeMap<String, f64>;

/// What one of the programs finds, or the reason why not. They are looked for where this one is: so `cargo` puts them.
fn found(name: &str) -> Result<Found, Failure> {
    let program = std::env::current_exe().trying("to find this program")?.with_file_name(name);
    if !program.is_file() {
        let release = if cfg!(debug_assertions) { "" } else { " --release" };
        let folder = program.parent().unwrap_or(Path::new("")).display();
        let why = format!("{name} is not in {folder}: `cargo build{release} --package allocators` puts it there");
        return Err(Failure::NotHere { reason: "not_built", why });
    }
    let output = Command::new(&program).arg("--print").output().trying("to start a program beside this one")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    Ok(text.lines().filter_map(figure).collect())
}

#[allow(clippy::unnecessary_wraps, reason = "all walks have this form")]
pub(super) fn walk() -> Result<Outcome, Failure> {
    let all = PROGRAMS.map(|name| (name, found(name)));
    let mut steps = Vec::new();
    for (name, found) in &all {
        let allocator = name.trim_start_matches("free-");
        let Ok(found) = found else { continue };
        for (prefix, moment) in MOMENTS {
            let bytes = |what: &str| {
                let percent = found.get(&format!("{prefix}{what}_percent")).copied().unwrap_or(0.0);
                (percent / 100.0 * (TOTAL << 20) as f64) as u64
            };
            steps.push(Step {
                what: format!("{allocator}: {moment}"),
                mapped: bytes("mapped"),
                resident: bytes("resident"),
                // What an allocator reserves before its first request is in neither.
                note: "beyond what the program began with".to_owned(),
            });
        }
    }
    let judged = |claim: &str, name: &str, holds: &dyn Fn(f64, f64) -> bool| {
        let Some((_, found)) = all.iter().find(|(other, _)| *other == name) else {
            return Verdict::skipped(claim, "no such program");
        };
        match found {
            Err(Failure::NotHere { reason, why }) => Verdict::skipped_because(claim, reason, why),
            Err(failure) => Verdict::skipped(claim, &failure.to_string()),
            Ok(found) => {
                let figure = |name: &str| found.get(name).copied().unwrap_or(f64::NAN);
                let [mapped, resident] = ["mapped_percent", "resident_percent"].map(figure);
                let why = format!("of 64 MiB freed {mapped} % are still mapped, {resident} % still resident");
                Verdict::of(claim, holds(mapped, resident), why)
            }
        }
    };
    let verdicts = vec![
        judged("glibc gives it back when all is freed", "free-glibc", &|_, resident| resident <= 20.0),
        judged("jemalloc keeps memory for reuse instead of unmapping it", "free-jemalloc", &|mapped, resident| {
            mapped >= 80.0 && resident >= 80.0
        }),
        judged("mimalloc keeps it resident", "free-mimalloc", &|_, resident| resident >= 80.0),
    ];
    Ok(Outcome::new("free", QUESTION, Findings::Steps(steps), verdicts))
}
