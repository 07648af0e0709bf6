//! Moving a task through its program: each operation until one takes time, or waits.

use std::collections::HashMap;

use hdrhistogram::Histogram;

use super::compile::Op;
use super::holdings::Held;
use super::sync::WaitsFor;
use super::tasks::{GO, KILLED, NOGIL, NONE, State, TaskId, WORKER};
use super::world::{TIMER_IO, World};
use crate::policy::Why;
use crate::scenario::RuntimeKind;

/// What became of a thread that was moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It computes: `remaining` is set.
    Run,
    /// It waits and needs no core.
    Blocked,
    /// It offers its core to others.
    Yielded,
    /// It has ended.
    Ended,
    /// A task left its worker, which can take another. Never seen outside pools.
    Parked,
}

/// Stopwatches.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Since when, by mark and task.
    pub(super) running: HashMap<(u32, TaskId), u64>,
    pub(crate) histograms: Vec<Option<Histogram<u64>>>,
}

/// Operations without time are counted so many at a time: a turn rarely has more than three.
const BATCH: u32 = 64;

impl World {
    /// Looks at what a ready thread will do, without doing it: policies want to know how long its next burst is. Gives whether there is anything: who
    /// has nothing left after its I/O ends here.
    pub(crate) fn prepare(&mut self, task: TaskId) -> bool {
        let place = task as usize;
        if self.gils.has_any() {
            // It has to take the GIL first, on a core.
            self.tasks.hot[place].remaining = self.burst_ahead(task);
            return true;
        }
        self.skip_ends(task);
        let burst = match self.programs.ops[self.tasks.life[place].pc as usize] {
            Op::Cpu(time) => time,
            Op::CpuService => self.tasks.life[place].service,
            Op::CpuClosed => {
                self.tasks.life[place].service = self.now;
                let Some(closed) = &mut self.closed else { return true };
                closed.cpu.draw(&mut closed.cpu_random)
            }
            // It needs no core for that.
            Op::End if self.tasks.life[place].debt == 0 => {
                self.end_asleep(task);
                return false;
            }
            _ => {
                self.tasks.hot[place].remaining = self.burst_ahead(task);
                return true;
            }
        };
        let life = &mut self.tasks.life[place];
        life.pc += 1;
        let debt = std::mem::take(&mut life.debt);
        let hot = &mut self.tasks.hot[place];
        hot.flags |= GO;
        hot.remaining = burst.saturating_add(debt);
        true
    }

    /// Leaves loops that are over and sections without a GIL that there is not, which takes no core: what comes next may be the end.
    fn skip_ends(&mut self, task: TaskId) {
        let place = task as usize;
        loop {
            match self.programs.ops[self.tasks.life[place].pc as usize] {
                Op::RepeatEnd { slot, .. } => {
                    let counter = self.tasks.traits[place].loops as usize + slot as usize;
                    if self.loops[counter] > 1 {
                        return;
                    }
                    self.loops[counter] = 0;
                }
                Op::NogilEnd => self.tasks.hot[place].flags &= !NOGIL,
                _ => return,
            }
            self.tasks.life[place].pc += 1;
        }
    }

    /// How long the task will compute as soon as it has a core, as far as that can be told: 0 if it will wait first, or goes round for long.
    fn burst_ahead(&self, task: TaskId) -> u64 {
        let life = &self.tasks.life[task as usize];
        let mut pc = life.pc;
        for _ in 0..BATCH {
            pc += 1;
            let goes_on = match self.programs.ops[pc as usize - 1] {
                Op::Cpu(time) => return time.saturating_add(life.debt),
                Op::CpuService => return life.service.saturating_add(life.debt),
                Op::RepeatBegin { times, end, .. } => {
                    if times == 0 {
                        pc = end;
                    }
                    true
                }
                // A loop that was not begun yet has no rounds to do: they are all like the one that was looked at.
                Op::RepeatEnd { slot, begin } => {
                    if self.loops[self.tasks.traits[task as usize].loops as usize + slot as usize] > 1 {
                        pc = begin;
                    }
                    true
                }
                Op::Lock(lock) => self.sync.locks[lock as usize].holder == NONE,
                Op::SemWait(semaphore) => self.sync.semaphores[semaphore as usize].count > 0,
                Op::Send { channel, .. } => self.sync.channels[channel as usize].takes(),
                Op::Recv(channel) => self.sync.channels[channel as usize].gives(),
                Op::Join(other) => self.tasks.hot[other as usize].state == State::Done,
                Op::Kill(victim) => victim != task,
                Op::Unlock(_)
                | Op::SemPost(_)
                | Op::Notify { .. }
                | Op::Spawn(_)
                | Op::Mark(_)
                | Op::NogilBegin
                | Op::NogilEnd => true,
                _ => false,
            };
            if !goes_on {
                break;
            }
        }
        0
    }

    /// A thread ends that slept until now.
    pub(super) fn end_asleep(&mut self, task: TaskId) {
        self.end(task);
        // A periodic one comes back.
        if self.periodic.of(task).is_none() {
            self.ended_asleep.push(task);
        }
    }

    /// Moves a thread on that has a core and nothing loaded to compute.
    pub(crate) fn advance(&mut self, thread: TaskId) -> Next {
        if self.tasks.hot[thread as usize].flags & WORKER != 0 {
            return self.advance_worker(thread);
        }
        if self.gils.has_any()
            && let Some(next) = self.resume_with_gil(thread)
        {
            return next;
        }
        match self.step(thread, thread) {
            Next::Parked => Next::Blocked,
            next => next,
        }
    }

    /// Runs a task's operations on a thread until one takes time.
    pub(crate) fn step(&mut self, task: TaskId, thread: TaskId) -> Next {
        let place = task as usize;
        if self.tasks.hot[place].flags & KILLED != 0 {
            return self.finish(task, thread);
        }
        let mut uncounted = 0;
        loop {
            let op = self.programs.ops[self.tasks.life[place].pc as usize];
            self.tasks.life[place].pc += 1;
            let next = match op {
                Op::Cpu(time) => Some(self.compute(task, thread, time)),
                Op::CpuService => Some(self.compute(task, thread, self.tasks.life[place].service)),
                Op::CpuClosed => {
                    self.tasks.life[place].service = self.now;
                    let time = self.closed.as_mut().map_or(0, |closed| closed.cpu.draw(&mut closed.cpu_random));
                    Some(self.compute(task, thread, time))
                }
                Op::IoClosed => Some(self.end_round(task)),
                Op::Io(time) => Some(self.sleep(task, time, matches!(self.runtime, RuntimeKind::MN))),
                Op::Sleep(time) => {
                    let time = time.saturating_add(self.cost(self.charges.timer_slack));
                    Some(self.sleep(task, time, matches!(self.runtime, RuntimeKind::MN)))
                }
                Op::Await(time) => {
                    Some(self.sleep(task, time, matches!(self.runtime, RuntimeKind::MN | RuntimeKind::EventLoop)))
                }
                Op::Yield => Some(Next::Yielded),
                Op::End => Some(self.finish(task, thread)),
                Op::NogilBegin => {
                    self.tasks.hot[place].flags |= NOGIL;
                    self.release_gil(task);
                    None
                }
                Op::NogilEnd => {
                    self.tasks.hot[place].flags &= !NOGIL;
                    None
                }
                Op::RepeatBegin { slot, times, end } => {
                    let counter = self.tasks.traits[place].loops as usize + slot as usize;
                    self.loops[counter] = times;
                    if times == 0 {
                        self.tasks.life[place].pc = end;
                    }
                    None
                }
                Op::RepeatEnd { slot, begin } => {
                    let counter = self.tasks.traits[place].loops as usize + slot as usize;
                    self.loops[counter] -= 1;
                    if self.loops[counter] > 0 {
                        self.tasks.life[place].pc = begin;
                    }
                    None
                }
                Op::Mark(mark) => {
                    self.mark(mark, task);
                    None
                }
                _ => self.synchronise(op, task, thread),
            };
            match next {
                None if self.stop.is_some() => return Next::Blocked,
                None => uncounted += 1,
                Some(next) => return next,
            }
            if uncounted == BATCH {
                uncounted = 0;
                if self.idle(task, BATCH.into()) {
                    return Next::Blocked;
                }
            }
        }
    }

    /// Locks and their like. `None`: go on.
    fn synchronise(&mut self, op: Op, task: TaskId, thread: TaskId) -> Option<Next> {
        match op {
            Op::Lock(lock) => {
                if self.sync.lock(lock, task) {
                    let cost = self.cost(self.charges.lock_uncontended);
                    self.owe(task, cost);
                    self.hold(Held::Lock(lock), task);
                    return None;
                }
                Some(self.wait_for(task, WaitsFor::Lock(lock)))
            }
            Op::Unlock(lock) => {
                self.unlock(lock, task);
                None
            }
            Op::SemWait(n) if self.sync.sem_wait(n, task) => None,
            Op::SemWait(n) => Some(self.wait_for(task, WaitsFor::Semaphore(n))),
            Op::SemPost(n) => {
                if let Some(woken) = self.sync.sem_post(n) {
                    self.wake(woken, Why::Woken);
                }
                None
            }
            Op::Wait { condition, lock } => {
                self.unlock(lock, task);
                self.sync.conditions[condition as usize].waiting.push_back((task, lock));
                Some(self.wait_for(task, WaitsFor::Condition(condition)))
            }
            Op::Notify { condition, all } => {
                while let Some((woken, lock)) = self.sync.conditions[condition as usize].waiting.pop_front() {
                    // It needs the lock again before it can go on.
                    if self.sync.lock(lock, woken) {
                        self.hold(Held::Lock(lock), woken);
                        self.wake(woken, Why::Woken);
                    } else {
                        self.waits_for[woken as usize] = WaitsFor::Lock(lock);
                    }
                    if !all {
                        break;
                    }
                }
                None
            }
            Op::Send { channel, bytes } => match self.sync.send(channel, bytes, task) {
                Ok(woken) => {
                    if let Some(woken) = woken {
                        self.wake(woken, Why::Woken);
                    }
                    None
                }
                Err(()) => Some(self.wait_for(task, WaitsFor::Room(channel))),
            },
            Op::Recv(channel) => match self.sync.recv(channel, task) {
                Ok(sender) => {
                    if let Some(sender) = sender {
                        self.wake(sender, Why::Woken);
                    }
                    None
                }
                Err(()) => Some(self.wait_for(task, WaitsFor::Message(channel))),
            },
            Op::Spawn(child) => {
                self.spawn(task, child);
                None
            }
            Op::Join(other) => {
                if self.tasks.hot[other as usize].state == State::Done {
                    let cost = self.cost(self.charges.thread_join);
                    self.owe(task, cost);
                    return None;
                }
                self.sync.joiners.entry(other).or_default().push_back(task);
                Some(self.wait_for(task, WaitsFor::End(other)))
            }
            Op::Kill(victim) if victim == task => {
                self.tasks.hot[task as usize].flags |= KILLED;
                Some(self.finish(task, thread))
            }
            Op::Kill(victim) => {
                self.kill(victim);
                None
            }
            _ => None,
        }
    }

    fn compute(&mut self, task: TaskId, thread: TaskId, time: u64) -> Next {
        let debt = std::mem::take(&mut self.tasks.life[task as usize].debt);
        let of_thread = if task == thread { 0 } else { std::mem::take(&mut self.tasks.life[thread as usize].debt) };
        let time = time.saturating_add(debt).saturating_add(of_thread);
        if time == 0 && self.idle(task, 1) {
            return Next::Blocked;
        }
        if self.gils.has_any() && self.tasks.hot[task as usize].flags & NOGIL == 0 {
            return self.compute_with_gil(task, time);
        }
        let hot = &mut self.tasks.hot[thread as usize];
        hot.remaining = time;
        hot.flags |= GO;
        Next::Run
    }

    /// The task's steps are done; it, or its worker, may have costs to pay yet.
    fn finish(&mut self, task: TaskId, thread: TaskId) -> Next {
        let killed = self.tasks.hot[task as usize].flags & KILLED != 0;
        let owes = |task: TaskId| self.tasks.life[task as usize].debt > 0;
        if !killed && (owes(task) || owes(thread)) {
            self.tasks.life[task as usize].pc -= 1;
            return self.compute(task, thread, 0);
        }
        self.tasks.hot[task as usize].flags &= !GO;
        self.release_gil(task);
        self.end(task);
        if self.waits_for_release(task) { Next::Blocked } else { Next::Ended }
    }

    /// A periodic task does not end unless it is killed: it blocks until its next release, which may have made it ready already.
    fn waits_for_release(&mut self, task: TaskId) -> bool {
        self.tasks.hot[task as usize].state != State::Done && self.periodic.of(task).is_some()
    }

    /// Waits for a timer.
    pub(super) fn sleep(&mut self, task: TaskId, time: u64, parks: bool) -> Next {
        let cost = self.cost(self.charges.mode_switch);
        let life = &mut self.tasks.life[task as usize];
        life.debt = life.debt.saturating_add(cost);
        // What has passed by the time it wakes up, is killed or the run ends: they add that time.
        life.io = life.io.wrapping_sub(self.now);
        let until = self.now.saturating_add(time);
        self.release_gil(task);
        self.set_timer(task, until, TIMER_IO);
        self.block(task, State::Asleep, parks)
    }

    /// Waits for another task.
    fn wait_for(&mut self, task: TaskId, what: WaitsFor) -> Next {
        let cost = self.cost(self.charges.mode_switch);
        self.owe(task, cost);
        self.waits_for[task as usize] = what;
        self.release_gil(task);
        self.block(task, State::Waiting, matches!(self.runtime, RuntimeKind::MN | RuntimeKind::EventLoop))
    }

    fn block(&mut self, task: TaskId, state: State, parks: bool) -> Next {
        let hot = &mut self.tasks.hot[task as usize];
        hot.state = state;
        hot.flags &= !GO;
        self.events += 1;
        if parks {
            self.pools.unmount(task);
            return Next::Parked;
        }
        Next::Blocked
    }
}
