//! What is wrong with the policy section.

use super::Checker;
use crate::scenario::{CoreOrder, Cost, PolicyKind, Queues, RuntimeKind};

impl<'a> Checker<'a> {
    pub(super) fn policy(&mut self) {
        let policy = &self.scenario.policy;
        for (key, time) in
            [("quantum", policy.quantum), ("base_slice", policy.base_slice), ("tick", policy.tick.flatten())]
        {
            if let Some(time) = time {
                self.positive(&format!("policy.{key}"), time);
            }
        }
        if let Some(every) = policy.boost_every {
            self.time("policy.boost_every", every);
        }
        if let Some(every) = policy.steal.as_ref().and_then(|steal| steal.every) {
            self.time("policy.steal.every", every);
        }
        if policy.kind == PolicyKind::Rr && policy.quantum.is_none() {
            self.problem("policy.quantum", "round robin has no quantum", "give one: quantum = 4000000");
        }
        if policy.kind == PolicyKind::Lottery && policy.quantum.is_none() {
            self.problem("policy.quantum", "a lottery without quantum would draw once", "give one: quantum = 10");
        }
        let is_number = |draw: &crate::scenario::Draw| matches!(draw, crate::scenario::Draw::Number(_));
        if policy.kind == PolicyKind::Lottery && policy.queues() == Queues::PerCore && self.draws().any(is_number) {
            let what = "one list of draws, and a lottery for each core";
            self.problem("randomness.draws", what, "set queues = \"shared\", or leave the numbers out");
        }
        self.interrupts();
        if policy.kind == PolicyKind::Mlfq && policy.levels.is_empty() {
            self.problem(
                "policy.levels",
                "mlfq without levels",
                "give at least one: levels = [{ quantum = 10, allotment = 1 }]",
            );
        }
        for (number, level) in policy.levels.iter().enumerate() {
            self.positive(&format!("policy.levels[{number}].quantum"), level.quantum);
            if level.allotment == 0 {
                self.problem(format!("policy.levels[{number}].allotment"), "no quantum at all", "give at least 1");
            }
        }
        if let Some(tie) = policy.tie.as_ref().filter(|tie| *tie != "arrival-then-id") {
            self.problem("policy.tie", format!("unknown rule {tie:?}"), "the only one is \"arrival-then-id\"");
        }
        let winner = "draw mod live_tickets, first task whose cumulative live tickets exceed it";
        if let Some(other) = policy.winner.as_ref().filter(|other| *other != winner) {
            self.problem("policy.winner", format!("unknown rule {other:?}"), format!("the only one is {winner:?}"));
        }
        if let Some(other) = policy.nice_to_weight.as_ref().filter(|other| *other != "linux") {
            self.problem("policy.nice_to_weight", format!("unknown table {other:?}"), "the only one is \"linux\"");
        }
        if policy.steal.is_some() && policy.queues() != Queues::PerCore {
            self.problem(
                "policy.steal",
                "with one queue for all there is nobody to steal from",
                "set queues = \"per-core\"",
            );
        }
        if policy.core_order == CoreOrder::Shuffled {
            for (number, draw) in self.draws().enumerate() {
                let crate::scenario::Draw::Op(crate::scenario::DrawOp::Shuffle { order }) = draw else { continue };
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if !sorted.into_iter().eq(0..self.scenario.machine.cores) {
                    let key = format!("randomness.draws[{number}].order");
                    self.problem(key, "not every core once", "give each core number exactly once");
                }
            }
        }
        if matches!(policy.kind, PolicyKind::Ps | PolicyKind::Las) {
            if self.scenario.runtime.kind != RuntimeKind::Native
                && self.scenario.runtime.kind != RuntimeKind::FreeThreaded
            {
                self.problem("runtime.kind", "ps and las share cores among tasks without threads", "use \"native\"");
            }
            if self.scenario.machine.smt.is_some() || self.scenario.machine.cache.is_some() {
                self.problem("machine", "ps and las know no single cores", "leave smt and cache out");
            }
        }
    }

    /// An interrupt at each end of a slice must leave something of it.
    fn interrupts(&mut self) {
        let (policy, unit) = (&self.scenario.policy, self.scenario.time_unit);
        let Cost::Fixed(interrupt) = self.scenario.costs.tick_interrupt else { return };
        let milliseconds = |time| crate::engine::milliseconds(unit, time);
        let (key, slice) = match policy.kind {
            PolicyKind::Rr | PolicyKind::Lottery | PolicyKind::Stride | PolicyKind::WorkStealing => {
                ("quantum", policy.quantum)
            }
            // From the levels above tasks sink to the last.
            PolicyKind::Mlfq => ("levels", policy.levels.last().map(|level| level.quantum)),
            PolicyKind::Cfs | PolicyKind::Eevdf => match policy.tick {
                None => ("tick", Some(milliseconds(4.0))),
                Some(Some(tick)) => ("tick", Some(tick)),
                Some(None) => {
                    let own = if policy.kind == PolicyKind::Cfs { 0.75 } else { 1.4 };
                    ("base_slice", Some(policy.base_slice.unwrap_or_else(|| milliseconds(own))))
                }
            },
            _ => return,
        };
        if let Some(slice) = slice.filter(|slice| interrupt > 0.0 && interrupt >= *slice) {
            let what = format!("{interrupt} after each {slice} would leave no time to get on");
            self.problem("costs.tick_interrupt", what, format!("give less than policy.{key}"));
        }
    }

    fn draws(&self) -> impl Iterator<Item = &'a crate::scenario::Draw> + use<'a> {
        match &self.scenario.randomness {
            crate::scenario::Randomness::Draws { draws } => draws.iter(),
            crate::scenario::Randomness::Seed => [].iter(),
        }
    }
}
