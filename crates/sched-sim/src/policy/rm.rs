//! Rate monotonic: the shorter a task's period, the more urgent it is, always (Liu and Layland 1973).
//!
//! Tasks without a period come last. [`crate::analysis`] says beforehand whether deadlines hold.

use super::keyed::{MostUrgent, Urgency};
use super::{Context, TaskId};

/// Ready tasks by period.
pub type RateMonotonic = MostUrgent<Period>;

/// By a task's period.
#[derive(Debug)]
pub struct Period;

impl Urgency for Period {
    #[inline]
    fn of(task: TaskId, context: &Context<'_>) -> u64 {
        context.tasks.period(task)
    }
}
