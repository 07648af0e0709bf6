//! Least attained service, also foreground-background: the tasks that have had the least so far share the cores.
//!
//! Tasks that have had the same form a group and get on together; a group that catches up with the next joins it. The groups are a stack with
//! the least served on top: only those that find a core move. With several cores each group takes as many as it has members, from the top.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::TaskId;
use super::fluid::{FRACTION, Fluid, progress, time_for, work_left};

/// Groups of tasks, the least served last.
#[derive(Debug)]
pub struct LeastAttained {
    groups: Vec<Group>,
    /// Empty heaps for the next groups, and room to note who moves: kept, so that no event allocates.
    spare: Vec<BinaryHeap<Member>>,
    noted: Vec<(usize, u64, u64)>,
    entered: u64,
    len: usize,
    now: u64,
    cores: u64,
}

/// What a task will have attained when it is done; the order of entering; who it is.
type Member = Reverse<(u128, u64, TaskId)>;

#[derive(Debug)]
struct Group {
    attained: u128,
    members: BinaryHeap<Member>,
}

impl LeastAttained {
    /// The groups that move: index, cores and members.
    fn moving(&self) -> impl Iterator<Item = (usize, u64, u64)> + '_ {
        let mut left = self.cores;
        (0..self.groups.len()).rev().map_while(move |index| {
            let members = self.groups[index].members.len() as u64;
            let cores = members.min(left);
            left -= cores;
            (cores > 0).then_some((index, cores, members))
        })
    }

    fn merge(&mut self, upper: usize) {
        let group = self.groups.remove(upper);
        let below = &mut self.groups[upper - 1];
        below.attained = below.attained.max(group.attained);
        // The smaller heap moves.
        let (mut small, mut large) = (group.members, std::mem::take(&mut below.members));
        if small.len() > large.len() {
            std::mem::swap(&mut small, &mut large);
        }
        large.extend(small.drain());
        below.members = large;
        self.spare.push(small);
    }
}

impl Fluid for LeastAttained {
    fn new(cores: u32) -> Self {
        let (groups, spare, noted) = (Vec::new(), Vec::new(), Vec::new());
        Self { groups, spare, noted, entered: 0, len: 0, now: 0, cores: cores.into() }
    }

    fn enter(&mut self, task: TaskId, work: u64, attained: u64) {
        self.entered += 1;
        self.len += 1;
        let attained = u128::from(attained) << FRACTION;
        let member = Reverse((attained + (u128::from(work) << FRACTION), self.entered, task));
        let at = self.groups.partition_point(|group| group.attained > attained);
        if let Some(group) = self.groups.get_mut(at).filter(|group| group.attained == attained) {
            group.members.push(member);
        } else {
            let mut members = self.spare.pop().unwrap_or_default();
            members.push(member);
            self.groups.insert(at, Group { attained, members });
        }
    }

    fn next(&self) -> u64 {
        let mut soonest = u64::MAX;
        let mut left = self.cores;
        for (index, cores, members) in self.moving() {
            left -= cores;
            let group = &self.groups[index];
            if let Some(Reverse((done, ..))) = group.members.peek() {
                soonest = soonest.min(time_for(done.saturating_sub(group.attained), cores, members));
            }
            if index > 0 {
                let ahead = self.groups[index - 1].attained - group.attained;
                let below = self.groups[index - 1].members.len() as u64;
                if cores < members {
                    // Nothing is left for the group below: it stands still.
                    soonest = soonest.min(time_for(ahead, cores, members));
                } else if left < below {
                    // Full speed, against one that has `left` cores for `below` members: the difference closes the gap.
                    soonest = soonest.min(time_for(ahead, below - left, below));
                }
            }
        }
        self.now.saturating_add(soonest)
    }

    fn advance(&mut self, now: u64) -> u128 {
        let time = now - self.now;
        self.now = now;
        let mut moving = std::mem::take(&mut self.noted);
        if time > 0 {
            moving.extend(self.moving());
        }
        let mut used = 0;
        for (index, cores, members) in moving.drain(..) {
            self.groups[index].attained += progress(time, cores, members);
            used += u128::from(time) * u128::from(cores);
        }
        self.noted = moving;
        let mut upper = self.groups.len();
        while upper > 1 {
            upper -= 1;
            if self.groups[upper].attained >= self.groups[upper - 1].attained {
                self.merge(upper);
            } else if upper + (self.cores as usize) < self.groups.len() {
                break;
            }
        }
        used
    }

    fn take_done(&mut self) -> Option<TaskId> {
        // All groups that moved may have members that are done: at most one per core lies above those that stood still.
        for index in (0..self.groups.len()).rev().take(self.cores as usize) {
            let group = &mut self.groups[index];
            let done = group.members.peek().is_some_and(|Reverse((done, ..))| *done <= group.attained);
            if done {
                let task = group.members.pop().map(|Reverse((_, _, task))| task);
                if group.members.is_empty() {
                    self.spare.push(self.groups.remove(index).members);
                }
                self.len -= 1;
                return task;
            }
        }
        None
    }

    fn remove(&mut self, task: TaskId) -> bool {
        let before = self.len;
        for group in &mut self.groups {
            let members = group.members.len();
            group.members.retain(|Reverse((_, _, other))| *other != task);
            self.len -= members - group.members.len();
        }
        self.groups.retain(|group| !group.members.is_empty());
        self.len < before
    }

    fn left(&self) -> impl Iterator<Item = (TaskId, u64)> {
        let members = self.groups.iter().flat_map(|group| group.members.iter().map(|member| (group.attained, member)));
        members.map(|(attained, Reverse((done, _, task)))| (*task, work_left(*done, attained)))
    }

    fn len(&self) -> usize {
        self.len
    }
}
