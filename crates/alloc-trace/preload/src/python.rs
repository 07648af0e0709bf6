//! Where Python is: the interpreter's own chain of frames, read at the moment a block is asked for.
//!
//! No function that runs Python is hooked, and none is slowed down: a call in Python costs what it costs. (That code objects end is counted, and
//! objects are noted where that is wanted.) From Python 3.11 on frames are small
//! structures that lead to one another, and to the code objects with names and lines. 3.13 says itself where what is in them
//! (`_Py_DebugOffsets`, at the beginning of `_PyRuntime`); for 3.11 and 3.12 it stands here, from `Include/internal/pycore_frame.h` and
//! `Include/cpython/code.h`. Of any other Python nothing is read, and the trace says so.
//!
//! What is read belongs to the thread that reads it: its own frames, of calls that have not returned, and the code that these hold on to.

mod code_ends;
mod codes;
mod frames;
mod objects;

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::{mem, ptr};

use crate::real::first_of;
pub(crate) use code_ends::ends;
pub(crate) use codes::Codes;
pub(crate) use frames::{Frames, Link, Marks, PythonFrame, frames, frames_of_holder};

/// Where what is, in bytes from the beginning of each structure.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// From the thread's state to its innermost frame: a word in it, or in what a word in it leads to.
    to_frame: (usize, Option<usize>),
    // Of a frame.
    code: usize,
    previous: usize,
    instruction: usize,
    owner: usize,
    /// 3.11: whether the frame is the outermost of a call of the interpreter. Later such a call has a frame of its own around it.
    is_entry: Option<usize>,
    // Of a code object.
    first_line: usize,
    file: usize,
    name: usize,
    lines: usize,
    bytecode: usize,
    // Of a text: where its characters are, if they are ASCII, and otherwise.
    ascii: usize,
    wide: usize,
}

impl Layout {
    /// Where two bytes are that tell a frame's owner, and whether it is an entry where frames say so; which bits of them do.
    #[inline(always)]
    fn kind(&self) -> (usize, u16) {
        match self.is_entry {
            // The owner stands behind it.
            Some(at) => (at, u16::MAX),
            None => (self.owner, u16::from_le_bytes([u8::MAX, 0])),
        }
    }
}

/// A frame that is no function's, but a call's of the interpreter, on the C stack.
const OWNED_BY_C_STACK: u8 = 3;

const V3_11: Layout = Layout {
    to_frame: (56, Some(8)),
    code: 32,
    previous: 48,
    instruction: 56,
    owner: 69,
    is_entry: Some(68),
    first_line: 72,
    file: 112,
    name: 128,
    lines: 136,
    bytecode: 184,
    ascii: 48,
    wide: 72,
};
const V3_12: Layout = Layout {
    to_frame: (56, Some(0)),
    code: 0,
    previous: 8,
    instruction: 56,
    owner: 70,
    is_entry: None,
    first_line: 68,
    file: 112,
    name: 128,
    lines: 136,
    bytecode: 192,
    ascii: 40,
    wide: 56,
};

/// Python in this process, from when it was found on.
struct Found {
    layout: Layout,
    /// `PyGILState_GetThisThreadState`: the calling thread's state, whether it has the lock or not; null where there is none.
    state: unsafe extern "C" fn() -> *const c_void,
    /// The state of the thread that has the lock; later versions: this thread's, if it has.
    holder: unsafe extern "C" fn() -> *const c_void,
    is_ending: unsafe extern "C" fn() -> c_int,
    /// As in `Py_Version`.
    version: u32,
}

struct Room(UnsafeCell<mem::MaybeUninit<Found>>);
// SAFETY: written once, before anybody is given its address.
unsafe impl Sync for Room {}
static ROOM: Room = Room(UnsafeCell::new(mem::MaybeUninit::uninit()));
static FOUND: AtomicPtr<Found> = AtomicPtr::new(ptr::null_mut());
/// The version of a Python whose frames can't be read; 0 without.
static STRANGE: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Looks whether the program is a Python, once, before the first block is asked for.
pub(crate) fn look() {
    let (runtime, version) = (first_of(c"_PyRuntime").cast::<u8>(), first_of(c"Py_Version").cast::<usize>());
    let state = first_of(c"PyGILState_GetThisThreadState");
    if state.is_null() {
        return;
    }
    let either = |one: *mut c_void, other: *mut c_void| if one.is_null() { other } else { one };
    let holder = either(first_of(c"PyThreadState_GetUnchecked"), first_of(c"_PyThreadState_UncheckedGet"));
    let is_ending = either(first_of(c"Py_IsFinalizing"), first_of(c"_Py_IsFinalizing"));
    // SAFETY: a constant number of Python's, from 3.11 on.
    let version = unsafe { version.as_ref() }.map_or(0, |version| *version as u32);
    let layout = match version >> 16 {
        0x030b => Some(V3_11),
        0x030c => Some(V3_12),
        // SAFETY: the runtime begins with that structure in this version, and is there.
        0x030d if !runtime.is_null() => unsafe { published(runtime) },
        _ => None,
    };
    let Some(layout) = layout.filter(|_| !holder.is_null() && !is_ending.is_null()) else {
        STRANGE.store(version.max(1), Relaxed);
        return;
    };
    // SAFETY: those functions' types, and nobody has been given the room's address yet.
    unsafe {
        let [state, holder] = [state, holder]
            .map(|function| mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_void>(function));
        let is_ending = mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(is_ending);
        (*ROOM.0.get()).write(Found { layout, state, holder, is_ending, version });
    }
    FOUND.store(ROOM.0.get().cast(), Release);
    objects::look();
    code_ends::look();
}

/// For the trace: which Python it is, whether its frames can be read, and whether its objects are noted; `None` where none was found.
pub(crate) fn told() -> Option<[u8; 8]> {
    // SAFETY: written before its address was stored, and never again.
    let found = unsafe { FOUND.load(Acquire).as_ref() };
    let version = found.map_or(STRANGE.load(Relaxed), |found| found.version);
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&version.to_le_bytes());
    bytes[4] = found.is_some().into();
    bytes[5] = objects::are_noted().into();
    (version != 0).then_some(bytes)
}

/// What 3.13 says of itself.
///
/// # Safety
/// `runtime` is that version's `_PyRuntime`.
unsafe fn published(runtime: *const u8) -> Option<Layout> {
    // Words: cookie, version, whether threads are free; 3 of the runtime, 13 of an interpreter, 9 of a thread, 6 of a frame, 10 of code.
    const THREAD: usize = 3 + 3 + 13;
    const FRAME: usize = THREAD + 9;
    const CODE: usize = FRAME + 6;
    // Of an object 2, a type 4, a tuple 3, a list 3, a dictionary 3, a float 2, a whole number 3, bytes 3.
    const TEXT: usize = CODE + 10 + 2 + 4 + 3 + 3 + 3 + 2 + 3 + 3;
    // SAFETY: the structure is there, and longer than what is read.
    let word = |index: usize| unsafe { runtime.cast::<u64>().add(index).read() as usize };
    let free_threads = word(2) != 0;
    if word(0) != usize::from_le_bytes(*b"xdebugpy") || free_threads {
        return None;
    }
    let ascii = word(TEXT + 3);
    let layout = Layout {
        to_frame: (word(THREAD + 4), None),
        code: word(FRAME + 2),
        previous: word(FRAME + 1),
        instruction: word(FRAME + 3),
        owner: word(FRAME + 5),
        is_entry: None,
        first_line: word(CODE + 5),
        file: word(CODE + 1),
        name: word(CODE + 3),
        lines: word(CODE + 4),
        bytecode: word(CODE + 9),
        ascii,
        // The length and the text in UTF-8 come between.
        wide: ascii + 16,
    };
    // What is no offset was no such structure.
    let all =
        [layout.to_frame.0, layout.code, layout.previous, layout.instruction, layout.owner, layout.bytecode, ascii];
    all.iter().all(|&offset| offset < 4096).then_some(layout)
}
