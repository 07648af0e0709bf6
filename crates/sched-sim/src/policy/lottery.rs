//! Lottery: each slice is drawn among the tickets of all ready tasks (Waldspurger and Weihl 1994).
//!
//! Shares follow the tickets, on average: the spread of a draw is its price, and [`super::stride`] has none. The winner is the first
//! task, in the order of the scenario, at which the running sum of tickets exceeds the draw modulo all tickets in the game.
//! With `randomness.mode = "draws"` the draws are the scenario's; `charge_full_quantum` keeps the core for a whole quantum.

use super::{Context, Draws, Options, Policy, TaskId, Tick, Why};
use crate::random::Random;
use crate::scenario::{Draw, Randomness};

/// Tickets of ready tasks.
#[derive(Debug)]
pub struct Lottery {
    tickets: Sums,
    ready: usize,
    quantum: u64,
    full: bool,
    random: Random,
    /// The scenario's draws, if it has any.
    given: Option<std::vec::IntoIter<u64>>,
    record: Option<Draws>,
    most: usize,
    is_exhausted: bool,
}

impl Policy for Lottery {
    const BYTES_PER_TASK: usize = size_of::<u64>() + size_of::<Option<u64>>();

    fn new(options: &Options<'_>) -> Self {
        let scenario = options.scenario;
        let given = match &scenario.randomness {
            Randomness::Seed => None,
            Randomness::Draws { draws } => {
                let number = |draw: &Draw| if let Draw::Number(number) = draw { Some(*number) } else { None };
                Some(draws.iter().filter_map(number).collect::<Vec<_>>().into_iter())
            }
        };
        Self {
            tickets: Sums::default(),
            ready: 0,
            quantum: scenario.policy.quantum.map_or(u64::MAX, |quantum| options.ticks(quantum).max(1)),
            full: scenario.policy.charge_full_quantum,
            random: options.random.clone(),
            given,
            record: (!scenario.tasks.is_empty()).then(Draws::default),
            most: scenario.limits.recorded as usize,
            is_exhausted: false,
        }
    }

    fn enqueue(&mut self, task: TaskId, _: Why, context: &Context<'_>) {
        self.tickets.resize(context.tasks.room());
        self.tickets.add(task, context.tasks.tickets(task).into());
        self.ready += 1;
    }

    fn pick(&mut self, context: &Context<'_>, mut allowed: impl FnMut(TaskId) -> bool) -> Option<TaskId> {
        if self.ready == 0 {
            return None;
        }
        let live = self.tickets.total();
        let draw = match &mut self.given {
            None => self.random.below(live.max(1)),
            Some(given) => {
                let Some(draw) = given.next() else {
                    self.is_exhausted = true;
                    return None;
                };
                draw
            }
        };
        let mut winner = self.tickets.find(draw % live.max(1));
        if !allowed(winner) {
            // The same draw among those that may run there.
            let tickets = |task: TaskId| u64::from(context.tasks.tickets(task));
            let all: u64 = self.tickets.holders().filter(|task| allowed(*task)).map(tickets).sum();
            let mut at = draw % all.max(1);
            let winner_there = self.tickets.holders().filter(|task| allowed(*task)).find(|task| {
                let found = at < tickets(*task);
                at = at.saturating_sub(tickets(*task));
                found
            });
            // Without a ticket among them the first goes, rather than none.
            let winner_there = winner_there.or_else(|| self.tickets.holders().find(|task| allowed(*task)));
            winner = winner_there?;
        }
        if let Some(record) = &mut self.record {
            if record.winners.len() < self.most {
                record.winners.push(winner);
                record.live_tickets.push(live);
                record.times.push(context.now);
            } else {
                record.truncated = true;
            }
        }
        self.remove(winner);
        Some(winner)
    }

    fn len(&self) -> usize {
        self.ready
    }

    fn slice(&mut self, _: TaskId, _: &Context<'_>) -> u64 {
        self.quantum
    }

    fn keeps_core(&self) -> bool {
        self.full
    }

    fn tick(&mut self, _: TaskId, _: &Context<'_>) -> Tick {
        Tick::Leave
    }

    fn remove(&mut self, task: TaskId) -> bool {
        let found = self.tickets.clear(task);
        self.ready -= usize::from(found);
        found
    }

    fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    fn draws(&mut self) -> Option<Draws> {
        self.record.take()
    }
}

/// Sums of tickets over ranges of tasks (Fenwick 1994): drawing and changing take log2(tasks) steps.
#[derive(Debug, Default)]
struct Sums {
    /// Node i (from 1) is the sum of the `i & -i` tasks up to i.
    nodes: Vec<u64>,
    /// Each task's tickets; `None` if it is not here.
    tickets: Vec<Option<u64>>,
}

impl Sums {
    fn resize(&mut self, tasks: usize) {
        let tasks = tasks.next_power_of_two();
        if self.tickets.len() >= tasks {
            return;
        }
        self.tickets.resize(tasks, None);
        self.nodes = vec![0; tasks + 1];
        for node in 1..=tasks {
            self.nodes[node] += self.tickets[node - 1].unwrap_or(0);
            let parent = node + (node & node.wrapping_neg());
            if parent <= tasks {
                self.nodes[parent] += self.nodes[node];
            }
        }
    }

    fn total(&self) -> u64 {
        self.nodes.last().copied().unwrap_or(0)
    }

    fn add(&mut self, task: TaskId, tickets: u64) {
        self.tickets[task as usize] = Some(tickets);
        self.change(task, |sum| sum + tickets);
    }

    fn clear(&mut self, task: TaskId) -> bool {
        let Some(tickets) = self.tickets.get_mut(task as usize).and_then(Option::take) else { return false };
        self.change(task, |sum| sum - tickets);
        true
    }

    fn change(&mut self, task: TaskId, how: impl Fn(u64) -> u64) {
        let mut node = task as usize + 1;
        while node < self.nodes.len() {
            self.nodes[node] = how(self.nodes[node]);
            node += node & node.wrapping_neg();
        }
    }

    /// The first task at which the running sum exceeds `at`; the first holder if nobody has tickets.
    fn find(&self, mut at: u64) -> TaskId {
        if self.total() == 0 {
            return self.holders().next().unwrap_or(0);
        }
        let (mut node, mut step) = (0, self.tickets.len());
        while step > 0 {
            if let Some(sum) = self.nodes.get(node + step).filter(|sum| **sum <= at) {
                at -= sum;
                node += step;
            }
            step /= 2;
        }
        node as TaskId
    }

    fn holders(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tickets.iter().enumerate().filter(|(_, tickets)| tickets.is_some()).map(|(task, _)| task as TaskId)
    }
}
