//! Processor sharing: all ready tasks get the same part of the cores, at most one core each.
//!
//! What counts is one number, the work that a task which was always there would have had done (*virtual time*): a task is done when that has
//! grown by its own work. So an arrival or an end is one operation on a heap, however many tasks share.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::TaskId;
use super::fluid::{FRACTION, Fluid, progress, time_for, work_left};

/// Tasks by the virtual time at which they are done.
#[derive(Debug)]
pub struct ProcessorSharing {
    heap: BinaryHeap<Reverse<(u128, u64, TaskId)>>,
    entered: u64,
    virtual_time: u128,
    now: u64,
    cores: u64,
}

impl Fluid for ProcessorSharing {
    fn new(cores: u32) -> Self {
        Self { heap: BinaryHeap::new(), entered: 0, virtual_time: 0, now: 0, cores: cores.into() }
    }

    #[inline]
    fn enter(&mut self, task: TaskId, work: u64, _: u64) {
        self.entered += 1;
        self.heap.push(Reverse((self.virtual_time + (u128::from(work) << FRACTION), self.entered, task)));
    }

    #[inline]
    fn next(&self) -> u64 {
        let Some(Reverse((done, ..))) = self.heap.peek() else { return u64::MAX };
        let work = done.saturating_sub(self.virtual_time);
        self.now.saturating_add(time_for(work, self.cores, self.heap.len() as u64))
    }

    #[inline]
    fn advance(&mut self, now: u64) -> u128 {
        let time = now - self.now;
        self.now = now;
        let members = self.heap.len() as u64;
        if members == 0 {
            return 0;
        }
        self.virtual_time += progress(time, self.cores, members);
        u128::from(time) * u128::from(members.min(self.cores))
    }

    #[inline]
    fn take_done(&mut self) -> Option<TaskId> {
        let Reverse((done, ..)) = self.heap.peek()?;
        if *done > self.virtual_time { None } else { self.heap.pop().map(|Reverse((_, _, task))| task) }
    }

    fn remove(&mut self, task: TaskId) -> bool {
        let before = self.heap.len();
        self.heap.retain(|Reverse((_, _, other))| *other != task);
        self.heap.len() < before
    }

    fn left(&self) -> impl Iterator<Item = (TaskId, u64)> {
        self.heap.iter().map(|Reverse((done, _, task))| (*task, work_left(*done, self.virtual_time)))
    }

    fn len(&self) -> usize {
        self.heap.len()
    }
}
