//! What the exported functions do: the real thing, and a note.
//!
//! Blocks are entered after the real function has handed them out, and taken out before it takes them back: in between another thread may be
//! given the same address.

use core::ffi::{c_int, c_void};
use core::ptr;

use crate::format::{BREAK, MAP, REMAP, UNMAP};
use crate::inside::{self, Inside};
use crate::process::Process;
use crate::stack::Frame;
use crate::{heap, real, sample, system};

type Block = *mut c_void;

// Numbers of `format::KINDS`.
const MALLOC: u64 = 1;
const CALLOC: u64 = 2;
const REALLOC: u64 = 3;
const REALLOCARRAY: u64 = 4;
const POSIX_MEMALIGN: u64 = 5;
const ALIGNED_ALLOC: u64 = 6;
const MEMALIGN: u64 = 7;
const VALLOC: u64 = 8;
const MMAP: u64 = 9;
const MUNMAP: u64 = 10;
const MREMAP: u64 = 11;
const BRK: u64 = 12;

#[inline(always)]
fn handed_out(kind: u64, block: Block, size: usize, frame: *const Frame) -> Block {
    if !block.is_null() && sample::takes(size) {
        note(kind, block, size, frame);
    }
    block
}

#[inline(always)]
fn note(kind: u64, block: Block, size: usize, frame: *const Frame) {
    if let Some(mut inside) = Inside::enter(frame) {
        inside.alloc(kind, block, size, frame);
    }
}

/// Calls a function of the C library's that may call others of those that ours stand before.
#[inline(always)]
fn outermost<R>(frame: *const Frame, call: impl FnOnce() -> R) -> R {
    if real::nests() { inside::nested(frame, call) } else { call() }
}

fn refused(error: c_int) -> Block {
    // SAFETY: the location is the thread's own.
    unsafe { *libc::__errno_location() = error };
    ptr::null_mut()
}

pub(crate) unsafe extern "C" fn malloc(size: usize, frame: *const Frame) -> Block {
    // SAFETY: `malloc`'s type.
    match unsafe { real::MALLOC.get::<unsafe extern "C" fn(usize) -> Block>() } {
        // SAFETY: as the caller's call.
        Some(real) => handed_out(MALLOC, unsafe { real(size) }, size, frame),
        None => real::early(size, 16),
    }
}

pub(crate) unsafe extern "C" fn calloc(count: usize, size: usize, frame: *const Frame) -> Block {
    // SAFETY: `calloc`'s type.
    match unsafe { real::CALLOC.get::<unsafe extern "C" fn(usize, usize) -> Block>() } {
        Some(real) => {
            // SAFETY: as the caller's call. If that is not null, the product is no overflow.
            let block = outermost(frame, || unsafe { real(count, size) });
            handed_out(CALLOC, block, count.wrapping_mul(size), frame)
        }
        None => count.checked_mul(size).map_or(ptr::null_mut(), |bytes| real::early(bytes, 16)),
    }
}

pub(crate) unsafe extern "C" fn realloc(block: Block, size: usize, frame: *const Frame) -> Block {
    // SAFETY: as the caller's call.
    unsafe { resize(REALLOC, block, size, frame) }
}

/// glibc's own calls `realloc`, which would be noted twice: this is it, without that.
pub(crate) unsafe extern "C" fn reallocarray(block: Block, count: usize, size: usize, frame: *const Frame) -> Block {
    match count.checked_mul(size) {
        // SAFETY: as the caller's call.
        Some(bytes) => unsafe { resize(REALLOCARRAY, block, bytes, frame) },
        None => refused(libc::ENOMEM),
    }
}

unsafe fn resize(kind: u64, block: Block, size: usize, frame: *const Frame) -> Block {
    // SAFETY: `realloc`'s type.
    let real = unsafe { real::REALLOC.get::<unsafe extern "C" fn(Block, usize) -> Block>() };
    if real.is_none() || real::is_early(block) {
        // SAFETY: the arena's blocks are as long as they were asked for; the new one is as long as it is.
        unsafe {
            let new = malloc(size, frame);
            if real::is_early(block) && !new.is_null() {
                ptr::copy_nonoverlapping(block.cast::<u8>(), new.cast(), real::early_size(block).min(size));
            }
            return new;
        }
    }
    let Some(real) = real else { return ptr::null_mut() };
    if real::is_a_strangers() {
        // SAFETY: as the caller's call.
        return unsafe { real(block, size) };
    }
    if sample::is_on() && (block.is_null() || !sample::may_be_noted(block)) {
        // SAFETY: as the caller's call.
        return handed_out(kind, unsafe { real(block, size) }, size, frame);
    }
    // It is taken out before the call, and put back if the call fails, so that nobody can be given its address meanwhile.
    let (mut before, mut mapping) = (None, None);
    if !block.is_null()
        && let Some(mut inside) = Inside::enter(frame)
    {
        before = inside.take_out(block);
        // SAFETY: the caller has the block, and it is not the arena's.
        mapping = unsafe { heap::mapping(block) };
    }
    // SAFETY: as the caller's call.
    let new = unsafe { real(block, size) };
    let Some(mut inside) = Inside::enter(frame) else { return new };
    // `realloc(block, 0)` gives the block back and answers null.
    let gone = !new.is_null() || size == 0;
    if gone {
        inside.unmaps(mapping);
    }
    match before {
        Some(number) if gone => inside.freed(number),
        Some(number) => inside.put_back(block, number),
        None if !block.is_null() && gone => inside.stranger(),
        None => {}
    }
    if sample::is_on() {
        drop(inside);
        return handed_out(kind, new, size, frame);
    }
    if !new.is_null() {
        inside.alloc(kind, new, size, frame);
    }
    new
}

pub(crate) unsafe extern "C" fn posix_memalign(
    to: *mut Block,
    align: usize,
    size: usize,
    frame: *const Frame,
) -> c_int {
    // SAFETY: `posix_memalign`'s type.
    let real = unsafe { real::POSIX_MEMALIGN.get::<unsafe extern "C" fn(*mut Block, usize, usize) -> c_int>() };
    let Some(real) = real else { return libc::ENOMEM };
    // SAFETY: as the caller's call, after whose success there is a block.
    unsafe {
        let error = outermost(frame, || real(to, align, size));
        if error == 0 {
            handed_out(POSIX_MEMALIGN, *to, size, frame);
        }
        error
    }
}

/// The functions that take an alignment and a size.
unsafe fn aligned(kind: u64, real: &real::Function, align: usize, size: usize, frame: *const Frame) -> Block {
    // SAFETY: only used with functions of this type.
    match unsafe { real.get::<unsafe extern "C" fn(usize, usize) -> Block>() } {
        // SAFETY: as the caller's call.
        Some(real) => handed_out(kind, outermost(frame, || unsafe { real(align, size) }), size, frame),
        None => refused(libc::ENOMEM),
    }
}

pub(crate) unsafe extern "C" fn aligned_alloc(align: usize, size: usize, frame: *const Frame) -> Block {
    // SAFETY: as the caller's call.
    unsafe { aligned(ALIGNED_ALLOC, &real::ALIGNED_ALLOC, align, size, frame) }
}

pub(crate) unsafe extern "C" fn memalign(align: usize, size: usize, frame: *const Frame) -> Block {
    // SAFETY: as the caller's call.
    unsafe { aligned(MEMALIGN, &real::MEMALIGN, align, size, frame) }
}

/// The functions that take a size and align to pages.
unsafe fn paged(real: &real::Function, size: usize, frame: *const Frame) -> Block {
    // SAFETY: only used with functions of this type.
    match unsafe { real.get::<unsafe extern "C" fn(usize) -> Block>() } {
        // SAFETY: as the caller's call.
        Some(real) => handed_out(VALLOC, outermost(frame, || unsafe { real(size) }), size, frame),
        None => refused(libc::ENOMEM),
    }
}

pub(crate) unsafe extern "C" fn valloc(size: usize, frame: *const Frame) -> Block {
    // SAFETY: as the caller's call.
    unsafe { paged(&real::VALLOC, size, frame) }
}

pub(crate) unsafe extern "C" fn pvalloc(size: usize, frame: *const Frame) -> Block {
    // SAFETY: as the caller's call.
    unsafe { paged(&real::PVALLOC, size, frame) }
}

#[inline(always)]
pub(crate) unsafe fn free(block: Block) {
    // As little as possible where blocks are drawn; 0 is no block, and costs nothing to pass on.
    if !sample::may_be_noted(block) {
        // SAFETY: `free`'s type.
        if let Some(real) = unsafe { real::FREE.known::<unsafe extern "C" fn(Block)>() } {
            // SAFETY: as the caller's call.
            return unsafe { real(block) };
        }
    }
    // SAFETY: as the caller's call.
    unsafe { free_noted(block) }
}

#[inline(never)]
unsafe extern "C" fn free_noted(block: Block) {
    if block.is_null() || real::is_early(block) {
        return;
    }
    if !real::is_a_strangers()
        && let Some(mut inside) = Inside::enter(ptr::null())
    {
        inside.free(block);
        // SAFETY: the caller has the block, and it is not the arena's.
        inside.unmaps(unsafe { heap::mapping(block) });
    }
    // SAFETY: `free`'s type.
    if let Some(real) = unsafe { real::FREE.get::<unsafe extern "C" fn(Block)>() } {
        // SAFETY: as the caller's call.
        unsafe { real(block) }
    }
    if !sample::is_on()
        && heap::has_moved()
        && let Some(mut inside) = Inside::enter(ptr::null())
    {
        inside.heap_moved();
    }
}

/// A system call's answer as the C library gives it.
fn answered(answer: isize) -> Block {
    if (-4095..0).contains(&answer) {
        _ = refused(-answer as c_int);
        return libc::MAP_FAILED;
    }
    ptr::with_exposed_provenance_mut(answer as usize)
}

pub(crate) unsafe extern "C" fn mmap(
    address: Block,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
    frame: *const Frame,
) -> Block {
    let arguments = [address.addr(), length, protection as usize, flags as usize, file as usize, offset as usize];
    // SAFETY: as the caller's call.
    let answer = answered(unsafe { system::call(libc::SYS_mmap, arguments) });
    if answer != libc::MAP_FAILED
        && let Some(mut inside) = Inside::enter_apart(frame)
    {
        let how = u64::from(protection as u32) | u64::from(flags as u32) << 32;
        inside.call(MAP, MMAP, frame, &[answer.addr() as u64, length as u64, how]);
    }
    answer
}

pub(crate) unsafe extern "C" fn munmap(address: Block, length: usize, frame: *const Frame) -> c_int {
    // Before the call: afterwards another thread may have the addresses. Of what the kernel would refuse there is nothing to note.
    if address.addr().is_multiple_of(4096)
        && length > 0
        && let Some(mut inside) = Inside::enter_apart(frame)
    {
        inside.call(UNMAP, MUNMAP, frame, &[address.addr() as u64, length as u64]);
    }
    // SAFETY: as the caller's call.
    let answer = unsafe { system::call(libc::SYS_munmap, [address.addr(), length, 0, 0, 0, 0]) };
    if answered(answer) == libc::MAP_FAILED { -1 } else { 0 }
}

pub(crate) unsafe extern "C" fn mremap(
    address: Block,
    old: usize,
    new: usize,
    flags: c_int,
    to: Block,
    frame: *const Frame,
) -> Block {
    let arguments = [address.addr(), old, new, flags as usize, to.addr(), 0];
    // SAFETY: as the caller's call.
    let answer = answered(unsafe { system::call(libc::SYS_mremap, arguments) });
    if answer != libc::MAP_FAILED
        && let Some(mut inside) = Inside::enter_apart(frame)
    {
        let words = [address.addr() as u64, old as u64, answer.addr() as u64, new as u64];
        inside.call(REMAP, MREMAP, frame, &words);
    }
    answer
}

/// The end of the heap that `brk` moves, before the program moves it: what others have moved is noted.
fn end_before(frame: *const Frame) -> Option<u64> {
    if heap::has_moved()
        && let Some(mut inside) = Inside::enter(frame)
    {
        inside.heap_moved();
    }
    end_of_heap()
}

/// The end of the heap that `brk` moves.
fn end_of_heap() -> Option<u64> {
    // SAFETY: `sbrk`'s type; by 0 it changes nothing.
    let sbrk = unsafe { real::SBRK.get::<unsafe extern "C" fn(isize) -> Block>() }?;
    // SAFETY: as above.
    Some(unsafe { sbrk(0) }.addr() as u64)
}

/// Notes from where to where the end of the heap was moved.
fn heap_moved(before: Option<u64>, frame: *const Frame) {
    if let Some(before) = before
        && let Some(after) = end_of_heap()
        && before != after
    {
        heap::was_moved_to(after as usize);
        if let Some(mut inside) = Inside::enter(frame) {
            inside.call(BREAK, BRK, frame, &[before, after]);
        }
    }
}

pub(crate) unsafe extern "C" fn brk(to: Block, frame: *const Frame) -> c_int {
    // SAFETY: `brk`'s type.
    let Some(real) = (unsafe { real::BRK.get::<unsafe extern "C" fn(Block) -> c_int>() }) else { return -1 };
    let before = end_before(frame);
    // SAFETY: as the caller's call.
    let answer = unsafe { real(to) };
    heap_moved(before, frame);
    answer
}

pub(crate) unsafe extern "C" fn sbrk(by: isize, frame: *const Frame) -> Block {
    // SAFETY: `sbrk`'s type.
    let real = unsafe { real::SBRK.get::<unsafe extern "C" fn(isize) -> Block>() };
    let Some(real) = real else { return libc::MAP_FAILED };
    let before = (by != 0).then(|| end_before(frame)).flatten();
    // SAFETY: as the caller's call.
    let answer = unsafe { real(by) };
    heap_moved(before, frame);
    answer
}

pub(crate) unsafe fn dlclose(handle: Block) -> c_int {
    // SAFETY: `dlclose`'s type.
    let real = unsafe { real::DLCLOSE.get::<unsafe extern "C" fn(Block) -> c_int>() };
    // SAFETY: as the caller's call.
    let answer = real.map_or(-1, |real| unsafe { real(handle) });
    // Marked as inside, for a signal handler would wait for the lock.
    let inside = Inside::enter(ptr::null());
    if let Some(process) = Process::current() {
        process.unloaded();
    }
    drop(inside);
    answer
}
