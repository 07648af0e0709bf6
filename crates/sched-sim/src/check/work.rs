//! What is wrong with where tasks come from: generators, closed systems, distributions.

use super::Checker;
use crate::engine::Tasks;
use crate::scenario::{Distribution, RuntimeKind};

impl Checker<'_> {
    /// Where tasks come from.
    pub(super) fn work(&mut self) {
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
                self.note("generator.count", generator.count as f64 / rate);
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
            let each = Tasks::BYTES + crate::policy::bytes_per_task(scenario);
            if u64::from(closed.population).saturating_mul(each) > scenario.limits.memory {
                let what = format!("{} tasks take more than limits.memory", closed.population);
                self.problem("closed.population", what, "raise limits.memory, or give fewer tasks");
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
        if !scenario.classes.is_empty() && scenario.generator.is_none() {
            self.problem("classes", "only generated tasks belong to classes", "give a generator, or leave them out");
        }
        let mut urgent = scenario.classes.iter().enumerate().filter(|(_, class)| class.priority != 0);
        if scenario.runtime.kind.has_workers()
            && let Some((number, _)) = urgent.next()
        {
            self.unseen(format!("classes[{number}].priority"));
        }
        if scenario.classes.len() > 256 {
            self.problem("classes", "more than 256 classes", "give fewer");
        }
        if let Some(until) = scenario.until {
            self.time("until", until);
        }
    }

    fn chances(&mut self, key: &str, sum: f64) {
        let what = format!("the chances add up to {sum}");
        self.problem(format!("{key}.parts"), what, "chances (p) are not negative and add up to 1");
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
                    self.chances(key, parts.iter().map(|part| part.p).sum());
                }
            }
            Distribution::Mixture { parts } => {
                for part in parts {
                    self.time(&format!("{key}.parts"), part.value);
                }
                if !chances(&mut parts.iter().map(|part| part.p)) {
                    self.chances(key, parts.iter().map(|part| part.p).sum());
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
}
