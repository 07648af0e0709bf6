//! A queue ordered by a key, and by arrival among equal keys: what sjf, srpt, priority, rm and edf have in common. And the policy
//! that is no more than such a queue: srpt, rm and edf, which differ in the key.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::marker::PhantomData;

use super::{Context, Options, Policy, TaskId, Why};

/// (key, arrival, place): the least comes first. The low half of the place is the task.
type Entry<K> = Reverse<(K, u64, u64)>;

/// Ready tasks by key.
#[derive(Debug)]
pub(crate) struct Keyed<K: Ord = u64> {
    heap: BinaryHeap<Entry<K>>,
    /// Tasks that were passed over; empty between calls.
    passed: Vec<Entry<K>>,
    /// How often somebody yielded, modulo 2^32.
    yields: u32,
}

impl<K: Ord> Default for Keyed<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), passed: Vec::new(), yields: 0 }
    }
}

impl<K: Ord> Keyed<K> {
    /// Ties go by arrival, and then by place (the order of the scenario): the contract's `arrival-then-id`. Who offers its core to others goes behind
    /// all who are here by now, and those who do so at one instant stand in the order in which they did.
    #[inline]
    pub(crate) fn push(&mut self, key: K, task: TaskId, why: Why, context: &Context<'_>) {
        let (mut since, mut place) = (context.tasks.arrival(task), u64::from(task));
        if why == Why::Yielded {
            self.yields = self.yields.wrapping_add(1);
            since = context.now + 1;
            place |= u64::from(self.yields) << 32;
        }
        self.heap.push(Reverse((key, since, place)));
    }

    #[inline]
    pub(crate) fn pop(&mut self, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        loop {
            let Some(entry) = self.heap.pop() else {
                self.heap.extend(self.passed.drain(..));
                return None;
            };
            let task = entry.0.2 as TaskId;
            if allowed(task) {
                self.heap.extend(self.passed.drain(..));
                return Some(task);
            }
            self.passed.push(entry);
        }
    }

    /// The one that [`Keyed::pop`] would give. Looks at all if it is not the very first.
    pub(crate) fn first(&self, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        let first = self.heap.peek()?.0.2 as TaskId;
        if allowed(first) {
            return Some(first);
        }
        // The greatest of the reversed is the least.
        self.heap.iter().filter(|entry| allowed(entry.0.2 as TaskId)).max().map(|entry| entry.0.2 as TaskId)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(crate) fn remove(&mut self, task: TaskId) -> bool {
        let before = self.heap.len();
        self.heap.retain(|entry| entry.0.2 as TaskId != task);
        self.heap.len() < before
    }
}

/// How urgent a task is.
pub trait Urgency: fmt::Debug {
    /// Is it about a task's burst, so that it is another with the next?
    const OF_BURST: bool = false;

    /// The smaller, the more urgent.
    fn of(task: TaskId, context: &Context<'_>) -> u64;
}

/// Whoever is most urgent has the core at every moment.
#[derive(Debug)]
pub struct MostUrgent<U> {
    queue: Keyed,
    by: PhantomData<U>,
}

impl<U: Urgency> Policy for MostUrgent<U> {
    const PREEMPTIVE: bool = true;

    fn new(_: &Options<'_>) -> Self {
        Self { queue: Keyed::default(), by: PhantomData }
    }

    #[inline]
    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        self.queue.push(U::of(task, context), task, why, context);
    }

    #[inline]
    fn pick(&mut self, _: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        self.queue.pop(allowed)
    }

    #[inline]
    fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    fn preempts(&self, ready: TaskId, running: TaskId, context: &Context<'_>) -> bool {
        U::of(ready, context) < U::of(running, context)
    }

    fn next_burst(&mut self, _: TaskId, _: &Context<'_>, allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        if U::OF_BURST { self.queue.first(allowed) } else { None }
    }

    fn remove(&mut self, task: TaskId) -> bool {
        self.queue.remove(task)
    }
}
