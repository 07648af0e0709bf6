//! Which queue a thread joins, in which order cores are served, and who steals from whom.

use std::collections::VecDeque;

use super::tasks::{NO_CORE, TaskId, Tasks};
use crate::policy::Why;
use crate::random::{Random, Stream, mix};
use crate::scenario::{
    CoreOrder, Draw, DrawOp, Pinned, Placement, Queues, Randomness, Scenario, Steal, StealFrom, StealTake,
};
use crate::time::{NEVER, TimeScale};

/// Which queue a thread joins, and in which order cores are served.
#[derive(Debug)]
pub(crate) struct Placer {
    shared: bool,
    cores: usize,
    placement: Placement,
    /// How many threads each core was given.
    given: Vec<u64>,
    /// Each thread's queue, with one queue per core.
    homes: Vec<u16>,
    order: Order,
    /// The order of cores changes after so many sub-ticks.
    unit: u64,
}

#[derive(Debug)]
enum Order {
    Ascending,
    /// One for each unit of time; ascending when they are used up.
    Given(Vec<Vec<u32>>),
    Random(u64),
}

impl Placer {
    pub(crate) fn new(scenario: &Scenario, queues: Queues, scale: TimeScale) -> Self {
        let order = match (scenario.policy.core_order, &scenario.randomness) {
            (CoreOrder::Ascending, _) => Order::Ascending,
            (CoreOrder::Shuffled, Randomness::Seed) => Order::Random(scenario.seed),
            (CoreOrder::Shuffled, Randomness::Draws { draws }) => {
                let shuffle = |draw: &Draw| match draw {
                    Draw::Op(DrawOp::Shuffle { order }) => Some(order.clone()),
                    _ => None,
                };
                Order::Given(draws.iter().filter_map(shuffle).collect())
            }
        };
        Self {
            shared: queues == Queues::Shared,
            cores: scenario.machine.cores as usize,
            placement: scenario.policy.initial_placement,
            given: vec![0; scenario.machine.cores as usize],
            homes: Vec::new(),
            order,
            unit: scale.per_unit(),
        }
    }

    /// The queue that a core takes from.
    #[inline]
    pub(crate) fn queue(&self, core: usize) -> usize {
        if self.shared { 0 } else { core }
    }

    /// The queue that a thread was put in.
    #[inline]
    pub(crate) fn home(&self, thread: TaskId, tasks: &Tasks) -> usize {
        if self.shared {
            return 0;
        }
        let last = tasks.hot[thread as usize].last_core;
        let home = self.homes.get(thread as usize).copied().unwrap_or(NO_CORE);
        if home == NO_CORE { last.min(self.cores as u16 - 1) as usize } else { home as usize }
    }

    /// The queue for a thread that became ready: a new one's by the placement, others' where they ran last.
    pub(crate) fn place(&mut self, thread: TaskId, why: Why, tasks: &Tasks, load: impl Fn(usize) -> usize) -> usize {
        let last = tasks.hot[thread as usize].last_core;
        let home = if why != Why::Arrived && last != NO_CORE {
            last as usize
        } else {
            let allowed = |core: &usize| tasks.allowed(thread, *core);
            let from = match self.placement {
                Placement::RoundRobin => {
                    (0..self.cores).filter(allowed).min_by_key(|core| self.given[*core]).unwrap_or(0)
                }
                Placement::LeastLoaded => (0..self.cores).filter(allowed).min_by_key(|core| load(*core)).unwrap_or(0),
                Placement::Hash => (mix(u64::from(tasks.traits[thread as usize].id)) % self.cores as u64) as usize,
            };
            let chosen = (from..from + self.cores).map(|core| core % self.cores).find(allowed).unwrap_or(0);
            self.given[chosen] += 1;
            chosen
        };
        self.moved(thread, home);
        home
    }

    /// A thread is in another core's queue now.
    pub(crate) fn moved(&mut self, thread: TaskId, core: usize) {
        if self.homes.len() <= thread as usize {
            self.homes.resize(thread as usize + 1, NO_CORE);
        }
        self.homes[thread as usize] = core as u16;
    }

    /// The order in which cores are served now; `None` is ascending.
    pub(crate) fn order(&self, now: u64) -> Option<Vec<u32>> {
        let unit = now / self.unit;
        match &self.order {
            Order::Ascending => None,
            Order::Given(orders) => orders.get(unit as usize).cloned(),
            Order::Random(seed) => {
                let mut random = Random::new(seed ^ mix(unit), Stream::CoreOrder);
                let mut order: Vec<u32> = (0..self.cores as u32).collect();
                for last in (1..order.len()).rev() {
                    order.swap(last, random.below(last as u64 + 1) as usize);
                }
                Some(order)
            }
        }
    }
}

/// Who steals from whom, when, and how much.
#[derive(Debug)]
pub(crate) struct Thieves {
    every: Option<u64>,
    next: u64,
    from: StealFrom,
    take: StealTake,
    pinned: Pinned,
    random: Random,
    /// The scenario's choices, if it has any.
    given: Option<VecDeque<u32>>,
    /// Whom one core has asked in vain.
    pub(super) refused: Vec<usize>,
}

impl Thieves {
    pub(crate) fn new(steal: &Steal, scenario: &Scenario, scale: TimeScale) -> Self {
        let every = steal.every.map(|every| scale.ticks(every)).filter(|every| *every > 0);
        let given = match &scenario.randomness {
            Randomness::Seed => None,
            Randomness::Draws { draws } => {
                let choice = |draw: &Draw| match draw {
                    Draw::Op(DrawOp::Choice { index, .. }) => Some(*index),
                    _ => None,
                };
                Some(draws.iter().filter_map(choice).collect())
            }
        };
        Self {
            every,
            next: every.unwrap_or(NEVER),
            from: steal.from,
            take: steal.take,
            pinned: steal.pinned,
            random: Random::new(scenario.seed, Stream::Policy),
            given,
            refused: Vec::new(),
        }
    }

    /// When all try next; [`NEVER`] if each tries whenever it is idle.
    pub(crate) fn next_time(&self) -> u64 {
        self.next
    }

    pub(crate) fn whenever_idle(&self) -> bool {
        self.every.is_none()
    }

    pub(crate) fn wait_for_next(&mut self, now: u64) {
        self.next = self.every.map_or(NEVER, |every| now.saturating_add(every));
    }

    /// Whom a core asks.
    pub(crate) fn choose(&mut self, thief: usize, cores: usize, length: impl Fn(usize) -> usize) -> Option<usize> {
        if cores < 2 {
            return None;
        }
        let has_work = |core: usize| core != thief && length(core) > 0 && !self.refused.contains(&core);
        match self.from {
            StealFrom::RandomOther => {
                let index = match &mut self.given {
                    Some(given) => given.pop_front()? as usize % (cores - 1),
                    None if self.every.is_some() => self.random.below(cores as u64 - 1) as usize,
                    None => {
                        // Asking again and again until somebody has work: the same as asking among those who have.
                        let mut rich = (0..cores).filter(|core| has_work(*core));
                        let count = rich.clone().count();
                        return (count > 0)
                            .then(|| self.random.below(count as u64))
                            .and_then(|nth| rich.nth(nth as usize));
                    }
                };
                Some(index + usize::from(index >= thief))
            }
            StealFrom::Busiest => {
                (0..cores).filter(|core| has_work(*core)).max_by_key(|core| (length(*core), std::cmp::Reverse(*core)))
            }
        }
    }

    /// How many tasks of a queue a thief takes.
    pub(crate) fn amount(&self, length: usize) -> usize {
        match self.take {
            StealTake::FirstAllowed => 1,
            StealTake::Half => length.div_ceil(2),
        }
    }

    pub(crate) fn may_take(&self, task: TaskId, core: usize, tasks: &Tasks) -> bool {
        let pinned = tasks.traits[task as usize].affinity != 0;
        tasks.allowed(task, core) && (!pinned || self.pinned == Pinned::IfAllowed)
    }
}
