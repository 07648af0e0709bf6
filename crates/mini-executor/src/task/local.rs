//! What happens to a task of a [`LocalExecutor`](crate::LocalExecutor): woken, polled, closed, done.
//!
//! Every function comes in two: for the owner's thread, where words are read and written plainly, and for any other. See
//! [`state`](super::state) for why, and for what each flag means.
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::Context;

use super::header::TaskRef;
use super::packed::Packed;
use super::state::{MOST_HERE, assert_countable, local, shared};
use super::waker;
use crate::dump::Phase;
use crate::home::Home;
use crate::thread::token;
use crate::watchdog;

/// What the task does. On the owner's thread.
pub(crate) fn phase(task: TaskRef) -> Phase {
    let word = task.local.get();
    if word & local::RUNNING != 0 {
        Phase::Running
    } else if word & local::QUEUED != 0 || task.shared.load(Relaxed) & shared::QUEUED != 0 {
        Phase::Ready
    } else {
        Phase::Waiting
    }
}

/// Whether this thread may use the task's own word. Never so for a task without owner.
#[inline]
pub(super) fn is_mine(task: TaskRef) -> bool {
    // SAFETY: every place begins with its owner's token.
    let owner = unsafe { task.place.owner };
    // Relaxed: only this thread writes its own number here, and only this thread's answer can be yes.
    owner.load(Relaxed) == token()
}

/// The task's home. For tasks of local executors: all that this file's functions are called with, but for those that ask `is_mine` first.
#[inline]
fn home(task: TaskRef) -> &'static Home {
    // SAFETY: a local executor's task was made with a home.
    unsafe { task.place.home }
}

/// Has the task polled again. On the owner's thread.
#[inline]
pub(super) fn wake_here(task: TaskRef) {
    let word = task.local.get();
    if word & (local::QUEUED | local::DONE) == 0 {
        task.local.set(word | local::QUEUED);
        // While it runs the note is enough: it is queued after the poll.
        if word & local::RUNNING == 0 {
            home(task).push(task);
        }
    }
}

/// The same on any other: puts the task into the owner's mailbox, with `flags` beside it.
#[cold]
pub(super) fn wake_from_afar(task: TaskRef, flags: u32) {
    let update = |word: u32| (word & shared::DONE == 0).then_some(word | shared::QUEUED | flags);
    // Written even where nothing changes: what this thread did before has to be seen by the poll that comes.
    if let Ok(before) = task.shared.fetch_update(AcqRel, Acquire, update) {
        // Until the task arrives there the owner neither frees it nor gives its home up.
        if before & shared::QUEUED == 0 {
            home(task).post(task);
        }
    }
}

/// A task comes out of the mailbox, on the owner's thread.
pub(crate) fn arrive(task: TaskRef) {
    // Out of the mailbox, a task that is done may be freed by another thread at once: what is needed is read before.
    let home = home(task);
    let before = task.shared.fetch_and(!shared::QUEUED, AcqRel);
    if before & shared::DONE != 0 {
        home.owed.set(home.owed.get() - 1);
        if shared::is_unreferenced(before & !shared::QUEUED) {
            free(task);
        }
        return;
    }
    if before & shared::CLOSED != 0 {
        task.local.set(task.local.get() | local::CLOSED);
    }
    wake_here(task);
}

#[inline]
pub(super) fn add_reference(task: TaskRef) {
    if is_mine(task) && task.local.get() & local::DONE == 0 {
        let word = task.local.get().wrapping_add(local::ONE);
        task.local.set(word);
        if local::count(word) > MOST_HERE {
            settle(task);
        }
    } else {
        // Relaxed: a reference is made from one that is held, as in `Arc`.
        assert_countable(shared::count(task.shared.fetch_add(shared::ONE, Relaxed)));
    }
}

/// Adds the owner's count to the shared one before its time, on the owner's thread, of a task that is not done.
#[cold]
fn settle(task: TaskRef) {
    let counted = counted(task);
    task.local.set(task.local.get().wrapping_sub(counted));
    // Relaxed: the sum stays what it was, and until the task is done nobody draws conclusions from this part of it.
    assert_countable(shared::count(task.shared.fetch_add(counted, Relaxed).wrapping_add(counted)));
}

/// Gives a reference up, which may free the task.
///
/// # Safety
/// The caller held it, and does not use the task afterwards.
#[inline]
pub(super) unsafe fn drop_reference(task: TaskRef) {
    if is_mine(task) && task.local.get() & local::DONE == 0 {
        // The executor's own is among them until the task is done: it is not the last.
        let word = task.local.get().wrapping_sub(local::ONE);
        task.local.set(word);
        if local::count(word) < -MOST_HERE {
            settle(task);
        }
        return;
    }
    // SAFETY: as the caller promises.
    unsafe { drop_shared_reference(task) }
}

/// The same, for a reference that counts in the shared word: on another thread, or after the task was done.
///
/// # Safety
/// As above.
#[inline]
pub(super) unsafe fn drop_shared_reference(task: TaskRef) {
    let word = task.shared.load(Acquire);
    let is_last = word & shared::DONE != 0 && shared::is_unreferenced(word.wrapping_sub(shared::ONE));
    // Where it is the last nobody else can change the word any more, and 5 ns are saved.
    if is_last {
        free(task);
        return;
    }
    let after = task.shared.fetch_sub(shared::ONE, AcqRel).wrapping_sub(shared::ONE);
    if after & shared::DONE != 0 && shared::is_unreferenced(after) {
        free(task);
    }
}

#[inline]
pub(super) fn free(task: TaskRef) {
    // SAFETY: the table is the task's own. The task is done and nothing refers to it; its outcome was taken or dropped before
    // the handle's reference was given up, or at the end of the task when the handle had gone.
    unsafe { (task.vtable.free)(task) }
}

/// Polls a task that came out of the run queue, on the owner's thread.
pub(crate) fn run(task: TaskRef) {
    let word = task.local.get();
    debug_assert_eq!(word & (local::QUEUED | local::RUNNING | local::DONE), local::QUEUED);
    if word & local::CLOSED != 0 {
        return close(task);
    }
    task.local.set((word & !local::QUEUED) | local::RUNNING);
    // The executor's reference lasts as long as the poll.
    let waker = waker::lend(task);
    task.record.begin_poll();
    let poll = watchdog::begin(task.as_ptr());
    // SAFETY: the table is the task's own; there is a future, for the task is not done, and nobody else is polling it.
    let ended = unsafe { (task.vtable.poll)(task, &mut Context::from_waker(&waker)) };
    poll.end();
    // Read anew: the future may have woken, cancelled or detached its own task.
    let word = task.local.get() & !local::RUNNING;
    if ended {
        task.local.set(word | local::DONE | local::OUTPUT);
        finish(task);
    } else if word & local::CLOSED != 0 {
        task.local.set(word);
        close(task);
    } else {
        task.local.set(word);
        // The note that a wake left. Behind all others: that is what makes `yield_now` fair.
        if word & local::QUEUED != 0 {
            home(task).push_again(task);
        }
    }
}

/// Drops the future of a task that will not be polled again, on the owner's thread.
// Inlined into `run` it would have that save more registers, for each poll.
#[inline(never)]
pub(crate) fn close(task: TaskRef) {
    // Nobody queues it meanwhile, be it woken by its own destructors.
    task.local.set(task.local.get() | local::QUEUED | local::RUNNING);
    let drop = watchdog::begin(task.as_ptr());
    // SAFETY: the table is the task's own; the task is not done, so there is a future, and it is not being polled.
    unsafe { (task.vtable.drop_future)(task) };
    drop.end();
    task.local.set((task.local.get() & !(local::QUEUED | local::RUNNING)) | local::DONE);
    finish(task);
}

/// A task is done, on the owner's thread: its count becomes everybody's, and who awaits it is woken. The executor's reference ends.
fn finish(task: TaskRef) {
    // Once the task is done for all to see, another thread may free it: everything that is needed is read before.
    let home = home(task);
    // Off the list before it is done: who has joined all tasks finds the executor empty.
    home.tasks.remove(task);
    if task.local.get() & local::ABANDONED != 0 {
        drop_output(task);
    }
    let counted = counted(task).wrapping_sub(shared::ONE);
    let mut word = task.shared.load(Acquire);
    let (awaiter, before) = loop {
        if word & shared::JOINED != 0 {
            return finish_carefully(task);
        }
        if word & shared::ABANDONED != 0 {
            drop_output(task);
        }
        let awaiter = task.awaiter.get();
        match task.shared.compare_exchange_weak(word, word.wrapping_add(counted) | shared::DONE, AcqRel, Acquire) {
            Ok(before) => break (awaiter, before),
            Err(changed) => word = changed,
        }
    };
    if before & shared::QUEUED != 0 {
        home.owed.set(home.owed.get() + 1);
    } else if shared::count(before.wrapping_add(counted)) == 0 {
        free(task);
    }
    // SAFETY: packed by a join on this thread. It is unpacked once, here: nobody looks at a done task's awaiter.
    if let Some(awaiter) = unsafe { awaiter.unpack() } {
        awaiter.wake();
    }
}

/// The same where another thread has awaited the handle: its waker may just be on its way into the task.
#[cold]
fn finish_carefully(task: TaskRef) {
    // The executor's reference is held until the awaiter was taken.
    let counted = counted(task);
    let mut word = task.shared.load(Acquire);
    let before = loop {
        if word & shared::ABANDONED != 0 {
            drop_output(task);
        }
        match task.shared.compare_exchange_weak(word, word.wrapping_add(counted) | shared::DONE, AcqRel, Acquire) {
            Ok(before) => break before,
            Err(changed) => word = changed,
        }
    };
    if before & shared::QUEUED != 0 {
        home(task).owed.set(home(task).owed.get() + 1);
    }
    // SAFETY: the handle put it there, and does not touch it any more now that the task is done. Unpacked once, here.
    let awaiter = (before & shared::JOINING == 0).then(|| unsafe { task.awaiter.replace(Packed::NOBODY).unpack() });
    // SAFETY: the executor's reference; its last use. A stranger's waker may panic, so it comes afterwards.
    unsafe { drop_reference(task) }
    if let Some(awaiter) = awaiter.flatten() {
        awaiter.wake();
    }
}

/// The owner's count, as the shared word counts.
#[inline]
fn counted(task: TaskRef) -> u32 {
    // Both words have their count in the same place.
    task.local.get() & !(local::ONE - 1)
}

/// Nobody will come for the outcome. On the owner's thread, before the task is done for others.
fn drop_output(task: TaskRef) {
    let word = task.local.get();
    if word & local::OUTPUT != 0 {
        task.local.set(word & !local::OUTPUT);
        // SAFETY: the table is the task's own, and the flag says that there is an outcome.
        unsafe { (task.vtable.drop_output)(task) }
    }
}
