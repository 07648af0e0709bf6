//! Looks up from the simulation now and then: has somebody pressed Ctrl-C, is a limit reached, does a task go round and round?
//!
//! Everything that a run can do again and again counts towards the next look: state changes of tasks, and what changes nothing (a step without
//! time, a tick after which the task goes on). So there is no program whose run only ends when it is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tasks::{State, TaskId};
use super::world::World;
use crate::outcome::StopReason;
use crate::scenario::Limits;

/// What a run and whoever started it tell each other while it goes on.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Set to end the run with what it has.
    pub stop: Arc<AtomicBool>,
    /// Events so far, updated now and then.
    pub events: Arc<AtomicU64>,
}

/// When to look up, and at what.
#[derive(Debug)]
pub(crate) struct Watch {
    control: Control,
    most_events: u64,
    most_bytes: u64,
    /// What changed nothing; part of the world's events.
    pub(crate) idle: u64,
    /// What changed nothing in the instant in which that was counted last.
    in_instant: u64,
    instant: u64,
    /// The instant of the last look, and how much happened in it before.
    looked: Option<u64>,
    still: u64,
}

/// Between two looks pass one to ten milliseconds.
const EVENTS: u64 = 1 << 16;
/// Steps without time in one instant, or events, beside [`EACH`] of every task: with more of them a program goes round and round.
const TIMELESS: u64 = 10_000_000;
const EACH: u64 = 1_000;

impl Watch {
    pub(crate) fn new(control: Control, limits: &Limits) -> Self {
        Self {
            control,
            most_events: limits.events,
            most_bytes: limits.memory,
            idle: 0,
            in_instant: 0,
            instant: 0,
            looked: None,
            still: 0,
        }
    }

    /// Is there room for so many bytes?
    pub(crate) fn allows(&self, bytes: u64) -> bool {
        bytes <= self.most_bytes
    }

    /// The number of events at which a run looks up for the first time.
    pub(crate) fn first_look(&self) -> u64 {
        EVENTS.min(self.most_events)
    }
}

impl World {
    /// Has the time come to look up? Sets [`World::stop`] if the run has to end.
    #[inline]
    pub(crate) fn watch(&mut self) {
        if self.events >= self.next_look {
            self.look();
        }
    }

    #[cold]
    fn look(&mut self) {
        self.watch.control.events.store(self.events, Ordering::Relaxed);
        let before = self.watch.looked.replace(self.now);
        self.watch.still = if before == Some(self.now) { self.watch.still + EVENTS } else { 0 };
        self.next_look = self.watch.most_events.min(self.events.saturating_add(EVENTS));
        if self.stop.is_some() {
            return;
        }
        self.stop = if self.events >= self.watch.most_events {
            Some(StopReason::EventLimit)
        } else if self.watch.control.stop.load(Ordering::Relaxed) {
            Some(StopReason::Interrupted)
        } else if self.bytes() > self.watch.most_bytes {
            Some(StopReason::MemoryLimit)
        } else if self.watch.still > self.most_in_an_instant() {
            Some(StopReason::Livelock { task: self.who_goes_round() })
        } else {
            None
        };
    }

    fn most_in_an_instant(&self) -> u64 {
        TIMELESS + EACH * self.tasks.len() as u64
    }

    /// One of those who keep the instant from being over: they run, or are about to.
    fn who_goes_round(&self) -> u32 {
        let of = |state| (0..self.tasks.len()).find(|task| self.tasks.hot[*task].state == state);
        let task = of(State::Running).or_else(|| of(State::Ready)).unwrap_or(0);
        self.tasks.traits[self.shown(task as TaskId) as usize].id
    }

    /// The task did so much that took no time and changed nothing. Gives whether the run has to end.
    pub(crate) fn idle(&mut self, task: TaskId, count: u64) -> bool {
        self.events += count;
        let watch = &mut self.watch;
        watch.idle += count;
        if watch.instant != self.now {
            (watch.instant, watch.in_instant) = (self.now, 0);
        }
        watch.in_instant += count;
        if self.watch.in_instant > self.most_in_an_instant() {
            self.stop = Some(StopReason::Livelock { task: self.tasks.traits[task as usize].id });
        }
        self.watch();
        self.stop.is_some()
    }
}
