//! Packs a thread's words into an [`EVENTS`](super::format::EVENTS) chunk: about three bytes for a block's life.
//!
//! What is predictable costs next to nothing, the rest close to its entropy:
//! - an allocation is its site, with whether it asks for as much as the site did last, and else its size;
//! - a free is how many blocks the thread allocated since;
//! - these are symbols of one prefix code ([`huffman`]) if the event before was a free, and of another if it was an allocation; sizes have a third.
//!   Sizes and distances are in buckets, and their remaining bits follow as they are.
//!
//! The codes are made for what the thread's *last* chunk had in it, so that the words are looked at once, and stand in the chunk, which can be read
//! without any other. What the last chunk did not have is written as it is, behind a symbol that says so. Where that is much, and where there is no
//! last chunk, the words are looked at twice.
//!
//! # The payload
//! The [`Preamble`], as variable-length numbers (LEB128). Then 16 bits number of words that are events, 16 bits number of records, 32 bits how many
//! bytes of bits there are. How many sites have symbols, as a variable-length number, and their numbers, each as a difference (zigzag). Then
//! bits, the lowest first: three tables of code lengths (after a free, after an allocation, sizes; four bits a length, zeros as 0 and how many
//! more, in four), and the events. At last the records: events since the last record, kind, argument, words that follow, each as its difference
//! from the one before.
//!
//! It runs inside `malloc`, so it allocates nothing.

use super::bits::{Bits, Bytes, zigzag};
use super::format::{ALLOC, BUCKETS, FREE, OTHER, PREAMBLE_WORDS, Preamble, RAW_WORDS, SITE_BITS, Word, bucket};
use super::huffman;
use super::places::{PLACES, Places, SITE_MASK};

/// The symbol of an allocation that has none: the site follows, then the size.
pub const OTHER_ALLOC: usize = 0;
/// The symbol of a free that has none, or of a block that another thread allocated, or this one in another run of numbers: the number follows.
pub const OTHER_FREE: usize = 1;
/// The symbols of frees, by bucket.
pub const FREES: usize = 2;
/// The symbols of allocations: of each site two, the second if the size is that of its last one.
pub const SITES: usize = FREES + BUCKETS;
/// In place of a size's bucket that has no code: the size follows.
pub const OTHER_SIZE: usize = BUCKETS;
/// Symbols of sizes.
pub const SIZES: usize = BUCKETS + 1;
/// Bits of a size.
pub const SIZE_BITS: u32 = 40;
/// Bits of a block's number.
pub const BLOCK_BITS: u32 = 42;
/// Bytes that a packed chunk can have at most, without its header: every word becomes at most twelve bytes, a site that it had before at most four, and there
/// are tables.
pub const MOST_BYTES: usize = RAW_WORDS * 16 + 32 * 1024;

const SYMBOLS: usize = SITES + PLACES * 2;
/// Words that are too few to learn from.
const FEW: usize = RAW_WORDS / 4;
/// Of so many events, one may have no symbol, before all are looked at again.
const SURPRISES: usize = 24;

/// How often a symbol has occurred in this chunk, and its code, of so many bits; none if these are 0.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    count: u32,
    code: u16,
    length: u16,
}

/// What packing needs for its work. All zeros is a valid one, and a new one.
#[derive(Debug)]
pub struct Encoder {
    /// Whether the counts are of a chunk from which there is something to learn.
    has_learnt: bool,
    /// Each as it is after a free, and after an allocation.
    symbols: [[Symbol; 2]; SYMBOLS],
    sizes: [Symbol; SIZES],
    places: Places,
    /// Where records begin, and how many events come before each since the last one.
    records: [[u16; 2]; RAW_WORDS],
    scratch: Scratch,
}

/// Room to make codes in.
#[derive(Debug)]
struct Scratch {
    lengths: [u8; SYMBOLS],
    counts: [u32; SYMBOLS],
    order: [u32; SYMBOLS],
    /// Also codes.
    weights: [u32; SYMBOLS],
}

/// What a pass has come upon.
#[derive(Clone, Copy, Default)]
struct Found {
    events: usize,
    records: usize,
    /// Words that are no events.
    of_records: usize,
    /// Events before the last record.
    told: usize,
    /// Events without a symbol of their own.
    surprises: usize,
}

impl Encoder {
    /// All zeros.
    #[cfg(test)]
    #[allow(clippy::large_stack_arrays)] // tests' stacks have room
    pub const NEW: Self = {
        const NONE: Symbol = Symbol { count: 0, code: 0, length: 0 };
        Self {
            has_learnt: false,
            symbols: [[NONE; 2]; SYMBOLS],
            sizes: [NONE; SIZES],
            places: Places::NEW,
            records: [[0; 2]; RAW_WORDS],
            scratch: Scratch {
                lengths: [0; SYMBOLS],
                counts: [0; SYMBOLS],
                order: [0; SYMBOLS],
                weights: [0; SYMBOLS],
            },
        }
    };

    /// What follows is another thread's, whose sites are others.
    pub fn forget(&mut self) {
        self.has_learnt = false;
    }

    /// Packs `words`, and returns the payload's length; `None` if `out` is too small, which it isn't with [`MOST_BYTES`].
    pub fn encode(&mut self, preamble: Preamble, words: &[u64], out: &mut [u8]) -> Option<usize> {
        let may_learn = words.len() >= FEW;
        if !may_learn || !self.has_learnt {
            self.learn_from(preamble, words)?;
        }
        self.has_learnt = false;
        let (mut length, found) = self.write(preamble, words, out)?;
        if found.surprises * SURPRISES > found.events {
            // The counts are of these words now.
            (length, _) = self.write(preamble, words, out)?;
        }
        self.has_learnt = may_learn;
        Some(length)
    }

    /// Counts what there is in the words, and nothing else.
    fn learn_from(&mut self, preamble: Preamble, words: &[u64]) -> Option<()> {
        let known = &mut self.symbols[..SITES + self.places.count() * 2];
        known.as_flattened_mut().iter_mut().for_each(|symbol| symbol.count = 0);
        self.sizes.iter_mut().for_each(|symbol| symbol.count = 0);
        self.places.retain(|_, _| false);
        let nothing = Bits { room: &mut [], pending: 0, count: 0 };
        self.pass::<false>(preamble.first_block, words, nothing).map(|_| ())
    }

    /// Writes the payload, with codes for what was counted; from then on counts what there is in these words.
    fn write(&mut self, preamble: Preamble, words: &[u64], out: &mut [u8]) -> Option<(usize, Found)> {
        let mut bytes = Bytes { out, at: 0 };
        for number in preamble.words() {
            bytes.number(number)?;
        }
        // Not known yet.
        let told_at = bytes.at;
        bytes.raw(&[0; 8])?;
        let symbols = &mut self.symbols;
        self.places.retain(|before, place| {
            let symbols_of = |place: usize| SITES + place * 2..SITES + place * 2 + 2;
            let has_occurred = symbols[symbols_of(before)].as_flattened().iter().any(|symbol| symbol.count > 0);
            if has_occurred {
                symbols.copy_within(symbols_of(before), symbols_of(place).start);
            }
            has_occurred
        });
        bytes.number(self.places.count() as u64)?;
        let mut before = 0;
        for site in self.places.sites() {
            bytes.number(zigzag(site, before))?;
            before = site;
        }
        let begin = bytes.at;
        let bits = self.tables(Bits { room: bytes.out.get_mut(begin..)?, pending: 0, count: 0 })?;
        let (found, left) = self.pass::<true>(preamble.first_block, words, bits)?;
        let end = bytes.out.len() - left;
        bytes.at = end;
        for &[begin, since] in self.records.get(..found.records)? {
            Self::record(words.get(usize::from(begin)..)?, u64::from(since), &mut bytes)?;
        }
        let told = found.events as u64 | (found.records as u64) << 16 | ((end - begin) as u64) << 32;
        bytes.out[told_at..told_at + 8].copy_from_slice(&told.to_le_bytes());
        Some((bytes.at, found))
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

    /// Makes the codes, for what was counted, and writes them down. Nothing is counted then.
    fn tables<'a>(&mut self, mut bits: Bits<'a>) -> Option<Bits<'a>> {
        let Self { symbols, sizes, scratch, .. } = self;
        let symbols = &mut symbols[..SITES + self.places.count() * 2];
        for after in 0..2 {
            bits = scratch.table(symbols, after, &[OTHER_ALLOC, OTHER_FREE], bits)?;
        }
        scratch.table(sizes.as_chunks_mut::<1>().0, 0, &[OTHER_SIZE], bits)
    }

    /// Goes through the words, counts their symbols, and, if it is to `WRITE`, writes the events. What it found, and the room that is left.
    #[inline(never)]
    fn pass<const WRITE: bool>(&mut self, first_block: u64, words: &[u64], mut bits: Bits) -> Option<(Found, usize)> {
        let mut found = Found::default();
        // An argument lies in memory; this one is the pass's own, and stays in registers.
        let Bits { room, pending, count } = bits;
        bits = Bits { room, pending, count };
        let (mut next_block, mut after) = (first_block, FREE);
        let mut left = words;
        while let Some((&word, rest)) = left.split_first() {
            left = rest;
            let op = word & 3;
            if op == ALLOC {
                next_block += 1;
                bits = self.alloc::<WRITE>(after, word >> 2, bits, &mut found)?;
            } else if op == FREE {
                bits = self.free::<WRITE>(after, word >> 2, next_block, bits, &mut found)?;
            } else if op == OTHER {
                let begin = words.len() - rest.len() - 1;
                (left, next_block) = self.note_record(word, rest, begin, next_block, &mut found)?;
                continue;
            } else {
                // The end comes before the words do.
                found.of_records += rest.len() + 1;
                break;
            }
            after = op;
        }
        found.events = words.len() - found.of_records;
        Some((found, bits.left()))
    }

    /// Puts down where a record is: the words behind it, and the number of the next block then.
    #[cold]
    #[inline(never)]
    fn note_record<'w>(
        &mut self,
        word: u64,
        rest: &'w [u64],
        begin: usize,
        next_block: u64,
        found: &mut Found,
    ) -> Option<(&'w [u64], u64)> {
        let Word::Other { kind, count, .. } = Word::from(word) else { return None };
        let (words, rest) = rest.split_at_checked(count)?;
        let events = begin - found.of_records;
        *self.records.get_mut(found.records)? = [begin as u16, (events - found.told) as u16];
        (found.records, found.told) = (found.records + 1, events);
        found.of_records += 1 + count;
        Some((rest, after_record(kind, words, next_block)))
    }

    /// An allocation: its site and size, as in a word. Without a symbol of its own it is a surprise.
    #[inline]
    fn alloc<'a, const WRITE: bool>(
        &mut self,
        after: u64,
        request: u64,
        bits: Bits<'a>,
        found: &mut Found,
    ) -> Option<Bits<'a>> {
        let (place, is_last) = match self.places.find(request) {
            Some(found) => found,
            None => self.new_site(request)?,
        };
        let symbol = &mut self.symbols.get_mut(SITES + place * 2 + usize::from(is_last))?[of(after)];
        symbol.count += 1;
        let (code, length) = (u64::from(symbol.code), u32::from(symbol.length));
        if is_last && (length > 0 || !WRITE) {
            return if WRITE { bits.put(code, length) } else { Some(bits) };
        }
        let size = request >> SITE_BITS;
        let (bucket, extra, rest) = bucket(size);
        let of_size = self.sizes.get_mut(bucket)?;
        of_size.count += u32::from(!is_last);
        if !WRITE {
            return Some(bits);
        }
        let both = length + u32::from(of_size.length);
        if length == 0 || of_size.length == 0 || both + extra > 56 {
            let [(of_site, count), (of_size, more)] = self.rare_alloc(after, SITES + place * 2, request, found);
            return bits.put(of_site, count)?.put(of_size, more);
        }
        let codes = code | u64::from(of_size.code) << length;
        bits.put(codes | rest << both, both + extra)
    }

    #[cold]
    #[inline(never)]
    fn new_site(&mut self, request: u64) -> Option<(usize, bool)> {
        let place = self.places.count();
        self.places.add(request & SITE_MASK)?;
        self.symbols[SITES + place * 2..][..2].fill([Symbol { count: 0, code: 0, length: 0 }; 2]);
        self.places.find(request)
    }

    /// An allocation that has not its own symbols, or too many bits: bits and how many, twice.
    #[cold]
    #[inline(never)]
    fn rare_alloc(&self, after: u64, symbol: usize, request: u64, found: &mut Found) -> [(u64, u32); 2] {
        // One that asks for as much as the last may be told as if it asked for something else.
        let of_site = self.symbols[symbol][of(after)];
        let of_site = if of_site.length > 0 {
            of_site.and(0, 0)
        } else {
            found.surprises += 1;
            self.symbols[OTHER_ALLOC][of(after)].and(request & SITE_MASK, SITE_BITS)
        };
        let size = request >> SITE_BITS;
        let (bucket, extra, rest) = bucket(size);
        let of_size = if self.sizes[bucket].length > 0 {
            self.sizes[bucket].and(rest, extra)
        } else {
            self.sizes[OTHER_SIZE].and(size, SIZE_BITS)
        };
        [of_site, of_size]
    }

    /// A free: how many blocks were allocated since. Without a symbol of its own it is a surprise.
    #[inline]
    fn free<'a, const WRITE: bool>(
        &mut self,
        after: u64,
        block: u64,
        next_block: u64,
        bits: Bits<'a>,
        found: &mut Found,
    ) -> Option<Bits<'a>> {
        let distance = next_block.wrapping_sub(block);
        if distance >> BLOCK_BITS == 0 {
            let (bucket, extra, rest) = bucket(distance);
            let symbol = &mut self.symbols.get_mut(FREES + bucket)?[of(after)];
            symbol.count += 1;
            if !WRITE {
                return Some(bits);
            }
            if symbol.length > 0 {
                let (code, count) = symbol.and(rest, extra);
                return bits.put(code, count);
            }
        }
        let (code, count) = self.rare_free(after, block, distance, found);
        if WRITE { bits.put(code, count) } else { Some(bits) }
    }

    #[cold]
    #[inline(never)]
    fn rare_free(&mut self, after: u64, block: u64, distance: u64, found: &mut Found) -> (u64, u32) {
        let other = &mut self.symbols[OTHER_FREE][of(after)];
        if distance >> BLOCK_BITS == 0 {
            found.surprises += 1;
        } else {
            other.count += 1;
        }
        other.and(block, BLOCK_BITS)
    }
}

impl Scratch {
    /// Makes codes for one of the `N` counts that symbols have, and writes their lengths down. What stands for `others` has a code always.
    fn table<'a, const N: usize>(
        &mut self,
        symbols: &mut [[Symbol; N]],
        which: usize,
        others: &[usize],
        mut bits: Bits<'a>,
    ) -> Option<Bits<'a>> {
        let Self { lengths, counts, order, weights } = self;
        let (lengths, counts) = (&mut lengths[..symbols.len()], &mut counts[..symbols.len()]);
        for &other in others {
            symbols[other][which].count += 1;
        }
        counts.iter_mut().zip(&*symbols).for_each(|(count, symbol)| *count = symbol[which].count);
        huffman::lengths(counts, lengths, order, weights);
        huffman::codes(lengths, weights);
        for (symbol, (&length, &code)) in symbols.iter_mut().zip(lengths.iter().zip(&*weights)) {
            symbol[which] = Symbol { count: 0, code: code as u16, length: length.into() };
        }
        let mut index = 0;
        while index < lengths.len() {
            bits = bits.put(u64::from(lengths[index]), 4)?;
            let same = lengths[index..].iter().take(16).take_while(|&&length| length == 0).count();
            if same > 0 {
                bits = bits.put(same as u64 - 1, 4)?;
            }
            index += same.max(1);
        }
        Some(bits)
    }
}

/// Which of a symbol's two it is after an event.
#[inline]
fn of(after: u64) -> usize {
    (after & ALLOC) as usize
}

impl Symbol {
    /// Its code with further bits behind it, and how many these are together.
    #[inline]
    fn and(self, bits: u64, count: u32) -> (u64, u32) {
        (u64::from(self.code) | bits << self.length, u32::from(self.length) + count)
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

const _: () = assert!(PREAMBLE_WORDS == 5 && RAW_WORDS < 1 << 14 && SITE_BITS + SIZE_BITS == 62);
