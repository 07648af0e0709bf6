//! What every task has, whatever its future: 64 bytes in front of it, in the same allocation.
//!
//! With a future of up to 8 bytes a task takes 72 bytes, which malloc rounds up to a chunk of 80.
#![allow(unsafe_code)]

use std::any::Any;
use std::ptr::NonNull;
use std::task::{Context, Poll};
use std::time::Duration;

use super::core::Named;
use super::record::Record;
use super::shared::Scheduled;
use crate::home::Home;
use crate::hub::Hub;
use crate::primitives::{AtomicU32, Cell};

/// What a task came to: its output, or what it panicked with. Boxed twice, for a panic is rare and `Box<dyn Any>` is two words long,
/// which every task would have room for.
pub(crate) type Outcome<T> = Result<T, Box<Box<dyn Any + Send>>>;

/// The front of a task's allocation.
///
/// `local`, `next` and the links belong to the owner's thread; once the task is done, nobody writes to them but for the flag of the
/// output, which is the handle's. `shared` is everybody's. `awaiter` is the owner's, or the handle's under the protocol of
/// [`shared::JOINING`](super::state::shared::JOINING).
///
/// A task of an [`Executor`](crate::Executor) has no owner: who may poll it changes from poll to poll. `shared` says who it is, with
/// flags of its own ([`shared_state`](super::shared_state)). `next` goes with the right to poll the task, the links and what is left of
/// `local` with the lock of the list that it is in.
#[repr(C)]
pub(crate) struct Header {
    /// What to do with the future behind.
    pub(super) vtable: &'static VTable,
    /// The executor's part that tasks point to.
    pub(super) place: Place,
    /// The task behind this one in the run queue.
    pub(crate) next: Cell<Option<TaskRef>>,
    /// Its neighbours among all tasks of the executor.
    pub(crate) before: Cell<Option<TaskRef>>,
    pub(crate) after: Cell<Option<TaskRef>>,
    /// Where it was spawned, where it awaits, how often it was polled.
    pub(crate) record: Record,
    /// [`state::local`](super::state::local); for a task without owner only [`MARKED`](super::state::local::MARKED).
    pub(super) local: Cell<u32>,
    /// [`state::shared`](super::state::shared) or, for a task without owner, [`shared_state`](super::shared_state).
    pub(super) shared: AtomicU32,
    /// Who awaits the handle: a waker in one word, see [`packed`](super::packed).
    pub(super) awaiter: super::packed::Slot,
    /// In a model nothing is freed before its end, so that this can be asked. Each use of the task reads it and to free the task is to
    /// write it: so the model complains also of uses that only happened to come before, with nothing to keep them there.
    #[cfg(loom)]
    pub(super) is_freed: Cell<bool>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() == 64, "the bar for a task's memory counts on it");

/// The part of an executor that its tasks point to; reused, but never freed. Which it is depends on the kind of task. Both begin with the
/// token of the thread that owns them, so that "is it mine?" can be asked without knowing: a [`Hub`] is nobody's.
#[derive(Clone, Copy)]
pub(crate) union Place {
    pub(super) home: &'static Home,
    pub(super) hub: &'static Hub,
    pub(super) owner: &'static AtomicU32,
}

/// What wakers and handles do on a thread that does not own the task. For a task without owner that is every thread, and so it is here that
/// those of both kinds part: on an owner's thread nothing more has to be looked up.
pub(super) struct Afar {
    /// Has the task polled again, and gives a reference up.
    pub(super) wake: unsafe fn(TaskRef),
    /// Has the task polled again.
    pub(super) wake_by_ref: fn(TaskRef),
    /// What is there for a handle that is awaited: `true` an outcome to take, `false` none, for the task was cancelled.
    pub(super) poll_join: fn(TaskRef, &mut Context<'_>) -> Poll<bool>,
    /// Whether the task came to its end, or was stopped.
    pub(super) is_done: fn(TaskRef) -> bool,
    /// Asks for the task's end.
    pub(super) cancel: fn(TaskRef),
    /// The handle goes without having taken the outcome, and gives its reference up.
    pub(super) abandon: unsafe fn(TaskRef),
}

/// Where a task without owner goes when it is woken.
pub(super) struct Queues {
    /// Puts a task where it will be polled. `true` where it was woken while it was polled, by yielding for one.
    pub(super) schedule: fn(Scheduled, bool),
    /// Lets it go, just before it is done.
    pub(super) remove: fn(TaskRef),
}

/// What depends on the future's type and the kind of executor. Each function's `task` is the header of a task with exactly this table.
pub(super) struct VTable {
    /// For handles on other threads.
    pub(super) afar: Afar,
    /// What the task's executor does with it. For tasks without owner.
    pub(super) queues: Queues,
    /// Polls the future; `true` when it came to its end or panicked, and then the outcome lies in its place.
    pub(super) poll: unsafe fn(TaskRef, &mut Context<'_>) -> bool,
    /// Drops the future.
    pub(super) drop_future: unsafe fn(TaskRef),
    /// Where the outcome lies, an `Outcome<F::Output>`.
    pub(super) outcome: OutcomeAt,
    /// Drops the outcome; a panic nobody heard of is reported.
    pub(super) drop_output: unsafe fn(TaskRef),
    /// Frees the allocation. Neither future nor outcome may be in it.
    pub(super) free: unsafe fn(TaskRef),
    /// The task's name, if it was given one.
    pub(super) named: unsafe fn(TaskRef) -> Option<NonNull<Named>>,
}

/// Bytes from the front of the allocation. Not a function: a handle that calls one to have its result pays 2 ns for the call (2026-11-21,
/// `spawn-join/one-by-one`). A model keeps the place in a cell of its own, which has to be asked.
#[cfg(not(loom))]
pub(super) type OutcomeAt = usize;
#[cfg(loom)]
pub(super) type OutcomeAt = unsafe fn(TaskRef) -> *mut ();

/// A pointer to a task that is alive: whoever makes one holds a reference, or knows of one that is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskRef(NonNull<Header>);

impl TaskRef {
    /// # Safety
    /// `header` is the front of a task's allocation, with provenance over all of it, and it is not freed while this or a copy of
    /// it is used.
    pub(super) const unsafe fn new(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// # Safety
    /// `pointer` is what [`as_ptr`](Self::as_ptr) gave, and the task is alive as long as this or a copy of it is used.
    pub(crate) unsafe fn from_ptr(pointer: *const ()) -> Self {
        // SAFETY: the pointer of a header, which is not null.
        Self(unsafe { NonNull::new_unchecked(pointer.cast_mut().cast()) })
    }

    pub(super) fn as_ptr(self) -> *const () {
        self.0.as_ptr().cast_const().cast()
    }

    /// Where it lies.
    pub(crate) fn address(self) -> usize {
        self.0.addr().get()
    }

    /// The allocation, for the code that knows the future's type.
    pub(super) fn cast<T>(self) -> NonNull<T> {
        self.0.cast()
    }
}

impl std::ops::Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: alive, by the contract of `new`; all that changes in a header is in cells and atomics.
        let header = unsafe { self.0.as_ref() };
        #[cfg(loom)]
        assert!(!header.is_freed.get(), "a task is used after it was freed");
        header
    }
}

impl TaskRef {
    /// Moves the outcome out.
    ///
    /// # Safety
    /// There is one, the task's output is a `T`, and it is taken once.
    #[inline]
    pub(super) unsafe fn take_output<T>(self) -> Outcome<T> {
        // SAFETY: the table is this task's own, so the outcome lies there, in the task's allocation; the rest as the caller promises.
        unsafe {
            #[cfg(not(loom))]
            let outcome = self.cast::<u8>().add(self.vtable.outcome).as_ptr();
            #[cfg(loom)]
            let outcome = (self.vtable.outcome)(self);
            outcome.cast::<Outcome<T>>().read()
        }
    }

    fn named(&self) -> Option<&Named> {
        // SAFETY: the table is this task's own; the name lies in the task, which is not changed after it was made.
        unsafe { (self.vtable.named)(*self).map(|named| named.as_ref()) }
    }

    /// The task's name, if it was given one. The caller keeps the task alive as long as it uses the name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.named().map(|named| &*named.name)
    }

    /// For how long it was polled, if that is known.
    pub(crate) fn busy(self) -> Option<Duration> {
        self.named().and_then(|named| named.busy.total())
    }
}
