//! Which site a call is: by what is remembered, by a walk, or as a new one.

use core::mem;

use super::{LATE, Thread};
use crate::format::{self, MOST_FRAMES, MOST_PYTHON_FRAMES, MOST_SITE_FRAMES, SITE, UNKNOWN_STACK};
use crate::own::control_block;
use crate::process::Process;
use crate::python::Frames;
use crate::remembered::{Call, Known};
use crate::sites::mix;
use crate::stack::{Bounds, ByPointers, ByTables, Frame, walk};
#[cfg(debug_assertions)]
use crate::system;
use crate::{incremental, modules, python, rules};

/// Calls that may ask for the bounds of a stack: programs that switch stacks all the time would pay for each switch.
const MOST_LOOKS: u32 = 256;
/// Frames that the tables may know above the outermost that frame pointers lead to: those in which the C library begins a thread, which have none.
const MOST_ABOVE: usize = 2;

/// The hash of a walk by frame pointers that has found nothing yet.
const BY_POINTERS: u64 = 0x0b5e_55ed_0add;

/// Takes where Python is into a hash.
#[inline(always)]
fn with_python(mut hash: u64, python: Option<Frames>) -> u64 {
    if let Some(python) = python {
        let mut count = 0;
        python.each(|frame| {
            hash = mix(mix(hash, frame.mark), frame.at as usize ^ usize::from(frame.is_entry) << 40);
            count += 1;
            count < MOST_PYTHON_FRAMES
        });
    }
    hash
}

impl Thread {
    /// The site of this call, at which Python is where those frames are.
    #[inline(always)]
    pub(crate) fn site(&mut self, kind: u64, frame: *const Frame, python: Option<Frames>) -> u64 {
        if self.stack.are_gone(frame) {
            self.stack = Bounds::default();
            self.forget_stacks();
        }
        let call = Call { frame, kind, python };
        // SAFETY: the record is this call's; what is remembered was forgotten when the bounds changed.
        match unsafe { self.remembered.find(&call) } {
            Some(known) => {
                #[cfg(debug_assertions)]
                if self.hash(&call, known.by_tables).0 != known.hash {
                    system::end_with(b"alloc-trace: a remembered stack differs from the walked one\n");
                }
                known.site
            }
            None => self.site_of_walk(&call),
        }
    }

    /// The hash of a stack by walking, and how it ended.
    #[inline(always)]
    fn hash(&mut self, call: &Call, by_tables: bool) -> (u64, u64) {
        // SAFETY: as in `site`.
        let (stack, end) = unsafe {
            if by_tables {
                self.walked.walk(call.frame, self.stack)
            } else {
                let mut hash = BY_POINTERS;
                let end = walk::<ByPointers>(call.frame, self.stack, |address| hash = mix(hash, address));
                (hash, end)
            }
        };
        (with_python(mix(stack, call.kind as usize), call.python), end)
    }

    #[inline(never)]
    fn site_of_walk(&mut self, call: &Call) -> u64 {
        // SAFETY: as in `site`.
        let by_tables = unsafe { rules::rule((*call.frame).return_address) }.is_by_tables();
        let (hash, end) = self.hash(call, by_tables);
        match self.sites.find(hash) {
            Some(site) if end != UNKNOWN_STACK => {
                // SAFETY: as in `site`, and the bounds hold the record, since the stack is not an unknown one.
                unsafe { self.remembered.met(call, self.stack, Known { site, hash, by_tables }) };
                site
            }
            found => self.new_site(call.kind, call.frame, found),
        }
    }

    #[cold]
    #[inline(never)]
    fn new_site(&mut self, kind: u64, frame: *const Frame, found: Option<u64>) -> u64 {
        let Some(process) = Process::current() else { return 0 };
        if (self.stack.hold(frame) || !self.is_on_other_stack(frame))
            && let Some(site) = found
        {
            return site;
        }
        let (stack, mut count, mut end) = self.frames_of(frame);
        let python = python::frames();
        let mut hash = with_python(mix(stack, kind as usize), python);
        if let Some(site) = self.sites.find(hash) {
            return site;
        }
        // Addresses that are not code's come from chains that were none.
        if let Some(wrong) = (1..count).find(|&index| !process.code_at(self.frames[index] as usize)) {
            (count, end) = (wrong, format::BROKEN_CHAIN);
            // What follows differs from call to call; what is left is one site.
            let stack = incremental::hash_of(&self.frames[..count]);
            hash = with_python(mix(stack, !kind as usize), python);
            if let Some(site) = self.sites.find(hash) {
                return site;
            }
        }
        process.code_at(self.frames[0] as usize);
        if let Some(python) = python {
            let most = count + MOST_PYTHON_FRAMES;
            python.each(|frame| {
                if count == most {
                    end = format::TOO_DEEP;
                    return false;
                }
                self.frames[count] = process.python_frame(frame);
                count += 1;
                true
            });
        }
        let Some(site) = self.sites.add(hash) else { return 0 };
        self.frames[..count].reverse();
        let known = &self.last[..self.defined];
        let kept = known.iter().zip(&self.frames[..count]).take_while(|(a, b)| a == b).count();
        (self.last, self.defined) = (self.frames, count);
        let mut words = [0; MOST_SITE_FRAMES + 1];
        words[0] = site | (kept as u64) << 32;
        words[1..=count - kept].copy_from_slice(&self.last[kept..count]);
        self.record(SITE, kind | end << 8, &words[..=count - kept]);
        site
    }

    /// Finds the stack that a frame is on, if it is known or may be looked for: it has grown beyond what was its mapping, or it is another one, a
    /// coroutine's or a signal handler's.
    fn is_on_other_stack(&mut self, frame: *const Frame) -> bool {
        if !self.index_has_stack() {
            return false;
        }
        let known = self.stacks.iter().position(|stack| stack.hold(frame) && !stack.are_gone(frame));
        let place = known.unwrap_or(self.looks as usize % self.stacks.len());
        if known.is_none() {
            if self.looks >= MOST_LOOKS {
                return false;
            }
            self.looks += 1;
            self.stacks[place] = modules::stack_of(frame.addr(), control_block(), &mut self.out);
        }
        mem::swap(&mut self.stack, &mut self.stacks[place]);
        self.forget_stacks();
        true
    }

    /// Walks a stack, puts its frames down, the innermost first, and says which hash stands for them, how many there are, and how it ended.
    ///
    /// By frame pointers, where these find what the tables find. Otherwise from now on by the tables, for all calls from there.
    fn frames_of(&mut self, frame: *const Frame) -> (u64, usize, u64) {
        let (mut frames, mut known) = ([0; MOST_FRAMES], 0);
        let visit = |address| {
            frames[known] = address as u64;
            known += 1;
        };
        // SAFETY: as in `site`.
        let (caller, known_end) = unsafe { ((*frame).return_address, walk::<ByTables>(frame, self.stack, visit)) };
        self.frames[..known].copy_from_slice(&frames[..known]);
        let by_tables = (incremental::hash_of(&frames[..known]), known, known_end);
        if rules::rule(caller).is_by_tables() {
            return by_tables;
        }
        let (mut count, mut hash) = (0, BY_POINTERS);
        let visit = |address| {
            frames[count] = address as u64;
            count += 1;
            hash = mix(hash, address);
        };
        // SAFETY: as in `site`.
        let end = unsafe { walk::<ByPointers>(frame, self.stack, visit) };
        let shared = frames[..count].iter().zip(&self.frames[..known]).take_while(|(a, b)| a == b).count();
        // A chain that broke, or that is one frame and the register happened to be zero, may stand for many a stack.
        let is_sure = end == known_end && end != format::BROKEN_CHAIN && count > 1;
        if shared == count && known - count <= MOST_ABOVE && is_sure {
            (hash, known, known_end)
        } else if shared == known && known < count || known_end == format::BROKEN_CHAIN && end == format::END_OF_CHAIN {
            // The tables know nothing from there on, or went astray.
            self.frames[..count].copy_from_slice(&frames[..count]);
            (hash, count, end)
        } else {
            rules::set_by_tables(caller);
            by_tables
        }
    }

    /// Threads that have ended share one memory, and have no stack that could be remembered.
    fn index_has_stack(&self) -> bool {
        self.state != LATE
    }
}
