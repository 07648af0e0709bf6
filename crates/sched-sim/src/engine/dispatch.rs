//! One scheduling decision: free cores for ready threads, and cores of others for those who are more entitled.

use super::cores::{Cores, context};
use super::tasks::{GO, NO_CORE, NONE, State, TaskId, WOKEN};
use crate::outcome::StopReason;
use crate::policy::{Context, Policy, Why};
use crate::record::{Event, Sink};

impl<P: Policy, S: Sink> Cores<P, S> {
    /// Gives free cores to ready threads, and then cores of others to those who are more entitled.
    pub(super) fn dispatch(&mut self) {
        self.fill_cores();
        // Who gets a core may make others ready at once, and who loses one may have a right to another: they join the line.
        while P::PREEMPTIVE
            && self.world.stop.is_none()
            && let Some(thread) = self.fresh.pop_front()
        {
            self.preempt_for(thread);
        }
    }

    /// Takes cores of others until the thread has one, or no right to any.
    fn preempt_for(&mut self, thread: TaskId) {
        while self.world.tasks.hot[thread as usize].state == State::Ready
            && self.world.stop.is_none()
            && let Some(core) = self.victim_of(thread)
        {
            let victim = self.cores[core].thread;
            self.vacate(core);
            self.put_back(core, victim, Why::Preempted);
            // A third may be the first in the queue: then it is the thread's turn again.
            self.fill_cores();
            if self.cores[core].thread == victim {
                return; // It is picked before the thread, whoever may take a core from whom.
            }
        }
    }

    pub(super) fn fill_cores(&mut self) {
        while self.idle_count > 0 && self.ready_count > 0 {
            let before = self.world.events;
            if let Some(order) = self.setup.placer.order(self.world.now) {
                for core in order {
                    self.fill(core as usize);
                }
            } else {
                for word in 0..self.idle.len() {
                    let mut left = self.idle[word];
                    while left != 0 && self.ready_count > 0 {
                        let core = word * 64 + left.trailing_zeros() as usize;
                        left &= left - 1;
                        self.fill(core);
                    }
                }
            }
            if self.world.events == before || self.world.stop.is_some() {
                break;
            }
        }
    }

    /// Looks for a thread for one core.
    #[inline]
    pub(super) fn fill(&mut self, core: usize) {
        while self.cores[core].thread == NONE {
            let queue = self.setup.placer.queue(core);
            let context = context!(self);
            let mut picked = if self.queues[queue].is_empty() {
                None
            } else if self.setup.any_affinity {
                // Many that may not run here are not looked through again at each event.
                let barren = self.barren[core];
                let found = if barren {
                    None
                } else {
                    self.queues[queue].pick(context, |task| context.tasks.allowed(task, core))
                };
                self.barren[core] = found.is_none();
                found
            } else {
                self.queues[queue].pick(context, |_| true)
            };
            if picked.is_none() && self.steals_when_idle() && self.steal_for(core) {
                let context = context!(self);
                picked = self.queues[queue].pick(context, |task| context.tasks.allowed(task, core));
            }
            let Some(thread) = picked else {
                if self.queues[queue].is_exhausted() {
                    self.world.stop = Some(StopReason::DrawsExhausted);
                }
                return;
            };
            self.ready_count -= 1;
            self.place(core, thread);
            if self.world.stop.is_some() {
                return;
            }
        }
    }

    /// Gives a core to a thread: what that costs, and how long it may run.
    pub(super) fn place(&mut self, core: usize, thread: TaskId) {
        self.barren[core] = false;
        self.idle[core / 64] &= !(1 << (core % 64));
        self.idle_count -= 1;
        self.take_core(core, thread);
    }

    #[inline]
    pub(super) fn take_core(&mut self, core: usize, thread: TaskId) {
        let now = self.world.now;
        let was = self.cores[core].last;
        let hot = &mut self.world.tasks.hot[thread as usize];
        let (flags, from, waker) = (hot.flags, hot.last_core, hot.waker);
        hot.state = State::Running;
        hot.flags = flags & !WOKEN;
        hot.last_core = core as u16;
        let mut overhead = 0;
        if was != thread && was != NONE {
            self.switches += 1;
            hot.switches += 1;
            overhead += self.world.cost(self.world.charges.context_switch);
        }
        if from != core as u16 && from != NO_CORE {
            overhead += self.migrate(core, from as usize, thread);
        }
        if flags & WOKEN != 0 {
            let charges = &self.world.charges;
            // Woken by whoever had this core until now: no interrupt from another core, and no idle state to leave.
            let same = waker == core as u16 && self.cores[core].idle_since == now;
            let charge = if same { charges.wakeup_same_core } else { charges.wakeup_cross_core };
            overhead += self.world.cost(charge);
        }
        let starts = now + overhead;
        let state = &mut self.cores[core];
        state.thread = thread;
        state.since = starts;
        state.shown_since = starts;
        state.switching = state.switching.saturating_add(overhead);
        state.starting = flags & GO == 0;
        self.world.events += 1;
        self.world.watch();
        let queue = self.setup.placer.queue(core);
        let at_start = Context { now: starts, tasks: &self.world.tasks };
        let slice = self.queues[queue].slice(thread, &at_start);
        self.cores[core].slice_ends = starts.saturating_add(slice);
        self.cores[core].level = self.queues[queue].level(thread);
        let shown = self.world.shown(thread);
        self.cores[core].shown = shown;
        if S::LISTENS {
            self.sink.event(Event::Dispatch, starts, core, self.world.tasks.traits[shown as usize].id);
        }
        if self.setup.siblings.is_some() {
            self.siblings_changed(core);
        }
        if flags & GO != 0 {
            self.enter(core);
            self.set_timer(core);
        } else if overhead > 0 {
            self.timers.set(core, starts);
        } else {
            self.cores[core].starting = false;
            self.enter(core);
            self.move_on(core);
        }
    }

    /// A thread begins to run (again).
    #[inline]
    pub(super) fn enter(&mut self, core: usize) {
        let state = &self.cores[core];
        let (thread, since, shown) = (state.thread, state.since, state.shown);
        self.world.note_first_run(thread, since);
        if let Some(caches) = &mut self.setup.caches {
            caches.enter(core, shown);
        }
    }

    pub(super) fn migrate(&mut self, core: usize, from: usize, thread: TaskId) -> u64 {
        self.migrations += 1;
        self.world.tasks.hot[thread as usize].migrations += 1;
        if self.setup.llc[core] == self.setup.llc[from] { 0 } else { self.world.cost(self.world.charges.migration) }
    }

    /// The core whose thread has the least right to it against a ready one.
    pub(super) fn victim_of(&mut self, ready: TaskId) -> Option<usize> {
        let queue_of = |this: &Self, core: usize| this.setup.placer.queue(core);
        let home = self.setup.placer.home(ready, &self.world.tasks);
        let mut worst: Option<usize> = None;
        self.account_all(home);
        for core in 0..self.cores.len() {
            let running = self.cores[core].thread;
            if running == NONE || queue_of(self, core) != home || !self.world.tasks.allowed(ready, core) {
                continue;
            }
            if self.world.tasks.hot[running as usize].remaining == 0 && !self.cores[core].starting {
                continue; // its burst ends in this instant
            }
            let queue = &self.queues[home];
            if queue.preempts(ready, running, context!(self))
                && worst.is_none_or(|worst| queue.preempts(self.cores[worst].thread, running, context!(self)))
            {
                worst = Some(core);
            }
        }
        worst
    }
}
