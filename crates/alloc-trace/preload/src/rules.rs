//! How to get from a frame to its caller's where there are no frame pointers: by the tables that compilers write for exceptions (`.eh_frame`).
//!
//! For each return address the tables say where the caller's frame lies relative to a register, and where the register is kept. They are read
//! once for an address, by gimli; what is found is one word, a [`Rule`], in a [`Cache`] that all threads look into without a lock. So a step
//! costs a look into the cache and two loads from the stack.
//!
//! Rules that compilers hardly use (a frame that lies where an expression says) are none here, and the walk goes on by the frame pointer, which code
//! with such a frame has.

mod tables;

use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::format::{BROKEN_CHAIN, END_OF_CHAIN};
use crate::process::Process;
use crate::system;

/// What the tables say of a return address; see the constants for its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule(u64);

/// Of every rule, so that none is 0.
const IS_RULE: u64 = 1;
/// The caller's frame is counted from the frame pointer, otherwise from the stack pointer.
const FROM_FRAME_POINTER: u64 = 1 << 1;
/// The caller's frame pointer is on the stack, otherwise still in the register.
const IS_SAVED: u64 = 1 << 2;
/// There is no caller: threads begin here.
const IS_END: u64 = 1 << 3;
/// The tables know nothing of the address, or nothing simple.
const IS_MISSING: u64 = 1 << 4;
/// Of a function that asks for memory: stacks that end there are to be walked by the tables.
const BY_TABLES: u64 = 1 << 5;
/// Where the distance from the register to the frame begins, and the distance from there down to the saved frame pointer: of 24 bits.
const FRAME_AT: u32 = 16;
const SAVED_AT: u32 = 40;
const DISTANCE: u64 = (1 << 24) - 1;

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) frame_pointer: usize,
    pub(crate) stack_pointer: usize,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The caller's return address, which was read below its stack pointer; where its frame is; where the frame pointer was read, 0 if it wasn't; and
    /// whether the frame pointer was looked at before.
    To { address: usize, at: Registers, saved_at: usize, by_pointer: bool },
    /// How the stack ended; where the 0 was read that says so, 0 if none was; and whether the frame pointer was looked at.
    End { end: u64, word_at: usize, by_pointer: bool },
}

impl Step {
    /// Threads begin here.
    pub(crate) const END: Self = Self::End { end: END_OF_CHAIN, word_at: 0, by_pointer: false };
    /// There is no frame pointer.
    pub(crate) const NO_POINTER: Self = Self::End { end: END_OF_CHAIN, word_at: 0, by_pointer: true };
    /// It would lead out of the stack.
    pub(crate) const BROKEN: Self = Self::End { end: BROKEN_CHAIN, word_at: 0, by_pointer: true };
}

impl Rule {
    pub(crate) const MISSING: Self = Self(IS_RULE | IS_MISSING);
    const END: Self = Self(IS_RULE | IS_END);

    /// From the stack pointer or the frame pointer, so many bytes up; the frame pointer saved so many bytes below that, or not at all.
    fn new(from_frame_pointer: bool, frame: u64, saved: Option<u64>) -> Self {
        if !(8..=DISTANCE).contains(&frame) || !frame.is_multiple_of(8) {
            return Self::MISSING;
        }
        let kept = match saved {
            None => 0,
            Some(saved) if saved > 8 && saved <= DISTANCE && saved.is_multiple_of(8) => IS_SAVED | saved << SAVED_AT,
            Some(_) => return Self::MISSING,
        };
        let from = if from_frame_pointer { FROM_FRAME_POINTER } else { 0 };
        Self(IS_RULE | from | frame << FRAME_AT | kept)
    }

    #[inline(always)]
    pub(crate) fn is_by_tables(self) -> bool {
        self.0 & BY_TABLES != 0
    }

    /// To the caller of a frame, on a stack that ends at `high`.
    ///
    /// # Safety
    /// The memory from the frame's stack pointer to `high` can be read.
    #[inline(always)]
    pub(crate) unsafe fn step(self, at: Registers, high: usize) -> Step {
        let (mut frame, mut by_pointer) = (at.stack_pointer, false);
        let (up, saved) = if self.0 & (IS_END | IS_MISSING) == 0 {
            if self.0 & FROM_FRAME_POINTER != 0 {
                (frame, by_pointer) = (at.frame_pointer, true);
            }
            (self.0 >> FRAME_AT & DISTANCE, if self.0 & IS_SAVED != 0 { self.0 >> SAVED_AT } else { 0 })
        } else if self.0 & IS_END != 0 {
            return Step::END;
        } else {
            // As if there were a frame pointer.
            if at.frame_pointer == 0 {
                return Step::NO_POINTER;
            }
            (frame, by_pointer) = (at.frame_pointer, true);
            (16, 16)
        };
        let frame = frame.wrapping_add(up as usize);
        let saved = frame.wrapping_sub(saved as usize);
        // Above the frame before it, and both words between that and the stack's end.
        if frame < at.stack_pointer + 8 || frame > high || saved < at.stack_pointer || !frame.is_multiple_of(8) {
            return Step::BROKEN;
        }
        // SAFETY: aligned, and inside the stack, by the lines above.
        let address = unsafe { *((frame - 8) as *const usize) };
        let (frame_pointer, saved_at) = if saved == frame {
            (at.frame_pointer, 0)
        } else {
            // SAFETY: as above, for it is a multiple of eight below the frame.
            (unsafe { *(saved as *const usize) }, saved)
        };
        if address == 0 {
            return Step::End { end: END_OF_CHAIN, word_at: frame - 8, by_pointer };
        }
        Step::To { address, at: Registers { frame_pointer, stack_pointer: frame }, saved_at, by_pointer }
    }
}

#[repr(C)]
struct Slot {
    /// 0 is a free slot. Written after the rule.
    address: AtomicU64,
    rule: AtomicU64,
}

const SLOTS: usize = 1 << 18;

/// Rules by return address, for all threads.
#[repr(C)]
struct Cache {
    count: AtomicU64,
    slots: [Slot; SLOTS],
}

/// Mapped when it is first needed. A forked child has the same code, and keeps it.
static CACHE: AtomicPtr<Cache> = AtomicPtr::new(ptr::null_mut());

fn cache() -> Option<&'static Cache> {
    let mut cache = CACHE.load(Acquire);
    if cache.is_null() {
        let new = system::map(size_of::<Cache>(), false).cast::<Cache>();
        if new.is_null() {
            return None;
        }
        cache = match CACHE.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
            Ok(_) => new,
            Err(other) => {
                system::unmap(new.cast(), size_of::<Cache>());
                other
            }
        };
    }
    // SAFETY: mapped for good, and all zeros is an empty one.
    Some(unsafe { &*cache })
}

impl Cache {
    #[inline(always)]
    fn place(address: usize) -> usize {
        (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> 46 & (SLOTS - 1)
    }

    #[inline(always)]
    fn find(&self, address: usize) -> Option<Rule> {
        let mut place = Self::place(address);
        loop {
            let slot = &self.slots[place & (SLOTS - 1)];
            let found = slot.address.load(Acquire);
            if found == address as u64 {
                let rule = Rule(slot.rule.load(Acquire));
                // It may have become another's in between.
                return (slot.address.load(Relaxed) == found).then_some(rule);
            }
            if found == 0 {
                return None;
            }
            place += 1;
        }
    }

    /// Takes a rule in, or puts it in another's place for the same address. One thread at a time.
    fn put(&self, address: usize, rule: Rule) {
        // Quarters that stay free keep the ways short; a program with so many addresses begins anew now and then.
        if self.count.load(Relaxed) as usize > SLOTS / 4 * 3 {
            self.forget();
        }
        let mut place = Self::place(address);
        loop {
            let slot = &self.slots[place & (SLOTS - 1)];
            let found = slot.address.load(Relaxed);
            if found == 0 || found == address as u64 {
                slot.rule.store(rule.0, Release);
                slot.address.store(address as u64, Release);
                self.count.fetch_add(u64::from(found == 0), Relaxed);
                return;
            }
            place += 1;
        }
    }

    fn forget(&self) {
        // Who looks meanwhile finds less than there was, and asks again.
        self.slots.iter().for_each(|slot| slot.address.store(0, Relaxed));
        self.count.store(0, Relaxed);
    }
}

/// After a library was unloaded: what lies at its addresses next is something else. One thread at a time.
pub(crate) fn forget() {
    // SAFETY: as in `cache`, where it was mapped.
    if let Some(cache) = unsafe { CACHE.load(Acquire).as_ref() } {
        cache.forget();
    }
}

/// The rule for a return address.
#[inline(always)]
pub(crate) fn rule(address: usize) -> Rule {
    // SAFETY: as in `cache`, where it was mapped.
    let cache = unsafe { CACHE.load(Acquire).as_ref() };
    match cache.and_then(|cache| cache.find(address)) {
        Some(rule) => rule,
        None => look_up(address),
    }
}

#[cold]
#[inline(never)]
fn look_up(address: usize) -> Rule {
    let Some(process) = Process::current() else { return Rule::MISSING };
    let mut rule = Rule::MISSING;
    process.with_header_of(address, |header| {
        rule = header.and_then(|header| tables::read(header, address)).unwrap_or(Rule::MISSING);
        if let Some(cache) = cache() {
            cache.put(address, rule);
        }
    });
    rule
}

/// From now on stacks that end at a return address are walked by the tables.
pub(crate) fn set_by_tables(address: usize) {
    let rule = Rule(rule(address).0 | BY_TABLES);
    if let Some(process) = Process::current() {
        process.with_header_of(address, |_| {
            if let Some(cache) = cache() {
                cache.put(address, rule);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Registers = Registers { frame_pointer: 0x5000, stack_pointer: 0 };

    fn stack() -> ([usize; 8], Registers, usize) {
        ([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0], AT, 0)
    }

    fn stepped(rule: Rule, frame_pointer: Option<usize>) -> (Step, usize) {
        let (words, ..) = stack();
        let base = words.as_ptr().addr();
        let at = Registers {
            frame_pointer: frame_pointer.map_or(AT.frame_pointer, |index| base + 8 * index),
            stack_pointer: base,
        };
        // SAFETY: the words are there until the end of this function.
        (unsafe { rule.step(at, base + 64) }, base)
    }

    fn to(address: usize, frame_pointer: usize, stack_pointer: usize, saved_at: usize, by_pointer: bool) -> Step {
        Step::To { address, at: Registers { frame_pointer, stack_pointer }, saved_at, by_pointer }
    }

    #[test]
    fn a_frame_lies_above_the_stack_pointer_or_the_frame_pointer() {
        let (step, base) = stepped(Rule::new(false, 24, None), None);
        assert_eq!(step, to(0x12, 0x5000, base + 24, 0, false));
        let (step, base) = stepped(Rule::new(false, 40, Some(32)), None);
        assert_eq!(step, to(0x14, 0x11, base + 40, base + 8, false));
        let (step, base) = stepped(Rule::new(true, 16, Some(16)), Some(3));
        assert_eq!(step, to(0x14, 0x13, base + 40, base + 24, true));
    }

    #[test]
    fn without_a_rule_there_is_the_frame_pointer() {
        let (step, base) = stepped(Rule::MISSING, Some(2));
        assert_eq!(step, to(0x13, 0x12, base + 32, base + 16, true));
        assert_eq!(stepped(Rule::MISSING, None).0, Step::BROKEN);
        // SAFETY: nothing is read.
        let step = unsafe { Rule::MISSING.step(Registers { frame_pointer: 0, stack_pointer: 64 }, 128) };
        assert_eq!(step, Step::NO_POINTER);
    }

    #[test]
    fn what_leads_out_of_the_stack_is_not_followed() {
        assert_eq!(stepped(Rule::new(false, 72, None), None).0, Step::BROKEN);
        assert_eq!(stepped(Rule::new(false, 24, Some(32)), None).0, Step::BROKEN);
        assert_eq!(stepped(Rule::new(true, 16, Some(16)), None).0, Step::BROKEN);
        let (step, base) = stepped(Rule::new(false, 64, None), None);
        assert_eq!(
            step,
            Step::End { end: END_OF_CHAIN, word_at: base + 56, by_pointer: false },
            "a return address of 0"
        );
        for (frame, saved) in
            [(0, None), (12, None), (1 << 24, None), (16, Some(8)), (16, Some(12)), (16, Some(1 << 30))]
        {
            assert_eq!(Rule::new(false, frame, saved), Rule::MISSING, "{frame} {saved:?}");
        }
    }

    #[test]
    fn rules_are_kept_until_there_are_too_many() {
        let cache = cache().unwrap();
        for address in 1..=SLOTS / 2 {
            cache.put(address * 16, Rule::new(false, 8 * address as u64, None));
        }
        let kept = (1..=SLOTS / 2)
            .filter(|address| cache.find(address * 16) == Some(Rule::new(false, 8 * *address as u64, None)));
        assert_eq!(kept.count(), SLOTS / 2);
        cache.put(16, Rule::END);
        assert_eq!((cache.find(16), cache.find(8)), (Some(Rule::END), None));
        for address in SLOTS / 2..SLOTS {
            cache.put(address * 16, Rule::END);
        }
        assert!(cache.find(32).is_none() && (cache.count.load(Relaxed) as usize) < SLOTS / 4 * 3);
        cache.forget();
        assert_eq!(cache.find((SLOTS - 1) * 16), None);
    }
}
