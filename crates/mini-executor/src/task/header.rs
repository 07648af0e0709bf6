//! What every task has, whatever its future: 64 bytes in front of it, in the same allocation.
//!
//! With a future of up to 8 bytes a task takes 72 bytes, which malloc rounds up to a chunk of 80.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::task::Context;

use crate::home::Home;

/// What a task came to: its output, or what it panicked with. Boxed twice, for a panic is rare and `Box<dyn Any>` is two words long,
/// which every task would have room for.
pub(crate) type Outcome<T> = Result<T, Box<Box<dyn Any + Send>>>;

/// The front of a task's allocation.
///
/// `local`, `next` and the links belong to the owner's thread; once the task is done, nobody writes to them but for the flag of the
/// output, which is the handle's. `shared` is everybody's. `awaiter` is the owner's, or the handle's under the protocol of
/// [`shared::JOINING`](super::state::shared::JOINING).
#[repr(C)]
pub(crate) struct Header {
    /// What to do with the future behind.
    pub(super) vtable: &'static VTable,
    /// The executor's part that tasks point to. Homes are reused, but never freed.
    pub(super) home: &'static Home,
    /// The task behind this one in the run queue.
    pub(crate) next: Cell<Option<TaskRef>>,
    /// Its neighbours among all tasks of the executor.
    pub(crate) before: Cell<Option<TaskRef>>,
    pub(crate) after: Cell<Option<TaskRef>>,
    /// Where it was spawned.
    pub(crate) spawned: &'static Location<'static>,
    /// [`state::local`](super::state::local).
    pub(super) local: Cell<u32>,
    /// [`state::shared`](super::state::shared).
    pub(super) shared: AtomicU32,
    /// Who awaits the handle: a waker in one word, see [`packed`](super::packed).
    pub(super) awaiter: super::packed::Slot,
}

/// What depends on the future's type. Each function's `task` is the header of a task with exactly this table.
pub(super) struct VTable {
    /// Polls the future; `true` when it came to its end or panicked, and then the outcome lies in its place.
    pub(super) poll: unsafe fn(TaskRef, &mut Context<'_>) -> bool,
    /// Drops the future.
    pub(super) drop_future: unsafe fn(TaskRef),
    /// Moves the outcome to where the pointer points: to an `Outcome<F::Output>`.
    pub(super) take_output: unsafe fn(TaskRef, *mut ()),
    /// Drops the outcome; a panic nobody heard of is reported.
    pub(super) drop_output: unsafe fn(TaskRef),
    /// Frees the allocation. Neither future nor outcome may be in it.
    pub(super) free: unsafe fn(TaskRef),
    /// The task's name, if it was given one.
    pub(super) name: unsafe fn(TaskRef) -> Option<NonNull<str>>,
}

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
        unsafe { self.0.as_ref() }
    }
}

impl TaskRef {
    /// Moves the outcome out.
    ///
    /// # Safety
    /// There is one, of the type that `to` points to a place of, and it is taken once.
    pub(super) unsafe fn take_output(self, to: *mut ()) {
        // SAFETY: the table is this task's own; the rest as the caller promises.
        unsafe { (self.vtable.take_output)(self, to) }
    }

    /// The task's name, if it was given one. The caller keeps the task alive as long as it uses the name.
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: the table is this task's own; the name lies in the task, which is not changed after it was made.
        unsafe { (self.vtable.name)(*self).map(|name| name.as_ref()) }
    }
}
