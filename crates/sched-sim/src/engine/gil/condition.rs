//! A condition variable as glibc's is since 2.25 (`nptl/pthread_cond_wait.c`), which is what `CPython`'s GIL waits with.
//!
//! Who waits is in one of two groups. A signal is for the *older* group, and whoever of it looks first takes it, not the one that the kernel
//! wakes for it: that one needs microseconds to get on a core, and one that has not fallen asleep yet takes the signal without. Only when all of the
//! older group have been signalled, the newer becomes the older.

use crate::engine::tasks::TaskId;

/// Who waits, and the signals that were sent and not taken.
#[derive(Debug, Default)]
pub(super) struct Condition {
    older: Vec<TaskId>,
    /// Signals for the older group; at most as many as it has members.
    signals: usize,
    newer: Vec<TaskId>,
    /// All of their group were signalled, and it is closed: they return as soon as they look.
    closed: Vec<TaskId>,
}

impl Condition {
    /// A task begins to wait.
    pub(super) fn join(&mut self, task: TaskId) {
        self.newer.push(task);
    }

    /// A task gives up.
    pub(super) fn leave(&mut self, task: TaskId) {
        for group in [&mut self.older, &mut self.newer, &mut self.closed] {
            group.retain(|other| *other != task);
        }
        self.signals = self.signals.min(self.older.len());
    }

    /// A task that was killed waits no more. Gives whether a signal is lost with it: the one that it was woken for, if nobody has taken that, or would
    /// have taken as soon as it looked.
    pub(super) fn abandon(&mut self, task: TaskId, was_woken: bool) -> bool {
        let (was_closed, was_older) = (self.closed.contains(&task), self.older.contains(&task));
        let before = self.signals;
        self.signals -= usize::from(was_woken && was_older && before > 0);
        self.leave(task);
        was_closed || self.signals < before
    }

    /// A task that waits looks whether there is a signal for it, and takes it.
    pub(super) fn take(&mut self, task: TaskId) -> bool {
        let signalled = self.signals > 0 && self.older.contains(&task);
        if signalled {
            self.signals -= 1;
        }
        if signalled || self.closed.contains(&task) {
            self.leave(task);
            return true;
        }
        false
    }

    /// Sends a signal. Gives the one the kernel wakes for it: the first of the group that it finds in its queue.
    pub(super) fn signal(&mut self, in_queue: impl Fn(TaskId) -> bool) -> Option<TaskId> {
        if self.older.len() == self.signals {
            self.closed.append(&mut self.older);
            self.signals = 0;
            std::mem::swap(&mut self.older, &mut self.newer);
        }
        if self.older.is_empty() {
            return None;
        }
        self.signals += 1;
        self.older.iter().copied().find(|task| in_queue(*task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_first_takes_the_signal_and_not_the_one_that_is_woken() {
        let mut condition = Condition::default();
        condition.join(1);
        condition.join(2);
        assert_eq!(condition.signal(|task| task == 1), Some(1), "2 is still awake");
        assert!(condition.take(2));
        assert!(!condition.take(1));
    }

    #[test]
    fn who_comes_after_a_group_was_closed_can_not_take_its_signals() {
        let mut condition = Condition::default();
        condition.join(1);
        condition.join(2);
        assert_eq!(condition.signal(|_| true), Some(1));
        condition.join(3);
        assert_eq!(condition.signal(|task| task != 1), Some(2), "the older group first");
        assert!(!condition.take(3));
        assert!(condition.take(1) && condition.take(2));
        assert_eq!(condition.signal(|_| true), Some(3));
    }

    #[test]
    fn who_is_killed_takes_the_signal_along_that_was_for_it() {
        let mut condition = Condition::default();
        for task in 1..=3 {
            condition.join(task);
        }
        assert!(!condition.abandon(3, false), "there was none");
        assert_eq!(condition.signal(|_| true), Some(1));
        assert!(condition.abandon(1, true));
        assert!(!condition.take(2), "it was not woken");
        assert_eq!(condition.signal(|_| true), Some(2));
        condition.join(4);
        assert!(condition.abandon(2, false), "all of its group were signalled: it was the only one");
        assert_eq!(condition.signal(|_| true), Some(4));
        condition.join(5);
        assert_eq!(condition.signal(|_| true), Some(5));
        assert!(condition.abandon(4, false), "of a closed group");
    }

    #[test]
    fn who_gives_up_takes_no_signal_along() {
        let mut condition = Condition::default();
        condition.join(1);
        condition.join(2);
        assert_eq!(condition.signal(|_| true), Some(1));
        condition.leave(1);
        assert!(condition.take(2));
        assert_eq!(condition.signal(|_| true), None);
    }
}
