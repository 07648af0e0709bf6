//! Programs as a flat list of operations: names become numbers, loops become jumps, times sub-ticks.

use std::collections::HashMap;

use crate::scenario::{CpuTime, Scenario, Step};
use crate::time::TimeScale;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Cpu(u64),
    /// What the generator drew.
    CpuService,
    /// A draw from `closed.cpu`, and the start of a round.
    CpuClosed,
    /// A draw from `closed.io`, and back to the start.
    IoClosed,
    Io(u64),
    Sleep(u64),
    Await(u64),
    Lock(u32),
    Unlock(u32),
    SemWait(u32),
    SemPost(u32),
    Wait {
        condition: u32,
        lock: u32,
    },
    Notify {
        condition: u32,
        all: bool,
    },
    Send {
        channel: u32,
        bytes: u32,
    },
    Recv(u32),
    Spawn(u32),
    Join(u32),
    Kill(u32),
    Yield,
    NogilBegin,
    NogilEnd,
    /// Sets a counter; `end` is behind the loop.
    RepeatBegin {
        slot: u16,
        times: u32,
        end: u32,
    },
    RepeatEnd {
        slot: u16,
        begin: u32,
    },
    Mark(u32),
    End,
}

/// All programs of a scenario, and the names in them.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    pub(crate) ops: Vec<Op>,
    pub(crate) locks: Names,
    pub(crate) semaphores: Names,
    pub(crate) conditions: Names,
    pub(crate) channels: Names,
    pub(crate) marks: Names,
    known: HashMap<Vec<Op>, u32>,
    /// Steps that are being added stand in a section without the GIL: one inside another adds nothing.
    in_nogil: bool,
}

/// Names in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) list: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.list.len() as u32;
        self.list.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

impl Programs {
    /// Adds a program; gives its first operation and the number of its loop counters. Equal programs are stored once.
    ///
    /// `index` finds a task's place from its id; [`crate::check`] has seen to it that it exists.
    pub(crate) fn add(&mut self, steps: &[Step], scale: TimeScale, index: &dyn Fn(u32) -> u32) -> (u32, u32) {
        let mut ops = Vec::new();
        let mut slots = 0;
        self.steps(steps, scale, index, &mut ops, &mut slots);
        ops.push(Op::End);
        (self.store(ops), u32::from(slots))
    }

    /// The endless program of a task of a closed system.
    pub(crate) fn add_closed(&mut self) -> u32 {
        self.store(vec![Op::CpuClosed, Op::IoClosed, Op::End])
    }

    fn store(&mut self, mut ops: Vec<Op>) -> u32 {
        if let Some(start) = self.known.get(&ops) {
            return *start;
        }
        let start = self.ops.len() as u32;
        self.known.insert(ops.clone(), start);
        for op in &mut ops {
            match op {
                Op::RepeatBegin { end: target, .. } | Op::RepeatEnd { begin: target, .. } => *target += start,
                _ => {}
            }
        }
        self.ops.extend(ops);
        start
    }

    fn steps(
        &mut self,
        steps: &[Step],
        scale: TimeScale,
        index: &dyn Fn(u32) -> u32,
        ops: &mut Vec<Op>,
        slots: &mut u16,
    ) {
        for step in steps {
            let op = match step {
                Step::Cpu(CpuTime::Fixed(time)) => Op::Cpu(scale.ticks(*time)),
                Step::Cpu(CpuTime::Service(_)) => Op::CpuService,
                Step::Io(time) => Op::Io(scale.ticks(*time)),
                Step::Sleep(time) => Op::Sleep(scale.ticks(*time)),
                Step::Lock(name) => Op::Lock(self.locks.number(name)),
                Step::Unlock(name) => Op::Unlock(self.locks.number(name)),
                Step::SemWait(name) => Op::SemWait(self.semaphores.number(name)),
                Step::SemPost(name) => Op::SemPost(self.semaphores.number(name)),
                Step::Wait { condition, lock } => {
                    Op::Wait { condition: self.conditions.number(condition), lock: self.locks.number(lock) }
                }
                Step::Notify(name) => Op::Notify { condition: self.conditions.number(name), all: false },
                Step::NotifyAll(name) => Op::Notify { condition: self.conditions.number(name), all: true },
                Step::Send { channel, bytes } => Op::Send {
                    channel: self.channels.number(channel),
                    // `check` has seen to it that it fits.
                    bytes: u32::try_from(*bytes).unwrap_or(u32::MAX),
                },
                Step::Recv(name) => Op::Recv(self.channels.number(name)),
                Step::Spawn(task) => Op::Spawn(index(*task)),
                Step::Join(task) => Op::Join(index(*task)),
                Step::Kill(task) => Op::Kill(index(*task)),
                Step::Yield => Op::Yield,
                Step::Await { cpu, io } => {
                    if *cpu > 0.0 {
                        ops.push(Op::Cpu(scale.ticks(*cpu)));
                    }
                    Op::Await(scale.ticks(*io))
                }
                Step::Mark(name) => Op::Mark(self.marks.number(name)),
                Step::Nogil(steps) if self.in_nogil => {
                    self.steps(steps, scale, index, ops, slots);
                    continue;
                }
                Step::Nogil(steps) => {
                    ops.push(Op::NogilBegin);
                    self.in_nogil = true;
                    self.steps(steps, scale, index, ops, slots);
                    self.in_nogil = false;
                    Op::NogilEnd
                }
                Step::Repeat(times, steps) => {
                    let (slot, at) = (*slots, ops.len());
                    *slots += 1;
                    ops.push(Op::RepeatBegin { slot, times: *times, end: 0 });
                    self.steps(steps, scale, index, ops, slots);
                    let end = ops.len() as u32 + 1;
                    ops[at] = Op::RepeatBegin { slot, times: *times, end };
                    Op::RepeatEnd { slot, begin: at as u32 + 1 }
                }
            };
            ops.push(op);
        }
    }
}

/// Calls `see` with every step of every program, the inner ones, too.
pub(crate) fn every_step<'a>(scenario: &'a Scenario, see: &mut dyn FnMut(&'a Step)) {
    fn walk<'a>(steps: &'a [Step], see: &mut dyn FnMut(&'a Step)) {
        for step in steps {
            see(step);
            if let Step::Nogil(steps) | Step::Repeat(_, steps) = step {
                walk(steps, see);
            }
        }
    }
    for task in &scenario.tasks {
        walk(&task.program, see);
    }
    if let Some(program) = scenario.generator.as_ref().and_then(|generator| generator.program.as_ref()) {
        walk(program, see);
    }
}
