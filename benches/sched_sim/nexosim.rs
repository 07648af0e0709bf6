//! In `NeXosim`, with one thread: one model that schedules its own events, which is what it does fastest.

use std::time::Duration;

use nexosim::model::{Context, Model, schedulable};
use nexosim::ports::EventSource;
use nexosim::simulation::{Mailbox, SimInit, Simulation};
use nexosim::time::MonotonicTime;
use serde::{Deserialize, Serialize};

use super::{Delays, Machine, RoundRobin};

#[derive(Serialize, Deserialize)]
struct Timers {
    delays: u64,
}

#[Model]
impl Timers {
    /// Sets so many timers.
    fn start(&mut self, count: u32, context: &Context<Self>) {
        for timer in 0..count {
            self.fired(timer, context);
        }
    }

    #[nexosim(schedulable)]
    fn fired(&mut self, timer: u32, context: &Context<Self>) {
        let mut delays = Delays(self.delays);
        let delay = Duration::from_nanos(delays.next());
        self.delays = delays.0;
        context.schedule_event(delay, schedulable!(Self::fired), timer).expect("a delay above 0");
    }
}

/// A simulation with so many timers.
pub(crate) fn timers(count: u32) -> Simulation {
    let mailbox = Mailbox::new();
    let mut bench = SimInit::with_num_threads(1);
    let start = EventSource::new().connect(Timers::start, &mailbox).register(&mut bench);
    let bench = bench.add_model(Timers { delays: Delays::new().0 }, mailbox, "timers");
    let mut simulation = bench.init(MonotonicTime::EPOCH).expect("one model");
    simulation.process_event(&start, count).expect("it is running");
    simulation
}

#[derive(Serialize, Deserialize)]
struct Cores {
    /// Not to be saved: no run is.
    #[serde(skip, default = "no_machine")]
    machine: Machine,
}

fn no_machine() -> Machine {
    Machine::new(RoundRobin { cores: 0, tasks: 4, quanta: 0, quantum: 1, switch: 0 })
}

#[Model]
impl Cores {
    fn start(&mut self, cores: u32, context: &Context<Self>) {
        for core in 0..cores {
            self.slice_ended(core, context);
        }
    }

    #[nexosim(schedulable)]
    fn slice_ended(&mut self, core: u32, context: &Context<Self>) {
        if let Some(after) = self.machine.slice_ended(core) {
            let after = Duration::from_nanos(after);
            context.schedule_event(after, schedulable!(Self::slice_ended), core).expect("a slice takes time");
        }
    }
}

/// Runs the round robin; gives the time at which it ends.
pub(crate) fn round_robin(shape: RoundRobin) -> u64 {
    let mailbox = Mailbox::new();
    let mut bench = SimInit::with_num_threads(1);
    let start = EventSource::new().connect(Cores::start, &mailbox).register(&mut bench);
    let bench = bench.add_model(Cores { machine: Machine::new(shape) }, mailbox, "cores");
    let mut simulation = bench.init(MonotonicTime::EPOCH).expect("one model");
    simulation.process_event(&start, shape.cores).expect("it is running");
    simulation.run().expect("it runs to its end");
    simulation.time().duration_since(MonotonicTime::EPOCH).as_nanos() as u64
}
