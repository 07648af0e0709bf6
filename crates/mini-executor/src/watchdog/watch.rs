//! What a thread polls, in one word that others may look at.

use std::cell::Cell;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU16, AtomicU64, compiler_fence};
use std::thread::Thread;

use super::sampler::{self, Seen};
use super::signal::{self, Foreign};
use crate::births;
use crate::places::Place;
use crate::primitives::plain::{Mutex, MutexGuard};
use crate::primitives::unpoisoned;

/// Bits of an address. Linux gives programs none that are longer, unless they ask for it. The other 16 count. Fewer would not do: with
/// three, which are free at the lower end, a task that is polled all the time would be found with the same word in one look of
/// eight, or in every look if it is polled in step with them.
const ADDRESS_BITS: u32 = 48;
/// One more poll.
const ONE: u64 = 1 << ADDRESS_BITS;

/// The address of what is no task: the future that was given to `block_on`. No task's allocation lies there.
const BLOCK_ON: u64 = 1;

/// What was polled at some moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

/// What a thread polls: the innermost, where one runs others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Current {
    /// A task, or its future is dropped. It lives as long as its thread's word stays the same.
    Task(*const ()),
    /// The future that was given to `block_on`.
    BlockOn,
    /// None of ours.
    Nothing,
}

impl Word {
    fn address(self) -> u64 {
        self.0 & (ONE - 1)
    }

    #[inline]
    pub(super) fn current(self) -> Current {
        match self.address() {
            0 => Current::Nothing,
            BLOCK_ON => Current::BlockOn,
            address => Current::Task(std::ptr::with_exposed_provenance(address as usize)),
        }
    }
}

thread_local! {
    /// What this thread polls. Only the thread writes to it. All accesses are relaxed: others look at it, and conclude nothing
    /// about other memory. It lies here, and not in the record, because there is no shorter way to anything: on the way of every
    /// poll a pointer to be loaded and checked costs 0.3 ns more (2026-11-21, `yield/many`).
    static WORD: AtomicU64 = const { AtomicU64::new(0) };
    /// Where this thread called `block_on`, as a [`Place`]'s number; unknown when it is not in it. Its signal handler reads it, too.
    static ENTERED: AtomicU16 = const { AtomicU16::new(Place::UNKNOWN.0) };
    /// Where the future that was given to `block_on` awaits.
    static BLOCK_ON_AWAITS: Cell<Place> = const { Cell::new(Place::UNKNOWN) };
}

/// What this thread polls.
#[inline]
pub(super) fn word() -> Word {
    Word(WORD.with(|word| word.load(Relaxed)))
}

/// What this thread polls.
#[inline]
pub(crate) fn current() -> Current {
    // In a model threads take turns on one real thread, whose word is then what any of them polls.
    if cfg!(loom) { Current::Nothing } else { word().current() }
}

/// The future that was given to `block_on` has to wait at `place`.
#[inline]
pub(crate) fn set_block_on_awaits(place: Place) {
    BLOCK_ON_AWAITS.set(place);
}

/// Where the future given to `block_on` has to wait.
#[inline]
pub(crate) fn block_on_awaited() -> Place {
    BLOCK_ON_AWAITS.get()
}

/// Where this thread called `block_on`; unknown when it is not in it.
pub(crate) fn block_on_entered() -> Place {
    Place(ENTERED.with(|entered| entered.load(Relaxed)))
}

/// A thread that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) thread: Thread,
    /// The kernel's number.
    pub(super) id: i32,
    /// Its word, and where it has called `block_on`, until it ends. It does not end while this is locked.
    word: Mutex<Option<(Foreign<AtomicU64>, Foreign<AtomicU16>)>>,
    /// What the watchdog knows of it.
    seen: Mutex<Seen>,
}

static WATCHES: Mutex<Vec<Arc<Watch>>> = Mutex::new(Vec::new());

/// All threads that are watched.
pub(super) fn watches() -> Vec<Arc<Watch>> {
    unpoisoned(WATCHES.lock()).clone()
}

impl Watch {
    /// Calls `look` with what the thread polls, and keeps it from ending meanwhile. `None` if it has ended. Where it is not in `block_on` it
    /// polls nothing: a call may block as long as it likes in the pool that is for that.
    pub(super) fn look<T>(&self, look: impl FnOnce(&dyn Fn() -> Word) -> T) -> Option<T> {
        let held = unpoisoned(self.word.lock());
        let (word, entered) = held.as_ref()?;
        let is_in = || entered.load(Relaxed) != Place::UNKNOWN.0;
        Some(look(&|| if is_in() { Word(word.load(Relaxed)) } else { Word::default() }))
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        unpoisoned(self.seen.lock())
    }
}

thread_local! {
    static MINE: Mine = Mine::new();
}

/// Takes a thread's record away when the thread ends.
struct Mine(Arc<Watch>);

impl Mine {
    fn new() -> Self {
        let watch = Arc::new(Watch {
            thread: std::thread::current(),
            id: signal::thread_id(),
            word: Mutex::new(Some((WORD.with(Foreign::new), ENTERED.with(Foreign::new)))),
            seen: Mutex::default(),
        });
        unpoisoned(WATCHES.lock()).push(watch.clone());
        sampler::start_if_on();
        Self(watch)
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        unpoisoned(WATCHES.lock()).retain(|watch| !Arc::ptr_eq(watch, &self.0));
        *unpoisoned(self.0.word.lock()) = None;
    }
}

/// Has this thread watched. Not while it ends: it would stay in the list. Nor by Miri, which knows no signals.
pub(crate) fn register() {
    if !cfg!(miri) {
        let _ = MINE.try_with(|_| ());
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
            // For the handler of a signal, which runs on this thread: what it finds in the word is there.
            compiler_fence(SeqCst);
            Self { outer }
        })
    }

    /// It is over. What is around it goes on, with another count: it would look like one long poll otherwise where a poll runs tasks
    /// over and over.
    #[inline]
    pub(crate) fn end(self) {
        WORD.with(|word| word.store(self.outer.wrapping_add(ONE), Relaxed));
        compiler_fence(SeqCst);
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
    /// Both from before: there may be a stranger's executor in between, and a task of ours around it.
    outer: Word,
    entered: Place,
}

impl Entry {
    /// With the place where it was called.
    pub(crate) fn new(caller: &'static Location<'static>) -> Self {
        register();
        let entered = Place(ENTERED.with(|entered| entered.swap(Place::of(caller).0, Relaxed)));
        let outer = word();
        if entered == Place::UNKNOWN {
            // What is around it is polled by an executor that nobody watches, and may wait: a call in the pool that is for that.
            WORD.with(|word| word.store((outer.0 & !(ONE - 1)).wrapping_add(ONE), Relaxed));
        }
        Self { outer, entered }
    }

    /// Begins to poll the future that was given to `block_on`.
    #[inline]
    pub(crate) fn begin_poll() -> Poll {
        BLOCK_ON_AWAITS.set(Place::UNKNOWN);
        births::begin_turn();
        let poll = Poll::begin(BLOCK_ON);
        sampler::rouse();
        poll
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        births::fall_asleep();
        ENTERED.with(|entered| entered.store(self.entered.0, Relaxed));
        // The poll may have ended by a panic.
        WORD.with(|word| {
            let count = word.load(Relaxed) & !(ONE - 1);
            word.store((self.outer.address() | count).wrapping_add(ONE), Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::from_ref;

    #[test]
    fn a_word_tells_tasks_from_block_on_and_one_poll_from_the_next() {
        let task = Box::new(0_u64);
        assert_eq!(word().current(), Current::Nothing);
        let poll = begin(from_ref(&*task).cast());
        let first = word();
        assert_eq!(first.current(), Current::Task(from_ref(&*task).cast()));
        poll.end();
        assert_eq!(word().current(), Current::Nothing);
        let poll = begin(from_ref(&*task).cast());
        assert_ne!(word(), first);
        poll.end();
        let entry = Entry::new(Location::caller());
        let poll = Entry::begin_poll();
        assert_eq!(word().current(), Current::BlockOn);
        poll.end();
        drop(entry);
        assert_eq!(word().current(), Current::Nothing);
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
