//! The exported functions.
//!
//! Each makes an ordinary frame record (the caller's frame pointer, the return address) and passes its address on as a further argument: so the
//! walk along frame pointers begins with the caller, whatever the compiler does with our own frames.

use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

use crate::thread::Thread;
use crate::{hooks, own, real, sample};

/// A function whose hook takes the frame in the register named, which is that of its next argument.
macro_rules! entry {
    ($name:ident($($argument:ident: $type:ty),*) -> $result:ty, frame in $register:literal) => {
        #[doc = concat!("Stands before the C library's `", stringify!($name), "`.")]
        ///
        /// # Safety
        /// As the function it stands before.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                concat!("mov ", $register, ", rsp"),
                "call {hook}",
                "pop rbp",
                "ret",
                hook = sym hooks::$name,
            )
        }
    };
}

/// Stands before the C library's `malloc`.
///
/// Where blocks are drawn ([`sample`]), one that is not is none of our business: its bytes are counted down, and the C library called in our place,
/// with no frame between. What it costs then is a call, three loads, and a subtraction; a function of Rust's would save registers first.
///
/// # Safety
/// As the function it stands before.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    naked_asm!(
        "cmp qword ptr [rip + {mean}], 0",
        "je 2f",
        "mov rax, qword ptr [rip + alloc_trace_thread@GOTTPOFF]",
        "mov rax, qword ptr fs:[rax]",
        "cmp rax, {busy}",
        "jbe 2f",
        // Where this comes to 0 or less, `sample::takes` subtracts again, and comes to less.
        "sub qword ptr [rax + {left}], rdi",
        "jle 2f",
        // It is known, since the thread has memory.
        "jmp qword ptr [rip + {malloc} + {address}]",
        "2:",
        "push rbp",
        "mov rbp, rsp",
        "mov rsi, rsp",
        "call {hook}",
        "pop rbp",
        "ret",
        mean = sym sample::MEAN,
        busy = const own::BUSY,
        left = const offset_of!(Thread, draw.left),
        malloc = sym real::MALLOC,
        address = const offset_of!(real::Function, address),
        hook = sym hooks::malloc,
    )
}

entry!(calloc(count: usize, size: usize) -> *mut c_void, frame in "rdx");
entry!(realloc(block: *mut c_void, size: usize) -> *mut c_void, frame in "rdx");
entry!(reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void, frame in "rcx");
entry!(posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int, frame in "rcx");
entry!(aligned_alloc(align: usize, size: usize) -> *mut c_void, frame in "rdx");
entry!(memalign(align: usize, size: usize) -> *mut c_void, frame in "rdx");
entry!(valloc(size: usize) -> *mut c_void, frame in "rsi");
entry!(pvalloc(size: usize) -> *mut c_void, frame in "rsi");
entry!(munmap(address: *mut c_void, length: usize) -> c_int, frame in "rdx");
entry!(brk(to: *mut c_void) -> c_int, frame in "rsi");
entry!(sbrk(by: isize) -> *mut c_void, frame in "rsi");
// The fifth argument is there only with a flag, and costs nothing to read when it is not.
entry!(mremap(address: *mut c_void, old: usize, new: usize, flags: c_int, to: *mut c_void) -> *mut c_void, frame in "r9");

/// `mmap` has used up the registers: its frame goes onto the stack.
macro_rules! entry_of_six {
    ($name:ident) => {
        #[doc = concat!("Stands before the C library's `", stringify!($name), "`.")]
        ///
        /// # Safety
        /// As the function it stands before.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            address: *mut c_void,
            length: usize,
            protection: c_int,
            flags: c_int,
            file: c_int,
            offset: i64,
        ) -> *mut c_void {
            naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                "sub rsp, 16",
                "mov [rsp], rbp",
                "call {hook}",
                "leave",
                "ret",
                hook = sym hooks::mmap,
            )
        }
    };
}

entry_of_six!(mmap);
entry_of_six!(mmap64);

/// Stands before the C library's `free`.
///
/// # Safety
/// As the function it stands before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { hooks::free(block) }
}

/// C23's `free` with the size that was asked for.
///
/// # Safety
/// As `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut c_void, _size: usize) {
    // SAFETY: the caller's promise; `free` does for every block what `free_sized` does.
    unsafe { hooks::free(block) }
}

/// C23's `free` with the alignment and size that were asked for.
///
/// # Safety
/// As `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, _align: usize, _size: usize) {
    // SAFETY: as above.
    unsafe { hooks::free(block) }
}

/// Stands before the loader's `dlclose`.
///
/// # Safety
/// As the function it stands before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { hooks::dlclose(handle) }
}
