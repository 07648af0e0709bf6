//! From a run that has ended to its outcome.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::cores::Cores;
use super::holdings::Held;
use super::kept::kept;
use super::sharing::Sharing;
use super::stats::{WindowState, new_histogram};
use super::tasks::{State, TaskId, WORKER};
use super::world::World;
use crate::outcome::{
    Aggregate, CoreOutcome, Counters, Depth, Holder, Means, Outcome, Quantiles, ResultSchema, Segment, StopReason,
    TaskOutcome, WorkQueue,
};
use crate::policy::fluid::Fluid;
use crate::policy::{Draws, Policy};
use crate::record::{Recorder, Run, Sink};
use crate::scenario::{PolicyKind, RuntimeKind, Scenario, Task};
use crate::time::{NEVER, TimeScale};

/// The outcome of a run on cores.
pub(crate) fn of_cores<P: Policy, S: Sink>(scenario: &Scenario, run: &mut Cores<P, S>, stopped: StopReason) -> Outcome {
    let end = finish_time(&run.world, &stopped);
    let caches = &run.setup.caches;
    let cores = run.cores.iter().enumerate().map(|(number, core)| {
        let warm = caches.as_ref().map_or(0, |caches| caches.warm_time(number));
        CoreOutcome {
            cpu: number as u32,
            utilization_pct: 100.0 * ratio(core.busy, end),
            warm_pct: 100.0 * ratio(warm, end),
            switch_time: run.world.units(core.switching),
        }
    });
    let cores = cores.collect();
    let busy = run.cores.iter().map(|core| u128::from(core.busy)).sum();
    let switching = run.cores.iter().map(|core| u128::from(core.switching)).sum();
    let mut outcome = outcome(scenario, &mut run.world, stopped, end, busy, switching);
    outcome.cores = cores;
    outcome.counters.switches = run.switches;
    outcome.counters.migrations = run.migrations;
    outcome.aggregates.insert("switches".into(), Aggregate::One(run.switches as f64));
    let draws: Vec<Draws> = run.queues.iter_mut().filter_map(Policy::draws).collect();
    if !draws.is_empty() {
        winners(&mut outcome, &draws, scenario.limits.recorded as usize, &run.world);
    }
    outcome
}

/// What all lotteries drew, in order of time, and at one instant of cores.
fn winners(outcome: &mut Outcome, queues: &[Draws], most: usize, world: &World) {
    let of_queue = |draws: &Draws| {
        let drawn = draws.times.iter().zip(&draws.winners).zip(&draws.live_tickets);
        drawn.map(|((time, winner), live)| (*time, *winner, *live)).collect::<Vec<_>>()
    };
    let mut all: Vec<(u64, TaskId, u64)> = queues.iter().flat_map(of_queue).collect();
    all.sort_by_key(|(time, ..)| *time);
    outcome.truncated |= all.len() > most || queues.iter().any(|draws| draws.truncated);
    all.truncate(most);
    outcome.winners = Some(all.iter().map(|(_, winner, _)| world.tasks.traits[*winner as usize].id).collect());
    outcome.live_tickets = Some(all.iter().map(|(_, _, live)| *live).collect());
}

/// The outcome of a run of a fluid policy.
pub(crate) fn of_sharing<F: Fluid, S: Sink>(
    scenario: &Scenario,
    run: &mut Sharing<F, S>,
    stopped: StopReason,
) -> Outcome {
    let end = finish_time(&run.world, &stopped);
    let cores = u64::from(scenario.machine.cores);
    let mut outcome = outcome(scenario, &mut run.world, stopped, end, run.busy, 0);
    let share = 100.0 * ratio((run.busy / u128::from(cores)) as u64, end);
    let core = |cpu| CoreOutcome { cpu, utilization_pct: share, warm_pct: 0.0, switch_time: 0.0 };
    outcome.cores = (0..scenario.machine.cores).map(core).collect();
    outcome
}

/// Adds what the recorder kept.
pub(crate) fn timeline(outcome: &mut Outcome, recorder: &mut Recorder, scenario: &Scenario, digest: bool) {
    recorder.close();
    let keep = kept(scenario);
    let scale = super::scale::scale(scenario);
    let segment = |run: &Run| Segment {
        cpu: run.core,
        start: scale.units(run.from),
        len: scale.units(run.to - run.from),
        task: run.task,
        level: run.level,
    };
    outcome.truncated |= recorder.truncated;
    if scenario.policy.kind != PolicyKind::Ps && scenario.policy.kind != PolicyKind::Las {
        outcome.dispatches = keep.dispatches.then(|| recorder.dispatches.iter().map(segment).collect());
        outcome.run_segments = keep.run_segments.then(|| recorder.segments.iter().map(segment).collect());
    }
    outcome.queue_depth = keep.queue_depth.then(|| depths(&recorder.depths, scale));
    outcome.digest = digest.then(|| format!("{:016x}", recorder.digest));
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// When the last task ended, if all did; otherwise when the run ended.
fn finish_time(world: &World, stopped: &StopReason) -> u64 {
    if *stopped != StopReason::Finished || world.closed.is_some() || world.source.is_generated() {
        return world.now;
    }
    world.tasks.life.iter().map(|life| life.finish).filter(|finish| *finish != NEVER).max().unwrap_or(world.now)
}

fn outcome(
    scenario: &Scenario,
    world: &mut World,
    stopped: StopReason,
    end: u64,
    busy: u128,
    switching: u128,
) -> Outcome {
    wake_all(world);
    let keep = kept(scenario);
    let capacity = u128::from(end) * u128::from(scenario.machine.cores);
    let late = overdue(world);
    let tasks = if keep.per_task { task_outcomes(scenario, world) } else { Vec::new() };
    listed_histograms(scenario, world);
    let mut outcome = Outcome {
        schema: ResultSchema::Version0,
        time_unit: scenario.time_unit,
        deadlock: (stopped == StopReason::Deadlock).then(|| super::deadlock::report(world)),
        stopped,
        finish_time: world.units(end),
        idle_ticks: world.scale.units_wide(capacity.saturating_sub(busy + switching)),
        mean: means(&tasks),
        tasks,
        dispatches: None,
        run_segments: None,
        truncated: world.holders.as_ref().is_some_and(|holders| holders.truncated)
            || world.pools.queues().any(|(_, depth)| depth.truncated),
        cores: Vec::new(),
        histograms: histograms(scenario, world),
        counters: Counters {
            events: world.events - world.watch.idle,
            idle_steps: world.watch.idle,
            switches: 0,
            migrations: 0,
            deadline_misses: late,
            arrivals: world.stats.arrivals,
            drops: world.stats.drops,
            gil_switches: world.gils.switches(),
            bytes: world.sync.bytes,
        },
        aggregates: BTreeMap::new(),
        winners: None,
        live_tickets: None,
        queue_depth: None,
        work_queues: work_queues(scenario, world, end),
        holders: None,
        digest: None,
    };
    outcome.holders = holders(world);
    let mut set = |name: &str, number: f64| {
        if number.is_finite() {
            outcome.aggregates.insert(name.into(), Aggregate::One(number));
        }
    };
    let utilization = if capacity == 0 { 0.0 } else { busy as f64 / capacity as f64 };
    if scenario.closed.is_some() || world.source.is_generated() {
        window_aggregates(scenario, world, busy, &mut set);
        closed_aggregates(scenario, world, &mut set);
        open_aggregates(world, &mut set);
    } else {
        set("utilization", utilization);
        set("throughput", world.stats.served as f64 / world.units(end));
        set("makespan_no_final_or_first_switch", world.units(end));
        set("useful_fraction", utilization);
    }
    class_aggregates(world, &mut outcome.aggregates);
    outcome
}

/// Who still sleeps has slept until now.
fn wake_all(world: &mut World) {
    let now = world.now;
    for (hot, life) in world.tasks.hot.iter().zip(&mut world.tasks.life) {
        if hot.state == State::Asleep {
            life.io = life.io.wrapping_add(now);
        }
    }
}

/// Averages over time, from the end of the warm-up to the last arrival or the run's end.
fn window_aggregates(scenario: &Scenario, world: &mut World, busy: u128, set: &mut impl FnMut(&str, f64)) {
    let window = &mut world.stats.window;
    if window.state == WindowState::Open || window.state == WindowState::Closing {
        window.state = WindowState::Closing;
        window.turn(world.now, busy);
    }
    if window.state != WindowState::Closed || window.to == window.from {
        return;
    }
    let time = window.to - window.from;
    let used = (window.busy_to - window.busy_from) as f64;
    set("utilization", used / (time as f64 * f64::from(scenario.machine.cores)));
    set("throughput", window.ended as f64 / world.scale.units(time));
    if scenario.closed.is_none() {
        set("mean_in_system", window.mean_present());
    }
}

fn closed_aggregates(scenario: &Scenario, world: &World, set: &mut impl FnMut(&str, f64)) {
    let Some(closed) = &scenario.closed else { return };
    set("mean_cpu_residence", world.scale.units_wide(world.stats.residence) / world.stats.ended as f64);
    let cores = f64::from(scenario.machine.cores);
    // From where on more tasks only wait longer: N* = c (1 + Z/D).
    set("saturation_N", cores * (1.0 + closed.io.mean() / closed.cpu.mean()));
}

fn open_aggregates(world: &World, set: &mut impl FnMut(&str, f64)) {
    if !world.source.is_generated() {
        return;
    }
    let stats = &world.stats;
    let ended = stats.ended as f64;
    set("mean_response", world.scale.units_wide(stats.response) / ended);
    set("mean_wait", world.scale.units_wide(stats.wait) / ended);
    set("p_wait", stats.waited as f64 / ended);
    let arrivals = stats.arrivals.saturating_sub(stats.warmup.into());
    set("p_drop", stats.late_drops as f64 / arrivals as f64);
    set("slowdown_every_size", stats.slowdown / stats.slowdowns as f64);
    for (name, histogram) in [("response", &stats.response_histogram), ("wait", &stats.wait_histogram)] {
        let Some(histogram) = histogram.as_ref().filter(|histogram| !histogram.is_empty()) else { continue };
        for (suffix, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            set(&format!("{name}_{suffix}"), quantile_of(histogram, quantile, world));
        }
    }
}

fn class_aggregates(world: &World, aggregates: &mut BTreeMap<String, Aggregate>) {
    let classes = &world.stats.classes;
    if classes.is_empty() {
        return;
    }
    let mean = |sum: u128, ended: u64| world.scale.units_wide(sum) / ended.max(1) as f64;
    let response = classes.iter().map(|class| mean(class.response, class.ended)).collect();
    let wait = classes.iter().map(|class| mean(class.wait, class.ended)).collect();
    aggregates.insert("class_mean_response".into(), Aggregate::PerClass(response));
    aggregates.insert("class_mean_wait".into(), Aggregate::PerClass(wait));
}

/// Times of a task, if they came to be; of a periodic task those of its first job.
struct Times {
    response: Option<u64>,
    turnaround: Option<u64>,
    wait: Option<u64>,
}

fn times_of(world: &mut World, place: usize, task: Option<&Task>) -> Times {
    let (hot, life) = (world.tasks.hot[place], world.tasks.life[place]);
    let scale = world.scale;
    let periodic = world.periodic.of(place as TaskId);
    let arrival = match task {
        Some(task) if periodic.is_some() => scale.ticks(task.arrival),
        _ => life.arrival,
    };
    let turnaround = (life.finish != NEVER).then(|| life.finish.saturating_sub(arrival));
    let wait = turnaround.map(|turnaround| match periodic.filter(|periodic| periodic.first.is_some()) {
        Some(periodic) => periodic.first_wait,
        None => turnaround.saturating_sub(hot.cpu).saturating_sub(life.io),
    });
    let response = (life.first_run != NEVER).then(|| life.first_run.saturating_sub(arrival));
    Times { response, turnaround, wait }
}

fn task_outcomes(scenario: &Scenario, world: &mut World) -> Vec<TaskOutcome> {
    let listed = scenario.tasks.iter().flat_map(|task| (0..task.count).map(move |_| Some(task)));
    let tasks = listed.chain(std::iter::repeat(None)).take(world.tasks.len());
    let mut outcomes = Vec::new();
    for (place, task) in tasks.enumerate() {
        let hot = world.tasks.hot[place];
        if hot.flags & WORKER != 0 || scenario.closed.is_some() {
            continue;
        }
        let life = world.tasks.life[place];
        let times = times_of(world, place, task);
        let periodic = world.periodic.of(place as TaskId).cloned();
        let active = (!matches!(hot.state, State::Absent | State::Done)).then_some(life.arrival);
        let (now, period) = (world.now, world.tasks.traits[place].period);
        let units = |ticks: u64| world.scale.units(ticks);
        outcomes.push(TaskOutcome {
            id: world.tasks.traits[place].id,
            name: task.and_then(|task| task.name.clone()),
            response: times.response.map(units),
            turnaround: times.turnaround.map(units),
            wait: times.wait.map(units),
            finish: (life.finish != NEVER).then(|| units(life.finish)),
            cpu: units(hot.cpu),
            io: units(life.io),
            switches: hot.switches,
            migrations: hot.migrations,
            jobs: periodic.as_ref().map(|periodic| periodic.jobs),
            deadline_misses: periodic.as_ref().map(|periodic| periodic.misses + periodic.overdue(active, period, now)),
            worst_turnaround: periodic.as_ref().map(|periodic| units(periodic.worst)),
        });
    }
    outcomes
}

/// Jobs that were late, or are.
fn overdue(world: &World) -> u64 {
    let periodic = world.periodic.list.iter().map(|periodic| {
        let place = periodic.task as usize;
        let is_active = !matches!(world.tasks.hot[place].state, State::Absent | State::Done);
        let active = is_active.then_some(world.tasks.life[place].arrival);
        periodic.misses + periodic.overdue(active, world.tasks.traits[place].period, world.now)
    });
    let single = (0..world.tasks.len()).filter(|place| {
        let (life, hot) = (&world.tasks.life[*place], &world.tasks.hot[*place]);
        world.tasks.traits[*place].period == NEVER
            && life.deadline != NEVER
            && life.arrival != NEVER
            && (if hot.state == State::Done { life.finish > life.deadline } else { world.now >= life.deadline })
    });
    periodic.sum::<u64>() + single.count() as u64
}

fn means(tasks: &[TaskOutcome]) -> Option<Means> {
    let done: Vec<&TaskOutcome> = tasks.iter().filter(|task| task.turnaround.is_some()).collect();
    let mean = |of: fn(&TaskOutcome) -> Option<f64>| {
        done.iter().map(|task| of(task).unwrap_or(0.0)).sum::<f64>() / done.len() as f64
    };
    (!done.is_empty()).then(|| Means {
        response: mean(|task| task.response),
        turnaround: mean(|task| task.turnaround),
        wait: mean(|task| task.wait),
    })
}

fn quantile_of(histogram: &Histogram<u64>, quantile: f64, world: &World) -> f64 {
    let value = histogram.value_at_quantile(quantile);
    world.units(histogram.median_equivalent(value))
}

/// The quantiles over listed tasks: of those that ran, and of those that ended.
fn listed_histograms(scenario: &Scenario, world: &mut World) {
    let keep = kept(scenario);
    if scenario.tasks.is_empty() || !(keep.response || keep.turnaround || keep.wait) {
        return;
    }
    let mut histograms = [new_histogram(), new_histogram(), new_histogram()];
    for (place, task) in scenario.tasks.iter().flat_map(|task| (0..task.count).map(move |_| task)).enumerate() {
        let times = times_of(world, place, Some(task));
        for (histogram, time) in histograms.iter_mut().zip([times.response, times.turnaround, times.wait]) {
            if let (Some(histogram), Some(time)) = (histogram, time) {
                let _ = histogram.record(time); // it grows: nothing is too large
            }
        }
    }
    let [response, turnaround, wait] = histograms.map(|histogram| histogram.filter(|histogram| !histogram.is_empty()));
    world.stats.response_histogram = response.filter(|_| keep.response);
    world.stats.turnaround_histogram = turnaround.filter(|_| keep.turnaround);
    world.stats.wait_histogram = wait.filter(|_| keep.wait);
}

fn histograms(scenario: &Scenario, world: &World) -> BTreeMap<String, Quantiles> {
    let (stats, keep) = (&world.stats, kept(scenario));
    let of_generated = if world.source.is_generated() { &stats.response_histogram } else { &None };
    let turnaround = if keep.turnaround { stats.turnaround_histogram.as_ref().or(of_generated.as_ref()) } else { None };
    let response = stats.response_histogram.as_ref().filter(|_| keep.response);
    let named = [("response", response), ("turnaround", turnaround), ("wait", stats.wait_histogram.as_ref())];
    let marks = world.programs.marks.list.iter().zip(world.marks.histograms.iter().map(Option::as_ref));
    let named = named.into_iter().map(|(name, histogram)| (name.to_owned(), histogram));
    let all = named.chain(marks.map(|(name, histogram)| (format!("mark:{name}"), histogram)));
    let quantiles = |histogram: &Histogram<u64>| Quantiles {
        count: histogram.len(),
        min: world.units(histogram.min()),
        mean: histogram.mean() / world.scale.per_unit() as f64,
        p50: quantile_of(histogram, 0.5, world),
        p90: quantile_of(histogram, 0.9, world),
        p99: quantile_of(histogram, 0.99, world),
        p999: quantile_of(histogram, 0.999, world),
        max: world.units(histogram.max()),
    };
    let filled =
        |histogram: Option<&Histogram<u64>>| histogram.filter(|histogram| !histogram.is_empty()).map(quantiles);
    all.filter_map(|(name, histogram)| Some((name, filled(histogram)?))).collect()
}

/// The queues of pools, loops and M:N.
fn work_queues(scenario: &Scenario, world: &World, end: u64) -> Vec<WorkQueue> {
    let name = |number: usize| match scenario.runtime.kind {
        RuntimeKind::EventLoop => format!("loop {number}"),
        RuntimeKind::MN => "m:n threads".into(),
        _ => "pool".into(),
    };
    let queues = world.pools.queues().enumerate().map(|(number, (workers, depth))| WorkQueue {
        name: name(number),
        workers,
        mean_depth: depth.mean(end),
        max_depth: depth.most,
        depth: depth.changes().map(|changes| depths(changes, world.scale)),
    });
    queues.collect()
}

fn depths(changes: &[(u64, u32)], scale: TimeScale) -> Vec<Depth> {
    changes.iter().map(|(time, ready)| Depth { time: scale.units(*time), ready: *ready }).collect()
}

fn holders(world: &World) -> Option<Vec<Holder>> {
    let holders = world.holders.as_ref()?;
    let list = holders.list.iter().map(|holding| Holder {
        what: match holding.what {
            Held::Lock(lock) => format!("lock {}", world.programs.locks.list[lock as usize]),
            Held::Gil(gil) => format!("gil {gil}"),
        },
        task: holding.task,
        start: world.units(holding.from),
        len: world.units(holding.to.min(world.now) - holding.from),
    });
    Some(list.collect())
}
