//! Who else has a file mapped.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{FileId, Region, RegionMap};

/// The processes that have the same files mapped.
///
/// That two have mapped a file doesn't mean that they share all of its pages: of a private mapping, those that were written are the
/// writer's own, and [`Region::shared`] counts what is left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharers {
    processes: BTreeMap<String, BTreeSet<u32>>,
    /// Processes whose mappings may not be seen.
    pub unseen: usize,
}

impl Sharers {
    /// The other processes that have that region's file mapped.
    pub fn of(&self, region: &Region) -> impl Iterator<Item = u32> {
        let key = region.file.map(key);
        key.and_then(|key| self.processes.get(&key)).into_iter().flatten().copied()
    }
}

/// A text, since JSON has no other keys.
fn key(file: FileId) -> String {
    format!("{:02x}:{:02x}:{}", file.device.0, file.device.1, file.inode)
}

pub(super) fn of(map: &RegionMap) -> Sharers {
    let wanted: BTreeSet<String> = map.regions.iter().filter_map(|region| region.file).map(key).collect();
    let mut sharers = Sharers::default();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids.filter(|&pid| pid != map.pid) {
        match std::fs::read(format!("/proc/{pid}/maps")) {
            Ok(maps) => {
                let maps = String::from_utf8_lossy(&maps);
                for file in maps.lines().filter_map(file_of).filter(|file| wanted.contains(file)) {
                    sharers.processes.entry(file).or_default().insert(pid);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => sharers.unseen += 1,
            // It has ended since.
            Err(_) => {}
        }
    }
    sharers
}

fn file_of(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace().skip(3);
    let (device, inode) = (words.next()?, words.next()?);
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let inode: u64 = inode.parse().ok()?;
    (inode != 0).then_some(key(FileId { device: (number(major)?, number(minor)?), inode }))
}
