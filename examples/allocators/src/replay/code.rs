//! Numbers packed: a bit takes the less room the more likely what came before has made it.
//!
//! Arithmetic coding of bits (Rissanen 1976) with odds that adapt. Writing and reading go the same way, [`Coder::number`]: who writes gives the
//! numbers, who reads gets them, and both learn the same odds.

/// So many odds are kept; contexts that fall upon the same share them.
const ODDS: usize = 1 << 16;
/// How much an odd moves with each bit: by one part in two to the power of this.
const INERTIA: u32 = 4;
/// Of a number's bits so many are told by odds of their own, the highest first.
const OWN_BITS: u32 = 12;

/// One end: the one that writes bits, or the one that reads them.
pub(crate) trait Bits {
    /// A bit, of which `odds` says in 65536ths how likely it is 1. What is given counts for the writer, what is returned for the reader.
    fn bit(&mut self, odds: u16, bit: bool) -> bool;
}

/// Numbers, written or read.
pub(crate) struct Coder<B> {
    bits: B,
    odds: Box<[u16]>,
}

impl<B: Bits> Coder<B> {
    pub(crate) fn new(bits: B) -> Self {
        Self { bits, odds: vec![1 << 15; ODDS].into() }
    }

    /// A number below 2^63; `context` is what both ends know that says something about it.
    pub(crate) fn number(&mut self, context: u64, number: u64) -> u64 {
        // What a reader gives may be any.
        let number = number.wrapping_add(1).max(1);
        let length = self.digits(spread(context), 6, u64::from(number.ilog2()));
        let within = spread(context ^ (length + 1) << 56);
        (1 << length) + self.digits(within, length as u32, number) - 1
    }

    /// What it has learnt, which nobody else needs.
    pub(crate) fn into_odds(self) -> Box<[u16]> {
        self.odds
    }

    /// The lowest `count` bits of a number.
    fn digits(&mut self, context: u64, count: u32, number: u64) -> u64 {
        let mut known = 1;
        for place in (0..count).rev() {
            let told = count - 1 - place;
            let slot = if told < OWN_BITS { spread(context ^ known) } else { spread(u64::from(told)) };
            let odds = &mut self.odds[slot as usize % ODDS];
            let bit = self.bits.bit(*odds, number >> place & 1 == 1);
            if bit {
                *odds += (u16::MAX - *odds) >> INERTIA;
            } else {
                *odds -= *odds >> INERTIA;
            }
            known = known << 1 | u64::from(bit);
        }
        known - (1 << count)
    }
}

impl Coder<Writer> {
    /// What was written.
    pub(crate) fn finish(self) -> Vec<u8> {
        let Writer { range, mut bytes } = self.bits;
        bytes.extend(range.low.to_be_bytes());
        bytes
    }
}

/// Numbers that are near come to lie far apart.
fn spread(number: u64) -> u64 {
    let mixed = (number ^ number >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

/// Where what is written, as one long fraction, can still lie: four bytes of it, the ends among them.
struct Range {
    low: u32,
    high: u32,
}

impl Range {
    const WHOLE: Self = Self { low: 0, high: u32::MAX };

    /// The last place at which the next bit is 1.
    fn middle(&self, odds: u16) -> u32 {
        self.low + ((u64::from(self.high - self.low) * u64::from(odds)) >> 16) as u32
    }

    /// Leaves the part that the bit says.
    fn narrow(&mut self, middle: u32, bit: bool) {
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
    }

    /// The highest byte, once it can be no other; then the four are those behind it.
    fn settled(&mut self) -> Option<u8> {
        let [byte, ..] = self.high.to_be_bytes();
        (self.low.to_be_bytes()[0] == byte).then(|| {
            self.low <<= 8;
            self.high = self.high << 8 | 0xff;
            byte
        })
    }
}

/// Writes bits.
pub(crate) struct Writer {
    range: Range,
    bytes: Vec<u8>,
}

impl Writer {
    /// Bits that come after these bytes.
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { range: Range::WHOLE, bytes }
    }
}

impl Bits for Writer {
    fn bit(&mut self, odds: u16, bit: bool) -> bool {
        self.range.narrow(self.range.middle(odds), bit);
        self.bytes.extend(std::iter::from_fn(|| self.range.settled()));
        bit
    }
}

/// Reads them. Where there is nothing more, it reads zeros: who reads has to know when it has read enough.
pub(crate) struct Reader<'a> {
    range: Range,
    /// What was written, four bytes of it.
    at: u32,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let mut reader = Self { range: Range::WHOLE, at: 0, rest: bytes };
        for _ in 0..4 {
            reader.shift();
        }
        reader
    }

    fn shift(&mut self) {
        let (next, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.at = self.at << 8 | u32::from(*next);
        self.rest = rest;
    }
}

impl Bits for Reader<'_> {
    fn bit(&mut self, odds: u16, _: bool) -> bool {
        let middle = self.range.middle(odds);
        let bit = self.at <= middle;
        self.range.narrow(middle, bit);
        while self.range.settled().is_some() {
            self.shift();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers in prop::collection::vec((0..5_u64, 0..1_u64 << 62, 0..62_u32), 0..2_000)) {
            let numbers: Vec<(u64, u64)> = numbers.iter().map(|&(context, number, less)| (context, number >> less)).collect();
            let mut coder = Coder::new(Writer::after(Vec::new()));
            for &(context, number) in &numbers {
                coder.number(context, number);
            }
            let bytes = coder.finish();
            let mut coder = Coder::new(Reader::of(&bytes));
            for &(context, number) in &numbers {
                prop_assert_eq!(coder.number(context, 0), number);
            }
        }
    }

    #[test]
    fn what_is_likely_takes_little_room() {
        let mut coder = Coder::new(Writer::after(Vec::new()));
        for _ in 0..10_000 {
            coder.number(1, 48);
        }
        assert!(coder.finish().len() < 1_500);
    }
}
