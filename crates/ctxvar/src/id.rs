//! Numbers: which slot is a variable's, whose value a slot holds, which context is which.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::primitives::{AtomicU32, AtomicU64, Mutex, MutexGuard};

/// A function that is `const`, save for loom's models: what loom watches is made at run time.
macro_rules! const_fn {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attribute])*
        $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$attribute])*
        $visibility fn $($rest)*
    };
}
pub(crate) use const_fn;

/// The number of a variable that was never set. No block has that many slots.
const NONE: u32 = u32::MAX;

/// What a variable of type `T` is known by. `raw` relies on this: no two keys ever have the same generation.
pub(crate) struct Key<T> {
    /// Dense, for it is an index; used again when the variable is gone.
    id: AtomicU32,
    /// Never used again. Written once, before `id` is.
    generation: AtomicU64,
    of: PhantomData<fn(T) -> T>,
}

impl<T> Key<T> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self { id: AtomicU32::new(NONE), generation: AtomicU64::new(0), of: PhantomData }
        }
    }

    /// Beyond all slots if the variable was never set.
    #[inline]
    pub(crate) fn id(&self) -> u32 {
        // Whoever sees the number sees the generation, too.
        self.id.load(Acquire)
    }

    /// Means something once [`id`](Self::id) does.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The number; at first it gets one.
    ///
    /// # Panics
    /// If 2^32 - 1 variables are alive.
    #[inline]
    pub(crate) fn register(&self) -> u32 {
        match self.id() {
            NONE => self.register_in(&REGISTRY),
            id => id,
        }
    }

    #[cold]
    fn register_in(&self, registry: &Registry) -> u32 {
        let mut numbers = registry.lock();
        if self.id() == NONE {
            numbers.generation += 1;
            self.generation.store(numbers.generation, Relaxed);
            self.id.store(numbers.take(), Release);
        }
        self.id()
    }
}

impl<T> Drop for Key<T> {
    fn drop(&mut self) {
        if self.id() != NONE {
            REGISTRY.lock().free.push(self.id());
        }
    }
}

/// Hands out numbers.
struct Registry(Mutex<Numbers>);

struct Numbers {
    next: u32,
    free: Vec<u32>,
    generation: u64,
}

#[cfg(not(any(loom, shuttle)))]
static REGISTRY: Registry = Registry::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref REGISTRY: Registry = Registry::new();
}
#[cfg(all(shuttle, not(loom)))]
shuttle::lazy_static! {
    static ref REGISTRY: Registry = Registry::new();
}

impl Registry {
    const_fn! {
        fn new() -> Self {
            Self(Mutex::new(Numbers { next: 0, free: Vec::new(), generation: 0 }))
        }
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbers {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            assert!(self.next != NONE, "2^32 - 1 context variables are alive: drop those that are not needed any more");
            self.next += 1;
            self.next - 1
        })
    }
}

/// A thread's supply of numbers for contexts, taken from all threads' many at a time.
pub(crate) struct ContextIds {
    next: Cell<u64>,
    end: Cell<u64>,
}

impl ContextIds {
    const BATCH: u64 = 1 << 16;

    pub(crate) const fn new() -> Self {
        Self { next: Cell::new(0), end: Cell::new(0) }
    }

    /// A number that no other context of the process has; never 0.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        if self.next.get() == self.end.get() {
            self.refill();
        }
        self.next.replace(self.next.get() + 1)
    }

    #[cold]
    fn refill(&self) {
        /// At a number a nanosecond this lasts for 584 years.
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        self.next.set(NEXT.fetch_add(Self::BATCH, Relaxed));
        self.end.set(self.next.get() + Self::BATCH);
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn two_threads_that_set_a_variable_first_agree_on_its_number() {
        loom::model(|| {
            let key = Arc::new(Key::<u8>::new());
            let other = thread::spawn({
                let key = Arc::clone(&key);
                move || (key.register(), key.generation())
            });
            let mine = (key.register(), key.generation());
            assert_eq!(other.join().unwrap(), mine);
        });
    }

    #[test]
    fn who_sees_a_number_sees_the_generation() {
        loom::model(|| {
            let key = Arc::new(Key::<u8>::new());
            let other = thread::spawn({
                let key = Arc::clone(&key);
                move || (key.id() != NONE).then(|| key.generation())
            });
            key.register();
            assert!(other.join().unwrap().is_none_or(|generation| generation == key.generation()));
        });
    }

    #[test]
    fn variables_of_two_threads_differ_in_number_and_generation() {
        loom::model(|| {
            let other = thread::spawn(|| {
                let key = Key::<u8>::new();
                (key.register(), key.generation(), key)
            });
            let key = Key::<u8>::new();
            let mine = (key.register(), key.generation());
            let (id, generation, _alive) = other.join().unwrap();
            assert_ne!(id, mine.0);
            assert_ne!(generation, mine.1);
        });
    }

    #[test]
    fn a_number_that_is_used_again_has_another_generation() {
        loom::model(|| {
            let first = Key::<u8>::new();
            let (id, generation) = (first.register(), first.generation());
            let dropper = thread::spawn(move || drop(first));
            let second = Key::<u8>::new();
            let again = second.register();
            assert!(again != id || second.generation() != generation);
            dropper.join().unwrap();
        });
    }
}
