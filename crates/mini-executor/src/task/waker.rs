//! A task's waker: the address of its header, and a reference.
//!
//! One table of functions for both kinds of task, so that a waker is told from a stranger's by one comparison. On the owner's thread nothing
//! more has to be looked up; for tasks without owner that is no thread, and so their own functions come in where others wake from afar.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::TaskRef;
use super::local::{add_reference, drop_reference, is_mine, wake_here};

static TABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: by the contract of wakers the data is of one that is alive, and so is the task, by its reference.
        add_reference(unsafe { TaskRef::from_ptr(data) });
        RawWaker::new(data, &TABLE)
    },
    // SAFETY: as above; the reference is given up by this function.
    |data| unsafe {
        let task = TaskRef::from_ptr(data);
        if is_mine(task) {
            wake_here(task);
            drop_reference(task);
        } else {
            (task.vtable.afar.wake)(task);
        }
    },
    |data| {
        // SAFETY: as above.
        let task = unsafe { TaskRef::from_ptr(data) };
        if is_mine(task) { wake_here(task) } else { (task.vtable.afar.wake_by_ref)(task) }
    },
    // SAFETY: as above; the reference is given up by this function.
    |data| unsafe { drop_reference(TaskRef::from_ptr(data)) },
);

/// A waker without a reference of its own: for who polls the task, whose reference lasts as long. It is not dropped.
#[inline]
pub(super) fn lend(task: TaskRef) -> ManuallyDrop<Waker> {
    // SAFETY: the data is a header, as the table asks; it is never dropped, so no reference is given up.
    ManuallyDrop::new(unsafe { Waker::new(task.as_ptr(), &TABLE) })
}

/// Whether it is a task's.
#[inline]
pub(super) fn is_of_task(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &raw const TABLE)
}

/// The waker of the task at `data`, with the reference that goes with it.
///
/// # Safety
/// It was the data of a waker that [is a task's](is_of_task), whose reference was kept.
#[inline]
pub(super) unsafe fn with_reference(data: *const ()) -> Waker {
    // SAFETY: as the caller promises.
    unsafe { Waker::new(data, &TABLE) }
}
