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
    /// Where they go.
    pub(super) room: &'a mut [u8],
    pub(super) pending: u64,
    pub(super) count: u32,
}

impl Bits<'_> {
    /// At most 56 at a time. Handed on, and not borrowed, so that it stays in registers.
    #[inline]
    pub(super) fn put(self, bits: u64, count: u32) -> Option<Self> {
        let pending = self.pending | bits << self.count;
        let count = self.count + count;
        *self.room.first_chunk_mut()? = pending.to_le_bytes();
        let room = self.room.get_mut((count / 8 % 8) as usize..)?;
        Some(Bits { room, pending: pending >> (count & !7), count: count & 7 })
    }

    /// How much room is left behind. What is pending has been written already.
    pub(super) fn left(&self) -> usize {
        self.room.len() - usize::from(self.count > 0)
    }
}
