//! Unpacks [`EVENTS`](super::format::EVENTS) chunks: the inverse of [`encode`](super::encode), for bytes that may be anything.

use std::fmt;

use super::bits::unzigzag;
use super::encode::{BLOCK_BITS, FREES, OTHER_ALLOC, OTHER_FREE, OTHER_SIZE, SITES, SIZE_BITS, SIZES, after_record};
use super::format::{MOST_SITE_FRAMES, Preamble, RAW_WORDS, SITE_BITS, alloc, bucket_base, free, other};
use super::huffman;

/// Why a payload is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// The words that were packed.
pub(super) fn decode(payload: &[u8]) -> Result<(Preamble, Vec<u64>), Malformed> {
    let mut bytes = Bytes { rest: payload };
    let mut preamble = [0; 5];
    for number in &mut preamble {
        *number = bytes.number()?;
    }
    let preamble = Preamble::from_words(preamble);
    let told = u64::from_le_bytes(*bytes.take(8)?.first_chunk().ok_or(CUT)?);
    let (events, records, length) = (told as u16, told >> 16 & 0xffff, (told >> 32) as usize);
    if usize::from(events) > RAW_WORDS {
        return Err(Malformed("more events than a chunk has room for"));
    }
    let sites = bytes.count(RAW_WORDS, "more sites than a chunk has room for")?;
    let mut before = 0;
    let mut numbers = Vec::with_capacity(sites);
    for _ in 0..sites {
        before = unzigzag(bytes.number()?, before);
        if before >> SITE_BITS != 0 {
            return Err(Malformed("a site's number is too large"));
        }
        numbers.push(before);
    }
    let mut last_size = vec![None; sites];
    let mut bits = Bits { bytes: bytes.take(length)?, at: 0 };
    let mut records = Records { bytes, left: records as usize };
    let after_free = Codes::read(&mut bits, SITES + sites * 2)?;
    let after_alloc = Codes::read(&mut bits, SITES + sites * 2)?;
    let size_codes = Codes::read(&mut bits, SIZES)?;

    let mut words = Vec::with_capacity(usize::from(events) + 64);
    let mut next_block = preamble.first_block;
    let mut next_record = records.next()?;
    let mut codes = &after_free;
    for _ in 0..events {
        while let Some(record) = next_record.take_if(|record| record.after == 0) {
            next_block = record.put(&mut words, next_block)?;
            next_record = records.next()?;
        }
        if let Some(record) = &mut next_record {
            record.after -= 1;
        }
        let symbol = codes.symbol(&mut bits)?;
        if let OTHER_FREE..SITES = symbol {
            let block = if symbol == OTHER_FREE {
                bits.take(BLOCK_BITS)?
            } else {
                let (base, extra) = bucket_base(symbol - FREES);
                next_block.wrapping_sub(base + bits.take(extra)?)
            };
            words.push(free(block & ((1 << BLOCK_BITS) - 1)));
            codes = &after_free;
            continue;
        }
        let place = symbol.checked_sub(SITES);
        let site = if symbol == OTHER_ALLOC { bits.take(SITE_BITS)? } else { numbers[place.unwrap_or(0) / 2] };
        let size = match place {
            Some(place) if place % 2 == 1 => {
                last_size[place / 2].ok_or(Malformed("a size repeats one that was not there"))?
            }
            _ => match size_codes.symbol(&mut bits)? {
                OTHER_SIZE => bits.take(SIZE_BITS)?,
                bucket => {
                    let (base, extra) = bucket_base(bucket);
                    base + bits.take(extra)?
                }
            },
        };
        // One that has no symbol here may have had one where a free came before, or not.
        let place = place.map(|place| place / 2).or_else(|| numbers.iter().position(|&number| number == site));
        if let Some(place) = place {
            last_size[place] = Some(size);
        }
        if size >> SIZE_BITS != 0 {
            return Err(Malformed("a size is too large"));
        }
        words.push(alloc(site, size));
        next_block = next_block.wrapping_add(1);
        codes = &after_alloc;
    }
    while let Some(record) = next_record {
        next_block = record.put(&mut words, next_block)?;
        next_record = records.next()?;
    }
    Ok((preamble, words))
}

/// When a chunk began, from the beginning of its payload.
pub(super) fn start(payload: &[u8]) -> Option<u64> {
    let mut bytes = Bytes { rest: payload };
    let mut start = || -> Result<u64, Malformed> {
        bytes.number()?;
        bytes.number()?;
        bytes.number()
    };
    start().ok()
}

const CUT: Malformed = Malformed("it ends in the midst of something");

struct Records<'a> {
    bytes: Bytes<'a>,
    left: usize,
}

/// A record that is still to come.
struct Record {
    /// Events before it.
    after: u64,
    kind: u64,
    argument: u64,
    words: Vec<u64>,
}

impl Records<'_> {
    fn next(&mut self) -> Result<Option<Record>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let [after, kind, argument] = [self.bytes.number()?, self.bytes.number()?, self.bytes.number()?];
        let count = self.bytes.count(MOST_SITE_FRAMES + 8, "a record has too many words")?;
        let mut words = Vec::with_capacity(count);
        let mut before = 0;
        for _ in 0..count {
            before = unzigzag(self.bytes.number()?, before);
            words.push(before);
        }
        if kind >= 64 || argument >> 40 != 0 {
            return Err(Malformed("a record's kind or argument is too large"));
        }
        Ok(Some(Record { after, kind, argument, words }))
    }
}

impl Record {
    fn put(&self, words: &mut Vec<u64>, next_block: u64) -> Result<u64, Malformed> {
        if words.len() + self.words.len() >= RAW_WORDS * 2 {
            return Err(Malformed("more words than a chunk has room for"));
        }
        words.push(other(self.kind, self.words.len(), self.argument));
        words.extend(&self.words);
        Ok(after_record(self.kind, &self.words, next_block & ((1 << 62) - 1)))
    }
}

struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed("a number is too long"))
    }

    fn count(&mut self, most: usize, too_many: &'static str) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).ok().filter(|&count| count <= most).ok_or(Malformed(too_many))
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    /// The next bits, at least 56 of them; zeros after the end.
    #[inline]
    fn peek(&self) -> u64 {
        let from = self.at / 8;
        let word = if let Some(bytes) = self.bytes.get(from..).and_then(<[u8]>::first_chunk) {
            u64::from_le_bytes(*bytes)
        } else {
            let rest = self.bytes.get(from..).unwrap_or_default();
            rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
        };
        word >> (self.at % 8)
    }

    #[inline]
    fn skip(&mut self, count: u32) -> Result<(), Malformed> {
        self.at += count as usize;
        if self.at > self.bytes.len() * 8 { Err(CUT) } else { Ok(()) }
    }

    #[inline]
    fn take(&mut self, count: u32) -> Result<u64, Malformed> {
        let bits = self.peek() & ((1 << count) - 1);
        self.skip(count)?;
        Ok(bits)
    }
}

/// A prefix code, as a table from the next bits to symbols.
struct Codes {
    /// symbol | length << 16
    table: Vec<u32>,
    longest: u32,
}

impl Codes {
    fn read(bits: &mut Bits, symbols: usize) -> Result<Self, Malformed> {
        let mut lengths = Vec::with_capacity(symbols);
        while lengths.len() < symbols {
            let length = bits.take(4)?;
            let count = if length == 0 { bits.take(4)? + 1 } else { 1 };
            lengths.extend((0..count).map(|_| length as u8));
        }
        if lengths.len() > symbols {
            return Err(Malformed("a table of codes is too long"));
        }
        let longest = u32::from(lengths.iter().copied().max().unwrap_or(0));
        let kraft: u64 =
            lengths.iter().filter(|&&length| length > 0).map(|&length| 1 << (huffman::LONGEST as u8 - length)).sum();
        if kraft > 1 << huffman::LONGEST {
            return Err(Malformed("a table has more codes than there can be"));
        }
        let mut codes = vec![0; symbols];
        huffman::codes(&lengths, &mut codes);
        let mut table = vec![0; 1 << longest];
        for (symbol, (&code, &length)) in codes.iter().zip(&lengths).enumerate() {
            if length > 0 {
                let entry = symbol as u32 | u32::from(length) << 16;
                table[(code & 0xffff) as usize..].iter_mut().step_by(1 << length).for_each(|slot| *slot = entry);
            }
        }
        Ok(Self { table, longest })
    }

    #[inline]
    fn symbol(&self, bits: &mut Bits) -> Result<usize, Malformed> {
        let entry = self.table[(bits.peek() & ((1 << self.longest) - 1)) as usize];
        if entry == 0 {
            return Err(Malformed("bits are no code"));
        }
        bits.skip(entry >> 16)?;
        Ok((entry & 0xffff) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::{Encoder, MOST_BYTES};
    use super::super::format::{LARGE, NUMBERS, SITE, STAMP};
    use super::*;

    fn packed(preamble: Preamble, words: &[u64]) -> Vec<u8> {
        let mut out = vec![0; MOST_BYTES];
        let mut encoder = Box::new(Encoder::NEW);
        let length = encoder.encode(preamble, words, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn words() -> impl Strategy<Value = Vec<u64>> {
        let first = 1_u64 << 20;
        let word = prop_oneof![
            8 => (prop_oneof![0..4_u64, 0..1_u64 << SITE_BITS], prop_oneof![Just(24_u64), 0..600_u64, 0..1_u64 << 40]).prop_map(|(site, size)| vec![alloc(site, size)]),
            8 => prop_oneof![first..first + 3000, 0..1_u64 << BLOCK_BITS].prop_map(|block| vec![free(block)]),
            1 => any::<u64>().prop_map(|time| vec![other(STAMP, 1, 0), time]),
            1 => (0..1_u64 << 40).prop_map(|first| vec![other(NUMBERS, 1, 0), first]),
            1 => any::<u64>().prop_map(|size| vec![other(LARGE, 1, 3), size]),
            1 => prop::collection::vec(any::<u64>(), 0..MOST_SITE_FRAMES).prop_map(|ips| [vec![other(SITE, ips.len(), 1 << 8 | 2)], ips].concat()),
        ];
        prop::collection::vec(word, 0..400)
            .prop_map(|all| all.concat().into_iter().take(RAW_WORDS).collect::<Vec<_>>())
            .prop_map(whole)
    }

    /// Without a last record that was cut.
    fn whole(mut words: Vec<u64>) -> Vec<u64> {
        let mut index = 0;
        while let Some(&word) = words.get(index) {
            let next = index + 1 + if word & 3 == 3 { (word >> 8 & 0xffff) as usize } else { 0 };
            if next > words.len() {
                words.truncate(index);
            }
            index = next;
        }
        words
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(words in words(), first_block in 0..1_u64 << 41, seed in any::<[u64; 4]>()) {
            let preamble = Preamble { tid: seed[0], first_block, start: seed[1], missed: seed[2], strangers: seed[3] };
            prop_assert_eq!(decode(&packed(preamble, &words)), Ok((preamble, words)));
        }

        #[test]
        fn bytes_that_are_anything_are_an_error_or_words(words in words(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = packed(Preamble::default(), &words);
            let index = at.index(bytes.len());
            bytes[index] = with;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..cut.index(bytes.len())]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Each with the codes of the one before, which had other sites, sizes and distances, or hardly any words.
        #[test]
        fn what_is_packed_after_something_else_comes_out_again(chunks in prop::collection::vec((words(), 1..40_usize), 2..6)) {
            let mut encoder = Box::new(Encoder::NEW);
            for (words, times) in chunks {
                let words: Vec<u64> = words.iter().copied().cycle().take(words.len() * times).take(RAW_WORDS).collect();
                let words = whole(words);
                let mut out = vec![0; MOST_BYTES];
                let length = encoder.encode(Preamble::default(), &words, &mut out).unwrap();
                prop_assert_eq!(decode(&out[..length]), Ok((Preamble::default(), words)));
            }
        }
    }

    #[test]
    fn a_full_chunk_of_surprises_fits() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 20
        };
        let words: Vec<u64> = (0..RAW_WORDS)
            .map(|_| {
                if random() % 2 == 0 {
                    alloc(random() & 0x3f_ffff, random() & ((1 << 40) - 1))
                } else {
                    free(random() & ((1 << 42) - 1))
                }
            })
            .collect();
        let mut encoder = Box::new(Encoder::NEW);
        let mut out = vec![0; MOST_BYTES];
        // Twice: all sites of the one are others than those of the other.
        for part in [&words, &words.iter().map(|word| word ^ 0xff << 10).collect()] {
            let length = encoder.encode(Preamble::default(), part, &mut out).unwrap();
            assert_eq!(decode(&out[..length]).unwrap().1, *part);
        }
    }

    #[test]
    fn a_blocks_life_takes_less_than_three_bytes() {
        // A thousand blocks of 16 to 512 bytes from four sites, replaced at random.
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut live: Vec<u64> = (0..1000).collect();
        let mut words = Vec::new();
        let mut next = 1000;
        while words.len() + 2 <= RAW_WORDS {
            let slot = random(1000) as usize;
            words.push(free(live[slot]));
            live[slot] = next;
            next += 1;
            words.push(alloc(1 + random(4), 16 + random(497)));
        }
        let bytes = packed(Preamble { first_block: 1000, ..Preamble::default() }, &words).len();
        let per_pair = bytes as f64 / (words.len() / 2) as f64;
        assert!(per_pair < 3.0, "{per_pair:.3} bytes");
    }
}
