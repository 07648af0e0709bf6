//! What is wrong with a scenario, where, and what would be right.
//!
//! Everything is looked at before anything runs, and all that is wrong is said at once (up to [`MOST`] problems).

mod programs;

use std::collections::HashMap;
use std::fmt;

use crate::scenario::{CoreOrder, Cost, CostShape, Distribution, PolicyKind, Queues, RuntimeKind, Scenario, Task};
use crate::time::LATEST;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, if the scenario came from one.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The key, as a path: `tasks[2].program[0].cpu`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.what)?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, "; {}", self.fix) }
    }
}

/// All that is wrong with a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Problems {
    pub(crate) fn one(key: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self(vec![Problem { file: None, line: None, key: key.into(), what: what.into(), fix: fix.into() }])
    }
}

/// At most so many problems are listed.
pub const MOST: usize = 20;

/// The most cores there can be.
pub const MOST_CORES: u32 = 4096;

/// Looks a scenario over.
///
/// # Errors
///
/// All that is wrong with it.
pub fn check(scenario: &Scenario) -> Result<(), Problems> {
    let mut checker = Checker { scenario, problems: Vec::new(), largest: 0.0, tasks: HashMap::new() };
    checker.machine();
    checker.policy();
    checker.work();
    checker.tasks();
    checker.runtime();
    checker.programs();
    checker.magnitude();
    if checker.problems.is_empty() { Ok(()) } else { Err(Problems(checker.problems)) }
}

struct Checker<'a> {
    scenario: &'a Scenario,
    problems: Vec<Problem>,
    /// The largest time seen.
    largest: f64,
    tasks: HashMap<u32, &'a Task>,
}

impl<'a> Checker<'a> {
    fn problem(&mut self, key: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) {
        if self.problems.len() < MOST {
            self.problems.extend(Problems::one(key, what, fix).0);
        }
    }

    /// A time that may be 0.
    fn time(&mut self, key: &str, time: f64) {
        if !time.is_finite() || time < 0.0 {
            self.problem(key, format!("{time} is no time"), "give a number that is not negative");
        } else {
            self.largest = self.largest.max(time);
        }
    }

    /// A time that has to pass.
    fn positive(&mut self, key: &str, time: f64) {
        if time == 0.0 {
            self.problem(key, "0 would never get on", "give a number above 0");
        } else {
            self.time(key, time);
        }
    }

    fn machine(&mut self) {
        let machine = &self.scenario.machine;
        let cores = machine.cores;
        if cores == 0 || cores > MOST_CORES {
            self.problem("machine.cores", format!("{cores} cores"), format!("give 1 to {MOST_CORES}"));
        }
        if let Some(smt) = &machine.smt {
            if smt.threads_per_core == 0 || !cores.is_multiple_of(smt.threads_per_core) {
                let what = format!("{cores} cores are not made of groups of {}", smt.threads_per_core);
                self.problem(
                    "machine.smt.threads_per_core",
                    what,
                    "machine.cores counts siblings, too: give a divisor of it",
                );
            }
            for (key, factor) in [("factor_same_kind", smt.factor_same_kind), ("factor_mixed", smt.factor_mixed)] {
                if !(factor > 0.0 && factor <= 1.0) {
                    self.problem(
                        format!("machine.smt.{key}"),
                        format!("{factor} is no speed"),
                        "give a number above 0, up to 1",
                    );
                }
            }
        }
        for (number, group) in machine.llc_groups.iter().flatten().enumerate() {
            if let Some(core) = group.iter().find(|core| **core >= cores) {
                self.problem(
                    format!("machine.llc_groups[{number}]"),
                    format!("there is no core {core}"),
                    "cores count from 0",
                );
            }
        }
        if let Some(cache) = &machine.cache {
            self.time("machine.cache.warmup", cache.warmup);
            self.time("machine.cache.capacity", cache.capacity);
            for (key, rate) in [("cold_rate", cache.cold_rate), ("warm_rate", cache.warm_rate)] {
                if !(rate > 0.0 && rate <= 1e6) {
                    self.problem(format!("machine.cache.{key}"), format!("{rate} is no rate"), "give a number above 0");
                }
            }
            if machine.smt.is_some() {
                self.problem("machine.cache", "cache and smt together are not modelled", "leave one of them out");
            }
        }
        self.costs();
    }

    fn costs(&mut self) {
        let costs = &self.scenario.costs;
        let named = [
            ("context_switch", &costs.context_switch),
            ("migration", &costs.migration),
            ("mode_switch", &costs.mode_switch),
            ("wakeup_same_core", &costs.wakeup_same_core),
            ("wakeup_cross_core", &costs.wakeup_cross_core),
            ("thread_create", &costs.thread_create),
            ("thread_join", &costs.thread_join),
            ("process_create", &costs.process_create),
            ("task_create", &costs.task_create),
            ("task_switch", &costs.task_switch),
            ("tick_interrupt", &costs.tick_interrupt),
            ("lock_uncontended", &costs.lock_uncontended),
            ("gil_handoff", &costs.gil_handoff),
        ];
        for (name, cost) in named {
            let key = format!("costs.{name}");
            match cost {
                Cost::Fixed(cost) => self.time(&key, *cost),
                Cost::Random(CostShape::Lognormal { p50, p99 }) => {
                    if *p50 > 0.0 && p99 >= p50 && p99.is_finite() && *p99 <= 1e3 * p50 {
                        self.largest = self.largest.max(*p99);
                    } else {
                        let what = format!("no lognormal distribution has p50 {p50} and p99 {p99}");
                        self.problem(&key, what, "give 0 < p50 <= p99 <= 1000 x p50");
                    }
                }
            }
        }
    }

    fn policy(&mut self) {
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
        let stealing = policy.kind == PolicyKind::WorkStealing;
        if policy.steal.is_some() && policy.queues != Some(Queues::PerCore) && !stealing {
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

    fn draws(&self) -> impl Iterator<Item = &'a crate::scenario::Draw> + use<'a> {
        match &self.scenario.randomness {
            crate::scenario::Randomness::Draws { draws } => draws.iter(),
            crate::scenario::Randomness::Seed => [].iter(),
        }
    }

    /// Where tasks come from.
    fn work(&mut self) {
        let scenario = self.scenario;
        let kinds = [!scenario.tasks.is_empty(), scenario.generator.is_some(), scenario.closed.is_some()];
        match kinds.iter().filter(|kind| **kind).count() {
            0 => self.problem("tasks", "there is nothing to run", "give tasks, a generator, or a closed system"),
            1 => {}
            _ => self.problem("tasks", "tasks, generator and closed do not mix", "give one of the three"),
        }
        if let Some(generator) = &scenario.generator {
            let (crate::scenario::Arrivals::Poisson { rate } | crate::scenario::Arrivals::Periodic { rate }) =
                generator.arrivals;
            if rate > 0.0 && rate.is_finite() {
                self.largest = self.largest.max(generator.count as f64 / rate);
            } else {
                self.problem(
                    "generator.arrivals.rate",
                    format!("{rate} is no rate"),
                    "give arrivals per unit of time, above 0",
                );
            }
            self.distribution("generator.service", &generator.service);
            if generator.count > u64::from(u32::MAX) {
                self.problem(
                    "generator.count",
                    "more than 2^32 arrivals",
                    "run several seeds instead: `sched-sim sweep`",
                );
            }
        }
        if let Some(closed) = &scenario.closed {
            self.distribution("closed.cpu", &closed.cpu);
            self.distribution("closed.io", &closed.io);
            if closed.population == 0 || u64::from(closed.population) > scenario.limits.tasks {
                self.problem(
                    "closed.population",
                    format!("{} tasks", closed.population),
                    "give at least 1, at most limits.tasks",
                );
            }
            if scenario.runtime.kind != RuntimeKind::Native {
                self.problem("runtime.kind", "a closed system has no runtime", "use \"native\"");
            }
            if closed.cpu.mean() + closed.io.mean() == 0.0 && scenario.until.is_some() {
                self.problem("closed", "rounds take no time", "give cpu or io a mean above 0");
            }
        }
        let sum: f64 = scenario.classes.iter().map(|class| class.p).sum();
        let are_chances = (sum - 1.0).abs() < 1e-6 && scenario.classes.iter().all(|class| class.p >= 0.0);
        if !scenario.classes.is_empty() && !are_chances {
            self.problem("classes", format!("the chances add up to {sum}"), "chances are not negative and add up to 1");
        }
        if scenario.classes.len() > 256 {
            self.problem("classes", "more than 256 classes", "give fewer");
        }
        if let Some(until) = scenario.until {
            self.time("until", until);
        }
    }

    fn distribution(&mut self, key: &str, shape: &Distribution) {
        let chances = |ps: &mut dyn Iterator<Item = f64>| {
            let list: Vec<f64> = ps.collect();
            (list.iter().sum::<f64>() - 1.0).abs() < 1e-6 && list.iter().all(|p| *p >= 0.0)
        };
        match shape {
            Distribution::Exp { mean } => self.time(&format!("{key}.mean"), *mean),
            Distribution::Det { value } => self.time(&format!("{key}.value"), *value),
            Distribution::Uniform { lo, hi } => {
                self.time(&format!("{key}.lo"), *lo);
                self.time(&format!("{key}.hi"), *hi);
                if lo > hi {
                    self.problem(key, format!("{lo} .. {hi} is no interval"), "give lo <= hi");
                }
            }
            Distribution::Erlang { k, mean } => {
                self.time(&format!("{key}.mean"), *mean);
                if *k == 0 || *k > 10_000 {
                    self.problem(format!("{key}.k"), format!("{k} stages"), "give 1 to 10000");
                }
            }
            Distribution::Hyperexp { parts } => {
                for part in parts {
                    self.time(&format!("{key}.parts"), part.mean);
                }
                if !chances(&mut parts.iter().map(|part| part.p)) {
                    self.problem(format!("{key}.parts"), "the chances do not add up to 1", "let them");
                }
            }
            Distribution::Mixture { parts } => {
                for part in parts {
                    self.time(&format!("{key}.parts"), part.value);
                }
                if !chances(&mut parts.iter().map(|part| part.p)) {
                    self.problem(format!("{key}.parts"), "the chances do not add up to 1", "let them");
                }
            }
            Distribution::Pareto { shape, scale, max } => {
                self.time(&format!("{key}.scale"), *scale);
                if !(*shape > 0.0 && shape.is_finite()) {
                    self.problem(format!("{key}.shape"), format!("{shape} is no exponent"), "give a number above 0");
                }
                if let Some(max) = max {
                    self.time(&format!("{key}.max"), *max);
                }
            }
        }
    }

    fn tasks(&mut self) {
        let scenario = self.scenario;
        let mut total = 0_u64;
        let mut sets = std::collections::HashSet::new();
        let mut kinds = std::collections::HashSet::new();
        for (number, task) in scenario.tasks.iter().enumerate() {
            let key = format!("tasks[{number}]");
            total += u64::from(task.count);
            if total > scenario.limits.tasks {
                self.problem(format!("{key}.count"), format!("{total} tasks"), "raise limits.tasks, or give fewer");
                return;
            }
            if task.id.checked_add(task.count).is_none() {
                self.problem(format!("{key}.id"), "ids beyond 2^32", "give smaller ids");
                continue;
            }
            for id in task.id..task.id + task.count {
                if self.tasks.insert(id, task).is_some() {
                    self.problem(
                        format!("{key}.id"),
                        format!("there is a task {id} already"),
                        "give each task an id of its own",
                    );
                    break;
                }
            }
            self.time(&format!("{key}.arrival"), task.arrival);
            if task.count == 0 {
                self.problem(format!("{key}.count"), "no task at all", "give at least 1");
            }
            if let Some(period) = task.period {
                self.positive(&format!("{key}.period"), period);
                if scenario.until.is_none() {
                    self.problem("until", "a periodic task never ends", "say when the run ends: until = 1000");
                }
                if matches!(
                    scenario.runtime.kind,
                    RuntimeKind::EventLoop | RuntimeKind::ThreadPool | RuntimeKind::ProcessPool | RuntimeKind::MN
                ) || task.spawned
                {
                    self.problem(
                        format!("{key}.period"),
                        "only threads that come by themselves are periodic",
                        "leave it out",
                    );
                }
            }
            if let Some(deadline) = task.deadline {
                self.time(&format!("{key}.deadline"), deadline);
            }
            if !(-20..=19).contains(&task.nice) {
                self.problem(format!("{key}.nice"), format!("{} is no nice level", task.nice), "give -20 to 19");
            }
            if !task.working_set.is_finite() || task.working_set < 0.0 {
                self.problem(format!("{key}.working_set"), "no size", "give a number that is not negative");
            }
            if let Some(cores) = &task.affinity {
                sets.insert(cores);
                if cores.is_empty() {
                    self.problem(format!("{key}.affinity"), "it may run nowhere", "name a core, or leave it out");
                }
                if let Some(core) = cores.iter().find(|core| **core >= scenario.machine.cores) {
                    let last = scenario.machine.cores.saturating_sub(1);
                    self.problem(
                        format!("{key}.affinity"),
                        format!("there is no core {core}"),
                        format!("cores are 0 to {last}"),
                    );
                }
            }
            kinds.extend(&task.kind);
        }
        if sets.len() >= usize::from(u16::MAX) || kinds.len() >= usize::from(u16::MAX) {
            self.problem("tasks", "more than 65000 different affinities or kinds", "use fewer");
        }
    }

    fn runtime(&mut self) {
        let runtime = &self.scenario.runtime;
        if runtime.workers.is_some_and(|workers| workers == 0 || u64::from(workers) > self.scenario.limits.tasks) {
            self.problem("runtime.workers", "no number of workers", "give at least 1, at most limits.tasks");
        }
        if let Some(interval) = runtime.gil3.switch_interval {
            self.positive("runtime.gil3.switch_interval", interval);
        }
        let gil2 = &runtime.gil2;
        if gil2.check_interval_ticks == 0 || !(gil2.ns_per_tick > 0.0 && gil2.ns_per_tick < 1e9) {
            self.problem("runtime.gil2", "a check interval of no time", "give both numbers above 0");
        }
        for (number, group) in runtime.processes.iter().flatten().enumerate() {
            if let Some(task) = group.iter().find(|task| !self.tasks.contains_key(task)) {
                let key = format!("runtime.processes[{number}]");
                self.problem(key, format!("there is no task {task}"), "name ids of tasks");
            }
        }
    }

    /// Sums of times must not overflow: all that can be said beforehand is that single ones are far from it.
    fn magnitude(&mut self) {
        let scale = crate::engine::scale_of(self.scenario);
        let most = LATEST as f64 / scale.per_unit() as f64;
        if self.largest > most {
            let what = format!("a time of {} does not fit: {most:e} is the most in this unit", self.largest);
            self.problem("time_unit", what, "use a coarser unit, or smaller times");
        }
    }
}
