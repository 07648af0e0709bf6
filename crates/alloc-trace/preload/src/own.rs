//! What a thread keeps in a variable of its own: where its memory is.

use core::arch::{asm, global_asm};

use crate::system;
use crate::thread::Thread;

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
pub(crate) const ENDED: usize = 1;
/// The same, in a function of the C library's that may call others of those that ours stand before.
pub(crate) const ENDED_NESTED: usize = 2;
/// Its memory is being made, or it is late and inside. What is above is an address.
pub(crate) const BUSY: usize = 3;

#[inline(always)]
pub(crate) fn own() -> *mut Thread {
    let value: *mut Thread;
    // SAFETY: reads the calling thread's variable.
    unsafe {
        asm!("mov {v}, qword ptr [rip + alloc_trace_thread@GOTTPOFF]", "mov {v}, qword ptr fs:[{v}]", v = out(reg) value,
            options(nostack, readonly, preserves_flags));
    }
    value
}

/// The address of the calling thread's control block, which begins with it (ELF Handling For Thread-Local Storage, x86-64). The C library puts it at
/// the end of the thread's stack; 0 for the first thread, whose stack is the kernel's, and whose control block is anywhere.
pub(crate) fn control_block() -> usize {
    if system::thread() == system::process() {
        return 0;
    }
    let value: usize;
    // SAFETY: reads a word that every thread has.
    unsafe { asm!("mov {v}, qword ptr fs:[0]", v = out(reg) value, options(nostack, readonly, preserves_flags)) };
    value
}

pub(crate) fn set_own(value: *mut Thread) {
    // SAFETY: writes the calling thread's variable.
    unsafe {
        asm!("mov {a}, qword ptr [rip + alloc_trace_thread@GOTTPOFF]", "mov qword ptr fs:[{a}], {v}", v = in(reg) value, a = out(reg) _,
            options(nostack, preserves_flags));
    }
}

/// Sets it, and says what it was: for a signal handler, both happen at once.
pub(crate) fn swap_own(value: *mut Thread) -> *mut Thread {
    let before: *mut Thread;
    // SAFETY: reads and writes the calling thread's variable.
    unsafe {
        asm!("mov {a}, qword ptr [rip + alloc_trace_thread@GOTTPOFF]", "xchg qword ptr fs:[{a}], {v}", v = inout(reg) value => before,
            a = out(reg) _, options(nostack, preserves_flags));
    }
    before
}
