//! Which number the block at an address has.
//!
//! Addresses are divided into regions of 64 MiB (glibc's arenas of other threads than the first are one each, so threads seldom meet in a
//! region). A region has a hash table of eight bytes an entry: 22 bits of the address (blocks are 16 bytes apart) and 40 bits of the block's
//! number. Entries lie in buckets of eight, a cache line each, which are searched at once: how far a search goes is hard to guess for the
//! processor, and a wrong guess costs as much as all the rest. Tables are at most three quarters full, and double.
//!
//! - Blocks of one stretch of 256 bytes have the same bucket: who asks for one after the other, or frees them so, finds it in the cache. glibc's
//!   blocks are 32 bytes apart at least, so one stretch alone never fills more than its bucket.
//! - An entry whose bucket is full goes into the next that is not. A bucket counts those that have gone by; as long as there are none, no search
//!   looks further.
//!
//! # Python's objects
//! They lie close to one another, and are handed out and taken back in the order of addresses more often than not. Their regions have an array besides,
//! with a number for every 16 bytes, of which only those pages become memory where objects are. Nobody asks for one and nobody gives it back
//! without Python's lock: no other is needed.
//!
//! # Locks
//! A region belongs to the first thread that uses it, which needs no atomic instruction as long as no other thread comes: it says that it is busy, looks
//! whether the region is shared, and goes on. Another thread that comes declares the region shared, has the kernel
//! make all processors finish what they have begun (`membarrier`), and waits until the owner isn't busy: from then on the owner sees the
//! declaration, and all take turns with a lock, for good.

mod bucket;

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, compiler_fence};

use bucket::{ALWAYS, Bucket, TAKEN};

use crate::real::Lock;
use crate::system;

/// Bytes of a region, as a power of two.
const REGION_SHIFT: u32 = 26;
/// User space has 47 bits of addresses; the few programs that ask for more are not followed there.
const REGIONS: usize = 1 << (47 - REGION_SHIFT);
const KEY_BITS: u32 = REGION_SHIFT - 4;
/// Numbers of blocks are smaller than this.
pub(crate) const MOST_BLOCKS: u64 = 1 << 40;
/// Stretches of addresses that have a bucket together: of the key, the lowest bits.
const STRETCH_BITS: u32 = 4;
/// A page.
const FIRST_BUCKETS: usize = 64;

/// Two cache lines, since processors fetch pairs: neighbours are other threads'. All zeros is an empty one.
#[repr(C, align(128))]
struct Region {
    /// The number of the thread that it belongs to; 0 if it is nobody's.
    owner: AtomicU32,
    /// The owner is using it.
    busy: AtomicU32,
    /// It is everybody's, and used under the lock.
    shared: AtomicU32,
    lock: Lock,
    table: Table,
    /// Numbers of Python's objects, if there are any: see [`object`].
    objects: AtomicPtr<AtomicU64>,
}

/// The blocks of a region. All zeros is an empty one.
#[repr(C)]
struct Table {
    /// Free places until the table has to grow.
    room: u32,
    /// 64 minus the binary logarithm of the buckets.
    shift: u32,
    mask: usize,
    buckets: *mut Bucket,
}

/// The regions, in memory that a forked child finds zeroed: its blocks are none of ours any more.
static REGIONS_AT: AtomicPtr<Region> = AtomicPtr::new(core::ptr::null_mut());

static BARRIER: AtomicU32 = AtomicU32::new(0);

/// Bytes of addresses that the regions take, of which few become memory.
pub(crate) const ADDRESSES: usize = REGIONS * size_of::<Region>();

/// Makes the regions, once. `false` if there is no address space for them (256 MiB, of which what is used becomes memory).
pub(crate) fn prepare() -> bool {
    if REGIONS_AT.load(Relaxed).is_null() {
        REGIONS_AT.store(system::map(ADDRESSES, true).cast(), Relaxed);
    }
    BARRIER.store(u32::from(register_barrier()), Relaxed);
    !REGIONS_AT.load(Relaxed).is_null()
}

/// Whether there are regions.
#[inline(always)]
pub(crate) fn is_prepared() -> bool {
    !REGIONS_AT.load(Relaxed).is_null()
}

/// Whether processors can be made to finish: without, every region is everybody's.
fn register_barrier() -> bool {
    // SAFETY: touches no memory.
    unsafe {
        system::call(libc::SYS_membarrier, [libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED as usize, 0, 0, 0, 0, 0])
            == 0
    }
}

/// A region while it is this thread's alone.
struct Turn {
    region: *mut Region,
    is_own: bool,
    key: u32,
}

impl Turn {
    /// With the region of an address; `None` for addresses that are not followed.
    #[inline(always)]
    fn take(address: usize, thread: u32) -> Option<Self> {
        let index = address >> REGION_SHIFT;
        if index >= REGIONS {
            return None;
        }
        let key = (address >> 4) as u32 & ((1 << KEY_BITS) - 1);
        // SAFETY: `prepare` was called before the first thread was attached, and made that many regions.
        let region = unsafe { REGIONS_AT.load(Relaxed).add(index) };
        // SAFETY: these are used through shared references alone.
        let (owner, busy, shared) = unsafe { (&(*region).owner, &(*region).busy, &(*region).shared) };
        let is_own = owner.load(Relaxed) == thread && {
            busy.store(1, Relaxed);
            // Not even the compiler may exchange the two; the processor may, until `membarrier` makes it finish.
            compiler_fence(SeqCst);
            shared.load(Relaxed) == 0
        };
        if !is_own {
            // SAFETY: as above.
            take_turn(unsafe { &(*region).lock }, owner, busy, shared, thread);
        }
        Some(Self { region, is_own, key })
    }

    #[inline(always)]
    fn table(&mut self) -> &mut Table {
        // SAFETY: this thread owns the region, is busy, and it isn't shared; or the lock is its, and the owner, if there is one, uses it, too. A signal
        // handler stays out, since the thread is marked as inside.
        unsafe { &mut (*self.region).table }
    }
}

impl Drop for Turn {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: as in `take`.
        let (busy, lock) = unsafe { (&(*self.region).busy, &(*self.region).lock) };
        if self.is_own {
            busy.store(0, Release);
        } else {
            lock.release();
        }
    }
}

/// Takes the lock of a region that is not this thread's alone.
#[cold]
#[inline(never)]
fn take_turn(lock: &Lock, owner: &AtomicU32, busy: &AtomicU32, shared: &AtomicU32, thread: u32) {
    if owner.load(Relaxed) == thread {
        busy.store(0, Release);
    }
    lock.take();
    share(owner, busy, shared, thread);
}

/// Under the lock: makes a region that is nobody's this thread's, and another's everybody's.
fn share(owner: &AtomicU32, busy: &AtomicU32, shared: &AtomicU32, thread: u32) {
    if shared.load(Relaxed) != 0 {
        return;
    }
    match owner.load(Relaxed) {
        0 if BARRIER.load(Relaxed) != 0 => owner.store(thread, Relaxed),
        0 => shared.store(1, Relaxed),
        other => {
            shared.store(1, SeqCst);
            if other != thread {
                // SAFETY: touches no memory.
                unsafe {
                    system::call(libc::SYS_membarrier, [libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED as usize, 0, 0, 0, 0, 0])
                };
            }
            while busy.load(Acquire) != 0 {
                system::let_others_run();
            }
        }
    }
}

/// What became of a block that was to be entered.
pub(crate) enum Entered {
    /// It is there.
    Yes,
    /// It is there, in place of one whose end nobody saw.
    InPlaceOf(u64),
    /// There is no memory for it, or the address is out of reach.
    No,
}

/// Enters a block, whose number is not 0.
#[inline(always)]
pub(crate) fn enter(address: usize, number: u64, thread: u32) -> Entered {
    let Some(mut turn) = Turn::take(address, thread) else { return Entered::No };
    let key = turn.key;
    turn.table().enter(key, number)
}

/// Takes a block out.
#[inline(always)]
pub(crate) fn remove(address: usize, thread: u32) -> Option<u64> {
    let mut turn = Turn::take(address, thread)?;
    let key = turn.key;
    turn.table().remove(key)
}

/// Where the number of an object stands that Python has at an address, 0 if there is none; `None` where there is no memory for it, or none was made
/// and `make` doesn't say so. The calling thread has Python's lock.
#[inline(always)]
pub(crate) fn object(address: usize, make: bool) -> Option<&'static AtomicU64> {
    let index = address >> REGION_SHIFT;
    if index >= REGIONS {
        return None;
    }
    // SAFETY: as in `Turn::take`.
    let objects = unsafe { &(*REGIONS_AT.load(Relaxed).add(index)).objects };
    let mut array = objects.load(Acquire);
    if array.is_null() {
        array = if make { objects_of_region(objects) } else { array };
        if array.is_null() {
            return None;
        }
    }
    // SAFETY: the array is mapped for good, and has that many.
    Some(unsafe { &*array.add(address >> 4 & (OBJECTS - 1)) })
}

/// Objects that a region may have.
const OBJECTS: usize = 1 << KEY_BITS;

#[cold]
#[inline(never)]
fn objects_of_region(objects: &AtomicPtr<AtomicU64>) -> *mut AtomicU64 {
    let new: *mut AtomicU64 = system::map(OBJECTS * size_of::<AtomicU64>(), false).cast();
    // Interpreters with a lock each may meet here.
    if let Err(other) = objects.compare_exchange(core::ptr::null_mut(), new, Release, Acquire) {
        system::unmap(new.cast(), OBJECTS * size_of::<AtomicU64>());
        return other;
    }
    new
}

impl Table {
    #[inline(always)]
    fn home(&self, key: u32) -> usize {
        (u64::from(key >> STRETCH_BITS).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline(always)]
    fn bucket(&mut self, index: usize) -> &mut Bucket {
        // SAFETY: the index is masked, and there are mask + 1 buckets.
        unsafe { &mut *self.buckets.add(index & self.mask) }
    }

    /// The bucket and the place of a key.
    #[inline(always)]
    fn find(&mut self, key: u32) -> Option<(usize, usize)> {
        let home = self.home(key);
        for index in home..=home + self.mask {
            let bucket = self.bucket(index);
            let places = bucket.places(TAKEN | key, TAKEN | (TAKEN - 1));
            if places != 0 {
                return Some((index, places.trailing_zeros() as usize));
            }
            if bucket.gone_by() == 0 {
                break;
            }
        }
        None
    }

    #[inline(always)]
    fn enter(&mut self, key: u32, number: u64) -> Entered {
        if self.room == 0 && !self.grow() {
            return Entered::No;
        }
        let home = self.home(key);
        let bucket = self.bucket(home);
        let free = bucket.places(0, u32::MAX);
        // Most have room where they belong, and nothing of theirs lies further on.
        if free != 0 && bucket.gone_by() == 0 && bucket.places(TAKEN | key, TAKEN | (TAKEN - 1)) == 0 {
            bucket.put(free.trailing_zeros() as usize, key, number);
            self.room -= 1;
            return Entered::Yes;
        }
        if let Some((index, place)) = self.find(key) {
            let bucket = self.bucket(index);
            let before = bucket.number(place);
            bucket.put(place, key, number);
            return Entered::InPlaceOf(before);
        }
        self.put(key, number);
        Entered::Yes
    }

    /// Puts an entry into the first free place from its bucket on. There is one: the table is never full.
    #[inline(always)]
    fn put(&mut self, key: u32, number: u64) {
        let mut index = self.home(key);
        loop {
            let bucket = self.bucket(index);
            let free = bucket.places(0, u32::MAX);
            if free != 0 {
                bucket.put(free.trailing_zeros() as usize, key, number);
                break;
            }
            bucket.set_gone_by((bucket.gone_by() + 1).min(ALWAYS));
            index += 1;
        }
        self.room -= 1;
    }

    #[inline(always)]
    fn remove(&mut self, key: u32) -> Option<u64> {
        if self.buckets.is_null() {
            return None;
        }
        let (index, place) = self.find(key)?;
        let bucket = self.bucket(index);
        let number = bucket.number(place);
        bucket.low[place & 7] = 0;
        self.room += 1;
        for index in self.home(key)..index {
            let bucket = self.bucket(index);
            if bucket.gone_by() != ALWAYS {
                bucket.set_gone_by(bucket.gone_by() - 1);
            }
        }
        Some(number)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> bool {
        let old = (!self.buckets.is_null()).then_some((self.buckets, self.mask + 1));
        let count = old.map_or(FIRST_BUCKETS, |(_, count)| count * 2);
        let buckets = system::map(count * size_of::<Bucket>(), false);
        if buckets.is_null() {
            return false;
        }
        self.buckets = buckets.cast();
        self.mask = count - 1;
        self.shift = 64 - count.ilog2();
        self.room = (count * 6) as u32;
        if let Some((before, count)) = old {
            for index in 0..count {
                // SAFETY: there were that many.
                let bucket = unsafe { &*before.add(index) };
                for place in 0..8 {
                    if bucket.low[place] != 0 {
                        self.put(bucket.low[place] & (TAKEN - 1), bucket.number(place));
                    }
                }
            }
            system::unmap(before.cast(), count * size_of::<Bucket>());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn table() -> Table {
        // SAFETY: all zeros is an empty one.
        unsafe { core::mem::zeroed() }
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..700_u32, 1..MOST_BLOCKS), 0..4000)) {
            let mut table = table();
            let mut model = HashMap::new();
            for (enter, key, number) in steps {
                // Three strides: neighbours, stretches that are full, stretches far apart.
                let key = key * [1, 2, 37][key as usize % 3] % (1 << KEY_BITS);
                if enter {
                    let before = match table.enter(key, number) {
                        Entered::Yes => None,
                        Entered::InPlaceOf(before) => Some(before),
                        Entered::No => panic!("no memory"),
                    };
                    prop_assert_eq!(before, model.insert(key, number));
                } else {
                    prop_assert_eq!(table.remove(key), model.remove(&key));
                }
            }
        }
    }
}
