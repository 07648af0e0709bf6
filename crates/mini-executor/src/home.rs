//! A task's home: what the tasks of one [`LocalExecutor`](crate::LocalExecutor) share.
//!
//! Tasks point to their home, and wakers may be kept far longer than an executor: on any thread, for any time. A count of references to
//! the home would cost two atomic operations a task. So homes are never freed. A dropped executor's goes
//! into a pool, for the next one; there are as many as there ever were executors at once. A waker that comes late finds its task done
//! before it would touch the home's queues, and all it may read until then is whose it is.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use crate::task::{TaskRef, arrive, close};
use crate::thread::token;

/// See the module. The owner comes first, for the tasks' `Place` may be either.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Home {
    /// The thread it belongs to, 0 in the pool.
    owner: AtomicU32,

    // The owner's alone.
    /// The run queue: tasks linked through their headers.
    first: Cell<Option<TaskRef>>,
    last: Cell<Option<TaskRef>>,
    /// All tasks that are not done, linked the same way.
    tasks: Cell<Option<TaskRef>>,
    /// Done tasks that have yet to come out of the mailbox.
    pub(crate) owed: Cell<u32>,
    /// Nobody is running tasks, so whoever queues one has to wake the executor.
    asleep: Cell<bool>,

    // Everybody's.
    has_mail: AtomicBool,
    /// Tasks that other threads woke.
    mail: Mutex<Vec<TaskRef>>,
    /// Wakes whoever runs the executor.
    runner: Mutex<Option<Waker>>,
}

// SAFETY: the cells are used by the owner's thread alone: every function that touches them says so, and callers make
// sure by the owner's token. The rest is atomic or behind a lock. Tasks in the mailbox are only moved there, and used by the owner.
unsafe impl Sync for Home {}
// SAFETY: as above; a home changes its owner only through the pool's lock, with empty queues.
unsafe impl Send for Home {}

static POOL: Mutex<Vec<&'static Home>> = Mutex::new(Vec::new());

impl Home {
    /// A home for this thread.
    pub(crate) fn claim() -> &'static Self {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let home = pooled.unwrap_or_else(|| Box::leak(Box::default()));
        home.asleep.set(true);
        home.owner.store(token(), Relaxed);
        home
    }

    /// Drops every future that is left and gives the home back. On the owner's thread.
    pub(crate) fn release(&'static self) {
        // Whoever waits for a task is woken; nobody has to run the executor any more.
        drop(self.runner.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.asleep.set(false);
        // Destructors may wake, spawn and cancel: until nothing is left.
        loop {
            while self.pop().is_some() {}
            let Some(task) = self.tasks.get() else { break };
            close(task);
        }
        // Threads that found a task alive a moment ago are on their way to the mailbox.
        while self.owed.get() > 0 {
            if !self.collect() {
                std::thread::yield_now();
            }
        }
        self.owner.store(0, Relaxed);
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// Takes a new task in. On the owner's thread.
    #[inline]
    pub(crate) fn add(&self, task: TaskRef) {
        let first = self.tasks.replace(Some(task));
        task.after.set(first);
        if let Some(first) = first {
            first.before.set(Some(task));
        }
    }

    /// Lets a task that is done go. On the owner's thread.
    #[inline]
    pub(crate) fn remove(&self, task: TaskRef) {
        let (before, after) = (task.before.take(), task.after.take());
        match before {
            Some(before) => before.after.set(after),
            None => self.tasks.set(after),
        }
        if let Some(after) = after {
            after.before.set(before);
        }
    }

    /// Whether there are no tasks. On the owner's thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.get().is_none()
    }

    /// Puts a task at the end of the run queue. On the owner's thread.
    #[inline]
    pub(crate) fn push(&self, task: TaskRef) {
        match self.last.replace(Some(task)) {
            Some(last) => last.next.set(Some(task)),
            None => self.first.set(Some(task)),
        }
        if self.asleep.get() {
            self.wake_runner();
        }
    }

    /// The first task of the run queue. On the owner's thread.
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        let first = self.first.get()?;
        let next = first.next.take();
        self.first.set(next);
        if next.is_none() {
            self.last.set(None);
        }
        Some(first)
    }

    /// Puts a task into the mailbox. On any thread but the owner's.
    pub(crate) fn post(&self, task: TaskRef) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        self.has_mail.store(true, Release);
        self.wake_runner();
    }

    /// Empties the mailbox; tells whether anything was in it. On the owner's thread.
    #[inline]
    pub(crate) fn collect(&self) -> bool {
        self.has_mail.load(Acquire) && self.collect_mail()
    }

    #[cold]
    fn collect_mail(&self) -> bool {
        self.has_mail.store(false, Relaxed);
        let mail = std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        let any = !mail.is_empty();
        for task in mail {
            arrive(task);
        }
        any
    }

    /// Somebody begins to run tasks, with a waker for when there are more. On the owner's thread.
    pub(crate) fn wake_up(&self, waker: &Waker) {
        self.asleep.set(false);
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *runner {
            Some(runner) => runner.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Nobody runs tasks until the waker was called. On the owner's thread.
    pub(crate) fn fall_asleep(&self) {
        self.asleep.set(true);
    }

    #[cold]
    fn wake_runner(&self) {
        // Called outside the lock: a waker may do anything.
        let runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(runner) = runner {
            runner.wake();
        }
    }
}
