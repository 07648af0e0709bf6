//! Looking at any process: its map, its figures, what has changed, who shares.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use mmap_demo::{Detail, MemorySnapshot, Process, RegionMap};
use serde::de::DeserializeOwned;

use crate::lab::Failure;
use crate::{deliver, file};

const DETAILS: [(&str, Detail); 3] = [("sizes", Detail::Sizes), ("kinds", Detail::Kinds), ("sharing", Detail::Sharing)];
/// Of more processes that share a file no more are named.
const NAMED: usize = 8;

pub(crate) fn commands() -> [Command; 2] {
    let pid =
        Arg::new("pid").value_name("PID").value_parser(value_parser!(u32)).help("Whose; this one's own if left out");
    let json = file("json", "Write what is now as JSON to F; `-` prints it in place of the text");
    let since = file("since", "Print what has changed since F, which --json has written");
    let after = Arg::new("after")
        .long("after")
        .value_name("SECONDS")
        .value_parser(value_parser!(f64))
        .conflicts_with("since")
        .help("Look twice, so many seconds apart, and print what has changed");
    let map = Command::new("map")
        .about("The address space of a process, and what of it is in memory; with whom it is shared, what has changed")
        .args([pid.clone(), json.clone(), file("svg", "Write the picture to F"), since.clone(), after.clone()])
        .arg(
            Arg::new("sharers")
                .long("sharers")
                .action(ArgAction::SetTrue)
                .help("Print which other processes have the same files mapped, and how much of them is in the page cache"),
        )
        .after_help(
            "Examples: mmap-demo map $(pidof cat) --svg cat.svg\n          mmap-demo map $(pidof cat) --sharers\n          \
             mmap-demo map $(pidof cat) --json before.json\n          mmap-demo map $(pidof cat) --since before.json",
        );
    let detail = Arg::new("detail")
        .long("detail")
        .value_name("DETAIL")
        .value_parser(DETAILS.map(|(name, _)| name))
        .default_value("sharing")
        .help("How much to look at, and so what it costs");
    let snapshot = Command::new("snapshot")
        .about("The figures of a process's memory, what it cost to read them, and what has changed")
        .args([pid, json, since, after, detail])
        .after_help(
            "Examples: mmap-demo snapshot $(pidof cat) --detail kinds\n          mmap-demo snapshot $(pidof cat) --after 10\n          \
             mmap-demo snapshot $(pidof cat) --json before.json\n          \
             mmap-demo snapshot $(pidof cat) --since before.json",
        );
    [map, snapshot]
}

pub(crate) fn map(matches: &ArgMatches) -> Result<(), Failure> {
    let process = process(matches)?;
    let before = earlier(matches, || Ok(RegionMap::of(&process)?), |map| map.pid)?;
    let map = RegionMap::of(&process)?;
    let text = match before {
        Some(before) => changes(&map.since(&before).to_string()),
        None if matches.get_flag("sharers") => sharers(&map),
        None => {
            let snapshot = MemorySnapshot::of(&process, Detail::Sharing)?;
            format!("{}\n{snapshot}", map.picture(columns()))
        }
    };
    deliver(matches, || text, || serde_json::to_string_pretty(&map), || map.svg())
}

pub(crate) fn snapshot(matches: &ArgMatches) -> Result<(), Failure> {
    let process = process(matches)?;
    let named = matches.get_one::<String>("detail");
    let detail = DETAILS.into_iter().find(|(name, _)| named.is_some_and(|named| named == name));
    let detail = detail.map_or(Detail::Sharing, |(_, detail)| detail);
    let take = || Ok(MemorySnapshot::of(&process, detail)?);
    let before = earlier(matches, take, |snapshot| snapshot.pid)?;
    let now = take()?;
    let text = if let Some(before) = before {
        changes(&now.since(&before).to_string())
    } else {
        let costs = mmap_demo::Source::ALL.into_iter().filter_map(|source| Some((source, now.cost(source)?)));
        let costs: Vec<String> = costs.map(|(source, cost)| format!("{} {cost:.1?}", source.file())).collect();
        format!("{now}read in: {}\n", costs.join(", "))
    };
    deliver(matches, || text, || serde_json::to_string_pretty(&now), String::new)
}

fn process(matches: &ArgMatches) -> Result<Process, Failure> {
    Ok(match matches.get_one::<u32>("pid") {
        Some(&pid) => Process::of(pid)?,
        None => Process::own()?,
    })
}

/// What to compare with, if that was asked for: of a file, or of now, and then it waits.
fn earlier<T: DeserializeOwned>(
    matches: &ArgMatches,
    take: impl Fn() -> Result<T, Failure>,
    pid: impl Fn(&T) -> u32,
) -> Result<Option<T>, Failure> {
    if let Some(path) = matches.get_one::<PathBuf>("since") {
        let earlier: T = read(path)?;
        let (then, now) = (pid(&earlier), matches.get_one::<u32>("pid").copied());
        return match now {
            Some(now) if now != then => {
                let path = path.display();
                Err(Failure::File(format!("{path} is of process {then}, and not of {now}: they can't be compared")))
            }
            _ => Ok(Some(earlier)),
        };
    }
    let Some(&seconds) = matches.get_one::<f64>("after") else { return Ok(None) };
    let wait = Duration::try_from_secs_f64(seconds);
    let wait = wait.map_err(|error| Failure::File(format!("--after {seconds}: {error}")))?;
    let earlier = take()?;
    std::thread::sleep(wait);
    Ok(Some(earlier))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::File(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    serde_json::from_str(&text).map_err(|error| failed(&error))
}

fn changes(text: &str) -> String {
    if text.is_empty() { "nothing has changed\n".to_owned() } else { text.to_owned() }
}

/// A line for each file that is mapped: by how many others, and which.
fn sharers(map: &RegionMap) -> String {
    let sharers = map.sharers();
    let mut files: BTreeMap<&str, (u64, Option<u64>, Vec<u32>)> = BTreeMap::new();
    for region in map.regions.iter().filter(|region| region.file.is_some()) {
        let (shared, cached, others) = files.entry(&region.name).or_default();
        *shared += region.shared;
        if let Some(bytes) = region.cached() {
            *cached.get_or_insert(0) += bytes;
        }
        if others.is_empty() {
            others.extend(sharers.of(region));
        }
    }
    let mut text = format!("{:>7} {:>11} {:>11}  file, and who has it, too\n", "others", "shared", "cached");
    for (name, (shared, cached, others)) in files {
        let named: Vec<String> = others.iter().take(NAMED).map(|&pid| named(pid)).collect();
        let more = others.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        // A file's name could tell a terminal to do things.
        let name: String = name.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
        let shared = format!("{} KiB", shared >> 10);
        let others_of = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
        let cached = cached.map_or_else(|| "?".to_owned(), |cached| format!("{} KiB", cached >> 10));
        let _ = writeln!(text, "{:>7} {shared:>11} {cached:>11}  {name}{others_of}", others.len());
    }
    if sharers.unseen > 0 {
        let _ = writeln!(text, "missing: the mappings of {} other processes may not be seen", sharers.unseen);
    }
    text
}

/// `cat (1234)`
fn named(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name: String = name.trim_end().chars().filter(|letter| !letter.is_control()).collect();
    format!("{name} ({pid})")
}

/// As wide as the terminal says it is, or a page.
fn columns() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(140)
}
