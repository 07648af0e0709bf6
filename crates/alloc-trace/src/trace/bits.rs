//! Numbers in few bytes, and bits, being written.

/// A difference as a number that is small where the difference is, to both sides.
#[inline]
pub fn zigzag(value: u64, before: u64) -> u64 {
    let difference = value.wrapping_sub(before);
    difference << 1 ^ (difference >> 63).wrapping_neg()
}

/// The value whose [`zigzag`] that is.
#[inline]
pub fn unzigzag(number: u64, before: u64) -> u64 {
    before.wrapping_add(number >> 1 ^ (number & 1).wrapping_neg())
}

/// Bytes being written.
pub(super) struct Bytes<'a> {
    pub(super) out: &'a mut [u8],
    pub(super) at: usize,
}

impl Bytes<'_> {
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.get_mut(self.at..self.at + bytes.len())?.copy_from_slice(bytes);
        self.at += bytes.len();
        Some(())
    }

    pub(super) fn number(&mut self, mut number: u64) -> Option<()> {
        while number >= 0x80 {
            self.raw(&[number as u8 | 0x80])?;
            number >>= 7;
        }
        self.raw(&[number as u8])
    }
}

/// Bits being written, the lowest first.
pub(super) struct Bits<'a> {
    pub(super) out: &'a mut [u8],
    pub(super) at: usize,
    pub(super) pending: u64,
    pub(super) count: u32,
}

impl Bits<'_> {
    /// At most 56 at a time.
    #[inline]
    pub(super) fn put(&mut self, bits: u64, count: u32) -> Option<()> {
        self.pending |= bits << self.count;
        self.count += count;
        self.out.get_mut(self.at..self.at + 8)?.copy_from_slice(&self.pending.to_le_bytes());
        let whole = self.count / 8;
        self.at += whole as usize;
        self.pending >>= whole * 8;
        self.count &= 7;
        Some(())
    }

    /// Elias's gamma code of a number from 1 on: as many zeros as it has further bits, a one, those bits.
    pub(super) fn gamma(&mut self, number: u64) -> Option<()> {
        let extra = number.ilog2();
        self.put(1 << extra, extra + 1)?;
        self.put(number & ((1 << extra) - 1), extra)
    }

    pub(super) fn finish(self) -> Option<usize> {
        // What is pending stands in `out` already.
        let end = self.at + usize::from(self.count > 0);
        (end <= self.out.len()).then_some(end)
    }
}
