//! Stacks, by frame pointers or by tables.
//!
//! A function compiled with frame pointers begins with a record of two words: the frame pointer of its caller, and the return address. The
//! records are a chain. Code without frame pointers uses the register for something else, so nothing in the chain is believed: a record has
//! to lie in the thread's stack, above the one before it, and aligned. Everything between is memory of the stack, and can be read.
//!
//! A chain that can be followed may still leave functions out: those without a frame pointer that keep the register as it was. The
//! [tables](crate::rules) leave none out, and cost several times as much.

use crate::format::{BROKEN_CHAIN, END_OF_CHAIN, MOST_FRAMES, TOO_DEEP, UNKNOWN_STACK};
use crate::rules::{self, Registers, Step};

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
}

impl Bounds {
    #[inline]
    pub(crate) fn hold(self, frame: *const Frame) -> bool {
        let address = frame.addr();
        address >= self.low && address < self.high.saturating_sub(size_of::<Frame>())
    }
}

/// Calls `visit` with each return address, the innermost first, and says how the chain ended.
///
/// # Safety
/// `first` is a record on the running thread's stack, and `bounds`, if they hold it, are mapped memory from there to their end.
#[inline(always)]
pub(crate) unsafe fn walk(first: *const Frame, bounds: Bounds, mut visit: impl FnMut(usize)) -> u64 {
    // SAFETY: by contract a record.
    let (mut caller, address) = unsafe { ((*first).caller, (*first).return_address) };
    visit(address);
    if !bounds.hold(first) {
        return UNKNOWN_STACK;
    }
    let last = bounds.high - size_of::<Frame>();
    let mut above = first.addr() + size_of::<Frame>();
    for _ in 1..MOST_FRAMES {
        let at = caller.addr();
        if at < above || at > last || !at.is_multiple_of(8) {
            // Where a thread begins, the register is zero, and stays so until the first function that has a frame.
            return if at == 0 { END_OF_CHAIN } else { BROKEN_CHAIN };
        }
        // SAFETY: aligned, and between the first record and the end of the stack.
        let frame = unsafe { &*caller };
        if frame.return_address == 0 {
            return END_OF_CHAIN;
        }
        visit(frame.return_address);
        above = at + size_of::<Frame>();
        caller = frame.caller;
    }
    TOO_DEEP
}

/// The same by the tables, and by frame pointers where these have nothing to say.
///
/// # Safety
/// As `walk`.
#[inline(always)]
pub(crate) unsafe fn walk_by_tables(first: *const Frame, bounds: Bounds, mut visit: impl FnMut(usize)) -> u64 {
    // SAFETY: by contract a record.
    let (caller, mut address) = unsafe { ((*first).caller, (*first).return_address) };
    visit(address);
    if !bounds.hold(first) {
        return UNKNOWN_STACK;
    }
    let mut at = Registers { frame_pointer: caller.addr(), stack_pointer: first.addr() + size_of::<Frame>() };
    for _ in 1..MOST_FRAMES {
        // SAFETY: from the record on the stack is mapped up to its end, and a step stays in there.
        match unsafe { rules::rule(address).step(at, bounds.high) } {
            Step::To(caller, registers) => (address, at) = (caller, registers),
            Step::End => return END_OF_CHAIN,
            Step::Broken => return BROKEN_CHAIN,
        }
        visit(address);
    }
    TOO_DEEP
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(stack: &[[usize; 2]], bounds: Bounds) -> (Vec<usize>, u64) {
        let mut found = Vec::new();
        // SAFETY: the pairs are laid out as records, and the bounds are theirs.
        let end = unsafe { walk(stack.as_ptr().cast(), bounds, |address| found.push(address)) };
        (found, end)
    }

    fn bounds(stack: &[[usize; 2]]) -> Bounds {
        let range = stack.as_ptr_range();
        Bounds { low: range.start.addr(), high: range.end.addr() + 1 }
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
