//! The figures that Linux keeps about a process's memory: what each means, where it stands.

use serde::{Deserialize, Serialize};

/// A file under `/proc/PID` that figures come from, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Sizes in pages, from counters the kernel keeps anyway.
    Statm,
    /// Page faults.
    Stat,
    /// Sizes by kind, peaks, page tables, swap.
    Status,
    /// Sharing and cleanness. The kernel walks all page tables for it: the cost grows with what is resident.
    SmapsRollup,
    /// The list of mappings, for the extent of the heap.
    Maps,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Statm, Self::Stat, Self::Status, Self::SmapsRollup, Self::Maps];

    /// The file's name under `/proc/PID`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Statm => "statm",
            Self::Stat => "stat",
            Self::Status => "status",
            Self::SmapsRollup => "smaps_rollup",
            Self::Maps => "maps",
        }
    }
}

/// Where in its file a figure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The n-th word, in pages.
    Pages(usize),
    /// The n-th word after the command's name, as a count.
    Count(usize),
    /// A line `Key:  123 kB`.
    Kib(&'static str),
    /// A line `Key:  123`.
    Plain(&'static str),
    /// The mappings named `[heap]`, added up.
    Heap,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}

macro_rules! figures {
    ($($(#[$meaning:meta])* $figure:ident, $source:ident, $place:expr;)*) => {
        /// One figure about a process's memory. Sizes are in bytes.
        ///
        /// The kernel's own words for them are in `Documentation/filesystems/proc.rst`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Figure {
            $($(#[$meaning])* $figure,)*
        }

        impl Figure {
            /// All of them, in the order in which they are printed.
            pub const ALL: [Self; [$(stringify!($figure)),*].len()] = [$(Self::$figure),*];

            /// The file it comes from.
            pub const fn source(self) -> Source {
                match self { $(Self::$figure => Source::$source,)* }
            }

            pub(crate) const fn place(self) -> Place {
                match self { $(Self::$figure => $place,)* }
            }
        }
    };
}

figures! {
    /// What top calls VIRT: the size of all mappings, touched or not.
    Virtual, Statm, Place::Pages(0);
    /// What top calls RES: the pages that are in memory now. Summed up lazily by the kernel: it may be behind by some pages
    /// for every CPU ([`ResidentExact`](Self::ResidentExact) is not).
    Resident, Statm, Place::Pages(1);
    /// What top calls SHR: resident pages of files and shared memory, which *could* be shared, whether or not anybody else has them.
    Shareable, Statm, Place::Pages(2);
    /// The program's own code.
    Code, Statm, Place::Pages(3);
    /// Private writable mappings and stacks, touched or not.
    Data, Statm, Place::Pages(5);
    /// Page faults that needed no disk: a fresh zero page, a copy on write, a page that was in the page cache.
    MinorFaults, Stat, Place::Count(7);
    /// Page faults that waited for a disk.
    MajorFaults, Stat, Place::Count(9);
    /// The most that [`Virtual`](Self::Virtual) has ever been.
    PeakVirtual, Status, Place::Kib("VmPeak");
    /// The most that [`Resident`](Self::Resident) has ever been.
    PeakResident, Status, Place::Kib("VmHWM");
    /// Resident pages with no file behind them: heap, stacks, private pages that were written.
    ResidentAnonymous, Status, Place::Kib("RssAnon");
    /// Resident pages of files.
    ResidentFile, Status, Place::Kib("RssFile");
    /// Resident pages of shared memory and of memory files.
    ResidentShared, Status, Place::Kib("RssShmem");
    /// The stacks of the main thread.
    Stack, Status, Place::Kib("VmStk");
    /// Page tables: memory that the kernel needs to keep track of the rest, and that stands in no other figure.
    PageTables, Status, Place::Kib("VmPTE");
    /// Pages that are in swap, those of shared memory not counted.
    Swapped, Status, Place::Kib("VmSwap");
    /// Pages from the pool of huge pages that the administrator set aside.
    HugeTlb, Status, Place::Kib("HugetlbPages");
    /// Threads.
    Threads, Status, Place::Plain("Threads");
    /// Resident pages, counted one by one.
    ResidentExact, SmapsRollup, Place::Kib("Rss");
    /// Proportional set size: every page divided by how many processes have it. Over all processes it adds up to what is used.
    Proportional, SmapsRollup, Place::Kib("Pss");
    /// Pages that others have mapped too, unchanged since they were read.
    SharedClean, SmapsRollup, Place::Kib("Shared_Clean");
    /// Pages that others have mapped too, written to.
    SharedDirty, SmapsRollup, Place::Kib("Shared_Dirty");
    /// Pages that nobody else has mapped, unchanged since they were read: they can be dropped without a write.
    PrivateClean, SmapsRollup, Place::Kib("Private_Clean");
    /// Pages that nobody else has mapped, written to: what would be free if the process ended.
    PrivateDirty, SmapsRollup, Place::Kib("Private_Dirty");
    /// Pages that were used since the kernel last looked.
    Referenced, SmapsRollup, Place::Kib("Referenced");
    /// Pages with no file behind them.
    Anonymous, SmapsRollup, Place::Kib("Anonymous");
    /// Pages given up by `MADV_FREE` that are not gone yet.
    LazyFree, SmapsRollup, Place::Kib("LazyFree");
    /// Anonymous memory in transparent huge pages.
    HugeAnonymous, SmapsRollup, Place::Kib("AnonHugePages");
    /// Shared memory in huge pages.
    HugeShared, SmapsRollup, Place::Kib("ShmemPmdMapped");
    /// Files in huge pages.
    HugeFile, SmapsRollup, Place::Kib("FilePmdMapped");
    /// Pages in swap, each divided by how many processes have it.
    SwappedProportional, SmapsRollup, Place::Kib("SwapPss");
    /// Pages that may not be swapped out, each divided by how many processes have it.
    Locked, SmapsRollup, Place::Kib("Locked");
    /// The extent of the heap that grows by `brk`: from where it begins to the program break.
    Heap, Maps, Place::Heap;
}

impl Figure {
    /// What it counts.
    pub const fn unit(self) -> Unit {
        match self.place() {
            Place::Count(_) | Place::Plain(_) => Unit::Count,
            Place::Pages(_) | Place::Kib(_) | Place::Heap => Unit::Bytes,
        }
    }

    /// Its name in tables and files: `resident_exact`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figures_name_is_its_name_in_json() {
        for figure in Figure::ALL {
            assert_eq!(serde_json::to_value(figure).unwrap(), figure.name());
        }
    }
}
