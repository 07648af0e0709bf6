//! Which addresses belong to a view: a table that a signal handler can search.
//!
//! The handler may run at any moment, in the middle of anything, so it may neither wait nor allocate. Slots stand in chunks that are
//! never freed; each chunk has twice as many as the one before. Who opens a view takes a free slot, who drops it gives it back; they take
//! turns by a lock that the handler never touches.
//!
//! # Why the handler finds the right slot, or none
//! A slot is two addresses, which are not read in one go. Its *sequence* tells a torn pair: odd while somebody writes, and changed when
//! somebody has written. The handler does not try again when it meets such a slot. It passes on, because a slot in motion can't be the one
//! that it looks for: it runs in the thread whose load has faulted, that thread borrows the view that it reads, and a borrowed view
//! neither is being opened nor dropped. For the same reason the slot it finds stays what it is until the handler returns.
//!
//! Addresses of others are never taken for a view's: a slot is filled after its range was mapped and emptied before it is unmapped, and
//! what is mapped is nobody else's.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What the handler and a slot's owner share, so that a model can be checked of it.
mod watched {
    #[cfg(loom)]
    pub(super) use loom::sync::atomic::{AtomicU32, AtomicUsize, fence};
    #[cfg(not(loom))]
    pub(super) use std::sync::atomic::{AtomicU32, AtomicUsize, fence};
}
use watched::fence;

/// Slots of the first chunk; the n-th has 2^n times as many.
const FIRST: usize = 64;
/// As many chunks as no address space has pages for.
const CHUNKS: usize = 40;
/// No address was lost.
pub(crate) const NONE: usize = usize::MAX;

static TABLE: [OnceLock<Box<[Slot]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
static FREE: Mutex<Free> = Mutex::new(Free { given_back: Vec::new(), handed_out: 0 });

/// One view's range of addresses, and whether any of them was lost.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Odd while `start` and `end` are being written.
    sequence: watched::AtomicU32,
    start: watched::AtomicUsize,
    /// The first address that is none of the range's; an empty slot begins and ends at 0.
    end: watched::AtomicUsize,
    /// The lowest address that had to be filled with zeros, or [`NONE`].
    lost: AtomicUsize,
}

struct Free {
    given_back: Vec<&'static Slot>,
    /// So many have been handed out afresh.
    handed_out: usize,
}

/// A range of addresses that the handler watches over, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration(&'static Slot);

impl Registration {
    /// Watches over `[start, end)`, which has just been mapped.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let slot = take();
        slot.lost.store(NONE, Relaxed);
        slot.set(start, end);
        Self(slot)
    }

    /// The lowest address that was lost, if one was.
    #[inline]
    pub(crate) fn lost(&self) -> Option<usize> {
        let lost = self.0.lost.load(Relaxed);
        (lost != NONE).then_some(lost)
    }

    /// Whether nothing was lost: one load and one comparison.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.0.lost.load(Relaxed) == NONE
    }

    /// What [`is_whole`](Self::is_whole) looks at: [`NONE`], or the lowest address that was lost. After this is dropped it is another's.
    pub(crate) fn flag(&self) -> &'static AtomicUsize {
        &self.0.lost
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.set(0, 0);
        free().given_back.push(self.0);
    }
}

impl Slot {
    /// Only whoever took the slot writes to it.
    fn set(&self, start: usize, end: usize) {
        let sequence = self.sequence.load(Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Relaxed);
        // Who sees one of the new addresses sees an odd sequence, or a later one.
        fence(Release);
        self.start.store(start, Relaxed);
        self.end.store(end, Relaxed);
        self.sequence.store(sequence.wrapping_add(2), Release);
    }

    fn holds(&self, address: usize) -> bool {
        let before = self.sequence.load(Acquire);
        let (start, end) = (self.start.load(Relaxed), self.end.load(Relaxed));
        fence(Acquire);
        let after = self.sequence.load(Relaxed);
        before.is_multiple_of(2) && before == after && (start..end).contains(&address)
    }

    /// Says that this address is lost. To be called *before* zeros are put in its place: who reads the zeros then sees the flag.
    pub(crate) fn lose(&self, address: usize) {
        self.lost.fetch_min(address, Relaxed);
    }
}

/// The slot of the view that has this address. For the handler: it takes no lock and makes nothing.
///
/// The address has to be one that this thread was about to read when it was interrupted.
pub(crate) fn find(address: usize) -> Option<&'static Slot> {
    let chunks = TABLE.iter().map_while(OnceLock::get);
    chunks.flat_map(|chunk| chunk.iter()).find(|slot| slot.holds(address))
}

/// How many slots there have ever been in use at the same time, at least.
#[cfg(all(test, not(loom)))]
pub(crate) fn handed_out() -> usize {
    free().handed_out
}

fn free() -> MutexGuard<'static, Free> {
    // Nothing in here leaves it half done.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take() -> &'static Slot {
    let mut free = free();
    if let Some(slot) = free.given_back.pop() {
        return slot;
    }
    // Chunk n begins at FIRST * (2^n - 1).
    let index = free.handed_out;
    let chunk = (index / FIRST + 1).ilog2() as usize;
    let begin = FIRST * ((1 << chunk) - 1);
    let slots = TABLE[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| Slot::default()).collect());
    free.handed_out += 1;
    &slots[index - begin]
}

/// Every order in which the steps of a slot's owner and of a handler may fall, with every value that a load may see:
/// `RUSTFLAGS="--cfg loom" cargo test --package mmap-demo --release --lib models`
#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn a_slot_in_motion_is_never_taken_for_a_range_that_it_has_not() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            slot.set(100, 200);
            let owner = Arc::clone(&slot);
            let owner = thread::spawn(move || {
                owner.set(0, 0);
                owner.set(300, 400);
            });
            // Between the two ranges nothing is anybody's: the one's start and the other's end would hold it.
            assert!(!slot.holds(250), "a torn pair");
            owner.join().unwrap();
            assert!(slot.holds(300) && !slot.holds(150));
        });
    }

    #[test]
    fn whoever_was_handed_the_view_finds_its_range() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            slot.set(100, 200);
            let reader = Arc::clone(&slot);
            // A thread that borrows the view has it from its owner: what was written before is seen.
            let reader = thread::spawn(move || assert!(reader.holds(150)));
            reader.join().unwrap();
            slot.set(0, 0);
            assert!(!slot.holds(150));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Addresses that nothing is ever mapped at; the tests share one table.
    const BASE: usize = 1 << 60;

    #[test]
    fn an_address_is_found_from_the_first_to_the_last_of_its_range_and_not_after_the_drop() {
        let held = Registration::new(BASE, BASE + 4096);
        assert!(find(BASE).is_some() && find(BASE + 4095).is_some());
        assert!(find(BASE - 1).is_none() && find(BASE + 4096).is_none());
        find(BASE + 9).unwrap().lose(BASE + 9);
        find(BASE).unwrap().lose(BASE + 700);
        assert_eq!(held.lost(), Some(BASE + 9));
        drop(held);
        assert!(find(BASE).is_none());
        assert!(Registration::new(BASE, BASE + 1).is_whole(), "a slot that is used again has lost nothing");
    }

    #[test]
    fn thousands_of_ranges_are_all_found() {
        let begin = BASE + (1 << 40);
        let all: Vec<Registration> =
            (0..3_000).map(|n| Registration::new(begin + n * 8192, begin + n * 8192 + 4096)).collect();
        for n in 0..3_000 {
            find(begin + n * 8192 + 5).unwrap().lose(begin + n * 8192 + 5);
            assert!(find(begin + n * 8192 + 4096).is_none());
        }
        assert!(all.iter().enumerate().all(|(n, held)| held.lost() == Some(begin + n * 8192 + 5)));
    }

    #[test]
    fn a_range_that_is_held_is_found_and_no_foreign_address_while_others_come_and_go() {
        let begin = BASE + (2 << 40);
        let mine = Registration::new(begin, begin + 4096);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2_usize {
                let done = &done;
                scope.spawn(move || {
                    // Ranges below and above `mine`: of one's start and the other's end a torn pair would cover it.
                    for round in 0..50_000 {
                        let side = if round % 2 == 0 { begin - (1 << 30) } else { begin + (1 << 30) };
                        drop(Registration::new(side + thread * 65_536, side + thread * 65_536 + 4096));
                    }
                    done.store(true, Relaxed);
                });
            }
            while !done.load(Relaxed) {
                find(begin + 8).expect("it is held").lose(begin + 8);
                assert!(find(begin + 8192).is_none(), "a torn pair was taken for a range");
            }
        });
        assert_eq!(mine.lost(), Some(begin + 8));
    }

    #[test]
    fn slots_are_used_again() {
        let begin = BASE + (3 << 40);
        let before = handed_out();
        (0..10_000).for_each(|_| drop(Registration::new(begin, begin + 1)));
        assert!(handed_out() < before + 5_000, "{} slots after {before}", handed_out());
    }
}
