//! In simrs, single-threaded, with events in boxes.

use std::cell::RefCell;
use std::time::Duration;

use simrs::{Component, ComponentId, Scheduler, Simulation, State};

use super::{Delays, Machine, RoundRobin};

struct Timers {
    delays: RefCell<Delays>,
}

#[derive(Debug)]
struct Fired(u32);

impl Component for Timers {
    type Event = Fired;

    fn process_event(&self, this: ComponentId<Fired>, event: &Fired, scheduler: &mut Scheduler, _: &mut State) {
        scheduler.schedule(Duration::from_nanos(self.delays.borrow_mut().next()), this, Fired(event.0));
    }
}

/// A simulation with so many timers.
pub(crate) fn timers(count: u32) -> Simulation {
    let mut simulation = Simulation::default();
    let mut delays = Delays::new();
    let first: Vec<u64> = (0..count).map(|_| delays.next()).collect();
    let component = simulation.add_component(Timers { delays: RefCell::new(delays) });
    for (timer, delay) in (0..).zip(first) {
        simulation.schedule(Duration::from_nanos(delay), component, Fired(timer));
    }
    simulation
}

struct Cores {
    machine: RefCell<Machine>,
}

impl Component for Cores {
    type Event = Fired;

    fn process_event(&self, this: ComponentId<Fired>, event: &Fired, scheduler: &mut Scheduler, _: &mut State) {
        if let Some(after) = self.machine.borrow_mut().slice_ended(event.0) {
            scheduler.schedule(Duration::from_nanos(after), this, Fired(event.0));
        }
    }
}

/// Runs the round robin; gives the time at which it ends.
pub(crate) fn round_robin(shape: RoundRobin) -> u64 {
    let mut simulation = Simulation::default();
    let component = simulation.add_component(Cores { machine: RefCell::new(Machine::new(shape)) });
    for core in 0..shape.cores {
        simulation.schedule(Duration::ZERO, component, Fired(core));
    }
    while simulation.step() {}
    simulation.scheduler.time().as_nanos() as u64
}
