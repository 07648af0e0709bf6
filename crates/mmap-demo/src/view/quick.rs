//! The shortest way to a few bytes of a mapping: one comparison for the place, one load, one look at the flag.
//!
//! Of loads that miss all caches a CPU has as many under way as fit into its window of a few hundred instructions. So what a guarded load
//! costs is not the time of its instructions but their number: each takes a place that the next load could have had. 8 bytes anywhere in
//! 256 MiB, by the instructions of one turn of the bench's loop (2026-11-22; `cargo bench -p benches --bench mmap_demo -- random`):
//!
//! | | instructions | times a raw map |
//! |---|---|---|
//! | a raw map | 18 | 1 |
//! | this, by value: [`FileView::get`](super::FileView::get) | 25 | 1.2 |
//! | this, into a buffer: [`FileView::read_at`](super::FileView::read_at) | 29 | 1.3 |
//! | a copy of ordinary memory, an acquire fence, the flag | 33 | 1.6 |
//! | the same with a clamped length and a call to `memcpy` | | 3.4 |
//!
//! The fence is an instruction for the compiler alone; but it has to assume that all memory has changed, and loads everything again.

use std::marker::PhantomData;
use std::sync::atomic::AtomicUsize;

use super::Bytes;
use crate::{registry, sigbus};

/// The most that is read this way, bytes.
const WORD: u64 = 8;

/// A view's bytes, and the shortest way to those of a mapping: for loads of 1, 2, 4 and 8 bytes.
#[derive(Debug)]
pub(super) struct Backing {
    /// How many places there are at which 8 bytes begin: one comparison tells that they are there, and that there is a mapping.
    places: u64,
    base: *const u8,
    lost: &'static AtomicUsize,
    /// What `base` points into. It is never changed: the two are made and dropped together.
    bytes: Bytes,
}

// SAFETY: the pointer is into a mapping that it owns, and is only read through, which any thread may do.
unsafe impl Send for Backing {}
// SAFETY: as above.
unsafe impl Sync for Backing {}

/// Nothing is ever lost here.
static WHOLE: AtomicUsize = AtomicUsize::new(registry::NONE);

impl Backing {
    pub(super) fn new(bytes: Bytes) -> Self {
        let (places, base, lost) = match &bytes {
            Bytes::Loaded(_) | Bytes::InFile => (0, std::ptr::null(), &WHOLE),
            Bytes::Mapped(mapped) => ((mapped.len() as u64).saturating_sub(WORD - 1), mapped.as_ptr(), mapped.flag()),
        };
        Self { places, base, lost, bytes }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Reads into `buffer` and tells whether that was done and nothing is missing. If not, the long way knows what to do.
    #[inline]
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        if offset >= self.places {
            return false;
        }
        sigbus::unblocked();
        macro_rules! read {
            ($load:path) => {{
                // SAFETY: 8 bytes from there on are mapped, and what can't be had is made zeros of by the handler, which this thread lets
                // through.
                let (bytes, lost) = unsafe { $load(self.base, offset, self.lost) };
                buffer.copy_from_slice(&bytes.to_ne_bytes());
                lost == registry::NONE
            }};
        }
        match buffer.len() {
            8 => read!(load::eight),
            4 => read!(load::four),
            2 => read!(load::two),
            1 => read!(load::one),
            _ => false,
        }
    }

    /// The 8 bytes at `offset`, if all is there.
    #[inline]
    pub(super) fn word(&self, offset: u64) -> Option<u64> {
        if offset >= self.places {
            return None;
        }
        sigbus::unblocked();
        // SAFETY: as in `read`.
        let (bytes, lost) = unsafe { load::eight(self.base, offset, self.lost) };
        (lost == registry::NONE).then_some(bytes)
    }

    /// For reads that are asked about afterwards.
    #[inline]
    pub(super) fn unasked(&self) -> Unasked<'_> {
        Unasked { places: self.places, base: self.base, backing: PhantomData }
    }
}

/// Where a mapping lies, for loads that are asked about afterwards. A copy, so that the compiler can keep it in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unasked<'a> {
    places: u64,
    base: *const u8,
    backing: PhantomData<&'a Backing>,
}

impl Unasked<'_> {
    /// Whether 8 bytes at `offset` are in one page, however small pages are.
    #[inline]
    pub(super) fn is_in_page(self, offset: u64) -> bool {
        const SMALLEST: u64 = 4096;
        (self.base.addr() as u64).wrapping_add(offset) % SMALLEST <= SMALLEST - WORD
    }

    /// The 8 bytes at `offset`, which may be zeros in place of what is missing.
    #[inline]
    pub(super) fn word(self, offset: u64) -> Option<u64> {
        if offset >= self.places {
            return None;
        }
        // SAFETY: as in `read`; whoever glances has let the handler through before.
        Some(unsafe { load::alone(self.base, offset) })
    }
}

/// Loads that the compiler knows nothing of: neither that others may change the bytes, nor that a handler may replace them. The flag is read
/// after the bytes, by the same hand.
#[cfg(target_arch = "x86_64")]
mod load {
    use std::arch::asm;
    use std::sync::atomic::AtomicUsize;

    macro_rules! load {
        ($name:ident, $type:ty, $instruction:literal, $width:literal) => {
            /// # Safety
            /// The bytes at `offset` from `base` can be read, or a handler sees to it.
            #[inline]
            pub(super) unsafe fn $name(base: *const u8, offset: u64, flag: &AtomicUsize) -> ($type, usize) {
                let (bytes, lost): (u64, usize);
                // SAFETY: two loads, the first by our caller's promise, the second of a number that lives for ever. This architecture does
                // loads in the order in which they stand, as far as others can tell (Intel 64 SDM 3A, 9.2.2; AMD64 APM 2, 7.2).
                unsafe {
                    asm!(
                        concat!($instruction, ", ", $width, " ptr [{base} + {offset}]"),
                        "mov {lost}, qword ptr [{flag}]",
                        base = in(reg) base,
                        offset = in(reg) offset,
                        flag = in(reg) flag,
                        bytes = out(reg) bytes,
                        lost = lateout(reg) lost,
                        options(nostack, readonly, preserves_flags)
                    );
                }
                (bytes as $type, lost)
            }
        };
    }

    load!(eight, u64, "mov {bytes}", "qword");
    load!(four, u32, "mov {bytes:e}", "dword");
    load!(two, u16, "movzx {bytes:e}", "word");
    load!(one, u8, "movzx {bytes:e}", "byte");

    /// # Safety
    /// The 8 bytes at `offset` from `base` can be read, or a handler sees to it.
    #[inline]
    pub(super) unsafe fn alone(base: *const u8, offset: u64) -> u64 {
        let bytes;
        // SAFETY: a load, by our caller's promise.
        unsafe {
            asm!(
                "mov {bytes}, qword ptr [{base} + {offset}]",
                base = in(reg) base,
                offset = in(reg) offset,
                bytes = lateout(reg) bytes,
                options(nostack, readonly, preserves_flags)
            );
        }
        bytes
    }
}

/// The same for other architectures, by an acquire fence.
#[cfg(any(not(target_arch = "x86_64"), test))]
#[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "held against the other"))]
mod fenced {
    use std::sync::atomic::{AtomicUsize, Ordering, fence};

    macro_rules! load {
        ($name:ident, $type:ty) => {
            /// # Safety
            /// The bytes at `offset` from `base` can be read, or a handler sees to it.
            #[inline]
            pub(super) unsafe fn $name(base: *const u8, offset: u64, flag: &AtomicUsize) -> ($type, usize) {
                // SAFETY: by our caller's promise. What holds for bytes that others may change stands in `Mapped::copy_to`.
                let bytes = unsafe { base.add(offset as usize).cast::<$type>().read_unaligned() };
                fence(Ordering::Acquire);
                (bytes, flag.load(Ordering::Relaxed))
            }
        };
    }

    load!(eight, u64);
    load!(four, u32);
    load!(two, u16);
    load!(one, u8);

    /// # Safety
    /// The 8 bytes at `offset` from `base` can be read, or a handler sees to it.
    #[inline]
    pub(super) unsafe fn alone(base: *const u8, offset: u64) -> u64 {
        // SAFETY: as above.
        unsafe { base.add(offset as usize).cast::<u64>().read_unaligned() }
    }
}
#[cfg(not(target_arch = "x86_64"))]
use fenced as load;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::{fenced, load};

    #[test]
    fn both_ways_of_loading_give_the_bytes_and_the_flag() {
        let bytes: Vec<u8> = (1..=16).collect();
        for (at, number) in [(0, 7), (3, usize::MAX), (8, 0)] {
            let flag = AtomicUsize::new(number);
            let offset = at as u64;
            macro_rules! same {
                ($name:ident, $type:ty) => {{
                    // SAFETY: 8 bytes of the vector from there on.
                    let (ours, theirs) = unsafe {
                        (load::$name(bytes.as_ptr(), offset, &flag), fenced::$name(bytes.as_ptr(), offset, &flag))
                    };
                    let expected = <$type>::from_ne_bytes(bytes[at..at + size_of::<$type>()].try_into().unwrap());
                    assert_eq!((ours, theirs), ((expected, number), (expected, number)));
                }};
            }
            same!(eight, u64);
            same!(four, u32);
            same!(two, u16);
            same!(one, u8);
            // SAFETY: as above.
            let (ours, theirs) =
                unsafe { (load::alone(bytes.as_ptr(), offset), fenced::alone(bytes.as_ptr(), offset)) };
            assert_eq!((ours, ours), (theirs, u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())));
        }
    }
}
