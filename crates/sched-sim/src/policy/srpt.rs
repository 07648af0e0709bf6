//! Shortest remaining processing time: the task that will be done soonest has the core at every moment.
//!
//! No policy has a lower mean response time on one core (Schrage 1968); long tasks pay for it.

use super::keyed::{MostUrgent, Urgency};
use super::{Context, TaskId};

/// Ready tasks by what is left of their bursts.
pub type Srpt = MostUrgent<Remaining>;

/// By what is left of a task's burst.
#[derive(Debug)]
pub struct Remaining;

impl Urgency for Remaining {
    const OF_BURST: bool = true;

    #[inline]
    fn of(task: TaskId, context: &Context<'_>) -> u64 {
        context.tasks.remaining(task)
    }
}
