//! Workers: threads that run tasks. Pools, event loops and M:N differ in who has a queue of its own and in what parks a task.
//!
//! | runtime | workers | a task that waits |
//! |---|---|---|
//! | `thread_pool`, `process_pool` | `workers`, one queue | keeps its worker |
//! | `event_loop` | one per process, each with a queue | `await` and synchronisation park it; `io` and `sleep` block the loop |
//! | `m_n` | `workers`, one queue | is parked: its worker takes the next |

use std::collections::VecDeque;

use super::depth::DepthLog;
use super::steps::Next;
use super::sync::WaitsFor;
use super::tasks::{GO, GONE, KILLED, NONE, STARTED, State, TaskId, WORKER};
use super::world::World;
use crate::policy::Why;
use crate::scenario::RuntimeKind;

/// All workers, and what they have to do.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    queues: Vec<WorkQueue>,
    workers: Vec<Worker>,
    /// Place of worker 0 among the tasks; the others follow.
    first: TaskId,
    /// The worker a task is mounted on.
    carriers: Vec<TaskId>,
    limit: usize,
}

#[derive(Debug, Default)]
struct WorkQueue {
    tasks: VecDeque<TaskId>,
    depth: DepthLog,
    workers: u32,
    idle: VecDeque<TaskId>,
    /// Workers that were woken and have not taken a task yet.
    coming: usize,
}

#[derive(Debug)]
struct Worker {
    queue: u32,
    current: TaskId,
    last: TaskId,
    /// It was woken for a task, and has not taken one yet.
    coming: bool,
}

impl WorkQueue {
    fn push(&mut self, task: TaskId, now: u64) {
        self.tasks.push_back(task);
        self.depth.note(now, self.tasks.len());
    }

    fn pop(&mut self, now: u64) -> Option<TaskId> {
        let task = self.tasks.pop_front();
        self.depth.note(now, self.tasks.len());
        task
    }
}

impl Pools {
    /// Workers for each queue, whose lengths are kept up to so many changes each.
    pub(crate) fn new(workers_per_queue: &[u32], first: TaskId, limit: Option<u32>, recorded: Option<u64>) -> Self {
        let mut pools = Self { first, limit: limit.map_or(usize::MAX, |limit| limit as usize), ..Self::default() };
        for (queue, workers) in workers_per_queue.iter().enumerate() {
            let start = first + pools.workers.len() as u32;
            let ids = start..start + workers;
            pools.queues.push(WorkQueue {
                tasks: VecDeque::new(),
                depth: DepthLog::new(recorded),
                workers: *workers,
                idle: ids.clone().collect(),
                coming: 0,
            });
            pools.workers.extend(ids.map(|_| Worker { queue: queue as u32, current: NONE, last: NONE, coming: false }));
        }
        pools
    }

    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        !self.workers.is_empty()
    }

    fn worker(&self, thread: TaskId) -> &Worker {
        &self.workers[(thread - self.first) as usize]
    }

    fn worker_mut(&mut self, thread: TaskId) -> &mut Worker {
        &mut self.workers[(thread - self.first) as usize]
    }

    /// What is mounted on the worker; the worker itself if nothing is.
    pub(crate) fn current(&self, thread: TaskId) -> TaskId {
        let current = self.worker(thread).current;
        if current == NONE { thread } else { current }
    }

    /// The worker a task is mounted on, or [`NONE`].
    pub(crate) fn carrier(&self, task: TaskId) -> TaskId {
        self.carriers.get(task as usize).copied().unwrap_or(NONE)
    }

    /// Takes a task from its worker.
    pub(crate) fn unmount(&mut self, task: TaskId) {
        let carrier = self.carrier(task);
        if carrier != NONE {
            self.carriers[task as usize] = NONE;
            self.workers[(carrier - self.first) as usize].current = NONE;
        }
    }

    fn mount(&mut self, task: TaskId, thread: TaskId) -> bool {
        if self.carriers.len() <= task as usize {
            self.carriers.resize(task as usize + 1, NONE);
        }
        self.carriers[task as usize] = thread;
        let worker = &mut self.workers[(thread - self.first) as usize];
        worker.current = task;
        std::mem::replace(&mut worker.last, task) != task
    }

    /// The task has ended, and its place will be another's.
    pub(crate) fn forget_place(&mut self, task: TaskId) {
        for worker in self.workers.iter_mut().filter(|worker| worker.last == task) {
            worker.last = GONE;
        }
    }

    /// Takes a task that was killed out of the queues.
    pub(crate) fn forget(&mut self, task: TaskId, now: u64) {
        for queue in &mut self.queues {
            queue.tasks.retain(|other| *other != task);
            queue.depth.note(now, queue.tasks.len());
        }
    }

    /// Each queue's workers and length.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (u32, &DepthLog)> {
        self.queues.iter().map(|queue| (queue.workers, &queue.depth))
    }

    pub(crate) fn bytes(&self) -> usize {
        let queue = |queue: &WorkQueue| queue.tasks.capacity() * size_of::<TaskId>() + queue.depth.bytes();
        self.carriers.capacity() * size_of::<TaskId>() + self.queues.iter().map(queue).sum::<usize>()
    }

    /// Would a new task find no worker and no room?
    pub(crate) fn is_full(&self, queue: u32) -> bool {
        let queue = &self.queues[queue as usize];
        queue.idle.is_empty() && queue.tasks.len().saturating_sub(queue.coming) >= self.limit
    }
}

impl World {
    /// The queue that a task belongs to: its process's loop, or the only one.
    pub(crate) fn work_queue(&self, task: TaskId) -> u32 {
        if self.pools.queues.len() == 1 { 0 } else { self.tasks.traits[task as usize].process }
    }

    /// A task can go on and needs a worker.
    pub(crate) fn queue_for_worker(&mut self, task: TaskId) {
        let (number, now) = (self.work_queue(task), self.now);
        let hot = &mut self.tasks.hot[task as usize];
        hot.state = State::Waiting;
        self.waits_for[task as usize] = WaitsFor::Worker(number);
        self.events += 1;
        let queue = &mut self.pools.queues[number as usize];
        queue.push(task, now);
        if let Some(worker) = queue.idle.pop_front() {
            queue.coming += 1;
            self.pools.worker_mut(worker).coming = true;
            self.waits_for[worker as usize] = WaitsFor::Nothing;
            self.make_ready(worker, Why::Woken);
        }
    }

    /// Moves a worker on: the task it has, then the next of its queue.
    pub(crate) fn advance_worker(&mut self, thread: TaskId) -> Next {
        loop {
            let mut task = self.pools.worker(thread).current;
            if task == NONE {
                let number = self.pools.worker(thread).queue;
                if std::mem::take(&mut self.pools.worker_mut(thread).coming) {
                    self.pools.queues[number as usize].coming -= 1;
                }
                let Some(next) = self.pools.queues[number as usize].pop(self.now) else {
                    self.pools.queues[number as usize].idle.push_back(thread);
                    self.waits_for[thread as usize] = WaitsFor::Work(number);
                    let hot = &mut self.tasks.hot[thread as usize];
                    hot.state = State::Waiting;
                    hot.flags &= !GO;
                    return Next::Blocked;
                };
                task = next;
                self.mount(task, thread);
            }
            self.tasks.hot[task as usize].state = State::Running;
            let next = self.step(task, thread);
            // Tasks of one worker can go on for each other without another thread.
            self.watch();
            if self.stop.is_some() {
                return Next::Blocked;
            }
            match next {
                Next::Run => return Next::Run,
                Next::Blocked => {
                    let hot = &mut self.tasks.hot[thread as usize];
                    hot.state = State::Waiting;
                    hot.flags &= !GO;
                    return Next::Blocked;
                }
                // A thread that runs one task to its end offers its core, and keeps the task.
                Next::Yielded if matches!(self.runtime, RuntimeKind::ThreadPool | RuntimeKind::ProcessPool) => {
                    self.tasks.hot[thread as usize].flags &= !GO;
                    return Next::Yielded;
                }
                // A loop has others in its own queue.
                Next::Yielded => {
                    self.pools.unmount(task);
                    let number = self.work_queue(task);
                    self.tasks.hot[task as usize].state = State::Waiting;
                    self.waits_for[task as usize] = WaitsFor::Worker(number);
                    self.pools.queues[number as usize].push(task, self.now);
                    self.idle(task, 1);
                }
                Next::Ended => self.pools.unmount(task),
                Next::Parked => {}
            }
        }
    }

    fn mount(&mut self, task: TaskId, thread: TaskId) {
        self.waits_for[task as usize] = WaitsFor::Nothing;
        let changed = self.pools.mount(task, thread);
        let first = self.tasks.hot[task as usize].flags & STARTED == 0;
        let create = if first { self.cost(self.charges.task_create) } else { 0 };
        let switch = if changed { self.cost(self.charges.task_switch) } else { 0 };
        self.owe(thread, create.saturating_add(switch));
        self.note_first_run(task, self.now);
    }

    /// A running thread was told to look up.
    pub(crate) fn poked(&mut self, thread: TaskId) -> Next {
        if self.tasks.hot[self.shown(thread) as usize].flags & KILLED != 0 {
            return self.advance(thread);
        }
        if self.tasks.hot[thread as usize].flags & WORKER == 0 { self.give_up_gil(thread) } else { Next::Run }
    }
}
