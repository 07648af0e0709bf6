//! What happens at fixed times or beside the usual: boosts, siblings that change speed, stealing.

use super::cores::{Core, Cores, Setup, context};
use super::placement::Thieves;
use super::tasks::NONE;
use crate::policy::{Context, Policy, Why};
use crate::record::Sink;
use crate::time::NEVER;

impl<P: Policy, S: Sink> Cores<P, S> {
    /// Lifts all tasks (mlfq): those that run go to the front of their levels first.
    pub(super) fn boost(&mut self) {
        // From the last core on, as each goes before the others: so those of one level come back to the cores they had.
        for core in (0..self.cores.len()).rev() {
            let thread = self.cores[core].thread;
            if thread != NONE {
                self.account(core);
                self.vacate(core);
                self.put_back(core, thread, Why::Preempted);
            }
        }
        self.world.events += 1;
        for queue in 0..self.queues.len() {
            self.queues[queue].boost(context!(self));
        }
        self.next_boost = self.setup.boost_every.map_or(NEVER, |every| self.next_boost.saturating_add(every));
    }

    /// A worker goes on with another task, which has another working set, and may be of another kind.
    pub(super) fn mounted(&mut self, core: usize) {
        if let Some(caches) = &mut self.setup.caches {
            caches.enter(core, self.cores[core].shown);
        }
        if self.setup.siblings.is_some() {
            self.siblings_changed(core);
        }
    }

    pub(super) fn siblings_changed(&mut self, core: usize) {
        let Some(siblings) = &self.setup.siblings else { return };
        for other in siblings.group(core) {
            if self.cores[other].thread != NONE {
                self.account(other);
            }
        }
        let Some(siblings) = &mut self.setup.siblings else { return };
        let kind = |core: &Core| (core.thread != NONE).then(|| self.world.tasks.traits[core.shown as usize].kind);
        siblings.update(core, |core| kind(&self.cores[core]));
        for other in siblings.group(core) {
            if other != core && self.cores[other].thread != NONE && !self.cores[other].starting {
                self.set_timer(other);
            }
        }
    }

    pub(super) fn steals_when_idle(&self) -> bool {
        self.setup.thieves.as_ref().is_some_and(Thieves::whenever_idle)
    }

    /// The time for stealing has come: every core with an empty queue tries, from core 0 on whatever the order of dispatching.
    pub(super) fn steal_round(&mut self) {
        let now = self.world.now;
        for core in 0..self.cores.len() {
            if self.queues[core].is_empty() {
                self.steal_for(core);
            }
        }
        self.world.events += 1;
        if let Some(thieves) = &mut self.setup.thieves {
            thieves.wait_for_next(now);
        }
    }

    /// One core tries to take work from another. At a round it asks once, and whenever it is idle until somebody has a task that it may take.
    pub(super) fn steal_for(&mut self, core: usize) -> bool {
        let Setup { thieves: Some(thieves), .. } = &mut self.setup else { return false };
        thieves.refused.clear();
        loop {
            let Setup { thieves: Some(thieves), .. } = &mut self.setup else { return false };
            let queues = &self.queues;
            let Some(victim) = thieves.choose(core, queues.len(), |core| queues[core].len()) else { return false };
            if self.steal_from(victim, core) {
                return true;
            }
            let Setup { thieves: Some(thieves), .. } = &mut self.setup else { return false };
            if !thieves.whenever_idle() {
                return false;
            }
            thieves.refused.push(victim);
        }
    }

    fn steal_from(&mut self, victim: usize, core: usize) -> bool {
        if P::CHARGES {
            // A round comes in the middle of slices: both queues shall know what those who run have had.
            for core in [victim, core] {
                if self.cores[core].thread != NONE {
                    self.account(core);
                }
            }
        }
        let Setup { thieves: Some(thieves), placer, .. } = &mut self.setup else { return false };
        let queues = &mut self.queues;
        let context = context!(self);
        let mut stolen = false;
        for _ in 0..thieves.amount(queues[victim].len()) {
            let taken = queues[victim].steal(context, |task| thieves.may_take(task, core, context.tasks));
            let Some(task) = taken else { break };
            queues[victim].leave(task, true, context);
            if let Ok([from, to]) = queues.get_disjoint_mut([victim, core]) {
                to.take_over(task, from);
            }
            queues[core].enqueue(task, Why::Moved, context);
            placer.moved(task, core);
            if P::PREEMPTIVE {
                // At a round the thief may be busy with somebody less entitled.
                self.fresh.push_back(task);
            }
            stolen = true;
        }
        self.barren[core] &= !stolen;
        stolen
    }
}
