//! The typed builder: a scenario in Rust, piece by piece.

use super::{Policy, PolicyKind, RuntimeKind, Scenario, Step, Task, TimeUnit};
use crate::scenario::{
    Admission, Cache, Class, Closed, Costs, Draw, Generator, Level, Limits, Machine, Queues, Randomness, Record,
    Runtime, SchemaName, Smt, Steal,
};

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

    /// Says what the scenario is about.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        Self { description: Some(text.into()), ..self }
    }

    /// Gives the cores siblings.
    #[must_use]
    pub fn smt(mut self, smt: Smt) -> Self {
        self.machine.smt = Some(smt);
        self
    }

    /// Says which cores share a last-level cache.
    #[must_use]
    pub fn llc_groups(mut self, groups: impl Into<Vec<Vec<u32>>>) -> Self {
        self.machine.llc_groups = Some(groups.into());
        self
    }

    /// Gives each core a cache that tasks warm.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.machine.cache = Some(cache);
        self
    }

    /// Sets whether cores share a queue or have one each.
    #[must_use]
    pub fn queues(mut self, queues: Queues) -> Self {
        self.policy.queues = Some(queues);
        self
    }

    /// Lets cores with a queue of their own take from others'.
    #[must_use]
    pub fn steal(mut self, steal: Steal) -> Self {
        self.policy.steal = Some(steal);
        self
    }

    /// Sets the levels of mlfq, the highest first.
    #[must_use]
    pub fn levels(mut self, levels: impl Into<Vec<Level>>) -> Self {
        self.policy.levels = levels.into();
        self
    }

    /// Sets any of the policy's options.
    #[must_use]
    pub fn policy_options(mut self, set: impl FnOnce(&mut Policy)) -> Self {
        set(&mut self.policy);
        self
    }

    /// Sets any of the runtime's options.
    #[must_use]
    pub fn runtime_options(mut self, set: impl FnOnce(&mut Runtime)) -> Self {
        set(&mut self.runtime);
        self
    }

    /// Lets tasks come from outside, as in an open system.
    #[must_use]
    pub fn generator(self, generator: Generator) -> Self {
        Self { generator: Some(generator), ..self }
    }

    /// Lets a number of tasks compute and wait for ever, as in a closed system.
    #[must_use]
    pub fn closed(self, closed: Closed) -> Self {
        Self { closed: Some(closed), ..self }
    }

    /// Adds a class of generated tasks.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.classes.push(class);
        self
    }

    /// Turns tasks away while so many are in the system.
    #[must_use]
    pub fn max_in_system(self, tasks: u32) -> Self {
        Self { admission: Admission { max_in_system: Some(tasks) }, ..self }
    }

    /// Sets what a semaphore begins with.
    #[must_use]
    pub fn semaphore(mut self, name: impl Into<String>, count: u32) -> Self {
        self.semaphores.insert(name.into(), count);
        self
    }

    /// Sets how many messages a channel holds.
    #[must_use]
    pub fn channel(mut self, name: impl Into<String>, capacity: u32) -> Self {
        self.channels.insert(name.into(), capacity);
        self
    }

    /// Takes random choices from a list, not from the seed.
    #[must_use]
    pub fn draws(self, draws: impl Into<Vec<Draw>>) -> Self {
        Self { randomness: Randomness::Draws { draws: draws.into() }, ..self }
    }

    /// Says what the result contains.
    #[must_use]
    pub fn record(self, record: impl Into<Vec<Record>>) -> Self {
        Self { record: Some(record.into()), ..self }
    }

    /// Sets what the run may use.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
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

    /// Sets the lottery's or stride's tickets.
    #[must_use]
    pub fn tickets(self, tickets: u32) -> Self {
        Self { tickets, ..self }
    }

    /// Puts the task into a process: tasks of one process share a GIL or a loop.
    #[must_use]
    pub fn process(self, process: u32) -> Self {
        Self { process, ..self }
    }

    /// Has the task wait until another spawns it.
    #[must_use]
    pub fn spawned(self) -> Self {
        Self { spawned: true, ..self }
    }

    /// Sets by when the task has to be done, counted from its arrival.
    #[must_use]
    pub fn deadline(self, deadline: f64) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Sets what the task needs of a cache, in the unit of the cache's capacity.
    #[must_use]
    pub fn working_set(self, size: f64) -> Self {
        Self { working_set: size, ..self }
    }

    /// Sets the kind of its work: siblings are slower with two of one kind.
    #[must_use]
    pub fn kind(self, kind: impl Into<String>) -> Self {
        Self { kind: Some(kind.into()), ..self }
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

    /// Takes one from a semaphore, or waits.
    pub fn sem_wait(name: &str) -> Self {
        Self::SemWait(name.to_owned())
    }

    /// Adds one to a semaphore.
    pub fn sem_post(name: &str) -> Self {
        Self::SemPost(name.to_owned())
    }

    /// Waits for a condition, without the lock meanwhile.
    pub fn wait(condition: &str, lock: &str) -> Self {
        Self::Wait { condition: condition.to_owned(), lock: lock.to_owned() }
    }

    /// Wakes the one that has waited for a condition longest.
    pub fn notify(condition: &str) -> Self {
        Self::Notify(condition.to_owned())
    }

    /// Wakes all who wait for a condition.
    pub fn notify_all(condition: &str) -> Self {
        Self::NotifyAll(condition.to_owned())
    }

    /// Puts a message of so many bytes into a channel.
    pub fn send(channel: &str, bytes: u64) -> Self {
        Self::Send { channel: channel.to_owned(), bytes }
    }

    /// Takes a message from a channel, or waits for one.
    pub fn recv(channel: &str) -> Self {
        Self::Recv(channel.to_owned())
    }

    /// Starts or stops a stopwatch.
    pub fn mark(name: &str) -> Self {
        Self::Mark(name.to_owned())
    }

    /// The steps so many times.
    pub fn repeat(times: u32, steps: impl Into<Vec<Step>>) -> Self {
        Self::Repeat(times, steps.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read::{Format, text};
    use crate::scenario::{Arrivals, Distribution, DrawOp, Pinned, StealFrom, StealTake};

    #[test]
    #[allow(clippy::too_many_lines, reason = "a list")]
    fn what_toml_says_the_builder_says() {
        let toml = "schema = 'sched-scenario/0'
            description = 'all of it'
            time_unit = 'us'
            seed = 7
            until = 100
            record = ['per_task', 'switches']
            semaphores = { s = 2 }
            channels = { c = 1 }
            admission = { max_in_system = 9 }
            randomness = { mode = 'draws', draws = [{ op = 'choice', n = 2, index = 1 }] }
            limits = { tasks = 50 }
            [machine]
            cores = 4
            smt = { threads_per_core = 2, factor_same_kind = 0.6, factor_mixed = 0.8 }
            llc_groups = [[0, 1], [2, 3]]
            [policy]
            kind = 'rr'
            quantum = 5
            queues = 'per-core'
            steal = { every = 1, from = 'busiest', take = 'half' }
            levels = [{ quantum = 3, allotment = 2 }]
            preemptive = true
            [runtime]
            kind = 'gil3'
            gil3 = { switch_interval = 2 }
            [[tasks]]
            id = 0
            name = 'first'
            count = 2
            arrival = 1
            tickets = 3
            process = 1
            deadline = 20
            working_set = 4
            kind = 'int'
            nice = -1
            priority = 2
            affinity = [0, 1]
            program = [{ cpu = 1 }, { sem_wait = 's' }, { sem_post = 's' }, { lock = 'm' }, { wait = 'v', lock = 'm' }, { unlock = 'm' },
                { notify = 'v' }, { notify_all = 'v' }, { send = 'c', bytes = 3 }, { recv = 'c' }, { mark = 'trip' }, { repeat = [2, [{ io = 1 }]] }]
            [[tasks]]
            id = 2
            spawned = true
            program = [{ cpu = 1 }]";
        let read = text(toml, Format::Toml).unwrap_or_else(|problems| panic!("{problems}"));
        let built = Scenario::new(4, PolicyKind::Rr)
            .description("all of it")
            .time_unit(TimeUnit::Us)
            .seed(7)
            .until(100.0)
            .record([Record::PerTask, Record::Switches])
            .semaphore("s", 2)
            .channel("c", 1)
            .max_in_system(9)
            .draws([Draw::Op(DrawOp::Choice { n: 2, index: 1 })])
            .limits(Limits { tasks: 50, ..Limits::default() })
            .smt(Smt { threads_per_core: 2, factor_same_kind: 0.6, factor_mixed: 0.8 })
            .llc_groups([vec![0, 1], vec![2, 3]])
            .quantum(5.0)
            .queues(Queues::PerCore)
            .steal(Steal {
                every: Some(1.0),
                from: StealFrom::Busiest,
                take: StealTake::Half,
                pinned: Pinned::default(),
            })
            .levels([Level { quantum: 3.0, allotment: 2 }])
            .policy_options(|policy| policy.preemptive = Some(true))
            .runtime(RuntimeKind::Gil3)
            .runtime_options(|runtime| runtime.gil3.switch_interval = Some(2.0))
            .task(
                Task::new(
                    0,
                    [
                        Step::cpu(1.0),
                        Step::sem_wait("s"),
                        Step::sem_post("s"),
                        Step::lock("m"),
                        Step::wait("v", "m"),
                        Step::unlock("m"),
                        Step::notify("v"),
                        Step::notify_all("v"),
                        Step::send("c", 3),
                        Step::recv("c"),
                        Step::mark("trip"),
                        Step::repeat(2, [Step::Io(1.0)]),
                    ],
                )
                .name("first")
                .count(2)
                .arrives(1.0)
                .tickets(3)
                .process(1)
                .deadline(20.0)
                .working_set(4.0)
                .kind("int")
                .nice(-1)
                .priority(2)
                .on([0, 1]),
            )
            .task(Task::new(2, [Step::cpu(1.0)]).spawned());
        assert_eq!(built, read);
    }

    #[test]
    fn the_builder_says_what_comes_from_outside() {
        let head = "schema = 'sched-scenario/0'\n";
        let read =
            |toml: &str| text(&format!("{head}{toml}"), Format::Toml).unwrap_or_else(|problems| panic!("{problems}"));
        let open = read(
            "machine = { cores = 1 }
            policy = { kind = 'priority' }
            classes = [{ p = 0.5, priority = 1 }, { p = 0.5, priority = 0 }]
            generator = { arrivals = { kind = 'poisson', rate = 0.5 }, service = { kind = 'exp', mean = 1 }, count = 10 }",
        );
        let generator = Generator {
            arrivals: Arrivals::Poisson { rate: 0.5 },
            service: Distribution::Exp { mean: 1.0 },
            count: 10,
            warmup: 0,
            program: None,
        };
        let class = |priority| Class { p: 0.5, priority };
        let built = Scenario::new(1, PolicyKind::Priority).generator(generator).class(class(1)).class(class(0));
        assert_eq!(built, open);
        let closed = read(
            "machine = { cores = 2, cache = { capacity = 10, warmup = 1, cold_rate = 1, warm_rate = 2 } }
            policy = { kind = 'fifo' }
            closed = { population = 3, cpu = { kind = 'exp', mean = 1 }, io = { kind = 'exp', mean = 9 }, count = 10 }",
        );
        let (cpu, io) = (Distribution::Exp { mean: 1.0 }, Distribution::Exp { mean: 9.0 });
        let built = Scenario::new(2, PolicyKind::Fifo)
            .cache(Cache {
                capacity: 10.0,
                warmup: 1.0,
                cold_rate: 1.0,
                warm_rate: 2.0,
                progress: crate::scenario::Progress::default(),
            })
            .closed(Closed { population: 3, cpu, io, count: 10, warmup: 0 });
        assert_eq!(built, closed);
    }
}
