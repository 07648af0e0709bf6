//! Global interpreter locks, one per process: Python 2's, which is fought for every so many ticks, and that of Python 3.2 and later, which is
//! asked for after an [`interval`].
//!
//! Both are a plain lock with a signal: who lets go signals, and **who gets the lock is whoever takes it first**. So a thread that was woken
//! on another core may find it taken again, and wait anew. That gap is where convoys come from, and why wake-up costs matter.
//!
//! Python 2's (`ceval.c` up to 3.1): the holder computes in pieces of the check interval; after each, if somebody waits, it lets go, signals, and
//! takes the lock again as soon as it runs on: at once, unless the scheduler gave its core to the one it woke.

mod condition;
mod interval;

use std::collections::VecDeque;

use super::holdings::Held;
use super::steps::Next;
use super::sync::WaitsFor;
use super::tasks::{GO, GONE, KILLED, NOGIL, NONE, State, TaskId};
use super::world::World;
use crate::policy::Why;
use condition::Condition;
use interval::Waiter;

/// All GILs of a run; none with other runtimes.
#[derive(Debug, Default)]
pub(crate) struct Gils {
    list: Vec<Gil>,
    /// The check interval of gil2; `None` with gil3.
    pub(crate) check: Option<u64>,
    pub(crate) interval: u64,
    pub(crate) force_switch: bool,
    bursts: Vec<Burst>,
    /// With gil3: what each task does that wants the GIL.
    waiters: Vec<Waiter>,
}

/// A task's time on a core for which it needs the GIL.
#[derive(Debug, Clone, Copy, Default)]
struct Burst {
    /// What is left, with the loaded piece.
    left: u64,
    /// The piece that is loaded: with gil2 a check interval, with gil3 all.
    loaded: u64,
}

#[derive(Debug)]
struct Gil {
    holder: TaskId,
    last_holder: TaskId,
    /// How often it changed hands.
    switches: u64,
    /// With gil2: who waits, and who was woken and has not tried to take it since.
    waiting: VecDeque<TaskId>,
    signalled: Vec<TaskId>,
    /// With gil3: who waits.
    condition: Condition,
    /// Let go on request, waits until another has had it.
    forced: TaskId,
    requested: bool,
    /// It is on its way to notice that.
    noticing: bool,
}

impl Gils {
    pub(crate) fn new(processes: usize, tasks: usize, check: Option<u64>, interval: u64, force_switch: bool) -> Self {
        let gil = || Gil {
            holder: NONE,
            last_holder: NONE,
            switches: 0,
            waiting: VecDeque::new(),
            signalled: Vec::new(),
            condition: Condition::default(),
            forced: NONE,
            requested: false,
            noticing: false,
        };
        let list = (0..processes).map(|_| gil()).collect();
        Self {
            list,
            check,
            interval: interval.max(1),
            force_switch,
            bursts: vec![Burst::default(); tasks],
            waiters: vec![Waiter::default(); if check.is_none() { tasks } else { 0 }],
        }
    }

    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        !self.list.is_empty()
    }

    /// How often GILs changed hands.
    pub(crate) fn switches(&self) -> u64 {
        self.list.iter().map(|gil| gil.switches).sum()
    }

    /// The task has ended, and its place will be another's.
    pub(crate) fn forget_place(&mut self, task: TaskId) {
        for gil in self.list.iter_mut().filter(|gil| gil.last_holder == task) {
            gil.last_holder = GONE;
        }
    }

    pub(crate) fn holder(&self, gil: u32) -> TaskId {
        self.list[gil as usize].holder
    }
}

impl World {
    fn gil_of(&self, task: TaskId) -> usize {
        self.tasks.traits[task as usize].process as usize
    }

    /// The task has so much to compute, with the GIL.
    pub(crate) fn compute_with_gil(&mut self, task: TaskId, time: u64) -> Next {
        if self.gils.bursts.len() <= task as usize {
            self.gils.bursts.resize(self.tasks.len(), Burst::default());
        }
        if time == 0 {
            // Nothing to compute, nothing to wait for.
            let hot = &mut self.tasks.hot[task as usize];
            hot.remaining = 0;
            hot.flags |= GO;
            return Next::Run;
        }
        self.gils.bursts[task as usize] = Burst { left: time, loaded: 0 };
        self.take_gil(task)
    }

    /// Counts what was done of the loaded piece. Gives what is left of the burst.
    fn settle_burst(&mut self, task: TaskId) -> u64 {
        let remaining = self.tasks.hot[task as usize].remaining;
        let Some(burst) = self.gils.bursts.get_mut(task as usize) else { return 0 };
        let loaded = std::mem::take(&mut burst.loaded);
        burst.left = burst.left.saturating_sub(loaded.saturating_sub(remaining));
        burst.left
    }

    /// A thread with a GIL runs on: after a piece, after waiting, or after the scheduler had taken its core. `None`: its burst is done.
    pub(crate) fn resume_with_gil(&mut self, task: TaskId) -> Option<Next> {
        let place = task as usize;
        if self.settle_burst(task) == 0 {
            return None;
        }
        if self.tasks.hot[place].flags & (NOGIL | KILLED) != 0 {
            self.gils.bursts[place].left = 0;
            self.forget_gil_waiter(task);
            return None;
        }
        let gil = self.gil_of(task);
        if self.gils.check.is_none()
            && let Some(next) = self.look_for_gil(task)
        {
            return Some(next);
        }
        if self.gils.list[gil].holder != task {
            return Some(self.take_gil(task));
        }
        let piece_done = self.tasks.hot[place].remaining == 0;
        if self.gils.check.is_some() && piece_done && !self.gils.list[gil].waiting.is_empty() {
            return Some(self.fight(task));
        }
        if self.gils.check.is_none() && self.gils.list[gil].requested {
            return Some(self.give_up_gil(task));
        }
        Some(self.load_piece(task))
    }

    /// gil2, a piece is done and somebody waits: lets go, signals, and takes the GIL again as soon as it runs on.
    fn fight(&mut self, task: TaskId) -> Next {
        self.let_go(task);
        // The moment between letting go and taking again, in which the one that was woken may get the core.
        let cost = self.cost(self.charges.lock_uncontended).max(1);
        let hot = &mut self.tasks.hot[task as usize];
        hot.remaining = cost;
        hot.flags |= GO;
        Next::Run
    }

    /// Loads the next piece of the burst; the GIL is held.
    fn load_piece(&mut self, task: TaskId) -> Next {
        let burst = &mut self.gils.bursts[task as usize];
        burst.loaded = self.gils.check.map_or(burst.left, |check| check.min(burst.left));
        let hot = &mut self.tasks.hot[task as usize];
        hot.remaining = burst.loaded;
        hot.flags |= GO;
        Next::Run
    }

    fn take_gil(&mut self, task: TaskId) -> Next {
        let number = self.gil_of(task);
        if self.gils.check.is_some() {
            self.gils.list[number].signalled.retain(|other| *other != task);
        }
        if self.gils.list[number].holder == task {
            return self.load_piece(task);
        }
        if self.gils.list[number].holder != NONE {
            return self.wait_for_gil(task);
        }
        let changed = self.gils.list[number].last_holder != task;
        let handoff =
            if changed && self.gils.list[number].last_holder != NONE { self.cost(self.charges.gil_handoff) } else { 0 };
        let gil = &mut self.gils.list[number];
        gil.holder = task;
        (gil.requested, gil.noticing) = (false, false);
        gil.last_holder = task;
        gil.switches += u64::from(changed);
        self.hold(Held::Gil(number as u32), task);
        if changed {
            self.end_forced_switch(number);
        }
        let next = self.load_piece(task);
        let hot = &mut self.tasks.hot[task as usize];
        hot.remaining = hot.remaining.saturating_add(handoff);
        next
    }

    /// The thread blocks until it is woken to try again.
    fn wait_for_gil(&mut self, task: TaskId) -> Next {
        if self.gils.check.is_none() {
            return self.wait_an_interval(task);
        }
        let number = self.gil_of(task);
        self.sleep_for_gil(task, number);
        self.gils.list[number].waiting.push_back(task);
        Next::Blocked
    }

    /// The thread sleeps; who wakes it, and when, is up to the caller.
    fn sleep_for_gil(&mut self, task: TaskId, number: usize) {
        let hot = &mut self.tasks.hot[task as usize];
        hot.state = State::Waiting;
        hot.flags &= !GO;
        hot.remaining = 0;
        self.events += 1;
        self.waits_for[task as usize] = WaitsFor::Gil(number as u32);
    }

    /// Lets go of the GIL, if the task has it: before it waits, and in `nogil` sections.
    #[inline]
    pub(crate) fn release_gil(&mut self, task: TaskId) {
        if self.gils.has_any() && self.gils.list[self.gil_of(task)].holder == task {
            self.let_go(task);
        }
    }

    fn let_go(&mut self, task: TaskId) {
        let number = self.gil_of(task);
        let gil = &mut self.gils.list[number];
        gil.holder = NONE;
        (gil.requested, gil.noticing) = (false, false);
        let woken = gil.waiting.pop_front();
        self.release_holding(Held::Gil(number as u32));
        if self.gils.check.is_none() {
            self.signal_gil(number);
        } else if let Some(woken) = woken {
            self.gils.list[number].signalled.push(woken);
            self.wake(woken, Why::Woken);
        }
    }

    /// A task has ended. If it was on its way to the GIL, nobody else will take that from whoever let go for it; and the signal it had is the next one's.
    pub(crate) fn free_forced(&mut self, task: TaskId) {
        if self.gils.check.is_none() {
            self.abandon_interval(task);
        }
        let number = self.gil_of(task);
        let gil = &mut self.gils.list[number];
        if let Some(at) = gil.signalled.iter().position(|other| *other == task) {
            gil.signalled.swap_remove(at);
            if gil.holder == NONE
                && let Some(next) = gil.waiting.pop_front()
            {
                gil.signalled.push(next);
                self.wake(next, Why::Woken);
            }
        }
        let gil = &mut self.gils.list[number];
        if gil.holder == NONE && gil.forced != NONE {
            let forced = std::mem::replace(&mut gil.forced, NONE);
            if forced != task {
                self.wake(forced, Why::Woken);
            }
        }
    }

    /// A task that was killed waits no more.
    pub(crate) fn forget_gil_waiter(&mut self, task: TaskId) {
        if !self.gils.has_any() {
            return;
        }
        let number = self.gil_of(task);
        let gil = &mut self.gils.list[number];
        gil.waiting.retain(|other| *other != task);
        if gil.forced == task {
            gil.forced = NONE;
        }
        if self.gils.check.is_none() {
            self.abandon_interval(task);
        }
    }
}
