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
    /// All of it, once, in pieces of 64 KiB or more.
    Once,
    /// More than once, or here and there in small pieces.
    #[default]
    Again,
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The method.
    pub method: Method,
    /// The rule that decided, as a sentence.
    pub why: String,
}

impl Choice {
    pub(super) fn new(method: Method, why: impl Into<String>) -> Self {
        Self { method, why: why.into() }
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
    if length <= SMALL {
        return Choice::new(Method::Load, format!("up to {SMALL} bytes one read costs less than a mapping"));
    }
    if length > address_space {
        let why = format!("{length} bytes are more than the {address_space} bytes of address space that it may take");
        return Choice::new(Method::Read, why);
    }
    if files > MANY_FILES {
        let why = format!("{files} mappings would come too near to the 65,530 that a process may have");
        return Choice::new(Method::Read, why);
    }
    match access {
        Access::Once if length < LARGE => {
            Choice::new(Method::Read, format!("read once, a file below {LARGE} bytes doesn't make up for its mapping"))
        }
        Access::Once => {
            Choice::new(Method::Map, format!("from {LARGE} bytes on the copy that it saves makes up for the mapping"))
        }
        Access::Again => {
            Choice::new(Method::Map, "read more than once, a mapped file costs a copy, and no call to the kernel")
        }
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
    }
}
