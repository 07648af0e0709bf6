//! How a view gets at a file's bytes: the rules, and the measurements behind them.
//!
//! Warm files, microseconds for opening, copying the whole file once in pieces of 64 KiB, closing (2 cores, AMD EPYC, virtual machine,
//! Linux 6.18, ext4, 2026-11-21; `cargo bench -p benches --bench mmap_demo -- choice`):
//!
//! | bytes | loaded at once | `pread` | mapped |
//! |---|---|---|---|
//! | 4 KiB | 3.4 | 3.3 | 8.5 |
//! | 16 KiB | 4.0 | 3.7 | 9.1 |
//! | 64 KiB | 6.2 | 5.0 | 10.8 |
//! | 1 MiB | 59 | 41 | 64 |
//! | 16 MiB | 1,936 | 788 | 768 |
//! | 256 MiB | 183,800 | 22,800 | 18,300 |
//!
//! To map costs 5 us more than to read, and a fault for every 64 KiB or so; what it saves is a copy. Read once, a file has to be large
//! for that to pay. Read again and again, it pays from the second time on: then only a copy is left, and `pread` has the call besides.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Up to here a file is loaded at once.
pub(super) const SMALL: u64 = 16 << 10;
/// From here on a file that is read once is mapped.
const LARGE: u64 = 16 << 20;
/// Linux allows a process 65,530 mappings (`vm.max_map_count`), of which it needs some for itself, and the allocator more.
const MANY_FILES: usize = 16_384;

/// How a view gets at its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// All of it was read when the view was made. What becomes of the file later doesn't matter.
    Load,
    /// Each [`read_at`](super::FileView::read_at) is a `pread`.
    Read,
    /// It is mapped, and each [`read_at`](super::FileView::read_at) a copy.
    Map,
}

/// How a file is going to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// All of it, once, in pieces of 64 KiB or more. A file that isn't large is then read straight into the caller's buffer, and a small one
    /// not even asked what it is: that a directory is none is said by the first read, where its file system has it look like a small file.
    Once,
    /// More than once, or here and there in small pieces.
    #[default]
    Again,
}

/// What was chosen, and why. As text it is the rule that decided, as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The method.
    pub method: Method,
    /// The rule that decided.
    pub reason: Reason,
}

/// The rule that decided on a method. A value, and no text yet: to write a sentence takes as long as a tenth of opening a small file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It was told.
    Told,
    /// The file is small.
    Small,
    /// It is read once, and not large enough to make up for a mapping.
    Once,
    /// It is read once, and so large that the copy which a mapping saves makes up for it.
    LargeOnce,
    /// It is read more than once.
    Again,
    /// It would take more address space than it may.
    AddressSpace {
        /// What it would take, bytes.
        needed: u64,
        /// What it may take, bytes.
        allowed: u64,
    },
    /// There would be too many mappings.
    ManyFiles(usize),
    /// It is a disk.
    Disk,
    /// It says that it is empty.
    SaysEmpty,
    /// The system can't map it; the number is the system's for the error.
    Unmappable(Option<i32>),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Told => f.write_str("it was asked for"),
            Reason::Small => write!(f, "up to {SMALL} bytes one read costs less than a mapping"),
            Reason::Once => write!(f, "read once, a file below {LARGE} bytes doesn't make up for its mapping"),
            Reason::LargeOnce => write!(f, "from {LARGE} bytes on the copy that it saves makes up for the mapping"),
            Reason::Again => f.write_str("read more than once, a mapped file costs a copy, and no call to the kernel"),
            Reason::AddressSpace { needed, allowed } => {
                write!(f, "{needed} bytes are more than the {allowed} bytes of address space that it may take")
            }
            Reason::ManyFiles(files) => {
                write!(f, "{files} mappings would come too near to the 65,530 that a process may have")
            }
            Reason::Disk => f.write_str("it is a disk"),
            Reason::SaysEmpty => f.write_str("it says that it is empty: so do files that are made when they are read"),
            Reason::Unmappable(Some(code)) => {
                write!(f, "it can't be mapped: {}", std::io::Error::from_raw_os_error(code))
            }
            Reason::Unmappable(None) => f.write_str("it can't be mapped: its pages can't be replaced one by one"),
        }
    }
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// Bytes that the view shows.
    pub(super) length: u64,
    pub(super) access: Access,
    /// Files that are going to be in view at the same time.
    pub(super) files: usize,
    /// Bytes of address space that the view may take.
    pub(super) address_space: u64,
}

pub(super) fn choose(facts: Facts) -> Choice {
    let Facts { length, access, files, address_space } = facts;
    let choice = |method, reason| Choice { method, reason };
    match access {
        // In few large pieces: nothing is gained by reading it before it is read, and a small one would be copied twice.
        Access::Once if length < LARGE => choice(Method::Read, Reason::Once),
        _ if length <= SMALL => choice(Method::Load, Reason::Small),
        _ if length > address_space => {
            choice(Method::Read, Reason::AddressSpace { needed: length, allowed: address_space })
        }
        _ if files > MANY_FILES => choice(Method::Read, Reason::ManyFiles(files)),
        Access::Once => choice(Method::Map, Reason::LargeOnce),
        Access::Again => choice(Method::Map, Reason::Again),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_decides_where_it_should() {
        let usual = Facts { length: 1 << 20, access: Access::Again, files: 1, address_space: u64::MAX };
        let method = |facts| choose(facts).method;
        assert_eq!(method(usual), Method::Map);
        assert_eq!(method(Facts { length: SMALL, ..usual }), Method::Load);
        assert_eq!(method(Facts { length: SMALL + 1, ..usual }), Method::Map);
        assert_eq!(method(Facts { access: Access::Once, ..usual }), Method::Read);
        assert_eq!(method(Facts { access: Access::Once, length: LARGE, ..usual }), Method::Map);
        assert_eq!(method(Facts { address_space: (1 << 20) - 1, ..usual }), Method::Read);
        assert_eq!(method(Facts { files: 20_000, ..usual }), Method::Read);
        assert_eq!(method(Facts { files: 20_000, length: 100, ..usual }), Method::Load);
        assert_eq!(method(Facts { access: Access::Once, length: 100, ..usual }), Method::Read);
    }
}
