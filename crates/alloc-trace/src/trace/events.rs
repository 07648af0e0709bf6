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
mod tests;
