//! Everything of a run but the cores and the policy: tasks, programs, timers, what they wait for, and the sums.
//!
//! The world moves a task through its program ([`super::steps`]) and says what became of it; which ready task gets which core is the business
//! of [`super::cores`] and [`super::sharing`], who take what became ready from [`World::ready`].

use super::arrivals::Source;
use super::compile::Programs;
use super::gil::Gils;
use super::holdings::Holdings;
use super::interrupt::Watch;
use super::pool::Pools;
use super::stats::{PeriodicTasks, Stats};
use super::sync::{Sync, WaitsFor};
use super::tasks::{GO, KILLED, NO_CORE, NONE, State, TaskId, Tasks, WOKEN, WORKER};
use crate::outcome::StopReason;
use crate::policy::Why;
use crate::random::{Charge, Random, Sampler};
use crate::scenario::RuntimeKind;
use crate::time::{NEVER, TimeScale};
use crate::timer_wheel::{Entry, TimerWheel};

/// What a timer means: the low bits of an entry's tag; the others are the number of the task's timer.
pub(crate) const TIMER_IO: u32 = 0;
pub(crate) const TIMER_GIL: u32 = 1;
pub(crate) const TIMER_RELEASE: u32 = 2;
pub(crate) const TIMER_NOTICE: u32 = 3;
const TIMER_BITS: u32 = 2;

/// What things cost.
#[derive(Debug)]
pub(crate) struct Charges {
    pub(crate) context_switch: Charge,
    pub(crate) migration: Charge,
    pub(crate) mode_switch: Charge,
    pub(crate) wakeup_same_core: Charge,
    pub(crate) wakeup_cross_core: Charge,
    pub(crate) timer_slack: Charge,
    pub(crate) thread_create: Charge,
    pub(crate) thread_join: Charge,
    pub(crate) process_create: Charge,
    pub(crate) task_create: Charge,
    pub(crate) task_switch: Charge,
    pub(crate) tick_interrupt: Charge,
    pub(crate) lock_uncontended: Charge,
    pub(crate) gil_notice: Charge,
    pub(crate) gil_handoff: Charge,
}

/// All but cores and policy.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) scale: TimeScale,
    pub(crate) tasks: Tasks,
    pub(crate) waits_for: Vec<WaitsFor>,
    pub(crate) programs: Programs,
    pub(crate) loops: Vec<u32>,
    pub(crate) wheel: TimerWheel,
    /// Entries of the wheel that will do nothing where nobody has a core.
    pub(crate) void_timers: u64,
    pub(crate) source: Source,
    /// What became ready and is not in a run queue yet, in order.
    pub(crate) ready: Vec<(TaskId, Why)>,
    /// Running threads that have to look up from what they do: a request for the GIL, a kill.
    pub(crate) pokes: Vec<TaskId>,
    /// Threads that ended while they slept.
    pub(crate) ended_asleep: Vec<TaskId>,
    /// Places of tasks that have ended, to be another's: cores and caches have to forget them.
    pub(crate) replaced: Vec<TaskId>,
    /// Ready threads that have to leave their run queue: they were killed.
    pub(crate) removed: Vec<TaskId>,
    pub(crate) sync: Sync,
    pub(crate) runtime: RuntimeKind,
    pub(crate) gils: Gils,
    pub(crate) pools: Pools,
    pub(crate) charges: Charges,
    pub(crate) cost_random: Random,
    pub(crate) io_random: Random,
    pub(crate) closed: Option<ClosedLoop>,
    pub(crate) stats: Stats,
    pub(crate) periodic: PeriodicTasks,
    /// Listed tasks that have not ended; generated ones that are in the system.
    pub(crate) live: u64,
    /// Those of them that are periodic and have not come yet.
    pub(crate) unreleased: u64,
    pub(crate) most_in_system: u64,
    /// State changes of tasks, and what changed nothing ([`Watch::idle`]).
    pub(crate) events: u64,
    /// At so many events it is time to look up.
    pub(crate) next_look: u64,
    pub(crate) watch: Watch,
    pub(crate) task_limit: u64,
    /// What the policy keeps of each task, in all queues.
    pub(crate) policy_bytes: u64,
    /// Why the run has to end.
    pub(crate) stop: Option<StopReason>,
    /// The core on which what happens now happens.
    pub(crate) here: u16,
    pub(crate) marks: super::steps::Marks,
    pub(crate) holders: Option<Holdings>,
}

/// A closed system's distributions and how far it has come.
#[derive(Debug)]
pub(crate) struct ClosedLoop {
    pub(crate) cpu: Sampler,
    pub(crate) io: Sampler,
    pub(crate) cpu_random: Random,
    /// Bursts until the run ends, those that are warm-up, and those that are done.
    pub(crate) count: u64,
    pub(crate) warmup: u64,
    pub(crate) rounds: u64,
}

impl World {
    /// The next time at which something happens outside the cores.
    #[inline]
    pub(crate) fn next_time(&self) -> u64 {
        self.wheel.next_time().min(self.source.next_time())
    }

    /// Does nothing more come from outside the cores?
    #[inline]
    pub(crate) fn is_still(&self) -> bool {
        debug_assert!(self.void_timers <= self.wheel.len() as u64, "more void timers than there are");
        self.wheel.len() as u64 == self.void_timers && self.source.next_time() == NEVER
    }

    /// Lets all arrivals and timers of this instant happen.
    pub(crate) fn fire(&mut self) {
        self.here = NO_CORE;
        while self.source.next_time() <= self.now && self.stop.is_none() {
            self.arrive();
            self.watch();
        }
        while let Some(entry) = self.wheel.pop_due(self.now) {
            self.fire_timer(entry);
        }
    }

    #[inline]
    fn fire_timer(&mut self, entry: Entry) {
        let task = entry.task;
        let kind = entry.tag & ((1 << TIMER_BITS) - 1);
        if kind == TIMER_RELEASE {
            self.release(task);
            return;
        }
        let life = &mut self.tasks.life[task as usize];
        if entry.tag >> TIMER_BITS != life.timer & (u32::MAX >> TIMER_BITS) {
            self.void_timers -= 1;
            return;
        }
        match kind {
            TIMER_GIL => self.gil_timeout(task),
            TIMER_NOTICE => {
                self.void_timers -= 1;
                self.notice_request(task);
            }
            _ => {
                life.io = life.io.wrapping_add(self.now);
                self.wake(task, Why::IoDone);
            }
        }
    }

    /// Sets the task's timer; an earlier one of it is void.
    #[inline]
    pub(crate) fn set_timer(&mut self, task: TaskId, time: u64, kind: u32) {
        let life = &mut self.tasks.life[task as usize];
        if kind != TIMER_RELEASE {
            life.timer = life.timer.wrapping_add(1);
        }
        // Whoever is to notice something has a core.
        self.void_timers += u64::from(kind == TIMER_NOTICE);
        let tag = (life.timer << TIMER_BITS) | kind;
        self.wheel.insert(Entry { time, task, tag });
    }

    /// Makes the timer void that the task sleeps with.
    pub(crate) fn clear_timer(&mut self, task: TaskId) {
        self.void_timers += 1;
        self.tasks.life[task as usize].timer = self.tasks.life[task as usize].timer.wrapping_add(1);
    }

    /// A task has what it waited for.
    #[inline]
    pub(crate) fn wake(&mut self, task: TaskId, why: Why) {
        self.waits_for[task as usize] = WaitsFor::Nothing;
        if self.pools.has_any() && self.tasks.hot[task as usize].flags & WORKER == 0 {
            let worker = self.pools.carrier(task);
            if worker == NONE {
                self.queue_for_worker(task);
            } else {
                self.tasks.hot[task as usize].state = State::Running;
                self.make_ready(worker, why);
            }
            return;
        }
        self.make_ready(task, why);
    }

    /// A thread can go on as soon as it gets a core.
    #[inline]
    pub(crate) fn make_ready(&mut self, thread: TaskId, why: Why) {
        let here = self.here;
        let hot = &mut self.tasks.hot[thread as usize];
        hot.state = State::Ready;
        if why != Why::Arrived {
            hot.flags |= WOKEN;
            hot.waker = here;
        }
        self.events += 1;
        if hot.flags & (GO | WORKER) == 0 && !self.prepare(thread) {
            return;
        }
        self.ready.push((thread, why));
    }

    /// A cost of this moment.
    #[inline]
    pub(crate) fn cost(&mut self, charge: Charge) -> u64 {
        if let Charge::Fixed(ticks) = charge { ticks } else { charge.draw(&mut self.cost_random) }
    }

    /// The task pays this with its next time on a core.
    #[inline]
    pub(crate) fn owe(&mut self, task: TaskId, cost: u64) {
        let debt = &mut self.tasks.life[task as usize].debt;
        *debt = debt.saturating_add(cost);
    }

    /// The task has ended (or its job, if it is periodic).
    pub(crate) fn end(&mut self, task: TaskId) {
        let now = self.now;
        let place = task as usize;
        let killed = self.tasks.hot[place].flags & KILLED != 0;
        let mut has_finished = false;
        if let Some(periodic) = self.periodic.of(task) {
            if !killed {
                self.end_job(task);
                return;
            }
            periodic.pending = 0;
            has_finished = periodic.first.is_some();
            self.unreleased -= u64::from(!std::mem::replace(&mut periodic.has_come, true));
            self.void_timers += 1; // that of its next release
        }
        if !has_finished {
            self.tasks.life[place].finish = now;
        }
        if self.gils.has_any() {
            self.free_forced(task);
        }
        if self.source.is_generated() {
            self.stats.end(task, &self.tasks, now);
        }
        self.leave_system(task, true);
    }

    /// A task is over: who waited for that goes on.
    pub(crate) fn wake_joiners(&mut self, task: TaskId) {
        if !self.sync.joiners.is_empty() {
            for joiner in self.sync.take_joiners(task) {
                let cost = self.cost(self.charges.thread_join);
                self.owe(joiner, cost);
                self.wake(joiner, Why::Woken);
            }
        }
    }

    /// The memory of what grows with tasks and time, with what the policy keeps of each task: its columns grow as those of the tasks do.
    /// Who is in which queue comes to less than that, and the timeline has its own limit.
    pub(crate) fn bytes(&self) -> u64 {
        let lists = self.loops.capacity() * size_of::<u32>() + self.waits_for.capacity() * size_of::<WaitsFor>();
        let holders = self.holders.as_ref().map_or(0, Holdings::bytes);
        let marks = self.marks.running.capacity() * size_of::<((u32, TaskId), u64)>();
        let policy = self.policy_bytes.saturating_mul(self.tasks.room() as u64);
        policy.saturating_add(
            (self.tasks.bytes() + self.wheel.bytes() + self.pools.bytes() + lists + holders + marks) as u64,
        )
    }

    /// The time to name in results.
    pub(crate) fn units(&self, ticks: u64) -> f64 {
        self.scale.units(ticks)
    }

    /// A job's release: it begins, or waits until the one before is done.
    fn release(&mut self, task: TaskId) {
        let now = self.now;
        let period = self.tasks.traits[task as usize].period;
        let idle = self.tasks.hot[task as usize].state == State::Absent;
        if self.tasks.hot[task as usize].state == State::Done {
            self.void_timers -= 1;
            return; // it was killed
        }
        let Some(periodic) = self.periodic.of(task) else { return };
        if !std::mem::replace(&mut periodic.has_come, true) {
            self.unreleased -= 1;
            self.stats.arrivals += 1;
        }
        periodic.next_release = now.saturating_add(period);
        let (next, deadline) = (periodic.next_release, periodic.deadline);
        if !idle {
            if periodic.pending == 0 {
                periodic.first_pending = now;
            }
            periodic.pending += 1;
        }
        self.events += 1;
        self.set_timer(task, next, TIMER_RELEASE);
        if idle {
            self.begin_job(task, now, deadline);
        }
    }

    pub(crate) fn begin_job(&mut self, task: TaskId, release: u64, deadline: u64) {
        let place = task as usize;
        self.tasks.life[place].arrival = release;
        self.tasks.life[place].deadline = release.saturating_add(deadline);
        let program = self.tasks.traits[place].program;
        self.tasks.life[place].pc = program;
        self.tasks.hot[place].flags &= !GO;
        self.make_ready(task, Why::Arrived);
    }

    fn end_job(&mut self, task: TaskId) {
        let now = self.now;
        let life = self.tasks.life[task as usize];
        let period = self.tasks.traits[task as usize].period;
        self.tasks.hot[task as usize].state = State::Absent;
        self.events += 1;
        let Some(periodic) = self.periodic.of(task) else { return };
        let took = now - life.arrival;
        periodic.jobs += 1;
        periodic.misses += u64::from(now > life.deadline);
        periodic.worst = periodic.worst.max(took);
        let first = periodic.first.is_none();
        if first {
            let used = self.tasks.hot[task as usize].cpu.saturating_add(life.io);
            periodic.first = Some(took);
            periodic.first_wait = took.saturating_sub(used);
        }
        let (next, deadline) = (periodic.next_pending(period), periodic.deadline);
        if first {
            self.tasks.life[task as usize].finish = now;
        }
        if let Some(release) = next {
            self.begin_job(task, release, deadline);
        }
    }

    /// Nothing more can happen.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_some() || (self.live == 0 && self.source.next_time() == NEVER)
    }
}
