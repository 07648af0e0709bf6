//! The engine: builds a run from a scenario, runs it, and hands over what came out.
//!
//! - [`tasks`]: the tasks as columns; [`compile`]: their programs.
//! - [`world`], [`steps`], [`effects`]: what tasks do, and what they wait for ([`sync`], [`gil`], [`pool`]).
//! - [`cores`], [`queueing`], [`dispatch`], [`rounds`]: who runs where ([`placement`], [`smt`], [`cache`]); [`sharing`]: the same for fluid policies.

mod arrivals;
mod build;
mod cache;
mod compile;
mod cores;
mod deadlock;
mod depth;
mod dispatch;
mod effects;
mod finish;
mod gil;
mod holdings;
mod interrupt;
mod kept;
mod placement;
mod pool;
mod queueing;
mod rounds;
mod scale;
mod sharing;
mod smt;
mod stats;
mod steps;
mod sync;
mod tasks;
mod turns;
mod world;

pub(crate) use compile::every_step;
pub use interrupt::Control;
pub(crate) use scale::scale as scale_of;
#[cfg(test)]
pub(crate) use tasks::Traits;
pub use tasks::{TaskId, Tasks};

use crate::check::{Problems, check};
use crate::outcome::Outcome;
use crate::policy::fluid::Fluid;
use crate::policy::{self, Policy};
use crate::record::{Nothing, Recorder, Sink};
use crate::scenario::{PolicyKind, Scenario, TimeUnit};

/// How to run a scenario; what is in the result stands in the scenario itself.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Compute the digest of the event stream. Without it, and with nothing of the timeline to record, recording is compiled out.
    pub digest: bool,
    /// To end the run early, and to see how far it is.
    pub control: Control,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { digest: true, control: Control::default() }
    }
}

/// Runs a scenario.
///
/// # Errors
///
/// All that is wrong with the scenario; then nothing was run. A run that does not come to its end (a deadlock, a limit) is no error: the
/// outcome says so in `stopped`.
pub fn simulate(scenario: &Scenario, options: &RunOptions) -> Result<Outcome, Problems> {
    check(scenario)?;
    Ok(match scenario.policy.kind {
        PolicyKind::Fifo => run::<policy::fifo::Fifo>(scenario, options),
        PolicyKind::Sjf => run::<policy::sjf::Sjf>(scenario, options),
        PolicyKind::Srpt => run::<policy::srpt::Srpt>(scenario, options),
        PolicyKind::Rr => run::<policy::rr::RoundRobin>(scenario, options),
        PolicyKind::Priority => run::<policy::priority::FixedPriority>(scenario, options),
        PolicyKind::Mlfq => run::<policy::mlfq::Mlfq>(scenario, options),
        PolicyKind::Lottery => run::<policy::lottery::Lottery>(scenario, options),
        PolicyKind::Stride => run::<policy::stride::Stride>(scenario, options),
        PolicyKind::Cfs => run::<policy::cfs::Cfs>(scenario, options),
        PolicyKind::Eevdf => run::<policy::eevdf::Eevdf>(scenario, options),
        PolicyKind::Rm => run::<policy::rm::RateMonotonic>(scenario, options),
        PolicyKind::Edf => run::<policy::edf::EarliestDeadline>(scenario, options),
        PolicyKind::WorkStealing => run::<policy::work_stealing::WorkStealing>(scenario, options),
        PolicyKind::Ps => share::<policy::ps::ProcessorSharing>(scenario, options),
        PolicyKind::Las => share::<policy::las::LeastAttained>(scenario, options),
    })
}

fn run<P: Policy>(scenario: &Scenario, options: &RunOptions) -> Outcome {
    match recorder(scenario, options) {
        None => run_with::<P, Nothing>(scenario, options, Nothing).0,
        Some(recorder) => {
            let (mut outcome, mut recorder) = run_with::<P, Recorder>(scenario, options, recorder);
            finish::timeline(&mut outcome, &mut recorder, scenario, options.digest);
            outcome
        }
    }
}

fn run_with<P: Policy, S: Sink>(scenario: &Scenario, options: &RunOptions, sink: S) -> (Outcome, S) {
    let (world, setup, queues) = build::for_cores::<P>(scenario, options);
    let mut cores = cores::Cores::new(world, setup, queues, scenario.machine.cores as usize, sink);
    let stopped = cores.run();
    let outcome = finish::of_cores(scenario, &mut cores, stopped);
    (outcome, cores.sink)
}

fn share<F: Fluid>(scenario: &Scenario, options: &RunOptions) -> Outcome {
    match recorder(scenario, options) {
        None => share_with::<F, Nothing>(scenario, options, Nothing).0,
        Some(recorder) => {
            let (mut outcome, mut recorder) = share_with::<F, Recorder>(scenario, options, recorder);
            finish::timeline(&mut outcome, &mut recorder, scenario, options.digest);
            outcome
        }
    }
}

fn share_with<F: Fluid, S: Sink>(scenario: &Scenario, options: &RunOptions, sink: S) -> (Outcome, S) {
    let world = build::world(scenario, options);
    let policy = F::new(scenario.machine.cores);
    let until = scale::until(scenario, world.scale);
    let mut sharing = sharing::Sharing::new(world, policy, until, sink);
    let stopped = sharing.run();
    let outcome = finish::of_sharing(scenario, &mut sharing, stopped);
    (outcome, sharing.sink)
}

fn recorder(scenario: &Scenario, options: &RunOptions) -> Option<Recorder> {
    let keep = kept::kept(scenario);
    let any = options.digest || keep.dispatches || keep.run_segments || keep.queue_depth;
    any.then(|| {
        let timeline = (keep.dispatches, keep.run_segments, keep.queue_depth);
        Recorder::new(scenario.machine.cores as usize, timeline, scenario.limits.recorded)
    })
}

/// Milliseconds in a time unit; a tick and a mean service time count as one.
pub(crate) fn milliseconds(unit: TimeUnit, milliseconds: f64) -> f64 {
    match unit {
        TimeUnit::Ns => milliseconds * 1e6,
        TimeUnit::Us => milliseconds * 1e3,
        TimeUnit::Ms | TimeUnit::Tick | TimeUnit::ServiceMean => milliseconds,
    }
}
