//! Packs a thread's words into an [`EVENTS`](super::format::EVENTS) chunk: about three bytes for a block's life.
//!
//! What is predictable costs next to nothing, the rest close to its entropy:
//! - whether a word is an allocation or a free is guessed from the last four; only the distances between wrong guesses are written;
//! - an allocation is its site, with whether it asks for as much as the site did last, and else its size;
//! - a free is how many blocks the thread allocated since;
//! - sites, sizes and distances are written in prefix codes made for the chunk ([`huffman`]), sizes and
//!   distances in buckets, with the remaining bits as they are.
//!
//! # The payload
//! The [`Preamble`], the number of words that are events, the number of records and their bytes, the number of sites, all as variable-length
//! numbers (LEB128). The records: events since the last record, kind, argument, words that follow, each as its difference from the one
//! before (zigzag). The sites' numbers, each as a difference. Then bits, the lowest first: three tables of code lengths (sites, sizes,
//! distances; four bits a length, zeros as 0 and how many more, in four), and the events.
//!
//! It runs inside `malloc`, so it allocates nothing.

use super::format::{
    ALLOC, BUCKETS, FREE, OTHER, PREAMBLE_WORDS, Preamble, RAW_WORDS, SITE_BITS, Word, bucket, bucket_base,
};
use super::huffman;

/// The token of a block that another thread allocated, or this one in another run of numbers: the number follows.
pub const FOREIGN: usize = BUCKETS;
/// Tokens of frees.
pub const DISTANCES: usize = BUCKETS + 1;
/// Bits of a block's number.
pub const BLOCK_BITS: u32 = 42;
/// Bytes that a packed chunk can have at most, without its header: every word becomes at most ten bytes, and there are tables.
pub const MOST_BYTES: usize = RAW_WORDS * 16 + 16 * 1024;

/// Places in the table that finds a site's place in the chunk: sites are numbered from 1, so most have one to themselves.
const SLOTS: usize = 1 << 16;

/// What packing needs for its work. All zeros is a valid one, and a new one.
#[derive(Debug)]
pub struct Encoder {
    /// For each event what was found out about it, for the second pass: symbol | bucket << 16.
    tokens: [u32; RAW_WORDS],
    /// Where the distances between wrong guesses are kept.
    runs: [u16; RAW_WORDS + 1],
    /// The chunk's sites in the order of their first appearance, and what each asked for last (plus one).
    sites: [u32; RAW_WORDS],
    last_size: [u64; RAW_WORDS],
    /// The place of a site, plus one: at its number, or, if that is another's, behind it.
    slots: [u16; SLOTS],
    /// Which of them are used, and how many.
    used_slots: [u16; RAW_WORDS],
    used: usize,
    /// By symbol: a site's place times two, plus one if the size is the last one.
    site_counts: [u32; RAW_WORDS * 2],
    size_counts: [u32; BUCKETS],
    distance_counts: [u32; DISTANCES],
    site_codes: [u32; RAW_WORDS * 2],
    size_codes: [u32; BUCKETS],
    distance_codes: [u32; DISTANCES],
    lengths: [u8; RAW_WORDS * 2],
    order: [u32; RAW_WORDS * 2],
    weights: [u32; RAW_WORDS * 2],
}

/// What the first pass found out.
#[derive(Default)]
struct Found {
    events: usize,
    records: usize,
    sites: usize,
    runs: usize,
}

impl Encoder {
    /// All zeros.
    #[cfg(test)]
    #[allow(clippy::large_stack_arrays)] // tests' stacks have room
    pub const NEW: Self = Self {
        tokens: [0; RAW_WORDS],
        runs: [0; RAW_WORDS + 1],
        sites: [0; RAW_WORDS],
        last_size: [0; RAW_WORDS],
        slots: [0; SLOTS],
        used_slots: [0; RAW_WORDS],
        used: 0,
        site_counts: [0; RAW_WORDS * 2],
        size_counts: [0; BUCKETS],
        distance_counts: [0; DISTANCES],
        site_codes: [0; RAW_WORDS * 2],
        size_codes: [0; BUCKETS],
        distance_codes: [0; DISTANCES],
        lengths: [0; RAW_WORDS * 2],
        order: [0; RAW_WORDS * 2],
        weights: [0; RAW_WORDS * 2],
    };

    /// Packs `words`, and returns the payload's length; `None` if `out` is too small, which it isn't with [`MOST_BYTES`].
    pub fn encode(&mut self, preamble: Preamble, words: &[u64], out: &mut [u8]) -> Option<usize> {
        let found = self.look(preamble.first_block, words)?;
        let mut bytes = Bytes { out, at: 0 };
        for number in preamble.words() {
            bytes.number(number)?;
        }
        bytes.number(found.events as u64)?;
        bytes.number(found.records as u64)?;
        // The records' length is known once they are written: it has a fixed size.
        let length_at = bytes.at;
        bytes.raw(&[0; 4])?;
        Self::records(words, &mut bytes)?;
        let length = (bytes.at - length_at - 4) as u32;
        bytes.out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        bytes.number(found.sites as u64)?;
        let mut before = 0;
        for &site in self.sites.get(..found.sites)? {
            bytes.number(zigzag(u64::from(site), before))?;
            before = u64::from(site);
        }
        let at = bytes.at;
        let mut bits = Bits { out: bytes.out, at, pending: 0, count: 0 };
        self.tables(&found, &mut bits)?;
        self.events(preamble.first_block, words, &found, &mut bits)?;
        bits.finish()
    }

    /// The first pass: what occurs how often.
    fn look(&mut self, first_block: u64, words: &[u64]) -> Option<Found> {
        for &slot in &self.used_slots[..self.used] {
            self.slots[usize::from(slot)] = 0;
        }
        self.used = 0;
        self.size_counts.fill(0);
        self.distance_counts.fill(0);
        let mut found = Found::default();
        let mut guess = Guess::default();
        let mut next_block = first_block;
        let mut run = 0_u16;
        let mut index = 0;
        while let Some(&word) = words.get(index) {
            let op = word & 3;
            if op == OTHER {
                let Word::Other { kind, count, .. } = Word::from(word) else { return None };
                next_block = after_record(kind, words.get(index + 1..=index + count)?, next_block);
                found.records += 1;
                index += 1 + count;
                continue;
            }
            let token = self.tokens.get_mut(found.events)?;
            if op == ALLOC {
                let site = (word >> 2) as u32 & ((1 << SITE_BITS) - 1);
                let size = word >> (SITE_BITS + 2);
                let mut slot = site as usize & (SLOTS - 1);
                let place = loop {
                    let place = usize::from(self.slots[slot]);
                    if place == 0 {
                        let new = found.sites;
                        found.sites += 1;
                        self.slots[slot] = found.sites as u16;
                        self.used_slots[new] = slot as u16;
                        self.used = found.sites;
                        self.sites[new] = site;
                        self.last_size[new] = 0;
                        self.site_counts[new * 2] = 0;
                        self.site_counts[new * 2 + 1] = 0;
                        break new;
                    }
                    if self.sites[place - 1] == site {
                        break place - 1;
                    }
                    slot = (slot + 1) & (SLOTS - 1);
                };
                let again = usize::from(self.last_size[place] == size + 1);
                let symbol = place * 2 + again;
                self.site_counts[symbol] += 1;
                let (bucket, _) = bucket(size);
                *token = symbol as u32 | (bucket as u32) << 16;
                if again == 0 {
                    self.size_counts[bucket] += 1;
                    self.last_size[place] = size + 1;
                }
                next_block += 1;
            } else if op == FREE {
                let distance = next_block.wrapping_sub(word >> 2);
                let bucket = if distance < 1 << BLOCK_BITS { bucket(distance).0 } else { FOREIGN };
                self.distance_counts[bucket] += 1;
                *token = bucket as u32;
            } else {
                break;
            }
            found.events += 1;
            index += 1;
            if guess.right(op == ALLOC) {
                run += 1;
            } else {
                *self.runs.get_mut(found.runs)? = run;
                found.runs += 1;
                run = 0;
            }
        }
        *self.runs.get_mut(found.runs)? = run;
        Some(found)
    }

    fn records(words: &[u64], bytes: &mut Bytes) -> Option<()> {
        let (mut index, mut since) = (0, 0);
        while let Some(&word) = words.get(index) {
            index += 1;
            match Word::from(word) {
                Word::Other { kind, count, argument } => {
                    for number in [since, kind, argument, count as u64] {
                        bytes.number(number)?;
                    }
                    let mut before = 0;
                    for &word in words.get(index..index + count)? {
                        bytes.number(zigzag(word, before))?;
                        before = word;
                    }
                    index += count;
                    since = 0;
                }
                Word::End => break,
                Word::Alloc { .. } | Word::Free { .. } => since += 1,
            }
        }
        Some(())
    }

    fn tables(&mut self, found: &Found, bits: &mut Bits) -> Option<()> {
        let Self { site_counts, size_counts, distance_counts, lengths, order, weights, .. } = self;
        for (counts, codes) in [
            (&site_counts[..found.sites * 2], &mut self.site_codes[..]),
            (&size_counts[..], &mut self.size_codes[..]),
            (&distance_counts[..], &mut self.distance_codes[..]),
        ] {
            huffman::lengths(counts, lengths, order, weights);
            let lengths = &lengths[..counts.len()];
            huffman::codes(lengths, codes);
            let mut index = 0;
            while index < lengths.len() {
                bits.put(u64::from(lengths[index]), 4)?;
                let same = lengths[index..].iter().take(16).take_while(|&&length| length == 0).count();
                if same > 0 {
                    bits.put(same as u64 - 1, 4)?;
                }
                index += same.max(1);
            }
        }
        Some(())
    }

    /// The second pass. It is told as little as possible again: tokens and codes are there.
    fn events(&self, first_block: u64, words: &[u64], found: &Found, bits: &mut Bits) -> Option<()> {
        let mut runs = self.runs[..=found.runs].iter();
        let mut run = *runs.next()?;
        bits.gamma(u64::from(run) + 1)?;
        let mut tokens = self.tokens[..found.events].iter();
        let mut next_block = first_block;
        let mut index = 0;
        while let Some(&word) = words.get(index) {
            index += 1;
            let op = word & 3;
            if op == OTHER {
                let Word::Other { kind, count, .. } = Word::from(word) else { return None };
                next_block = after_record(kind, words.get(index..index + count)?, next_block);
                index += count;
                continue;
            }
            let Some(&token) = tokens.next() else { break };
            if op == ALLOC {
                let code = self.site_codes[(token & 0xffff) as usize];
                if token & 1 == 0 {
                    let bucket = (token >> 16) as usize;
                    let (_, extra) = bucket_base(bucket);
                    let size_code = self.size_codes[bucket];
                    let (length, size_length) = (code >> 16, size_code >> 16);
                    let codes = u64::from(code & 0xffff) | u64::from(size_code & 0xffff) << length;
                    let rest = word >> (SITE_BITS + 2) & ((1 << extra) - 1);
                    let both = length + size_length;
                    // One after the other costs as much as all the rest: mostly they fit into one.
                    if both + extra <= 56 {
                        bits.put(codes | rest << both, both + extra)?;
                    } else {
                        bits.put(codes, both)?;
                        bits.put(rest, extra)?;
                    }
                } else {
                    bits.put(u64::from(code & 0xffff), code >> 16)?;
                }
                next_block += 1;
            } else {
                let code = self.distance_codes[token as usize];
                let length = code >> 16;
                if token as usize == FOREIGN {
                    bits.put(u64::from(code & 0xffff), length)?;
                    bits.put(word >> 2 & ((1 << BLOCK_BITS) - 1), BLOCK_BITS)?;
                } else {
                    let (_, extra) = bucket_base(token as usize);
                    let rest = next_block.wrapping_sub(word >> 2) & ((1 << extra) - 1);
                    bits.put(u64::from(code & 0xffff) | rest << length, length + extra)?;
                }
            }
            if run == 0 {
                run = *runs.next()?;
                bits.gamma(u64::from(run) + 1)?;
            } else {
                run -= 1;
            }
        }
        Some(())
    }
}

/// The number of the next block, when a record has been read.
#[inline]
pub fn after_record(kind: u64, words: &[u64], next_block: u64) -> u64 {
    match (kind, words) {
        (super::format::NUMBERS, &[first, ..]) => first,
        (super::format::LARGE, _) => next_block + 1,
        _ => next_block,
    }
}

/// Guesses what comes next: for each of the sixteen ways that the last four events can have been, a counter that tends to what followed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guess {
    history: usize,
    tendency: [i8; 16],
}

impl Guess {
    /// What it would say.
    #[inline]
    pub fn is_alloc(&self) -> bool {
        self.tendency[self.history] >= 0
    }

    /// Whether it is right, having been told.
    #[inline]
    pub fn right(&mut self, is_alloc: bool) -> bool {
        let right = self.is_alloc() == is_alloc;
        let tendency = &mut self.tendency[self.history];
        *tendency = (*tendency + if is_alloc { 1 } else { -1 }).clamp(-2, 1);
        self.history = (self.history << 1 | usize::from(is_alloc)) & 15;
        right
    }
}

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
struct Bytes<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Bytes<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.get_mut(self.at..self.at + bytes.len())?.copy_from_slice(bytes);
        self.at += bytes.len();
        Some(())
    }

    fn number(&mut self, mut number: u64) -> Option<()> {
        while number >= 0x80 {
            self.raw(&[number as u8 | 0x80])?;
            number >>= 7;
        }
        self.raw(&[number as u8])
    }
}

/// Bits being written, the lowest first.
struct Bits<'a> {
    out: &'a mut [u8],
    at: usize,
    pending: u64,
    count: u32,
}

impl Bits<'_> {
    /// At most 56 at a time.
    #[inline]
    fn put(&mut self, bits: u64, count: u32) -> Option<()> {
        self.pending |= bits << self.count;
        self.count += count;
        self.out.get_mut(self.at..self.at + 8)?.copy_from_slice(&self.pending.to_le_bytes());
        let whole = self.count / 8;
        self.at += whole as usize;
        self.pending = self.pending.checked_shr(whole * 8).unwrap_or(0);
        self.count &= 7;
        Some(())
    }

    /// Elias's gamma code of a number from 1 on: as many zeros as it has further bits, a one, those bits.
    fn gamma(&mut self, number: u64) -> Option<()> {
        let extra = number.ilog2();
        self.put(1 << extra, extra + 1)?;
        self.put(number & ((1 << extra) - 1), extra)
    }

    fn finish(self) -> Option<usize> {
        // What is pending stands in `out` already.
        let end = self.at + usize::from(self.count > 0);
        (end <= self.out.len()).then_some(end)
    }
}

const _: () = assert!(PREAMBLE_WORDS == 5 && RAW_WORDS < 1 << 14 && RAW_WORDS * 2 <= 1 << 16);
