//! Looks up from the simulation now and then: has somebody pressed Ctrl-C, is a limit reached?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::world::World;
use crate::outcome::StopReason;

/// What a run and whoever started it tell each other while it goes on.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Set to end the run with what it has.
    pub stop: Arc<AtomicBool>,
    /// Events so far, updated now and then.
    pub events: Arc<AtomicU64>,
}

/// Looks at a [`Control`] every so many instants.
#[derive(Debug)]
pub(crate) struct Watch {
    control: Control,
    instants: u32,
}

/// Between two looks pass about 100 microseconds.
const INSTANTS: u32 = 4096;

impl Watch {
    pub(crate) fn new(control: Control) -> Self {
        Self { control, instants: 0 }
    }

    /// Why the run has to end, if it has to.
    #[inline]
    pub(crate) fn look(&mut self, world: &World) -> Option<StopReason> {
        self.instants += 1;
        if world.events >= world.event_limit {
            return Some(StopReason::EventLimit);
        }
        if self.instants < INSTANTS {
            return None;
        }
        self.instants = 0;
        self.control.events.store(world.events, Ordering::Relaxed);
        self.control.stop.load(Ordering::Relaxed).then_some(StopReason::Interrupted)
    }
}
