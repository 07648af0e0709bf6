//! The tasks of a run, as columns indexed by [`TaskId`].
//!
//! What every event touches lies together in 32 bytes ([`Hot`]); what is needed when a task arrives, goes on to its next step, blocks or ends in [`Life`]; what
//! never changes in [`Traits`]. Together 136 bytes a task; queues, timers and policies add what they need.

use crate::time::NEVER;

/// A task's place in the columns: not the id it has in the scenario.
pub type TaskId = u32;

/// No task.
pub(crate) const NONE: TaskId = u32::MAX;
/// A task that has ended, and whose place may be another's.
pub(crate) const GONE: TaskId = NONE - 1;
/// No core.
pub(crate) const NO_CORE: u16 = u16::MAX;

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Not here yet, or its place is free.
    Absent,
    /// In a run queue.
    Ready,
    /// On a core.
    Running,
    /// Waits for a timer.
    Asleep,
    /// Waits for another task: a lock, a message, the GIL, a worker.
    Waiting,
    /// Has ended.
    Done,
}

/// Its next piece of time on a core is loaded, and nothing (a GIL) has to be taken first.
pub(crate) const GO: u8 = 1;
/// It was woken, and has not run since.
pub(crate) const WOKEN: u8 = 2;
/// It is in a `nogil` section.
pub(crate) const NOGIL: u8 = 4;
/// It is a worker thread of a pool or loop, not a task of the scenario.
pub(crate) const WORKER: u8 = 8;
/// It has run before.
pub(crate) const STARTED: u8 = 16;
/// It was killed while it could not be stopped at once.
pub(crate) const KILLED: u8 = 32;

/// What every event touches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hot {
    /// Work left of this piece of time on a core, in sub-ticks at full speed.
    pub(crate) remaining: u64,
    /// Time spent on cores.
    pub(crate) cpu: u64,
    pub(crate) switches: u32,
    pub(crate) migrations: u32,
    pub(crate) last_core: u16,
    /// Where the task ran that woke it.
    pub(crate) waker: u16,
    pub(crate) state: State,
    pub(crate) flags: u8,
}

/// What is needed when a task arrives, blocks or ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) arrival: u64,
    pub(crate) first_run: u64,
    pub(crate) finish: u64,
    /// Time in I/O and sleep; while it sleeps less the time at which that began, modulo 2^64.
    pub(crate) io: u64,
    /// Costs that it pays with its next time on a core.
    pub(crate) debt: u64,
    /// What the generator drew for it.
    pub(crate) service: u64,
    /// When its job has to be done.
    pub(crate) deadline: u64,
    /// Number of its current timer: entries of the wheel with another one are void.
    pub(crate) timer: u32,
    /// The step it is at.
    pub(crate) pc: u32,
}

/// What never changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    pub(crate) id: u32,
    pub(crate) program: u32,
    /// Where its loop counters are.
    pub(crate) loops: u32,
    pub(crate) priority: u32,
    pub(crate) tickets: u32,
    pub(crate) process: u32,
    pub(crate) period: u64,
    /// Row of [`Tasks::masks`]; row 0 allows all.
    pub(crate) affinity: u16,
    pub(crate) kind: u16,
    pub(crate) nice: i8,
    pub(crate) class: u8,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            id: 0,
            program: 0,
            loops: 0,
            priority: 0,
            tickets: 100,
            process: 0,
            period: NEVER,
            affinity: 0,
            kind: 0,
            nice: 0,
            class: 0,
        }
    }
}

/// All tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    pub(crate) hot: Vec<Hot>,
    pub(crate) life: Vec<Life>,
    pub(crate) traits: Vec<Traits>,
    /// Sets of cores, `words` words each.
    masks: Vec<u64>,
    words: usize,
    /// Places of generated tasks that have ended.
    free: Vec<TaskId>,
}

impl Tasks {
    /// What a task takes in the columns.
    pub(crate) const BYTES: u64 = (size_of::<Hot>() + size_of::<Life>() + size_of::<Traits>()) as u64;

    pub(crate) fn new(cores: usize) -> Self {
        let words = cores.div_ceil(64);
        Self { words, masks: vec![u64::MAX; words], ..Self::default() }
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.hot.len()
    }

    /// How many places there can be until the columns grow: of this length are columns that others keep for all tasks.
    pub fn room(&self) -> usize {
        self.hot.capacity()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.hot.is_empty()
    }

    /// Work left of the task's current burst, in sub-ticks.
    #[inline]
    pub fn remaining(&self, task: TaskId) -> u64 {
        self.hot[task as usize].remaining
    }

    /// The task's priority: the smaller, the more urgent.
    #[inline]
    pub fn priority(&self, task: TaskId) -> u32 {
        self.traits[task as usize].priority
    }

    /// The task's tickets.
    #[inline]
    pub fn tickets(&self, task: TaskId) -> u32 {
        self.traits[task as usize].tickets
    }

    /// The task's niceness.
    #[inline]
    pub fn nice(&self, task: TaskId) -> i8 {
        self.traits[task as usize].nice
    }

    /// The time between two releases of the task, or `u64::MAX`.
    #[inline]
    pub fn period(&self, task: TaskId) -> u64 {
        self.traits[task as usize].period
    }

    /// When the task's job has to be done, or `u64::MAX`.
    #[inline]
    pub fn deadline(&self, task: TaskId) -> u64 {
        self.life[task as usize].deadline
    }

    /// When the task arrived; a periodic one: when its job was released.
    #[inline]
    pub fn arrival(&self, task: TaskId) -> u64 {
        self.life[task as usize].arrival
    }

    /// The room that the columns take.
    pub(crate) fn bytes(&self) -> usize {
        let each = self.hot.capacity() * size_of::<Hot>() + self.life.capacity() * size_of::<Life>();
        each + self.traits.capacity() * size_of::<Traits>() + self.free.capacity() * size_of::<TaskId>()
    }

    /// A row for a set of cores, the same for equal sets. Never row 0: a task with a set of its own is pinned even if it holds all cores.
    pub(crate) fn mask(&mut self, cores: &[u32]) -> u16 {
        let mut row = vec![0_u64; self.words];
        for core in cores {
            row[*core as usize / 64] |= 1 << (core % 64);
        }
        let known = self.masks.chunks(self.words).skip(1).position(|known| known == row).map(|row| row + 1);
        known.unwrap_or_else(|| {
            self.masks.extend_from_slice(&row);
            self.masks.len() / self.words - 1
        }) as u16
    }

    /// May the task run there?
    #[inline]
    pub(crate) fn allowed(&self, task: TaskId, core: usize) -> bool {
        let row = self.traits[task as usize].affinity as usize;
        row == 0 || self.masks[row * self.words + core / 64] >> (core % 64) & 1 == 1
    }

    /// Room for so many tasks more.
    pub(crate) fn reserve(&mut self, tasks: usize) {
        self.hot.reserve(tasks);
        self.life.reserve(tasks);
        self.traits.reserve(tasks);
    }

    /// A place for a new task.
    pub(crate) fn add(&mut self, traits: Traits, arrival: u64) -> TaskId {
        let hot = Hot {
            remaining: 0,
            cpu: 0,
            switches: 0,
            migrations: 0,
            last_core: NO_CORE,
            waker: NO_CORE,
            state: State::Absent,
            flags: 0,
        };
        let life = Life {
            arrival,
            first_run: NEVER,
            finish: NEVER,
            io: 0,
            debt: 0,
            service: 0,
            deadline: NEVER,
            timer: 0,
            pc: traits.program,
        };
        if let Some(task) = self.free.pop() {
            let place = task as usize;
            let timer = self.life[place].timer.wrapping_add(1);
            self.hot[place] = hot;
            self.life[place] = Life { timer, ..life };
            self.traits[place] = traits;
            return task;
        }
        self.hot.push(hot);
        self.life.push(life);
        self.traits.push(traits);
        self.hot.len() as u32 - 1
    }

    /// Gives the place of an ended task to the next new one.
    pub(crate) fn recycle(&mut self, task: TaskId) {
        self.hot[task as usize].state = State::Absent;
        self.free.push(task);
    }
}
