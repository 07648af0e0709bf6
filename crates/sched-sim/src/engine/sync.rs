//! What tasks wait for each other with: locks, semaphores, condition variables, channels. All serve in order of arrival, and hand over: who
//! is woken has what it waited for.

use std::collections::{HashMap, VecDeque};

use super::tasks::{NONE, TaskId};

/// What a task waits for; the number says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Nothing,
    Lock(u32),
    Semaphore(u32),
    Condition(u32),
    /// A message.
    Message(u32),
    /// Room for a message.
    Room(u32),
    /// The end of a task.
    End(TaskId),
    Gil(u32),
    /// A worker of a pool.
    Worker(u32),
    /// Work, being a worker.
    Work(u32),
}

/// A lock.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    pub(crate) holder: TaskId,
    pub(crate) waiting: VecDeque<TaskId>,
}

/// A counting semaphore.
#[derive(Debug, Clone, Default)]
pub(crate) struct Semaphore {
    pub(crate) count: u64,
    pub(crate) waiting: VecDeque<TaskId>,
}

/// A condition variable: who waits, and the lock each takes again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) waiting: VecDeque<(TaskId, u32)>,
}

/// A channel: messages are only counted.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) messages: u64,
    pub(crate) capacity: u64,
    pub(crate) receivers: VecDeque<TaskId>,
    /// With the bytes of each one's message.
    pub(crate) senders: VecDeque<(TaskId, u32)>,
}

impl Channel {
    /// Can a message be sent at once?
    pub(crate) fn takes(&self) -> bool {
        !self.receivers.is_empty() || self.messages < self.capacity
    }

    /// Can one be received at once?
    pub(crate) fn gives(&self) -> bool {
        self.messages > 0 || !self.senders.is_empty()
    }
}

/// All of them, by number.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    pub(crate) locks: Vec<Lock>,
    pub(crate) semaphores: Vec<Semaphore>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) channels: Vec<Channel>,
    /// Who waits for the end of each task, the first first.
    pub(crate) joiners: HashMap<TaskId, VecDeque<TaskId>>,
    /// Bytes that went through channels.
    pub(crate) bytes: u64,
}

impl Sync {
    /// Takes a lock, or queues for it.
    pub(crate) fn lock(&mut self, lock: u32, task: TaskId) -> bool {
        let lock = &mut self.locks[lock as usize];
        if lock.holder == NONE {
            lock.holder = task;
            return true;
        }
        lock.waiting.push_back(task);
        false
    }

    /// Gives a lock back; the next holder, if any, has it at once. `None`: it was not the task's to give.
    pub(crate) fn unlock(&mut self, lock: u32, task: TaskId) -> Option<TaskId> {
        let lock = &mut self.locks[lock as usize];
        if lock.holder != task {
            return None;
        }
        lock.holder = lock.waiting.pop_front().unwrap_or(NONE);
        Some(lock.holder)
    }

    /// Takes one, or queues.
    pub(crate) fn sem_wait(&mut self, semaphore: u32, task: TaskId) -> bool {
        let semaphore = &mut self.semaphores[semaphore as usize];
        if semaphore.count > 0 {
            semaphore.count -= 1;
            return true;
        }
        semaphore.waiting.push_back(task);
        false
    }

    /// Adds one, or gives it to who waits.
    pub(crate) fn sem_post(&mut self, semaphore: u32) -> Option<TaskId> {
        let semaphore = &mut self.semaphores[semaphore as usize];
        let woken = semaphore.waiting.pop_front();
        if woken.is_none() {
            semaphore.count += 1;
        }
        woken
    }

    /// Puts a message in, or queues while the channel is full. Gives who received it, if one waited.
    pub(crate) fn send(&mut self, channel: u32, bytes: u32, task: TaskId) -> Result<Option<TaskId>, ()> {
        let channel = &mut self.channels[channel as usize];
        let receiver = channel.receivers.pop_front();
        if receiver.is_none() {
            if channel.messages >= channel.capacity {
                channel.senders.push_back((task, bytes));
                return Err(());
            }
            channel.messages += 1;
        }
        self.bytes += u64::from(bytes);
        Ok(receiver)
    }

    /// Takes a message, or queues. Gives whose message found room by that.
    pub(crate) fn recv(&mut self, channel: u32, task: TaskId) -> Result<Option<TaskId>, ()> {
        let channel = &mut self.channels[channel as usize];
        if channel.messages > 0 {
            channel.messages -= 1;
        } else if channel.senders.is_empty() {
            channel.receivers.push_back(task);
            return Err(());
        }
        let Some((sender, bytes)) = channel.senders.pop_front() else { return Ok(None) };
        channel.messages += u64::from(channel.capacity > 0);
        self.bytes += u64::from(bytes);
        Ok(Some(sender))
    }

    /// Takes those who wait for the end of a task.
    pub(crate) fn take_joiners(&mut self, ended: TaskId) -> VecDeque<TaskId> {
        self.joiners.remove(&ended).unwrap_or_default()
    }

    /// Takes a task out of whatever queue it stands in: it was killed.
    pub(crate) fn forget(&mut self, task: TaskId, waits_for: WaitsFor) {
        match waits_for {
            WaitsFor::Lock(n) => self.locks[n as usize].waiting.retain(|other| *other != task),
            WaitsFor::Semaphore(n) => self.semaphores[n as usize].waiting.retain(|other| *other != task),
            WaitsFor::Condition(n) => self.conditions[n as usize].waiting.retain(|(other, _)| *other != task),
            WaitsFor::Message(n) => self.channels[n as usize].receivers.retain(|other| *other != task),
            WaitsFor::Room(n) => self.channels[n as usize].senders.retain(|(other, _)| *other != task),
            WaitsFor::End(other) => {
                if let Some(joiners) = self.joiners.get_mut(&other) {
                    joiners.retain(|joiner| *joiner != task);
                }
            }
            WaitsFor::Nothing | WaitsFor::Gil(_) | WaitsFor::Worker(_) | WaitsFor::Work(_) => {}
        }
    }
}
