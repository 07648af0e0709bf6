//! A bucket of the table: a cache line of entries, searched at once.

use core::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi32, _mm_load_ps, _mm_load_si128, _mm_movemask_epi8, _mm_movemask_ps,
    _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi32, _mm_setzero_si128,
};

use super::KEY_BITS;

/// Eight entries.
#[repr(C, align(64))]
pub(super) struct Bucket {
    /// The key with a bit that says that there is one, and the lowest 9 bits of the number; 0 is a free place.
    pub(super) low: [u32; 8],
    /// The rest of the number, and in the highest bit, which it leaves, one of the eight bits of [`Bucket::gone_by`].
    high: [u32; 8],
}

/// That there is an entry.
pub(super) const TAKEN: u32 = 1 << KEY_BITS;
const NUMBER_SHIFT: u32 = KEY_BITS + 1;
/// Of `high`.
const GONE_BY: u32 = 1 << 31;
/// What [`Bucket::gone_by`] stays at, once it has come there.
pub(super) const ALWAYS: u32 = 255;

impl Bucket {
    /// A bit for each place whose masked word is the one wanted.
    #[inline(always)]
    pub(super) fn places(&self, wanted: u32, mask: u32) -> u32 {
        // SAFETY: SSE2 is part of x86-64; the loads are of the four words each that there are, aligned as the bucket is.
        unsafe {
            let (wanted, mask) = (_mm_set1_epi32(wanted.cast_signed()), _mm_set1_epi32(mask.cast_signed()));
            let words = self.low.as_ptr().cast::<__m128i>();
            let first = _mm_cmpeq_epi32(_mm_and_si128(_mm_load_si128(words), mask), wanted);
            let second = _mm_cmpeq_epi32(_mm_and_si128(_mm_load_si128(words.add(1)), mask), wanted);
            let both = _mm_packs_epi32(first, second);
            _mm_movemask_epi8(_mm_packs_epi16(both, _mm_setzero_si128())).cast_unsigned()
        }
    }

    #[inline(always)]
    pub(super) fn number(&self, place: usize) -> u64 {
        let high = u64::from(self.high[place & 7] & (GONE_BY - 1));
        high << (32 - NUMBER_SHIFT) | u64::from(self.low[place & 7] >> NUMBER_SHIFT)
    }

    #[inline(always)]
    pub(super) fn put(&mut self, place: usize, key: u32, number: u64) {
        self.low[place & 7] = TAKEN | key | (number as u32) << NUMBER_SHIFT;
        let high = &mut self.high[place & 7];
        *high = *high & GONE_BY | (number >> (32 - NUMBER_SHIFT)) as u32;
    }

    /// How many entries of this bucket and those before it lie behind it; of 255 and more nobody knows how many, ever again.
    #[inline(always)]
    pub(super) fn gone_by(&self) -> u32 {
        // SAFETY: as in `places`; a float's sign is its highest bit, whatever the others are.
        unsafe {
            let words = self.high.as_ptr().cast::<f32>();
            (_mm_movemask_ps(_mm_load_ps(words)) | _mm_movemask_ps(_mm_load_ps(words.add(4))) << 4).cast_unsigned()
        }
    }

    #[cold]
    pub(super) fn set_gone_by(&mut self, count: u32) {
        for (place, high) in self.high.iter_mut().enumerate() {
            *high = *high & (GONE_BY - 1) | (count >> place & 1) << 31;
        }
    }
}
