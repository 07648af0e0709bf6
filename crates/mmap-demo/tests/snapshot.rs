//! Figures of a process that stands still, beside `/proc` and beside `ps` and `pmap`.

mod alone;

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mmap_demo::{Detail, Figure, MemorySnapshot, Process, ProcessError, Source, Timeline, Unit};
use tempfile::TempDir;

/// A process that sleeps, and so has the same figures for everybody who looks. It ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self::of(&mut Command::new("sleep"))
    }

    /// One that shares no page of a file with anybody.
    fn alone(directory: &TempDir) -> Option<Self> {
        let Some(mut sleep) = alone::command("/bin/sleep", directory) else {
            eprintln!("SKIPPED: a program can't be run from copies of its files");
            return None;
        };
        Some(Self::of(&mut sleep))
    }

    fn of(sleep: &mut Command) -> Self {
        let sleeper = Self(sleep.arg("1000").stdin(Stdio::null()).spawn().unwrap());
        // It stands still once it sleeps: state S with its own name, not the one it was forked from.
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.0.id())).unwrap();
            let wchan = std::fs::read_to_string(format!("/proc/{}/syscall", sleeper.0.id()));
            let asleep = wchan.map_or(true, |call| call.starts_with(&format!("{} ", libc::SYS_clock_nanosleep)));
            if (stat.contains("(sleep) S") || stat.contains("(ld-linux")) && stat.contains(") S") && asleep {
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
    let directory = TempDir::new().unwrap();
    let Some(sleeper) = Sleeper::alone(&directory) else { return };
    let pid = sleeper.0.id().to_string();
    let columns = "vsz=,rss=,pss=,uss=,min_flt=,maj_flt=,nlwp=";
    let (snapshot, line) = sleeper.beside(|| output_of("ps", &["-o", columns, "-p", &pid]));
    let Some(line) = line else { return };
    let ps: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let of = |figure: Figure| snapshot.get(figure).unwrap() / if figure.unit() == Unit::Bytes { 1024 } else { 1 };
    // What is its own alone has two figures.
    let alone = of(Figure::PrivateClean) + of(Figure::PrivateDirty);
    let [size, resident, share] = [Figure::Virtual, Figure::Resident, Figure::Proportional].map(of);
    let [minor, major, threads] = [Figure::MinorFaults, Figure::MajorFaults, Figure::Threads].map(of);
    assert_eq!(ps, [size, resident, share, alone, minor, major, threads]);
    assert!(minor > 0 && share > 0 && alone > 0);
}

#[test]
fn faults_that_ps_counts_are_counted() {
    // Of a process that has had more than the usual: its own memory, touched page by page.
    let own = Process::own().unwrap();
    let before = MemorySnapshot::of(&own, Detail::Kinds).unwrap();
    let mut block = memmap2::MmapMut::map_anon(64 << 20).unwrap();
    block.advise(memmap2::Advice::NoHugePage).unwrap();
    block.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    let pid = std::process::id().to_string();
    let Some(line) = output_of("ps", &["-o", "min_flt=", "-p", &pid]) else { return };
    let theirs: u64 = line.trim().parse().unwrap();
    let after = MemorySnapshot::of(&own, Detail::Kinds).unwrap();
    let of = |snapshot: &MemorySnapshot| snapshot.get(Figure::MinorFaults).unwrap();
    // Other tests have faults of their own meanwhile: what ps saw lies between.
    assert!(of(&before) + 16_384 <= theirs && theirs <= of(&after), "{} {theirs} {}", of(&before), of(&after));
}

/// The sums of the columns of `pmap -XX`, KiB, by their headings.
fn sums(text: &str) -> HashMap<&str, u64> {
    let mut lines = text.lines().skip(1);
    let headings: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let last = headings.iter().position(|heading| *heading == "Locked").unwrap();
    let mut sums = HashMap::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Mappings begin with an address; the totals and the lines above them do not.
        if !words.get(1).is_some_and(|may| may.len() == 4 && may.starts_with(['r', '-'])) {
            continue;
        }
        for column in 5..=last {
            *sums.entry(headings[column]).or_default() += words[column].parse::<u64>().unwrap();
        }
    }
    sums
}

#[test]
fn pmap_says_the_same() {
    let directory = TempDir::new().unwrap();
    let Some(sleeper) = Sleeper::alone(&directory) else { return };
    let (snapshot, text) = sleeper.beside(|| output_of("pmap", &["-XX", &sleeper.0.id().to_string()]));
    let Some(text) = text else { return };
    let sums = sums(&text);
    let mappings = text.lines().count() as u64;
    let compared = [
        ("Rss", Figure::ResidentExact, 0),
        ("Shared_Clean", Figure::SharedClean, 0),
        ("Shared_Dirty", Figure::SharedDirty, 0),
        ("Private_Clean", Figure::PrivateClean, 0),
        ("Private_Dirty", Figure::PrivateDirty, 0),
        ("Referenced", Figure::Referenced, 0),
        ("Anonymous", Figure::Anonymous, 0),
        ("LazyFree", Figure::LazyFree, 0),
        ("AnonHugePages", Figure::HugeAnonymous, 0),
        ("ShmemPmdMapped", Figure::HugeShared, 0),
        ("FilePmdMapped", Figure::HugeFile, 0),
        ("Swap", Figure::Swapped, 0),
        ("Locked", Figure::Locked, 0),
        // Fractions of a KiB are cut off for each mapping there, and once here.
        ("Pss", Figure::Proportional, mappings),
        ("SwapPss", Figure::SwappedProportional, mappings),
    ];
    for (heading, figure, slack) in compared {
        let theirs = *sums.get(heading).unwrap_or_else(|| panic!("no {heading}: {text}"));
        let ours = snapshot.get(figure).unwrap() / 1024;
        assert!(ours.abs_diff(theirs) <= slack, "{heading}: {ours} here, {theirs} there");
    }
    // The kernel's page for all has a line there, and is in no process's size.
    let vsyscall = if text.contains("[vsyscall]") { 4 } else { 0 };
    assert_eq!(snapshot.get(Figure::Virtual).unwrap() / 1024, sums["Size"] - vsyscall);
}

#[test]
fn page_tables_grow_by_a_page_for_each_2_mib_that_are_touched_far_apart() {
    // No tool prints them: so they are counted by what the hardware needs, a table of 512 entries for each 2 MiB.
    const TABLES: usize = 512;
    let own = Process::own().unwrap();
    let tables = || MemorySnapshot::of(&own, Detail::Kinds).unwrap().get(Figure::PageTables).unwrap();
    let mut block = memmap2::MmapMut::map_anon(TABLES * (2 << 20)).unwrap();
    block.advise(memmap2::Advice::NoHugePage).unwrap();
    let before = tables();
    block.iter_mut().step_by(2 << 20).for_each(|byte| *byte = 1);
    let grown = (tables() - before) / rustix::param::page_size() as u64;
    // Other tests of this process touch memory, too, and far less; a table above these has room for 512.
    assert!((TABLES as u64..TABLES as u64 + 64).contains(&grown), "{grown} tables for {TABLES} times 2 MiB");
}

#[test]
fn a_process_that_has_ended_is_gone_and_one_that_nobody_has_waited_for_gives_a_partial_answer() {
    let mut child = Command::new("true").spawn().unwrap();
    let process = Process::of(child.id()).unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z") {
        std::thread::yield_now();
    }
    for (detail, files) in [
        (Detail::Sizes, &[Source::Statm][..]),
        (Detail::Kinds, &[Source::Statm, Source::Status]),
        (Detail::Sharing, &[Source::Statm, Source::Status, Source::SmapsRollup, Source::Maps]),
    ] {
        let snapshot = MemorySnapshot::of(&process, detail).unwrap();
        assert!(snapshot.has_ended());
        // Nothing is said to be 0 that isn't there.
        assert!(snapshot.iter().all(|(figure, _)| figure.unit() == Unit::Count), "{snapshot}");
        let missing: Vec<Source> = snapshot.missing().map(|(source, _)| source).collect();
        assert_eq!(missing, files);
        assert!(snapshot.missing().all(|(_, why)| why.contains("has no memory any more")), "{snapshot}");
    }
    // A timeline of it ends by itself.
    let recorder = Timeline::record(Process::of(child.id()).unwrap(), Detail::Sizes, Duration::from_millis(1));
    while !recorder.is_finished() {
        std::thread::yield_now();
    }
    let timeline = recorder.stop();
    assert_eq!(timeline.samples.len(), 1);
    assert!(timeline.ended.unwrap().contains("has ended"));
    child.wait().unwrap();
    for detail in [Detail::Sizes, Detail::Kinds, Detail::Sharing] {
        let error = MemorySnapshot::of(&process, detail).unwrap_err();
        assert!(matches!(error, ProcessError::Gone { .. }), "{error}");
    }
    assert!(matches!(Process::of(u32::MAX), Err(ProcessError::Gone { .. })));
}

#[test]
fn a_thread_of_the_kernels_has_no_memory_and_goes_on() {
    // Number 2 begins all others, where processes are the machine's own and not a container's.
    let kernels = Process::of(2).ok().and_then(|process| MemorySnapshot::of(&process, Detail::Kinds).ok());
    let Some(snapshot) = kernels.filter(|snapshot| snapshot.get(Figure::Virtual).is_none()) else {
        eprintln!("SKIPPED: the kernel's threads can't be seen from here");
        return;
    };
    assert!(!snapshot.has_ended());
    assert!(snapshot.missing().all(|(_, why)| why.contains("it is the kernel's")), "{snapshot}");
}

#[test]
fn a_process_that_dies_while_it_is_looked_at_gives_whole_answers_and_then_one_that_says_so() {
    for _ in 0..50 {
        let mut sleeper = Sleeper::start();
        let process = sleeper.process();
        sleeper.0.kill().unwrap();
        // It is ended by the kernel while we look, and nobody waits for it: so its entry stays.
        loop {
            let snapshot = MemorySnapshot::of(&process, Detail::Sharing).unwrap();
            let whole = snapshot.missing().count() == 0;
            assert_eq!(whole, !snapshot.has_ended(), "{snapshot}");
            assert!(!whole || snapshot.iter().count() == Figure::ALL.len(), "{snapshot}");
            if snapshot.has_ended() {
                break;
            }
        }
        let timeline = Timeline::record(process, Detail::Kinds, Duration::from_secs(1000));
        sleeper.0.wait().unwrap();
        assert!(timeline.stop().ended.is_some());
    }
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
