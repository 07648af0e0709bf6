//! What happens to a task of an [`Executor`](crate::Executor): woken, polled, joined, closed, done. On any thread.
//!
//! See [`shared_state`](super::shared_state) for what each flag means.
#![allow(unsafe_code)]

use std::panic::Location;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::{Context, Poll, Waker};

use super::header::{Afar, Queues, TaskRef};
use super::local::{drop_shared_reference, free};
use super::packed::Packed;
use super::shared_state::{ABANDONED, AWAITED, BEGIN, CLOSED, DONE, ONE, OUTPUT, RUNNING, SCHEDULED, is_idle};
use super::state::{assert_countable, shared};
use super::waker;
use crate::dump::Phase;
use crate::hub::Hub;
use crate::watchdog;

/// What a task's turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Waits,
    /// It was woken meanwhile, and stands in a queue again.
    IsReady,
    /// It came to its end, or panicked.
    Ended,
    Cancelled,
}

/// The right to poll a task: there is one, or none, for each. Who has it polls the task, or closes it, or passes the right on. It
/// must not be lost, for nobody else would ever poll the task.
#[must_use = "a task whose right to be polled is lost is never polled again"]
pub(crate) struct Scheduled(TaskRef);

// SAFETY: future and output of such a task are `Send`, by the contract of `make_shared`; of the rest of the header only `next` comes with
// the right, and it is handed on through queues, which order the accesses.
unsafe impl Send for Scheduled {}

impl Scheduled {
    /// # Safety
    /// A task without owner; [`SCHEDULED`] is set, and the caller has the right that goes with it.
    pub(super) const unsafe fn new(task: TaskRef) -> Self {
        Self(task)
    }

    /// Has the task live on, though whoever gets the right may end it.
    pub(super) fn keep(&self) -> Kept {
        // Relaxed: it lives as long as this right does.
        assert_countable(shared::count(self.0.shared.fetch_add(ONE, Relaxed)));
        Kept(self.0)
    }

    /// The task alone, for a list that keeps the right.
    pub(super) fn into_task(self) -> TaskRef {
        self.0
    }

    /// The right as a pointer, for queues that keep it in atomic words.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut () {
        self.0.as_ptr().cast_mut()
    }

    /// # Safety
    /// From [`into_raw`](Self::into_raw), once for each.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut ()) -> Self {
        // SAFETY: it was a task, which is not freed before it is done, nor done while somebody has the right to poll it.
        Self(unsafe { TaskRef::new(NonNull::new_unchecked(raw).cast()) })
    }

    /// Takes the right to a task that nobody has it to, and has the task closed when it is next polled. `None` where somebody has.
    pub(super) fn claim(task: TaskRef) -> Option<Self> {
        let claim = |word: u32| is_idle(word).then_some(word | SCHEDULED | CLOSED);
        task.shared.fetch_update(AcqRel, Acquire, claim).is_ok().then_some(Self(task))
    }

    /// Whether somebody has it in hand: it is polled, or being closed.
    pub(super) fn is_in_hand(task: TaskRef) -> bool {
        task.shared.load(Relaxed) & RUNNING != 0
    }

    /// Its name, if it was given one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.name()
    }

    /// Where it was spawned.
    pub(crate) fn spawned(&self) -> &'static Location<'static> {
        self.0.spawned()
    }

    /// Which task it is, as long as it is not done.
    pub(crate) fn address(&self) -> usize {
        self.0.address()
    }

    /// Polls the task. It goes back into a queue if it was woken meanwhile. A panic ends the task and no more: it is the outcome.
    #[inline]
    pub(crate) fn run(self) -> Turn {
        let task = self.0;
        // One addition moves the right from the one flag to the other. Acquire: what was done before any of the wakes.
        let before = task.shared.fetch_add(BEGIN, AcqRel);
        debug_assert_eq!(before & (SCHEDULED | RUNNING | DONE), SCHEDULED);
        if before & CLOSED != 0 {
            close(task);
            return Turn::Cancelled;
        }
        // The executor's reference lasts as long as the poll.
        let waker = waker::lend(task);
        task.record.begin_poll();
        let poll = watchdog::begin(task.as_ptr());
        // SAFETY: the table is the task's own; there is a future, for the task is not done, and the right to poll it is ours.
        let ended = unsafe { (task.vtable.poll)(task, &mut Context::from_waker(&waker)) };
        poll.end();
        if ended {
            finish(task, OUTPUT);
            return Turn::Ended;
        }
        // Release: the next who polls it, on whatever thread, sees what this poll did. If it was not woken meanwhile the right is
        // gone with this step, and the task may be freed at any moment.
        let before = task.shared.fetch_sub(RUNNING, AcqRel);
        if before & CLOSED != 0 {
            close(task);
            Turn::Cancelled
        } else if before & SCHEDULED != 0 {
            (task.vtable.queues.schedule)(self, true);
            Turn::IsReady
        } else {
            Turn::Waits
        }
    }

    /// Puts it where its executor keeps those that are to be polled.
    pub(super) fn schedule(self) {
        (self.0.vtable.queues.schedule)(self, false);
    }

    /// Drops the task's future, instead of polling it.
    pub(crate) fn close(self) {
        close(self.0);
    }
}

/// What the task does at this moment, which may be over at once.
pub(crate) fn phase(task: TaskRef) -> Phase {
    match task.shared.load(Relaxed) & (SCHEDULED | RUNNING) {
        0 => Phase::Waiting,
        SCHEDULED => Phase::Ready,
        _ => Phase::Running,
    }
}

/// A task of an [`Executor`](crate::Executor) goes to its hub.
pub(super) const OF_HUB: Queues = Queues {
    schedule: |task, is_again| {
        let hub = hub(task.0);
        if is_again { hub.reschedule(task) } else { hub.schedule(task) }
    },
    remove: |task| hub(task).remove(task),
};

/// For tasks with [`OF_HUB`] in their table.
#[inline]
fn hub(task: TaskRef) -> &'static Hub {
    // SAFETY: `make_shared` made the task with a hub.
    unsafe { task.place.hub }
}

/// A reference that ends with this.
pub(super) struct Kept(TaskRef);

impl Kept {
    pub(super) fn task(&self) -> TaskRef {
        self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: it is this one's, and this is its last use.
        unsafe { drop_shared_reference(self.0) }
    }
}

/// With the right to poll it, be it [`SCHEDULED`] or [`RUNNING`]: while one is set a wake, even by the future's own destructors, does not
/// give the right to anybody else.
fn close(task: TaskRef) {
    // For those who close all: they have not to wait for this one, and its destructors may be among them.
    task.shared.fetch_or(RUNNING, AcqRel);
    let drop = watchdog::begin(task.as_ptr());
    // SAFETY: the table is the task's own; the task is not done, so there is a future, and the right to it is ours.
    unsafe { (task.vtable.drop_future)(task) };
    drop.end();
    finish(task, 0);
}

/// The future is gone: the task is done, who awaits it is woken, and the executor's reference ends. With the right to poll it.
fn finish(task: TaskRef, mut output: u32) {
    // Before it is done for all to see: who has joined every task finds the executor empty.
    (task.vtable.queues.remove)(task);
    let mut word = task.shared.load(Acquire);
    loop {
        if word & ABANDONED != 0 && output != 0 {
            output = 0;
            // SAFETY: the table is the task's own; there is an outcome, and until the task is done it is ours.
            unsafe { (task.vtable.drop_output)(task) }
        }
        let mut after = (word & !(SCHEDULED | RUNNING)) | DONE | output;
        if word & AWAITED == 0 {
            // The executor's reference may end by the same step.
            after -= ONE;
        }
        // Release: the outcome, for who takes it; acquire: the awaiter.
        match task.shared.compare_exchange_weak(word, after, AcqRel, Acquire) {
            Ok(_) if word & AWAITED != 0 => break,
            Ok(_) if shared::count(after) == 0 => return free(task),
            Ok(_) => return,
            Err(changed) => word = changed,
        }
    }
    let awaiter = task.awaiter.replace(Packed::NOBODY);
    // SAFETY: the executor's reference, which kept the task until its awaiter was taken; its last use.
    unsafe { drop_shared_reference(task) }
    // SAFETY: the handle packed it, and left it to who ends the task. It was taken out of there, once.
    if let Some(awaiter) = unsafe { awaiter.unpack() } {
        awaiter.wake();
    }
}

/// Sets `flags`, of which [`SCHEDULED`] is one, and gives `references` up; puts the task into a queue if it was idle. `false` and
/// nothing at all where the task is done.
#[inline]
fn wake(task: TaskRef, flags: u32, references: u32) -> bool {
    let mut word = task.shared.load(Relaxed);
    loop {
        if word & DONE != 0 {
            return false;
        }
        // Written even where nothing changes: what this thread did before has to be seen by the poll that comes, which acquires the last
        // value written. Reading a `SCHEDULED` alone would not tell the poll anything.
        match task.shared.compare_exchange_weak(word, (word | flags) - references, AcqRel, Relaxed) {
            Ok(_) => break,
            Err(changed) => word = changed,
        }
    }
    if is_idle(word) {
        // Ours: until somebody takes it out of its queue the task is not done, so it is there, whatever became of our reference.
        Scheduled(task).schedule();
    }
    true
}

/// What handles do, wherever they are.
pub(super) const AFAR: Afar = Afar {
    wake: |task| {
        // The reference is given up by the same step. Until the task is done it is never the last: there is the executor's.
        if !wake(task, SCHEDULED, ONE) {
            // SAFETY: the waker's reference; the last use of it.
            unsafe { drop_shared_reference(task) }
        }
    },
    wake_by_ref: |task| _ = wake(task, SCHEDULED, 0),
    poll_join,
    is_done,
    cancel: |task| _ = wake(task, SCHEDULED | CLOSED, 0),
    abandon,
};

/// Puts a waker into the task's awaiter, which is the handle's while [`AWAITED`] is not set.
fn await_with(task: TaskRef, waker: &Waker) {
    if !task.awaiter.get().wakes_the_same_as(waker) {
        // Cloned before anything is changed: that is a stranger's code, and may panic.
        let former = task.awaiter.replace(Packed::new(waker));
        // SAFETY: it stood in the task, and is now nowhere else.
        drop(unsafe { former.unpack() });
    }
}

fn poll_join(task: TaskRef, context: &mut Context<'_>) -> Poll<bool> {
    let mut word = task.shared.load(Acquire);
    if word & (DONE | AWAITED) == AWAITED {
        // Awaited before: the awaiter comes back to the handle, unless the task is done and it is being woken.
        word = task.shared.fetch_and(!AWAITED, AcqRel);
    }
    if word & DONE != 0 {
        return Poll::Ready(word & OUTPUT != 0);
    }
    await_with(task, context.waker());
    let leave = |word: u32| (word & DONE == 0).then_some(word | AWAITED);
    match task.shared.fetch_update(AcqRel, Acquire, leave) {
        Ok(_) => Poll::Pending,
        Err(word) => {
            // SAFETY: done meanwhile, without a look at the awaiter: it is the handle's. Taken out of there, once.
            drop(unsafe { task.awaiter.replace(Packed::NOBODY).unpack() });
            Poll::Ready(word & OUTPUT != 0)
        }
    }
}

fn is_done(task: TaskRef) -> bool {
    task.shared.load(Acquire) & DONE != 0
}

/// # Safety
/// The handle's reference is given up.
unsafe fn abandon(task: TaskRef) {
    let leave = |word: u32| (word & DONE == 0).then_some((word | ABANDONED) - ONE);
    // Where the task is not done the reference goes by the same step: it is not the last, for the executor's is there.
    if let Err(word) = task.shared.fetch_update(AcqRel, Acquire, leave) {
        if word & OUTPUT != 0 {
            // SAFETY: the table is the task's own. There is an outcome, it is the handle's to take, and this is its last act.
            unsafe { (task.vtable.drop_output)(task) }
        }
        // SAFETY: the handle's reference; its last use.
        unsafe { drop_shared_reference(task) }
    }
}
