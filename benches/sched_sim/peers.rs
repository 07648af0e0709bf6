//! The same two models in other engines: timers that set themselves again, and a round robin over many cores.

pub(crate) mod nexosim;
pub(crate) mod simpy;
pub(crate) mod simrs;

/// Delays of about a millisecond at nanosecond resolution, the same for every engine (xorshift, Marsaglia 2003).
#[derive(Debug, Clone)]
pub(crate) struct Delays(u64);

impl Delays {
    pub(crate) fn new() -> Self {
        Self(88_172_645_463_325_252)
    }

    /// 1 to 1,048,576 ns.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + (self.0 >> 44)
    }
}

/// The round robin that all engines do: see `main`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundRobin {
    pub(crate) cores: u32,
    pub(crate) tasks: u32,
    /// Whole quanta of each task.
    pub(crate) quanta: u64,
    pub(crate) quantum: u64,
    pub(crate) switch: u64,
}

impl RoundRobin {
    /// The work of a task: a quarter of them each have one of four lengths, so that not all end at one time.
    pub(crate) fn work(&self, task: u32) -> u64 {
        self.quanta * self.quantum + u64::from(self.kind(task)) * 777_777
    }

    pub(crate) fn kind(&self, task: u32) -> u32 {
        (task / (self.tasks / 4)).min(3)
    }
}

/// Cores, a queue and what is left of each task: what an engine's model does at the end of a quantum.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    shape: RoundRobin,
    queue: std::collections::VecDeque<u32>,
    left: Vec<u64>,
    /// What each core runs, and whether it has run anything else before.
    running: Vec<Option<(u32, u64)>>,
    last: Vec<Option<u32>>,
    /// Times on a core.
    pub(crate) slices: u64,
}

impl Machine {
    pub(crate) fn new(shape: RoundRobin) -> Self {
        Self {
            shape,
            queue: (0..shape.tasks).collect(),
            left: (0..shape.tasks).map(|task| shape.work(task)).collect(),
            running: vec![None; shape.cores as usize],
            last: vec![None; shape.cores as usize],
            slices: 0,
        }
    }

    /// The slice on a core is over: requeues its task and takes the next. When that is over, from now; `None` if nobody is left.
    #[inline]
    pub(crate) fn slice_ended(&mut self, core: u32) -> Option<u64> {
        let place = core as usize;
        if let Some((task, slice)) = self.running[place].take() {
            self.left[task as usize] -= slice;
            if self.left[task as usize] > 0 {
                self.queue.push_back(task);
            }
        }
        let task = self.queue.pop_front()?;
        let slice = self.left[task as usize].min(self.shape.quantum);
        let switch = if self.last[place].is_none_or(|last| last == task) { 0 } else { self.shape.switch };
        self.running[place] = Some((task, slice));
        self.last[place] = Some(task);
        self.slices += 1;
        Some(switch + slice)
    }
}
