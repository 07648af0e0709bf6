//! The typed builder: a scenario in Rust, piece by piece.

use super::{Policy, PolicyKind, RuntimeKind, Scenario, Step, Task, TimeUnit};
use crate::scenario::{Admission, Costs, Limits, Machine, Randomness, Runtime, SchemaName};

impl Scenario {
    /// A scenario without tasks: so many cores, and a policy with its defaults.
    ///
    /// ```
    /// use sched_sim::{PolicyKind, Scenario, Step, Task, simulate};
    ///
    /// let scenario = Scenario::new(1, PolicyKind::Rr)
    ///     .quantum(10.0)
    ///     .task(Task::new(0, [Step::cpu(25.0)]))
    ///     .task(Task::new(1, [Step::cpu(5.0)]).arrives(3.0));
    /// let outcome = simulate(&scenario, &Default::default())?;
    /// assert_eq!(outcome.task(1).unwrap().finish, Some(15.0));
    /// # Ok::<(), sched_sim::Problems>(())
    /// ```
    pub fn new(cores: u32, policy: PolicyKind) -> Self {
        Self {
            schema: SchemaName::Version0,
            time_unit: TimeUnit::default(),
            seed: 0,
            description: None,
            machine: Machine { cores, smt: None, llc_groups: None, cache: None },
            costs: Costs::default(),
            policy: Policy::of(policy),
            runtime: Runtime::default(),
            tasks: Vec::new(),
            generator: None,
            closed: None,
            classes: Vec::new(),
            admission: Admission::default(),
            semaphores: std::collections::BTreeMap::new(),
            channels: std::collections::BTreeMap::new(),
            randomness: Randomness::default(),
            until: None,
            record: None,
            limits: Limits::default(),
        }
    }

    /// Sets the unit of time.
    #[must_use]
    pub fn time_unit(self, time_unit: TimeUnit) -> Self {
        Self { time_unit, ..self }
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets the policy's quantum.
    #[must_use]
    pub fn quantum(mut self, quantum: f64) -> Self {
        self.policy.quantum = Some(quantum);
        self
    }

    /// Sets the runtime.
    #[must_use]
    pub fn runtime(mut self, kind: RuntimeKind) -> Self {
        self.runtime.kind = kind;
        self
    }

    /// Sets what things cost.
    #[must_use]
    pub fn costs(self, costs: Costs) -> Self {
        Self { costs, ..self }
    }

    /// Ends the run at a time.
    #[must_use]
    pub fn until(self, until: f64) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Adds a task.
    #[must_use]
    pub fn task(mut self, task: Task) -> Self {
        self.tasks.push(task);
        self
    }
}

impl Task {
    /// A task that arrives at 0, with defaults for all but its program.
    pub fn new(id: u32, program: impl Into<Vec<Step>>) -> Self {
        Self {
            id,
            name: None,
            count: 1,
            arrival: 0.0,
            spawned: false,
            process: 0,
            nice: 0,
            tickets: 100,
            priority: 0,
            deadline: None,
            period: None,
            affinity: None,
            working_set: 0.0,
            kind: None,
            program: program.into(),
        }
    }

    /// Sets the name.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Sets the time of arrival.
    #[must_use]
    pub fn arrives(self, arrival: f64) -> Self {
        Self { arrival, ..self }
    }

    /// Makes it so many tasks, with ids that count on.
    #[must_use]
    pub fn count(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Sets the priority: the smaller, the more urgent.
    #[must_use]
    pub fn priority(self, priority: u32) -> Self {
        Self { priority, ..self }
    }

    /// Sets the niceness.
    #[must_use]
    pub fn nice(self, nice: i8) -> Self {
        Self { nice, ..self }
    }

    /// Pins the task to some cores.
    #[must_use]
    pub fn on(self, cores: impl Into<Vec<u32>>) -> Self {
        Self { affinity: Some(cores.into()), ..self }
    }

    /// Releases the program every `period`; each job has to be done within `deadline`.
    #[must_use]
    pub fn periodic(self, period: f64, deadline: f64) -> Self {
        Self { period: Some(period), deadline: Some(deadline), ..self }
    }
}

impl Step {
    /// Computes for so long.
    pub fn cpu(time: f64) -> Self {
        Self::Cpu(super::CpuTime::Fixed(time))
    }

    /// Takes a lock.
    pub fn lock(name: &str) -> Self {
        Self::Lock(name.to_owned())
    }

    /// Gives a lock back.
    pub fn unlock(name: &str) -> Self {
        Self::Unlock(name.to_owned())
    }
}
