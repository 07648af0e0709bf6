//! The events of all threads, in one order.
//!
//! A thread's events are in order. Between threads, order is known at the stamps: a thread writes the time every thousand events, and before
//! its next event when another thread has begun or ended meanwhile. Stretches between stamps are put in the order of their beginnings. A
//! block that one thread hands to another may thus seem to be freed before it is allocated, by at most a stretch; whoever reads has to
//! expect that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::file::{Chunk, TraceFile, legible};
use super::format::{
    ARENA, BLOCK_MAP, BLOCK_UNMAP, BREAK, EVENTS, GENERATION, HEAP, KINDS, LARGE, MAP, MEMORY, MODULES,
    MOST_SITE_FRAMES, NUMBERS, PYTHON, RAW, REMAP, SITE, STAMP, UNMAP, Word,
};
use super::memory::Memory;
use super::python::Python;
use super::sites::Sites;
use crate::modules::Modules;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A block was handed out.
    Alloc {
        /// Its number, which no other block of the trace has.
        block: u64,
        /// By whom.
        site: u32,
        /// Bytes asked for.
        size: u64,
    },
    /// A block was given back.
    Free {
        /// Its number.
        block: u64,
    },
    /// `mmap`.
    Map {
        /// By whom.
        site: u32,
        /// Where.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// `munmap`.
    Unmap {
        /// By whom.
        site: u32,
        /// Where.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// `mremap`.
    Remap {
        /// By whom.
        site: u32,
        /// Address and bytes before.
        from: (u64, u64),
        /// Address and bytes after.
        to: (u64, u64),
    },
    /// `brk` or `sbrk`.
    Break {
        /// By whom.
        site: u32,
        /// The heap's end before.
        from: u64,
        /// The heap's end after.
        to: u64,
    },
    /// The C library has moved the end of the heap.
    Heap {
        /// By whose call; 0 for `free`.
        site: u32,
        /// The end before.
        from: u64,
        /// The end after.
        to: u64,
    },
    /// The C library has mapped memory for one block alone.
    BlockMap {
        /// By whose call.
        site: u32,
        /// Where.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// And given it back.
    BlockUnmap {
        /// Where.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// What the process has of the system's memory.
    Memory(Memory),
    /// A thread's block came from an arena that it had not used before, or not last.
    Arena {
        /// By whose call.
        site: u32,
        /// Where the arena begins.
        address: u64,
        /// Bytes of addresses reserved for it.
        length: u64,
    },
}

/// A thread of the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thread {
    /// The kernel's number.
    pub tid: u64,
    /// Its name when it last wrote.
    pub name: String,
    /// Calls that could not be noted: made by a signal handler in the midst of noting another.
    pub missed: u64,
    /// Blocks it freed that nobody saw allocated: inherited at `fork`, or older than the trace.
    pub strangers: u64,
}

/// What the events mean.
#[derive(Debug, Default)]
pub struct Context {
    /// Where calls come from.
    pub sites: Sites,
    /// Where code was.
    pub modules: Modules,
    /// The Python that ran, if one did.
    pub python: Python,
    /// Threads, by the order in which they first allocated, from 1.
    pub threads: BTreeMap<u32, Thread>,
}

impl TraceFile {
    /// Calls `visit` with each event, its thread and its time in nanoseconds since the beginning; `progress` is told from time to time how much of the chunks
    /// has been read, from 0 to 1. Damaged chunks are left out, and end up in [`damage`](Self::damage).
    ///
    /// Memory: sites, and one chunk of each thread that lived at the same time.
    pub fn each_event(&mut self, mut progress: impl FnMut(f64), mut visit: impl FnMut(u32, u64, Event)) -> Context {
        let mut context = Context::default();
        let mut streams: HashMap<u32, Stream> = HashMap::new();
        let mut chunks = std::mem::take(&mut self.chunks);
        chunks.sort_by_key(|chunk| (chunk.thread, chunk.number, chunk.kind == RAW));
        // Words that are still mapped, but were packed already: the process ended in between.
        chunks.dedup_by(|later, earlier| {
            later.kind == RAW
                && earlier.kind == EVENTS
                && (later.thread, later.number) == (earlier.thread, earlier.number)
        });
        for chunk in &chunks {
            if chunk.kind == MODULES {
                match self.payload(chunk) {
                    Ok(text) => context.modules.add(&String::from_utf8_lossy(&text)),
                    Err(what) => self.harm(chunk.offset, what),
                }
            } else if chunk.kind == PYTHON {
                let read = self.payload(chunk);
                let taken = read.and_then(|bytes| context.python.add(chunk.number, &bytes).map_err(str::to_owned));
                if let Err(what) = taken {
                    self.harm(chunk.offset, what);
                }
            } else {
                streams.entry(chunk.thread).or_default().chunks.push(*chunk);
            }
        }
        let total = chunks.len().max(1) as f64;
        let mut read = 0.0;
        let mut queue = BinaryHeap::new();
        for (&thread, stream) in &mut streams {
            stream.chunks.reverse();
            if let Some(first) = stream.chunks.last() {
                queue.push(Reverse((first.start, thread)));
            }
        }
        while let Some(Reverse((time, thread))) = queue.pop() {
            let Some(stream) = streams.get_mut(&thread) else { continue };
            if stream.at >= stream.words.len() {
                match stream.load(self, thread, &mut context) {
                    Loaded::Yes => {}
                    Loaded::Harmed => {
                        if let Some(next) = stream.chunks.last() {
                            queue.push(Reverse((next.start, thread)));
                        }
                        continue;
                    }
                }
                read += 1.0;
                progress(read / total);
            }
            match stream.run(&mut context.sites, |event| visit(thread, time, event)) {
                Some(next) => queue.push(Reverse((next.max(time), thread))),
                None => match stream.chunks.last() {
                    Some(next) => queue.push(Reverse((next.start, thread))),
                    None => stream.words = Vec::new(),
                },
            }
        }
        self.chunks = chunks;
        context
    }
}

enum Loaded {
    Yes,
    Harmed,
}

/// A thread's words.
#[derive(Default)]
struct Stream {
    /// Still to come, the next one last.
    chunks: Vec<Chunk>,
    next_number: u32,
    words: Vec<u64>,
    at: usize,
    next_block: u64,
    generation: u32,
    /// From the thread's numbers of sites to the trace's.
    sites: HashMap<u64, u32>,
    /// The stack defined last.
    last: Vec<u64>,
}

impl Stream {
    fn load(&mut self, file: &mut TraceFile, thread: u32, context: &mut Context) -> Loaded {
        let Some(chunk) = self.chunks.pop() else { return Loaded::Harmed };
        let (preamble, words) = match file.words(&chunk) {
            Ok(read) => read,
            Err(what) => {
                file.harm(chunk.offset, format!("{what} (thread {thread}, chunk {})", chunk.number));
                return Loaded::Harmed;
            }
        };
        if chunk.number != self.next_number {
            file.harm(
                chunk.offset,
                format!("thread {thread} goes on with chunk {}, where {} was to be", chunk.number, self.next_number),
            );
            // Stacks are told as differences.
            self.last.clear();
        }
        self.next_number = chunk.number.wrapping_add(1);
        (self.words, self.at, self.next_block) = (words, 0, preamble.first_block);
        let known = context.threads.entry(thread).or_default();
        known.tid = preamble.tid;
        known.missed = known.missed.max(preamble.missed);
        known.strangers = known.strangers.max(preamble.strangers);
        let name = chunk.name.split(|&byte| byte == 0).next().unwrap_or_default();
        known.name = legible(name);
        Loaded::Yes
    }

    /// Goes through words up to the next stamp, whose time it returns; `None` at the end of the chunk.
    fn run(&mut self, sites: &mut Sites, mut visit: impl FnMut(Event)) -> Option<u64> {
        while let Some(&word) = self.words.get(self.at) {
            self.at += 1;
            match Word::from(word) {
                Word::Alloc { site, size } => {
                    let site = self.site(site);
                    visit(Event::Alloc { block: self.next_block, site, size });
                    self.next_block = self.next_block.wrapping_add(1);
                }
                Word::Free { block } => visit(Event::Free { block }),
                Word::Other { kind, count, argument } => {
                    let Some(words) = self.words.get(self.at..self.at + count) else { break };
                    self.at += count;
                    if kind == STAMP {
                        if let &[time] = words {
                            return Some(time);
                        }
                        continue;
                    }
                    let words = words.to_vec();
                    self.record(kind, argument, &words, sites, &mut visit);
                }
                Word::End => break,
            }
        }
        self.at = self.words.len();
        None
    }

    fn site(&self, number: u64) -> u32 {
        self.sites.get(&number).copied().unwrap_or(0)
    }

    fn record(&mut self, kind: u64, argument: u64, words: &[u64], sites: &mut Sites, visit: &mut impl FnMut(Event)) {
        let site = self.site(argument);
        match (kind, words) {
            (SITE, &[head, ref new @ ..]) => {
                // After damage there may be less than it builds on; what is there is the inner part of the stack.
                self.last.truncate((head >> 32) as usize);
                self.last.extend(new);
                self.last.truncate(MOST_SITE_FRAMES);
                let call = (argument & 0xff).min(KINDS.len() as u64 - 1) as u8;
                let number = sites.number(call, (argument >> 8 & 0xff) as u8, self.generation, &self.last);
                self.sites.insert(head & 0xffff_ffff, number);
            }
            (NUMBERS, &[first]) => self.next_block = first,
            (LARGE, &[size]) => {
                visit(Event::Alloc { block: self.next_block, site, size });
                self.next_block = self.next_block.wrapping_add(1);
            }
            (MAP, &[address, length, _]) => visit(Event::Map { site, address, length }),
            (UNMAP, &[address, length]) => visit(Event::Unmap { site, address, length }),
            (REMAP, &[a, b, c, d]) => visit(Event::Remap { site, from: (a, b), to: (c, d) }),
            (BREAK, &[from, to]) => visit(Event::Break { site, from, to }),
            (HEAP, &[from, to]) => visit(Event::Heap { site, from, to }),
            (BLOCK_MAP, &[address, length]) => visit(Event::BlockMap { site, address, length }),
            (BLOCK_UNMAP, &[address, length]) => visit(Event::BlockUnmap { address, length }),
            (MEMORY, &[time, mapped, resident, share, minor, major]) => {
                let share = share.checked_sub(1);
                visit(Event::Memory(Memory { time, mapped, resident, share, minor, major }));
            }
            (ARENA, &[address, length]) => visit(Event::Arena { site, address, length }),
            (GENERATION, &[generation]) => self.generation = generation as u32,
            // The thread's end is told by there being nothing more, and records of later versions are skipped.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::super::analysis::Analysis;
    use super::super::encode::{Encoder, MOST_BYTES};
    use super::super::format::{
        ALIGN, CHUNK_HEADER, CHUNK_MAGIC, FILE_HEADER, FILE_MAGIC, Preamble, RAW_BYTES, STOPPED_AT, alloc, checksum,
        chunk_checksum, free, other,
    };
    use super::super::{
        Damage, Measure, Symbols, TraceError, dhat, difference, flamegraph, heaptrack, html, perfetto, pprof, stacks,
        stats, summary,
    };
    use super::*;

    /// A file as the library writes it.
    struct Writer {
        bytes: Vec<u8>,
    }

    impl Writer {
        fn new() -> Self {
            let mut bytes = vec![0; FILE_HEADER];
            bytes[..8].copy_from_slice(&FILE_MAGIC);
            bytes[8] = 1;
            let sum = checksum(checksum(0, &bytes[..40]), &bytes[48..STOPPED_AT]);
            bytes[40..48].copy_from_slice(&sum.to_le_bytes());
            Self { bytes }
        }

        fn chunk(&mut self, kind: u32, thread: u32, number: u32, payload: &[u8]) {
            let mut header = [0; CHUNK_HEADER];
            header[..8].copy_from_slice(&CHUNK_MAGIC.to_le_bytes());
            for (at, field) in [(8, kind), (12, payload.len() as u32), (24, thread), (28, number)] {
                header[at..at + 4].copy_from_slice(&field.to_le_bytes());
            }
            header[32] = b'n';
            if kind != RAW {
                let sum = chunk_checksum(&header, payload);
                header[16..24].copy_from_slice(&sum.to_le_bytes());
            }
            self.bytes.extend(header);
            self.bytes.extend(payload);
            self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        }

        fn events(&mut self, thread: u32, number: u32, first_block: u64, start: u64, words: &[u64]) {
            let mut out = vec![0; MOST_BYTES];
            let preamble = Preamble { tid: 40 + u64::from(thread), first_block, start, ..Preamble::default() };
            let mut encoder = Box::new(Encoder::NEW);
            let length = encoder.encode(preamble, words, &mut out).unwrap();
            self.chunk(EVENTS, thread, number, &out[..length]);
        }

        fn raw(&mut self, thread: u32, number: u32, first_block: u64, start: u64, words: &[u64]) {
            self.bytes.resize(self.bytes.len().next_multiple_of(4096), 0);
            let preamble = Preamble { tid: 40 + u64::from(thread), first_block, start, ..Preamble::default() };
            let mut payload: Vec<u8> =
                preamble.words().iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
            payload.resize(RAW_BYTES - CHUNK_HEADER, 0);
            self.chunk(RAW, thread, number, &payload);
        }

        fn read(&self) -> Result<Analysis, TraceError> {
            Ok(Analysis::of(self.open()?, |_| {}))
        }

        fn open(&self) -> Result<TraceFile, TraceError> {
            let directory = TempDir::new().unwrap();
            let path: PathBuf = directory.path().join("trace");
            std::fs::write(&path, &self.bytes).unwrap();
            TraceFile::open(&path)
        }
    }

    fn site(number: u64, kept: u64, kind: u64, frames: &[u64]) -> Vec<u64> {
        [vec![other(SITE, frames.len() + 1, kind), number | kept << 32], frames.to_vec()].concat()
    }

    /// Two threads, of which one frees a block of the other; the second chunk of the first is still mapped.
    fn trace() -> Writer {
        let mut writer = Writer::new();
        writer.chunk(MODULES, 0, 0, b"0\n1000-2000 r-xp 00000000 00:00 0 /lib/a.so\n");
        let first = [site(1, 0, 1, &[0x1001, 0x1002]), vec![alloc(1, 10), alloc(1, 20)]].concat();
        writer.events(1, 0, 1000, 0, &first);
        writer.events(2, 0, 5000, 5, &[site(1, 0, 2, &[0x1003]), vec![alloc(1, 300), free(1001)]].concat());
        writer.raw(1, 1, 1002, 9, &[site(2, 1, 3, &[0x1009]), vec![alloc(2, 7), free(1000)]].concat());
        writer.raw(2, 0, 5000, 5, &[alloc(1, 300)]);
        writer
    }

    #[test]
    fn threads_are_put_together() {
        let analysis = trace().read().unwrap();
        assert_eq!(analysis.damage, []);
        let total = &analysis.total;
        assert_eq!((total.allocations, total.bytes, total.frees, total.live_bytes), (4, 337, 2, 307));
        assert_eq!((total.at_peak, analysis.peak_time), (330, 5));
        let context = &analysis.context;
        let resized = context.sites.iter().find(|site| site.kind == 3).unwrap();
        let stack: Vec<u64> = context.sites.stack(resized).map(|address| address.address).collect();
        assert_eq!(stack, [0x1009, 0x1001]);
        assert_eq!((context.threads[&2].tid, context.threads[&2].name.as_str()), (42, "n"));
        assert_eq!(context.modules.locate(0, 0x1001), Some(("/lib/a.so", 1)));
    }

    #[test]
    fn a_damaged_chunk_is_told_with_its_offset_and_the_rest_is_read() {
        let mut writer = trace();
        let whole = trace().read().unwrap();
        let chunk = FILE_HEADER + 96;
        assert_eq!(writer.bytes[chunk..chunk + 8], CHUNK_MAGIC.to_le_bytes());
        writer.bytes[chunk + CHUNK_HEADER + 3] ^= 0xff;
        let analysis = writer.read().unwrap();
        assert!(analysis.damage.iter().any(|damage| damage.offset == chunk as u64), "{:?}", analysis.damage);
        assert_eq!(analysis.total.allocations, whole.total.allocations - 2);
    }

    #[test]
    fn bytes_that_are_no_chunk_are_passed_over() {
        let mut writer = trace();
        writer.bytes.splice(FILE_HEADER..FILE_HEADER, [7; 160]);
        let analysis = writer.read().unwrap();
        assert_eq!(analysis.total.allocations, 4);
        let [Damage { offset, what }] = &analysis.damage[..] else { panic!("{:?}", analysis.damage) };
        assert!(*offset == FILE_HEADER as u64 && what.starts_with("160 bytes"), "{offset} {what}");
    }

    #[test]
    fn what_is_no_trace_is_an_error() {
        let read = |bytes: &[u8]| Writer { bytes: bytes.to_vec() }.read().map(|_| ()).unwrap_err();
        assert!(matches!(read(b"#!/bin/sh\necho no trace\n"), TraceError::Foreign { .. }));
        assert!(matches!(read(b""), TraceError::Foreign { .. }));
        assert!(matches!(read(&trace().bytes[..100]), TraceError::Short { length: 100, .. }));
        let mut later = trace();
        later.bytes[8] = 2;
        assert!(matches!(read(&later.bytes), TraceError::Version { found: 2, .. }));
    }

    /// Words that are still mapped have no checksum.
    #[test]
    fn figures_as_large_as_can_be_are_read_by_all_reports() {
        let most = u64::MAX;
        let mut writer = Writer::new();
        let of_thread = |site: u64| {
            let large = [other(LARGE, 1, site), most];
            let maps = [other(MAP, 3, 0), 4096, 8192, 0, other(MAP, 3, 0), 4096, 0, 0, other(MAP, 3, 0), 0, most, 0];
            let memory = [other(MEMORY, 6, 0), most, most, most, most, most, most];
            [&large[..], &large, &maps, &memory, &[free(most >> 2), free(1000), free(2000), other(STAMP, 1, 0), most]]
                .concat()
        };
        for thread in [1, 2] {
            let words = [site(1, 0, u64::from(thread), &[0x1001]), of_thread(1), of_thread(0)].concat();
            writer.raw(thread, 0, 1000 * u64::from(thread), 0, &words);
            let at = writer.bytes.len() - (RAW_BYTES - CHUNK_HEADER) + 3 * 8;
            writer.bytes[at..at + 16].fill(0xff);
        }
        let (analysis, symbols) = (writer.read().unwrap(), &mut Symbols::default());
        assert_eq!((analysis.missed(), analysis.strangers(), analysis.total.bytes), (most, most, most));
        assert_eq!(analysis.mapped.live_bytes, most);
        assert!(summary(&analysis, symbols).contains(&format!("{most} page faults")));
        assert!(stats(&analysis).contains("malloc") && !html(&analysis, Some(&analysis)).is_empty());
        assert!(!dhat(&analysis, writer.open().unwrap(), symbols).is_empty() && !perfetto(&analysis).is_empty());
        assert!(heaptrack(&analysis, writer.open().unwrap(), symbols, &mut Vec::new()).is_ok());
        assert!(!pprof(&analysis, symbols).is_empty());
        for (_, measure) in Measure::ALL {
            let found = stacks(&analysis, measure, symbols);
            assert!(!flamegraph(&found, "", "").is_empty() && !difference(&found, &found, measure).is_empty());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn no_damage_is_more_than_damage(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in prop::option::of(any::<prop::sample::Index>()),
            in_chunks in any::<bool>(),
        ) {
            let mut writer = trace();
            // Most of the file is zeros: half of the cases aim at what isn't.
            let full: Vec<usize> = (0..writer.bytes.len()).filter(|&at| !in_chunks || writer.bytes[at] != 0).collect();
            for (at, to) in changes {
                let at = full[at.index(full.len())];
                writer.bytes[at] = to;
            }
            if let Some(cut) = cut {
                writer.bytes.truncate(cut.index(writer.bytes.len()));
            }
            if let Ok(analysis) = writer.read() {
                prop_assert!(analysis.total.live <= analysis.total.allocations);
            }
        }
    }
}
