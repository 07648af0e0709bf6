//! From `/proc/PID/smaps` to regions.

use super::{FileId, Permissions, Region, RegionKind, RegionMap, pages};
use crate::process::{Process, ProcessError};

const FILE: &str = "smaps";

pub(super) fn regions(process: &Process) -> Result<RegionMap, ProcessError> {
    let mut text = String::new();
    process.read(FILE, &mut text)?;
    let mut map = RegionMap { pid: process.pid(), regions: Vec::new(), missing: Vec::new() };
    for line in text.lines() {
        match (header(line), map.regions.last_mut()) {
            (Some(region), _) => map.regions.push(region),
            (None, Some(region)) => figure(region, line).ok_or_else(|| process.form_error(FILE, line))?,
            (None, None) => return Err(process.form_error(FILE, line)),
        }
    }
    for region in &mut map.regions {
        region.kind = kind(region);
    }
    if map.regions.is_empty() {
        map.missing.push(format!(
            "process {} has no memory: it has ended and nobody has waited for it, or is the kernel's",
            map.pid
        ));
        return Ok(map);
    }
    if let Err(error) = pages::fill(process, &mut map.regions) {
        map.missing.push(format!("the state of single pages: {error}"));
    }
    // Ended in the middle, the list is shorter and looks whole.
    if !is_alive(process) {
        map.missing.push(format!("process {} ended while it was looked at: there may have been more", map.pid));
    }
    Ok(map)
}

fn is_alive(process: &Process) -> bool {
    let mut text = String::new();
    process.read("statm", &mut text).is_ok() && !text.starts_with("0 ")
}

/// `5581def6f000-5581def71000 r--p 00000000 fe:00 247282                     /usr/bin/head`
fn header(line: &str) -> Option<Region> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after;
        Some(word)
    };
    let (start, end) = word()?.split_once('-')?;
    let (permissions, offset, device) = (word()?, word()?, word()?);
    let (inode, name) = rest.split_once(' ').unwrap_or((rest, ""));
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    let (major, minor) = device.split_once(':')?;
    let device = (hexadecimal(major)? as u32, hexadecimal(minor)? as u32);
    let inode: u64 = inode.parse().ok()?;
    let letter = |index, letter| permissions.as_bytes().get(index) == Some(&letter);
    let permissions = Permissions {
        read: letter(0, b'r'),
        write: letter(1, b'w'),
        execute: letter(2, b'x'),
        shared: letter(3, b's'),
    };
    Some(Region {
        file: (inode != 0).then_some(FileId { device, inode }),
        offset: hexadecimal(offset)?,
        // The kernel writes a newline in a path as \012.
        ..Region::named(hexadecimal(start)?..hexadecimal(end)?, permissions, name.trim_start())
    })
}

/// `Rss:                   8 kB`; `None` where it has not this form.
fn figure(region: &mut Region, line: &str) -> Option<()> {
    let (key, value) = line.split_once(':')?;
    let place: &mut u64 = match key {
        "Rss" => &mut region.resident,
        "Pss" => &mut region.proportional,
        "Shared_Clean" | "Shared_Dirty" | "Private_Dirty" => {
            let bytes = bytes(value)?;
            region.shared += if key.starts_with("Shared") { bytes } else { 0 };
            region.dirty += if key.ends_with("Dirty") { bytes } else { 0 };
            return Some(());
        }
        "Anonymous" => &mut region.anonymous,
        "Swap" => &mut region.swapped,
        "AnonHugePages" | "ShmemPmdMapped" | "FilePmdMapped" | "Shared_Hugetlb" | "Private_Hugetlb" => {
            region.huge += bytes(value)?;
            return Some(());
        }
        _ => return Some(()),
    };
    *place = bytes(value)?;
    Some(())
}

fn bytes(value: &str) -> Option<u64> {
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn kind(region: &Region) -> RegionKind {
    let Permissions { read, write, execute, shared } = region.permissions;
    let name = region.name.as_str();
    match name {
        "[heap]" => return RegionKind::Heap,
        "[stack]" => return RegionKind::Stack,
        _ if name.starts_with("[v") || name == "[uprobes]" => return RegionKind::Kernel,
        _ => {}
    }
    if !read && !write && !execute {
        return RegionKind::Reserved;
    }
    let in_memory = ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero (deleted)", "/anon_hugepage"];
    if in_memory.iter().any(|prefix| name.starts_with(prefix)) || name.starts_with("[anon_shmem") {
        return RegionKind::SharedMemory;
    }
    if region.file.is_none() {
        return if shared { RegionKind::SharedMemory } else { RegionKind::Anonymous };
    }
    if name.starts_with("/dev/") {
        return RegionKind::Device;
    }
    if execute { RegionKind::Code } else { RegionKind::File }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(line: &str) -> RegionKind {
        kind(&header(line).unwrap())
    }

    #[test]
    fn headers_of_every_sort_are_told_apart() {
        let cases = [
            ("1000-2000 rw-p 00000000 00:00 0                          [heap]", RegionKind::Heap),
            ("1000-2000 rw-p 00000000 00:00 0                          [stack]", RegionKind::Stack),
            ("1000-2000 rw-p 00000000 00:00 0 ", RegionKind::Anonymous),
            ("1000-2000 rw-p 00000000 00:00 0                          [anon:glibc: malloc]", RegionKind::Anonymous),
            ("1000-2000 ---p 00000000 00:00 0 ", RegionKind::Reserved),
            ("1000-2000 r-xp 00002000 fe:00 24728                      /usr/bin/two words", RegionKind::Code),
            ("1000-2000 r--p 00002000 fe:00 24728                      /usr/bin/head (deleted)", RegionKind::File),
            (
                "1000-2000 rw-s 00000000 00:01 24728                      /memfd:sealed (deleted)",
                RegionKind::SharedMemory,
            ),
            ("1000-2000 rw-s 00000000 00:01 24728                      /dev/zero (deleted)", RegionKind::SharedMemory),
            ("1000-2000 rw-s 00000000 00:06 24728                      /dev/nvidia0", RegionKind::Device),
            ("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]", RegionKind::Kernel),
        ];
        for (line, expected) in cases {
            assert_eq!(kind_of(line), expected, "{line}");
        }
        let region = header(cases[5].0).unwrap();
        assert_eq!((region.name.as_str(), region.offset), ("/usr/bin/two words", 0x2000));
        assert_eq!(region.file, Some(FileId { device: (0xfe, 0), inode: 24_728 }));
        assert_eq!(region.permissions.to_string(), "r-xp");
    }

    #[test]
    fn lines_that_are_no_figures_of_ours_are_passed_over_and_broken_ones_are_not() {
        let mut region = header("1000-2000 rw-p 00000000 00:00 0 ").unwrap();
        assert!(figure(&mut region, "VmFlags: rd mr mw me ").is_some() && figure(&mut region, "Rss: 8 kB").is_some());
        assert!(figure(&mut region, "Rss: 8 MB").is_none() && figure(&mut region, "Rss").is_none());
        assert_eq!(region.resident, 8192);
    }
}
