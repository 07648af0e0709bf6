//! The run of a fluid policy (`ps`, `las`): tasks share the cores, so there are no dispatches and no queues.

use super::steps::Next;
use super::tasks::{GO, State, TaskId};
use super::world::World;
use crate::outcome::StopReason;
use crate::policy::fluid::Fluid;
use crate::record::{Event, Sink};
use crate::time::{END, NEVER};

/// A run of a fluid policy.
#[derive(Debug)]
pub(crate) struct Sharing<F, S> {
    pub(crate) world: World,
    pub(crate) sink: S,
    policy: F,
    until: u64,
    /// Core time used: of several cores it is more than time goes on.
    pub(crate) busy: u128,
}

impl<F: Fluid, S: Sink> Sharing<F, S> {
    pub(crate) fn new(world: World, policy: F, until: u64, sink: S) -> Self {
        Self { world, sink, policy, until, busy: 0 }
    }

    /// Runs until all is done, nothing can happen, or a limit is reached.
    pub(crate) fn run(&mut self) -> StopReason {
        loop {
            let now = self.policy.next().min(self.world.next_time());
            if now >= END || now > self.until || self.is_stuck() {
                return self.nothing_more();
            }
            self.world.now = now;
            self.busy += self.policy.advance(now);
            if self.world.next_time() <= now {
                self.world.fire();
                self.flush();
            }
            while self.world.stop.is_none()
                && let Some(task) = self.policy.take_done()
            {
                self.sink.event(Event::Leave, now, 0, self.world.tasks.traits[task as usize].id);
                let hot = &mut self.world.tasks.hot[task as usize];
                hot.cpu += hot.remaining;
                hot.remaining = 0;
                hot.flags &= !GO;
                self.move_on(task);
                self.flush();
            }
            self.sink.depth(now, self.policy.len());
            if self.world.stats.window.is_turning() {
                self.world.stats.window.turn(now, self.busy);
            }
            self.world.watch();
            if self.world.is_over() {
                self.account();
                return self.world.stop.take().unwrap_or(StopReason::Finished);
            }
        }
    }

    /// Nothing happens until the end.
    fn nothing_more(&mut self) -> StopReason {
        let is_stuck = self.is_stuck();
        let over = if self.until == NEVER || is_stuck { self.world.now } else { self.until };
        self.busy += self.policy.advance(over);
        self.world.now = over;
        self.account();
        match () {
            () if self.world.live == 0 => StopReason::Finished,
            () if is_stuck => StopReason::Deadlock,
            () if self.until != NEVER => StopReason::Until,
            () => StopReason::EndOfTime,
        }
    }

    /// Will nothing ever happen? There may be timers yet, of tasks that were killed.
    fn is_stuck(&self) -> bool {
        self.policy.is_empty() && self.world.is_still()
    }

    /// Notes what tasks had of the cores that are not done with their bursts.
    fn account(&mut self) {
        for (task, left) in self.policy.left() {
            note_progress(&mut self.world, task, left);
        }
    }

    fn move_on(&mut self, task: TaskId) {
        loop {
            match self.world.advance(task) {
                Next::Run => {
                    self.enter(task);
                    return;
                }
                // There is nobody to offer the core to: all have it.
                Next::Yielded => {
                    self.world.idle(task, 1);
                }
                Next::Blocked | Next::Ended | Next::Parked => return,
            }
            if self.world.stop.is_some() {
                return;
            }
        }
    }

    fn enter(&mut self, task: TaskId) {
        let hot = &mut self.world.tasks.hot[task as usize];
        hot.state = State::Running;
        let (work, attained) = (hot.remaining, hot.cpu);
        self.world.note_first_run(task, self.world.now);
        self.world.events += 1;
        self.policy.enter(task, work, attained);
    }

    /// Lets all go on that became ready, and takes off who was killed: whoever waited for its end becomes ready in turn.
    fn flush(&mut self) {
        loop {
            // Who slept had no share.
            self.world.ended_asleep.clear();
            self.world.replaced.clear();
            let mut ready = std::mem::take(&mut self.world.ready);
            for (task, _) in ready.drain(..) {
                self.world.watch();
                if self.world.stop.is_some() {
                    return;
                }
                self.sink.event(Event::Arrive, self.world.now, 0, self.world.tasks.traits[task as usize].id);
                if self.world.tasks.hot[task as usize].flags & GO == 0 { self.move_on(task) } else { self.enter(task) }
            }
            if self.world.ready.is_empty() {
                // Nothing was added meanwhile: the buffer keeps its room.
                self.world.ready = ready;
                self.interrupt();
            }
            if self.world.ready.is_empty() && self.world.pokes.is_empty() && self.world.removed.is_empty() {
                return;
            }
        }
    }

    /// Takes off who was killed.
    fn interrupt(&mut self) {
        let pokes = std::mem::take(&mut self.world.pokes).into_iter().chain(std::mem::take(&mut self.world.removed));
        for task in pokes.collect::<Vec<_>>() {
            let left = self.policy.left().find(|(other, _)| *other == task);
            if let Some((_, left)) = left {
                note_progress(&mut self.world, task, left);
                self.policy.remove(task);
                self.world.end(task);
            }
        }
    }
}

/// The task has so much left of its burst.
fn note_progress(world: &mut World, task: TaskId, left: u64) {
    let hot = &mut world.tasks.hot[task as usize];
    hot.cpu += hot.remaining.saturating_sub(left);
    hot.remaining = hot.remaining.min(left);
}
