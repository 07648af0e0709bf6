//! Python's objects, where they are asked for: between the interpreter and its own allocator.
//!
//! Python takes memory in arenas, and hands out parts of these for objects of up to 512 bytes (`Objects/obmalloc.c`); of those `malloc` knows
//! nothing. `PyMem_SetAllocator`, which Python has for this purpose, puts ours before its own, as tracemalloc does: the program runs with the
//! allocator that it always has, and each object is noted. What is larger Python asks `malloc` for, where it is noted as anybody's.
//!
//! Which of both a block came from is told when it comes back by whether it was noted as an object ([`live::object`]): what was not goes to
//! `free`, and is noted there.
//!
//! All that comes here comes from the thread that has Python's lock.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU64};
use core::{mem, ptr};

use crate::inside::Inside;
use crate::real::first_of;
use crate::stack::Frame;
use crate::{live, process};

type Block = *mut c_void;

/// Whether objects are to be noted: 1 if so.
const VARIABLE: &[u8] = b"ALLOC_TRACE_PYTHON_OBJECTS=";
/// Bytes of the largest that Python serves itself: `SMALL_REQUEST_THRESHOLD`.
const LARGEST: usize = 512;

// Numbers of `format::KINDS`.
const MALLOC: u64 = 13;
const CALLOC: u64 = 14;
const REALLOC: u64 = 15;

/// `PyMemAllocatorEx`.
#[repr(C)]
struct Allocator {
    context: *mut c_void,
    malloc: unsafe extern "C" fn(*mut c_void, usize) -> Block,
    calloc: unsafe extern "C" fn(*mut c_void, usize, usize) -> Block,
    realloc: unsafe extern "C" fn(*mut c_void, Block, usize) -> Block,
    free: unsafe extern "C" fn(*mut c_void, Block),
}

struct Room(UnsafeCell<mem::MaybeUninit<Allocator>>);
// SAFETY: written once each, before Python runs.
unsafe impl Sync for Room {}
/// Python's own, of `PYMEM_DOMAIN_MEM` and `PYMEM_DOMAIN_OBJ`, whose numbers are 1 and 2.
static OWN: [Room; 2] = [const { Room(UnsafeCell::new(mem::MaybeUninit::uninit())) }; 2];

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Whether objects are noted.
pub(super) fn are_noted() -> bool {
    IS_ON.load(Relaxed)
}

/// Puts ours before Python's, if that is wanted; before the first object is asked for.
pub(super) fn look() {
    if process::number(VARIABLE) != Some(1) || process::number(process::SAMPLE).is_some_and(|mean| mean > 0) {
        return;
    }
    let [get, set] = [c"PyMem_GetAllocator", c"PyMem_SetAllocator"].map(first_of);
    if get.is_null() || set.is_null() {
        return;
    }
    IS_ON.store(true, Relaxed);
    for (domain, own) in (1..).zip(&OWN) {
        let own: *mut Allocator = own.0.get().cast();
        let mut ours = Allocator { context: own.cast(), malloc, calloc, realloc, free };
        // SAFETY: those functions' types. They may be called before Python begins, and copy what they are given.
        unsafe {
            mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int, *mut Allocator)>(get)(domain, own);
            mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int, *mut Allocator)>(set)(domain, &raw mut ours);
        }
    }
}

/// Whether Python serves a request itself.
#[inline(always)]
fn is_small(size: usize) -> bool {
    size.wrapping_sub(1) < LARGEST
}

#[inline(always)]
fn note(kind: u64, block: Block, size: usize, frame: *const Frame) {
    if !block.is_null()
        && let Some(mut inside) = Inside::enter(frame)
    {
        inside.object(kind, block, size, frame);
    }
}

/// What is small comes to the hook with the frame of the call, as in `entry`; the rest goes on as if we weren't there.
#[unsafe(naked)]
unsafe extern "C" fn malloc(own: *mut c_void, size: usize) -> Block {
    core::arch::naked_asm!(
        "lea rax, [rsi - 1]",
        "cmp rax, {largest}",
        "jae 2f",
        "push rbp",
        "mov rbp, rsp",
        "mov rdx, rsp",
        "call {hook}",
        "pop rbp",
        "ret",
        "2:",
        "mov rax, rdi",
        "mov rdi, [rax]",
        "jmp [rax + {malloc}]",
        largest = const LARGEST,
        hook = sym small,
        malloc = const mem::offset_of!(Allocator, malloc),
    )
}

unsafe extern "C" fn small(own: *const Allocator, size: usize, frame: *const Frame) -> Block {
    // SAFETY: as the caller's call; Python's own was written before ours was set.
    let block = unsafe { ((*own).malloc)((*own).context, size) };
    note(MALLOC, block, size, frame);
    block
}

/// As [`malloc`].
#[unsafe(naked)]
unsafe extern "C" fn calloc(own: *mut c_void, count: usize, size: usize) -> Block {
    core::arch::naked_asm!(
        "mov rax, rsi",
        // An overflow is no small one.
        "mov rcx, rdx",
        "mul rdx",
        "mov rdx, rcx",
        "jo 2f",
        "dec rax",
        "cmp rax, {largest}",
        "jae 2f",
        "push rbp",
        "mov rbp, rsp",
        "mov rcx, rsp",
        "call {hook}",
        "pop rbp",
        "ret",
        "2:",
        "mov rax, rdi",
        "mov rdi, [rax]",
        "jmp [rax + {calloc}]",
        largest = const LARGEST,
        hook = sym small_zeros,
        calloc = const mem::offset_of!(Allocator, calloc),
    )
}

unsafe extern "C" fn small_zeros(own: *const Allocator, count: usize, size: usize, frame: *const Frame) -> Block {
    // SAFETY: as in `small`.
    let block = unsafe { ((*own).calloc)((*own).context, count, size) };
    note(CALLOC, block, count * size, frame);
    block
}

/// Objects come to the hook, and small requests without a block; the rest goes on as if we weren't there.
#[unsafe(naked)]
unsafe extern "C" fn realloc(own: *mut c_void, block: Block, size: usize) -> Block {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "push rdx",
        "call {is_ours}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "test al, al",
        "je 2f",
        "push rbp",
        "mov rbp, rsp",
        "mov rcx, rsp",
        "call {hook}",
        "pop rbp",
        "ret",
        "2:",
        "mov rax, rdi",
        "mov rdi, [rax]",
        "jmp [rax + {realloc}]",
        is_ours = sym is_ours,
        hook = sym resize,
        realloc = const mem::offset_of!(Allocator, realloc),
    )
}

unsafe extern "C" fn is_ours(_: *const Allocator, block: Block, size: usize) -> bool {
    if block.is_null() { is_small(size) } else { number(block).is_some_and(|number| number.load(Relaxed) != 0) }
}

/// Where the number of an object stands; `None` where no objects are, or before there is a trace.
#[inline(always)]
fn number(block: Block) -> Option<&'static AtomicU64> {
    live::is_prepared().then(|| live::object(block.addr(), false))?
}

unsafe extern "C" fn resize(own: *const Allocator, block: Block, size: usize, frame: *const Frame) -> Block {
    // SAFETY: as in `small`.
    let new = unsafe { ((*own).realloc)((*own).context, block, size) };
    if !new.is_null() {
        gone(block);
        // A large one was asked of `malloc`, and noted there.
        if is_small(size) {
            note(REALLOC, new, size, frame);
        }
    }
    new
}

unsafe extern "C" fn free(own: *mut c_void, block: Block) {
    gone(block);
    let own: *const Allocator = own.cast();
    // SAFETY: as in `small`.
    unsafe { ((*own).free)((*own).context, block) }
}

/// Notes that an object is no more, if it was noted. As nobody else asks for objects until the lock is given up, it may be gone already.
#[inline(always)]
fn gone(block: Block) {
    if let Some(place) = number(block)
        && let before @ 1.. = place.load(Relaxed)
    {
        place.store(0, Relaxed);
        if let Some(mut inside) = Inside::enter(ptr::null()) {
            inside.freed(before);
        }
    }
}
