//! A thread's chain of frames, and whether it is one that was seen before.

use core::ffi::c_void;
use core::sync::atomic::Ordering::Acquire;

use super::{FOUND, Found, Layout, OWNED_BY_C_STACK};
use crate::sites::mix;

/// The calling thread's frames; nothing where no Python is, or runs.
#[derive(Clone, Copy)]
pub(crate) struct Frames {
    found: &'static Found,
    first: *const u8,
}

/// A frame, as it can be told from others in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PythonFrame {
    pub(super) code: usize,
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
    Frames::of_state(found, state)
}

/// The same, of a thread that has Python's lock: it need not be asked for its state.
#[inline(always)]
pub(crate) fn frames_of_holder() -> Option<Frames> {
    // SAFETY: as in `of_thread`.
    let found = unsafe { FOUND.load(Acquire).as_ref() }?;
    // SAFETY: may be called at any time, by any thread.
    let state = unsafe { (found.holder)() };
    if state.is_null() { None } else { Frames::of_state(found, state) }
}

impl Frames {
    #[inline(always)]
    fn of_state(found: &'static Found, state: *const c_void) -> Option<Self> {
        let (at, inner) = found.layout.to_frame;
        // SAFETY: the state is this thread's, and lives as long as Python says that it is.
        let mut first = unsafe { state.cast::<u8>().add(at).cast::<*const u8>().read() };
        if let Some(inner) = inner.filter(|_| !first.is_null()) {
            // SAFETY: as above.
            first = unsafe { first.add(inner).cast::<*const u8>().read() };
        }
        (!first.is_null()).then_some(Self { found, first })
    }
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
                if is_call(layout, frame) {
                    // One whose functions have returned, or have not begun.
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
                    let mark = mark(&marks(layout, code));
                    if !visit(PythonFrame { code: code.addr(), at: at as u32, is_entry, mark }) {
                        return;
                    }
                }
                frame = previous;
            }
        }
    }
}

/// A frame that is remembered, with all that it was read for but its code, which [`Marks`] have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    frame: *const u8,
    previous: *const u8,
    /// In which code it is follows from it as long as no code object ends.
    instruction: usize,
    /// As [`Layout::kind`] says.
    kind: usize,
}

/// Whether a frame is no function's, but a call's of the interpreter.
///
/// # Safety
/// A frame.
#[inline(always)]
unsafe fn is_call(layout: &Layout, frame: *const u8) -> bool {
    // SAFETY: a byte of the frame.
    layout.is_entry.is_none() && unsafe { frame.add(layout.owner).read() } == OWNED_BY_C_STACK
}

/// What stands in the two bytes that [`Layout::kind`] tells of.
///
/// # Safety
/// A frame.
#[inline(always)]
unsafe fn kind((at, mask): (usize, u16), frame: *const u8) -> usize {
    // SAFETY: two bytes of the frame.
    usize::from(unsafe { frame.add(at).cast::<u16>().read_unaligned() & mask })
}

impl Frames {
    /// Puts the whole chain down, the innermost frame first: how many frames; `None` if there is no room for all, or one has no code.
    pub(crate) fn links(self, to: &mut [Link], marked: &mut [Marks]) -> Option<usize> {
        let layout = &self.found.layout;
        let (mut frame, mut count) = (self.first, 0);
        while !frame.is_null() {
            let (link, mark) = (to.get_mut(count)?, marked.get_mut(count)?);
            // SAFETY: as in `each`.
            unsafe {
                *link = Link {
                    frame,
                    previous: frame.add(layout.previous).cast::<*const u8>().read(),
                    instruction: frame.add(layout.instruction).cast::<usize>().read(),
                    kind: kind(layout.kind(), frame),
                };
                *mark = code_marks(layout, frame)?;
            }
            frame = link.previous;
            count += 1;
        }
        Some(count)
    }

    /// Whether the chain is one that was put down, word for word: then [`each`](Self::each) visits the same frames.
    ///
    /// Without `marked`, whoever calls knows that no code object has ended since: then those at the same addresses are the same.
    ///
    /// From the first frame on, each is read only after the one before it was found to lead there, so that it is one of this thread's, and so is its
    /// code.
    #[inline(always)]
    pub(crate) fn are(self, known: &[Link], marked: Option<&[Marks]>) -> bool {
        let layout = &self.found.layout;
        if known.first().is_none_or(|link| link.frame != self.first) {
            return false;
        }
        let (previous, instruction, of_kind) = (layout.previous, layout.instruction, layout.kind());
        for link in known {
            // SAFETY: as in `each`: the first is the innermost frame of the chain, and each leads to the next, for that is how they were put down.
            let differs = unsafe {
                let word = |at: usize| link.frame.add(at).cast::<usize>().read();
                word(previous) ^ link.previous.addr()
                    | word(instruction) ^ link.instruction
                    | kind(of_kind, link.frame) ^ link.kind
            };
            if differs != 0 {
                return false;
            }
        }
        // SAFETY: these are the chain's frames, as was just found.
        marked.is_none_or(|marked| unsafe { are_marked(layout, known, marked) })
    }

    /// Where the innermost frame is, and its instruction: most chains differ in these, if they do.
    #[inline(always)]
    pub(crate) fn innermost(self) -> [usize; 2] {
        // SAFETY: as in `each`.
        let instruction = unsafe { self.first.add(self.found.layout.instruction).cast::<usize>().read() };
        [self.first.addr(), instruction]
    }
}

/// Whether the frames' code is what it was.
///
/// # Safety
/// The frames are of the running thread's chain.
#[cold]
#[inline(never)]
unsafe fn are_marked(layout: &Layout, known: &[Link], marked: &[Marks]) -> bool {
    // SAFETY: as the caller promises.
    known.iter().zip(marked).all(|(link, marks)| unsafe { code_marks(layout, link.frame) } == Some(*marks))
}

/// What tells a frame's code from another's, zeros of a call's of the interpreter; `None` of a frame that has none, but should.
///
/// # Safety
/// A frame of the running thread.
unsafe fn code_marks(layout: &Layout, frame: *const u8) -> Option<Marks> {
    // SAFETY: as in `Frames::each`.
    unsafe {
        if is_call(layout, frame) {
            return Some(Marks::default());
        }
        let code = frame.add(layout.code).cast::<*const u8>().read();
        (!code.is_null()).then(|| marks(layout, code))
    }
}

/// What tells a code object from another: where it is, and, since another may come to lie there, what it is called, in which file, and some of its lines.
/// Pointers alone would not: when one module after another is compiled and dropped, they lie where the last one's lay.
pub(crate) type Marks = [usize; 9];

/// # Safety
/// A code object.
#[inline(always)]
unsafe fn marks(layout: &Layout, code: *const u8) -> Marks {
    // SAFETY: by the caller's promise; a table of lines has 8 bytes at least, for a zero and padding come after it.
    unsafe {
        let word = |from: *const u8, at: usize| from.add(at).cast::<usize>().read_unaligned();
        let pointer = |at: usize| code.add(at).cast::<*const u8>().read();
        let [name, file, lines] = [layout.name, layout.file, layout.lines].map(pointer);
        let line = code.add(layout.first_line).cast::<u32>().read();
        let (characters, bytes) = text(layout, file);
        // The end of a path tells more than its beginning.
        let end = if bytes < 8 { 0 } else { word(characters, bytes - 8) };
        [
            code.addr(),
            name.addr(),
            file.addr(),
            lines.addr(),
            line as usize,
            bytes,
            end,
            word(lines, 16),
            word(lines, 32),
        ]
    }
}

/// One word of them.
#[inline(always)]
fn mark(&[code, ref others @ ..]: &Marks) -> usize {
    others.iter().fold(code, |mark, &part| mix(mark as u64, part) as usize)
}

/// Where the characters of a text are, and how many bytes. `PyASCIIObject`: after the head of an object how many characters there are, then the hash,
/// then the state.
///
/// # Safety
/// A text, of the kind that has its characters behind its head, as all that are names have.
#[inline(always)]
pub(super) unsafe fn text(layout: &Layout, text: *const u8) -> (*const u8, usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        let state = text.add(32).cast::<u32>().read();
        let (size, is_compact, is_ascii) = ((state >> 2 & 7) as usize, state >> 5 & 1 != 0, state >> 6 & 1 != 0);
        let count = text.add(16).cast::<usize>().read();
        let characters = text.add(if is_ascii { layout.ascii } else { layout.wide });
        (characters, if is_compact { count * size } else { 0 })
    }
}
