//! A waker in one word.
//!
//! Nearly always a task is awaited by another task of this crate. Such a waker is its task's address and nothing else, with a bit that
//! tells the kind of task; any other is put into a box, and the lowest bit says so. Half the size of a `Waker`, which brings a waiting
//! task from 96 bytes to 80.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use super::{local, shared};
use crate::primitives::AtomicPtr;

/// Nobody, one of our tasks, or any other waker in a box.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed(*const ());

/// A box, with any waker.
const BOXED: usize = 1;
/// A task of an [`Executor`](crate::Executor). Without any bit: one of a [`LocalExecutor`](crate::LocalExecutor).
const SHARED: usize = 2;
const TAGS: usize = BOXED | SHARED;

impl Packed {
    pub(super) const NOBODY: Self = Self(std::ptr::null());

    pub(super) fn is_nobody(self) -> bool {
        self == Self::NOBODY
    }

    /// Packs a copy of the waker. Nothing drops it by itself: it has to be unpacked again.
    #[inline]
    pub(super) fn new(waker: &Waker) -> Self {
        if std::ptr::eq(waker.vtable(), &raw const local::WAKER) {
            Self(ManuallyDrop::new(waker.clone()).data())
        } else if std::ptr::eq(waker.vtable(), &raw const shared::WAKER) {
            Self(ManuallyDrop::new(waker.clone()).data().map_addr(|address| address | SHARED))
        } else {
            Self(Box::into_raw(Box::new(waker.clone())).cast_const().cast::<()>().map_addr(|address| address | BOXED))
        }
    }

    /// Whether it would wake the same task.
    #[inline]
    pub(super) fn wakes_the_same_as(self, waker: &Waker) -> bool {
        match self.tag() {
            0 => std::ptr::eq(self.0, waker.data()) && std::ptr::eq(waker.vtable(), &raw const local::WAKER),
            SHARED => {
                std::ptr::eq(self.pointer(), waker.data()) && std::ptr::eq(waker.vtable(), &raw const shared::WAKER)
            }
            // SAFETY: a box that was packed and not yet unpacked, for whoever unpacks one puts `NOBODY` in its place.
            _ => unsafe { (*self.pointer().cast::<Waker>()).will_wake(waker) },
        }
    }

    /// The waker again.
    ///
    /// # Safety
    /// Once for each that was packed.
    #[inline]
    pub(super) unsafe fn unpack(self) -> Option<Waker> {
        if self.is_nobody() {
            return None;
        }
        // SAFETY: the two parts of a waker that was packed, whose reference goes with it, once; or what came out of `Box::into_raw`,
        // and the caller unpacks it once.
        unsafe {
            match self.tag() {
                0 => Some(Waker::new(self.0, &local::WAKER)),
                SHARED => Some(Waker::new(self.pointer(), &shared::WAKER)),
                _ => Some(*Box::from_raw(self.pointer().cast_mut().cast::<Waker>())),
            }
        }
    }

    #[inline]
    fn tag(self) -> usize {
        self.0.addr() & TAGS
    }

    /// What was packed, without its tag.
    #[inline]
    fn pointer(self) -> *const () {
        self.0.map_addr(|address| address & !TAGS)
    }
}

/// A place for one. Atomic because the owner of a task may look at it while another thread writes to it: the owner then finds out that
/// what it saw means nothing, but a plain read would have been a data race all the same. Who may use what it saw, and why it saw all of
/// it, is for the flags of the task to say; so relaxed, and as cheap as a plain one.
pub(super) struct Slot(AtomicPtr<()>);

impl Slot {
    pub(super) fn new(packed: Packed) -> Self {
        Self(AtomicPtr::new(packed.0.cast_mut()))
    }

    #[inline]
    pub(super) fn get(&self) -> Packed {
        Packed(self.0.load(Relaxed))
    }

    /// Puts another one there. Not in one step: one thread at a time writes.
    #[inline]
    pub(super) fn replace(&self, packed: Packed) -> Packed {
        let former = self.get();
        self.0.store(packed.0.cast_mut(), Relaxed);
        former
    }

    /// Has the model complain if anybody may still use it.
    #[cfg(all(test, loom))]
    pub(super) fn end(&mut self) {
        self.0.with_mut(|_| ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Count(AtomicU32);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_stranger_is_packed_woken_and_dropped_once() {
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(count.clone());
        let packed = Packed::new(&waker);
        assert!(packed.wakes_the_same_as(&waker) && !packed.wakes_the_same_as(Waker::noop()));
        // SAFETY: packed above, once.
        unsafe { packed.unpack() }.unwrap().wake();
        drop(waker);
        assert_eq!((count.0.load(Ordering::Relaxed), Arc::strong_count(&count)), (1, 1));
        // SAFETY: nothing was packed.
        assert!(unsafe { Packed::NOBODY.unpack() }.is_none());
    }
}
