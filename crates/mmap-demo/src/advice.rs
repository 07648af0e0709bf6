//! What a program can tell the kernel about what it will read.

use serde::{Deserialize, Serialize};

/// Advice for the kernel about pages of a file. None of it changes what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Advice {
    /// Nothing in particular: it takes back `Sequential` and `Random`.
    Normal,
    /// From the beginning to the end: read further ahead, and drop what was read.
    Sequential,
    /// Here and there: read nothing ahead. Cold random reads of 4 KiB from a mapping then cost as much as with `pread`.
    Random,
    /// Soon: begin to read it in, and don't wait.
    WillNeed,
    /// Now: read it in and fill the page tables, and wait for it. Linux 5.14.
    Populate,
    /// In huge pages, where the file system has them for files.
    HugePage,
    /// Not again: forget the page tables' entries. The pages stay in the page cache, and the next read brings them back.
    DontNeed,
    /// Not soon: the first to go when memory is short. Linux 5.4.
    Cold,
}

/// What became of an advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advised {
    /// The kernel was told.
    Told,
    /// There is nothing to tell, for this reason.
    NothingToTell(&'static str),
}

impl Advice {
    pub(crate) fn for_mapping(self) -> rustix::mm::Advice {
        use rustix::mm::Advice as Of;
        match self {
            Self::Normal => Of::Normal,
            Self::Sequential => Of::Sequential,
            Self::Random => Of::Random,
            Self::WillNeed => Of::WillNeed,
            Self::Populate => Of::LinuxPopulateRead,
            Self::HugePage => Of::LinuxHugepage,
            Self::DontNeed => Of::LinuxDontNeed,
            Self::Cold => Of::LinuxCold,
        }
    }

    /// `None` where `posix_fadvise` has no such word.
    pub(crate) fn for_file(self) -> Option<rustix::fs::Advice> {
        use rustix::fs::Advice as Of;
        match self {
            Self::Normal => Some(Of::Normal),
            Self::Sequential => Some(Of::Sequential),
            Self::Random => Some(Of::Random),
            Self::WillNeed | Self::Populate => Some(Of::WillNeed),
            Self::HugePage | Self::Cold | Self::DontNeed => None,
        }
    }
}
