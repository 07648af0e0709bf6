//! Who called: return addresses, without allocating and without std's lock, which the thread may hold while it allocates.

use std::ffi::{c_int, c_void};

/// So many frames are kept, the innermost.
const MOST: usize = 48;

/// Return addresses, the innermost first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    addresses: [usize; MOST],
    length: usize,
}

// The unwinder that std brings along for panics.
unsafe extern "C" {
    fn _Unwind_Backtrace(visit: extern "C" fn(*mut c_void, *mut c_void) -> c_int, argument: *mut c_void) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
}

const CONTINUE: c_int = 0;
const END_OF_STACK: c_int = 5;

extern "C" fn visit(frame: *mut c_void, stack: *mut c_void) -> c_int {
    // SAFETY: `here` hands over a stack that is nobody else's meanwhile.
    let stack = unsafe { &mut *stack.cast::<Stack>() };
    if stack.length == MOST {
        return END_OF_STACK;
    }
    // SAFETY: the unwinder calls with a frame.
    stack.addresses[stack.length] = unsafe { _Unwind_GetIP(frame) };
    stack.length += 1;
    CONTINUE
}

impl Stack {
    /// The running thread's.
    #[inline(never)]
    pub(crate) fn here() -> Self {
        let mut stack = Self { addresses: [0; MOST], length: 0 };
        // SAFETY: `visit` does not unwind, and the stack outlives the call.
        unsafe { _Unwind_Backtrace(visit, (&raw mut stack).cast()) };
        stack
    }

    pub(crate) fn addresses(&self) -> &[usize] {
        &self.addresses[..self.length]
    }
}

impl PartialEq for Stack {
    fn eq(&self, other: &Self) -> bool {
        self.addresses() == other.addresses()
    }
}
