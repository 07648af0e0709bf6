//! A shared value in memory of the system's allocator, so that nobody's counters see it come and go.

use std::alloc::{GlobalAlloc, Layout, System, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicUsize, fence};

/// An `Arc` without weak references.
#[derive(Debug)]
pub(crate) struct SystemArc<T>(NonNull<Shared<T>>);

#[derive(Debug)]
pub(crate) struct Shared<T> {
    references: AtomicUsize,
    pub(crate) value: T,
}

// SAFETY: as for `Arc`: whoever has one can read the value from its thread, and the last one drops it there.
unsafe impl<T: Send + Sync> Send for SystemArc<T> {}
// SAFETY: the same.
unsafe impl<T: Send + Sync> Sync for SystemArc<T> {}

impl<T> SystemArc<T> {
    pub(crate) fn new(value: T) -> Self {
        let layout = Layout::new::<Shared<T>>();
        // SAFETY: the layout has a size: a counter at least.
        let memory = unsafe { System.alloc(layout) }.cast::<Shared<T>>();
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        // SAFETY: memory of that layout, nobody else's yet.
        unsafe { memory.write(Shared { references: AtomicUsize::new(1), value }) };
        Self(memory)
    }

    /// Where it is: the same for all references, and valid as long as there is one.
    pub(crate) fn as_ptr(&self) -> *const Shared<T> {
        self.0.as_ptr()
    }

    /// One more reference.
    ///
    /// # Safety
    /// The pointer is [`as_ptr`](Self::as_ptr)'s, and there still is a reference.
    pub(crate) unsafe fn from_ptr(pointer: *const Shared<T>) -> Self {
        // SAFETY: by contract there is a value.
        let shared = unsafe { &*pointer };
        let before = shared.references.fetch_add(1, Relaxed);
        assert!(before <= usize::MAX / 2, "more references than there is memory for");
        Self(NonNull::from(shared))
    }
}

impl<T> Clone for SystemArc<T> {
    fn clone(&self) -> Self {
        // SAFETY: this is a reference.
        unsafe { Self::from_ptr(self.as_ptr()) }
    }
}

impl<T> Deref for SystemArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this is a reference, so that there is a value.
        &unsafe { self.0.as_ref() }.value
    }
}

impl<T> Drop for SystemArc<T> {
    fn drop(&mut self) {
        // SAFETY: this is a reference, so that there is a value.
        if unsafe { self.0.as_ref() }.references.fetch_sub(1, Release) != 1 {
            return;
        }
        fence(Acquire);
        // SAFETY: it was the last one: nobody else can reach the value any more. The layout is the one it was allocated with.
        unsafe {
            self.0.drop_in_place();
            System.dealloc(self.0.as_ptr().cast(), Layout::new::<Shared<T>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reference_drops_the_value() {
        struct Counted<'a>(&'a AtomicUsize);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        let drops = AtomicUsize::new(0);
        let first = SystemArc::new(Counted(&drops));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let other = first.clone();
                scope.spawn(move || {
                    for _ in 0..1000 {
                        // SAFETY: `other` is a reference.
                        drop(unsafe { SystemArc::from_ptr(other.as_ptr()) });
                    }
                });
            }
        });
        assert_eq!(drops.load(Relaxed), 0);
        drop(first);
        assert_eq!(drops.load(Relaxed), 1);
    }
}
