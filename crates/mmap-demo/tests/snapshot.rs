//! Figures of a process that stands still, beside `/proc` and beside `ps` and `pmap`.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mmap_demo::{Detail, Figure, MemorySnapshot, Process, ProcessError, Source, Timeline, Unit};

/// A process that sleeps, and so has the same figures for everybody who looks. It ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let sleeper = Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap());
        // It stands still once it sleeps: state S with its own name, not the one it was forked from.
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.0.id())).unwrap();
            let wchan = std::fs::read_to_string(format!("/proc/{}/syscall", sleeper.0.id()));
            let asleep = wchan.map_or(true, |call| call.starts_with(&format!("{} ", libc::SYS_clock_nanosleep)));
            if stat.contains("(sleep) S") && asleep {
                return sleeper;
            }
            std::thread::yield_now();
        }
    }

    fn process(&self) -> Process {
        Process::of(self.0.id()).unwrap()
    }

    fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot::of(&self.process(), Detail::Sharing).unwrap()
    }

    /// A snapshot, and what somebody else sees in the same state. The process sleeps, but its share of the C library changes when another one
    /// that has it begins or ends, and the kernel may take back a page of a file.
    fn beside<T>(&self, look: impl Fn() -> T) -> (MemorySnapshot, T) {
        loop {
            let before = self.snapshot();
            let seen = look();
            if self.snapshot().iter().eq(before.iter()) {
                return (before, seen);
            }
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a tool prints; `None` where there is no such tool, unless `LAB_REQUIRE` names it.
fn output_of(tool: &str, arguments: &[&str]) -> Option<String> {
    if let Ok(output) = Command::new(tool).args(arguments).output() {
        return Some(String::from_utf8(output.stdout).unwrap());
    }
    let required = std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split_whitespace().any(|one| one == tool));
    assert!(!required, "there is no {tool}, and LAB_REQUIRE wants it");
    eprintln!("SKIPPED: no {tool}");
    None
}

#[test]
fn every_figure_is_the_one_that_proc_has() {
    let sleeper = Sleeper::start();
    let (snapshot, files) = sleeper.beside(|| {
        let read = |name| (name, std::fs::read_to_string(format!("/proc/{}/{name}", sleeper.0.id())).unwrap());
        HashMap::from(["statm", "stat", "status", "smaps_rollup", "maps"].map(read))
    });
    let file = |name: &str| files[name].as_str();
    let page = rustix::param::page_size() as u64;
    let numbers = |text: &str| text.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect::<Vec<u64>>();
    let statm = numbers(file("statm"));
    let stat = numbers(file("stat"));
    let mut expected: HashMap<Figure, u64> = HashMap::from([
        (Figure::Virtual, statm[0] * page),
        (Figure::Resident, statm[1] * page),
        (Figure::Shareable, statm[2] * page),
        (Figure::Code, statm[3] * page),
        (Figure::Data, statm[5] * page),
        // Fields 10 and 12 of proc(5), which counts from 1.
        (Figure::MinorFaults, stat[9]),
        (Figure::MajorFaults, stat[11]),
    ]);
    let keys = [
        ("status", "VmPeak", Figure::PeakVirtual),
        ("status", "VmHWM", Figure::PeakResident),
        ("status", "RssAnon", Figure::ResidentAnonymous),
        ("status", "RssFile", Figure::ResidentFile),
        ("status", "RssShmem", Figure::ResidentShared),
        ("status", "VmStk", Figure::Stack),
        ("status", "VmPTE", Figure::PageTables),
        ("status", "VmSwap", Figure::Swapped),
        ("status", "HugetlbPages", Figure::HugeTlb),
        ("status", "Threads", Figure::Threads),
        ("smaps_rollup", "Rss", Figure::ResidentExact),
        ("smaps_rollup", "Referenced", Figure::Referenced),
        ("smaps_rollup", "Anonymous", Figure::Anonymous),
        ("smaps_rollup", "LazyFree", Figure::LazyFree),
        ("smaps_rollup", "AnonHugePages", Figure::HugeAnonymous),
        ("smaps_rollup", "ShmemPmdMapped", Figure::HugeShared),
        ("smaps_rollup", "FilePmdMapped", Figure::HugeFile),
        ("smaps_rollup", "SwapPss", Figure::SwappedProportional),
        ("smaps_rollup", "Locked", Figure::Locked),
    ];
    for (name, key, figure) in keys {
        let scale = if figure.unit() == Unit::Bytes { 1024 } else { 1 };
        expected.insert(figure, number_of(file(name), key) * scale);
    }
    let heap = file("maps").lines().filter(|line| line.contains("[heap]")).map(extent).sum();
    expected.insert(Figure::Heap, heap);
    // How the pages are divided among these is for other processes to change, and only in sum for this one alone.
    let divided = [
        [("Shared_Clean", Figure::SharedClean), ("Private_Clean", Figure::PrivateClean)],
        [("Shared_Dirty", Figure::SharedDirty), ("Private_Dirty", Figure::PrivateDirty)],
    ];
    for pair in divided {
        let theirs: u64 = pair.iter().map(|(key, _)| number_of(file("smaps_rollup"), key) * 1024).sum();
        assert_eq!(pair.iter().map(|(_, figure)| snapshot.get(*figure).unwrap()).sum::<u64>(), theirs, "{pair:?}");
    }
    let others = divided.as_flattened().iter().map(|(_, figure)| *figure).chain([Figure::Proportional]);
    let others: Vec<Figure> = others.collect();
    for figure in Figure::ALL.into_iter().filter(|figure| !others.contains(figure)) {
        assert_eq!(snapshot.get(figure), expected.get(&figure).copied(), "{figure:?}");
    }
    assert!(snapshot.get(Figure::Proportional).unwrap() <= snapshot.get(Figure::ResidentExact).unwrap());
    assert_eq!(snapshot.missing().count(), 0);
    assert!(Source::ALL.into_iter().all(|source| snapshot.cost(source).is_some()));
}

fn number_of(text: &str, key: &str) -> u64 {
    let line = text.lines().find(|line| line.split(':').next() == Some(key));
    line.unwrap_or_else(|| panic!("no {key}: {text}")).split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn extent(line: &str) -> u64 {
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    u64::from_str_radix(end, 16).unwrap() - u64::from_str_radix(start, 16).unwrap()
}

#[test]
fn ps_says_the_same() {
    let sleeper = Sleeper::start();
    let pid = sleeper.0.id().to_string();
    let (snapshot, line) = sleeper.beside(|| output_of("ps", &["-o", "vsz=,rss=,min_flt=,maj_flt=,nlwp=", "-p", &pid]));
    let Some(line) = line else { return };
    let ps: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let ours = [Figure::Virtual, Figure::Resident, Figure::MinorFaults, Figure::MajorFaults, Figure::Threads]
        .map(|figure| snapshot.get(figure).unwrap() / if figure.unit() == Unit::Bytes { 1024 } else { 1 });
    assert_eq!(ps, ours);
}

#[test]
fn pmap_says_the_same() {
    let sleeper = Sleeper::start();
    let (snapshot, text) = sleeper.beside(|| output_of("pmap", &["-X", &sleeper.0.id().to_string()]));
    let Some(text) = text else { return };
    let lines: Vec<&str> = text.lines().collect();
    // Address Perm Offset Device Inode Size Rss ... Mapping; the totals have neither the first five nor the last.
    let headings: Vec<&str> = lines[1].split_whitespace().skip(5).collect();
    let totals: Vec<u64> = lines.last().unwrap().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let mappings = lines.len() as u64;
    let compared = [
        ("Rss", Figure::ResidentExact, 0),
        ("Referenced", Figure::Referenced, 0),
        ("Anonymous", Figure::Anonymous, 0),
        ("Locked", Figure::Locked, 0),
        // Fractions of a KiB are cut off for each mapping there, and once here.
        ("SwapPss", Figure::SwappedProportional, mappings),
    ];
    for (heading, figure, slack) in compared {
        let column =
            headings.iter().position(|word| *word == heading).unwrap_or_else(|| panic!("no {heading}: {text}"));
        let ours = snapshot.get(figure).unwrap() / 1024;
        assert!(ours.abs_diff(totals[column]) <= slack, "{heading}: {ours} here, {} there", totals[column]);
    }
}

#[test]
fn a_process_that_has_ended_is_gone_and_one_that_nobody_has_waited_for_gives_a_partial_answer() {
    let mut child = Command::new("true").spawn().unwrap();
    let process = Process::of(child.id()).unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z") {
        std::thread::yield_now();
    }
    let snapshot = MemorySnapshot::of(&process, Detail::Sharing).unwrap();
    assert_eq!(snapshot.get(Figure::Virtual), Some(0));
    assert_eq!(snapshot.get(Figure::Proportional), None);
    let (source, why) = snapshot.missing().next().unwrap();
    assert_eq!(source, Source::SmapsRollup);
    assert!(why.contains("has no memory"), "{why}");
    child.wait().unwrap();
    for detail in [Detail::Sizes, Detail::Kinds, Detail::Sharing] {
        let error = MemorySnapshot::of(&process, detail).unwrap_err();
        assert!(matches!(error, ProcessError::Gone { .. }), "{error}");
    }
    assert!(matches!(Process::of(u32::MAX), Err(ProcessError::Gone { .. })));
}

#[test]
fn a_timeline_ends_with_its_process_and_says_so() {
    let mut sleeper = Sleeper::start();
    let recorder = Timeline::record(sleeper.process(), Detail::Kinds, Duration::from_millis(1));
    let steady = recorder.stop();
    assert!(steady.samples.len() >= 2 && steady.ended.is_none(), "{steady:?}");
    assert!(steady.samples.is_sorted_by_key(|sample| sample.at_ns));
    assert_eq!(steady.values(Figure::Virtual).count(), steady.samples.len());
    assert_eq!(steady.values(Figure::Proportional).count(), 0);
    let process = sleeper.process();
    sleeper.0.kill().unwrap();
    sleeper.0.wait().unwrap();
    let ended = Timeline::record(process, Detail::Sizes, Duration::from_millis(1)).stop();
    assert!(ended.ended.unwrap().contains("has ended"));
    let text = serde_json::to_string(&steady).unwrap();
    assert_eq!(serde_json::from_str::<Timeline>(&text).unwrap(), steady);
}
