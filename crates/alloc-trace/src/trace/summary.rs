//! Reports as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::analysis::{Analysis, Blocks};
use super::format::{BROKEN_CHAIN, END_OF_CHAIN, KINDS, TOO_DEEP, UNKNOWN_STACK};
use super::measure::{Measure, all_stacks};
use super::memory::Memory;
use super::symbols::{Frame, Symbols};

/// Sites in a list, at most.
const TOP: usize = 10;
/// Functions shown of a stack.
const FRAMES: usize = 8;
/// And of Python's, if none is among these.
const PYTHON_FRAMES: usize = 3;

/// What happened, and where most of it.
pub fn summary(analysis: &Analysis, symbols: &mut Symbols) -> String {
    let mut text = heading(analysis);
    let total = &analysis.total;
    let _ = writeln!(
        text,
        "allocated   {} in {} calls, {} blocks given back\npeak        {} in {} blocks, after {}\nleft        {} in {} blocks when the trace ends",
        size(total.bytes),
        total.allocations,
        total.frees,
        size(total.at_peak),
        analysis.blocks_at_peak,
        time(analysis.peak_time),
        size(total.live_bytes),
        total.live,
    );
    if analysis.origin.sampled == 0 {
        let (temporary, share) = (total.temporary, percent(total.temporary, total.allocations));
        let _ = writeln!(
            text,
            "temporary   {temporary} ({share:.1} % of the calls): given back before their thread asked for another"
        );
    }
    if analysis.mapped.calls > 0 {
        let mapped = &analysis.mapped;
        let _ = writeln!(
            text,
            "mapped      {} calls of mmap and its like by the program: {} at the peak, {} left",
            mapped.calls,
            size(mapped.peak_bytes),
            size(mapped.live_bytes)
        );
    }
    memory(&mut text, analysis);
    from_system(&mut text, analysis);
    if analysis.heap_moved != 0 {
        let _ = writeln!(text, "brk         moved by {} bytes by the program itself", analysis.heap_moved);
    }
    python(&mut text, analysis);
    threads(&mut text, analysis);
    reliability(&mut text, analysis);
    for (title, measure) in [
        ("Most at the peak", Measure::Peak),
        ("Most left", Measure::Leaked),
        ("Most calls", Measure::Allocations),
        ("Most temporary", Measure::Temporary),
        ("Most taken from the system", Measure::System),
    ] {
        top(&mut text, analysis, symbols, title, measure);
    }
    text
}

fn heading(analysis: &Analysis) -> String {
    let origin = &analysis.origin;
    let mut command = if origin.arguments.is_empty() { origin.program.clone() } else { origin.arguments.join(" ") };
    if command.chars().count() > 100 {
        command = command.chars().take(99).chain(['…']).collect();
    }
    let mut text = format!(
        "{command}\nprocess {}, parent {}, {} long; trace of {}\n\n",
        origin.process,
        origin.parent,
        time(analysis.end_time),
        size(analysis.file_bytes)
    );
    if let Some(note) = sampled(analysis) {
        let _ = writeln!(text, "sampled     {note}");
    }
    text
}

/// Of a sampled trace, what its figures are.
pub fn sampled(analysis: &Analysis) -> Option<String> {
    let mean = analysis.origin.sampled;
    let note = || {
        format!(
            "one byte in {}: all figures of blocks are estimates, from the {} blocks that hold one",
            size(mean),
            analysis.noted
        )
    };
    (mean > 0).then(note)
}

fn threads(text: &mut String, analysis: &Analysis) {
    let threads = &analysis.context.threads;
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for thread in threads.values() {
        *names.entry(&thread.name).or_default() += 1;
    }
    let mut list: Vec<(&str, u64)> = names.into_iter().collect();
    list.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
    let more = list.len().saturating_sub(6);
    let list: Vec<String> = list
        .into_iter()
        .take(6)
        .map(|(name, count)| if count > 1 { format!("{name} ({count})") } else { name.to_owned() })
        .collect();
    let more = if more > 0 { format!(" and {more} more names") } else { String::new() };
    let _ = writeln!(text, "threads     {}: {}{more}", threads.len(), list.join(", "));
}

/// What the process had of the system.
fn memory(text: &mut String, analysis: &Analysis) {
    let Some(last) = analysis.memory.last() else { return };
    let most = |of: fn(&Memory) -> u64| size(analysis.memory.iter().map(of).max().unwrap_or(0));
    let share = most(|memory| memory.share.unwrap_or(0));
    let (mapped, resident) = (most(|memory| memory.mapped), most(|memory| memory.resident));
    let _ = writeln!(
        text,
        "memory      VIRT {mapped}, RES {resident}, PSS {share} at the most, of {} looks; {} page faults, {} of them from disk",
        analysis.memory.len(),
        last.minor.saturating_add(last.major),
        last.major
    );
}

/// What `malloc` asked the system for.
fn from_system(text: &mut String, analysis: &Analysis) {
    let system = &analysis.system;
    if analysis.total.from_system == 0 {
        return;
    }
    let mut parts = Vec::new();
    if system.grown > 0 {
        parts.push(format!("{} by brk, {} times", size(system.grown_bytes), system.grown));
    }
    if system.mapped > 0 {
        parts.push(format!("{} mapped for {} blocks", size(system.mapped_bytes), system.mapped));
    }
    if system.arenas > 0 {
        parts.push(format!("{} of addresses for {} arenas", size(system.arena_bytes), system.arenas));
    }
    let _ = writeln!(text, "system      malloc took {}", parts.join("; "));
    if system.shrunk + system.unmapped > 0 {
        let _ = writeln!(
            text,
            "            and gave back {} by brk, and the mappings of {} blocks, {}",
            size(system.shrunk_bytes),
            system.unmapped,
            size(system.unmapped_bytes)
        );
    }
}

fn python(text: &mut String, analysis: &Analysis) {
    let python = &analysis.context.python;
    let Some(version) = python.version else { return };
    let objects_too = "; its objects are seen with PYTHONMALLOC=malloc alone";
    let told = match (python.is_readable, version >> 24, version >> 16 & 0xff) {
        (true, major, minor) => {
            let objects = if python.has_objects { ", and every object is noted" } else { "" };
            format!("{major}.{minor}; its functions stand on the stacks{objects}")
        }
        (false, 0, _) => {
            format!(
                "before 3.11: its functions can't be read, for they are not where later ones have them{objects_too}"
            )
        }
        (false, major, minor) => {
            format!(
                "{major}.{minor}: its functions can't be read, for where they are is known of 3.11, 3.12 and 3.13 with a lock alone{objects_too}"
            )
        }
    };
    let _ = writeln!(text, "python      {told}");
}

/// What isn't in the figures.
fn reliability(text: &mut String, analysis: &Analysis) {
    let mut ends = [0_u64; 4];
    for (site, blocks) in analysis.context.sites.iter().zip(&analysis.by_site) {
        ends[usize::from(site.end).min(3)] += blocks.allocations;
    }
    let cut = analysis.total.allocations - ends[END_OF_CHAIN as usize];
    if cut > 0 {
        let _ = writeln!(
            text,
            "stacks      {:.1} % end early: {} where neither frame pointers nor tables lead on, {} after 128 frames, {} on unknown stacks",
            percent(cut, analysis.total.allocations),
            ends[BROKEN_CHAIN as usize],
            ends[TOO_DEEP as usize],
            ends[UNKNOWN_STACK as usize],
        );
    }
    if analysis.strangers() > 0 {
        let _ = writeln!(
            text,
            "strangers   {} blocks given back that are older than the trace, or inherited at fork",
            analysis.strangers()
        );
    }
    if analysis.missed() > 0 {
        let _ = writeln!(text, "missed      {} calls of signal handlers in the midst of another", analysis.missed());
    }
    let changed = analysis.context.modules.changed_since(analysis.origin.began);
    if let [first, ..] = changed[..] {
        let more = if changed.len() > 1 { format!(" and {} more", changed.len() - 1) } else { String::new() };
        let _ = writeln!(
            text,
            "names       may be wrong: {first}{more} was written, replaced or removed since the trace began"
        );
    }
    for damage in analysis.damage.iter().take(TOP) {
        let _ = writeln!(text, "damage      {damage}");
    }
    if analysis.damage.len() > TOP {
        let _ = writeln!(text, "damage      and at {} more places", analysis.damage.len() - TOP);
    }
}

fn top(text: &mut String, analysis: &Analysis, symbols: &mut Symbols, title: &str, measure: Measure) {
    let all = measure.of(&analysis.total);
    let found = all_stacks(analysis, [measure], symbols, |frame| frame);
    let mut found: Vec<(Vec<Frame>, u64)> = found.into_iter().map(|(stack, [weight])| (stack, weight)).collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if found.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for (stack, weight) in found.iter().take(TOP) {
        let share = percent(*weight, all);
        let mut frames = stack.iter().rev();
        let call = frames.next().map_or("unknown", |call| &call.function);
        let _ = writeln!(text, "{:>12}  {share:>5.1} %  {call}", weight_text(*weight, measure));
        let frames: Vec<&Frame> = frames.collect();
        let (first, rest) = frames.split_at(frames.len().min(FRAMES));
        for frame in first {
            told(text, frame);
        }
        // Between the call and Python's functions there may be many of the interpreter's.
        let is_in_first = first.iter().any(|frame| frame.is_python);
        let of_python: Vec<&&Frame> = rest.iter().filter(|frame| frame.is_python && !is_in_first).collect();
        if !rest.is_empty() {
            let among = if of_python.is_empty() { "" } else { ", of these Python's" };
            let _ = writeln!(text, "{:24}and {} more{among}", "", rest.len());
        }
        for frame in of_python.iter().take(PYTHON_FRAMES) {
            told(text, frame);
        }
    }
}

/// A function of a stack, with its place.
fn told(text: &mut String, frame: &Frame) {
    let line = format!("{:24}{}  {}", "", frame.function, frame.place());
    let _ = writeln!(text, "{}", line.trim_end());
}

/// Figures alone: calls by kind and by size.
pub fn stats(analysis: &Analysis) -> String {
    let mut text = heading(analysis);
    let mut kinds = [Blocks::default(); KINDS.len()];
    for (site, blocks) in analysis.context.sites.iter().zip(&analysis.by_site) {
        let kind = &mut kinds[usize::from(site.kind)];
        kind.allocations += blocks.allocations;
        kind.bytes = kind.bytes.saturating_add(blocks.bytes);
        kind.live_bytes = kind.live_bytes.saturating_add(blocks.live_bytes);
    }
    let _ = writeln!(text, "{:<16} {:>12} {:>12} {:>12}", "call", "calls", "bytes", "left");
    for (name, kind) in KINDS.iter().zip(kinds).filter(|(_, kind)| kind.allocations > 0) {
        let (calls, bytes, left) = (kind.allocations, size(kind.bytes), size(kind.live_bytes));
        let _ = writeln!(text, "{name:<16} {calls:>12} {bytes:>12} {left:>12}");
    }
    let _ = writeln!(text, "\n{:<16} {:>12}", "bytes, at most", "calls");
    let most = analysis.sizes.values().copied().max().unwrap_or(1).max(1);
    for (&limit, &calls) in &analysis.sizes {
        let bar = "#".repeat((calls as f64 / most as f64 * 50.0).ceil() as usize);
        let _ = writeln!(text, "{limit:<16} {calls:>12}  {bar}");
    }
    let pairs = analysis.total.frees.max(1);
    let _ = writeln!(
        text,
        "\n{} sites, {} threads, {:.2} bytes of trace a block given back",
        analysis.context.sites.len() - 1,
        analysis.context.threads.len(),
        analysis.file_bytes as f64 / pairs as f64
    );
    text
}

/// What is different in a second trace, from the [`stacks`](super::stacks) of both: by how much each grew or shrank.
pub fn difference(old: &BTreeMap<Vec<String>, u64>, new: &BTreeMap<Vec<String>, u64>, measure: Measure) -> String {
    let mut changes: BTreeMap<&Vec<String>, i128> = BTreeMap::new();
    for (stack, &weight) in new {
        *changes.entry(stack).or_default() += i128::from(weight);
    }
    for (stack, &weight) in old {
        *changes.entry(stack).or_default() -= i128::from(weight);
    }
    let mut changes: Vec<_> = changes.into_iter().filter(|&(_, change)| change != 0).collect();
    changes.sort_by_key(|&(stack, change)| (std::cmp::Reverse(change.abs()), stack));
    let [from, to] = [old, new].map(|stacks| stacks.values().fold(0, |sum: u64, &weight| sum.saturating_add(weight)));
    let mut text = format!(
        "{} before, {} after: {}\n",
        weight_text(from, measure),
        weight_text(to, measure),
        signed(i128::from(to) - i128::from(from), measure)
    );
    for (stack, change) in changes.iter().take(TOP * 2) {
        let _ = writeln!(text, "{:>13}  {}", signed(*change, measure), stack.last().map_or("unknown", String::as_str));
        for name in stack.iter().rev().skip(1).take(FRAMES) {
            let _ = writeln!(text, "{:15}{name}", "");
        }
    }
    if changes.is_empty() {
        text.push_str("No site differs.\n");
    }
    text
}

fn signed(change: i128, measure: Measure) -> String {
    let sign = if change < 0 { '-' } else { '+' };
    format!("{sign}{}", weight_text(u64::try_from(change.abs()).unwrap_or(u64::MAX), measure))
}

fn weight_text(weight: u64, measure: Measure) -> String {
    if measure.is_bytes() { size(weight) } else { weight.to_string() }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        10_485_760..10_737_418_240 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// Nanoseconds for people.
fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..10_000_000 => format!("{:.1} us", nanoseconds as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.1} s", nanoseconds as f64 / 1e9),
    }
}
