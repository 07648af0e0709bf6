//! What is wrong with a scenario, where, and what would be right.
//!
//! Everything is looked at before anything runs, and all that is wrong is said at once (up to [`MOST`] problems).

mod policy;
mod programs;
mod unused;
mod work;

use std::fmt;

use crate::scenario::{Cost, CostShape, PolicyKind, Scenario, Task};
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
            write!(f, "{}: ", shortened(&self.key))?;
        }
        write!(f, "{}", self.what)?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, "; {}", self.fix) }
    }
}

/// A key without its middle, if it is long: it comes from whoever wrote the file.
fn shortened(key: &str) -> std::borrow::Cow<'_, str> {
    let letters = key.chars().count();
    if letters <= 120 {
        return key.into();
    }
    let ends = [key.chars().take(60).collect::<String>(), key.chars().skip(letters - 50).collect()];
    ends.join(" .. ").into()
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
    let mut checker = Checker { scenario, problems: Vec::new(), largest: (0.0, "time_unit".into()), tasks: Vec::new() };
    checker.machine();
    checker.policy();
    checker.work();
    checker.tasks();
    checker.runtime();
    checker.programs();
    checker.unused();
    checker.magnitude();
    if checker.problems.is_empty() { Ok(()) } else { Err(Problems(checker.problems)) }
}

struct Checker<'a> {
    scenario: &'a Scenario,
    problems: Vec<Problem>,
    /// The largest time seen, and where.
    largest: (f64, String),
    /// Tasks by id: the first of each kind.
    tasks: Vec<&'a Task>,
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
            self.note(key, time);
        }
    }

    /// A time that is right by itself: is it the largest?
    fn note(&mut self, key: &str, time: f64) {
        if time > self.largest.0 {
            self.largest = (time, key.into());
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
        if let Some((number, core)) = Self::twice(machine.llc_groups.as_deref()) {
            let what = format!("core {core} is in another group already");
            self.problem(format!("machine.llc_groups[{number}]"), what, "name each core once");
        }
        if let Some(cache) = &machine.cache {
            self.time("machine.cache.warmup", cache.warmup);
            if !cache.capacity.is_finite() || cache.capacity < 0.0 {
                self.problem("machine.cache.capacity", "no size", "give a number that is not negative");
            }
            for (key, rate) in [("cold_rate", cache.cold_rate), ("warm_rate", cache.warm_rate)] {
                if !(rate > 0.0 && rate <= 1e6) {
                    let key = format!("machine.cache.{key}");
                    self.problem(key, format!("{rate} is no rate"), "give a number above 0, up to 1e6");
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
            ("timer_slack", &costs.timer_slack),
            ("thread_create", &costs.thread_create),
            ("thread_join", &costs.thread_join),
            ("process_create", &costs.process_create),
            ("task_create", &costs.task_create),
            ("task_switch", &costs.task_switch),
            ("tick_interrupt", &costs.tick_interrupt),
            ("lock_uncontended", &costs.lock_uncontended),
            ("gil_notice", &costs.gil_notice),
            ("gil_handoff", &costs.gil_handoff),
        ];
        for (name, cost) in named {
            let key = format!("costs.{name}");
            match cost {
                Cost::Fixed(cost) => self.time(&key, *cost),
                Cost::Random(CostShape::Lognormal { p50, p99 }) => {
                    if *p50 > 0.0 && p99 >= p50 && p99.is_finite() && *p99 <= 1e3 * p50 {
                        self.note(&key, *p99);
                    } else {
                        let what = format!("no lognormal distribution has p50 {p50} and p99 {p99}");
                        self.problem(&key, what, "give 0 < p50 <= p99 <= 1000 x p50");
                    }
                }
            }
        }
    }

    /// Each id once.
    fn ids(&mut self) {
        let mut by_id: Vec<(usize, &Task)> = self.scenario.tasks.iter().enumerate().collect();
        by_id.sort_by_key(|(_, task)| task.id);
        for pair in by_id.windows(2) {
            let ((_, before), (number, task)) = (pair[0], pair[1]);
            if u64::from(before.id) + u64::from(before.count) > u64::from(task.id) {
                let what = format!("there is a task {} already", task.id);
                self.problem(format!("tasks[{number}].id"), what, "give each task an id of its own");
            }
        }
        self.tasks = by_id.into_iter().map(|(_, task)| task).collect();
    }

    /// The task with an id.
    fn task(&self, id: u32) -> Option<&'a Task> {
        let after = self.tasks.partition_point(|task| task.id <= id);
        let task = *self.tasks[..after].last()?;
        (id - task.id < task.count).then_some(task)
    }

    fn tasks(&mut self) {
        let scenario = self.scenario;
        let (mut total, mut bytes) = (0_u64, 0_u64);
        let in_queues = crate::policy::bytes_per_task(scenario);
        self.ids();
        let mut sets = std::collections::HashSet::new();
        let mut kinds = std::collections::HashSet::new();
        for (number, task) in scenario.tasks.iter().enumerate() {
            let key = format!("tasks[{number}]");
            total += u64::from(task.count);
            bytes = bytes.saturating_add(u64::from(task.count).saturating_mul(Self::bytes_of(task) + in_queues));
            if bytes > scenario.limits.memory {
                let (what, fix) = if in_queues > Self::bytes_of(task) {
                    let what = format!("{total} tasks in {} queues", scenario.machine.cores);
                    (what, "raise limits.memory, or give fewer tasks, or one queue for all: queues = \"shared\"")
                } else {
                    let what = format!("{total} tasks with the counters of their loops");
                    (what, "raise limits.memory, or give fewer tasks or loops")
                };
                self.problem(format!("{key}.count"), format!("{what} take more than limits.memory"), fix);
                return;
            }
            if total > scenario.limits.tasks {
                self.problem(format!("{key}.count"), format!("{total} tasks"), "raise limits.tasks, or give fewer");
                return;
            }
            if task.id.checked_add(task.count).is_none() {
                self.problem(format!("{key}.id"), "ids beyond 2^32", "give smaller ids");
                continue;
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
                if scenario.runtime.kind.has_workers() || task.spawned {
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
            if scenario.runtime.kind.has_workers() {
                self.on_workers(&key, task);
            }
            kinds.extend(&task.kind);
        }
        if sets.len() >= usize::from(u16::MAX) || kinds.len() >= usize::from(u16::MAX) {
            self.problem("tasks", "more than 65000 different affinities or kinds", "use fewer");
        }
    }

    /// The policy sees the workers, and knows nothing of what they run.
    fn on_workers(&mut self, key: &str, task: &Task) {
        // A deadline that no policy looks at still says which tasks were late.
        let decides = self.scenario.policy.kind == PolicyKind::Edf;
        let given = [
            ("affinity", task.affinity.is_some()),
            ("priority", task.priority != 0),
            ("nice", task.nice != 0),
            ("tickets", task.tickets != Task::new(0, []).tickets),
            ("deadline", task.deadline.is_some() && decides),
        ];
        for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            self.unseen(format!("{key}.{name}"));
        }
    }

    /// What only a policy looks at that never gets to see it.
    fn unseen(&mut self, key: String) {
        let what = "it would change nothing: cores go to workers, and these take tasks in order";
        self.problem(key, what, "leave it out, or give each task a thread: runtime.kind = \"native\"");
    }

    fn runtime(&mut self) {
        let runtime = &self.scenario.runtime;
        if runtime.workers.is_some_and(|workers| workers == 0 || u64::from(workers) > self.scenario.limits.tasks) {
            self.problem(
                "runtime.workers",
                "a pool of no workers, or of more than there may be tasks",
                "give at least 1, at most limits.tasks",
            );
        }
        if let Some(interval) = runtime.gil3.switch_interval {
            self.positive("runtime.gil3.switch_interval", interval);
        }
        let gil2 = &runtime.gil2;
        if gil2.check_interval_ticks == 0 || !(gil2.ns_per_tick > 0.0 && gil2.ns_per_tick < 1e9) {
            self.problem(
                "runtime.gil2",
                "a check interval of no time, or of ticks of a second",
                "give both numbers above 0, and less than 1e9 ns a tick",
            );
        }
        for (number, group) in runtime.processes.iter().flatten().enumerate() {
            if let Some(task) = group.iter().find(|task| self.task(**task).is_none()) {
                let key = format!("runtime.processes[{number}]");
                self.problem(key, format!("there is no task {task}"), "name ids of tasks");
            }
        }
        if let Some((number, task)) = Self::twice(runtime.processes.as_deref()) {
            let what = format!("task {task} is in another process already");
            self.problem(format!("runtime.processes[{number}]"), what, "name each task once");
        }
    }

    /// What stands twice in groups, and in which it does so.
    fn twice(groups: Option<&[Vec<u32>]>) -> Option<(usize, u32)> {
        let mut seen = std::collections::HashSet::new();
        let all = groups.into_iter().flatten().enumerate();
        all.flat_map(|(number, group)| group.iter().map(move |member| (number, *member)))
            .find(|(_, member)| !seen.insert(*member))
    }

    /// Sums of times must not overflow: all that can be said beforehand is that single ones are far from it.
    fn magnitude(&mut self) {
        let scale = crate::engine::scale_of(self.scenario);
        let most = LATEST as f64 / scale.per_unit() as f64;
        let (time, key) = self.largest.clone();
        if time > most {
            let what = format!("a time of {time:e} does not fit: {most:e} is the most in this unit");
            self.problem(key, what, "use a coarser time_unit, or smaller times");
        }
    }
}
