//! The GIL of Python 3.2 and later (`ceval_gil.c`), on a condition variable of glibc's: who waited for an interval in which it did not change
//! hands asks for it; the holder lets go, and with `force_switch` waits until another has had it.
//!
//! Everything a waiter does it does on a core: when its interval is over it has to be scheduled before it can ask, after a forced switch before it can
//! begin to wait. And it takes it a moment (`mode_switch`) to fall asleep. Three things follow that no queue of waiters would show:
//!
//! - The one that asked is still awake when the holder on another core lets go, and takes the signal: the one that was woken for it finds the GIL
//!   taken. So two CPU hogs pass the GIL to each other over the head of a thread that came back from I/O.
//! - That thread's own interval never passes without a switch, so it never asks, unless its waits drift away from those of the hogs.
//! - It gets its turn when it is in the older group of waiters alone, because it had no core when its interval was over; or when the one that asked
//!   had to share a core with the holder, and is asleep when that one runs on; or when the holder needs longer to notice (`gil_notice`).

use super::Gils;
use crate::engine::steps::Next;
use crate::engine::tasks::{GO, NONE, State, TaskId};
use crate::engine::world::{TIMER_GIL, TIMER_NOTICE, World};
use crate::policy::Why;

/// What a task does that wants the GIL.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiter {
    phase: Phase,
    /// When it has waited for an interval.
    deadline: u64,
    /// How often the GIL had changed hands when it began to wait.
    switches: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// It does not wait on the condition variable.
    #[default]
    Away,
    /// It waits, and is on its way to sleep.
    Settling,
    Asleep,
    /// Its interval is over, but it has not been on a core since; the kernel finds it in its queue yet.
    TimedOut,
    /// It was woken for a signal, and has not been on a core since.
    Signalled,
}

impl Gils {
    fn waiter(&mut self, task: TaskId) -> &mut Waiter {
        if self.waiters.len() <= task as usize {
            self.waiters.resize(task as usize + 1, Waiter::default());
        }
        &mut self.waiters[task as usize]
    }

    /// A task waits no more: its interval was over.
    fn forget(&mut self, number: usize, task: TaskId) {
        self.list[number].condition.leave(task);
        *self.waiter(task) = Waiter::default();
    }
}

impl World {
    /// A task that was killed waits no more. A signal that is lost with it is the next one's, as long as the GIL is free.
    pub(super) fn abandon_interval(&mut self, task: TaskId) {
        let number = self.gil_of(task);
        let phase = std::mem::take(self.gils.waiter(task)).phase;
        if phase == Phase::Away {
            return;
        }
        if phase == Phase::Asleep {
            self.clear_timer(task);
        }
        let gil = &mut self.gils.list[number];
        if gil.condition.abandon(task, phase == Phase::Signalled) && gil.holder == NONE {
            self.signal_gil(number);
        }
    }

    /// Begins to wait; returns when the interval is over or a signal came, see [`World::look_for_gil`].
    pub(super) fn wait_an_interval(&mut self, task: TaskId) -> Next {
        let number = self.gil_of(task);
        let slack = self.cost(self.charges.timer_slack);
        let deadline = self.now.saturating_add(self.gils.interval).saturating_add(slack);
        let switches = self.gils.list[number].switches;
        self.gils.list[number].condition.join(task);
        *self.gils.waiter(task) = Waiter { phase: Phase::Settling, deadline, switches };
        let settling = self.cost(self.charges.mode_switch);
        if settling == 0 {
            return self.fall_asleep(task);
        }
        let hot = &mut self.tasks.hot[task as usize];
        hot.remaining = settling;
        hot.flags |= GO;
        Next::Run
    }

    fn fall_asleep(&mut self, task: TaskId) -> Next {
        let number = self.gil_of(task);
        let waiter = self.gils.waiter(task);
        waiter.phase = Phase::Asleep;
        let deadline = waiter.deadline;
        self.sleep_for_gil(task, number);
        self.set_timer(task, deadline, TIMER_GIL);
        Next::Blocked
    }

    /// A waiter is on a core: is there a signal for it, or is its interval over? `None`: it does not wait.
    pub(super) fn look_for_gil(&mut self, task: TaskId) -> Option<Next> {
        let number = self.gil_of(task);
        let Waiter { phase, deadline, switches } = *self.gils.waiter(task);
        if phase == Phase::Away {
            return None;
        }
        if self.gils.list[number].condition.take(task) {
            self.gils.waiter(task).phase = Phase::Away;
            return None;
        }
        if self.now < deadline {
            return Some(self.fall_asleep(task));
        }
        self.gils.forget(number, task);
        let gil = &self.gils.list[number];
        if gil.holder != NONE && gil.switches == switches {
            self.ask_for_gil(number);
        }
        None
    }

    fn ask_for_gil(&mut self, number: usize) {
        let gil = &mut self.gils.list[number];
        gil.requested = true;
        let holder = gil.holder;
        if gil.noticing && self.tasks.hot[holder as usize].state == State::Running {
            return; // It is about to notice that somebody asked: a second one does not make it later.
        }
        let notice = self.cost(self.charges.gil_notice);
        let hot = &mut self.tasks.hot[holder as usize];
        if hot.state != State::Running {
            // Without a core: it lets go when it has one again.
            hot.flags &= !GO;
        } else if notice == 0 {
            self.pokes.push(holder);
        } else {
            self.gils.list[number].noticing = true;
            self.set_timer(holder, self.now.saturating_add(notice), TIMER_NOTICE);
        }
    }

    /// A running holder looks up, and sees the request if nothing has come between.
    pub(crate) fn notice_request(&mut self, task: TaskId) {
        let number = self.gil_of(task);
        let gil = &mut self.gils.list[number];
        gil.noticing &= gil.holder != task;
        let hot = &mut self.tasks.hot[task as usize];
        if gil.holder != task || !gil.requested {
            return;
        }
        if hot.state == State::Running {
            self.pokes.push(task);
        } else {
            hot.flags &= !GO;
        }
    }

    /// A waiter's interval is over: it needs a core to do something about it.
    pub(crate) fn gil_timeout(&mut self, task: TaskId) {
        let waiter = self.gils.waiter(task);
        if waiter.phase == Phase::Asleep {
            waiter.phase = Phase::TimedOut;
            self.wake(task, Why::Woken);
        }
    }

    /// Signals that the GIL is free.
    pub(super) fn signal_gil(&mut self, number: usize) {
        let Gils { list, waiters, .. } = &mut self.gils;
        let in_queue = |task: TaskId| matches!(waiters[task as usize].phase, Phase::Asleep | Phase::TimedOut);
        let Some(task) = list[number].condition.signal(in_queue) else { return };
        let before = std::mem::replace(&mut waiters[task as usize].phase, Phase::Signalled);
        if before == Phase::Asleep {
            self.clear_timer(task);
            self.wake(task, Why::Woken);
        }
    }

    /// The holder was asked, and lets go.
    pub(crate) fn give_up_gil(&mut self, task: TaskId) -> Next {
        let number = self.gil_of(task);
        if self.gils.list[number].holder != task || !self.gils.list[number].requested {
            return Next::Run;
        }
        if self.settle_burst(task) == 0 {
            return Next::Run;
        }
        self.let_go(task);
        if !self.gils.force_switch {
            return self.take_gil(task);
        }
        self.sleep_for_gil(task, number);
        self.gils.list[number].forced = task;
        Next::Blocked
    }

    /// A task took the GIL: who waited for that can go on, and want it again.
    pub(super) fn end_forced_switch(&mut self, number: usize) {
        let forced = std::mem::replace(&mut self.gils.list[number].forced, NONE);
        if forced != NONE {
            self.wake(forced, Why::Woken);
        }
    }
}
