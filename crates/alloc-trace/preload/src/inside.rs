//! How a call comes to its thread's notes, and leaves them; how threads begin and end.
//!
//! The first call of a thread takes memory from the pool or makes it, and puts its address into a thread-local variable. A destructor of
//! thread-specific data packs what is there, and gives it back. What the thread still does after that goes to a memory that all such threads
//! share (`late`). Being inside is marked: a signal handler that comes in then finds the mark, and does without notes.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Relaxed};
use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use crate::format::{self, BLOCK_UNMAP, LARGE, SIZE_LIMIT, THREAD_END};
use crate::live::{self, Entered};
use crate::own::{BUSY, ENDED, ENDED_NESTED, own, set_own, swap_own};
use crate::process::{self, EPOCH, Process};
use crate::stack::Frame;
use crate::thread::{INSIDE, LATE, NESTED, OUTSIDE, Thread, UNUSED};
use crate::{python, real, sample};

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

    /// The same of a call that no function of the C library's makes of ours: in the midst of one it is a signal handler's, and is counted.
    pub(crate) fn enter_apart(here: *const Frame) -> Option<Self> {
        let inside = Self::enter(here);
        let thread = own();
        // SAFETY: above BUSY the variable is the address of this thread's memory; while it is nested nobody else is inside.
        if inside.is_none() && thread.addr() > BUSY && unsafe { (*thread).state == NESTED } {
            // SAFETY: as above.
            unsafe { (*thread).miss() };
        }
        inside
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
        let site = thread.site(kind, frame, python::frames());
        // What the blocks between asked the system for is not seen: of the rest there is nothing to tell.
        if !sample::is_on() {
            // SAFETY: just handed out.
            unsafe { thread.note_system(site, block) };
        }
        if thread.next_block >= thread.last_block && !thread.more_numbers() {
            return;
        }
        match live::enter(block.addr(), thread.next_block, thread.index) {
            Entered::Yes => sample::noted(block),
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

    /// Notes an object of Python's that was handed out, by the lock's holder.
    #[inline(always)]
    pub(crate) fn object(&mut self, kind: u64, block: *mut c_void, size: usize, frame: *const Frame) {
        let thread = self.thread();
        let Some(place) = live::object(block.addr(), true) else { return thread.miss() };
        // Before the stack is looked at: meanwhile it comes from memory.
        let before = place.load(Relaxed);
        let site = thread.site(kind, frame, python::frames_of_holder());
        if thread.next_block >= thread.last_block && !thread.more_numbers() {
            return;
        }
        if before != 0 {
            thread.word(format::free(before));
        }
        place.store(thread.next_block, Relaxed);
        thread.next_block += 1;
        thread.word(format::alloc(site, size as u64));
    }

    /// Notes that a block is given back.
    #[inline(always)]
    pub(crate) fn free(&mut self, block: *mut c_void) {
        match self.take_out(block) {
            Some(number) => self.freed(number),
            None => self.stranger(),
        }
    }

    /// Notes that what was mapped for a block alone goes with it.
    #[inline(always)]
    pub(crate) fn unmaps(&mut self, mapping: Option<[u64; 2]>) {
        if let Some(mapping) = mapping
            && !sample::is_on()
        {
            self.thread().record(BLOCK_UNMAP, 0, &mapping);
        }
    }

    /// Notes that the heap has become shorter, or longer, by a call without a stack.
    pub(crate) fn heap_moved(&mut self) {
        self.thread().heap_moved(0);
    }

    /// Takes a block out, without a note: its number.
    #[inline(always)]
    pub(crate) fn take_out(&mut self, block: *mut c_void) -> Option<u64> {
        let number = live::remove(block.addr(), self.thread().index)?;
        sample::gone(block);
        Some(number)
    }

    /// Puts a block in again that was taken out.
    pub(crate) fn put_back(&mut self, block: *mut c_void, number: u64) {
        live::enter(block.addr(), number, self.thread().index);
        sample::noted(block);
    }

    /// Notes that the block of a number is given back.
    #[inline(always)]
    pub(crate) fn freed(&mut self, number: u64) {
        self.thread().word(format::free(number));
    }

    /// Counts a block that nobody saw handed out.
    pub(crate) fn stranger(&mut self) {
        if sample::is_on() {
            return;
        }
        let thread = self.thread();
        thread.strangers += 1;
        thread.tell(4, thread.strangers);
    }

    /// Notes a call with its stack, and figures.
    pub(crate) fn call(&mut self, record: u64, kind: u64, frame: *const Frame, words: &[u64]) {
        let thread = self.thread();
        let site = thread.site(kind, frame, python::frames());
        thread.record(record, site, words);
        thread.look_at_memory();
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

/// Calls a function of the C library's; whatever blocks others hand out to it meanwhile are not noted.
#[cold]
pub(crate) fn nested<R>(frame: *const Frame, call: impl FnOnce() -> R) -> R {
    if own().addr() == ENDED {
        // It has no memory of its own that could be marked.
        set_own(ptr::without_provenance_mut(ENDED_NESTED));
        let result = call();
        set_own(ptr::without_provenance_mut(ENDED));
        return result;
    }
    let thread = Inside::enter(frame).map(|inside| inside.thread);
    // SAFETY: this thread's memory, for it has not ended.
    let Some(inner) = thread.map(|thread| unsafe { &mut *thread }) else { return call() };
    inner.state = NESTED;
    compiler_fence(Ordering::SeqCst);
    let result = call();
    compiler_fence(Ordering::SeqCst);
    inner.state = OUTSIDE;
    result
}

#[cold]
#[inline(never)]
fn leave_late() {
    // The lock first: a signal handler that comes in between finds BUSY, and does not wait for what its own thread holds.
    if let Some(process) = Process::current() {
        process.late_lock.release();
    }
    set_own(ptr::without_provenance_mut(ENDED));
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
        ENDED_NESTED => return None,
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
            thread if thread.state == NESTED => return None,
            thread if thread.state != UNUSED => {
                thread.miss();
                return None;
            }
            // A forked child.
            _ => {}
        },
    }
    // What `dlsym` asks for is no signal handler's.
    real::all_known();
    let made = swap_own(ptr::without_provenance_mut(BUSY));
    if made != own {
        // By a signal handler that has come in since.
        set_own(made);
        return Some(made);
    }
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

/// Begins the trace, if there is to be one. Calls of signal handlers meanwhile are counted.
#[cold]
pub(crate) fn begin_process() {
    let before = swap_own(ptr::without_provenance_mut(BUSY));
    _ = Process::current();
    set_own(before);
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
    // Until the locks below are free again: a signal handler would wait for them.
    set_own(ptr::without_provenance_mut(BUSY));
    let Some(process) = Process::current() else { return set_own(ptr::without_provenance_mut(ENDED)) };
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
    set_own(ptr::without_provenance_mut(ENDED));
}
