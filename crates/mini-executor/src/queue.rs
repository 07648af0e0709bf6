//! A worker's own queue: a ring of fixed size that only its worker puts tasks into and that anybody takes tasks from, and the slot for
//! the task that is to go next.
//!
//! Positions count up for ever; a position's place in the ring is its remainder. `head` is the position of the first task, `tail` that
//! behind the last. The worker moves `tail`, plainly, for nobody else does. Whoever takes tasks reads them first and then moves `head`
//! past them by a compare-and-exchange: if it succeeds nobody else has taken any of them, and none was overwritten while it was
//! read, for the worker reuses a place only when `head` is past it. If it fails, what was read is forgotten. (Go's scheduler has its
//! run queues like this; the positions of 64 bits never come round.)
//!
//! A thief takes half, the older half, and puts it into its own ring: one exchange moves up to 128 tasks, and the next theft is
//! that much further off. There is one way in, [`Owner`], and it cannot leave its thread. The way out is everybody's, the worker's own
//! too: it pays for the exchange (5 ns) where nobody contends, and in return nothing special has to hold when the ring is nearly empty,
//! which is where queues with a cheaper way out for their owner have their subtle bugs.
//!
//! # Why each ordering is enough
//! | step | is | meets | so that |
//! |---|---|---|---|
//! | `push` moves `tail` | release | the acquiring load of `tail` by who takes | the place is written before the task is seen, and so is all that the task's last poll did |
//! | who takes moves `head` | release | the acquiring load of `head` in `push` | the place was read before it is written anew |
//! | a place is read or written | relaxed | | its order comes from the two above. Atomic it has to be: a thief that will fail may read it while it is written |
//! | `push` reads `tail` | relaxed | | nobody else writes it |
#![allow(unsafe_code)]

use std::array;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::primitives::{AtomicPtr, AtomicUsize, Line};
use crate::task::{Row, Scheduled};

/// Tasks that a ring takes. A model takes few, so that it sees the ring run over.
pub(crate) const CAPACITY: usize = if cfg!(loom) { 4 } else { 256 };
pub(crate) const HALF: usize = CAPACITY / 2;

/// See the module.
pub(crate) struct Ring {
    head: Line<AtomicUsize>,
    tail: Line<AtomicUsize>,
    places: [AtomicPtr<()>; CAPACITY],
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self {
            head: Line(AtomicUsize::new(0)),
            tail: Line(AtomicUsize::new(0)),
            places: array::from_fn(|_| AtomicPtr::new(null_mut())),
        }
    }

    fn place(&self, position: usize) -> &AtomicPtr<()> {
        &self.places[position % CAPACITY]
    }

    /// Whether it was empty a moment ago.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // In this order: the tail of a later moment is not before the head of an earlier one.
        let head = self.head.0.load(Acquire);
        self.tail.0.load(Acquire) == head
    }

    /// The first task. On any thread.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Scheduled> {
        let mut head = self.head.0.load(Acquire);
        loop {
            // Acquire: the places before the tail are written.
            if self.tail.0.load(Acquire) == head {
                return None;
            }
            let task = self.place(head).load(Relaxed);
            // Release: the place was read before it is given back.
            match self.head.0.compare_exchange_weak(head, head + 1, AcqRel, Acquire) {
                // SAFETY: it was put there once, and by moving the head past it we are the one who took it.
                Ok(_) => return Some(unsafe { Scheduled::from_raw(task) }),
                Err(moved) => head = moved,
            }
        }
    }
}

/// The one who may put tasks into a ring. It stays on its thread.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    ring: &'static Ring,
    not_send: PhantomData<*const ()>,
}

impl Owner {
    /// # Safety
    /// As long as this or a copy of it is used, no other thread uses an owner of the same ring.
    pub(crate) const unsafe fn new(ring: &'static Ring) -> Self {
        Self { ring, not_send: PhantomData }
    }

    /// How many tasks still find room: at least.
    pub(crate) fn room(self) -> usize {
        CAPACITY - (self.ring.tail.0.load(Relaxed) - self.ring.head.0.load(Acquire))
    }

    /// Puts a task at the end, or gives it back where there is no room.
    #[inline]
    pub(crate) fn push(self, task: Scheduled) -> Result<(), Scheduled> {
        // Relaxed: only we write it.
        let tail = self.ring.tail.0.load(Relaxed);
        // Acquire: who moved the head has read the places before.
        if tail - self.ring.head.0.load(Acquire) == CAPACITY {
            return Err(task);
        }
        self.ring.place(tail).store(task.into_raw(), Relaxed);
        self.ring.tail.0.store(tail + 1, Release);
        Ok(())
    }

    /// Takes the first half out of a full ring; nothing where others are taking tasks from it at this moment.
    pub(crate) fn spill(self) -> Row {
        let mut row = Row::default();
        let head = self.ring.head.0.load(Acquire);
        if self.ring.tail.0.load(Relaxed) - head < CAPACITY {
            return row;
        }
        let tasks: [_; HALF] = array::from_fn(|index| self.ring.place(head + index).load(Relaxed));
        if self.ring.head.0.compare_exchange(head, head + HALF, AcqRel, Relaxed).is_ok() {
            for task in tasks {
                // SAFETY: as in `pop`.
                row.push(unsafe { Scheduled::from_raw(task) });
            }
        }
        row
    }

    /// Takes half of the tasks from another ring, the first of them to be polled at once, the others into this one.
    pub(crate) fn steal_from(self, victim: &Ring) -> Option<Scheduled> {
        let tail = self.ring.tail.0.load(Relaxed);
        // Who has half a ring of tasks needs no more; and what is taken is copied in before it is known to be ours, so there has to be
        // room for the most it can be.
        if self.room() < HALF {
            return None;
        }
        let mut head = victim.head.0.load(Acquire);
        loop {
            let queued = victim.tail.0.load(Acquire) - head;
            if queued == 0 {
                return None;
            }
            // Where the head is of an earlier moment than the tail there seem to be more than the ring takes; the exchange will fail.
            let taken = (queued - queued / 2).min(HALF);
            let first = victim.place(head).load(Relaxed);
            for index in 1..taken {
                let task = victim.place(head + index).load(Relaxed);
                // Behind our tail nobody looks.
                self.ring.place(tail + index - 1).store(task, Relaxed);
            }
            match victim.head.0.compare_exchange_weak(head, head + taken, AcqRel, Acquire) {
                Ok(_) => {
                    // From here on others may take them out of our ring in turn.
                    self.ring.tail.0.store(tail + taken - 1, Release);
                    // SAFETY: as in `pop`; the others are in our ring, each once.
                    return Some(unsafe { Scheduled::from_raw(first) });
                }
                Err(moved) => head = moved,
            }
        }
    }
}

/// A place for one task, which anybody may take.
///
/// Beside the ring, not in it: a task that is put in here goes before all others, and a ring whose owner could also add at the head
/// would have two ends that move under the thieves' eyes.
pub(crate) struct Slot(AtomicPtr<()>);

impl Slot {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Puts a task in; the one that was there before comes out.
    #[inline]
    pub(crate) fn put(&self, task: Scheduled) -> Option<Scheduled> {
        Self::unpack(self.0.swap(task.into_raw(), AcqRel))
    }

    /// The task that is there.
    #[inline]
    pub(crate) fn take(&self) -> Option<Scheduled> {
        // An exchange costs 5 ns, and mostly there is nothing.
        if self.is_empty() { None } else { Self::unpack(self.0.swap(null_mut(), AcqRel)) }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// The address of the task that is there, for [`take_only`](Self::take_only).
    pub(crate) fn peek(&self) -> *const () {
        self.0.load(Relaxed)
    }

    /// The task, if it is still that one. Where it was taken and put back meanwhile it is just as good.
    pub(crate) fn take_only(&self, task: *const ()) -> Option<Scheduled> {
        let taken = self.0.compare_exchange(task.cast_mut(), null_mut(), AcqRel, Relaxed);
        Self::unpack(taken.unwrap_or(null_mut()))
    }

    #[inline]
    fn unpack(task: *mut ()) -> Option<Scheduled> {
        // SAFETY: it was put there once, and taken out once, by an exchange.
        (!task.is_null()).then(|| unsafe { Scheduled::from_raw(task) })
    }
}
