//! Earliest eligible virtual deadline first: Linux's fair scheduler since 6.6 (Stoica and Abdel-Wahab 1995), with the rules of Linux 6.18.
//!
//! A task's virtual time is its time on a core over its weight, and V is the weighted mean over all tasks that compete. A task is *eligible*
//! if it has had no more than its share, that is, its virtual time is at most V. It asks for a slice at a time and has a virtual deadline a
//! slice (over its weight) after its virtual time; of the eligible tasks the one with the earliest deadline goes next. No task is ever more
//! than one slice ahead of or behind its share.
//!
//! On a real kernel only a `tick` finds that a slice is used up: at 250 Hz a `base_slice` of 1.4 ms is in truth 4 ms. That is why deadlines
//! in the queue are made with the slice rounded up to ticks; who may take the core from whom goes by the slice itself.
//!
//! What decides about latencies is who takes the core from whom:
//!
//! - **Protection.** Who is picked keeps the core for a slice, as long as it stays eligible. A task that wakes takes the core only
//!   if it would be picked. So one that slept with its share unused (a positive lag) gets the core at once, and one that was alone on its core
//!   before (no lag) does in the part of a tick in which the running one's slice is used up: otherwise it waits for the tick.
//! - **Leaving late.** Who blocks after more than its share stays in the competition until V has reached it, without being run: so the debt is
//!   paid by sleeping. If it wakes before that it goes on where it was.
//!
//! With a queue for each core each has a V of its own, and who is stolen comes without a lag: Linux would keep it (`place_entity`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cfs::{tick_of, until_tick};
use super::weights::weight;
use super::{Context, Options, Policy, TaskId, Tick, Why};

/// Virtual times have so many bits below a sub-tick of a task with weight 1.
const FRACTION: u32 = 20;

/// (key, arrival, task). One whose key is not the task's any more is void.
type Entry = Reverse<(i128, u64, TaskId)>;

/// Those who compete, and their virtual times.
#[derive(Debug)]
pub struct Eevdf {
    /// Tasks that were eligible when last looked at, by deadline; the others, by virtual time.
    eligible: BinaryHeap<Entry>,
    early: BinaryHeap<Entry>,
    /// Those that a pick passes over, until it is done; kept, so that it does not allocate.
    passed: Vec<Entry>,
    tasks: Vec<Account>,
    /// Ready tasks; those on cores; those that sleep and have not left yet.
    ready: usize,
    running: usize,
    leaving: usize,
    /// Who was put back because its slice was over, and when: if it is picked again nothing has changed.
    put_back: (TaskId, u64),
    /// Sum of weights, and of weight x virtual time, of all that compete.
    weights: i128,
    moments: i128,
    /// The slice in ticks, and as it was given.
    turn: u64,
    slice: u64,
    tick: Option<u64>,
    wakeup_preemption: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Virtual time; while the task is away, minus its lag.
    time: i128,
    deadline: i128,
    /// When it was picked or began another slice; since then it has a deadline of its own against those who wake.
    began: i128,
    /// While it runs and is eligible nobody takes the core from it before this.
    protected: i128,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// It does not compete.
    #[default]
    Away,
    /// On a core.
    Running,
    /// In a heap.
    Queued,
    /// In a heap, but it sleeps: it leaves as soon as it would be picked.
    Leaving,
}

impl Eevdf {
    fn is_eligible(&self, task: TaskId) -> bool {
        self.tasks[task as usize].time * self.weights <= self.moments
    }

    /// V.
    fn mean(&self) -> i128 {
        if self.weights == 0 { self.moments } else { self.moments.div_euclid(self.weights) }
    }

    fn request(&self, weight: i128) -> i128 {
        (i128::from(self.turn) << FRACTION) / weight
    }

    fn protection(&self, weight: i128) -> i128 {
        (i128::from(self.slice) << FRACTION) / weight
    }

    /// Joins those who compete, so far behind V.
    fn join(&mut self, task: TaskId, lag: i128, weight: i128) {
        // Joining with a lag moves V by a part of it: what is given is made larger so that what is left is right.
        let lag = if self.weights > 0 { lag * (self.weights + weight) / self.weights } else { 0 };
        let time = self.mean() - lag;
        let account = &mut self.tasks[task as usize];
        account.time = time;
        account.deadline = time + (i128::from(self.turn) << FRACTION) / weight;
        if self.weights == 0 {
            self.moments = 0;
        }
        self.weights += weight;
        self.moments += weight * time;
    }

    /// Leaves them, and keeps its lag.
    fn part(&mut self, task: TaskId, weight: i128) {
        let mean = self.mean();
        // A turn can be a tick longer than the slice.
        let limit = 2 * self.request(weight) + (i128::from(self.tick.unwrap_or(0)) << FRACTION) / weight;
        let account = &mut self.tasks[task as usize];
        if std::mem::take(&mut account.state) == State::Away {
            return;
        }
        self.weights -= weight;
        self.moments -= weight * account.time;
        account.time = (account.time - mean).clamp(-limit, limit);
        if self.weights == 0 {
            // The clock stands still while nobody competes.
            self.moments = mean;
        }
    }

    /// The task that sleeps would be picked: it leaves, its debt paid, and without a claim.
    fn leave_at_last(&mut self, task: TaskId, weight: i128) {
        self.leaving -= 1;
        self.part(task, weight);
        let time = &mut self.tasks[task as usize].time;
        *time = (*time).max(0);
    }

    /// Nobody else is here: all who sleep leave, one after the other, and without a debt.
    fn send_off(&mut self, context: &Context<'_>) {
        for Reverse((_, _, task)) in self.eligible.drain().chain(self.early.drain()) {
            self.passed.push(Reverse((0, 0, task)));
        }
        while let Some(Reverse((_, _, task))) = self.passed.pop() {
            if self.tasks[task as usize].state == State::Leaving {
                self.leave_at_last(task, weight_of(task, context));
                self.tasks[task as usize].time = 0;
            }
        }
    }

    fn queue(&mut self, task: TaskId, arrival: u64) {
        let account = self.tasks[task as usize];
        if self.is_eligible(task) {
            self.eligible.push(Reverse((account.deadline, arrival, task)));
        } else {
            self.early.push(Reverse((account.time, arrival, task)));
        }
    }

    /// Moves those whose time has come from `early` to `eligible`.
    fn promote(&mut self) {
        while let Some(Reverse((time, arrival, task))) = self.early.peek().copied() {
            if time * self.weights > self.moments {
                break;
            }
            self.early.pop();
            if self.is_early(time, task) {
                self.eligible.push(Reverse((self.tasks[task as usize].deadline, arrival, task)));
            }
        }
    }

    fn is_early(&self, time: i128, task: TaskId) -> bool {
        let account = &self.tasks[task as usize];
        matches!(account.state, State::Queued | State::Leaving) && account.time == time
    }

    /// The eligible task that is allowed and has the earliest deadline.
    fn pick_eligible(&mut self, context: &Context<'_>, allowed: &mut impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        while let Some(entry) = self.eligible.pop() {
            let Reverse((deadline, arrival, task)) = entry;
            let account = self.tasks[task as usize];
            if account.deadline != deadline || !matches!(account.state, State::Queued | State::Leaving) {
                continue;
            }
            if !self.is_eligible(task) {
                // V went back: somebody with a large lag left.
                self.early.push(Reverse((account.time, arrival, task)));
            } else if account.state == State::Leaving {
                self.leave_at_last(task, weight_of(task, context));
                self.promote();
            } else if allowed(task) {
                return Some(task);
            } else {
                self.passed.push(entry);
            }
        }
        None
    }

    /// Some task is always eligible, but it may be one that runs, or that may not run here: then the one that comes next.
    fn pick_early(&mut self, allowed: &mut impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        let found = loop {
            let Some(entry) = self.early.pop() else { break None };
            let Reverse((time, _, task)) = entry;
            if !self.is_early(time, task) {
                continue;
            }
            if self.tasks[task as usize].state == State::Queued && allowed(task) {
                break Some(task);
            }
            self.passed.push(entry);
        };
        self.early.extend(self.passed.drain(..));
        found
    }
}

fn weight_of(task: TaskId, context: &Context<'_>) -> i128 {
    i128::from(weight(context.tasks.nice(task)))
}

impl Policy for Eevdf {
    const PREEMPTIVE: bool = true;
    const CHARGES: bool = true;
    const BYTES_PER_TASK: usize = size_of::<Account>();

    fn new(options: &Options<'_>) -> Self {
        let policy = &options.scenario.policy;
        let slice = policy.base_slice.map_or_else(|| options.milliseconds(1.4), |slice| options.ticks(slice)).max(1);
        let tick = tick_of(options);
        Self {
            eligible: BinaryHeap::new(),
            early: BinaryHeap::new(),
            passed: Vec::new(),
            tasks: Vec::new(),
            ready: 0,
            running: 0,
            leaving: 0,
            put_back: (TaskId::MAX, 0),
            weights: 0,
            moments: 0,
            turn: tick.map_or(slice, |tick| slice.div_ceil(tick).saturating_mul(tick)),
            slice,
            tick,
            wakeup_preemption: policy.wakeup_preemption,
        }
    }

    fn enqueue(&mut self, task: TaskId, why: Why, context: &Context<'_>) {
        if self.tasks.len() <= task as usize {
            self.tasks.resize(context.tasks.room(), Account::default());
        }
        let weight = weight_of(task, context);
        let account = self.tasks[task as usize];
        match account.state {
            State::Away => {
                let lag = if matches!(why, Why::Arrived | Why::Moved) { 0 } else { -account.time };
                self.join(task, lag, weight);
            }
            State::Leaving => {
                self.leaving -= 1;
                if self.is_eligible(task) {
                    // It has paid, and has no claim.
                    self.part(task, weight);
                    self.join(task, 0, weight);
                }
            }
            State::Running => {
                self.running -= 1;
                match why {
                    Why::SliceEnded => self.put_back = (task, context.now),
                    // It goes behind those who are as entitled.
                    Why::Yielded => self.tasks[task as usize].deadline += self.request(weight),
                    _ => {}
                }
            }
            State::Queued => {}
        }
        self.tasks[task as usize].state = State::Queued;
        self.ready += 1;
        self.queue(task, context.tasks.arrival(task));
    }

    fn pick(&mut self, context: &Context<'_>, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        self.promote();
        let mut found = self.pick_eligible(context, &mut allowed);
        self.eligible.extend(self.passed.drain(..));
        if found.is_none() {
            found = self.pick_early(&mut allowed);
        }
        let task = found?;
        self.ready -= 1;
        self.running += 1;
        let protection = self.protection(weight_of(task, context));
        let account = &mut self.tasks[task as usize];
        account.state = State::Running;
        if self.put_back != (task, context.now) {
            account.began = account.time;
            account.protected = account.time + protection;
        }
        Some(task)
    }

    fn len(&self) -> usize {
        self.ready
    }

    fn slice(&mut self, task: TaskId, context: &Context<'_>) -> u64 {
        let account = self.tasks[task as usize];
        let left = (account.deadline - account.time).max(0) * weight_of(task, context);
        let left = u64::try_from((left + (1 << FRACTION) - 1) >> FRACTION).unwrap_or(u64::MAX).max(1);
        until_tick(context.now, self.tick, left)
    }

    fn tick(&mut self, task: TaskId, context: &Context<'_>) -> Tick {
        if self.ready == 0 && self.leaving > 0 {
            // Who sleeps and is eligible by now would be picked.
            self.promote();
            let nobody = self.pick_eligible(context, &mut |_| false);
            debug_assert!(nobody.is_none(), "nobody was ready");
        }
        let is_alone = self.ready == 0;
        let weight = weight_of(task, context);
        let (request, protection) = (self.request(weight), self.protection(weight));
        let account = &mut self.tasks[task as usize];
        // Rounding of the virtual time down must not give a task one more slice: half a sub-tick is as good as nothing.
        let time = account.time + (1 << (FRACTION - 1)) / weight;
        if time >= account.deadline {
            account.deadline = account.time + request;
        }
        if time >= account.began + protection {
            account.began = account.time;
        }
        if is_alone || time < account.protected { Tick::Stay } else { Tick::Leave }
    }

    fn charge(&mut self, task: TaskId, ran: u64, context: &Context<'_>) {
        let weight = weight_of(task, context);
        let grown = (i128::from(ran) << FRACTION) / weight;
        self.tasks[task as usize].time += grown;
        self.moments += weight * grown;
    }

    fn leave(&mut self, task: TaskId, ended: bool, context: &Context<'_>) {
        let weight = weight_of(task, context);
        self.running -= usize::from(self.tasks[task as usize].state == State::Running);
        if ended || self.is_eligible(task) {
            self.part(task, weight);
        } else {
            self.tasks[task as usize].state = State::Leaving;
            self.leaving += 1;
            self.queue(task, context.tasks.arrival(task));
        }
        if self.ready == 0 && self.running == 0 && self.leaving > 0 {
            self.send_off(context);
        }
    }

    fn end_asleep(&mut self, task: TaskId, context: &Context<'_>) {
        // Nobody pays its debt, and who comes after it in its place does not have it.
        if self.tasks.get(task as usize).is_some_and(|account| account.state == State::Leaving) {
            self.leaving -= 1;
            self.part(task, weight_of(task, context));
        }
    }

    fn needs_present(&self, task: TaskId) -> bool {
        self.tasks.get(task as usize).is_none_or(|account| account.state != State::Leaving)
    }

    fn preempts(&self, ready: TaskId, running: TaskId, context: &Context<'_>) -> bool {
        if !self.wakeup_preemption || !self.is_eligible(ready) {
            return false;
        }
        let (one, other) = (&self.tasks[ready as usize], &self.tasks[running as usize]);
        let is_over = other.time >= other.began + self.protection(weight_of(running, context));
        let began = if is_over { other.time } else { other.began };
        !self.is_eligible(running) || (other.time >= other.protected && one.time <= began)
    }

    fn remove(&mut self, task: TaskId) -> bool {
        let is_here = self.tasks.get(task as usize).is_some_and(|account| account.state == State::Queued);
        if is_here {
            self.ready -= 1;
            self.running += 1;
            self.tasks[task as usize].state = State::Running;
        }
        is_here
    }
}
