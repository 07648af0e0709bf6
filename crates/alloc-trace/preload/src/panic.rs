//! What happens if something here is not as it was thought to be: the place is told, and the process ends, for what is noted from then on might be wrong.

use core::arch::global_asm;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

use crate::system;

/// The error output, without the C library's buffer.
struct Errors;

impl Write for Errors {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the kernel reads the text.
        unsafe { system::call(libc::SYS_write, [2, text.as_ptr().addr(), text.len(), 0, 0, 0]) };
        Ok(())
    }
}

// What the tables of the precompiled `core` name for unwinding, which never happens here. Hidden, for programs may have the real one.
global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, @function",
    "rust_eh_personality:",
    "ud2",
    ".size rust_eh_personality, . - rust_eh_personality",
    ".popsection",
);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    _ = writeln!(Errors, "alloc-trace: the preload library has failed: {info}");
    // SAFETY: `abort`'s type.
    unsafe { libc::abort() }
}
