//! The tasks of a scenario as columns: listed ones, those of a closed system, workers, and what a generator will make.

use std::collections::{BTreeMap, HashMap};

use crate::engine::arrivals::{Generated, Source};
use crate::engine::compile::Programs;
use crate::engine::pool::Pools;
use crate::engine::stats::{Periodic, PeriodicTasks};
use crate::engine::tasks::{NONE, TaskId, Tasks, Traits, WORKER};
use crate::engine::world::ClosedLoop;
use crate::random::{Random, Sampler, Stream};
use crate::scenario::{Arrivals, CpuTime, Distribution, RuntimeKind, Scenario, Service, Step};
use crate::time::{NEVER, TimeScale};

/// What becomes of a scenario's tasks.
pub(super) struct Build<'a> {
    scenario: &'a Scenario,
    scale: TimeScale,
    pub(super) tasks: Tasks,
    pub(super) programs: Programs,
    /// Counters of loops.
    pub(super) loops: Vec<u32>,
    pub(super) processes: Processes,
    pub(super) periodic: PeriodicTasks,
    kinds: HashMap<String, u16>,
}

/// Dense numbers for the scenario's processes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    of_task: HashMap<u32, u32>,
    of_name: BTreeMap<u32, u32>,
    pub(super) count: u32,
}

fn processes(scenario: &Scenario) -> Processes {
    let mut processes = Processes::default();
    if let Some(groups) = &scenario.runtime.processes {
        for (number, group) in groups.iter().enumerate() {
            processes.of_task.extend(group.iter().map(|task| (*task, number as u32)));
        }
        processes.count = groups.len() as u32;
    }
    for task in &scenario.tasks {
        if !processes.of_task.contains_key(&task.id) {
            let next = processes.count;
            let number = *processes.of_name.entry(task.process).or_insert(next);
            processes.count = processes.count.max(number + 1);
        }
    }
    processes.count = processes.count.max(1);
    processes
}

impl<'a> Build<'a> {
    /// No task yet.
    pub(super) fn new(scenario: &'a Scenario, scale: TimeScale) -> Self {
        Self {
            scenario,
            scale,
            tasks: Tasks::new(scenario.machine.cores as usize),
            programs: Programs::default(),
            loops: Vec::new(),
            processes: processes(scenario),
            periodic: PeriodicTasks::default(),
            kinds: HashMap::new(),
        }
    }

    /// Adds the listed tasks; gives those that come by themselves.
    pub(super) fn list_tasks(&mut self) -> Vec<TaskId> {
        let (scenario, scale) = (self.scenario, self.scale);
        // Places of tasks by id: the first of each kind.
        let mut places = Vec::new();
        let mut place = 0;
        for task in &scenario.tasks {
            places.push((task.id, place));
            place += task.count;
        }
        places.sort_unstable();
        let index = |id: u32| {
            let after = places.partition_point(|(first, _)| *first <= id);
            places[..after].last().map_or(0, |(first, place)| place + (id - first))
        };
        self.tasks.reserve(place as usize);
        let mut order = Vec::with_capacity(place as usize);
        for task in &scenario.tasks {
            let (program, slots) = self.programs.add(&task.program, scale, &index);
            let affinity = task.affinity.as_ref().map_or(0, |cores| self.tasks.mask(cores));
            let kinds = self.kinds.len() as u16;
            let kind = *self.kinds.entry(task.kind.clone().unwrap_or_default()).or_insert(kinds);
            let arrival = if task.spawned { NEVER } else { scale.ticks(task.arrival) };
            let of_name = self.processes.of_name.get(&task.process).copied().unwrap_or(0);
            for copy in 0..task.count {
                let id = task.id + copy;
                let alone = self.processes.of_task.is_empty();
                let process = if alone { None } else { self.processes.of_task.get(&id).copied() };
                let traits = Traits {
                    id,
                    program,
                    loops: self.loops.len() as u32,
                    priority: task.priority,
                    tickets: task.tickets,
                    process: process.unwrap_or(of_name),
                    period: task.period.map_or(NEVER, |period| scale.ticks(period).max(1)),
                    affinity,
                    kind,
                    nice: task.nice,
                    class: 0,
                };
                self.loops.resize(self.loops.len() + slots as usize, 0);
                let place = self.tasks.add(traits, arrival);
                if let Some(deadline) = task.deadline {
                    // From when it is spawned, if it is.
                    let from = if task.spawned { 0 } else { arrival };
                    self.tasks.life[place as usize].deadline = from.saturating_add(scale.ticks(deadline));
                }
                if !task.spawned {
                    order.push(place);
                }
                if traits.period != NEVER {
                    let deadline = task.deadline.map_or(traits.period, |deadline| scale.ticks(deadline));
                    self.add_periodic(place, arrival, deadline);
                }
            }
        }
        order
    }

    fn add_periodic(&mut self, task: TaskId, release: u64, deadline: u64) {
        self.periodic.index.resize(task as usize + 1, NONE);
        self.periodic.index[task as usize] = self.periodic.list.len() as u32;
        self.periodic.list.push(Periodic {
            task,
            deadline,
            next_release: release,
            has_come: false,
            pending: 0,
            first_pending: NEVER,
            jobs: 0,
            misses: 0,
            worst: 0,
            first: None,
            first_wait: 0,
        });
    }

    /// Adds the tasks of a closed system.
    pub(super) fn closed_tasks(&mut self) -> Option<ClosedLoop> {
        let closed = self.scenario.closed.as_ref()?;
        let program = self.programs.add_closed();
        for id in 0..closed.population {
            self.tasks.add(Traits { id, program, ..Traits::default() }, 0);
        }
        Some(ClosedLoop {
            cpu: Sampler::new(&closed.cpu, self.scale),
            io: Sampler::new(&closed.io, self.scale),
            cpu_random: Random::new(self.scenario.seed, Stream::Service),
            count: closed.count,
            warmup: closed.warmup,
            rounds: 0,
        })
    }

    /// Adds the workers of pools and loops, the first at this place; gives how many.
    pub(super) fn pools(&mut self, first: TaskId) -> (Pools, u32) {
        let runtime = &self.scenario.runtime;
        let workers = match runtime.kind {
            RuntimeKind::EventLoop => vec![1; self.processes.count as usize],
            RuntimeKind::ThreadPool | RuntimeKind::ProcessPool | RuntimeKind::MN => {
                vec![runtime.workers.unwrap_or(self.scenario.machine.cores)]
            }
            _ => return (Pools::default(), 0),
        };
        let count: u32 = workers.iter().sum();
        // Their ids follow those of all tasks, also of those that are yet to come.
        let listed = self.scenario.tasks.iter().map(|task| u64::from(task.id) + u64::from(task.count)).max();
        let generated = self.scenario.generator.as_ref().map(|generator| generator.count);
        let first_id = listed.max(generated).unwrap_or(0).min((u32::MAX - count).into()) as u32;
        for id in first_id..first_id + count {
            let worker = self.tasks.add(Traits { id, ..Traits::default() }, 0);
            self.tasks.hot[worker as usize].flags |= WORKER;
        }
        let keep = crate::engine::kept::kept(self.scenario);
        let recorded = keep.queue_depth.then_some(self.scenario.limits.recorded);
        (Pools::new(&workers, first, runtime.queue_limit, recorded), count)
    }

    /// What makes tasks as time goes on.
    pub(super) fn generator(&mut self) -> Option<Source> {
        let generator = self.scenario.generator.as_ref()?;
        let scale = self.scale;
        let service = [Step::Cpu(CpuTime::Service(Service::Service))];
        let steps = generator.program.as_deref().unwrap_or(&service);
        let (program, loops) = self.programs.add(steps, scale, &|_| 0);
        let gap = match generator.arrivals {
            Arrivals::Poisson { rate } => Distribution::Exp { mean: 1.0 / rate },
            Arrivals::Periodic { rate } => Distribution::Det { value: 1.0 / rate },
        };
        let mut gap_random = Random::new(self.scenario.seed, Stream::Arrivals);
        let gaps = Sampler::new(&gap, scale);
        let first = gaps.draw(&mut gap_random);
        let mut sum = 0.0;
        let classes = self.scenario.classes.iter().map(|class| {
            sum += class.p;
            (sum, class.priority)
        });
        Some(Source::Generated(Box::new(Generated {
            next: if generator.count == 0 { NEVER } else { first },
            left: generator.count,
            made: 0,
            gaps,
            gap_random,
            service: Sampler::new(&generator.service, scale),
            service_random: Random::new(self.scenario.seed, Stream::Service),
            classes: classes.collect(),
            class_random: Random::new(self.scenario.seed, Stream::Classes),
            program,
            loops,
            recycle: !crate::engine::kept::kept(self.scenario).per_task,
        })))
    }
}
