//! What the C library's `malloc` asks the system for, seen beside the call that made it ask.
//!
//! Its own calls of `brk` and `mmap` can't be hooked. But glibc shows what they did: `__curbrk` is the end of the heap, and before each block stands a
//! word with its size, whose lower bits say whether the block was mapped for itself, and whether it is in an arena that is not the first one's
//! (glibc 2.36, `malloc/malloc.c` and `malloc/arena.c`).
//!
//! A heap that has grown is put down to the call that is first to see it. If two threads ask at the same moment, that may be the other one. Arenas of
//! further threads grow inside what they have reserved, by `mprotect`, which can't be seen here.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Relaxed};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};

use crate::real;

/// The block was mapped for itself.
const IS_MAPPED: usize = 2;
/// The block is in an arena of another thread than the first.
const IS_IN_ARENA: usize = 4;
/// Bits of a size word that are no size.
const FLAGS: usize = 7;
/// Bytes that an arena reserves at a time, and a multiple of which it begins at: `HEAP_MAX_SIZE`, on 64 bits, unless glibc was told to take
/// huge pages for it.
pub(crate) const ARENA: usize = 64 << 20;

/// Where glibc keeps the end of the heap.
static END: AtomicPtr<usize> = AtomicPtr::new(ptr::null_mut());
/// The end that was noted last.
static NOTED: AtomicUsize = AtomicUsize::new(0);
static IS_GLIBC: AtomicBool = AtomicBool::new(false);

/// Looks for what glibc shows, before the first block is asked for. `version` is a function that glibc alone has, `malloc` the one that ours
/// stands before, `sbrk` glibc's.
pub(crate) fn look(version: *mut c_void, malloc: *mut c_void, sbrk: *mut c_void) {
    if version.is_null() || sbrk.is_null() {
        return;
    }
    // SAFETY: `sbrk`'s type; by 0 it changes nothing, and makes glibc ask where the heap ends.
    unsafe { core::mem::transmute::<*mut c_void, unsafe extern "C" fn(isize) -> *mut c_void>(sbrk)(0) };
    let end = real::first_of(c"__curbrk").cast::<usize>();
    // SAFETY: glibc's variable, if it is there.
    NOTED.store(unsafe { end.as_ref() }.map_or(0, |end| *end), Relaxed);
    END.store(end, Relaxed);
    // Another allocator may have been put before glibc's.
    IS_GLIBC.store(module(malloc).is_some_and(|base| module(version) == Some(base)), Relaxed);
}

/// Where the module is loaded that an address is in.
fn module(address: *mut c_void) -> Option<usize> {
    let mut found = core::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: there is room for the answer, of which any bits are a valid one.
    unsafe { (libc::dladdr(address, found.as_mut_ptr()) != 0).then(|| found.assume_init().dli_fbase.addr()) }
}

/// Whether the heap's end is not where it was noted last.
#[inline(always)]
pub(crate) fn has_moved() -> bool {
    let end = END.load(Relaxed);
    // SAFETY: glibc's variable, which other threads may change meanwhile.
    !end.is_null() && unsafe { end.read_volatile() } != NOTED.load(Relaxed)
}

/// From where to where the heap's end has moved, told to one who asks.
#[cold]
pub(crate) fn moved() -> Option<[u64; 2]> {
    let end = END.load(Relaxed);
    if end.is_null() {
        return None;
    }
    let mut before = NOTED.load(Relaxed);
    loop {
        // SAFETY: as above.
        let after = unsafe { end.read_volatile() };
        if before == after {
            return None;
        }
        // Whoever looked at the same moment has told of it, or looks again.
        match NOTED.compare_exchange(before, after, AcqRel, Relaxed) {
            Ok(_) => return Some([before as u64, after as u64]),
            Err(noted) => before = noted,
        }
    }
}

/// The program has moved the end itself.
pub(crate) fn was_moved_to(end: usize) {
    NOTED.store(end, Relaxed);
}

/// The word before a block, 0 where it is not glibc's.
///
/// # Safety
/// The allocator that ours stands before has handed it out, and not got it back.
#[inline(always)]
unsafe fn word(block: *const c_void) -> usize {
    // SAFETY: glibc has it there, in the block's own chunk.
    if IS_GLIBC.load(Relaxed) { unsafe { block.cast::<usize>().sub(1).read() } } else { 0 }
}

/// Address and length of what was mapped for a block alone.
///
/// # Safety
/// As [`word`].
#[inline(always)]
pub(crate) unsafe fn mapping(block: *const c_void) -> Option<[u64; 2]> {
    // SAFETY: as the caller promises.
    let word = unsafe { word(block) };
    if word & IS_MAPPED == 0 {
        return None;
    }
    // SAFETY: before the size stands how far the chunk is from the mapping's begin.
    let before = unsafe { block.cast::<usize>().sub(2).read() };
    let begin = block.addr() - 16 - before;
    Some([begin as u64, (before + (word & !FLAGS)) as u64])
}

/// Where the arena begins that a block is in, if it isn't the first.
///
/// # Safety
/// As [`word`].
#[inline(always)]
pub(crate) unsafe fn arena(block: *const c_void) -> Option<usize> {
    // SAFETY: as the caller promises.
    let word = unsafe { word(block) };
    (word & (IS_IN_ARENA | IS_MAPPED) == IS_IN_ARENA).then(|| block.addr() & !(ARENA - 1))
}
