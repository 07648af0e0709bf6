//! Who waits for whom, when nothing can happen any more.

use super::sync::WaitsFor;
use super::tasks::{NONE, State, TaskId, WORKER};
use super::world::World;
use crate::outcome::{Blocked, Deadlock};

/// Everybody who waits, and a circle if there is one.
pub(crate) fn report(world: &World) -> Deadlock {
    let count = world.tasks.len() as TaskId;
    let waits = |task: &TaskId| {
        let hot = &world.tasks.hot[*task as usize];
        hot.state == State::Waiting && hot.flags & WORKER == 0
    };
    let waiting: Vec<TaskId> = (0..count).filter(waits).collect();
    let id = |task: TaskId| world.tasks.traits[task as usize].id;
    let blocked = waiting.iter().map(|task| {
        let holder = awaited(world, *task);
        Blocked {
            task: id(*task),
            waits_for: describe(world, world.waits_for[*task as usize]),
            held_by: (holder != NONE).then(|| id(holder)),
            holder_has_ended: holder != NONE && world.tasks.hot[holder as usize].state == State::Done,
        }
    });
    Deadlock { waiting: blocked.collect(), cycle: cycle(world, &waiting).into_iter().map(id).collect() }
}

/// The one task that could end another's waiting.
fn awaited(world: &World, task: TaskId) -> TaskId {
    match world.waits_for[task as usize] {
        WaitsFor::Lock(lock) => world.sync.locks[lock as usize].holder,
        WaitsFor::End(other) => other,
        WaitsFor::Gil(gil) => world.gils.holder(gil),
        _ => NONE,
    }
}

/// Follows who waits for whom from each task until it comes back to where it was.
fn cycle(world: &World, waiting: &[TaskId]) -> Vec<TaskId> {
    // 0: not seen; otherwise the number of the walk that came by.
    let mut seen = vec![0_u32; world.tasks.len()];
    for (walk, start) in (1..).zip(waiting) {
        let mut path = Vec::new();
        let mut task = *start;
        while task != NONE && seen[task as usize] == 0 {
            seen[task as usize] = walk;
            path.push(task);
            task = awaited(world, task);
        }
        if task != NONE && seen[task as usize] == walk {
            let from = path.iter().position(|other| *other == task).unwrap_or(0);
            return path.split_off(from);
        }
    }
    Vec::new()
}

fn describe(world: &World, what: WaitsFor) -> String {
    let name = |list: &[String], number: u32| list.get(number as usize).cloned().unwrap_or_default();
    let programs = &world.programs;
    match what {
        WaitsFor::Nothing => "nothing".into(),
        WaitsFor::Lock(n) => format!("lock {}", name(&programs.locks.list, n)),
        WaitsFor::Semaphore(n) => format!("semaphore {}", name(&programs.semaphores.list, n)),
        WaitsFor::Condition(n) => format!("condition {}", name(&programs.conditions.list, n)),
        WaitsFor::Message(n) => format!("a message from channel {}", name(&programs.channels.list, n)),
        WaitsFor::Room(n) => format!("room in channel {}", name(&programs.channels.list, n)),
        WaitsFor::End(task) => format!("the end of task {}", world.tasks.traits[task as usize].id),
        WaitsFor::Gil(n) => format!("gil {n}"),
        WaitsFor::Worker(_) => "a worker".into(),
        WaitsFor::Work(_) => "work".into(),
    }
}
