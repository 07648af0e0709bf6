//! Where Python is: the interpreter's own chain of frames, read at the moment a block is asked for.
//!
//! No function of the interpreter's is hooked, and none is slowed down: a call in Python costs what it costs. From Python 3.11 on frames are small
//! structures that lead to one another, and to the code objects with names and lines. 3.13 says itself where what is in them
//! (`_Py_DebugOffsets`, at the beginning of `_PyRuntime`); for 3.11 and 3.12 it stands here, from `Include/internal/pycore_frame.h` and
//! `Include/cpython/code.h`. Of any other Python nothing is read, and the trace says so.
//!
//! What is read belongs to the thread that reads it: its own frames, of calls that have not returned, and the code that these hold on to.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::{mem, ptr, slice};

use crate::format::{PYTHON, PYTHON_ENTRY, PYTHON_FRAME, PYTHON_NOTHING};
use crate::process::Process;
use crate::sites::mix;

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
static STRANGE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Looks whether the program is a Python, once, before the first block is asked for.
pub(crate) fn look() {
    let of = |name: &CStr| {
        // SAFETY: the name ends in a zero.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
    };
    let (runtime, version) = (of(c"_PyRuntime").cast::<u8>(), of(c"Py_Version").cast::<usize>());
    let state = of(c"PyGILState_GetThisThreadState");
    if state.is_null() {
        return;
    }
    let either = |one: *mut c_void, other: *mut c_void| if one.is_null() { other } else { one };
    let holder = either(of(c"PyThreadState_GetUnchecked"), of(c"_PyThreadState_UncheckedGet"));
    let is_ending = either(of(c"Py_IsFinalizing"), of(c"_Py_IsFinalizing"));
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
}

/// For the trace: which Python it is, and whether its frames can be read; `None` where none was found.
pub(crate) fn told() -> Option<[u8; 8]> {
    // SAFETY: as in `of_thread`.
    let found = unsafe { FOUND.load(Acquire).as_ref() };
    let version = found.map_or(STRANGE.load(Relaxed), |found| found.version);
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&version.to_le_bytes());
    bytes[4] = found.is_some().into();
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

/// The calling thread's frames; nothing where no Python is, or runs.
#[derive(Clone, Copy)]
pub(crate) struct Frames {
    found: &'static Found,
    first: *const u8,
}

/// A frame, as it can be told from others in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PythonFrame {
    code: usize,
    /// Bytes from the beginning of the code object's bytecode.
    pub(crate) at: u32,
    pub(crate) is_entry: bool,
    /// Tells a code object from another that has come to lie at the same address.
    pub(crate) mark: usize,
}

#[inline(always)]
pub(crate) fn frames() -> Option<Frames> {
    let found = FOUND.load(Acquire);
    if found.is_null() { None } else { of_thread(found) }
}

#[inline(never)]
fn of_thread(found: *mut Found) -> Option<Frames> {
    // SAFETY: written before its address was stored, and never again.
    let found = unsafe { &*found };
    // SAFETY: may be called at any time, by any thread.
    let state = unsafe { (found.state)() };
    if state.is_null() {
        return None;
    }
    // At its end Python frees the states of other threads without telling them.
    // SAFETY: as above.
    if unsafe { (found.is_ending)() } != 0 && unsafe { (found.holder)() } != state {
        return None;
    }
    let (at, inner) = found.layout.to_frame;
    // SAFETY: the state is this thread's, and lives as long as Python says that it is.
    let mut first = unsafe { state.cast::<u8>().add(at).cast::<*const u8>().read() };
    if let Some(inner) = inner.filter(|_| !first.is_null()) {
        // SAFETY: as above.
        first = unsafe { first.add(inner).cast::<*const u8>().read() };
    }
    (!first.is_null()).then_some(Frames { found, first })
}

impl Frames {
    /// Calls `visit` with each frame, the innermost first, as long as it says so.
    #[inline(always)]
    pub(crate) fn each(self, mut visit: impl FnMut(PythonFrame) -> bool) {
        let layout = &self.found.layout;
        // SAFETY: frames are of this thread's calls, which have not returned, and lead to one another; what they lead to lives as long.
        unsafe {
            let word = |from: *const u8, at: usize| from.add(at).cast::<*const u8>().read();
            let (mut frame, mut is_inside) = (self.first, false);
            while !frame.is_null() {
                let previous = word(frame, layout.previous);
                if frame.add(layout.owner).read() == OWNED_BY_C_STACK && layout.is_entry.is_none() {
                    // A call of the interpreter whose functions have returned, or have not begun.
                    if !is_inside && !visit(PythonFrame { code: 0, at: 0, is_entry: true, mark: 0 }) {
                        return;
                    }
                    is_inside = false;
                } else {
                    is_inside = true;
                    let code = word(frame, layout.code);
                    if code.is_null() {
                        return;
                    }
                    let is_entry = match layout.is_entry {
                        Some(at) => frame.add(at).read() != 0,
                        None => previous.is_null() || previous.add(layout.owner).read() == OWNED_BY_C_STACK,
                    };
                    let at = word(frame, layout.instruction).addr().wrapping_sub(code.addr() + layout.bytecode);
                    let mark = mark(layout, code);
                    if !visit(PythonFrame { code: code.addr(), at: at as u32, is_entry, mark }) {
                        return;
                    }
                }
                frame = previous;
            }
        }
    }
}

/// Tells a code object from another at the same address: by what it is called, where it is, and some of its lines. Pointers alone would not: when one
/// module after another is compiled and dropped, they lie where the last one's lay.
///
/// # Safety
/// A code object.
#[inline(always)]
unsafe fn mark(layout: &Layout, code: *const u8) -> usize {
    // SAFETY: by the caller's promise; a table of lines has 8 bytes at least, for a zero and padding come after it.
    unsafe {
        let word = |from: *const u8, at: usize| from.add(at).cast::<usize>().read_unaligned();
        let pointer = |at: usize| code.add(at).cast::<*const u8>().read();
        let [name, file, lines] = [layout.name, layout.file, layout.lines].map(pointer);
        let line = code.add(layout.first_line).cast::<u32>().read();
        let (characters, bytes) = text(layout, file);
        // The end of a path tells more than its beginning.
        let end = if bytes < 8 { 0 } else { word(characters, bytes - 8) };
        let mixed =
            [name.addr(), file.addr(), lines.addr(), line as usize, bytes, end, word(lines, 16), word(lines, 32)];
        mixed.into_iter().fold(code.addr(), |mark, part| mix(mark as u64, part) as usize)
    }
}

/// Where the characters of a text are, and how many bytes. `PyASCIIObject`: after the head of an object how many characters there are, then the hash,
/// then the state.
///
/// # Safety
/// A text, of the kind that has its characters behind its head, as all that are names have.
#[inline(always)]
unsafe fn text(layout: &Layout, text: *const u8) -> (*const u8, usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        let state = text.add(32).cast::<u32>().read();
        let (size, is_compact, is_ascii) = ((state >> 2 & 7) as usize, state >> 5 & 1 != 0, state >> 6 & 1 != 0);
        let count = text.add(16).cast::<usize>().read();
        let characters = text.add(if is_ascii { layout.ascii } else { layout.wide });
        (characters, if is_compact { count * size } else { 0 })
    }
}

const SLOTS: usize = 1 << 14;
/// Bytes of a code object in the trace: its texts are cut, and of its lines what finds room is kept.
const MOST_BYTES: usize = 64 << 10;
const MOST_TEXT: usize = 2048;

/// Code objects that are in the trace, by number. All zeros is one without.
#[repr(C)]
pub(crate) struct Codes {
    count: u32,
    /// Code, mark, number.
    slots: [(usize, usize, u32); SLOTS],
    bytes: [u8; MOST_BYTES],
}

impl Codes {
    /// A frame as the trace has it; code that is new is written into the trace before. Of the number 0 where there is too much of it.
    pub(crate) fn frame(&mut self, process: &Process, frame: PythonFrame) -> u64 {
        // SAFETY: a frame was found with it, so it was written.
        let found = unsafe { &*FOUND.load(Acquire) };
        let entry = if frame.is_entry { PYTHON_ENTRY } else { 0 };
        if frame.code == 0 {
            return PYTHON_FRAME | entry | PYTHON_NOTHING;
        }
        let mut place = frame.code.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let number = loop {
            let slot = &mut self.slots[place & (SLOTS - 1)];
            if (slot.0, slot.1) == (frame.code, frame.mark) {
                break slot.2;
            }
            if slot.0 == 0 {
                if self.count as usize >= SLOTS / 4 * 3 {
                    break 0;
                }
                self.count += 1;
                *slot = (frame.code, frame.mark, self.count);
                let length = self.write(&found.layout, frame.code);
                process.append(PYTHON, 0, self.count, &[0; 16], &[&self.bytes[..length]]);
                break self.count;
            }
            place += 1;
        };
        PYTHON_FRAME | entry | u64::from(number) << 32 | u64::from(frame.at)
    }

    /// The first line; then name, file and table of lines, each with its kind and its length in bytes before it. How many bytes that are.
    fn write(&mut self, layout: &Layout, code: usize) -> usize {
        let code = code as *const u8;
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            let room = &mut self.bytes[length..];
            let count = bytes.len().min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
            length += count;
        };
        // SAFETY: a frame of this thread holds on to the code, and that to its texts.
        unsafe {
            put(&code.add(layout.first_line).cast::<u32>().read().to_le_bytes());
            for at in [layout.name, layout.file] {
                let text = code.add(at).cast::<*const u8>().read();
                let (characters, bytes) = self::text(layout, text);
                // Whole characters: sizes are 1, 2 or 4 bytes.
                let (size, bytes) = (text.add(32).cast::<u32>().read() >> 2 & 7, bytes.min(MOST_TEXT));
                put(&size.to_le_bytes());
                put(&(bytes as u32).to_le_bytes());
                put(slice::from_raw_parts(characters, bytes));
            }
            let lines = code.add(layout.lines).cast::<*const u8>().read();
            // `PyBytesObject`: how many after the head of an object, then the hash, then the bytes.
            let count = lines.add(16).cast::<usize>().read().min(MOST_BYTES / 2);
            put(&0_u32.to_le_bytes());
            put(&(count as u32).to_le_bytes());
            put(slice::from_raw_parts(lines.add(32), count));
        }
        length
    }
}
