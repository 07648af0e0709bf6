//! What the C library's `malloc` asked the system for.

use std::collections::HashSet;

/// Memory that `malloc` took from the system, and gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct System {
    /// How often the heap grew by `brk`.
    pub grown: u64,
    /// Bytes by which it grew, in all.
    pub grown_bytes: u64,
    /// How often it became shorter.
    pub shrunk: u64,
    /// Bytes by which it did, in all.
    pub shrunk_bytes: u64,
    /// Blocks for which memory was mapped, each for itself.
    pub mapped: u64,
    /// Bytes that were mapped so.
    pub mapped_bytes: u64,
    /// Mappings that went with their blocks.
    pub unmapped: u64,
    /// Their bytes.
    pub unmapped_bytes: u64,
    /// Arenas that were reserved for further threads. What of them came to be used can't be told.
    pub arenas: u64,
    /// Bytes of addresses reserved for them.
    pub arena_bytes: u64,
    known: HashSet<u64>,
}

impl System {
    /// The heap's end has moved from one address to another: by how much it grew.
    pub(super) fn moved(&mut self, from: u64, to: u64) -> u64 {
        let (times, bytes) = if to > from {
            (&mut self.grown, &mut self.grown_bytes)
        } else {
            (&mut self.shrunk, &mut self.shrunk_bytes)
        };
        (*times, *bytes) = (*times + 1, bytes.saturating_add(from.abs_diff(to)));
        to.saturating_sub(from)
    }

    /// Bytes were mapped for a block.
    pub(super) fn map(&mut self, bytes: u64) {
        (self.mapped, self.mapped_bytes) = (self.mapped + 1, self.mapped_bytes.saturating_add(bytes));
    }

    /// And given back.
    pub(super) fn unmap(&mut self, bytes: u64) {
        (self.unmapped, self.unmapped_bytes) = (self.unmapped + 1, self.unmapped_bytes.saturating_add(bytes));
    }

    /// A block came from the arena at an address: whether that is a new one.
    pub(super) fn arena(&mut self, address: u64, bytes: u64) -> bool {
        let is_new = self.known.insert(address);
        if is_new {
            (self.arenas, self.arena_bytes) = (self.arenas + 1, self.arena_bytes.saturating_add(bytes));
        }
        is_new
    }
}
