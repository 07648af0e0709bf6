//! Earliest deadline first: the job whose deadline is nearest has the core (Liu and Layland 1973).
//!
//! On one core it meets all deadlines whenever any policy could. Tasks without a deadline come last.

use super::keyed::{MostUrgent, Urgency};
use super::{Context, TaskId};

/// Ready tasks by deadline.
pub type EarliestDeadline = MostUrgent<Deadline>;

/// By a task's deadline.
#[derive(Debug)]
pub struct Deadline;

impl Urgency for Deadline {
    #[inline]
    fn of(task: TaskId, context: &Context<'_>) -> u64 {
        context.tasks.deadline(task)
    }
}
