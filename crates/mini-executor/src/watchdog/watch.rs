//! What a thread polls, in one word that others may look at.

use std::cell::Cell;
use std::ops::Range;
use std::panic::Location;
use std::ptr::from_ref;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU16, AtomicU64};
// Not the models' own: no model looks at the watchdog.
#[cfg(not(tsan))]
use std::sync::{Mutex, MutexGuard};
use std::thread::Thread;

use super::sampler;
use super::signal::{self, Foreign};
use crate::places::Place;
#[cfg(tsan)]
use crate::spin::{Mutex, MutexGuard};

/// Bits of an address. Linux gives programs none that are longer, unless they ask for it. The other 16 count. Fewer would not do: with
/// three, which are free at the lower end, a task that is polled all the time would be found with the same word in one look of
/// eight, or in every look if it is polled in step with them.
const ADDRESS_BITS: u32 = 48;
/// One more poll.
const ONE: u64 = 1 << ADDRESS_BITS;

/// The address of what is no task: the future that was given to `block_on`. No task's allocation lies there.
const BLOCK_ON: u64 = 1;

/// What was polled at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    fn address(self) -> u64 {
        self.0 & (ONE - 1)
    }

    /// Whether anything was.
    pub(super) fn is_polling(self) -> bool {
        self.address() != 0
    }

    /// Whether that was the future of `block_on`.
    pub(super) fn is_block_on(self) -> bool {
        self.address() == BLOCK_ON
    }

    /// The task, if it was one. It is alive as long as its thread's word stays the same: as long as it is polled.
    pub(super) fn task(self) -> Option<*const ()> {
        let address = self.address();
        (address > BLOCK_ON).then(|| std::ptr::with_exposed_provenance(address as usize))
    }
}

thread_local! {
    /// What this thread polls. Only the thread writes to it. All accesses are relaxed: others look at it, and conclude nothing
    /// about other memory. It lies here, and not in the record, because there is no shorter way to anything: on the way of every
    /// poll a pointer to be loaded and checked costs 0.3 ns more (2026-11-21, `yield/many`).
    static WORD: AtomicU64 = const { AtomicU64::new(0) };
}

/// A thread in `block_on`. Records are reused, and never freed: the watchdog and the signal's handler may be late.
#[derive(Debug)]
pub(super) struct Watch {
    /// Where the thread called `block_on`, as a [`Place`]'s number; unknown when it is not in it.
    entered: AtomicU16,
    /// `None` if no thread has the record. Locked by who uses what is the thread's, which does not end meanwhile.
    who: Mutex<Option<Who>>,
}

/// The thread of a record that is in use.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) thread: Thread,
    /// The kernel's number.
    pub(super) id: i32,
    /// Where its stack lies.
    pub(super) stack: Range<usize>,
    word: Foreign<AtomicU64>,
}

impl Who {
    pub(super) fn word(&self) -> Word {
        Word(self.word.load(Relaxed))
    }
}

/// What this thread polls.
#[inline]
pub(super) fn word() -> Word {
    Word(WORD.with(|word| word.load(Relaxed)))
}

/// What this thread polls: the innermost, where one runs others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Current {
    /// A task, or its future is dropped. It lives as long as that.
    Task(*const ()),
    /// The future that was given to `block_on`.
    BlockOn,
    /// None of ours.
    Nothing,
}

/// What this thread polls.
#[inline]
pub(crate) fn current() -> Current {
    let word = word();
    match word.task() {
        // In a model threads take turns on one real thread, whose word is then what any of them polls.
        Some(task) if !cfg!(loom) => Current::Task(task),
        None if word.is_block_on() => Current::BlockOn,
        _ => Current::Nothing,
    }
}

thread_local! {
    /// Where the future that was given to `block_on` awaits.
    static BLOCK_ON_AWAITS: Cell<Place> = const { Cell::new(Place::UNKNOWN) };
}

/// The future that was given to `block_on` has to wait at `place`.
#[inline]
pub(crate) fn set_block_on_awaits(place: Place) {
    BLOCK_ON_AWAITS.set(place);
}

/// Where this thread called `block_on`.
pub(crate) fn block_on_entered() -> Option<&'static Location<'static>> {
    MINE.get()?.entered().location()
}

/// Where the future given to `block_on` has to wait.
#[inline]
pub(crate) fn block_on_awaited() -> Place {
    BLOCK_ON_AWAITS.get()
}

/// All records, and those that no thread has.
static RECORDS: Mutex<(Vec<&'static Watch>, Vec<&'static Watch>)> = Mutex::new((Vec::new(), Vec::new()));

thread_local! {
    static MINE: Cell<Option<&'static Watch>> = const { Cell::new(None) };
    /// Gives the record back when the thread ends.
    static HOLDER: Holder = const { Holder };
}

struct Holder;

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(watch) = MINE.take() {
            *watch.who() = None;
            records().1.push(watch);
        }
    }
}

fn records() -> MutexGuard<'static, (Vec<&'static Watch>, Vec<&'static Watch>)> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All records from the `known`th on.
pub(super) fn since(known: usize) -> Vec<&'static Watch> {
    records().0[known..].to_vec()
}

#[cold]
fn claim() -> &'static Watch {
    let pooled = records().1.pop();
    let is_new = pooled.is_none();
    let watch = pooled.unwrap_or_else(|| {
        Box::leak(Box::new(Watch { entered: AtomicU16::new(Place::UNKNOWN.0), who: Mutex::new(None) }))
    });
    // Where the allocator marks its pointers in their upper bits, as Arm's memory tagging has it, an address does not survive being
    // packed. And a thread that is about to end, in the destructors of its thread-locals, would never give the record back.
    // Neither is watched, nor is anything by Miri, which knows no signals.
    let is_packable = from_ref(watch).addr() as u64 >> ADDRESS_BITS == 0 && !cfg!(miri);
    if is_packable && HOLDER.try_with(|_| ()).is_ok() {
        let who = Who {
            thread: std::thread::current(),
            id: signal::thread_id(),
            stack: signal::thread_stack(),
            word: WORD.with(Foreign::new),
        };
        *watch.who() = Some(who);
    }
    if is_new {
        records().0.push(watch);
    }
    MINE.set(Some(watch));
    if !cfg!(miri) {
        sampler::start();
    }
    watch
}

impl Watch {
    /// This thread's.
    #[inline]
    pub(super) fn mine() -> &'static Self {
        match MINE.get() {
            Some(watch) => watch,
            None => claim(),
        }
    }

    /// What its thread polls. Nothing where it is not in `block_on`: a call may block as long as it likes in the pool that is for that.
    pub(super) fn word(&self) -> Word {
        let who = self.who();
        who.as_ref().filter(|_| self.entered() != Place::UNKNOWN).map_or(Word(0), Who::word)
    }

    pub(super) fn who(&self) -> MutexGuard<'_, Option<Who>> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the thread called `block_on`.
    pub(super) fn entered(&self) -> Place {
        Place(self.entered.load(Relaxed))
    }
}

/// A poll that goes on. It may lie within another, of a task that runs an executor.
#[must_use = "the poll would never end"]
pub(crate) struct Poll {
    /// The word before.
    outer: u64,
}

impl Poll {
    #[inline]
    fn begin(address: u64) -> Self {
        WORD.with(|word| {
            let outer = word.load(Relaxed);
            word.store(address | outer & !(ONE - 1), Relaxed);
            Self { outer }
        })
    }

    /// It is over. What is around it goes on, with another count: it would look like one long poll otherwise where a poll runs tasks
    /// over and over.
    #[inline]
    pub(crate) fn end(self) {
        WORD.with(|word| word.store(self.outer.wrapping_add(ONE), Relaxed));
    }
}

/// This thread begins to poll a task, or to drop its future. The task lives until [`Poll::end`].
#[inline]
pub(crate) fn begin(task: *const ()) -> Poll {
    let address = task.expose_provenance() as u64;
    // Where allocators mark pointers in their upper bits such a task is not watched, and nothing is read by a pointer with half its bits.
    let is_whole = cfg!(target_arch = "x86_64") || address >> ADDRESS_BITS == 0;
    Poll::begin(if is_whole { address } else { 0 })
}

/// This thread is in `block_on`.
pub(crate) struct Entry {
    watch: &'static Watch,
    /// Both from before: there may be a stranger's executor in between, and a task of ours around it.
    outer: Word,
    entered: Place,
}

impl Entry {
    /// With the place where it was called.
    pub(crate) fn new(caller: &'static Location<'static>) -> Self {
        let watch = Watch::mine();
        let entered = watch.entered.swap(Place::of(caller).0, Relaxed);
        Self { watch, outer: word(), entered: Place(entered) }
    }

    /// Begins to poll the future that was given to `block_on`.
    #[inline]
    pub(crate) fn begin_poll() -> Poll {
        BLOCK_ON_AWAITS.set(Place::UNKNOWN);
        let poll = Poll::begin(BLOCK_ON);
        sampler::look();
        poll
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // The poll may have ended by a panic.
        WORD.with(|word| {
            let count = word.load(Relaxed) & !(ONE - 1);
            word.store((self.outer.address() | count).wrapping_add(ONE), Relaxed);
        });
        self.watch.entered.store(self.entered.0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_tells_tasks_from_block_on_and_one_poll_from_the_next() {
        let task = Box::new(0_u64);
        assert!(!word().is_polling());
        let poll = begin(from_ref(&*task).cast());
        let first = word();
        assert_eq!(first.task(), Some(from_ref(&*task).cast()));
        poll.end();
        assert!(!word().is_polling());
        let poll = begin(from_ref(&*task).cast());
        assert_ne!(word(), first);
        poll.end();
        let entry = Entry::new(Location::caller());
        let poll = Entry::begin_poll();
        assert!(word().is_block_on() && word().task().is_none());
        poll.end();
        drop(entry);
        assert!(!word().is_polling());
    }

    #[test]
    fn what_is_around_a_poll_goes_on_with_another_count() {
        let outer = Poll::begin(16);
        let before = word();
        Poll::begin(32).end();
        assert_eq!(word().address(), 16);
        assert_ne!(word(), before);
        outer.end();
    }

    #[test]
    fn the_count_runs_over_into_nothing() {
        WORD.with(|word| word.store(!(ONE - 1), Relaxed));
        let poll = Poll::begin(8);
        poll.end();
        assert_eq!(word(), Word(0));
    }
}
