//! A waker in one word.
//!
//! Nearly always a task is awaited by another task of this crate. Such a waker is its task's address and nothing
//! else; any other is put into a box, and the lowest bit says so. Half the size of a `Waker`, which brings a waiting
//! task from 96 bytes to 80.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use super::waker;
use crate::primitives::AtomicPtr;

/// Nobody, one of our tasks, or any other waker in a box.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed(*const ());

/// The bit of a box.
const BOXED: usize = 1;

impl Packed {
    pub(super) const NOBODY: Self = Self(std::ptr::null());

    /// Packs a copy of the waker. Nothing drops it by itself: it has to be unpacked again.
    #[inline]
    pub(super) fn new(waker: &Waker) -> Self {
        if waker::is_of_task(waker) {
            Self(ManuallyDrop::new(waker.clone()).data())
        } else {
            Self(Box::into_raw(Box::new(waker.clone())).cast_const().cast::<()>().map_addr(|address| address | BOXED))
        }
    }

    /// The box, if it is one.
    #[inline]
    fn boxed(self) -> Option<*mut Waker> {
        (self.0.addr() & BOXED != 0).then(|| self.0.map_addr(|address| address & !BOXED).cast_mut().cast())
    }

    /// Whether it would wake the same task.
    #[inline]
    pub(super) fn wakes_the_same_as(self, waker: &Waker) -> bool {
        match self.boxed() {
            None => std::ptr::eq(self.0, waker.data()) && waker::is_of_task(waker),
            // SAFETY: a box that was packed and not yet unpacked, for whoever unpacks one puts `NOBODY` in its place.
            Some(boxed) => unsafe { (*boxed).will_wake(waker) },
        }
    }

    /// The waker again.
    ///
    /// # Safety
    /// Once for each that was packed.
    #[inline]
    pub(super) unsafe fn unpack(self) -> Option<Waker> {
        if self == Self::NOBODY {
            return None;
        }
        // SAFETY: the data of a task's waker that was packed, whose reference goes with it, once; or what came out of `Box::into_raw`,
        // and the caller unpacks it once.
        Some(unsafe { self.boxed().map_or_else(|| waker::with_reference(self.0), |boxed| *Box::from_raw(boxed)) })
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
