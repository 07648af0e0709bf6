//! Stacks, by frame pointers or by tables.
//!
//! A function compiled with frame pointers begins with a record of two words: the frame pointer of its caller, and the return address. The
//! records are a chain. Code without frame pointers uses the register for something else, so nothing in the chain is believed: a record has
//! to lie in the thread's stack, above the one before it, and aligned. Everything between is memory of the stack, and can be read.
//!
//! A chain that can be followed may still leave functions out: those without a frame pointer that keep the register as it was. The
//! [tables](crate::rules) leave none out, and cost several times as much.

use crate::format::{END_OF_CHAIN, MOST_FRAMES, TOO_DEEP, UNKNOWN_STACK};
use crate::rules::{self, Registers, Step};
use crate::system;

/// A frame record, as functions put it onto the stack.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Frame {
    caller: *const Frame,
    pub(crate) return_address: usize,
}

/// Addresses of a stack, lowest and behind the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) low: usize,
    pub(crate) high: usize,
    /// Whether a part of it may go while the rest stays: it is no thread's own, but of a coroutine or a signal handler, and where it ends is not known.
    pub(crate) may_go: bool,
}

impl Bounds {
    #[inline]
    pub(crate) fn hold(self, frame: *const Frame) -> bool {
        let address = frame.addr();
        address >= self.low && address < self.high.saturating_sub(size_of::<Frame>())
    }

    /// Whether a part of it has gone that a walk from a frame might read.
    #[inline(always)]
    pub(crate) fn are_gone(self, frame: *const Frame) -> bool {
        self.may_go && self.hold(frame) && !system::is_mapped(frame.addr(), self.high - frame.addr())
    }
}

impl Frame {
    /// The return address, and where the frame is that it leads back to.
    pub(crate) fn registers(&self) -> (usize, Registers) {
        let stack_pointer = (&raw const *self).addr() + size_of::<Self>();
        (self.return_address, Registers { frame_pointer: self.caller.addr(), stack_pointer })
    }
}

/// A way to get from a frame to its caller's.
pub(crate) trait Steps {
    /// To the caller of a frame, on a stack that ends at `high`.
    ///
    /// # Safety
    /// The memory from the frame's stack pointer to `high` can be read.
    unsafe fn step(address: usize, at: Registers, high: usize) -> Step;
}

/// By frame pointers.
pub(crate) struct ByPointers;

impl Steps for ByPointers {
    #[inline(always)]
    unsafe fn step(_: usize, at: Registers, high: usize) -> Step {
        let frame = at.frame_pointer;
        if frame < at.stack_pointer || frame > high - size_of::<Frame>() || !frame.is_multiple_of(8) {
            // Where a thread begins, the register is zero, and stays so until the first function that has a frame.
            return if frame == 0 { Step::NO_POINTER } else { Step::BROKEN };
        }
        // SAFETY: aligned, and between the frame before it and the end of the stack.
        let (address, at) = unsafe { (*(frame as *const Frame)).registers() };
        if address == 0 {
            return Step::End { end: END_OF_CHAIN, word_at: frame + 8, by_pointer: true };
        }
        Step::To { address, at, saved_at: frame, by_pointer: true }
    }
}

/// By the tables, and by frame pointers where these have nothing to say.
pub(crate) struct ByTables;

impl Steps for ByTables {
    #[inline(always)]
    unsafe fn step(address: usize, at: Registers, high: usize) -> Step {
        // SAFETY: as the caller promises.
        unsafe { rules::rule(address).step(at, high) }
    }
}

/// Calls `visit` with each return address, the innermost first, and says how the stack ended.
///
/// # Safety
/// `first` is a record on the running thread's stack, and `bounds`, if they hold it, are mapped memory from there to their end.
#[inline(always)]
pub(crate) unsafe fn walk<S: Steps>(first: *const Frame, bounds: Bounds, mut visit: impl FnMut(usize)) -> u64 {
    // SAFETY: by contract a record.
    let (mut address, mut at) = unsafe { (*first).registers() };
    visit(address);
    if !bounds.hold(first) {
        return UNKNOWN_STACK;
    }
    for _ in 1..MOST_FRAMES {
        // SAFETY: from the record on the stack is mapped up to its end, and a step stays in there.
        match unsafe { S::step(address, at, bounds.high) } {
            Step::To { address: caller, at: registers, .. } => (address, at) = (caller, registers),
            Step::End { end, .. } => return end,
        }
        visit(address);
    }
    TOO_DEEP
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::BROKEN_CHAIN;

    fn walked(stack: &[[usize; 2]], bounds: Bounds) -> (Vec<usize>, u64) {
        let mut found = Vec::new();
        // SAFETY: the pairs are laid out as records, and the bounds are theirs.
        let end = unsafe { walk::<ByPointers>(stack.as_ptr().cast(), bounds, |address| found.push(address)) };
        (found, end)
    }

    fn bounds(stack: &[[usize; 2]]) -> Bounds {
        let range = stack.as_ptr_range();
        Bounds { low: range.start.addr(), high: range.end.addr() + 1, may_go: false }
    }

    fn chain(count: usize) -> Vec<[usize; 2]> {
        let mut stack = vec![[0; 2]; count];
        let base = stack.as_ptr().addr();
        for (index, frame) in stack.iter_mut().enumerate() {
            *frame = [base + 16 * (index + 1), 1000 + index];
        }
        stack[count - 1][0] = 0;
        stack
    }

    #[test]
    fn a_chain_is_followed_to_its_end() {
        let stack = chain(5);
        assert_eq!(walked(&stack, bounds(&stack)), (vec![1000, 1001, 1002, 1003, 1004], END_OF_CHAIN));
    }

    #[test]
    fn what_is_no_record_ends_the_chain() {
        for wrong in [1, usize::MAX, usize::MAX & !7, 16] {
            let mut stack = chain(5);
            stack[2][0] = wrong;
            assert_eq!(walked(&stack, bounds(&stack)), (vec![1000, 1001, 1002], BROKEN_CHAIN), "{wrong:x}");
        }
        // Downwards, onto itself, unaligned, and beyond the end.
        let mut stack = chain(5);
        let base = stack.as_ptr().addr();
        for wrong in [base, base + 32, base + 49, base + 80, base + 74] {
            stack[2][0] = wrong;
            assert_eq!(walked(&stack, bounds(&stack)).1, BROKEN_CHAIN, "{}", wrong - base);
        }
    }

    #[test]
    fn a_stack_that_is_not_known_gives_its_innermost_frame() {
        assert_eq!(walked(&chain(5), Bounds::default()), (vec![1000], UNKNOWN_STACK));
    }

    #[test]
    fn a_chain_is_cut_where_it_gets_too_long() {
        let stack = chain(MOST_FRAMES + 10);
        let (found, end) = walked(&stack, bounds(&stack));
        assert_eq!((found.len(), end), (MOST_FRAMES, TOO_DEEP));
    }
}
