//! What [`Runtime`] has of this.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use super::simulation::Simulation;
use super::trace::Trace;
use crate::runtime::Runtime;

impl Runtime {
    /// A runtime without threads, whose schedule is decided by `seed` and whose time is virtual: one seed, one run, however often.
    /// Its tasks run in [`block_on`](Self::block_on), on the thread that calls it. For tests: see [`deterministic`](crate::deterministic),
    /// and [`explore`](crate::explore) for many seeds at once.
    ///
    /// ```
    /// use mini_executor::{Runtime, sleep};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::deterministic(7);
    /// let task = runtime.spawn(async {
    ///     sleep(Duration::from_hours(24)).await; // takes no time
    ///     "done"
    /// });
    /// assert_eq!(runtime.block_on(task), "done");
    /// println!("{}", runtime.trace().unwrap());
    /// ```
    pub fn deterministic(seed: u64) -> Self {
        Self::simulated(Arc::new(Simulation::new(seed)))
    }

    /// What ran so far, in which order, in a [deterministic](Self::deterministic) runtime; `None` in others.
    pub fn trace(&self) -> Option<Trace> {
        self.shared.simulation.as_ref().map(|simulation| simulation.trace())
    }

    /// Runs `future` in a deterministic runtime, until `stop`, which is asked after each step, says why not to go on: that is the error, or a
    /// deadlock.
    pub(crate) fn simulate<T>(
        &self,
        future: impl Future<Output = T>,
        caller: &'static Location<'static>,
        stop: impl Fn(u64) -> Option<String>,
    ) -> Result<T, String> {
        let simulation = self.shared.simulation.as_ref().expect("it is called for deterministic runtimes alone");
        simulation.drive(&self.shared.executor, &self.shared.driver, future, caller, stop)
    }
}
