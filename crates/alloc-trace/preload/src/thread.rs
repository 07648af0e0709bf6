//! A thread's notes: the words not packed yet, its sites, its numbers.

use std::ffi::c_void;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::{ptr, slice};

use crate::encode::{Encoder, MOST_BYTES};
use crate::format::{
    self, ARENA, BLOCK_MAP, CHUNK_HEADER, EVENTS, GENERATION, HEAP, MOST_FRAMES, MOST_PYTHON_FRAMES, MOST_SITE_FRAMES,
    NUMBERS, PREAMBLE_WORDS, Preamble, RAW, RAW_BYTES, RAW_WORDS, SITE, STAMP, UNKNOWN_STACK,
};
use crate::incremental::Walked;
use crate::own::control_block;
use crate::process::{self, EPOCH, NUMBERS_AT_ONCE, Process};
use crate::python::Frames;
use crate::remembered::{Call, Remembered};
use crate::sample::Draw;
use crate::sites::{Sites, mix};
use crate::stack::{Bounds, ByPointers, ByTables, Frame, walk};
use crate::{heap, incremental, modules, python, rules, system};

/// Nobody's yet; also what a forked child finds.
pub(crate) const UNUSED: u32 = 0;
pub(crate) const OUTSIDE: u32 = 1;
pub(crate) const INSIDE: u32 = 2;
/// Inside, and shared by threads that have ended.
pub(crate) const LATE: u32 = 3;

/// Events after which the time is written.
const EVENTS_PER_STAMP: usize = 1024;
/// Calls that may ask for the bounds of a stack: programs that switch stacks all the time would pay for each switch.
const MOST_LOOKS: u32 = 256;
/// Frames that the tables may know above the outermost that frame pointers lead to: those in which the C library begins a thread, which have none.
const MOST_ABOVE: usize = 2;

/// The hash of a walk by frame pointers that has found nothing yet.
const BY_POINTERS: u64 = 0x0b5e_55ed_0add;

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

/// Takes where Python is into a hash.
#[inline(always)]
fn with_python(mut hash: u64, python: Option<Frames>) -> u64 {
    if let Some(python) = python {
        let mut count = 0;
        python.each(|frame| {
            hash = mix(mix(hash, frame.mark), frame.at as usize ^ usize::from(frame.is_entry) << 40);
            count += 1;
            count < MOST_PYTHON_FRAMES
        });
    }
    hash
}

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
        inner.forget_stacks();
        (inner.index, inner.number, inner.defined, inner.ends, inner.looks) = (process.next_thread(), 0, 0, 0, 0);
        inner.draw.begin(inner.index);
        inner.missed.store(0, Relaxed);
        inner.strangers = 0;
        (inner.generation, inner.arena) = (0, 0);
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
        inner.state = OUTSIDE;
        thread
    }

    /// What is known of the stack, and of those before it, is no more.
    fn forget_stacks(&mut self) {
        self.walked.forget();
        self.remembered.forget();
    }

    /// The site of this call, at which Python is where those frames are.
    #[inline(always)]
    pub(crate) fn site(&mut self, kind: u64, frame: *const Frame, python: Option<Frames>) -> u64 {
        // SAFETY: the record is this call's.
        let by_tables = unsafe { rules::rule((*frame).return_address) }.is_by_tables();
        if !by_tables && python.is_none() {
            // A step costs no more than to compare two words: nothing is remembered.
            let mut hash = BY_POINTERS;
            // SAFETY: the bounds are those of the mapping that the stack is in, and hold the record only if this is that stack.
            let end = unsafe { walk::<ByPointers>(frame, self.stack, |address| hash = mix(hash, address)) };
            return match self.sites.find(mix(hash, kind as usize)) {
                Some(site) if end != UNKNOWN_STACK => site,
                found => self.new_site(kind, frame, found),
            };
        }
        let call = Call { frame, kind, by_tables, python };
        // SAFETY: as above; what is remembered was forgotten when the bounds changed.
        match unsafe { self.remembered.find(&call) } {
            Some((site, hash)) => {
                #[cfg(debug_assertions)]
                if self.hash(&call).0 != hash {
                    system::end_with(b"alloc-trace: a remembered stack differs from the walked one\n");
                }
                #[cfg(not(debug_assertions))]
                let _ = hash;
                site
            }
            None => self.site_of_walk(&call),
        }
    }

    /// The hash of a stack by walking, and how it ended.
    #[inline(always)]
    fn hash(&mut self, call: &Call) -> (u64, u64) {
        // SAFETY: as in `site`.
        let (stack, end) = unsafe {
            if call.by_tables {
                self.walked.walk(call.frame, self.stack)
            } else {
                let mut hash = BY_POINTERS;
                let end = walk::<ByPointers>(call.frame, self.stack, |address| hash = mix(hash, address));
                (hash, end)
            }
        };
        (with_python(mix(stack, call.kind as usize), call.python), end)
    }

    #[inline(never)]
    fn site_of_walk(&mut self, call: &Call) -> u64 {
        let (hash, end) = self.hash(call);
        match self.sites.find(hash) {
            Some(site) if end != UNKNOWN_STACK => {
                // SAFETY: as in `site`, and the bounds hold the record, since the stack is not an unknown one.
                unsafe { self.remembered.met(call, self.stack, hash, site) };
                site
            }
            found => self.new_site(call.kind, call.frame, found),
        }
    }

    #[cold]
    #[inline(never)]
    fn new_site(&mut self, kind: u64, frame: *const Frame, found: Option<u64>) -> u64 {
        let Some(process) = Process::current() else { return 0 };
        if !self.stack.hold(frame) && self.looks < MOST_LOOKS && self.index_has_stack() {
            // The stack has grown beyond what was its mapping then, or this is another one.
            self.looks += 1;
            self.stack = modules::stack_of(frame.addr(), control_block(), &mut self.out);
            self.forget_stacks();
        } else if let Some(site) = found {
            return site;
        }
        let (stack, mut count, mut end) = self.frames_of(frame);
        let python = python::frames();
        let mut hash = with_python(mix(stack, kind as usize), python);
        if let Some(site) = self.sites.find(hash) {
            return site;
        }
        // Addresses that are not code's come from chains that were none.
        if let Some(wrong) = (1..count).find(|&index| !process.code_at(self.frames[index] as usize)) {
            (count, end) = (wrong, format::BROKEN_CHAIN);
            // What follows differs from call to call; what is left is one site.
            let stack = incremental::hash_of(&self.frames[..count]);
            hash = with_python(mix(stack, !kind as usize), python);
            if let Some(site) = self.sites.find(hash) {
                return site;
            }
        }
        process.code_at(self.frames[0] as usize);
        if let Some(python) = python {
            let most = count + MOST_PYTHON_FRAMES;
            python.each(|frame| {
                self.frames[count] = process.python_frame(frame);
                count += 1;
                count < most
            });
        }
        let Some(site) = self.sites.add(hash) else { return 0 };
        self.frames[..count].reverse();
        let known = &self.last[..self.defined];
        let kept = known.iter().zip(&self.frames[..count]).take_while(|(a, b)| a == b).count();
        (self.last, self.defined) = (self.frames, count);
        let mut words = [0; MOST_SITE_FRAMES + 1];
        words[0] = site | (kept as u64) << 32;
        words[1..=count - kept].copy_from_slice(&self.last[kept..count]);
        self.record(SITE, kind | end << 8, &words[..=count - kept]);
        site
    }

    /// Walks a stack, puts its frames down, the innermost first, and says which hash stands for them, how many there are, and how it ended.
    ///
    /// By frame pointers, where these find what the tables find. Otherwise from now on by the tables, for all calls from there.
    fn frames_of(&mut self, frame: *const Frame) -> (u64, usize, u64) {
        let (mut frames, mut known) = ([0; MOST_FRAMES], 0);
        let visit = |address| {
            frames[known] = address as u64;
            known += 1;
        };
        // SAFETY: as in `site`.
        let (caller, known_end) = unsafe { ((*frame).return_address, walk::<ByTables>(frame, self.stack, visit)) };
        self.frames[..known].copy_from_slice(&frames[..known]);
        let by_tables = (incremental::hash_of(&frames[..known]), known, known_end);
        if rules::rule(caller).is_by_tables() {
            return by_tables;
        }
        let (mut count, mut hash) = (0, BY_POINTERS);
        let visit = |address| {
            frames[count] = address as u64;
            count += 1;
            hash = mix(hash, address);
        };
        // SAFETY: as in `site`.
        let end = unsafe { walk::<ByPointers>(frame, self.stack, visit) };
        let shared = frames[..count].iter().zip(&self.frames[..known]).take_while(|(a, b)| a == b).count();
        // A chain that broke, or that is one frame and the register happened to be zero, may stand for many a stack.
        let is_sure = end == known_end && end != format::BROKEN_CHAIN && count > 1;
        if shared == count && known - count <= MOST_ABOVE && is_sure {
            (hash, known, known_end)
        } else if shared == known && known < count || known_end == format::BROKEN_CHAIN && end == format::END_OF_CHAIN {
            // The tables know nothing from there on, or went astray.
            self.frames[..count].copy_from_slice(&frames[..count]);
            (hash, count, end)
        } else {
            rules::set_by_tables(caller);
            by_tables
        }
    }

    /// Threads that have ended share one memory, and have no stack that could be remembered.
    fn index_has_stack(&self) -> bool {
        self.state != LATE
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
        self.record(STAMP, 0, &[process.now()]);
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
        let nowhere = system::map(RAW_BYTES, true);
        if !nowhere.is_null() {
            self.chunk = nowhere;
            self.words = nowhere.wrapping_add(CHUNK_HEADER).cast::<u64>().wrapping_add(PREAMBLE_WORDS);
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
