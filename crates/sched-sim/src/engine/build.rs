//! From a checked scenario to a run that can start.

mod tasks;

use std::collections::{HashMap, VecDeque};

use super::RunOptions;
use super::arrivals::Source;
use super::cache::Caches;
use super::compile::{Op, Programs};
use super::cores::Setup;
use super::gil::Gils;
use super::holdings::Holdings;
use super::interrupt::Watch;
use super::placement::{Placer, Thieves};
use super::scale::{scale, until};
use super::smt::Siblings;
use super::stats::{ClassSums, Stats, Window, new_histogram};
use super::sync::{Channel, Condition, Lock, Semaphore, Sync, WaitsFor};
use super::tasks::{NONE, TaskId};
use super::turns::Turns;
use super::world::{Charges, TIMER_RELEASE, World};
use crate::policy::{Options, Policy};
use crate::random::{Charge, Random, Stream};
use crate::scenario::{Cost, PolicyKind, Queues, RuntimeKind, SameInstant, Scenario, Steal, StealFrom, StealTake};
use crate::time::{NEVER, TimeScale};
use crate::timer_wheel::TimerWheel;
use tasks::{Build, Processes};

/// The world before anything has happened.
pub(crate) fn world(scenario: &Scenario, options: &RunOptions) -> World {
    let scale = scale(scenario);
    let mut build = Build::new(scenario, scale);
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
    let keep = super::kept::kept(scenario);
    let watch = Watch::new(options.control.clone(), &scenario.limits);
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
        void_timers: 0,
        source,
        ready: Vec::new(),
        pokes: Vec::new(),
        ended_asleep: Vec::new(),
        replaced: Vec::new(),
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
            gil_notice: charge(&costs.gil_notice),
            gil_handoff: charge(&costs.gil_handoff),
        },
        cost_random: Random::new(scenario.seed, Stream::Costs),
        io_random: Random::new(scenario.seed, Stream::Io),
        closed,
        stats: stats(scenario, keep),
        unreleased: periodic.list.len() as u64,
        periodic,
        live,
        most_in_system: scenario.admission.max_in_system.map_or(u64::MAX, u64::from),
        events: 0,
        next_look: watch.first_look(),
        watch,
        task_limit: scenario.limits.tasks,
        policy_bytes: crate::policy::bytes_per_task(scenario),
        stop: None,
        here: super::tasks::NO_CORE,
        marks: super::steps::Marks::default(),
        holders: keep.holders.then(|| Holdings::new(scenario.limits.recorded)),
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
        joiners: HashMap::new(),
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

fn stats(scenario: &Scenario, keep: super::kept::Kept) -> Stats {
    let generated = scenario.generator.is_some();
    Stats {
        classes: vec![ClassSums::default(); scenario.classes.len()],
        // A closed system without warm-up is looked at from the start.
        window: Window::new(scenario.closed.as_ref().is_some_and(|closed| closed.warmup == 0)),
        warmup: scenario.generator.as_ref().map_or(0, |generator| generator.warmup.min(u64::from(u32::MAX)) as u32),
        response_histogram: if generated && (keep.response || keep.turnaround) { new_histogram() } else { None },
        wait_histogram: if generated && keep.wait { new_histogram() } else { None },
        ..Stats::default()
    }
}

/// What a run on cores needs.
pub(crate) fn for_cores<P: Policy>(scenario: &Scenario, options: &RunOptions) -> (World, Setup, Vec<P>) {
    let world = world(scenario, options);
    let scale = world.scale;
    let machine = &scenario.machine;
    let cores = machine.cores as usize;
    let policy = &scenario.policy;
    let stealing = policy.kind == PolicyKind::WorkStealing;
    let queues = policy.queues();
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
    // Who is killed in an instant shall not get a core in it.
    let anybody_is_killed = world.programs.ops.iter().any(|op| matches!(op, Op::Kill(_)));
    // And who is asked for the GIL in an instant lets go in it.
    let anybody_looks_up = anybody_is_killed || world.gils.has_any();
    let one_for_one = !any_affinity && ascending && steal.is_none() && machine.smt.is_none() && !anybody_looks_up;
    let is_plain = one_for_one && queues == Queues::Shared && machine.cache.is_none() && !world.pools.has_any();
    let (switch, interrupt) = (world.charges.context_switch.fixed(), world.charges.tick_interrupt.fixed());
    let turns = switch.zip(interrupt).filter(|_| is_plain && P::TAKES_TURNS);
    let setup = Setup {
        any_affinity,
        one_for_one,
        turns: turns.map(|(context_switch, tick_interrupt)| Turns { context_switch, tick_interrupt }),
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
    };
    let count = if queues == Queues::Shared { 1 } else { cores };
    let make = |queue: usize| {
        let seed = scenario.seed ^ crate::random::mix(queue as u64);
        P::new(&Options { scenario, scale, random: Random::new(seed, Stream::Policy) })
    };
    (world, setup, (0..count).map(make).collect())
}
