//! Tasks in a row: those that wait for a worker, and all that an executor has.
//!
//! Both lists go through the tasks' own headers: a task is in at most one of each kind, and nothing has to be allocated for it. With
//! a list beside them a wake from outside would allocate, under a lock that all workers want.
//!
//! ```text
//!   Links:   first -> task -next-> task -next-> task <- last        added behind, taken in front
//!   Family:  first -> task <-before, after-> task <-before, after-> task        added in front, taken from anywhere
//! ```
#![allow(unsafe_code)]

use std::task::Poll;
use std::time::Duration;

use super::header::TaskRef;
use super::shared::Scheduled;
use super::state::local::MARKED;
use crate::births::{Births, Member};
use crate::primitives::Cell;

/// Tasks one after the other, linked through their headers. It has no right to poll them, and is for one thread at a time.
#[derive(Default)]
pub(crate) struct Links {
    first: Cell<Option<TaskRef>>,
    last: Cell<Option<TaskRef>>,
}

impl Links {
    #[inline]
    pub(crate) fn push(&self, task: TaskRef) {
        match self.last.replace(Some(task)) {
            Some(last) => last.next.set(Some(task)),
            None => self.first.set(Some(task)),
        }
    }

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

    /// Moves all of `row` to this one's end.
    #[inline]
    pub(crate) fn append(&self, row: &Self) {
        let Some(first) = row.first.take() else { return };
        match self.last.replace(row.last.take()) {
            Some(last) => last.next.set(Some(first)),
            None => self.first.set(Some(first)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }
}

/// Tasks to be polled, first come, first served. They are linked by `next`, which goes with the right to poll them.
#[derive(Default)]
pub(crate) struct Row {
    links: Links,
    length: usize,
}

// SAFETY: it is made of rights to poll, which are `Send`.
unsafe impl Send for Row {}

impl Row {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Puts a task at the end.
    #[inline]
    pub(crate) fn push(&mut self, task: Scheduled) {
        let task = task.into_task();
        debug_assert!(task.next.get().is_none());
        self.links.push(task);
        self.length += 1;
    }

    /// Puts all of another row at the end, which is empty then.
    pub(crate) fn append(&mut self, row: &mut Self) {
        self.links.append(&row.links);
        self.length += std::mem::take(&mut row.length);
    }

    /// The first task.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Scheduled> {
        let first = self.links.pop()?;
        self.length -= 1;
        // SAFETY: its right came here with it.
        Some(unsafe { Scheduled::new(first) })
    }
}

/// All tasks of an executor that are not done. They are linked by `before` and `after`, which belong to who has the list: the owner's thread or,
/// for tasks without owner, who holds the list's lock.
#[derive(Default)]
pub(crate) struct Family {
    first: Cell<Option<TaskRef>>,
    births: Births<TaskRef>,
    len: Cell<usize>,
    /// How many have left it.
    ended: Cell<u64>,
}

impl Member for TaskRef {
    fn set_marked(self, is_marked: bool) {
        let word = self.local.get();
        self.local.set(if is_marked { word | MARKED } else { word & !MARKED });
    }

    #[inline]
    fn is_marked(self) -> bool {
        self.local.get() & MARKED != 0
    }
}

// SAFETY: of its tasks it uses the links and the mark, which belong to whoever has the list, and the state, which is atomic.
unsafe impl Send for Family {}

impl Family {
    /// The youngest.
    pub(crate) fn first(&self) -> Option<TaskRef> {
        self.first.get()
    }

    fn all(&self) -> impl Iterator<Item = TaskRef> {
        std::iter::successors(self.first.get(), |task| task.after.get())
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// How many have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// Takes a new task in.
    #[inline]
    pub(crate) fn add(&self, task: TaskRef) {
        self.len.set(self.len.get() + 1);
        self.births.add(self.first.get());
        let first = self.first.replace(Some(task));
        task.after.set(first);
        if let Some(first) = first {
            first.before.set(Some(task));
        }
    }

    /// Lets a task go that is in this list.
    #[inline]
    pub(crate) fn remove(&self, task: TaskRef) {
        self.len.set(self.len.get() - 1);
        self.ended.set(self.ended.get() + 1);
        let (before, after) = (task.before.take(), task.after.take());
        self.births.remove(task, after);
        match before {
            Some(before) => before.after.set(after),
            None => self.first.set(after),
        }
        if let Some(after) = after {
            after.before.set(before);
        }
    }

    /// Calls `tell` for each task, from the youngest on, with its age.
    pub(crate) fn each(&self, mut tell: impl FnMut(TaskRef, Duration)) {
        let mut ages = self.births.ages();
        self.all().for_each(|task| tell(task, ages(task)));
    }

    /// Takes the right to poll a task without owner, in order to close it; the task stays in the list until it is done. Those that are
    /// polled or closed right now are passed over: they are in hands. `Pending` where one is in a queue, or on its way into one. `None` where
    /// there are no others.
    pub(crate) fn claim(&self) -> Poll<Option<Scheduled>> {
        let mut is_any_on_its_way = false;
        for task in self.all() {
            match Scheduled::claim(task) {
                Some(task) => return Poll::Ready(Some(task)),
                None => is_any_on_its_way |= !Scheduled::is_in_hand(task),
            }
        }
        if is_any_on_its_way { Poll::Pending } else { Poll::Ready(None) }
    }

    /// The same for the task that lies at `address`. `None` where there is none, or somebody else has the right to it.
    pub(crate) fn claim_at(&self, address: usize) -> Option<Scheduled> {
        self.all().find(|task| task.address() == address).and_then(Scheduled::claim)
    }
}
