//! The map of a process: it adds up, it agrees with `pmap`, and it sees what is done.

mod alone;
mod waiting;

use std::io::Write;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::{MmapMut, MmapOptions};
use mmap_demo::{
    Detail, Figure, MemorySnapshot, Process, ProcessError, Region, RegionChange, RegionKind, RegionMap, cached_pages,
};
use waiting::Waiting;

const PAGE: usize = 4096;

/// Held by who starts a process, which for a moment is a copy of this one, with its mappings, and by who counts those that have them.
fn alone() -> MutexGuard<'static, ()> {
    static STARTING: Mutex<()> = Mutex::new(());
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn waiting() -> Waiting {
    let _alone = alone();
    Waiting::of(&mut Command::new("cat"))
}

/// What `pmap` says of a process with that option, and what `of` says of each region, the same before and after. `None` without the tool.
fn pmap<T: PartialEq>(waiting: &Waiting, option: &str, of: impl Fn(&Region) -> T) -> Option<(Vec<T>, String)> {
    let process = Process::of(waiting.0.id()).unwrap();
    let regions = || RegionMap::of(&process).unwrap().regions.iter().map(&of).collect::<Vec<T>>();
    // It waits, but the kernel may take back a page of a file.
    let (ours, output) = loop {
        let before = regions();
        let _alone = alone();
        let output = Command::new("pmap").args([option, &waiting.0.id().to_string()]).output();
        if regions() == before {
            break (before, output);
        }
    };
    let Ok(output) = output else {
        let required = std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split_whitespace().any(|one| one == "pmap"));
        assert!(!required, "there is no pmap, and LAB_REQUIRE wants it");
        eprintln!("SKIPPED: no pmap");
        return None;
    };
    Some((ours, String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn regions_add_up_to_the_processs_figures() {
    let waiting = waiting();
    let process = Process::of(waiting.0.id()).unwrap();
    // With whom a page is shared changes whenever another process of the same program begins or ends: two equal snapshots, one before and one
    // after, say that none did.
    let snapshot = || MemorySnapshot::of(&process, Detail::Sharing).unwrap();
    let sharing = |of: &MemorySnapshot| (of.get(Figure::SharedClean), of.get(Figure::Proportional));
    let (map, snapshot) = loop {
        let (before, map, after) = (snapshot(), RegionMap::of(&process).unwrap(), snapshot());
        if sharing(&before) == sharing(&after) {
            break (map, after);
        }
    };
    assert!(map.missing.is_empty(), "{:?}", map.missing);
    assert_eq!(Some(map.size()), snapshot.get(Figure::Virtual));
    let total = |figure: fn(&Region) -> u64| Some(map.regions.iter().map(figure).sum::<u64>());
    assert_eq!(total(|region| region.resident), snapshot.get(Figure::ResidentExact));
    assert_eq!(total(|region| region.anonymous), snapshot.get(Figure::Anonymous));
    let shared = snapshot.get(Figure::SharedClean).unwrap() + snapshot.get(Figure::SharedDirty).unwrap();
    assert_eq!(total(|region| region.shared), Some(shared));
    let dirty = snapshot.get(Figure::PrivateDirty).unwrap() + snapshot.get(Figure::SharedDirty).unwrap();
    assert_eq!(total(|region| region.dirty), Some(dirty));
    // Fractions of a KiB are cut off in each region.
    let proportional = total(|region| region.proportional).unwrap();
    let whole = snapshot.get(Figure::Proportional).unwrap();
    assert!(proportional <= whole && whole - proportional <= 1024 * map.regions.len() as u64);
    for region in map.regions.iter().filter(|region| region.kind != RegionKind::Kernel) {
        let present = region.pages.as_ref().unwrap().iter().filter(|page| page.is_present()).count();
        assert_eq!((present * PAGE) as u64, region.resident, "{region:?}");
    }
    assert!(map.regions.is_sorted_by_key(|region| region.range.start));
}

#[test]
fn pmap_says_the_same() {
    let of = |region: &Region| (region.range.start, region.size(), region.resident, region.dirty);
    let Some((ours, text)) = pmap(&waiting(), "-x", of) else { return };
    let theirs: Vec<(u64, u64, u64, u64)> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let kib = |index: usize| words.get(index)?.parse::<u64>().ok().map(|kib| kib * 1024);
            Some((u64::from_str_radix(words.first()?, 16).ok()?, kib(1)?, kib(2)?, kib(3)?))
        })
        .collect();
    assert_eq!(ours, theirs, "{text}");
}

#[test]
fn pmap_says_the_same_of_every_figure_of_each_mapping() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut cat) = alone::command("/bin/cat", &directory) else {
        eprintln!("SKIPPED: a program can't be run from copies of its files");
        return;
    };
    let waiting = {
        let _alone = alone();
        Waiting::of(&mut cat)
    };
    let Some((ours, text)) = pmap(&waiting, "-XX", Region::clone) else { return };
    let headings: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    for region in ours {
        let address = format!("{:x}", region.range.start);
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(&*address));
        let words: Vec<&str> = line.unwrap_or_else(|| panic!("no {address}: {text}")).split_whitespace().collect();
        let of = |heading: &str| {
            let column = headings.iter().position(|other| *other == heading).unwrap();
            words[column].parse::<u64>().unwrap() * 1024
        };
        let theirs = [
            of("Size"),
            of("Rss"),
            of("Pss"),
            of("Shared_Clean") + of("Shared_Dirty"),
            of("Shared_Dirty") + of("Private_Dirty"),
            of("Anonymous"),
            of("Swap"),
            of("AnonHugePages")
                + of("ShmemPmdMapped")
                + of("FilePmdMapped")
                + of("Shared_Hugetlb")
                + of("Private_Hugetlb"),
        ];
        let resident = [region.resident, region.proportional, region.shared, region.dirty, region.anonymous];
        let [rss, pss, shared, dirty, anonymous] = resident;
        assert_eq!(
            [region.size(), rss, pss, shared, dirty, anonymous, region.swapped, region.huge],
            theirs,
            "{line:?}"
        );
        assert_eq!(region.permissions.to_string(), words[1]);
    }
}

#[test]
fn what_is_mapped_touched_and_unmapped_is_seen() {
    let own = Process::own().unwrap();
    let before = RegionMap::of(&own).unwrap();
    let mut block = MmapMut::map_anon(64 * PAGE).unwrap();
    let address = block.as_ptr() as u64;
    for page in [0, 7, 63] {
        block[page * PAGE] = 1;
    }
    let after = RegionMap::of(&own).unwrap();
    let region = after.at(address).unwrap();
    // The kernel may have put it beside another of the same kind, and made one of both.
    let first = ((address - region.range.start) / PAGE as u64) as usize;
    let pages = &region.pages.as_ref().unwrap()[first..first + 64];
    let present: Vec<usize> = (0..64).filter(|&page| pages[page].is_present()).collect();
    assert_eq!(present, [0, 7, 63]);
    assert!(pages[7].is_exclusive() && !pages[7].is_of_file());
    assert_eq!(region.kind, RegionKind::Anonymous);
    let difference = after.since(&before);
    let grown: i64 =
        difference.changes.iter().filter(|change| change.region() == region).map(|change| change.growth().0).sum();
    // Not by all of it where something else of this process lay before.
    assert!(grown > 0, "{difference}");
    drop(block);
    let last = RegionMap::of(&own).unwrap();
    assert!(
        last.at(address)
            .is_none_or(|region| region.pages.as_ref().unwrap().iter().all(|page| !page.is_present())
                || !region.name.is_empty()),
        "{}",
        last.picture(120)
    );
}

#[test]
fn a_files_pages_are_cached_shared_and_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 32 * PAGE]).unwrap();
    // SAFETY: nobody else knows the file.
    let map = unsafe { MmapOptions::new().map(file.as_file()).unwrap() };
    assert_eq!(map[5 * PAGE], 7);
    let regions = RegionMap::of(&Process::own().unwrap()).unwrap();
    let region = regions.at(map.as_ptr() as u64).unwrap();
    assert_eq!((region.kind, region.name.as_str()), (RegionKind::File, file.path().to_str().unwrap()));
    assert_eq!(region.cached(), Some(32 * PAGE as u64));
    assert!(region.resident > 0 && region.permissions.shared && region.permissions.read && !region.permissions.write);
    assert!(region.pages.as_ref().unwrap()[5].is_of_file());
    assert_eq!(cached_pages(file.as_file()).unwrap(), vec![true; 32]);
    assert!(cached_pages(&tempfile::tempfile().unwrap()).unwrap().is_empty());
    // Another process with the C library mapped is one that shares it.
    let waiting = waiting();
    let _alone = alone();
    let sharers = regions.sharers();
    let library = regions.regions.iter().find(|region| region.name.contains("libc.so")).unwrap();
    assert!(sharers.of(library).any(|pid| pid == waiting.0.id()));
    assert_eq!(sharers.of(region).count(), 0);
}

#[test]
fn names_that_are_no_utf8_are_no_hindrance() {
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    let waiting = {
        let _alone = alone();
        std::fs::copy("/bin/cat", &program).unwrap();
        Waiting::of(&mut Command::new(&program))
    };
    let process = Process::of(waiting.0.id()).unwrap();
    let map = RegionMap::of(&process).unwrap();
    assert!(map.picture(120).contains("caf\u{fffd}") && map.svg().contains("caf\u{fffd}"));
    let snapshot = MemorySnapshot::of(&process, Detail::Sharing).unwrap();
    assert_eq!((snapshot.missing().count(), snapshot.get(Figure::Threads)), (0, Some(1)));
    let own = RegionMap::of(&Process::own().unwrap()).unwrap();
    let library = own.regions.iter().find(|region| region.name.contains("libc.so")).unwrap();
    assert!(own.sharers().of(library).any(|pid| pid == waiting.0.id()));
}

#[test]
fn a_sparse_file_of_64_gib_has_nothing_cached() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 30).unwrap();
    assert!(cached_pages(&file).unwrap().iter().all(|cached| !cached));
}

#[test]
fn a_part_of_a_file_is_asked_for_as_long_as_the_file_has_its_name() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; 8 * PAGE]).unwrap();
    // Past its end there is nothing that could be in memory.
    file.as_file().set_len(16 * PAGE as u64).unwrap();
    let map = MmapOptions::new().offset(2 * PAGE as u64).len(14 * PAGE).map_raw_read_only(file.as_file()).unwrap();
    let regions = RegionMap::of(&Process::own().unwrap()).unwrap();
    let region = regions.at(map.as_ptr() as u64).unwrap();
    assert_eq!((region.offset, region.cached()), (2 * PAGE as u64, Some(6 * PAGE as u64)));
    let stack = regions.regions.iter().find(|region| region.kind == RegionKind::Stack).unwrap();
    assert_eq!(stack.cached(), None);
    drop(file);
    assert_eq!(region.cached(), None);
}

#[test]
fn a_process_that_has_ended_is_gone_or_has_no_memory() {
    let mut child = {
        let _alone = alone();
        Command::new("true").spawn().unwrap()
    };
    let process = Process::of(child.id()).unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z") {
        std::thread::yield_now();
    }
    let map = RegionMap::of(&process).unwrap();
    assert!(map.regions.is_empty() && map.missing[0].contains("has no memory"), "{map:?}");
    child.wait().unwrap();
    assert!(matches!(RegionMap::of(&process), Err(ProcessError::Gone { .. })));
}

#[test]
fn a_process_that_vanishes_while_inspected_gives_an_error_or_a_partial_answer_and_nothing_else() {
    for _ in 0..50 {
        let mut waiting = waiting();
        let process = Process::of(waiting.0.id()).unwrap();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                loop {
                    match RegionMap::of(&process) {
                        Ok(map) if map.missing.is_empty() => assert!(map.regions.len() > 5, "{map:?}"),
                        Ok(map) => {
                            break assert!(
                                map.missing.iter().all(|why| why.contains(&map.pid.to_string())),
                                "{:?}",
                                map.missing
                            );
                        }
                        Err(error) => break assert!(matches!(error, ProcessError::Gone { .. }), "{error}"),
                    }
                }
            });
            waiting.0.kill().unwrap();
            waiting.0.wait().unwrap();
            looking.join().unwrap();
        });
    }
}

#[test]
fn pictures_name_every_region_and_the_svg_is_well_formed() {
    let waiting = waiting();
    let map = RegionMap::of(&Process::of(waiting.0.id()).unwrap()).unwrap();
    let picture = map.picture(120);
    for region in &map.regions {
        let address = format!("{:012x}", region.range.start);
        assert!(picture.contains(&address), "{address} is not in\n{picture}");
        assert!(map.svg().contains(&address));
    }
    assert!(picture.lines().all(|line| line.chars().count() <= 120), "{picture}");
    let svg = map.svg();
    for tag in ["svg", "g", "text", "title", "style", "desc"] {
        let opened = svg.matches(&format!("<{tag} ")).count() + svg.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, svg.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let text = serde_json::to_string(&map).unwrap();
    assert_eq!(serde_json::from_str::<RegionMap>(&text).unwrap(), map);
    let vanished = RegionMap { regions: Vec::new(), ..map.clone() }.since(&map);
    assert!(vanished.changes.iter().all(|change| matches!(change, RegionChange::Vanished(_))));
}
