//! What a task does: a list of steps, each an object with one key (`{"cpu": 100}`), some with a second.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step of a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "StepKeys", into = "StepKeys")]
#[schemars(with = "StepKeys")]
pub enum Step {
    /// Computes for so long; under a GIL it has to hold it.
    Cpu(CpuTime),
    /// Waits for a device without a core, and without the GIL. Blocks an event loop.
    Io(f64),
    /// Waits for a time. Blocks an event loop.
    Sleep(f64),
    /// Takes a lock, or waits for it in order of arrival.
    Lock(String),
    /// Gives a lock back.
    Unlock(String),
    /// Takes one from a semaphore, or waits.
    SemWait(String),
    /// Adds one to a semaphore.
    SemPost(String),
    /// Gives the lock back, waits for a notification, takes the lock again.
    Wait {
        /// The condition variable.
        condition: String,
        /// The lock, which the task holds.
        lock: String,
    },
    /// Wakes the one that has waited longest, if any.
    Notify(String),
    /// Wakes all who wait.
    NotifyAll(String),
    /// Puts a message into a channel; waits while it is full.
    Send {
        /// The channel.
        channel: String,
        /// The message's size, for the count of bytes.
        bytes: u64,
    },
    /// Takes a message from a channel, or waits for one.
    Recv(String),
    /// Starts a task that is marked `spawned`.
    Spawn(u32),
    /// Waits until a task has ended.
    Join(u32),
    /// Offers the core to others.
    Yield,
    /// A step of an asynchronous program: computes, then waits without blocking its loop or worker.
    Await {
        /// Time on a core.
        cpu: f64,
        /// Time of the wait.
        io: f64,
    },
    /// Steps without the GIL, as an extension in C may do. Without a GIL just the steps.
    Nogil(Vec<Step>),
    /// Ends a task at once, whatever it holds.
    Kill(u32),
    /// The steps so many times.
    Repeat(u32, Vec<Step>),
    /// Starts the task's stopwatch of this name; the next one stops it, and the time goes into the histogram `mark:NAME`.
    Mark(String),
}

/// Time on a core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "that is no time; give a number, or \"service\" in a generator's program")]
pub enum CpuTime {
    /// So long.
    Fixed(f64),
    /// The word `service`: what the generator drew for this task.
    Service(Service),
}

/// The word `service`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The word.
    Service,
}

/// A step as it stands in a file: one of the keys, and the second key of those that have one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a step, as { cpu = 5 }")]
#[allow(missing_docs)] // each key is described at the step it makes
pub struct StepKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlock: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sem_wait: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sem_post: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_all: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spawn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<u32>,
    #[serde(rename = "yield", skip_serializing_if = "Option::is_none")]
    pub yield_: Option<bool>,
    #[serde(rename = "await", skip_serializing_if = "Option::is_none")]
    pub await_: Option<Awaited>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nogil: Option<Nogil>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<(u32, Vec<Step>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// What is awaited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Awaited {
    /// Time on a core first.
    pub cpu: f64,
    /// Time of the wait.
    pub io: f64,
}

/// One step without the GIL, or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "these are no steps; give a step, { cpu = 5 }, or a list of them")]
pub enum Nogil {
    /// One.
    One(Box<Step>),
    /// Several.
    Many(Vec<Step>),
}

impl TryFrom<StepKeys> for Step {
    type Error = String;

    fn try_from(keys: StepKeys) -> Result<Self, String> {
        let StepKeys { lock, bytes, .. } = keys.clone();
        let mut steps = Vec::new();
        steps.extend(keys.cpu.map(Self::Cpu));
        steps.extend(keys.io.map(Self::Io));
        steps.extend(keys.sleep.map(Self::Sleep));
        steps.extend(keys.unlock.map(Self::Unlock));
        steps.extend(keys.sem_wait.map(Self::SemWait));
        steps.extend(keys.sem_post.map(Self::SemPost));
        steps.extend(keys.notify.map(Self::Notify));
        steps.extend(keys.notify_all.map(Self::NotifyAll));
        let sends = keys.send.is_some();
        steps.extend(keys.send.map(|channel| Self::Send { channel, bytes: bytes.unwrap_or(1) }));
        steps.extend(keys.recv.map(Self::Recv));
        steps.extend(keys.spawn.map(Self::Spawn));
        steps.extend(keys.join.map(Self::Join));
        if keys.yield_ == Some(false) {
            return Err("yield = false does nothing; leave the step out, or write { yield = true }".into());
        }
        steps.extend(keys.yield_.map(|_| Self::Yield));
        steps.extend(keys.await_.map(|Awaited { cpu, io }| Self::Await { cpu, io }));
        steps.extend(keys.nogil.map(|steps| match steps {
            Nogil::One(step) => Self::Nogil(vec![*step]),
            Nogil::Many(steps) => Self::Nogil(steps),
        }));
        steps.extend(keys.kill.map(Self::Kill));
        steps.extend(keys.repeat.map(|(times, steps)| Self::Repeat(times, steps)));
        steps.extend(keys.mark.map(Self::Mark));
        match (keys.wait, lock) {
            (Some(condition), Some(lock)) => steps.push(Self::Wait { condition, lock }),
            (Some(_), None) => {
                return Err("a wait has no lock; give both: { wait = \"condition\", lock = \"m\" }".into());
            }
            (None, Some(lock)) => steps.push(Self::Lock(lock)),
            (None, None) => {}
        }
        if bytes.is_some() && !sends {
            return Err("bytes has no send; give both: { send = \"channel\", bytes = 1 }".into());
        }
        if steps.len() != 1 {
            return Err(format!(
                "the step has {} of its keys; give exactly one of cpu, io, sleep, lock, unlock, sem_wait, sem_post, wait, notify, \
                 notify_all, send, recv, spawn, join, yield, await, nogil, kill, repeat, mark",
                steps.len()
            ));
        }
        Ok(steps.swap_remove(0))
    }
}

impl From<Step> for StepKeys {
    fn from(step: Step) -> Self {
        let mut keys = Self::default();
        match step {
            Step::Cpu(time) => keys.cpu = Some(time),
            Step::Io(time) => keys.io = Some(time),
            Step::Sleep(time) => keys.sleep = Some(time),
            Step::Lock(name) => keys.lock = Some(name),
            Step::Unlock(name) => keys.unlock = Some(name),
            Step::SemWait(name) => keys.sem_wait = Some(name),
            Step::SemPost(name) => keys.sem_post = Some(name),
            Step::Wait { condition, lock } => (keys.wait, keys.lock) = (Some(condition), Some(lock)),
            Step::Notify(name) => keys.notify = Some(name),
            Step::NotifyAll(name) => keys.notify_all = Some(name),
            Step::Send { channel, bytes } => (keys.send, keys.bytes) = (Some(channel), Some(bytes)),
            Step::Recv(name) => keys.recv = Some(name),
            Step::Spawn(task) => keys.spawn = Some(task),
            Step::Join(task) => keys.join = Some(task),
            Step::Yield => keys.yield_ = Some(true),
            Step::Await { cpu, io } => keys.await_ = Some(Awaited { cpu, io }),
            Step::Nogil(steps) => keys.nogil = Some(Nogil::Many(steps)),
            Step::Kill(task) => keys.kill = Some(task),
            Step::Repeat(times, steps) => keys.repeat = Some((times, steps)),
            Step::Mark(name) => keys.mark = Some(name),
        }
        keys
    }
}
