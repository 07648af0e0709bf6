//! The trace file: what the library in the traced program and the reader agree on.
//!
//! # The file
//! A header of [`FILE_HEADER`] bytes, then chunks, each at a multiple of [`ALIGN`] bytes. Between chunks there may be zeros: space that a
//! thread took and did not come to fill. A chunk has a header of [`CHUNK_HEADER`] bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | [`CHUNK_MAGIC`], little endian like all numbers here |
//! | 8 | 4 | [`EVENTS`], [`RAW`], [`MODULES`] or [`PYTHON`] |
//! | 12 | 4 | length of the payload |
//! | 16 | 8 | [`checksum`] of bytes 8 to 16, 24 to 48, and the payload; 0 in [`RAW`], which changes while it is mapped |
//! | 24 | 4 | the thread: the order in which threads of the process first allocated, from 1 |
//! | 28 | 4 | the number of the chunk among the thread's, from 0 |
//! | 32 | 16 | the thread's name, filled up with zeros |
//!
//! # Words
//! A thread notes what happens in words of 64 bits, in a [`RAW`] chunk that is mapped from the file: what is in there survives the process,
//! whatever ends it. When the chunk is full, its words are packed ([`encode`](super::encode)), appended as an [`EVENTS`] chunk, and then
//! taken out of the [`RAW`] chunk, whose number goes up. A [`RAW`] chunk whose number has been seen in an [`EVENTS`] chunk is thus a
//! duplicate. Words end at the first that is 0.
//!
//! The two lowest bits say what a word is:
//! - [`ALLOC`]: 22 bits site, 40 bits size. Its block's number is not written: a thread's blocks are numbered one after the other.
//! - [`FREE`]: 62 bits: the number of the block.
//! - [`OTHER`]: 6 bits kind of record, 16 bits count of words that belong to it, 40 bits argument.
//!
//! A *site* is a kind of call together with a stack of return addresses, and has a number in its thread.

/// The first bytes of a trace file.
pub const FILE_MAGIC: [u8; 8] = *b"\x89altrc\n\x02";
/// Which version of this the file is of: behind the first bytes. Counted up with every change that makes older readers wrong.
pub const VERSION: u32 = 2;
/// Bytes of the file's header.
pub const FILE_HEADER: usize = 4096;
/// Chunks begin at multiples of this.
pub const ALIGN: usize = 16;
/// Where in the header stands when the trace had to end because the file could not grow: nanoseconds from the beginning; 0 if it had not.
pub const STOPPED_AT: usize = FILE_HEADER - 8;
/// Where in the header stands of how many bytes one was drawn, on average, to note the block that holds it; 0 if all blocks were noted.
pub const SAMPLED_AT: usize = STOPPED_AT - 8;
/// More than that it is not.
pub const LARGEST_MEAN: u64 = 1 << 40;
/// The first word of a chunk.
pub const CHUNK_MAGIC: u64 = 0xa110_c7ac_e0c4_b10c;
/// Bytes of a chunk's header.
pub const CHUNK_HEADER: usize = 48;

/// A chunk of packed events.
pub const EVENTS: u32 = 1;
/// A chunk about Python: of the number 0 its version and whether its frames can be read; of others a code object: the first line; name, file and
/// table of lines, each with the size of its characters and its length in bytes before it.
pub const PYTHON: u32 = 4;
/// A chunk of words, mapped into the process while it ran.
pub const RAW: u32 = 2;
/// A chunk that lists executable mappings: text, the generation in the first line, then lines of `/proc/PID/maps`.
pub const MODULES: u32 = 3;

/// Bytes of a [`RAW`] chunk with its header.
pub const RAW_BYTES: usize = 64 << 10;
/// Words at the beginning of a [`RAW`] chunk's payload that are a [`Preamble`].
pub const PREAMBLE_WORDS: usize = 5;
/// Words that a [`RAW`] chunk has room for, after the preamble.
pub const RAW_WORDS: usize = (RAW_BYTES - CHUNK_HEADER) / 8 - PREAMBLE_WORDS;

/// What a chunk's words can't be understood without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preamble {
    /// The kernel's number for the thread.
    pub tid: u64,
    /// The number of the first block that the chunk allocates.
    pub first_block: u64,
    /// Nanoseconds from the trace's start to the chunk's.
    pub start: u64,
    /// Calls so far in this thread that could not be noted: made by a signal handler in the midst of noting another.
    pub missed: u64,
    /// Blocks freed so far in this thread that nobody saw allocated.
    pub strangers: u64,
}

impl Preamble {
    /// As words.
    pub fn words(self) -> [u64; PREAMBLE_WORDS] {
        [self.tid, self.first_block, self.start, self.missed, self.strangers]
    }

    /// From [`Preamble::words`].
    pub fn from_words([tid, first_block, start, missed, strangers]: [u64; PREAMBLE_WORDS]) -> Self {
        Self { tid, first_block, start, missed, strangers }
    }
}

/// A block is handed out.
pub const ALLOC: u64 = 1;
/// A block is given back.
pub const FREE: u64 = 2;
/// A record of several words.
pub const OTHER: u64 = 3;

/// Bits of a site's number.
pub const SITE_BITS: u32 = 22;
/// Sizes below this fit into an [`ALLOC`] word; larger ones are a [`LARGE`] record.
pub const SIZE_LIMIT: u64 = 1 << 40;
/// Frames of a stack at most, Python's apart.
pub const MOST_FRAMES: usize = 128;
/// Frames of Python's at most.
pub const MOST_PYTHON_FRAMES: usize = 128;
/// Both.
pub const MOST_SITE_FRAMES: usize = MOST_FRAMES + MOST_PYTHON_FRAMES;
/// Marks a frame of Python's, in place of a return address: below are 30 bits number of the code object, and 32 bits place in the bytecode. A site's
/// stand outside of all return addresses.
pub const PYTHON_FRAME: u64 = 1 << 63;
/// In place of a code object's number: a call of the interpreter with no function to run.
pub const PYTHON_NOTHING: u64 = ((1 << 30) - 1) << 32;
/// Marks the outermost frame of those that one call of the interpreter runs.
pub const PYTHON_ENTRY: u64 = 1 << 62;

/// The time: one word, nanoseconds from the trace's start.
pub const STAMP: u64 = 1;
/// A new site: the argument is its kind and how its stack ended (`kind | end << 8`); the words are `site | kept << 32`, where `kept` counts
/// the outermost frames that it shares with the site defined before it, and the remaining return addresses, the outermost first.
pub const SITE: u64 = 2;
/// The number of the thread's next block, where it isn't the last one's plus one.
pub const NUMBERS: u64 = 3;
/// A block whose size doesn't fit into a word: the argument is the site, the word the size.
pub const LARGE: u64 = 4;
/// `mmap`: the argument is the site; address, length, protection and flags (`protection | flags << 32`).
pub const MAP: u64 = 5;
/// `munmap`: the argument is the site; address, length.
pub const UNMAP: u64 = 6;
/// `mremap`: the argument is the site; address and length before, address and length after.
pub const REMAP: u64 = 7;
/// `brk` and `sbrk`: the argument is the site; the break before and after.
pub const BREAK: u64 = 8;
/// A library was unloaded: sites defined from here on belong to this generation of modules.
pub const GENERATION: u64 = 9;
/// The thread ends.
pub const THREAD_END: u64 = 10;

/// The C library has mapped memory for one block alone: the argument is the site; address, length.
pub const BLOCK_MAP: u64 = 11;
/// And given it back: the argument is 0, or the site of a call that makes the block anew; address, length.
pub const BLOCK_UNMAP: u64 = 12;
/// The C library has reserved memory for an arena of further threads, or a thread has asked there for the first time: the argument is the site;
/// address, length.
pub const ARENA: u64 = 13;
/// The C library has moved the end of the heap: the argument is the site, 0 for `free`; the end before and after.
pub const HEAP: u64 = 14;
/// What the process has of the system's memory: nanoseconds from the trace's start; bytes of addresses, bytes resident, its share of what is
/// resident (Pss) plus one, or 0 where it was not read; page faults so far without and with the disk.
pub const MEMORY: u64 = 15;

/// How a stack ended: where the thread began, as its frame pointer or its tables say.
pub const END_OF_CHAIN: u64 = 0;
/// How a stack ended: the next frame pointer can't be one, and the tables don't help.
pub const BROKEN_CHAIN: u64 = 1;
/// How a stack ended: there are more than [`MOST_FRAMES`].
pub const TOO_DEEP: u64 = 2;
/// How a stack ended: the bounds of the stack are not known.
pub const UNKNOWN_STACK: u64 = 3;

/// The kinds of call that a site can be, by number; 0 is a site that could not be told from others, when there were too many.
pub const KINDS: [&str; 16] = [
    "unknown",
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "mmap",
    "munmap",
    "mremap",
    "brk",
    "python malloc",
    "python calloc",
    "python realloc",
];

/// An [`ALLOC`] word.
#[inline]
pub const fn alloc(site: u64, size: u64) -> u64 {
    ALLOC | site << 2 | size << (SITE_BITS + 2)
}

/// A [`FREE`] word.
#[inline]
pub const fn free(block: u64) -> u64 {
    FREE | block << 2
}

/// The first word of a record with `count` further ones.
#[inline]
pub const fn other(kind: u64, count: usize, argument: u64) -> u64 {
    OTHER | kind << 2 | (count as u64) << 8 | argument << 24
}

/// A word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The end of the words.
    End,
    /// A block of `size` bytes is handed out.
    Alloc {
        /// By whom.
        site: u64,
        /// Bytes asked for.
        size: u64,
    },
    /// A block is given back.
    Free {
        /// Its number.
        block: u64,
    },
    /// A record begins.
    Other {
        /// [`STAMP`] and its like.
        kind: u64,
        /// Words that follow.
        count: usize,
        /// What it means is up to the kind.
        argument: u64,
    },
}

impl From<u64> for Word {
    #[inline]
    fn from(word: u64) -> Self {
        match word & 3 {
            ALLOC => Self::Alloc { site: word >> 2 & ((1 << SITE_BITS) - 1), size: word >> (SITE_BITS + 2) },
            FREE => Self::Free { block: word >> 2 },
            OTHER => Self::Other { kind: word >> 2 & 0x3f, count: (word >> 8 & 0xffff) as usize, argument: word >> 24 },
            _ => Self::End,
        }
    }
}

/// Tells damaged bytes from whole ones; not meant against forgery. Four lanes, so that a chunk costs little more than reading it.
pub fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut lanes = [seed, seed ^ PRIME, !seed, seed.rotate_left(32) ^ PRIME];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = (lane.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME);
        }
    }
    let mut sum = bytes.len() as u64;
    for &byte in blocks.remainder() {
        sum = (sum.rotate_left(29) ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    for lane in lanes {
        sum = (sum.rotate_left(29) ^ lane).wrapping_mul(PRIME);
    }
    sum ^ sum >> 32
}

/// The sum that stands in a chunk's header, from that header and its payload.
pub fn chunk_checksum(header: &[u8; CHUNK_HEADER], payload: &[u8]) -> u64 {
    let head = checksum(checksum(0, &header[8..16]), &header[24..]);
    checksum(head, payload)
}

/// Sorts a number into one of [`BUCKETS`]: exactly below 8, then eight to a power of two of what it is plus 8. Returns the bucket, how many bits the
/// bucket doesn't tell, and these.
#[inline]
pub const fn bucket(value: u64) -> (usize, u32, u64) {
    let value = value + 8;
    let extra = 60 - value.leading_zeros();
    let upper = value >> extra;
    (extra as usize * 8 + upper as usize - 8, extra, value ^ upper << extra)
}

/// The smallest number in a bucket, and how many further bits there are, which are added to it.
pub const fn bucket_base(bucket: usize) -> (u64, u32) {
    let extra = bucket / 8;
    (((8 + (bucket as u64 & 7)) << extra) - 8, extra as u32)
}

/// Buckets for numbers below 2^42.
pub const BUCKETS: usize = 40 * 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_give_their_numbers_back() {
        for shift in 0..42 {
            for offset in [0_u64, 1, 2, 3, 5] {
                let value = ((1_u64 << shift) + offset).min((1 << 42) - 1);
                let (index, extra, rest) = bucket(value);
                assert!(index < BUCKETS, "{value}");
                let (base, bits) = bucket_base(index);
                assert_eq!(bits, extra, "{value}");
                assert_eq!(base + rest, value);
            }
        }
    }

    #[test]
    fn words_come_apart_as_they_were_put_together() {
        assert_eq!(Word::from(alloc(77, SIZE_LIMIT - 1)), Word::Alloc { site: 77, size: SIZE_LIMIT - 1 });
        assert_eq!(Word::from(free(1 << 41)), Word::Free { block: 1 << 41 });
        assert_eq!(Word::from(other(MAP, 3, 9)), Word::Other { kind: MAP, count: 3, argument: 9 });
        assert_eq!(Word::from(0), Word::End);
    }

    #[test]
    fn a_changed_byte_changes_the_checksum() {
        let mut bytes = [7_u8; 100];
        let before = checksum(1, &bytes);
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert_ne!(checksum(1, &bytes), before, "byte {index}");
            bytes[index] ^= 1;
        }
        assert_ne!(checksum(1, &bytes[..99]), before);
    }
}
