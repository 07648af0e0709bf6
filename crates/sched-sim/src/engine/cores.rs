//! Cores and their run queues: the events of an instant, then one scheduling decision.
//!
//! At one instant events come in the order boost < finished I/O and arrivals < ends of quanta and bursts (ends first, if the policy says so)
//! < stealing < dispatching; within a class in order of insertion, and ends in order of core numbers.

use std::collections::VecDeque;

use super::cache::Caches;
use super::placement::{Placer, Thieves};
use super::smt::Siblings;
use super::steps::Next;
use super::tasks::{GO, NONE, State, TaskId, WORKER};
use super::turns::Turns;
use super::world::World;
use crate::core_timers::CoreTimers;
use crate::outcome::StopReason;
use crate::policy::{Context, Policy, Tick, Why};
use crate::record::{Event, Run, Sink};
use crate::time::{END, NEVER};

/// A core.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    pub(crate) thread: TaskId,
    pub(super) last: TaskId,
    /// Up to here its thread's time is accounted for. In the future while the core still switches.
    pub(super) since: u64,
    pub(super) slice_ends: u64,
    /// The thread has to be moved on when the switch is over.
    pub(super) starting: bool,
    /// When the run that the timeline shows next began, of which task, at which level.
    pub(super) shown_since: u64,
    pub(super) shown: TaskId,
    pub(super) level: Option<u32>,
    /// When it was last left.
    pub(super) idle_since: u64,
    pub(crate) busy: u64,
    pub(crate) switching: u64,
}

/// The cores of a run, with their queues.
#[derive(Debug)]
#[allow(clippy::struct_field_names)] // cores have cores
pub(crate) struct Cores<P, S> {
    pub(crate) world: World,
    pub(crate) sink: S,
    pub(crate) queues: Vec<P>,
    pub(crate) cores: Vec<Core>,
    pub(super) timers: CoreTimers,
    pub(super) idle: Vec<u64>,
    pub(super) idle_count: usize,
    /// Idle cores that found no task in their queue that may run there; looked at again when one comes.
    pub(super) barren: Vec<bool>,
    pub(super) ready_count: usize,
    /// Tasks that became ready in this instant or lost a core in it, if that can cost somebody a core.
    pub(super) fresh: VecDeque<TaskId>,
    pub(crate) setup: Setup,
    pub(crate) switches: u64,
    pub(crate) migrations: u64,
    pub(super) next_boost: u64,
}

/// What of the scenario the cores need.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) any_affinity: bool,
    /// A core whose slice ends can take its next thread before the other events of the instant, if that thread computes at once.
    pub(crate) one_for_one: bool,
    /// Set if a slice's end can be dealt with in the shortest way.
    pub(crate) turns: Option<Turns>,
    pub(crate) ends_first: bool,
    pub(crate) boost_every: Option<u64>,
    pub(crate) until: u64,
    /// The last-level cache of each core.
    pub(crate) llc: Vec<u32>,
    pub(crate) siblings: Option<Siblings>,
    pub(crate) caches: Option<Caches>,
    pub(crate) placer: Placer,
    pub(crate) thieves: Option<Thieves>,
}

/// What a policy is told.
macro_rules! context {
    ($self:ident) => {
        &Context { now: $self.world.now, tasks: &$self.world.tasks }
    };
}
pub(super) use context;

impl<P: Policy, S: Sink> Cores<P, S> {
    pub(crate) fn new(world: World, setup: Setup, queues: Vec<P>, cores: usize, sink: S) -> Self {
        let core = Core {
            thread: NONE,
            last: NONE,
            since: 0,
            slice_ends: NEVER,
            starting: false,
            shown_since: 0,
            shown: NONE,
            level: None,
            idle_since: NEVER,
            busy: 0,
            switching: 0,
        };
        let mut idle = vec![0_u64; cores.div_ceil(64)];
        for core in 0..cores {
            idle[core / 64] |= 1 << (core % 64);
        }
        let next_boost = setup.boost_every.unwrap_or(NEVER);
        Self {
            world,
            sink,
            queues,
            cores: vec![core; cores],
            timers: CoreTimers::new(cores),
            idle,
            idle_count: cores,
            barren: vec![false; cores],
            ready_count: 0,
            fresh: VecDeque::new(),
            setup,
            switches: 0,
            migrations: 0,
            next_boost,
        }
    }

    /// Runs until all is done, nothing can happen, or a limit is reached.
    pub(crate) fn run(&mut self) -> StopReason {
        loop {
            self.turns();
            let now = self.next_time();
            // What is due just at the end still happens: a job may meet its deadline there.
            if now >= END || now > self.setup.until || self.is_stuck() {
                return self.nothing_more();
            }
            debug_assert!(now >= self.world.now, "time went back from {} to {now}", self.world.now);
            self.world.now = now;
            self.instant();
            self.dispatch();
            self.sink.depth(now, self.ready_count);
            if self.world.stats.window.is_turning() {
                let running = |core: &Core| if core.thread == NONE { 0 } else { now.saturating_sub(core.since) };
                let busy = self.cores.iter().map(|core| u128::from(core.busy + running(core))).sum();
                self.world.stats.window.turn(now, busy);
            }
            self.world.watch();
            if self.world.is_over() {
                self.stop_clock(now);
                return self.world.stop.take().unwrap_or(StopReason::Finished);
            }
        }
    }

    /// Nothing happens until the end.
    fn nothing_more(&mut self) -> StopReason {
        let until = self.setup.until;
        let is_stuck = self.idle_count == self.cores.len() && self.world.is_still();
        // Nobody can do anything any more, long before the end: that is why it ended.
        self.stop_clock(if until == NEVER || is_stuck { self.world.now } else { until });
        match () {
            () if self.world.live == 0 => StopReason::Finished,
            () if is_stuck => StopReason::Deadlock,
            () if until != NEVER => StopReason::Until,
            () => StopReason::EndOfTime,
        }
    }

    /// Will nothing ever happen? There may be timers yet, of tasks that were killed or woken before theirs was due.
    #[inline]
    fn is_stuck(&self) -> bool {
        self.idle_count == self.cores.len() && self.ready_count == 0 && self.world.is_still()
    }

    #[inline]
    pub(super) fn next_time(&self) -> u64 {
        let mut next = self.timers.next_time().min(self.world.next_time());
        // What is due only at certain times matters only while there is something to do.
        if next != NEVER {
            next = next.min(self.next_boost);
            if let Some(thieves) = &self.setup.thieves {
                next = next.min(thieves.next_time());
            }
        }
        next
    }

    /// Accounts for what runs at the end.
    pub(super) fn stop_clock(&mut self, now: u64) {
        self.world.now = now;
        for core in 0..self.cores.len() {
            if self.cores[core].thread != NONE {
                self.account(core);
                self.show(core);
                self.break_off_switch(core);
            }
        }
    }

    /// All events of this instant.
    pub(super) fn instant(&mut self) {
        let now = self.world.now;
        loop {
            if self.setup.ends_first {
                self.ends();
            }
            if self.next_boost <= now {
                self.boost();
            }
            if self.world.next_time() <= now {
                self.world.fire();
                self.flush();
            }
            if !self.setup.ends_first {
                self.ends();
            }
            if (self.timers.next_time() > now && self.world.next_time() > now) || self.world.stop.is_some() {
                break;
            }
        }
        if self.setup.thieves.as_ref().is_some_and(|thieves| thieves.next_time() <= now) {
            self.steal_round();
        }
    }

    /// Ends of quanta, bursts and switches.
    #[inline]
    pub(super) fn ends(&mut self) {
        while self.timers.next_time() <= self.world.now && self.world.stop.is_none() {
            let core = self.timers.next_core();
            self.core_event(core);
        }
    }

    pub(super) fn core_event(&mut self, core: usize) {
        let thread = self.cores[core].thread;
        if self.cores[core].starting {
            self.cores[core].starting = false;
            self.enter(core);
            self.move_on(core);
            return;
        }
        self.account(core);
        if self.world.tasks.hot[thread as usize].remaining == 0 {
            self.move_on(core);
        } else {
            self.slice_over(core);
        }
    }

    /// Accounts for a core's time up to now.
    #[inline]
    pub(super) fn account(&mut self, core: usize) {
        let now = self.world.now;
        let state = &mut self.cores[core];
        if now <= state.since {
            return;
        }
        let ran = now - state.since;
        let thread = state.thread;
        state.since = now;
        state.busy += ran;
        let mut work = ran;
        if let Some(caches) = &mut self.setup.caches {
            work = caches.progress(core, state.shown, ran);
        }
        if let Some(siblings) = &self.setup.siblings {
            work = siblings.work(core, work);
        }
        let hot = &mut self.world.tasks.hot[thread as usize];
        hot.remaining = hot.remaining.saturating_sub(work);
        hot.cpu += ran;
        if hot.flags & WORKER != 0 {
            let task = self.world.pools.current(thread);
            self.world.tasks.hot[task as usize].cpu += if task == thread { 0 } else { ran };
        }
        if P::CHARGES {
            let queue = self.setup.placer.queue(core);
            self.queues[queue].charge(thread, ran, context!(self));
        }
    }

    /// Puts what ran since the last time on the timeline.
    #[inline]
    pub(super) fn show(&mut self, core: usize) {
        if !S::LISTENS {
            return;
        }
        let state = &mut self.cores[core];
        if state.shown != NONE && state.shown_since <= self.world.now && !state.starting {
            let run = Run {
                core: core as u32,
                task: self.world.tasks.traits[state.shown as usize].id,
                level: state.level,
                from: state.shown_since,
                to: self.world.now,
            };
            self.sink.ran(run);
        }
        state.shown_since = self.world.now;
    }

    /// The thread's burst is done, or it could not compute before: on to its next step.
    pub(super) fn move_on(&mut self, core: usize) {
        let thread = self.cores[core].thread;
        self.world.here = core as u16;
        self.world.tasks.hot[thread as usize].flags &= !GO;
        let next = self.world.advance(thread);
        self.settle(core, next);
    }

    /// What became of a thread that was moved on.
    pub(super) fn settle(&mut self, core: usize, mut next: Next) {
        let thread = self.cores[core].thread;
        let queue = self.setup.placer.queue(core);
        if next == Next::Run {
            // From one burst to the next: for all others nothing has changed, but where the length of bursts counts.
            self.world.idle(thread, 1);
            if P::PREEMPTIVE && self.world.gils.check.is_none() && self.world.tasks.hot[thread as usize].remaining > 0 {
                let context = context!(self);
                let any_affinity = self.setup.any_affinity;
                let allowed = |task: TaskId| !any_affinity || context.tasks.allowed(task, core);
                self.fresh.extend(self.queues[queue].next_burst(thread, context, allowed));
            }
            let shown = self.world.shown(thread);
            if shown != self.cores[core].shown {
                self.show(core);
                self.cores[core].shown = shown;
                self.mounted(core);
            }
            self.flush();
            if self.cores[core].slice_ends <= self.world.now {
                self.slice_over(core);
            } else {
                self.set_timer(core);
            }
            return;
        }
        self.vacate(core);
        // Policies want to know how long the next burst is of one that is ready. If there is none it ends.
        let hot = &self.world.tasks.hot[thread as usize];
        if next == Next::Yielded && hot.flags & (GO | WORKER) == 0 && !self.world.prepare(thread) {
            let has_ended = self.world.tasks.hot[thread as usize].state == State::Done;
            next = if has_ended { Next::Ended } else { Next::Blocked };
        }
        if next != Next::Yielded {
            self.queues[queue].leave(thread, next == Next::Ended, context!(self));
        }
        self.flush();
        if next == Next::Yielded {
            self.put_back(core, thread, Why::Yielded);
        }
    }

    pub(super) fn slice_over(&mut self, core: usize) {
        let thread = self.cores[core].thread;
        let queue = self.setup.placer.queue(core);
        let interrupt = self.world.cost(self.world.charges.tick_interrupt);
        let hot = &mut self.world.tasks.hot[thread as usize];
        hot.remaining = hot.remaining.saturating_add(interrupt);
        match self.queues[queue].tick(thread, context!(self)) {
            Tick::Stay => {
                self.world.idle(thread, 1);
                let slice = self.queues[queue].slice(thread, context!(self));
                self.cores[core].slice_ends = self.world.now.saturating_add(slice);
                self.set_timer(core);
            }
            Tick::Leave
                if P::TAKES_TURNS
                    && self.idle_count == 0
                    && self.setup.one_for_one
                    && self.next_computes(queue, thread) =>
            {
                // All cores are busy, who comes first in the queue does not depend on who else comes at this instant, and all it does in this instant is
                // to begin to compute: the core can go on at once, as it would after all events. Saves two of the tree's updates.
                self.leave_core(core);
                self.put_back(core, thread, Why::SliceEnded);
                if let Some(next) = self.queues[queue].pick(context!(self), |_| true) {
                    self.ready_count -= 1;
                    self.take_core(core, next);
                }
            }
            Tick::Leave => {
                self.vacate(core);
                self.put_back(core, thread, Why::SliceEnded);
            }
        }
    }

    /// Does whoever comes after a thread whose slice is over compute as soon as it has the core? Otherwise it would lock, send or wake before the other
    /// events of the instant.
    fn next_computes(&self, queue: usize, thread: TaskId) -> bool {
        let next = self.queues[queue].first().unwrap_or(thread);
        let hot = &self.world.tasks.hot[next as usize];
        hot.flags & GO != 0 && hot.remaining > 0
    }

    /// Sets a core's timer to whatever comes first, the end of the burst or of the slice.
    #[inline]
    pub(super) fn set_timer(&mut self, core: usize) {
        let state = &self.cores[core];
        let thread = state.thread;
        let mut time = self.world.tasks.hot[thread as usize].remaining;
        if let Some(siblings) = &self.setup.siblings {
            time = siblings.time_for(core, time);
        }
        if let Some(caches) = &self.setup.caches {
            time = caches.time_for(core, state.shown, time);
        }
        let done = state.since.saturating_add(time);
        let ends = state.slice_ends;
        let keeps = self.queues[self.setup.placer.queue(core)].keeps_core();
        self.timers.set(core, if keeps { ends } else { done.min(ends) });
    }

    /// Takes the thread from its core.
    pub(super) fn vacate(&mut self, core: usize) {
        self.leave_core(core);
        self.idle[core / 64] |= 1 << (core % 64);
        self.idle_count += 1;
        self.timers.set(core, NEVER);
        if self.setup.siblings.is_some() {
            self.siblings_changed(core);
        }
    }

    #[inline]
    pub(super) fn leave_core(&mut self, core: usize) {
        self.show(core);
        self.break_off_switch(core);
        let now = self.world.now;
        let state = &mut self.cores[core];
        let shown = state.shown;
        // Whose switch was broken off has left nothing behind.
        if state.since <= now {
            state.last = state.thread;
        }
        state.thread = NONE;
        state.idle_since = now;
        state.starting = false;
        if S::LISTENS {
            self.sink.left(core);
            self.sink.event(Event::Leave, self.world.now, core, self.world.tasks.traits[shown as usize].id);
        }
        self.world.events += 1;
    }
    /// A switch that is not over by now takes no more time, and its thread did not run: both were noted when it began.
    #[inline]
    fn break_off_switch(&mut self, core: usize) {
        let now = self.world.now;
        let state = &mut self.cores[core];
        if state.since > now {
            state.switching = state.switching.saturating_sub(state.since - now);
            self.world.take_back_first_run(state.thread, state.since);
        }
    }
}
