//! What steps do to others: unlocking, spawning, killing; and what they leave behind for the result.

use super::holdings::Held;
use super::stats::WindowState;
use super::steps::Next;
use super::sync::WaitsFor;
use super::tasks::{GO, KILLED, NONE, STARTED, State, TaskId, WORKER};
use super::world::World;
use crate::outcome::StopReason;
use crate::policy::Why;
use crate::time::NEVER;

impl World {
    pub(crate) fn unlock(&mut self, lock: u32, task: TaskId) {
        match self.sync.unlock(lock, task) {
            Some(NONE) => self.release_holding(Held::Lock(lock)),
            Some(next) => {
                self.release_holding(Held::Lock(lock));
                self.hold(Held::Lock(lock), next);
                self.wake(next, Why::Woken);
            }
            None => {
                let lock = self.programs.locks.list[lock as usize].clone();
                self.stop = Some(StopReason::NotTheHolder { task: self.tasks.traits[task as usize].id, lock });
            }
        }
    }

    pub(super) fn spawn(&mut self, parent: TaskId, child: TaskId) {
        if self.tasks.hot[child as usize].state != State::Absent || self.tasks.life[child as usize].arrival != NEVER {
            self.stop = Some(StopReason::SpawnedTwice { task: self.tasks.traits[child as usize].id });
            return;
        }
        // A task that needs a worker is created by the one that takes it.
        if !self.pools.has_any() {
            let cost = self.cost(self.charges.thread_create);
            self.owe(parent, cost);
        }
        let life = &mut self.tasks.life[child as usize];
        life.arrival = self.now;
        if life.deadline != NEVER {
            life.deadline = life.deadline.saturating_add(self.now);
        }
        self.live += 1;
        if self.tasks.hot[child as usize].flags & KILLED != 0 { self.end(child) } else { self.start(child) }
    }

    /// A round of a closed system is over: counts it, and begins the I/O.
    pub(super) fn end_round(&mut self, task: TaskId) -> Next {
        let began = self.tasks.life[task as usize].service;
        let Some(closed) = &mut self.closed else { return Next::Blocked };
        closed.rounds += 1;
        let window = &mut self.stats.window;
        if closed.rounds > closed.warmup {
            self.stats.residence += u128::from(self.now - began);
            self.stats.ended += 1;
            window.ended += u64::from(window.state == WindowState::Open);
        }
        if closed.rounds == closed.warmup {
            window.state = WindowState::Opening;
        }
        if closed.rounds >= closed.count {
            window.state = WindowState::Closing;
            self.stop = Some(StopReason::Finished);
        }
        let time = closed.io.draw(&mut self.io_random);
        self.tasks.life[task as usize].pc = self.tasks.traits[task as usize].program;
        self.sleep(task, time, false)
    }

    /// Ends a task from outside, wherever it is. What it holds stays held.
    pub(super) fn kill(&mut self, victim: TaskId) {
        let place = victim as usize;
        self.tasks.hot[place].flags |= KILLED;
        match self.tasks.hot[place].state {
            State::Running if self.pools.has_any() => self.interrupt_worker(victim),
            State::Running => self.pokes.push(victim),
            State::Ready => self.removed.push(victim),
            // Between two jobs there are no more to come.
            State::Absent if self.periodic.of(victim).is_some() => self.end(victim),
            // Gone, or not here yet: then looked at when it comes.
            State::Absent | State::Done => {}
            before @ (State::Asleep | State::Waiting) => {
                let waits_for = std::mem::replace(&mut self.waits_for[place], WaitsFor::Nothing);
                self.sync.forget(victim, waits_for);
                self.forget_gil_waiter(victim);
                if before == State::Asleep {
                    self.clear_timer(victim);
                    self.tasks.life[place].io = self.tasks.life[place].io.wrapping_add(self.now);
                }
                let carrier = self.pools.carrier(victim);
                if carrier != NONE && self.pools.has_any() {
                    // Its worker is blocked with it, and finds out as soon as it runs.
                    self.tasks.hot[place].state = State::Running;
                    self.make_ready(carrier, Why::Woken);
                } else {
                    self.pools.forget(victim, self.now);
                    self.end_asleep(victim);
                }
            }
        }
    }

    /// The task that was killed is on a worker: with or without a core, the worker has to look up.
    fn interrupt_worker(&mut self, victim: TaskId) {
        let carrier = self.pools.carrier(victim);
        if carrier == NONE {
            return;
        }
        let hot = &mut self.tasks.hot[carrier as usize];
        match hot.state {
            State::Running => self.pokes.push(carrier),
            // As soon as it has a core again.
            _ => hot.flags &= !GO,
        }
    }

    pub(super) fn mark(&mut self, mark: u32, task: TaskId) {
        let Some(before) = self.marks.running.remove(&(mark, task)) else {
            self.marks.running.insert((mark, task), self.now);
            return;
        };
        let histograms = &mut self.marks.histograms;
        if histograms.len() <= mark as usize {
            histograms.resize(mark as usize + 1, None);
        }
        if histograms[mark as usize].is_none() {
            histograms[mark as usize] = super::stats::new_histogram();
        }
        if let Some(histogram) = &mut histograms[mark as usize] {
            let _ = histogram.record(self.now - before); // it grows: nothing is too large
        }
    }

    pub(crate) fn hold(&mut self, what: Held, task: TaskId) {
        let now = self.now;
        if let Some(holders) = &mut self.holders {
            holders.begin(what, self.tasks.traits[task as usize].id, now);
        }
    }

    pub(crate) fn release_holding(&mut self, what: Held) {
        let now = self.now;
        if let Some(holders) = &mut self.holders {
            holders.end(what, now);
        }
    }

    /// The task that a thread works for at the moment: itself, or what is mounted on the worker.
    #[inline]
    pub(crate) fn shown(&self, thread: TaskId) -> TaskId {
        if self.tasks.hot[thread as usize].flags & WORKER == 0 { thread } else { self.pools.current(thread) }
    }

    /// Notes that a task is on a core for the first time.
    #[inline]
    pub(crate) fn note_first_run(&mut self, task: TaskId, at: u64) {
        let hot = &mut self.tasks.hot[task as usize];
        if hot.flags & STARTED == 0 {
            hot.flags |= STARTED;
            self.tasks.life[task as usize].first_run = at;
        }
    }
    /// The run that was to begin then does not come to be.
    pub(crate) fn take_back_first_run(&mut self, task: TaskId, at: u64) {
        let life = &mut self.tasks.life[task as usize];
        if life.first_run == at {
            life.first_run = NEVER;
            self.tasks.hot[task as usize].flags &= !STARTED;
        }
    }
}
