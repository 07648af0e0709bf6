//! Sampling: of all bytes that are handed out, one in so many is drawn, and only the blocks that hold one are noted.
//!
//! From one byte that is drawn to the next it is a random number of bytes, distributed exponentially (the gaps of a Poisson process). Such gaps have no
//! memory: whatever was handed out before, a block of `s` bytes holds one with the probability `1 - exp(-s / mean)`. Whoever reads counts a block
//! of that size as many times as one over this, and so every sum over blocks is right on average, by size and by site. Blocks of no bytes are not
//! in it.
//!
//! A thread counts its bytes down; that is all that a block costs that is not drawn. Whether a block that is given back is one that was drawn, a
//! table of counters by the last bits of the address tells: where it says 0, it isn't.

use core::ffi::c_void;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU8, AtomicU64};

use crate::format::LARGEST_MEAN;
use crate::inside::{self, Inside};
use crate::own::{BUSY, own};
use crate::thread::{Thread, UNUSED};

/// Bytes from one that is drawn to the next, on average; 0 if all blocks are noted. The trace's beginning finds it out.
pub(crate) static MEAN: AtomicU64 = AtomicU64::new(UNKNOWN);
const UNKNOWN: u64 = u64::MAX;
/// What threads' generators begin with, each with something of its own.
static SEED: AtomicU64 = AtomicU64::new(0);

pub(crate) fn set(mean: u64, seed: u64) {
    SEED.store(seed, Relaxed);
    MEAN.store(mean.min(LARGEST_MEAN), Relaxed);
}

/// Whether blocks are noted that hold a byte that is drawn, and no others.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    MEAN.load(Relaxed) != 0
}

/// A thread's draw.
#[repr(C)]
pub(crate) struct Draw {
    /// Bytes to the next that is drawn.
    pub(crate) left: i64,
    state: u64,
}

impl Draw {
    /// For a thread that begins.
    pub(crate) fn begin(&mut self, thread: u32) {
        self.state = SEED.load(Relaxed) ^ u64::from(thread) << 32;
        self.again(MEAN.load(Relaxed));
    }

    /// `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// How far it is to the next byte: at least one, for a part of a byte is the byte.
    fn again(&mut self, mean: u64) {
        let gap = exponential(self.next()) * mean as f64;
        self.left = (gap as i64).saturating_add(1);
    }

    /// Whether a block holds a byte that is drawn: what is left then is not, and `again` has to be called.
    #[inline(always)]
    fn takes(&mut self, size: usize) -> bool {
        self.left = self.left.wrapping_sub(size.cast_signed() as i64);
        self.left <= 0
    }
}

/// A number with the exponential distribution of mean 1, from 64 random bits: minus the logarithm of a fraction between 0 and 1.
///
/// `ln` itself would need another library. A fraction is `m / 2^e`, with `m` from 1 to 2, and `ln m = 2 atanh((m - 1) / (m + 1))`, whose series
/// is off by less than 1e-8 after eight terms.
fn exponential(bits: u64) -> f64 {
    let bits = bits | 1;
    let exponent = f64::from(bits.leading_zeros() + 1);
    let mantissa = 1.0 + ((bits << bits.leading_zeros() << 1 >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut sum, mut power) = (0.0, z);
    for odd in (1..16).step_by(2) {
        sum += power / f64::from(odd);
        power *= z * z;
    }
    exponent * core::f64::consts::LN_2 - 2.0 * sum
}

/// Whether a block that was just handed out is to be noted.
#[inline(always)]
pub(crate) fn takes(size: usize) -> bool {
    if !is_on() {
        return true;
    }
    let thread = own();
    // SAFETY: above BUSY the variable is the address of this thread's memory. A signal handler that comes in between may count down, too; then
    // one of both does so in vain.
    if thread.addr() > BUSY && unsafe { !(*thread).draw.takes(size) } {
        return false;
    }
    drawn(thread, size)
}

/// A block that holds a byte that is drawn; or the first block of a thread; or one of a thread that has ended for us, of which none is drawn.
#[cold]
#[inline(never)]
fn drawn(mut thread: *mut Thread, size: usize) -> bool {
    // SAFETY: as in `takes`. The memory is unused in a forked child.
    if thread.addr() <= BUSY || unsafe { (*thread).state == UNUSED } {
        if MEAN.load(Relaxed) == UNKNOWN {
            inside::begin_process();
        }
        if matches!(MEAN.load(Relaxed), 0 | UNKNOWN) {
            // Nothing is drawn; or it is too early to note anything.
            return true;
        }
        drop(Inside::enter(core::ptr::null()));
        thread = own();
        // SAFETY: as above.
        if thread.addr() <= BUSY || unsafe { !(*thread).draw.takes(size) } {
            return false;
        }
    }
    // SAFETY: as above.
    unsafe { (*thread).draw.again(MEAN.load(Relaxed)) };
    true
}

const COUNTERS: usize = 1 << 14;
/// Where a counter stays, once it has come there.
const MANY: u8 = u8::MAX;
/// How many blocks that were drawn have an address that ends like this: in most programs most addresses' ends are none's.
static DRAWN: [AtomicU8; COUNTERS] = [const { AtomicU8::new(0) }; COUNTERS];

#[inline(always)]
fn counter(block: *const c_void) -> &'static AtomicU8 {
    &DRAWN[block.addr() >> 4 & (COUNTERS - 1)]
}

/// Whether a block may be one that was noted.
#[inline(always)]
pub(crate) fn may_be_noted(block: *const c_void) -> bool {
    !is_on() || counter(block).load(Relaxed) != 0
}

/// A block is to be looked at when it is given back, whether it was drawn or not.
pub(crate) fn never_pass_by(block: *const c_void) {
    counter(block).store(MANY, Relaxed);
}

/// A block was drawn.
#[inline(always)]
pub(crate) fn noted(block: *const c_void) {
    if is_on() {
        _ = counter(block).fetch_update(Relaxed, Relaxed, |count| (count < MANY).then_some(count + 1));
    }
}

/// A block that was drawn is no more.
#[inline(always)]
pub(crate) fn gone(block: *const c_void) {
    if is_on() {
        _ = counter(block).fetch_update(Relaxed, Relaxed, |count| (count < MANY && count > 0).then(|| count - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_distributed_exponentially() {
        for bits in [0x100_0000_004d, u64::MAX / 3, (1 << 63) - 1, 1 << 63, u64::MAX / 7 * 6, u64::MAX - 1024] {
            let exact = -(bits as f64 / 2_f64.powi(64)).ln();
            assert!((exponential(bits) - exact).abs() < 1e-8, "{bits}: {} for {exact}", exponential(bits));
        }
        assert!(exponential(0) > 44.0 && exponential(u64::MAX) > 0.0);
        let mut draw = Draw { left: 0, state: 7 };
        let gaps: Vec<f64> = (0..200_000).map(|_| exponential(draw.next())).collect();
        for (above, share) in [(0.1, 0.904_837), (1.0, 0.367_879), (3.0, 0.049_787)] {
            let found = gaps.iter().filter(|&&gap| gap > above).count() as f64 / gaps.len() as f64;
            assert!((found - share).abs() < 0.004, "{above}: {found}");
        }
    }

    #[test]
    fn blocks_are_drawn_in_proportion_to_what_they_weigh() {
        for size in [1_usize, 16, 200, 1000, 5000] {
            let mut draw = Draw { left: 0, state: 3 };
            draw.again(1000);
            let calls = 200_000 + 20_000_000 / size;
            let drawn = (0..calls)
                .filter(|_| {
                    let takes = draw.takes(size);
                    if takes {
                        draw.again(1000);
                    }
                    takes
                })
                .count();
            let estimate = drawn as f64 * crate::weight::weight(size as u64, 1000);
            let is = calls as f64;
            assert!((estimate / is - 1.0).abs() < 0.03, "{size}: {estimate} of {is}");
        }
    }

    #[test]
    fn counters_say_what_may_have_been_noted() {
        set(1000, 3);
        let blocks: Vec<*const c_void> =
            (0..3000).map(|number| core::ptr::without_provenance(0x7f00_0000 + number * 48)).collect();
        for &block in &blocks {
            noted(block);
        }
        assert!(blocks.iter().all(|&block| may_be_noted(block)));
        for &block in &blocks {
            gone(block);
        }
        assert!(!blocks.iter().any(|&block| may_be_noted(block)));
        set(0, 0);
        assert!(may_be_noted(blocks[0]));
    }
}
