//! Stacks that come again.
//!
//! A program asks for blocks from few places many times: most stacks are some that were there a moment ago. [`Remembered`] has the sites of some
//! hundred stacks, each with every word that the walk to its end read, and Python's frames with all that they were read for. A call looks
//! whether its stack is one of them by comparing these words with what is there now, two at a time, loads of which none waits for another. No
//! rule is looked up then, and no hash is made.
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

use core::arch::x86_64::{
    __m128i, _mm_castpd_si128, _mm_castsi128_pd, _mm_cmpeq_epi8, _mm_load_si128, _mm_loadh_pd, _mm_loadl_epi64,
    _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128, _mm_xor_si128,
};

use crate::python::{self, Frames, Link, Marks};
use crate::rules::Step;
use crate::sites::mix;
use crate::stack::{Bounds, ByPointers, ByTables, Frame, Steps};

/// Stacks that are remembered at once: so many sets of so many.
const SETS: usize = 64;
const WAYS: usize = 4;
/// Pairs of words of a stack, and frames of Python's; deeper ones are walked.
const PAIRS: usize = 64;
/// Pairs that are compared without looking whether there are more.
const GROUP: usize = 4;
const LINKS: usize = 48;

/// No number of code objects that have ended.
const NEVER: u64 = u64::MAX;

/// A call whose site is wanted.
pub(crate) struct Call {
    pub(crate) frame: *const Frame,
    pub(crate) kind: u64,
    pub(crate) python: Option<Frames>,
}

/// What a stack is that is remembered.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) site: u64,
    pub(crate) hash: u64,
    /// Whether it was walked by the tables, and not by frame pointers.
    pub(crate) by_tables: bool,
}

/// What is looked at first, and mostly decides.
#[repr(C, align(64))]
struct Head {
    frame: *const Frame,
    /// As in [`Remembered`] when it was put down.
    era: u64,
    kind: u32,
    groups: u16,
    links: u16,
    known: Known,
    /// How many code objects had ended when the links were found to be what they are; `NEVER` if nobody counted.
    ends: u64,
    is_used: bool,
}

/// Words of the stack, by how many bytes they are from the frame. With frame pointers the two of a pair are a frame record, and lie side by side.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Group {
    value: [[usize; 2]; GROUP],
    at: [[u32; 2]; GROUP],
}

/// What a stack is compared with. The last pair stands there until its group is full.
#[repr(C)]
struct Words {
    link: [Link; LINKS],
    group: [Group; PAIRS / GROUP],
    /// Of the links' code; seldom looked at.
    marks: [Marks; LINKS],
    /// One stack's are an odd number of cache lines from another's: if it were a power of two, all would want the same places in the cache.
    _apart: [u64; APART],
}

const APART: usize = 8;
const _: () = assert!(size_of::<Words>() / 64 % 2 == 1 && size_of::<Words>().is_multiple_of(64));

/// All zeros is one that knows nothing.
#[repr(C)]
pub(crate) struct Remembered {
    /// Heads of another one are free; as are those of the first, 0.
    era: u64,
    /// Where in `last` the next one goes.
    next: u32,
    heads: [[Head; WAYS]; SETS],
    /// Of the stacks that came last, and were not remembered.
    last: [[u64; WAYS]; SETS],
    words: [[Words; WAYS]; SETS],
}

impl Remembered {
    pub(crate) fn forget(&mut self) {
        self.era += 1;
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

    /// What is known of a call whose stack is remembered.
    ///
    /// # Safety
    /// The frame is the running call's, and since the last `forget` the bounds of the stack are the same.
    #[inline(always)]
    pub(crate) unsafe fn find(&mut self, call: &Call) -> Option<Known> {
        let era = self.era;
        let place = Self::place(call);
        for (head, words) in self.heads[place].iter_mut().zip(&self.words[place]) {
            if head.frame == call.frame
                && head.era == era
                && u64::from(head.kind) == call.kind
                // SAFETY: as the caller promises.
                && unsafe { head.is_of(words, call) }
            {
                head.is_used = true;
                return Some(head.known);
            }
        }
        None
    }

    /// A call with a stack that is not remembered.
    ///
    /// # Safety
    /// As `find`; and the bounds hold the frame.
    #[inline(always)]
    pub(crate) unsafe fn met(&mut self, call: &Call, bounds: Bounds, known: Known) {
        let place = Self::place(call);
        if !self.last[place].contains(&known.hash) {
            self.last[place][self.next as usize % WAYS] = known.hash;
            self.next = self.next.wrapping_add(1);
            return;
        }
        let (era, heads) = (self.era, &mut self.heads[place]);
        let free = heads.iter().position(|head| head.era != era || !head.is_used).unwrap_or_else(|| {
            for head in heads.iter_mut() {
                head.is_used = false;
            }
            self.next as usize % WAYS
        });
        let head = &mut heads[free];
        head.era = 0;
        // SAFETY: as the caller promises.
        if unsafe { head.put_down(&mut self.words[place][free], call, bounds, known) }.is_some() {
            (head.era, head.is_used) = (era, true);
        }
    }
}

impl Head {
    /// Whether it is the stack of a call.
    ///
    /// # Safety
    /// As [`Remembered::find`], and the head is of this era, of this call's frame, and walked as it is.
    #[inline(always)]
    unsafe fn is_of(&mut self, words: &Words, call: &Call) -> bool {
        let groups = &words.group[..usize::from(self.groups).min(PAIRS / GROUP)];
        // SAFETY: the record lies where it lay when the words were read; so they lie between it and the end of the stack.
        let are_same = unsafe {
            if self.known.by_tables {
                are(groups, |pair| {
                    let [first, second] = pair.map(|at| call.frame.byte_add(at as usize));
                    let first = _mm_castsi128_pd(_mm_loadl_epi64(first.cast()));
                    _mm_castpd_si128(_mm_loadh_pd(first, second.cast()))
                })
            } else {
                are(groups, |pair| _mm_loadu_si128(call.frame.byte_add(pair[0] as usize).cast()))
            }
        };
        let count = usize::from(self.links).min(LINKS);
        let Some(python) = call.python else { return are_same && count == 0 };
        if !are_same {
            return false;
        }
        let ends = python::ends().unwrap_or(NEVER);
        let is_code_alive = ends == self.ends && ends != NEVER;
        if !python.are(&words.link[..count], (!is_code_alive).then_some(&words.marks[..count])) {
            return false;
        }
        self.ends = ends;
        true
    }

    /// # Safety
    /// As `Remembered::met`.
    #[cold]
    #[inline(never)]
    unsafe fn put_down(&mut self, words: &mut Words, call: &Call, bounds: Bounds, known: Known) -> Option<()> {
        let mut pairs = Pairs { frame: call.frame.addr(), group: &mut words.group, count: 0 };
        // SAFETY: as the caller promises.
        unsafe {
            if known.by_tables {
                pairs.by_tables(call.frame, bounds)?;
            } else {
                pairs.by_pointers(call.frame, bounds)?;
            }
        }
        self.groups = pairs.filled_up() as u16;
        self.ends = python::ends().unwrap_or(NEVER);
        let links = match call.python {
            Some(python) => python.links(&mut words.link, &mut words.marks)?,
            None => 0,
        };
        self.links = links as u16;
        (self.frame, self.kind, self.known) = (call.frame, call.kind as u32, known);
        Some(())
    }
}

/// Whether all words are what they were.
///
/// # Safety
/// `load` may be called with each pair.
#[inline(always)]
unsafe fn are(groups: &[Group], load: impl Fn([u32; 2]) -> __m128i) -> bool {
    // SAFETY: groups are aligned; the rest touches no memory.
    unsafe {
        let mut differs = _mm_setzero_si128();
        for group in groups {
            for (value, &at) in group.value.iter().zip(&group.at) {
                differs = _mm_or_si128(differs, _mm_xor_si128(load(at), _mm_load_si128(value.as_ptr().cast())));
            }
        }
        _mm_movemask_epi8(_mm_cmpeq_epi8(differs, _mm_setzero_si128())) == 0xffff
    }
}

/// A word of the stack.
#[derive(Clone, Copy, Debug)]
struct Word {
    at: usize,
    value: usize,
}

/// Pairs of words, being put down.
struct Pairs<'a> {
    /// Where the call's frame is.
    frame: usize,
    group: &'a mut [Group; PAIRS / GROUP],
    count: usize,
}

impl Pairs<'_> {
    /// `None` if there is no room, or it is too far away.
    fn put(&mut self, pair: [Word; 2]) -> Option<()> {
        let group = self.group.get_mut(self.count / GROUP)?;
        let place = self.count % GROUP;
        group.value[place] = pair.map(|word| word.value);
        for (at, word) in group.at[place].iter_mut().zip(pair) {
            *at = u32::try_from(word.at - self.frame).ok()?;
        }
        self.count += 1;
        Some(())
    }

    /// Fills the last group up: how many groups there are.
    fn filled_up(self) -> usize {
        let (last, groups) = (self.count - 1, self.count.div_ceil(GROUP));
        let last = (self.group[last / GROUP].value[last % GROUP], self.group[last / GROUP].at[last % GROUP]);
        for place in self.count..groups * GROUP {
            let group = &mut self.group[place / GROUP];
            (group.value[place % GROUP], group.at[place % GROUP]) = last;
        }
        groups
    }

    /// Puts every frame record down that a walk goes by. Of the outermost the walk may have read the return address alone.
    ///
    /// # Safety
    /// As `stack::walk`, and the bounds hold the record.
    unsafe fn by_pointers(&mut self, first: *const Frame, bounds: Bounds) -> Option<()> {
        // SAFETY: by the caller's promise a record.
        let (mut address, mut at) = unsafe { (*first).registers() };
        let mut record = first.addr();
        loop {
            let register = Word { at: record, value: at.frame_pointer };
            self.put([register, Word { at: record + 8, value: address }])?;
            // SAFETY: as in `walk`.
            match unsafe { ByPointers::step(address, at, bounds.high) } {
                Step::To { address: caller, at: registers, saved_at, .. } => {
                    (address, at, record) = (caller, registers, saved_at);
                }
                Step::End { word_at: 0, .. } => return Some(()),
                Step::End { word_at, .. } => {
                    // SAFETY: the step has read the word behind it, as of a record that lies within the bounds.
                    let register = unsafe { *((word_at - 8) as *const usize) };
                    return self.put([Word { at: word_at - 8, value: register }, Word { at: word_at, value: 0 }]);
                }
            }
        }
    }

    /// Puts every word down that a walk goes by.
    ///
    /// Of code without frame pointers, the register is a word that changes all the time, and most steps don't look at it: those words
    /// that were read into it, but not looked at before it was read again, are left out.
    ///
    /// # Safety
    /// As `stack::walk`, and the bounds hold the record.
    unsafe fn by_tables(&mut self, first: *const Frame, bounds: Bounds) -> Option<()> {
        // SAFETY: by the caller's promise a record.
        let (mut address, mut at) = unsafe { (*first).registers() };
        let mut half = None;
        let mut put = |word: Word| {
            if let Some(before) = half.take() {
                return self.put([before, word]);
            }
            half = Some(word);
            Some(())
        };
        put(Word { at: at.stack_pointer - 8, value: address })?;
        // The word that the register was read from last, until it is known whether a step looks at it: not yet put down.
        let mut register = Some(Word { at: first.addr(), value: at.frame_pointer });
        loop {
            // SAFETY: as in `walk`.
            match unsafe { ByTables::step(address, at, bounds.high) } {
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
                    return match half {
                        Some(word) => self.put([word, word]),
                        None => Some(()),
                    };
                }
            }
        }
    }
}
