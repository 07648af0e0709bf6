//! The mappings of a process: where they lie, what they are, and what of them is in memory.

mod change;
mod pages;
mod picture;
mod read;
mod sharers;
mod svg;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

pub use change::{RegionChange, RegionDifference};
pub use pages::PageState;
pub use sharers::Sharers;

use crate::page_cache;
use crate::process::{Process, ProcessError};

/// All mappings of one process, in the order of their addresses.
///
/// ```
/// use mmap_demo::{Process, RegionKind, RegionMap};
///
/// let map = RegionMap::of(&Process::own()?)?;
/// let stack = map.regions.iter().find(|region| region.kind == RegionKind::Stack).unwrap();
/// assert!(stack.resident > 0 && stack.permissions.write);
/// println!("{}", map.picture(100));
/// # Ok::<(), mmap_demo::ProcessError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionMap {
    /// Whose.
    pub pid: u32,
    /// The mappings, the lowest address first.
    pub regions: Vec<Region>,
    /// What could not be had, a sentence each: the map is then partial.
    pub missing: Vec<String>,
}

/// One mapping. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// From the first byte's address to that after the last.
    pub range: Range<u64>,
    /// What may be done with it.
    pub permissions: Permissions,
    /// What it is.
    pub kind: RegionKind,
    /// The file's path, or the kernel's name for it: `[heap]`, `[anon:name]`. Empty where it has none.
    pub name: String,
    /// The file behind it.
    pub file: Option<FileId>,
    /// Where in the file it begins.
    pub offset: u64,
    /// In memory now.
    pub resident: u64,
    /// In memory, each page divided by how many processes have it.
    pub proportional: u64,
    /// In memory, and others have it too. The kernel counts by how many page tables a page is in.
    pub shared: u64,
    /// In memory and written to.
    pub dirty: u64,
    /// In memory with no file behind: of a private mapping of a file, the pages that were written.
    pub anonymous: u64,
    /// In swap.
    pub swapped: u64,
    /// In huge pages, of any kind.
    pub huge: u64,
    /// The state of every page, where it may be seen and there are not too many of them.
    pub pages: Option<Vec<PageState>>,
}

/// What may be done with a mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "four letters of the kernel's")]
pub struct Permissions {
    /// It may be read.
    pub read: bool,
    /// It may be written to.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
    /// What is written is seen by all who have it mapped, and by the file.
    pub shared: bool,
}

/// A file's identity: its name may be another's by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// Major and minor number of its device.
    pub device: (u32, u32),
    /// Its number there.
    pub inode: u64,
}

/// What a mapping is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegionKind {
    /// The heap that grows by `brk`.
    Heap,
    /// The main thread's stack. Those of other threads are anonymous memory like any other.
    Stack,
    /// Memory with no file behind it.
    Anonymous,
    /// The code of a file.
    Code,
    /// The rest of a file.
    File,
    /// Memory that is shared: memory files, System V's and POSIX's, `MAP_SHARED | MAP_ANONYMOUS`.
    SharedMemory,
    /// A device's memory.
    Device,
    /// Addresses that nobody may touch: guard pages, and what is reserved for later.
    Reserved,
    /// What the kernel lends to every process: code for the clock, and its data.
    Kernel,
}

impl RegionKind {
    /// All kinds, in the order of legends.
    pub const ALL: [Self; 9] = [
        Self::Heap,
        Self::Stack,
        Self::Anonymous,
        Self::Code,
        Self::File,
        Self::SharedMemory,
        Self::Device,
        Self::Reserved,
        Self::Kernel,
    ];

    /// Its name in pictures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Stack => "stack",
            Self::Anonymous => "anonymous",
            Self::Code => "code",
            Self::File => "file",
            Self::SharedMemory => "shared memory",
            Self::Device => "device",
            Self::Reserved => "reserved",
            Self::Kernel => "kernel's",
        }
    }
}

impl RegionMap {
    /// The mappings of that process, with the state of single pages where it may be seen: of other users' processes it takes root.
    ///
    /// The kernel walks all page tables for it, and holds the process's lock for its mappings meanwhile: a process that maps or faults waits.
    ///
    /// # Errors
    /// When the process has ended, or its mappings may not be seen. One that ends in the middle gives what was read by then, and
    /// [`missing`](Self::missing) says so.
    pub fn of(process: &Process) -> Result<Self, ProcessError> {
        read::regions(process)
    }

    /// The size of all of it: what is in no process's count, the `[vsyscall]` page, left out.
    pub fn size(&self) -> u64 {
        self.regions.iter().filter(|region| region.name != "[vsyscall]").map(Region::size).sum()
    }

    /// In memory now, bytes.
    pub fn resident(&self) -> u64 {
        self.regions.iter().map(|region| region.resident).sum()
    }

    /// The region that has an address.
    pub fn at(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.range.end <= address);
        self.regions.get(after).filter(|region| region.range.contains(&address))
    }

    /// What has changed since an earlier map of the same process.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> RegionDifference {
        change::between(earlier, self)
    }

    /// Who else has the files of this map mapped: looks through all processes.
    pub fn sharers(&self) -> Sharers {
        sharers::of(self)
    }

    /// A picture for a terminal of that many columns: a line a mapping, its pages as a strip.
    pub fn picture(&self, columns: usize) -> String {
        picture::picture(self, columns)
    }

    /// A picture as SVG: a document of its own, that reads on light and on dark ground.
    pub fn svg(&self) -> String {
        svg::svg(self)
    }
}

impl Region {
    /// Of the part of its file that it maps, how many bytes are in the page cache, whoever has read them in; in this process's page tables or not.
    /// `None` where it has no file, or that is not to be found or opened under its name. See [`cached_pages`](crate::cached_pages).
    ///
    /// ```
    /// use mmap_demo::{Process, RegionMap};
    ///
    /// let map = RegionMap::of(&Process::own()?)?;
    /// let program = map.regions.iter().find(|region| region.permissions.execute && region.file.is_some()).unwrap();
    /// assert!(program.cached().is_some_and(|cached| cached > 0), "we are running from it");
    /// # Ok::<(), mmap_demo::ProcessError>(())
    /// ```
    pub fn cached(&self) -> Option<u64> {
        let inode = self.file?.inode;
        // Looked at before it is opened: to open a device or a pipe may do something.
        let found = std::fs::metadata(&self.name).ok().filter(|found| found.is_file() && found.ino() == inode);
        let file = found.and_then(|_| File::open(&self.name).ok())?;
        page_cache::of_part(&file, self.offset, self.size()).ok()
    }

    /// An anonymous one with nothing in memory.
    fn named(range: Range<u64>, permissions: Permissions, name: &str) -> Self {
        Self {
            range,
            permissions,
            kind: RegionKind::Anonymous,
            name: name.to_owned(),
            file: None,
            offset: 0,
            resident: 0,
            proportional: 0,
            shared: 0,
            dirty: 0,
            anonymous: 0,
            swapped: 0,
            huge: 0,
            pages: None,
        }
    }

    /// Its size, bytes.
    pub fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// What is resident in each of so many equal parts, from 0 to 1. Where single pages can't be seen, the same for all.
    fn density(&self, parts: usize) -> Vec<f64> {
        let Some(pages) = self.pages.as_ref().filter(|pages| !pages.is_empty()) else {
            return vec![self.resident.max(self.huge) as f64 / self.size().max(1) as f64; parts];
        };
        let part = |index: usize| {
            let begin = index * pages.len() / parts;
            let end = ((index + 1) * pages.len()).div_ceil(parts).clamp(begin + 1, pages.len());
            let pages = &pages[begin.min(end - 1)..end];
            pages.iter().filter(|page| page.is_present()).count() as f64 / pages.len() as f64
        };
        (0..parts).map(part).collect()
    }

    /// Its name, or its kind's.
    fn label(&self) -> &str {
        if self.name.is_empty() { self.kind.name() } else { &self.name }
    }

    /// The same for a terminal, which a file's name could tell to do things: the kernel leaves all in it but line ends.
    fn printable(&self) -> String {
        let shown = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
        self.label().chars().map(shown).collect()
    }
}

/// As the kernel prints them: `rw-p`.
impl std::fmt::Display for Permissions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letter = |is: bool, letter| if is { letter } else { '-' };
        let letters = [
            letter(self.read, 'r'),
            letter(self.write, 'w'),
            letter(self.execute, 'x'),
            if self.shared { 's' } else { 'p' },
        ];
        f.pad(&letters.iter().collect::<String>())
    }
}
