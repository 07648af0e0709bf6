//! The figures.

/// What was allocated within a measure, a scope, or a process.
///
/// A block's size is what was asked for; what the allocator adds to it is not counted. A call that failed is not counted.
///
/// | call | counts as |
/// |---|---|
/// | `alloc`, `alloc_zeroed` | an allocation |
/// | `dealloc` | a free |
/// | `realloc`, be it that the block moves, stays, grows or shrinks | an allocation of the new size and a free of the old one, at once |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that returned a block.
    pub allocations: u64,
    /// Bytes asked for in these calls. A vector that grows by `realloc` from 64 to 128 bytes adds 128.
    pub bytes: u64,
    /// Calls that gave a block back, wherever it was allocated.
    pub frees: u64,
    /// Bytes in the blocks given back.
    pub freed_bytes: u64,
    /// How many bytes more than at its beginning were in use at most: the highest value, after any call, of the bytes allocated minus the bytes freed
    /// until then. Zero if it was never above. Blocks that are older and are freed meanwhile make room: to free 100 bytes and then allocate 150 is
    /// a peak of 50. The moment in which a `realloc` has two blocks, if it has, is not counted.
    pub peak: u64,
}

impl Stats {
    /// Bytes allocated and not freed: negative if more was freed, which older blocks make possible.
    pub const fn retained(&self) -> i64 {
        self.bytes.wrapping_sub(self.freed_bytes).cast_signed()
    }
}
