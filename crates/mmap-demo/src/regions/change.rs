//! What has changed between two maps of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Region, RegionMap};
use crate::size::{Signed, Size};

/// One mapping that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegionChange {
    /// It is new.
    Appeared(Region),
    /// It is gone.
    Vanished(Region),
    /// It is larger or smaller, may be used otherwise, or has other pages in memory.
    Changed {
        /// What it was.
        before: Region,
        /// What it is.
        after: Region,
    },
}

/// All that has changed, in the order of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionDifference {
    /// The changes.
    pub changes: Vec<RegionChange>,
}

pub(super) fn between(earlier: &RegionMap, later: &RegionMap) -> RegionDifference {
    // No two of a map have a byte in common. So each beginning is that of one, and each end.
    let by_start: BTreeMap<u64, &Region> = earlier.regions.iter().map(|region| (region.range.start, region)).collect();
    let by_end: BTreeMap<u64, &Region> = earlier.regions.iter().map(|region| (region.range.end, region)).collect();
    // By where they begin.
    let mut kept = BTreeSet::new();
    let mut changes = Vec::new();
    for after in &later.regions {
        // A heap keeps where it begins; a stack, which grows downwards, where it ends.
        let candidates = [by_start.get(&after.range.start), by_end.get(&after.range.end)];
        let same = |before: &&Region| {
            let backing = (&before.name, before.file) == (&after.name, after.file);
            backing && !kept.contains(&before.range.start)
        };
        let Some(before) = candidates.into_iter().flatten().copied().find(same) else {
            changes.push(RegionChange::Appeared(after.clone()));
            continue;
        };
        kept.insert(before.range.start);
        if figures(before) != figures(after) {
            changes.push(RegionChange::Changed { before: before.clone(), after: after.clone() });
        }
    }
    let gone = earlier.regions.iter().filter(|region| !kept.contains(&region.range.start));
    changes.extend(gone.cloned().map(RegionChange::Vanished));
    changes.sort_by_key(|change| change.region().range.start);
    RegionDifference { changes }
}

/// What makes a region another one. That a page was shared for a moment, or used lately, doesn't.
fn figures(region: &Region) -> impl PartialEq {
    (region.range.clone(), region.permissions, region.resident, region.swapped, region.dirty, region.huge)
}

impl RegionChange {
    /// The region: as it is now, or, if it is gone, as it was.
    pub fn region(&self) -> &Region {
        match self {
            Self::Appeared(region) | Self::Vanished(region) | Self::Changed { after: region, .. } => region,
        }
    }

    /// By how much the mapped and the resident bytes have grown.
    pub fn growth(&self) -> (i64, i64) {
        let figures = |region: &Region| (region.size().cast_signed(), region.resident.cast_signed());
        match self {
            Self::Appeared(region) => figures(region),
            Self::Vanished(region) => (-figures(region).0, -figures(region).1),
            Self::Changed { before, after } => {
                let (before, after) = (figures(before), figures(after));
                (after.0 - before.0, after.1 - before.1)
            }
        }
    }
}

/// A line a change: `+` for what is new, `-` for what is gone, `~` for what has changed.
impl fmt::Display for RegionDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let region = change.region();
            let (mapped, resident) = change.growth();
            let mark = match change {
                RegionChange::Appeared(_) => '+',
                RegionChange::Vanished(_) => '-',
                RegionChange::Changed { .. } => '~',
            };
            let (mapped, resident) = (Signed(mapped).to_string(), Signed(resident).to_string());
            write!(
                f,
                "{mark} {:012x} {:>9} {}  mapped {mapped:>10}  resident {resident:>10}  {}",
                region.range.start,
                Size(region.size()).to_string(),
                region.permissions,
                region.printable()
            )?;
            if let RegionChange::Changed { before, after } = change
                && before.permissions != after.permissions
            {
                write!(f, " (was {})", before.permissions)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Permissions;
    use super::*;

    fn region(start: u64, end: u64, name: &str, resident: u64) -> Region {
        let permissions = Permissions { read: true, write: true, ..Permissions::default() };
        Region { resident, ..Region::named(start..end, permissions, name) }
    }

    fn map(regions: Vec<Region>) -> RegionMap {
        RegionMap { pid: 1, regions, missing: Vec::new() }
    }

    #[test]
    fn a_heap_grows_upwards_a_stack_downwards_and_others_come_and_go() {
        let before = map(vec![
            region(0x1000, 0x2000, "[heap]", 0),
            region(0x5000, 0x6000, "", 4096),
            region(0x9000, 0xa000, "[stack]", 4096),
        ]);
        let after = map(vec![
            region(0x1000, 0x3000, "[heap]", 4096),
            region(0x7000, 0x8000, "", 0),
            region(0x8000, 0xa000, "[stack]", 4096),
        ]);
        let difference = after.since(&before);
        let grown: Vec<(i64, i64)> = difference.changes.iter().map(RegionChange::growth).collect();
        assert_eq!(grown, [(4096, 4096), (-4096, -4096), (4096, 0), (4096, 0)]);
        let text = difference.to_string();
        let marks: Vec<&str> = text.lines().map(|line| &line[..1]).collect();
        assert_eq!(marks, ["~", "-", "+", "~"], "{text}");
        assert!(after.since(&after).changes.is_empty());
    }

    #[test]
    fn a_region_that_is_split_stays_one_and_has_new_neighbours() {
        let before = map(vec![region(0x1000, 0x9000, "", 0)]);
        let after =
            map(vec![region(0x1000, 0x3000, "", 0), region(0x3000, 0x4000, "x", 0), region(0x4000, 0x9000, "", 0)]);
        let growth: Vec<i64> = after.since(&before).changes.iter().map(|change| change.growth().0).collect();
        assert_eq!((growth.iter().sum::<i64>(), growth), (0, vec![-0x6000, 0x1000, 0x5000]));
    }

    #[test]
    fn sixty_thousand_regions_that_have_all_moved_are_compared_while_one_waits() {
        let at =
            |shift: u64| map((0..60_000).map(|n| region(shift + n * 8192, shift + n * 8192 + 4096, "", 0)).collect());
        assert_eq!(at(1 << 40).since(&at(1 << 30)).changes.len(), 120_000);
    }
}
