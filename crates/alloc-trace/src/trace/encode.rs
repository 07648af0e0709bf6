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

use super::bits::{Bits, Bytes, zigzag};
use super::format::{ALLOC, BUCKETS, FREE, OTHER, PREAMBLE_WORDS, Preamble, RAW_WORDS, SITE_BITS, Word, bucket};
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
/// Codes of frees stand behind those of sites.
const FREES: usize = RAW_WORDS * 2;
/// In place of a size's code, where none follows: its code has no bits.
const NO_SIZE: usize = BUCKETS;
/// Bits that a token has room for, and that go out together with two codes.
const MOST_REST: u32 = 26;
const SITE_MASK: u64 = (1 << SITE_BITS) - 1;
/// Of a site that has not asked for anything yet, above its size.
const NO_SIZE_YET: u64 = 1 << 62;

/// An event as the second pass wants it: 16 bits which code, 12 which size's code, 6 how many further bits, and these, if there is room.
type Token = u64;

/// What packing needs for its work. All zeros is a valid one, and a new one.
#[derive(Debug)]
pub struct Encoder {
    tokens: [Token; RAW_WORDS],
    /// Where records begin, and how many events come before each since the last one.
    records: [[u16; 2]; RAW_WORDS],
    /// Where the distances between wrong guesses are kept.
    runs: [u16; RAW_WORDS + 1],
    symbols: Symbols,
    codes: [u32; FREES + DISTANCES],
    size_codes: [u32; BUCKETS + 1],
    lengths: [u8; RAW_WORDS * 2],
    order: [u32; RAW_WORDS * 2],
    weights: [u32; RAW_WORDS * 2],
}

/// What occurs in a chunk, and how often.
#[derive(Debug)]
struct Symbols {
    /// Further bits that a token has no room for.
    wide: [u64; RAW_WORDS],
    wide_count: usize,
    /// The chunk's sites in the order of their first appearance, each with what it asked for last, as in a word.
    sites: [u64; RAW_WORDS],
    site_count: usize,
    /// The place of a site, plus one: at its number, or, if that is another's, behind it.
    slots: [u16; SLOTS],
    /// Which of them are used.
    used_slots: [u16; RAW_WORDS],
    /// By code: a site's place times two, plus one if the size is the last one; behind these frees.
    counts: [u32; FREES + DISTANCES],
    size_counts: [u32; BUCKETS],
}

/// How many there are of what the first pass has put down.
#[derive(Clone, Copy, Default)]
struct Found {
    events: usize,
    records: usize,
    runs: usize,
}

impl Encoder {
    /// All zeros.
    #[cfg(test)]
    #[allow(clippy::large_stack_arrays)] // tests' stacks have room
    pub const NEW: Self = Self {
        tokens: [0; RAW_WORDS],
        records: [[0; 2]; RAW_WORDS],
        runs: [0; RAW_WORDS + 1],
        symbols: Symbols {
            wide: [0; RAW_WORDS],
            wide_count: 0,
            sites: [0; RAW_WORDS],
            site_count: 0,
            slots: [0; SLOTS],
            used_slots: [0; RAW_WORDS],
            counts: [0; FREES + DISTANCES],
            size_counts: [0; BUCKETS],
        },
        codes: [0; FREES + DISTANCES],
        size_codes: [0; BUCKETS + 1],
        lengths: [0; RAW_WORDS * 2],
        order: [0; RAW_WORDS * 2],
        weights: [0; RAW_WORDS * 2],
    };

    /// Packs `words`, and returns the payload's length; `None` if `out` is too small, which it isn't with [`MOST_BYTES`].
    pub fn encode(&mut self, preamble: Preamble, words: &[u64], out: &mut [u8]) -> Option<usize> {
        let found = self.look(preamble.first_block, words)?;
        let sites = self.symbols.sites.get(..self.symbols.site_count)?;
        let mut bytes = Bytes { out, at: 0 };
        for number in preamble.words() {
            bytes.number(number)?;
        }
        bytes.number(found.events as u64)?;
        bytes.number(found.records as u64)?;
        // The records' length is known once they are written: it has a fixed size.
        let length_at = bytes.at;
        bytes.raw(&[0; 4])?;
        for &[begin, since] in self.records.get(..found.records)? {
            Self::record(words.get(usize::from(begin)..)?, u64::from(since), &mut bytes)?;
        }
        let length = (bytes.at - length_at - 4) as u32;
        bytes.out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        bytes.number(sites.len() as u64)?;
        let mut before = 0;
        for &site in sites {
            let site = site & SITE_MASK;
            bytes.number(zigzag(site, before))?;
            before = site;
        }
        let at = bytes.at;
        let mut bits = Bits { out: bytes.out, at, pending: 0, count: 0 };
        self.tables(&mut bits)?;
        self.events(found, bits)?.finish()
    }

    /// The first pass: what occurs how often.
    fn look(&mut self, first_block: u64, words: &[u64]) -> Option<Found> {
        self.symbols.clear();
        let mut found = Found::default();
        let mut guess = Guess::default();
        let mut next_block = first_block;
        let (mut run, mut told) = (0_u16, 0);
        let mut left = words;
        while let Some((&word, rest)) = left.split_first() {
            left = rest;
            let op = word & 3;
            let token = if op == ALLOC {
                next_block += 1;
                self.symbols.alloc(word >> 2)?
            } else if op == FREE {
                self.symbols.free(word >> 2, next_block)?
            } else if op == OTHER {
                let Word::Other { kind, count, .. } = Word::from(word) else { return None };
                next_block = after_record(kind, left.get(..count)?, next_block);
                let begin = words.len() - left.len() - 1;
                *self.records.get_mut(found.records)? = [begin as u16, (found.events - told) as u16];
                (found.records, told) = (found.records + 1, found.events);
                left = &left[count..];
                continue;
            } else {
                break;
            };
            *self.tokens.get_mut(found.events)? = token;
            found.events += 1;
            if guess.right(op == ALLOC) {
                run += 1;
            } else {
                *self.runs.get_mut(found.runs)? = run;
                (found.runs, run) = (found.runs + 1, 0);
            }
        }
        *self.runs.get_mut(found.runs)? = run;
        Some(found)
    }

    /// A record, that `words` begin with.
    fn record(words: &[u64], since: u64, bytes: &mut Bytes) -> Option<()> {
        let (&first, words) = words.split_first()?;
        let Word::Other { kind, count, argument } = Word::from(first) else { return None };
        for number in [since, kind, argument, count as u64] {
            bytes.number(number)?;
        }
        let mut before = 0;
        for &word in words.get(..count)? {
            bytes.number(zigzag(word, before))?;
            before = word;
        }
        Some(())
    }

    fn tables(&mut self, bits: &mut Bits) -> Option<()> {
        let Self { symbols, codes, size_codes, lengths, order, weights, .. } = self;
        let ((sites, frees), (site_codes, free_codes)) = (symbols.counts.split_at(FREES), codes.split_at_mut(FREES));
        for (counts, codes) in [
            (sites.get(..symbols.site_count * 2)?, site_codes),
            (&symbols.size_counts[..], &mut size_codes[..BUCKETS]),
            (frees, free_codes),
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

    /// The second pass. It is told nothing again: tokens and codes are there.
    fn events<'a>(&self, found: Found, mut bits: Bits<'a>) -> Option<Bits<'a>> {
        let mut wide = self.symbols.wide.iter();
        let mut tokens = self.tokens.get(..found.events)?;
        for &run in self.runs.get(..=found.runs)? {
            bits.gamma(u64::from(run) + 1)?;
            // The guess that follows a run is wrong; the last run ends with the events.
            let (now, later) = tokens.split_at((usize::from(run) + 1).min(tokens.len()));
            tokens = later;
            for &token in now {
                let code = self.codes[token as usize & 0xffff];
                let size_code = self.size_codes[(token >> 16 & 0xfff) as usize];
                let (length, extra) = (code >> 16, (token >> 28 & 0x3f) as u32);
                let both = length + (size_code >> 16);
                let codes = u64::from(code & 0xffff) | u64::from(size_code & 0xffff) << length;
                if extra <= MOST_REST {
                    bits.put(codes | token >> 34 << both, both + extra)?;
                } else {
                    bits.put(codes, both)?;
                    bits.put(*wide.next()?, extra)?;
                }
            }
        }
        Some(bits)
    }
}

impl Symbols {
    /// Begins a chunk.
    fn clear(&mut self) {
        for &slot in &self.used_slots[..self.site_count] {
            self.slots[usize::from(slot)] = 0;
        }
        (self.site_count, self.wide_count) = (0, 0);
        self.size_counts.fill(0);
        self.counts[FREES..].fill(0);
    }

    /// The token of an allocation: its site and size, as in a word.
    #[inline]
    fn alloc(&mut self, request: u64) -> Option<Token> {
        let mut slot = request as usize % SLOTS;
        let place = loop {
            let Some(place) = usize::from(self.slots[slot]).checked_sub(1) else { break self.new_site(request, slot)? };
            let last = *self.sites.get(place)?;
            if last == request {
                self.counts[place * 2 + 1] += 1;
                return Some((place * 2 + 1) as u64 | (NO_SIZE as u64) << 16);
            }
            if (last ^ request) & SITE_MASK == 0 {
                break place;
            }
            slot = (slot + 1) % SLOTS;
        };
        self.sites[place] = request;
        self.counts[place * 2] += 1;
        let size = request >> SITE_BITS;
        let (bucket, extra) = bucket(size);
        *self.size_counts.get_mut(bucket)? += 1;
        self.token(place * 2, bucket, extra, size)
    }

    #[cold]
    #[inline(never)]
    fn new_site(&mut self, request: u64, slot: usize) -> Option<usize> {
        let new = self.site_count;
        *self.sites.get_mut(new)? = request & SITE_MASK | NO_SIZE_YET;
        self.counts[new * 2..new * 2 + 2].fill(0);
        self.used_slots[new] = slot as u16;
        self.site_count += 1;
        self.slots[slot] = self.site_count as u16;
        Some(new)
    }

    /// The token of a free: how many blocks were allocated since.
    #[inline]
    fn free(&mut self, block: u64, next_block: u64) -> Option<Token> {
        let distance = next_block.wrapping_sub(block);
        if distance >> BLOCK_BITS > 0 {
            self.counts[FREES + FOREIGN] += 1;
            return self.token(FREES + FOREIGN, NO_SIZE, BLOCK_BITS, block);
        }
        let (bucket, extra) = bucket(distance);
        self.counts[FREES + bucket] += 1;
        self.token(FREES + bucket, NO_SIZE, extra, distance)
    }

    #[inline]
    fn token(&mut self, code: usize, size: usize, extra: u32, number: u64) -> Option<Token> {
        let rest = number & ((1 << extra) - 1);
        let token = code as u64 | (size as u64) << 16 | u64::from(extra) << 28;
        if extra > MOST_REST {
            *self.wide.get_mut(self.wide_count)? = rest;
            self.wide_count += 1;
            return Some(token);
        }
        Some(token | rest << 34)
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

const _: () = assert!(PREAMBLE_WORDS == 5 && RAW_WORDS < 1 << 14 && FREES + DISTANCES <= 1 << 16 && BUCKETS < 1 << 12);
