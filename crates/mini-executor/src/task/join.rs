//! What handles do, to a task of a [`LocalExecutor`](crate::LocalExecutor): await it, cancel it, leave it alone.
//!
//! These functions are where handles of either kind of task come first; those of tasks without owner are sent on by `is_mine`.
//!
//! To join from afar is the one thing that takes several steps: a waker is written, and the task may end before, meanwhile and afterwards.
//! The flag `JOINING` says that the handle is at it, and the step that ends the task tells the owner whether it was:
//!
//! ```text
//!   handle, on another thread             owner, as the task ends
//!   1  sets JOINED and JOINING            a  sets DONE, and sees which of the two were set
//!   2  writes its waker                   b  JOINED alone: takes the waker, and calls it
//!   3  clears JOINING, and sees DONE
//!
//!   1 2 3 a b   the owner finds the waker whole, and calls it
//!   1 a 2 3     the owner sees JOINING and leaves the waker; 3 sees DONE: the handle takes it back, and is ready at once
//!   a 1         1 fails, for the task is done: ready at once
//! ```
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::task::{Context, Poll};

use super::header::{Afar, TaskRef};
use super::local::{drop_reference, is_mine, wake_from_afar, wake_here};
use super::packed::Packed;
use super::state::{local, shared};

/// What handles do where they are not on the owner's thread.
pub(super) const AFAR: Afar = Afar {
    wake: |task| {
        wake_from_afar(task, 0);
        // SAFETY: the waker's reference; its last use.
        unsafe { drop_reference(task) }
    },
    wake_by_ref: |task| wake_from_afar(task, 0),
    poll_join: join_from_afar,
    is_done: is_done_from_afar,
    cancel: |task| wake_from_afar(task, shared::CLOSED),
    abandon: abandon_from_afar,
};

/// What is there for a handle that is awaited: `true` an outcome to take, `false` none, for the task was cancelled.
#[inline]
pub(super) fn poll_join(task: TaskRef, context: &mut Context<'_>) -> Poll<bool> {
    if !is_mine(task) {
        return (task.vtable.afar.poll_join)(task, context);
    }
    let word = task.local.get();
    if word & local::DONE != 0 {
        return Poll::Ready(word & local::OUTPUT != 0);
    }
    if !task.awaiter.get().wakes_the_same_as(context.waker()) {
        let awaiter = Packed::new(context.waker());
        // To clone a stranger's waker is to run a stranger's code, which may have run the executor, and the task to its end.
        let word = task.local.get();
        let is_done = word & local::DONE != 0;
        let unused = if is_done { awaiter } else { task.awaiter.replace(awaiter) };
        // SAFETY: ours and never shown to anybody, or it stood in the task and is now nowhere else.
        drop(unsafe { unused.unpack() });
        if is_done {
            return Poll::Ready(word & local::OUTPUT != 0);
        }
    }
    Poll::Pending
}

#[cold]
fn join_from_afar(task: TaskRef, context: &mut Context<'_>) -> Poll<bool> {
    if task.shared.load(Acquire) & shared::DONE != 0 {
        return Poll::Ready(has_output(task));
    }
    // Before anything is announced: a stranger's waker may panic when it is cloned, and the announcement would stay for ever.
    let awaiter = Packed::new(context.waker());
    let announce = |word: u32| (word & shared::DONE == 0).then_some(word | shared::JOINED | shared::JOINING);
    let (former, is_done) = if task.shared.fetch_update(AcqRel, Acquire, announce).is_ok() {
        let former = task.awaiter.replace(awaiter);
        let is_done = task.shared.fetch_and(!shared::JOINING, AcqRel) & shared::DONE != 0;
        if is_done {
            // Done meanwhile, and so the owner left the waker to us.
            task.awaiter.replace(Packed::NOBODY);
        }
        (former, is_done)
    } else {
        (Packed::NOBODY, true)
    };
    // SAFETY: what stood in the task before, and what does not stand there now. Both are unpacked before either is dropped, which
    // may panic.
    drop(unsafe { (former.unpack(), is_done.then(|| awaiter.unpack())) });
    if is_done { Poll::Ready(has_output(task)) } else { Poll::Pending }
}

/// Whether a done task has an outcome. For its handle.
fn has_output(task: TaskRef) -> bool {
    task.local.get() & local::OUTPUT != 0
}

/// Whether the task came to its end, or was stopped.
#[inline]
pub(super) fn is_done(task: TaskRef) -> bool {
    if is_mine(task) { task.local.get() & local::DONE != 0 } else { (task.vtable.afar.is_done)(task) }
}

fn is_done_from_afar(task: TaskRef) -> bool {
    task.shared.load(Acquire) & shared::DONE != 0
}

/// Asks for the task's end; its future is dropped by its executor.
#[inline]
pub(super) fn cancel(task: TaskRef) {
    if is_mine(task) {
        if task.local.get() & local::DONE == 0 {
            task.local.set(task.local.get() | local::CLOSED);
            wake_here(task);
        }
    } else {
        (task.vtable.afar.cancel)(task);
    }
}

/// The handle goes, without having taken the outcome, and the task goes on.
///
/// # Safety
/// The handle's reference is given up: it must not be used afterwards.
pub(super) unsafe fn abandon(task: TaskRef) {
    if is_mine(task) {
        let word = task.local.get();
        if word & local::DONE == 0 {
            task.local.set(word | local::ABANDONED);
        }
        // SAFETY: the caller gives the handle's reference up.
        unsafe { leave(task, word & local::DONE != 0) }
    } else {
        // SAFETY: the table is the task's own; the caller gives the handle's reference up.
        unsafe { (task.vtable.afar.abandon)(task) }
    }
}

unsafe fn abandon_from_afar(task: TaskRef) {
    let mark = |word: u32| (word & shared::DONE == 0).then_some(word | shared::ABANDONED);
    let is_done = task.shared.fetch_update(AcqRel, Acquire, mark).is_err();
    // SAFETY: the caller gives the handle's reference up.
    unsafe { leave(task, is_done) }
}

/// The handle's last act.
///
/// # Safety
/// The handle's reference is given up: it must not be used afterwards.
unsafe fn leave(task: TaskRef, is_done: bool) {
    if is_done && has_output(task) {
        // SAFETY: the table is the task's own. There is an outcome, it is the handle's to take, and this is its last act.
        unsafe { (task.vtable.drop_output)(task) }
    }
    // SAFETY: the caller gives the handle's reference up.
    unsafe { drop_reference(task) }
}
