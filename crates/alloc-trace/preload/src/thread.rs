//! A thread's notes: the words not packed yet, its sites, its numbers.
//!
//! # The life of a thread's memory
//! The first call of a thread takes it from the pool or makes it, and puts its address into a thread-local variable. A destructor of thread-specific data
//! packs what is there, and gives it back. What the thread still does after that goes to one that all such threads share (`late`).
//! Being inside is marked: a signal handler that comes in then finds the mark, and does without notes.

use std::arch::{asm, global_asm};
use std::ffi::c_void;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::{ptr, slice};

use crate::encode::{Encoder, MOST_BYTES};
use crate::format::{
    self, CHUNK_HEADER, EVENTS, GENERATION, LARGE, MOST_FRAMES, NUMBERS, PREAMBLE_WORDS, Preamble, RAW, RAW_BYTES,
    RAW_WORDS, SITE, SIZE_LIMIT, STAMP, THREAD_END, UNKNOWN_STACK,
};
use crate::live::{self, Entered};
use crate::process::{self, EPOCH, NUMBERS_AT_ONCE, Process};
use crate::sites::{Sites, mix};
use crate::stack::{Bounds, Frame, walk};
use crate::{modules, system};

// The variable, with the address arithmetic that a library loaded at start may use: `thread_local!` would call a function for it.
global_asm!(
    ".pushsection .tbss.alloc_trace_thread,\"awT\",@nobits",
    ".globl alloc_trace_thread",
    ".hidden alloc_trace_thread",
    ".type alloc_trace_thread, @object",
    ".size alloc_trace_thread, 8",
    ".p2align 3",
    "alloc_trace_thread:",
    ".zero 8",
    ".popsection",
);

/// The thread has ended for us.
const ENDED: usize = 1;
/// Its memory is being made, or it is late and inside.
const BUSY: usize = 2;

#[inline(always)]
fn own() -> *mut Thread {
    let value: *mut Thread;
    // SAFETY: reads the calling thread's variable.
    unsafe {
        asm!("mov {v}, qword ptr [rip + alloc_trace_thread@GOTTPOFF]", "mov {v}, qword ptr fs:[{v}]", v = out(reg) value,
            options(nostack, readonly, preserves_flags));
    }
    value
}

/// The address of the calling thread's control block, which begins with it (ELF Handling For Thread-Local Storage, x86-64).
fn control_block() -> usize {
    let value: usize;
    // SAFETY: reads a word that every thread has.
    unsafe { asm!("mov {v}, qword ptr fs:[0]", v = out(reg) value, options(nostack, readonly, preserves_flags)) };
    value
}

fn set_own(value: *mut Thread) {
    // SAFETY: writes the calling thread's variable.
    unsafe {
        asm!("mov {a}, qword ptr [rip + alloc_trace_thread@GOTTPOFF]", "mov qword ptr fs:[{a}], {v}", v = in(reg) value, a = out(reg) _,
            options(nostack, preserves_flags));
    }
}

/// Nobody's yet; also what a forked child finds.
const UNUSED: u32 = 0;
const OUTSIDE: u32 = 1;
const INSIDE: u32 = 2;
/// Inside, and shared by threads that have ended.
const LATE: u32 = 3;

/// Events after which the time is written.
const EVENTS_PER_STAMP: usize = 1024;
/// Calls that may ask for the bounds of a stack: programs that switch stacks all the time would pay for each switch.
const MOST_LOOKS: u32 = 256;

/// All zeros is one that nobody uses.
#[repr(C, align(128))]
pub(crate) struct Thread {
    state: u32,
    epoch: u32,
    /// Room for [`RAW_WORDS`], and how many are used.
    words: *mut u64,
    used: usize,
    /// Where the time has to be written, or the words packed.
    pause: usize,
    next_block: u64,
    last_block: u64,
    stack: Bounds,
    sites: Sites,
    /// Counted by signal handlers while everything else here is being changed.
    missed: AtomicU64,
    strangers: u64,

    chunk: *mut u8,
    index: u32,
    /// Of the chunk that is being filled.
    number: u32,
    looks: u32,
    ends: u32,
    generation: u64,
    preamble: Preamble,
    next: *mut Self,
    /// The stack defined last, the outermost frame first.
    defined: usize,
    last: [u64; MOST_FRAMES],
    frames: [u64; MOST_FRAMES],
    encoder: Encoder,
    out: [u8; MOST_BYTES],
}

const _: () = assert!(MOST_BYTES >= RAW_BYTES);

/// Being inside, until it is dropped.
pub(crate) struct Inside {
    thread: *mut Thread,
}

impl Inside {
    /// Marks the calling thread. `None` if nothing is to be noted: there is no trace, or the thread is inside already.
    #[inline(always)]
    pub(crate) fn enter(here: *const Frame) -> Option<Self> {
        let mut thread = own();
        // SAFETY: above BUSY the variable is the address of this thread's memory.
        if thread.addr() <= BUSY || unsafe { (*thread).state } != OUTSIDE {
            thread = attached(here)?;
        }
        // SAFETY: this thread's own, and nobody else is inside.
        let inner = unsafe { &mut *thread };
        if inner.state == OUTSIDE {
            inner.state = INSIDE;
        }
        compiler_fence(Ordering::SeqCst);
        if inner.epoch != EPOCH.load(Relaxed) {
            inner.others_did_something();
        }
        Some(Self { thread })
    }

    #[inline(always)]
    fn thread(&mut self) -> &mut Thread {
        // SAFETY: `enter` made sure that it is this thread's alone until the drop.
        unsafe { &mut *self.thread }
    }

    /// Notes a block that was handed out.
    #[inline(always)]
    pub(crate) fn alloc(&mut self, kind: u64, block: *mut c_void, size: usize, frame: *const Frame) {
        let thread = self.thread();
        let site = thread.site(kind, frame);
        if thread.next_block >= thread.last_block && !thread.more_numbers() {
            return;
        }
        match live::enter(block.addr(), thread.next_block, thread.index) {
            Entered::Yes => {}
            Entered::InPlaceOf(before) => thread.word(format::free(before)),
            Entered::No => {
                thread.miss();
                return;
            }
        }
        thread.next_block += 1;
        if (size as u64) < SIZE_LIMIT {
            thread.word(format::alloc(site, size as u64));
        } else {
            thread.record(LARGE, site, &[size as u64]);
        }
    }

    /// Notes that a block is given back.
    #[inline(always)]
    pub(crate) fn free(&mut self, block: *mut c_void) {
        match self.take_out(block) {
            Some(number) => self.freed(number),
            None => self.stranger(),
        }
    }

    /// Takes a block out, without a note: its number.
    #[inline(always)]
    pub(crate) fn take_out(&mut self, block: *mut c_void) -> Option<u64> {
        live::remove(block.addr(), self.thread().index)
    }

    /// Puts a block in again that was taken out.
    pub(crate) fn put_back(&mut self, block: *mut c_void, number: u64) {
        live::enter(block.addr(), number, self.thread().index);
    }

    /// Notes that the block of a number is given back.
    #[inline(always)]
    pub(crate) fn freed(&mut self, number: u64) {
        self.thread().word(format::free(number));
    }

    /// Counts a block that nobody saw handed out.
    pub(crate) fn stranger(&mut self) {
        let thread = self.thread();
        thread.strangers += 1;
        thread.tell(4, thread.strangers);
    }

    /// Notes a call with its stack, and figures.
    pub(crate) fn call(&mut self, record: u64, kind: u64, frame: *const Frame, words: &[u64]) {
        let thread = self.thread();
        let site = thread.site(kind, frame);
        thread.record(record, site, words);
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        let thread = self.thread();
        if thread.state == INSIDE {
            thread.state = OUTSIDE;
        } else {
            leave_late();
        }
    }
}

#[cold]
#[inline(never)]
fn leave_late() {
    set_own(ptr::without_provenance_mut(ENDED));
    if let Some(process) = Process::current() {
        process.late_lock.release();
    }
}

/// Calls of signal handlers while their thread's memory was being made: counted as the next thread's that has some.
static EARLY: AtomicU64 = AtomicU64::new(0);

/// What the calling thread is to write to, when that is not simply its own.
#[cold]
#[inline(never)]
fn attached(here: *const Frame) -> Option<*mut Thread> {
    let own = own();
    match own.addr() {
        BUSY => {
            EARLY.fetch_add(1, Relaxed);
            return None;
        }
        ENDED => {
            let process = Process::current()?;
            set_own(ptr::without_provenance_mut(BUSY));
            process.late_lock.take();
            // SAFETY: under the lock.
            let late = unsafe { &mut *process.late.get() };
            if late.is_null() {
                *late = Thread::begin(process, ptr::null_mut(), ptr::null());
            }
            if late.is_null() {
                leave_late();
                return None;
            }
            // SAFETY: under the lock, which is released when it is left.
            unsafe { (**late).state = LATE };
            return Some(*late);
        }
        0 => {}
        // SAFETY: this thread's memory.
        _ => match unsafe { &mut *own } {
            thread if thread.state != UNUSED => {
                thread.miss();
                return None;
            }
            // A forked child.
            _ => {}
        },
    }
    set_own(ptr::without_provenance_mut(BUSY));
    let thread = Process::current().map_or(ptr::null_mut(), |process| Thread::begin(process, own, here));
    if !thread.is_null() {
        process::call_at_end(thread);
    }
    // Without a trace, the next call asks again: there may be one in a child.
    set_own(if thread.is_null() { own } else { thread });
    // SAFETY: this thread's memory, if there is any.
    let inner = unsafe { thread.as_ref() }?;
    inner.missed.fetch_add(EARLY.swap(0, Relaxed), Relaxed);
    inner.tell_missed();
    Some(thread)
}

/// Thread-specific data's destructor: packs and gives back, at the last opportunity.
pub(crate) unsafe extern "C" fn ends(thread: *mut c_void) {
    /// POSIX's, which glibc and musl have: destructors that set their data again are called four times.
    const ITERATIONS: u32 = 4;
    let thread = thread.cast::<Thread>();
    // SAFETY: set by `attached` in this thread, whose memory it is.
    let inner = unsafe { &mut *thread };
    if inner.state != OUTSIDE {
        // A child that was forked in this thread, and has not allocated since.
        return;
    }
    inner.ends += 1;
    if inner.ends < ITERATIONS {
        process::call_at_end(thread);
        return;
    }
    set_own(ptr::without_provenance_mut(ENDED));
    let Some(process) = Process::current() else { return };
    inner.state = INSIDE;
    inner.stamp(process);
    inner.record(THREAD_END, 0, &[]);
    inner.pack();
    EPOCH.fetch_add(1, AcqRel);
    process.pool_lock.take();
    // SAFETY: under the lock; nobody uses the thread's memory any more.
    unsafe {
        inner.next = *process.pool.get();
        *process.pool.get() = thread;
    }
    process.pool_lock.release();
}

impl Thread {
    /// Memory for a thread: what a parent left (`found`), from the pool, or new; null if there is none.
    fn begin(process: &Process, found: *mut Self, here: *const Frame) -> *mut Self {
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
        (inner.index, inner.number, inner.defined, inner.ends, inner.looks) = (process.next_thread(), 0, 0, 0, 0);
        inner.missed.store(0, Relaxed);
        inner.strangers = 0;
        inner.generation = 0;
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

    /// The site of this call.
    #[inline(always)]
    fn site(&mut self, kind: u64, frame: *const Frame) -> u64 {
        let mut hash = kind;
        // SAFETY: the record is this call's; the bounds are those of the mapping that the stack is in, and hold it only if this is that stack.
        let end = unsafe { walk(frame, self.stack, |address| hash = mix(hash, address)) };
        match self.sites.find(hash) {
            Some(site) if end != UNKNOWN_STACK => site,
            found => self.new_site(kind, frame, found),
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
        } else if let Some(site) = found {
            return site;
        }
        let (mut hash, mut count) = (kind, 0);
        let frames = &mut self.frames;
        // SAFETY: as in `site`.
        let mut end = unsafe {
            walk(frame, self.stack, |address| {
                hash = mix(hash, address);
                frames[count] = address as u64;
                count += 1;
            })
        };
        if let Some(site) = self.sites.find(hash) {
            return site;
        }
        // Addresses that are not code's come from chains that were none.
        if let Some(wrong) = (1..count).find(|&index| !process.code_at(self.frames[index] as usize)) {
            (count, end) = (wrong, format::BROKEN_CHAIN);
        }
        process.code_at(self.frames[0] as usize);
        let Some(site) = self.sites.add(hash) else { return 0 };
        self.frames[..count].reverse();
        let known = &self.last[..self.defined];
        let kept = known.iter().zip(&self.frames[..count]).take_while(|(a, b)| a == b).count();
        (self.last, self.defined) = (self.frames, count);
        let mut words = [0; MOST_FRAMES + 1];
        words[0] = site | (kept as u64) << 32;
        words[1..=count - kept].copy_from_slice(&self.last[kept..count]);
        self.record(SITE, kind | end << 8, &words[..=count - kept]);
        site
    }

    /// Threads that have ended share one memory, and have no stack that could be remembered.
    fn index_has_stack(&self) -> bool {
        self.state != LATE
    }

    /// Counts a call that is not noted.
    fn miss(&mut self) {
        self.missed.fetch_add(1, Relaxed);
        self.tell_missed();
    }

    fn tell_missed(&self) {
        // A signal handler may count on between the two lines, and tell before this does.
        let mut told = None;
        while told != Some(self.missed.load(Relaxed)) {
            let count = self.missed.load(Relaxed);
            self.tell(3, count);
            compiler_fence(Ordering::SeqCst);
            told = Some(count);
        }
    }

    /// Puts a number into the preamble of the chunk that is mapped.
    fn tell(&self, place: usize, number: u64) {
        debug_assert!(place < PREAMBLE_WORDS);
        // SAFETY: the chunk begins with its head and the preamble; only this thread writes it.
        unsafe { self.chunk.wrapping_add(CHUNK_HEADER).cast::<u64>().add(place).write_volatile(number) };
    }

    /// Adds a word.
    #[inline(always)]
    fn word(&mut self, word: u64) {
        // SAFETY: `pause` is never beyond the last word.
        unsafe { self.words.add(self.used).write_volatile(word) };
        self.used += 1;
        if self.used >= self.pause {
            self.paused();
        }
    }

    /// Adds a record. Its first word comes last: as long as it isn't there, whoever finds the file sees the end of the words.
    #[inline(never)]
    fn record(&mut self, kind: u64, argument: u64, words: &[u64]) {
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

    fn stamp(&mut self, process: &Process) {
        self.record(STAMP, 0, &[process.now()]);
    }

    #[cold]
    #[inline(never)]
    fn others_did_something(&mut self) {
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
            self.record(GENERATION, 0, &[generation]);
        }
    }

    /// More numbers for blocks; `false` if there are none left, ever.
    #[cold]
    #[inline(never)]
    fn more_numbers(&mut self) -> bool {
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
    fn pack(&mut self) {
        let Some(process) = Process::current() else { return self.part_from_file() };
        // SAFETY: that many words were written; nobody else writes them.
        let words = unsafe { slice::from_raw_parts(self.words, self.used) };
        self.preamble.missed = self.missed.load(Relaxed);
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
            missed: self.missed.load(Relaxed),
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
