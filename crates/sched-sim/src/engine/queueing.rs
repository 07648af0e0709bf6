//! Into the run queues: threads that became ready, were put back, or have to leave because somebody asked or killed them.

use super::cores::{Cores, context};
use super::tasks::{GONE, KILLED, NONE, State, TaskId};
use crate::policy::{Context, Policy, Why};
use crate::record::{Event, Sink};

impl<P: Policy, S: Sink> Cores<P, S> {
    /// A thread that had a core goes into a queue.
    pub(super) fn put_back(&mut self, core: usize, thread: TaskId, why: Why) {
        self.world.tasks.hot[thread as usize].state = State::Ready;
        let queue = self.setup.placer.queue(core);
        self.ready_count += 1;
        self.is_for_idle_cores(thread, queue);
        self.queues[queue].enqueue(thread, why, context!(self));
        // It may have to leave its core to one who may run only there, and be more entitled to another core than who has that.
        if P::PREEMPTIVE && self.setup.any_affinity {
            self.fresh.push_back(thread);
        }
    }

    /// Puts what became ready into queues, and deals with interruptions.
    #[inline]
    pub(super) fn flush(&mut self) {
        if !self.world.ended_asleep.is_empty() {
            self.forget_ended();
        }
        if !self.world.replaced.is_empty() {
            self.forget_places();
        }
        while !self.world.ready.is_empty() {
            let mut ready = std::mem::take(&mut self.world.ready);
            for (thread, why) in ready.drain(..) {
                self.enqueue(thread, why);
            }
            // Nothing was added meanwhile: the buffer keeps its room.
            if self.world.ready.is_empty() {
                self.world.ready = ready;
            }
        }
        if !self.world.pokes.is_empty() || !self.world.removed.is_empty() {
            self.interrupt();
        }
    }

    /// What is known of a core's last thread by its place shall not be taken for another's.
    fn forget_places(&mut self) {
        while let Some(place) = self.world.replaced.pop() {
            for core in self.cores.iter_mut().filter(|core| core.last == place) {
                core.last = GONE;
            }
            if let Some(caches) = &mut self.setup.caches {
                caches.forget_place(place);
            }
        }
    }

    fn forget_ended(&mut self) {
        while let Some(thread) = self.world.ended_asleep.pop() {
            let home = self.setup.placer.home(thread, &self.world.tasks);
            self.queues[home].end_asleep(thread, context!(self));
        }
    }

    pub(super) fn enqueue(&mut self, thread: TaskId, why: Why) {
        let queue = if self.queues.len() == 1 {
            0
        } else {
            let lengths = |core: usize| self.queues[core].len() + usize::from(self.cores[core].thread != NONE);
            self.setup.placer.place(thread, why, &self.world.tasks, lengths)
        };
        if S::LISTENS && why == Why::Arrived {
            self.sink.event(Event::Arrive, self.world.now, 0, self.world.tasks.traits[thread as usize].id);
        }
        if P::CHARGES && self.queues[queue].needs_present(thread) {
            self.account_all(queue);
        }
        self.ready_count += 1;
        self.is_for_idle_cores(thread, queue);
        self.queues[queue].enqueue(thread, why, context!(self));
        if P::PREEMPTIVE {
            self.fresh.push_back(thread);
        }
    }

    /// A thread joins a queue: idle cores where it may run have something to look for again.
    #[inline]
    fn is_for_idle_cores(&mut self, thread: TaskId, queue: usize) {
        if self.setup.any_affinity {
            self.look_again(thread, queue);
        }
    }

    fn look_again(&mut self, thread: TaskId, queue: usize) {
        for word in 0..self.idle.len() {
            let mut left = self.idle[word];
            while left != 0 {
                let core = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                if self.setup.placer.queue(core) == queue && self.world.tasks.allowed(thread, core) {
                    self.barren[core] = false;
                }
            }
        }
    }

    /// Accounts for all who run and were taken from a queue.
    pub(super) fn account_all(&mut self, queue: usize) {
        for core in 0..self.cores.len() {
            if self.cores[core].thread != NONE && self.setup.placer.queue(core) == queue {
                self.account(core);
            }
        }
    }

    pub(super) fn interrupt(&mut self) {
        for thread in std::mem::take(&mut self.world.removed) {
            if self.queues.iter_mut().any(|queue| queue.remove(thread)) {
                self.ready_count -= 1;
                let home = self.setup.placer.home(thread, &self.world.tasks);
                self.queues[home].leave(thread, true, context!(self));
                self.world.release_gil(thread);
                self.world.end(thread);
            }
        }
        for thread in std::mem::take(&mut self.world.pokes) {
            let Some(core) = self.cores.iter().position(|core| core.thread == thread) else { continue };
            if self.cores[core].starting {
                // As soon as it is there it looks up anyway. Only who is killed does not get that far.
                let shown = self.world.shown(thread);
                if self.world.tasks.hot[shown as usize].flags & KILLED == 0 {
                    continue;
                }
                self.cores[core].starting = false;
            }
            self.account(core);
            self.world.here = core as u16;
            let next = self.world.poked(thread);
            self.settle(core, next);
        }
        self.flush();
    }
}
