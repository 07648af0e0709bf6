//! Where tasks come from: a list in order of arrival, or a generator that makes each when its time has come.

use super::tasks::{KILLED, NO_CORE, State, TaskId, Traits};
use super::world::World;
use crate::policy::Why;
use crate::random::{Random, Sampler};
use crate::scenario::RuntimeKind;
use crate::time::NEVER;

/// Where tasks come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Tasks in order of arrival.
    Listed { order: Vec<TaskId>, arrivals: Vec<u64>, taken: usize },
    /// Tasks that are made on arrival.
    Generated(Box<Generated>),
}

/// A generator at work.
#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) next: u64,
    pub(crate) left: u64,
    pub(crate) made: u32,
    /// Between arrivals; without it they are periodic.
    pub(crate) gaps: Sampler,
    pub(crate) gap_random: Random,
    pub(crate) service: Sampler,
    pub(crate) service_random: Random,
    /// Running sums of chances, and priorities.
    pub(crate) classes: Vec<(f64, u32)>,
    pub(crate) class_random: Random,
    pub(crate) program: u32,
    /// Loop counters of each task.
    pub(crate) loops: u32,
    /// Give the places of ended tasks to new ones?
    pub(crate) recycle: bool,
}

impl Source {
    #[inline]
    pub(crate) fn next_time(&self) -> u64 {
        match self {
            Self::Listed { arrivals, taken, .. } => arrivals.get(*taken).copied().unwrap_or(NEVER),
            Self::Generated(generated) => generated.next,
        }
    }

    /// Do new tasks get the places of ended ones? Not if each shall be in the result.
    #[inline]
    pub(crate) fn gives_places_back(&self) -> bool {
        matches!(self, Self::Generated(generated) if generated.recycle)
    }

    /// Are tasks generated, so that their statistics are taken when they end?
    #[inline]
    pub(crate) fn is_generated(&self) -> bool {
        matches!(self, Self::Generated(_))
    }
}

impl World {
    /// The next task arrives.
    pub(crate) fn arrive(&mut self) {
        match &mut self.source {
            Source::Listed { order, taken, .. } => {
                let task = order[*taken];
                let in_system = self.live - (order.len() - *taken) as u64 - self.unreleased;
                *taken += 1;
                if in_system >= self.most_in_system {
                    self.stats.arrivals += 1;
                    self.drop_task(task);
                } else if self.tasks.hot[task as usize].flags & KILLED != 0 {
                    self.end(task);
                } else {
                    self.start(task);
                }
            }
            Source::Generated(_) => self.generate(),
        }
    }

    /// A task is there, and wants to run.
    pub(crate) fn start(&mut self, task: TaskId) {
        self.stats.arrivals += 1;
        match self.runtime {
            RuntimeKind::ThreadPool | RuntimeKind::ProcessPool | RuntimeKind::EventLoop | RuntimeKind::MN => {
                if self.pools.is_full(self.work_queue(task)) {
                    self.drop_task(task);
                    return;
                }
                self.queue_for_worker(task);
            }
            // One that was spawned is its parent's to pay for.
            RuntimeKind::ThreadPerRequest if self.here == NO_CORE => {
                let cost = self.cost(self.charges.thread_create);
                self.owe(task, cost);
                self.make_ready(task, Why::Arrived);
            }
            _ => self.make_ready(task, Why::Arrived),
        }
    }

    /// A task that found no room.
    fn drop_task(&mut self, task: TaskId) {
        self.stats.drops += 1;
        self.stats.late_drops += u64::from(self.tasks.traits[task as usize].id >= self.stats.warmup);
        self.leave_system(task, false);
    }

    /// A task is gone, served or not: its place is free, and who waited for its end goes on.
    pub(super) fn leave_system(&mut self, task: TaskId, served: bool) {
        self.live -= 1;
        self.events += 1;
        self.tasks.hot[task as usize].state = State::Done;
        self.stats.served += u64::from(served);
        if self.source.is_generated() {
            self.stats.window.left(self.now, served);
        }
        if self.source.gives_places_back() {
            self.give_place_back(task);
        }
        self.wake_joiners(task);
    }

    /// The task's place is free for the next one, who is not to be taken for it.
    fn give_place_back(&mut self, task: TaskId) {
        if self.sync.locks.iter().any(|lock| lock.holder == task) {
            return; // For ever: who asks who has the lock shall hear of this task.
        }
        if !self.marks.running.is_empty() {
            for mark in 0..self.programs.marks.list.len() as u32 {
                self.marks.running.remove(&(mark, task));
            }
        }
        self.gils.forget_place(task);
        self.pools.forget_place(task);
        self.replaced.push(task);
        self.tasks.recycle(task);
    }

    fn generate(&mut self) {
        let now = self.now;
        let Source::Generated(generated) = &mut self.source else { return };
        let number = generated.made;
        let window = &mut self.stats.window;
        if number == self.stats.warmup {
            window.state = super::stats::WindowState::Opening;
        } else if generated.left == 1 {
            window.state = super::stats::WindowState::Closing;
        }
        generated.made = generated.made.wrapping_add(1);
        generated.left -= 1;
        generated.next = if generated.left == 0 {
            NEVER
        } else {
            now.saturating_add(generated.gaps.draw(&mut generated.gap_random))
        };
        // Drawn also for those who are dropped: the others' times do not depend on who gets in.
        let service = generated.service.draw(&mut generated.service_random);
        let mut class = 0;
        if generated.classes.len() > 1 {
            let at = generated.class_random.unit();
            class = generated.classes.partition_point(|(sum, _)| *sum < at).min(generated.classes.len() - 1);
        }
        let priority = generated.classes.get(class).map_or(0, |(_, priority)| *priority);
        let traits =
            Traits { id: number, program: generated.program, priority, class: class as u8, ..Traits::default() };
        if self.live >= self.most_in_system {
            self.stats.arrivals += 1;
            self.stats.drops += 1;
            self.stats.late_drops += u64::from(number >= self.stats.warmup);
            self.events += 1;
            return;
        }
        if self.live >= self.task_limit {
            self.stop = Some(crate::outcome::StopReason::TaskLimit);
            return;
        }
        let loops = generated.loops;
        let room = self.tasks.room();
        let task = self.tasks.add(traits, now);
        // The policy's columns will grow as well, with a queue per core by many times as much: too much for waiting until the next look.
        if self.tasks.room() > room && !self.watch.allows(self.bytes()) {
            self.stop = Some(crate::outcome::StopReason::MemoryLimit);
            return;
        }
        let counters = (task as usize + 1) * loops as usize;
        if self.loops.len() < counters {
            // A program may have thousands of loops: too much for waiting until the next look.
            if counters > u32::MAX as usize || !self.watch.allows((counters * size_of::<u32>()) as u64) {
                self.stop = Some(crate::outcome::StopReason::MemoryLimit);
                return;
            }
            self.loops.resize(counters, 0);
        }
        self.tasks.traits[task as usize].loops = task * loops;
        if self.waits_for.len() < self.tasks.len() {
            self.waits_for.push(super::sync::WaitsFor::Nothing);
        }
        self.tasks.life[task as usize].service = service;
        self.live += 1;
        self.stats.window.came(now);
        self.start(task);
    }
}
