//! Walks that begin where the last one ended.
//!
//! From one call to the next most of a stack stays as it is. A [`Walked`] remembers the frames of the last walk, and every word of the stack that
//! led from one to the other. The next walk goes from the innermost frame outwards until it comes to a frame that is remembered, and then only
//! compares those words with what is there now: one load for each, of which none waits for another. A step costs a look into a table, and
//! a load that the next step waits for.
//!
//! # Why the result is that of a whole walk
//! Where a step leads depends on the frame (return address, stack pointer, frame pointer), on the rule for its return address, and on the words
//! of the stack that it reads; which words these are depends on the first two alone. So if a frame is the same as a remembered one, its step reads the
//! same words as then, and if these have the same values, it leads to the same frame as then; and so on, to the end of the stack. Nothing is
//! presumed of functions that have returned in between, of `longjmp`, or of where stacks are switched: whatever they changed is a word that
//! differs, and from there on the walk goes step by step again.
//!
//! Code without frame pointers has other things in that register, which change all the time. Of those steps that don't look at it, it is only passed on,
//! until one finds another value on the stack. So with each frame stands whether any step from there on looks at the value that the register has
//! in it (`is_pointer_used`): only then it has to be the same, and only then the word is compared that it was read from.
//!
//! What could change without a word of the stack is forgotten in time: rules when a library goes (`follow_generation`), the bounds of the stack
//! when the thread is found on another one. All words lie between the frame and the end of the stack, where the walk itself would read.
//!
//! A debug build does each walk both ways, and ends the program at a difference.

use crate::format::{MOST_FRAMES, TOO_DEEP, UNKNOWN_STACK};
use crate::rules::{Registers, Step};
use crate::sites::mix;
use crate::stack::{Bounds, ByTables, Frame, Steps, walk};

/// The hash of a stack without a frame.
const NO_FRAMES: u64 = 0x5157_a0c4;

/// The hash of a stack whose innermost frame stands first.
pub(crate) fn hash_of(frames: &[u64]) -> u64 {
    frames.iter().rev().fold(NO_FRAMES, |hash, &address| mix(hash, address as usize))
}

/// A frame, and what the step from the one inside of it was.
#[derive(Clone, Copy, Debug)]
struct Found {
    address: usize,
    at: Registers,
    /// Where the frame pointer was read; 0 if it stayed what it was.
    saved_at: usize,
    /// Whether the step looked at the frame pointer of the frame inside.
    by_pointer: bool,
}

/// A frame that is remembered.
#[derive(Clone, Copy, Debug)]
struct Known {
    found: Found,
    /// Of this frame and those outside of it.
    hash: u64,
    /// Where the words begin that led here; those that lead on stand before them.
    words: usize,
    /// Whether a step from here on looks at the frame pointer that this frame has.
    is_pointer_used: bool,
}

/// A word of the stack.
#[derive(Clone, Copy, Debug)]
struct Word {
    at: usize,
    value: usize,
}

/// A thread's last walk. All zeros is one that knows nothing.
#[repr(C)]
pub(crate) struct Walked {
    count: usize,
    end: u64,
    /// The last stack was cut: there is nothing to go by.
    is_cut: bool,
    /// The outermost first.
    frames: [Known; MOST_FRAMES],
    /// Those that led to the end, if there is one, then those that led to each frame, the outermost first.
    words: [Word; 2 * MOST_FRAMES + 1],
    /// What this walk has come to, the innermost first.
    found: [Found; 2 * MOST_FRAMES],
    whole: [u64; MOST_FRAMES],
}

impl Walked {
    pub(crate) fn forget(&mut self) {
        (self.count, self.is_cut) = (0, false);
    }

    /// Walks: the hash of the stack, and how it ended.
    ///
    /// # Safety
    /// As `stack::walk`. The bounds are those of the last call, unless all was forgotten since.
    #[inline(always)]
    pub(crate) unsafe fn walk(&mut self, first: *const Frame, bounds: Bounds) -> (u64, u64) {
        // SAFETY: by the caller's promise a record.
        let (address, at) = unsafe { (*first).registers() };
        if !bounds.hold(first) {
            return (mix(NO_FRAMES, address), UNKNOWN_STACK);
        }
        // SAFETY: as the caller promises.
        let result = unsafe { self.walk_on(Found { address, at, saved_at: 0, by_pointer: false }, first, bounds) };
        #[cfg(debug_assertions)]
        // SAFETY: as above.
        unsafe {
            let (is_cut, count) = (self.is_cut, self.count);
            let whole = self.walk_whole(first, bounds);
            (self.is_cut, self.count) = (is_cut, count);
            if whole != result {
                crate::system::end_with(b"alloc-trace: a walk differs from the whole one\n");
            }
        }
        result
    }

    /// # Safety
    /// As `walk`, and the bounds hold the frame.
    #[inline(always)]
    unsafe fn walk_on(&mut self, innermost: Found, first: *const Frame, bounds: Bounds) -> (u64, u64) {
        if self.is_cut {
            // SAFETY: as the caller promises.
            return unsafe { self.walk_whole(first, bounds) };
        }
        let mut here = innermost;
        // How many of the frames that are remembered lie outside of where the walk is.
        let mut outer = self.count;
        let mut new = 0;
        let (kept, words, is_pointer_used) = loop {
            while outer > 0 && self.frames[outer - 1].found.at.stack_pointer < here.at.stack_pointer {
                outer -= 1;
            }
            if outer > 0 && self.frames[outer - 1].leads_on_as(here) {
                let known = &self.frames[outer - 1];
                // SAFETY: those words lie outside of this frame, which is on the stack, and inside the bounds.
                let Some(differs) = (unsafe { self.differs(known.words) }) else {
                    // This frame is kept as it was found now: other words may have led to it.
                    break (outer - 1, known.words, known.is_pointer_used);
                };
                // Up to the frame before that which the word led to, all is as it was.
                while outer > 1 && self.frames[outer - 2].words > differs {
                    self.found[new] = here;
                    new += 1;
                    outer -= 1;
                    // SAFETY: as above: as this frame is the one that is remembered, so is where the register was kept.
                    here = unsafe { self.frames[outer - 1].found.with_pointer_of(here) };
                }
                outer -= 1;
            }
            self.found[new] = here;
            new += 1;
            if new >= MOST_FRAMES {
                // SAFETY: as the caller promises.
                return unsafe { self.walk_whole(first, bounds) };
            }
            // SAFETY: the frame is on the stack.
            match unsafe { ByTables::step(here.address, here.at, bounds.high) } {
                Step::To { address, at, saved_at, by_pointer } => here = Found { address, at, saved_at, by_pointer },
                Step::End { end, word_at, by_pointer } => {
                    self.end = end;
                    self.words[0] = Word { at: word_at, value: 0 };
                    new -= 1;
                    break (0, usize::from(word_at != 0), by_pointer);
                }
            }
        };
        if kept + new + 1 >= MOST_FRAMES {
            // SAFETY: as the caller promises.
            return unsafe { self.walk_whole(first, bounds) };
        }
        (self.keep(kept, words, here, is_pointer_used, new), self.end)
    }

    /// The innermost of so many outermost words that is no more what it was; `None` if all are.
    ///
    /// # Safety
    /// The words are memory.
    #[inline(always)]
    unsafe fn differs(&self, count: usize) -> Option<usize> {
        // SAFETY: as the caller promises.
        self.words[..count].iter().rposition(|word| unsafe { *(word.at as *const usize) } != word.value)
    }

    /// Remembers the outermost `kept` frames of the last walk with their `words`; then of this walk the frame that it ended at, and the `new` ones
    /// before that. The hash of all.
    #[inline(always)]
    fn keep(&mut self, kept: usize, mut words: usize, last: Found, is_pointer_used: bool, new: usize) -> u64 {
        let mut hash = if kept == 0 { NO_FRAMES } else { self.frames[kept - 1].hash };
        let (mut found, mut is_pointer_used, mut inner) = (last, is_pointer_used, new);
        let mut count = kept;
        loop {
            hash = mix(hash, found.address);
            self.frames[count] = Known { found, hash, words, is_pointer_used };
            count += 1;
            if inner == 0 {
                break;
            }
            self.words[words] = Word { at: found.at.stack_pointer - 8, value: found.address };
            self.words[words + 1] = Word { at: found.saved_at, value: found.at.frame_pointer };
            words += 1 + usize::from(found.saved_at != 0 && is_pointer_used);
            is_pointer_used = found.by_pointer || found.saved_at == 0 && is_pointer_used;
            inner -= 1;
            found = self.found[inner];
        }
        self.count = count;
        hash
    }

    /// The same, of a stack that may be too deep to be remembered.
    ///
    /// # Safety
    /// As `walk_on`.
    #[cold]
    #[inline(never)]
    unsafe fn walk_whole(&mut self, first: *const Frame, bounds: Bounds) -> (u64, u64) {
        // SAFETY: as the caller promises.
        let (whole, mut count) = (&mut self.whole, 0);
        let visit = |address| {
            whole[count] = address as u64;
            count += 1;
        };
        // SAFETY: as the caller promises.
        let end = unsafe { walk::<ByTables>(first, bounds, visit) };
        (self.count, self.is_cut) = (0, end == TOO_DEEP);
        (hash_of(&self.whole[..count]), end)
    }
}

impl Known {
    /// Whether the way on from a frame is that from this one, whatever led to them.
    #[inline(always)]
    fn leads_on_as(&self, other: Found) -> bool {
        let Found { address, at, .. } = self.found;
        at.stack_pointer == other.at.stack_pointer
            && address == other.address
            && (!self.is_pointer_used || at.frame_pointer == other.at.frame_pointer)
    }
}

impl Found {
    /// This frame with the frame pointer that it has now, if the one inside of it is `inner`.
    ///
    /// # Safety
    /// Where the frame pointer was read is memory.
    unsafe fn with_pointer_of(mut self, inner: Self) -> Self {
        self.at.frame_pointer = match self.saved_at {
            0 => inner.at.frame_pointer,
            // SAFETY: as the caller promises.
            at => unsafe { *(at as *const usize) },
        };
        self
    }
}
