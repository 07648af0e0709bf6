//! A thread's notes: the words not packed yet, its sites, its numbers.

mod site;

use core::ffi::c_void;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use core::{ptr, slice};

use crate::encode::{Encoder, MOST_BYTES};
use crate::format::{
    self, ARENA, BLOCK_MAP, CHUNK_HEADER, EVENTS, GENERATION, HEAP, MEMORY, MOST_SITE_FRAMES, NUMBERS, PREAMBLE_WORDS,
    Preamble, RAW, RAW_BYTES, RAW_WORDS, STAMP,
};
use crate::incremental::Walked;
use crate::own::control_block;
use crate::process::{self, EPOCH, NUMBERS_AT_ONCE, Process};
use crate::remembered::Remembered;
use crate::sample::Draw;
use crate::sites::Sites;
use crate::stack::{Bounds, Frame};
use crate::{heap, modules, system};

/// Nobody's yet; also what a forked child finds.
pub(crate) const UNUSED: u32 = 0;
pub(crate) const OUTSIDE: u32 = 1;
pub(crate) const INSIDE: u32 = 2;
/// Inside, and shared by threads that have ended.
pub(crate) const LATE: u32 = 3;
/// In a function of the C library's that may call others of those that ours stand before: what they hand out is noted with it.
pub(crate) const NESTED: u32 = 4;

/// Events after which the time is written.
const EVENTS_PER_STAMP: usize = 1024;
/// All zeros is one that nobody uses.
#[repr(C, align(128))]
pub(crate) struct Thread {
    pub(crate) state: u32,
    pub(crate) epoch: u32,
    /// Room for [`RAW_WORDS`], and how many are used.
    words: *mut u64,
    used: usize,
    /// Where the time has to be written, or the words packed.
    pause: usize,
    pub(crate) next_block: u64,
    pub(crate) last_block: u64,
    pub(crate) draw: Draw,
    stack: Bounds,
    /// Others that it was on before.
    stacks: [Bounds; 16],
    walked: Walked,
    remembered: Remembered,
    sites: Sites,
    /// Counted by signal handlers while everything else here is being changed.
    pub(crate) missed: AtomicU64,
    pub(crate) strangers: u64,

    chunk: *mut u8,
    pub(crate) index: u32,
    /// Of the chunk that is being filled.
    number: u32,
    looks: u32,
    /// The arena that a block came from last.
    arena: usize,
    pub(crate) ends: u32,
    generation: u64,
    preamble: Preamble,
    pub(crate) next: *mut Self,
    /// The stack defined last, the outermost frame first.
    defined: usize,
    last: [u64; MOST_SITE_FRAMES],
    frames: [u64; MOST_SITE_FRAMES],
    encoder: Encoder,
    out: [u8; MOST_BYTES],
}

const _: () = assert!(MOST_BYTES >= RAW_BYTES);

impl Thread {
    /// Memory for a thread: what a parent left (`found`), from the pool, or new; null if there is none.
    pub(crate) fn begin(process: &Process, found: *mut Self, here: *const Frame) -> *mut Self {
        let mut thread = found;
        if thread.is_null() {
            process.pool_lock.take();
            // SAFETY: under the lock; the pool's members are nobody's.
            unsafe {
                thread = *process.pool.get();
                if !thread.is_null() {
                    *process.pool.get() = (*thread).next;
                }
            }
            process.pool_lock.release();
        }
        if thread.is_null() {
            thread = system::map(size_of::<Self>(), true).cast();
            if thread.is_null() {
                return thread;
            }
        }
        // SAFETY: mapped for good; zeros, or what an ended thread left, are valid values.
        let inner = unsafe { &mut *thread };
        if inner.chunk.is_null() {
            inner.chunk = process.raw_chunk(&inner.out[..RAW_BYTES]);
            if inner.chunk.is_null() {
                return ptr::null_mut();
            }
            inner.words = inner.chunk.wrapping_add(CHUNK_HEADER).cast::<u64>().wrapping_add(PREAMBLE_WORDS);
        }
        inner.sites.begin_again();
        inner.encoder.forget();
        inner.forget_stacks();
        (inner.index, inner.number, inner.defined, inner.ends, inner.looks) = (process.next_thread(), 0, 0, 0, 0);
        inner.draw.begin(inner.index);
        inner.missed.store(0, Relaxed);
        inner.strangers = 0;
        (inner.generation, inner.arena, inner.stacks) = (0, 0, [Bounds::default(); 16]);
        inner.stack = if here.is_null() {
            Bounds::default()
        } else {
            modules::stack_of(here.addr(), control_block(), &mut inner.out)
        };
        let Some(first) = process.numbers() else { return ptr::null_mut() };
        (inner.next_block, inner.last_block) = (first, first + NUMBERS_AT_ONCE);
        inner.open_chunk(process);
        inner.epoch = EPOCH.fetch_add(1, AcqRel) + 1;
        inner.follow_generation(process);
        inner.note_memory(process, process.now());
        inner.state = OUTSIDE;
        thread
    }

    /// What is known of the stack, and of those before it, is no more.
    fn forget_stacks(&mut self) {
        self.walked.forget();
        self.remembered.forget();
    }

    /// Notes what the C library has asked the system for to hand out a block.
    ///
    /// # Safety
    /// The block was just handed out.
    #[inline(always)]
    pub(crate) unsafe fn note_system(&mut self, site: u64, block: *const c_void) {
        if heap::has_moved() {
            self.heap_moved(site);
        }
        // SAFETY: by the caller's promise.
        unsafe {
            if let Some(mapping) = heap::mapping(block) {
                self.record(BLOCK_MAP, site, &mapping);
                self.look_at_memory();
            } else if let Some(arena) = heap::arena(block).filter(|&arena| arena != self.arena) {
                // Told again when the thread comes back to it: whoever reads counts an address once.
                self.arena = arena;
                self.record(ARENA, site, &[arena as u64, heap::ARENA as u64]);
            }
        }
    }

    /// Notes from where to where the heap's end has moved.
    #[cold]
    #[inline(never)]
    pub(crate) fn heap_moved(&mut self, site: u64) {
        if let Some(ends) = heap::moved() {
            self.record(HEAP, site, &ends);
            self.look_at_memory();
        }
    }

    /// Counts a call that is not noted.
    pub(crate) fn miss(&mut self) {
        self.missed.fetch_add(1, Relaxed);
        self.tell_missed();
    }

    pub(crate) fn tell_missed(&self) {
        // A signal handler may count on between the two lines, and tell before this does.
        let mut told = None;
        while told != Some(self.missed_by_now()) {
            let count = self.missed_by_now();
            self.tell(3, count);
            compiler_fence(Ordering::SeqCst);
            told = Some(count);
        }
    }

    /// How many calls were missed. Read from memory each time: a signal handler counts in the midst of functions that have the thread for themselves,
    /// as far as the compiler knows, so that it takes a number for still true which it has read before.
    fn missed_by_now(&self) -> u64 {
        // SAFETY: a number that lives as long as the thread.
        unsafe { self.missed.as_ptr().read_volatile() }
    }

    /// Puts a number into the preamble of the chunk that is mapped.
    pub(crate) fn tell(&self, place: usize, number: u64) {
        debug_assert!(place < PREAMBLE_WORDS);
        // SAFETY: the chunk begins with its head and the preamble; only this thread writes it.
        unsafe { self.chunk.wrapping_add(CHUNK_HEADER).cast::<u64>().add(place).write_volatile(number) };
    }

    /// Adds a word.
    #[inline(always)]
    pub(crate) fn word(&mut self, word: u64) {
        // SAFETY: `pause` is never beyond the last word.
        unsafe { self.words.add(self.used).write_volatile(word) };
        self.used += 1;
        if self.used >= self.pause {
            self.paused();
        }
    }

    /// Adds a record. Its first word comes last: as long as it isn't there, whoever finds the file sees the end of the words.
    #[inline(never)]
    pub(crate) fn record(&mut self, kind: u64, argument: u64, words: &[u64]) {
        if self.used + words.len() + 4 > RAW_WORDS {
            self.pack();
        }
        // SAFETY: there is room by the line above. The chunk is memory that only this thread writes.
        unsafe {
            let to = self.words.add(self.used);
            for (index, &word) in words.iter().enumerate() {
                to.add(1 + index).write_volatile(word);
            }
            AtomicU64::from_ptr(to).store(format::other(kind, words.len(), argument), Release);
        }
        self.used += 1 + words.len();
        self.pause = self.pause.max(self.used + 1).min(RAW_WORDS - 2);
    }

    #[cold]
    #[inline(never)]
    fn paused(&mut self) {
        if self.used + 4 > RAW_WORDS {
            self.pack();
        } else if let Some(process) = Process::current() {
            self.stamp(process);
        }
        self.pause = (self.used + EVENTS_PER_STAMP).min(RAW_WORDS - 2);
    }

    pub(crate) fn stamp(&mut self, process: &Process) {
        let now = process.now();
        self.record(STAMP, 0, &[now]);
        self.note_memory(process, now);
    }

    /// Notes what the process has of the system's memory, if it is time to.
    pub(crate) fn note_memory(&mut self, process: &Process, now: u64) {
        if let Some(words) = process.memory.look(now, &mut self.out) {
            self.record(MEMORY, 0, &words);
        }
    }

    /// The same, after the system was asked for memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_at_memory(&mut self) {
        if let Some(process) = Process::current() {
            self.note_memory(process, process.now());
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn others_did_something(&mut self) {
        self.epoch = EPOCH.load(Acquire);
        if let Some(process) = Process::current() {
            self.stamp(process);
            self.follow_generation(process);
        }
    }

    fn follow_generation(&mut self, process: &Process) {
        let generation = process.generation();
        if generation != self.generation {
            self.generation = generation;
            self.sites.forget();
            self.forget_stacks();
            self.record(GENERATION, 0, &[generation]);
        }
    }

    /// More numbers for blocks; `false` if there are none left, ever.
    #[cold]
    #[inline(never)]
    pub(crate) fn more_numbers(&mut self) -> bool {
        let Some(first) = Process::current().and_then(Process::numbers) else { return false };
        if first != self.next_block {
            self.record(NUMBERS, 0, &[first]);
        }
        (self.next_block, self.last_block) = (first, first + NUMBERS_AT_ONCE);
        true
    }

    /// Packs the words into a chunk of their own, and begins with none.
    #[cold]
    #[inline(never)]
    pub(crate) fn pack(&mut self) {
        let Some(process) = Process::current() else { return self.part_from_file() };
        // SAFETY: that many words were written; nobody else writes them.
        let words = unsafe { slice::from_raw_parts(self.words, self.used) };
        self.preamble.missed = self.missed_by_now();
        self.preamble.strangers = self.strangers;
        if let Some(length) = self.encoder.encode(self.preamble, words, &mut self.out) {
            let name = system::thread_name();
            if !process.append(EVENTS, self.index, self.number, &name, &[&self.out[..length]]) {
                return self.part_from_file();
            }
        }
        self.number += 1;
        // The words go first, then the number: in between, the chunk is a duplicate of the one just written, whatever is left of it.
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.words, self.used) }.fill(0);
        self.open_chunk(process);
    }

    /// The trace is at its end: what is mapped stays as it is, for the reader, and further words go nowhere.
    fn part_from_file(&mut self) {
        if !system::map_over(self.chunk, RAW_BYTES) {
            // Not even that is allowed: better no words than wrong ones.
            // SAFETY: the chunk begins with its head, which only this thread writes.
            unsafe { self.chunk.cast::<u64>().write_volatile(0) };
        }
        self.used = 0;
    }

    /// Writes the head of the chunk that is mapped, which has no words.
    fn open_chunk(&mut self, process: &Process) {
        self.used = 0;
        self.pause = EVENTS_PER_STAMP;
        self.preamble = Preamble {
            tid: system::thread(),
            first_block: self.next_block,
            start: process.now(),
            missed: self.missed_by_now(),
            strangers: self.strangers,
        };
        let header =
            process::chunk_header(RAW, RAW_BYTES - CHUNK_HEADER, self.index, self.number, &system::thread_name(), &[]);
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the chunk has room for its head, and is aligned to a page; only this thread writes.
        unsafe {
            let head = self.chunk.wrapping_add(CHUNK_HEADER).cast::<u64>();
            for (index, word) in self.preamble.words().into_iter().enumerate() {
                head.add(index).write_volatile(word);
            }
            self.chunk.cast::<[u8; CHUNK_HEADER]>().write_volatile(header);
        }
        self.tell_missed();
    }
}
