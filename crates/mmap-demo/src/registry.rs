//! Which addresses belong to a view: a table that a signal handler can search.
//!
//! The handler may run at any moment, in the middle of anything, so it may neither wait nor allocate. All slots there can ever be stand in
//! one table, which costs nothing until it is touched. Who opens a view takes a free slot, who drops it gives it back. Nobody waits for
//! anybody here: a process may be forked while another of its threads opens a view, and a lock that was held at that moment would be
//! held in the child for ever.
//!
//! # Why the handler finds the right slot, or none
//! A slot is two addresses, which are not read in one go. Its *sequence* tells a torn pair: odd while somebody writes, and changed when
//! somebody has written. The handler does not try again when it meets such a slot. It passes on, because a slot in motion can't be the one
//! that it looks for: it runs in the thread whose load has faulted, that thread borrows the view that it reads, and a borrowed view
//! neither is being opened nor dropped. For the same reason the slot it finds stays what it is until the handler returns.
//!
//! Addresses of others are never taken for a view's: a slot is filled after its range was mapped and emptied before it is unmapped, and
//! what is mapped is nobody else's.

use std::ops::Range;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// What threads share here, so that a model can be checked of it.
mod watched {
    #[cfg(loom)]
    pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};
    #[cfg(not(loom))]
    pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};
}
use watched::fence;

/// The flag itself is read by loads that no model can watch: see `Slot::lose`.
use std::sync::atomic::AtomicUsize as Flag;

/// As many mapped views as a process may have at once: Linux allows it 65,530 mappings, unless it is told otherwise (`vm.max_map_count`).
#[cfg(not(loom))]
const MOST: usize = 1 << 16;
/// No address was lost.
pub(crate) const NONE: usize = usize::MAX;

/// 2 MiB of zeros that are in no file, and in memory as far as they are used.
#[cfg(not(loom))]
static TABLE: Table<MOST> = Table::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref TABLE: Table<4> = Table::new();
}

/// One view's range of addresses, and whether any of them was lost.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Odd while `start` and `end` are being written.
    sequence: watched::AtomicU32,
    /// Of a slot that was given back: the one given back before it, counted from 1; 0 for none.
    before: watched::AtomicU32,
    start: watched::AtomicUsize,
    /// The first address that is none of the range's; an empty slot begins and ends at 0.
    end: watched::AtomicUsize,
    /// The lowest address that had to be filled with zeros, or [`NONE`].
    lost: Flag,
}

/// Slots, those in use and those that may be taken.
#[derive(Debug)]
struct Table<const N: usize> {
    slots: [Slot; N],
    /// The slot that was given back last, counted from 1, 0 for none. Above its 32 bits stands how often this was changed: who has looked
    /// at a slot's `before` takes it only if nobody has taken it or given it back since.
    given_back: watched::AtomicU64,
    /// So many have been handed out afresh.
    handed_out: watched::AtomicUsize,
}

/// A range of addresses that the handler watches over, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    slot: &'static Slot,
    index: u32,
}

impl Registration {
    /// Watches over `range`, which has just been mapped. `None` when there are too many already.
    pub(crate) fn new(range: Range<usize>) -> Option<Self> {
        let index = TABLE.take()?;
        let slot = TABLE.slot(index);
        slot.lost.store(NONE, Relaxed);
        slot.set(range.start, range.end);
        Some(Self { slot, index })
    }

    /// The lowest address that was lost, if one was.
    #[inline]
    pub(crate) fn lost(&self) -> Option<usize> {
        let lost = self.slot.lost.load(Relaxed);
        (lost != NONE).then_some(lost)
    }

    /// Whether nothing was lost: one load and one comparison.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.slot.lost.load(Relaxed) == NONE
    }

    /// What [`is_whole`](Self::is_whole) looks at: [`NONE`], or the lowest address that was lost. After this is dropped it is another's.
    pub(crate) fn flag(&self) -> &'static Flag {
        &self.slot.lost
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.slot.set(0, 0);
        TABLE.give_back(self.index);
    }
}

impl Slot {
    /// All zeros, so that a table of them takes no room in the program's file.
    #[cfg(not(loom))]
    const fn new() -> Self {
        use watched::{AtomicU32, AtomicUsize};
        Self {
            sequence: AtomicU32::new(0),
            before: AtomicU32::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            lost: Flag::new(0),
        }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self {
            sequence: Default::default(),
            before: Default::default(),
            start: Default::default(),
            end: Default::default(),
            lost: Flag::new(0),
        }
    }

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

    /// The range, if it has this address.
    fn holds(&self, address: usize) -> Option<Range<usize>> {
        let before = self.sequence.load(Acquire);
        let range = self.start.load(Relaxed)..self.end.load(Relaxed);
        fence(Acquire);
        let after = self.sequence.load(Relaxed);
        (before.is_multiple_of(2) && before == after && range.contains(&address)).then_some(range)
    }

    /// Says that this address is lost. To be called *before* zeros are put in its place: who reads the zeros then sees the flag.
    pub(crate) fn lose(&self, address: usize) {
        self.lost.fetch_min(address, Relaxed);
    }
}

impl<const N: usize> Table<N> {
    #[cfg(not(loom))]
    const fn new() -> Self {
        let (given_back, handed_out) = (watched::AtomicU64::new(0), watched::AtomicUsize::new(0));
        Self { slots: [const { Slot::new() }; N], given_back, handed_out }
    }

    #[cfg(loom)]
    fn new() -> Self {
        let slots = std::array::from_fn(|_| Slot::new());
        Self { slots, given_back: Default::default(), handed_out: Default::default() }
    }

    fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    /// A slot that nobody else has: one that was given back, or a fresh one.
    fn take(&self) -> Option<u32> {
        let mut last = self.given_back.load(Acquire);
        while let Some(index) = (last as u32).checked_sub(1) {
            // Another one may take it meanwhile, and use it, and give it back: this number is then an old one, and not taken for a new one.
            let next = self.slot(index).before.load(Relaxed);
            match self.given_back.compare_exchange_weak(last, changed(last, next), AcqRel, Acquire) {
                Ok(_) => return Some(index),
                Err(now) => last = now,
            }
        }
        let fresh = self.handed_out.fetch_update(Relaxed, Relaxed, |count| (count < N).then_some(count + 1));
        fresh.ok().map(|count| count as u32)
    }

    fn give_back(&self, index: u32) {
        let mut last = self.given_back.load(Relaxed);
        loop {
            self.slot(index).before.store(last as u32, Relaxed);
            // Released, for whoever takes it next has to see what was written to it.
            match self.given_back.compare_exchange_weak(last, changed(last, index + 1), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => last = now,
            }
        }
    }

    fn find(&self, address: usize) -> Option<(&Slot, Range<usize>)> {
        // The one that is looked for was handed out before this thread had its view.
        let used = &self.slots[..self.handed_out.load(Relaxed)];
        used.iter().find_map(|slot| Some((slot, slot.holds(address)?)))
    }
}

/// The next value of [`Table::given_back`]. Its upper half is the same again after 2^32 changes: so many would have to fall between two
/// steps of one thread to be taken for none.
fn changed(last: u64, number: u32) -> u64 {
    ((last >> 32) + 1) << 32 | u64::from(number)
}

/// The slot of the view that has this address, and its range. For the handler: it takes no lock and makes nothing.
///
/// The address has to be one that this thread was about to read when it was interrupted.
pub(crate) fn find(address: usize) -> Option<(&'static Slot, Range<usize>)> {
    TABLE.find(address)
}

/// Every order in which the steps of threads may fall, with every value that a load may see:
/// `RUSTFLAGS="--cfg loom" cargo test --package mmap-demo --release --lib models`
#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// As [`loom::model`], but a thread is stopped in the middle so many times at most: without a bound it takes hours.
    fn bounded(stops: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(stops);
        builder.check(model);
    }

    #[test]
    fn a_slot_in_motion_is_never_taken_for_a_range_that_it_has_not() {
        loom::model(|| {
            let slot = Arc::new(Slot::new());
            slot.set(100, 200);
            let owner = Arc::clone(&slot);
            let owner = thread::spawn(move || {
                owner.set(0, 0);
                owner.set(300, 400);
            });
            // Between the two ranges nothing is anybody's: the one's start and the other's end would hold it.
            assert!(slot.holds(250).is_none(), "a torn pair");
            owner.join().unwrap();
            assert!(slot.holds(300).is_some() && slot.holds(150).is_none());
        });
    }

    #[test]
    fn whoever_was_handed_the_view_finds_its_range() {
        bounded(2, || {
            let table = Arc::new(Table::<2>::new());
            // Another thread opens and drops a view of its own at the same time.
            let other = Arc::clone(&table);
            let other = thread::spawn(move || {
                let index = other.take().unwrap();
                other.slot(index).set(500, 600);
                other.slot(index).set(0, 0);
                other.give_back(index);
            });
            let index = table.take().unwrap();
            table.slot(index).set(100, 200);
            let reader = Arc::clone(&table);
            // A thread that borrows the view has it from its owner: what was written before is seen.
            let reader = thread::spawn(move || assert!(reader.find(150).is_some_and(|(_, range)| range == (100..200))));
            reader.join().unwrap();
            table.slot(index).set(0, 0);
            assert!(table.find(150).is_none());
            other.join().unwrap();
        });
    }

    #[test]
    fn no_slot_has_two_owners() {
        bounded(3, || {
            let table = Arc::new(Table::<2>::new());
            let both = [table.take().unwrap(), table.take().unwrap()];
            both.into_iter().for_each(|index| table.give_back(index));
            let other = Arc::clone(&table);
            let other = thread::spawn(move || {
                // Both are taken and one is given back: the list begins with the same slot as before, and has another behind it.
                let (first, second) = (other.take(), other.take());
                first.into_iter().for_each(|first| other.give_back(first));
                second
            });
            let mine = [table.take(), table.take()];
            let theirs = other.join().unwrap();
            let held: Vec<u32> = mine.into_iter().chain([theirs]).flatten().collect();
            assert!(held.len() <= 2 && (held.len() < 2 || held[0] != held[1]), "{held:?}");
        });
    }

    #[test]
    fn who_copies_zeros_sees_the_flag() {
        loom::model(|| {
            const ZEROS: usize = 0;
            // The flag stands for a slot's `lost`, and the page for what is mapped: `mmap` changes the page tables under a lock.
            let (lost, page) = (Arc::new(watched::AtomicUsize::new(NONE)), Arc::new(watched::AtomicUsize::new(7)));
            let handler = {
                let (lost, page) = (Arc::clone(&lost), Arc::clone(&page));
                thread::spawn(move || {
                    lost.fetch_min(9, Relaxed);
                    page.store(ZEROS, Release);
                })
            };
            // As `Mapped::copy_to` has it: the bytes, a fence, the flag.
            let copied = page.load(Relaxed);
            fence(Acquire);
            assert!(copied != ZEROS || lost.load(Relaxed) != NONE, "zeros were taken for the file's bytes");
            handler.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Addresses that nothing is ever mapped at; the tests share one table.
    const BASE: usize = 1 << 60;

    fn watch(range: Range<usize>) -> Registration {
        Registration::new(range).expect("a free slot")
    }

    fn lose(address: usize) {
        find(address).expect("it is held").0.lose(address);
    }

    #[test]
    fn an_address_is_found_from_the_first_to_the_last_of_its_range_and_not_after_the_drop() {
        let held = watch(BASE..BASE + 4096);
        assert!(find(BASE + 4095).is_some_and(|(_, range)| range == (BASE..BASE + 4096)));
        assert!(find(BASE).is_some() && find(BASE - 1).is_none() && find(BASE + 4096).is_none());
        lose(BASE + 9);
        find(BASE).unwrap().0.lose(BASE + 700);
        assert_eq!(held.lost(), Some(BASE + 9));
        drop(held);
        assert!(find(BASE).is_none());
        assert!(watch(BASE..BASE + 1).is_whole(), "a slot that is used again has lost nothing");
    }

    #[test]
    fn thousands_of_ranges_are_all_found() {
        let begin = BASE + (1 << 40);
        let all: Vec<Registration> = (0..3_000).map(|n| watch(begin + n * 8192..begin + n * 8192 + 4096)).collect();
        for n in 0..3_000 {
            lose(begin + n * 8192 + 5);
            assert!(find(begin + n * 8192 + 4096).is_none());
        }
        assert!(all.iter().enumerate().all(|(n, held)| held.lost() == Some(begin + n * 8192 + 5)));
    }

    #[test]
    fn a_range_that_is_held_is_found_and_no_foreign_address_while_others_come_and_go() {
        let begin = BASE + (2 << 40);
        let mine = watch(begin..begin + 4096);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2_usize {
                let done = &done;
                scope.spawn(move || {
                    // Ranges below and above `mine`: of one's start and the other's end a torn pair would cover it.
                    for round in 0..50_000 {
                        let side = if round % 2 == 0 { begin - (1 << 30) } else { begin + (1 << 30) };
                        drop(watch(side + thread * 65_536..side + thread * 65_536 + 4096));
                    }
                    done.store(true, Relaxed);
                });
            }
            while !done.load(Relaxed) {
                lose(begin + 8);
                assert!(find(begin + 8192).is_none(), "a torn pair was taken for a range");
            }
        });
        assert_eq!(mine.lost(), Some(begin + 8));
    }

    #[test]
    fn slots_are_used_again() {
        let begin = BASE + (3 << 40);
        let before = TABLE.handed_out.load(Relaxed);
        (0..10_000).for_each(|_| drop(watch(begin..begin + 1)));
        let after = TABLE.handed_out.load(Relaxed);
        assert!(after < before + 5_000, "{after} slots after {before}");
    }

    #[test]
    fn a_full_table_has_no_slot_until_one_is_given_back() {
        let table = Table::<3>::new();
        assert_eq!([(); 4].map(|()| table.take()), [Some(0), Some(1), Some(2), None]);
        table.give_back(1);
        assert_eq!((table.take(), table.take()), (Some(1), None));
    }

    #[test]
    fn four_threads_never_have_the_same_slot() {
        let table = Table::<6>::new();
        let owned = [const { AtomicBool::new(false) }; 6];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        let taken: Vec<u32> = [table.take(), table.take()].into_iter().flatten().collect();
                        let twice = |index: &&u32| owned[**index as usize].swap(true, AcqRel);
                        assert_eq!(taken.iter().find(twice), None, "it has an owner");
                        for index in taken {
                            owned[index as usize].store(false, Release);
                            table.give_back(index);
                        }
                    }
                });
            }
        });
        assert_eq!(table.handed_out.load(Relaxed), 6);
    }
}
