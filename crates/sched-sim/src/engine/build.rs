//! From a checked scenario to a run that can start.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::RunOptions;
use super::arrivals::{Generated, Source};
use super::cache::Caches;
use super::compile::Programs;
use super::cores::Setup;
use super::gil::Gils;
use super::interrupt::Watch;
use super::placement::{Placer, Thieves};
use super::pool::Pools;
use super::scale::{scale, until};
use super::smt::Siblings;
use super::stats::{ClassSums, Periodic, PeriodicTasks, Stats, Window, new_histogram};
use super::sync::{Channel, Condition, Lock, Semaphore, Sync, WaitsFor};
use super::tasks::{NONE, TaskId, Tasks, Traits, WORKER};
use super::world::{Charges, ClosedLoop, TIMER_RELEASE, World};
use crate::policy::{Options, Policy};
use crate::random::{Charge, Random, Sampler, Stream};
use crate::scenario::{
    Arrivals, Cost, Distribution, PolicyKind, Queues, RuntimeKind, SameInstant, Scenario, Steal, StealFrom, StealTake,
    Step,
};
use crate::time::{NEVER, TimeScale};
use crate::timer_wheel::TimerWheel;

/// The world before anything has happened.
pub(crate) fn world(scenario: &Scenario) -> World {
    let scale = scale(scenario);
    let mut build = Build {
        scenario,
        scale,
        tasks: Tasks::new(scenario.machine.cores as usize),
        programs: Programs::default(),
        loops: Vec::new(),
        processes: processes(scenario),
        periodic: PeriodicTasks::default(),
        kinds: HashMap::new(),
    };
    let order = build.list_tasks();
    let mut live = order.len() as u64;
    let closed = build.closed_tasks();
    live += u64::from(scenario.closed.as_ref().map_or(0, |closed| closed.population));
    let first_worker = build.tasks.len() as TaskId;
    let (pools, workers) = build.pools(first_worker);
    let generated = build.generator();
    let Build { tasks, programs, loops, processes, periodic, .. } = build;
    let charge = |cost: &Cost| Charge::new(cost, scale);
    let costs = &scenario.costs;
    let source = generated.unwrap_or_else(|| {
        let mut order = order;
        order.extend(0..scenario.closed.as_ref().map_or(0, |closed| closed.population));
        let mut listed: Vec<TaskId> =
            order.into_iter().filter(|task| tasks.traits[*task as usize].period == NEVER).collect();
        listed.sort_by_key(|task| tasks.life[*task as usize].arrival);
        let arrivals = listed.iter().map(|task| tasks.life[*task as usize].arrival).collect();
        Source::Listed { order: listed, arrivals, taken: 0 }
    });
    let keep = super::finish::kept(scenario);
    let count = tasks.len();
    let mut world = World {
        now: 0,
        scale,
        waits_for: vec![WaitsFor::Nothing; count],
        sync: sync(scenario, &programs),
        gils: gils(scenario, scale, &processes, count),
        tasks,
        programs,
        loops,
        wheel: TimerWheel::new(),
        source,
        ready: Vec::new(),
        pokes: Vec::new(),
        removed: Vec::new(),
        runtime: scenario.runtime.kind,
        pools,
        charges: Charges {
            context_switch: charge(&costs.context_switch),
            migration: charge(&costs.migration),
            mode_switch: charge(&costs.mode_switch),
            wakeup_same_core: charge(&costs.wakeup_same_core),
            wakeup_cross_core: charge(&costs.wakeup_cross_core),
            timer_slack: charge(&costs.timer_slack),
            thread_create: charge(&costs.thread_create),
            thread_join: charge(&costs.thread_join),
            process_create: charge(&costs.process_create),
            task_create: charge(&costs.task_create),
            task_switch: charge(&costs.task_switch),
            tick_interrupt: charge(&costs.tick_interrupt),
            lock_uncontended: charge(&costs.lock_uncontended),
            gil_handoff: charge(&costs.gil_handoff),
        },
        cost_random: Random::new(scenario.seed, Stream::Costs),
        io_random: Random::new(scenario.seed, Stream::Io),
        closed,
        stats: stats(scenario, keep),
        periodic,
        live,
        most_in_system: scenario.admission.max_in_system.map_or(u64::MAX, u64::from),
        events: 0,
        event_limit: scenario.limits.events,
        task_limit: scenario.limits.tasks,
        stop: None,
        here: super::tasks::NO_CORE,
        marks: super::steps::Marks::default(),
        holders: keep.holders.then(Vec::new),
    };
    for index in 0..world.periodic.list.len() {
        let (task, release) = (world.periodic.list[index].task, world.periodic.list[index].next_release);
        world.set_timer(task, release, TIMER_RELEASE);
    }
    let charge = if world.runtime == RuntimeKind::ProcessPool {
        world.charges.process_create
    } else {
        world.charges.thread_create
    };
    for worker in first_worker..first_worker + workers {
        let cost = world.cost(charge);
        world.tasks.life[worker as usize].debt = cost;
        world.tasks.hot[worker as usize].state = super::tasks::State::Waiting;
    }
    world
}

struct Build<'a> {
    scenario: &'a Scenario,
    scale: TimeScale,
    tasks: Tasks,
    programs: Programs,
    loops: Vec<u32>,
    /// Dense numbers for the scenario's processes.
    processes: Processes,
    periodic: PeriodicTasks,
    kinds: HashMap<String, u16>,
}

#[derive(Debug, Default)]
struct Processes {
    of_task: HashMap<u32, u32>,
    of_name: BTreeMap<u32, u32>,
    count: u32,
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

impl Build<'_> {
    /// Adds the listed tasks; gives those that come by themselves.
    fn list_tasks(&mut self) -> Vec<TaskId> {
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
        let mut order = Vec::new();
        for task in &scenario.tasks {
            let (program, slots) = self.programs.add(&task.program, scale, &index);
            let affinity = task.affinity.as_ref().map_or(0, |cores| self.tasks.mask(cores));
            let kinds = self.kinds.len() as u16;
            let kind = *self.kinds.entry(task.kind.clone().unwrap_or_default()).or_insert(kinds);
            for copy in 0..task.count {
                let id = task.id + copy;
                let process = self.processes.of_task.get(&id).or_else(|| self.processes.of_name.get(&task.process));
                let traits = Traits {
                    id,
                    program,
                    loops: self.loops.len() as u32,
                    priority: task.priority,
                    tickets: task.tickets,
                    process: process.copied().unwrap_or(0),
                    period: task.period.map_or(NEVER, |period| scale.ticks(period).max(1)),
                    affinity,
                    kind,
                    nice: task.nice,
                    class: 0,
                };
                self.loops.resize(self.loops.len() + slots as usize, 0);
                let arrival = if task.spawned { NEVER } else { scale.ticks(task.arrival) };
                let place = self.tasks.add(traits, arrival);
                if let Some(deadline) = task.deadline {
                    self.tasks.life[place as usize].deadline = arrival.saturating_add(scale.ticks(deadline));
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
            pending: VecDeque::new(),
            jobs: 0,
            misses: 0,
            worst: 0,
            first: None,
        });
    }

    fn closed_tasks(&mut self) -> Option<ClosedLoop> {
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

    fn pools(&mut self, first: TaskId) -> (Pools, u32) {
        let runtime = &self.scenario.runtime;
        let workers = match runtime.kind {
            RuntimeKind::EventLoop => vec![1; self.processes.count as usize],
            RuntimeKind::ThreadPool | RuntimeKind::ProcessPool | RuntimeKind::MN => {
                vec![runtime.workers.unwrap_or(self.scenario.machine.cores)]
            }
            _ => return (Pools::default(), 0),
        };
        let count: u32 = workers.iter().sum();
        for id in 0..count {
            let worker = self.tasks.add(Traits { id: first + id, ..Traits::default() }, 0);
            self.tasks.hot[worker as usize].flags |= WORKER;
        }
        (Pools::new(&workers, first, runtime.queue_limit), count)
    }

    fn generator(&mut self) -> Option<Source> {
        let generator = self.scenario.generator.as_ref()?;
        let scale = self.scale;
        let service = [Step::Cpu(crate::scenario::CpuTime::Service(crate::scenario::Service::Service))];
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
            recycle: !super::finish::kept(self.scenario).per_task,
        })))
    }
}

fn sync(scenario: &Scenario, programs: &Programs) -> Sync {
    let lock = Lock { holder: NONE, waiting: VecDeque::new() };
    let semaphore = |name: &String| Semaphore {
        count: scenario.semaphores.get(name).copied().unwrap_or(0).into(),
        waiting: VecDeque::new(),
    };
    let channel = |name: &String| Channel {
        messages: 0,
        capacity: scenario.channels.get(name).map_or(u64::MAX, |capacity| u64::from(*capacity)),
        receivers: VecDeque::new(),
        senders: VecDeque::new(),
    };
    Sync {
        locks: vec![lock; programs.locks.list.len()],
        semaphores: programs.semaphores.list.iter().map(semaphore).collect(),
        conditions: vec![Condition::default(); programs.conditions.list.len()],
        channels: programs.channels.list.iter().map(channel).collect(),
        joiners: Vec::new(),
        bytes: 0,
    }
}

fn gils(scenario: &Scenario, scale: TimeScale, processes: &Processes, tasks: usize) -> Gils {
    let unit = scenario.time_unit;
    let runtime = &scenario.runtime;
    match runtime.kind {
        RuntimeKind::Gil2 => {
            let milliseconds = f64::from(runtime.gil2.check_interval_ticks) * runtime.gil2.ns_per_tick * 1e-6;
            let check = scale.ticks(super::milliseconds(unit, milliseconds)).max(1);
            Gils::new(processes.count as usize, tasks, Some(check), 0, false)
        }
        RuntimeKind::Gil3 => {
            let interval = runtime.gil3.switch_interval.unwrap_or_else(|| super::milliseconds(unit, 5.0));
            Gils::new(processes.count as usize, tasks, None, scale.ticks(interval), runtime.gil3.force_switch)
        }
        _ => Gils::default(),
    }
}

fn stats(scenario: &Scenario, keep: super::finish::Kept) -> Stats {
    let generated = scenario.generator.is_some();
    Stats {
        classes: vec![ClassSums::default(); scenario.classes.len()],
        // A closed system without warm-up is looked at from the start.
        window: Window::new(scenario.closed.as_ref().is_some_and(|closed| closed.warmup == 0)),
        warmup: scenario.generator.as_ref().map_or(0, |generator| generator.warmup.min(u64::from(u32::MAX)) as u32),
        response_histogram: if generated && keep.response { new_histogram() } else { None },
        wait_histogram: if generated && keep.wait { new_histogram() } else { None },
        ..Stats::default()
    }
}

/// What a run on cores needs.
pub(crate) fn for_cores<P: Policy>(scenario: &Scenario, options: &RunOptions) -> (World, Setup, Vec<P>) {
    let world = world(scenario);
    let scale = world.scale;
    let machine = &scenario.machine;
    let cores = machine.cores as usize;
    let policy = &scenario.policy;
    let stealing = policy.kind == PolicyKind::WorkStealing;
    let queues = policy.queues.unwrap_or(if stealing { Queues::PerCore } else { Queues::Shared });
    let mut llc = vec![0; cores];
    for (number, group) in machine.llc_groups.iter().flatten().enumerate() {
        for core in group {
            llc[*core as usize] = number as u32 + 1;
        }
    }
    let default_steal = Steal {
        every: None,
        from: StealFrom::RandomOther,
        take: StealTake::Half,
        pinned: crate::scenario::Pinned::IfAllowed,
    };
    let steal = policy.steal.clone().or_else(|| stealing.then_some(default_steal));
    let steal = steal.filter(|_| queues == Queues::PerCore);
    let default_order =
        if policy.kind == PolicyKind::Mlfq { SameInstant::EndsFirst } else { SameInstant::ArrivalsFirst };
    let any_affinity = scenario.tasks.iter().any(|task| task.affinity.is_some());
    let ascending = policy.core_order == crate::scenario::CoreOrder::Ascending;
    let setup = Setup {
        any_affinity,
        one_for_one: !any_affinity && ascending && steal.is_none() && machine.smt.is_none(),
        ends_first: policy.same_instant.unwrap_or(default_order) == SameInstant::EndsFirst,
        boost_every: policy
            .boost_every
            .filter(|_| policy.kind == PolicyKind::Mlfq)
            .map(|every| scale.ticks(every))
            .filter(|every| *every > 0),
        until: until(scenario, scale),
        llc,
        siblings: machine.smt.as_ref().map(|smt| Siblings::new(smt, cores)),
        caches: machine.cache.as_ref().map(|cache| {
            let sets = scenario.tasks.iter().flat_map(|task| (0..task.count).map(|_| task.working_set));
            Caches::new(cache, cores, sets.collect(), scale)
        }),
        placer: Placer::new(scenario, queues, scale),
        thieves: steal.map(|steal| Thieves::new(&steal, scenario, scale)),
        watch: Watch::new(options.control.clone()),
    };
    let count = if queues == Queues::Shared { 1 } else { cores };
    let make = |queue: usize| {
        let seed = scenario.seed ^ crate::random::mix(queue as u64);
        P::new(&Options { scenario, scale, random: Random::new(seed, Stream::Policy) })
    };
    (world, setup, (0..count).map(make).collect())
}
