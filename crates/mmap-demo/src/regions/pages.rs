//! The state of single pages, from `/proc/PID/pagemap` (the kernel's `Documentation/admin-guide/mm/pagemap.rst`).

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::{Region, RegionKind};
use crate::process::{Process, ProcessError, error_of};

const FILE: &str = "pagemap";
/// Bytes for each page.
const ENTRY: usize = 8;
/// Regions of more pages (4 GiB) are not looked at page by page.
const MOST: u64 = 1 << 20;
/// Entries read at once.
const AT_ONCE: usize = 1 << 15;

/// What the page tables say of one page.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageState(u8);

impl PageState {
    const PRESENT: u8 = 1;
    const SWAPPED: u8 = 2;
    const OF_FILE: u8 = 4;
    const EXCLUSIVE: u8 = 8;

    fn of_entry(entry: u64) -> Self {
        let bit = |bit: u32, state| if entry >> bit & 1 == 1 { state } else { 0 };
        Self(bit(63, Self::PRESENT) | bit(62, Self::SWAPPED) | bit(61, Self::OF_FILE) | bit(56, Self::EXCLUSIVE))
    }

    /// It is in memory, and in this process's page tables.
    pub const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// It is in swap.
    pub const fn is_swapped(self) -> bool {
        self.0 & Self::SWAPPED != 0
    }

    /// It is a file's, or shared memory.
    pub const fn is_of_file(self) -> bool {
        self.0 & Self::OF_FILE != 0
    }

    /// No other process has it.
    pub const fn is_exclusive(self) -> bool {
        self.0 & Self::EXCLUSIVE != 0
    }
}

/// `present | exclusive`
impl fmt::Debug for PageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.is_present(), "present"),
            (self.is_swapped(), "swapped"),
            (self.is_of_file(), "of a file"),
            (self.is_exclusive(), "exclusive"),
        ];
        let names: Vec<&str> = named.into_iter().filter_map(|(is, name)| is.then_some(name)).collect();
        f.write_str(if names.is_empty() { "absent" } else { "" })?;
        f.write_str(&names.join(" | "))
    }
}

/// Fills in the pages of all regions that have a place in the page tables and are not too large.
pub(super) fn fill(process: &Process, regions: &mut [Region]) -> Result<(), ProcessError> {
    let page = rustix::param::page_size() as u64;
    let file = process.open(FILE)?;
    for region in regions.iter_mut().filter(|region| region.kind != RegionKind::Kernel) {
        let count = region.size() / page;
        // What hugetlbfs gives counts as huge, and not as resident.
        if region.resident == 0 && region.swapped == 0 && region.huge == 0 && count <= MOST {
            region.pages = Some(vec![PageState::default(); count as usize]);
        } else if count <= MOST {
            let pages = pages(&file, region.range.start / page, count as usize);
            region.pages = Some(pages.map_err(|error| error_of(process.pid(), FILE, error))?);
        }
    }
    Ok(())
}

/// The states of `count` pages from the page of number `first` on.
fn pages(file: &File, first: u64, count: usize) -> std::io::Result<Vec<PageState>> {
    let mut states = Vec::with_capacity(count);
    let mut entries = vec![0; ENTRY * count.min(AT_ONCE)];
    while states.len() < count {
        let wanted = ENTRY * (count - states.len()).min(AT_ONCE);
        let at = (first + states.len() as u64) * ENTRY as u64;
        let read = file.read_at(&mut entries[..wanted], at)?;
        if read < ENTRY {
            // The process ended, or the mapping is gone.
            states.resize(count, PageState::default());
        }
        let whole = entries[..read].chunks_exact(ENTRY);
        states.extend(whole.filter_map(|entry| entry.try_into().ok()).map(u64::from_ne_bytes).map(PageState::of_entry));
    }
    Ok(states)
}
