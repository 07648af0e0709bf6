//! Stacks that come again.
//!
//! A program asks for blocks from few places many times: most stacks are some that were there a moment ago. [`Remembered`] has the sites of some
//! hundred stacks, each with every word that the walk to its end read, and Python's frames with all that they were read for. A call looks
//! whether its stack is one of them by comparing these words with what is there now, loads of which none waits for another. No rule is
//! looked up then, and no hash is made.
//!
//! # Why the site is that of a walk
//! As with walks that begin where the last one ended ([`incremental`](crate::incremental)): where a step leads, and which words it reads, depends on the
//! frame and on the words of the steps before. The innermost frame is the same, for the record lies at the same address, and its words are
//! among those that are compared; so the first step reads the same words as then, and if these have the same values, leads to the same
//! frame; and so on. Of Python's frames each is compared before the next is looked at, so that all are of this thread's chain
//! ([`Frames::are`]). Frames that come again at the same address, generators that go on elsewhere, code objects at the address of others:
//! whatever a walk would see of them is compared.
//!
//! A debug build walks, too, and ends the program at a difference.
//!
//! A stack is put down when it comes again among the last few of its set that were not remembered: one that never comes again costs a look.
//! It takes the place of one that has not been asked for since the last look for a place (the clock of Corbató, 1968).

use crate::python::{self, Frames, Link, Marks};
use crate::rules::Step;
use crate::sites::mix;
use crate::stack::{Bounds, ByPointers, ByTables, Frame, Steps};

/// Stacks that are remembered at once: so many sets of so many.
const SETS: usize = 64;
const WAYS: usize = 4;
/// Words of a stack, and frames of Python's; deeper ones are walked.
const WORDS: usize = 128;
/// Words that are compared without looking whether there are more.
const GROUP: usize = 4;
const LINKS: usize = 48;

/// No number of code objects that have ended.
const NEVER: u64 = u64::MAX;

/// A call whose site is wanted.
pub(crate) struct Call {
    pub(crate) frame: *const Frame,
    pub(crate) kind: u64,
    /// Whether its stack is walked by the tables, and not by frame pointers.
    pub(crate) by_tables: bool,
    pub(crate) python: Option<Frames>,
}

/// A word of the stack.
#[derive(Clone, Copy, Debug)]
struct Word {
    at: usize,
    value: usize,
}

#[repr(C)]
struct Slot {
    frame: *const Frame,
    kind: u64,
    by_tables: bool,
    /// As in [`Remembered`] when it was put down.
    era: u32,
    is_used: bool,
    groups: u32,
    links: u32,
    site: u64,
    hash: u64,
    /// How many code objects had ended when the links were found to be what they are; `NEVER` if nobody counted.
    ends: u64,
    /// The last of them stands there until its group is full.
    word: [[Word; GROUP]; WORDS / GROUP],
    link: [Link; LINKS],
    /// Of their code; seldom looked at.
    marks: [Marks; LINKS],
}

/// All zeros is one that knows nothing.
#[repr(C)]
pub(crate) struct Remembered {
    /// Slots of another one are free.
    era: u32,
    slots: [[Slot; WAYS]; SETS],
    /// Of the stacks that came last, and were not remembered.
    last: [[u64; WAYS]; SETS],
    /// Where in `last` the next one goes.
    next: u32,
}

impl Remembered {
    pub(crate) fn forget(&mut self) {
        self.era = self.era.wrapping_add(1).max(1);
    }

    #[inline(always)]
    fn place(call: &Call) -> usize {
        // SAFETY: the record is the call's.
        let address = unsafe { (*call.frame).return_address };
        let mut hash = mix(call.frame.addr() as u64 ^ call.kind, address);
        if let Some(python) = call.python {
            let [frame, instruction] = python.innermost();
            hash = mix(hash, frame ^ instruction.rotate_left(32));
        }
        (hash >> 56) as usize % SETS
    }

    /// The site of a call whose stack is remembered, and the hash of that.
    ///
    /// # Safety
    /// The frame is the running call's, and since the last `forget` the bounds of the stack are the same.
    #[inline(always)]
    pub(crate) unsafe fn find(&mut self, call: &Call) -> Option<(u64, u64)> {
        let (era, ends) = (self.era, python::ends().unwrap_or(NEVER));
        for slot in &mut self.slots[Self::place(call)] {
            // SAFETY: as the caller promises.
            if slot.era == era && unsafe { slot.is_of(call, ends) } {
                slot.is_used = true;
                return Some((slot.site, slot.hash));
            }
        }
        None
    }

    /// A call with a stack that is not remembered, of that hash and that site.
    ///
    /// # Safety
    /// As `find`; and the bounds hold the frame.
    #[inline(always)]
    pub(crate) unsafe fn met(&mut self, call: &Call, bounds: Bounds, hash: u64, site: u64) {
        let place = Self::place(call);
        if !self.last[place].contains(&hash) {
            self.last[place][self.next as usize % WAYS] = hash;
            self.next = self.next.wrapping_add(1);
            return;
        }
        let (era, slots) = (self.era, &mut self.slots[place]);
        let free = slots.iter().position(|slot| slot.era != era || !slot.is_used).unwrap_or_else(|| {
            for slot in slots.iter_mut() {
                slot.is_used = false;
            }
            self.next as usize % WAYS
        });
        let slot = &mut slots[free];
        slot.era = 0;
        // SAFETY: as the caller promises.
        if unsafe { slot.put_down(call, bounds) }.is_some() {
            (slot.era, slot.is_used, slot.hash, slot.site) = (era, true, hash, site);
        }
    }
}

impl Slot {
    /// Whether it is the stack of a call.
    ///
    /// # Safety
    /// As [`Remembered::find`], and the slot is of this era.
    #[inline(always)]
    unsafe fn is_of(&mut self, call: &Call, ends: u64) -> bool {
        if self.frame != call.frame || self.kind != call.kind || self.by_tables != call.by_tables {
            return false;
        }
        // SAFETY: the record lies where it lay when the words were read; so they lie between it and the end of the stack.
        let is_same = |word: &Word| unsafe { *(word.at as *const usize) } == word.value;
        let groups = &self.word[..self.groups as usize % (WORDS / GROUP + 1)];
        groups.iter().all(|group| group.iter().all(is_same)) && {
            let count = self.links as usize % (LINKS + 1);
            let links = &self.link[..count];
            let is_code_alive = ends == self.ends && ends != NEVER;
            let is_same = match call.python {
                Some(python) => python.are(links, (!is_code_alive).then_some(&self.marks[..count])),
                None => links.is_empty(),
            };
            self.ends = if is_same { ends } else { self.ends };
            is_same
        }
    }

    /// # Safety
    /// As `Remembered::met`.
    #[cold]
    #[inline(never)]
    unsafe fn put_down(&mut self, call: &Call, bounds: Bounds) -> Option<()> {
        // SAFETY: as the caller promises.
        let words = unsafe {
            if call.by_tables {
                words::<ByTables>(call.frame, bounds, self.word.as_flattened_mut())
            } else {
                words::<ByPointers>(call.frame, bounds, self.word.as_flattened_mut())
            }
        };
        self.ends = python::ends().unwrap_or(NEVER);
        let links = match call.python {
            Some(python) => python.links(&mut self.link, &mut self.marks)?,
            None => 0,
        };
        let (words, groups) = (words?, words?.div_ceil(GROUP));
        let all = self.word.as_flattened_mut();
        let last = all[words - 1];
        all[words..groups * GROUP].fill(last);
        (self.groups, self.links) = (groups as u32, links as u32);
        (self.frame, self.kind, self.by_tables) = (call.frame, call.kind, call.by_tables);
        Some(())
    }
}

/// Puts every word down that a walk goes by: how many; `None` if there is no room for all.
///
/// Of code without frame pointers, the register is a word that changes all the time, and most steps don't look at it: those words
/// that were read into it, but not looked at before it was read again, are left out.
///
/// # Safety
/// As `stack::walk`, and the bounds hold the record.
unsafe fn words<S: Steps>(first: *const Frame, bounds: Bounds, to: &mut [Word]) -> Option<usize> {
    // SAFETY: by the caller's promise a record.
    let (mut address, mut at) = unsafe { (*first).registers() };
    let mut count = 0;
    let mut put = |word: Word| {
        let place = to.get_mut(count)?;
        *place = word;
        count += 1;
        Some(count - 1)
    };
    put(Word { at: at.stack_pointer - 8, value: address })?;
    // The word that the register was read from last, until it is known whether a step looks at it: not yet put down.
    let mut register = Some(Word { at: first.addr(), value: at.frame_pointer });
    loop {
        // SAFETY: as in `walk`.
        match unsafe { S::step(address, at, bounds.high) } {
            Step::To { address: caller, at: registers, saved_at, by_pointer } => {
                if let Some(word) = register.take_if(|_| by_pointer) {
                    put(word)?;
                }
                (address, at) = (caller, registers);
                put(Word { at: at.stack_pointer - 8, value: address })?;
                if saved_at != 0 {
                    register = Some(Word { at: saved_at, value: at.frame_pointer });
                }
            }
            Step::End { word_at, by_pointer, .. } => {
                if let Some(word) = register.filter(|_| by_pointer) {
                    put(word)?;
                }
                if word_at != 0 {
                    put(Word { at: word_at, value: 0 })?;
                }
                return Some(count);
            }
        }
    }
}
