//! The shortest way from one slice to the next: every core is busy, a slice ends in the middle of a burst, and the first in the queue takes the core.
//!
//! That is most of what round robin does. Nothing here happens otherwise than in [`super::cores`] and [`super::dispatch`]: what makes their way longer
//! (siblings, caches, workers, GILs, costs to be drawn) is asked once, and not at each slice's end. Whatever else is due, they do: also all that comes
//! with a thread that does not compute as soon as it has the core. Its steps would come before the other events of the instant, which have the right of way.

use super::cores::{Cores, context};
use super::tasks::{GO, KILLED, NO_CORE, State, WOKEN};
use crate::policy::{Context, Policy, Why};
use crate::record::{Event, Sink};
use crate::time::END;

/// What a turn costs where it is always the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turns {
    pub(super) context_switch: u64,
    pub(super) tick_interrupt: u64,
}

impl<P: Policy, S: Sink> Cores<P, S> {
    /// Lets slices end until something else is due.
    #[inline]
    pub(super) fn turns(&mut self) {
        let Some(turns) = self.setup.turns.filter(|_| P::TAKES_TURNS && self.idle_count == 0) else { return };
        let limit = self.world.next_time().min(self.next_boost).min(self.setup.until.saturating_add(1)).min(END);
        // A turn is two events: the one after which the run looks up is not done here.
        let most_events = self.world.next_look.saturating_sub(2);
        while self.timers.next_time() < limit && self.world.events < most_events && self.turn(turns) {}
    }

    /// The next core's slice ends, and another begins. Gives whether that was all; if it is not, nothing has happened yet.
    #[inline]
    fn turn(&mut self, turns: Turns) -> bool {
        let (now, core) = (self.timers.next_time(), self.timers.next_core());
        let Some(next) = self.queues[0].first() else { return false };
        let coming = &self.world.tasks.hot[next as usize];
        let (flags, from, left) = (coming.flags, coming.last_core, coming.remaining);
        let state = &mut self.cores[core];
        let thread = state.thread;
        let hot = &mut self.world.tasks.hot[thread as usize];
        let ran = now.saturating_sub(state.since);
        let takes_part = flags & (GO | WOKEN | KILLED) == GO && left > 0;
        if state.starting || state.slice_ends > now || hot.remaining <= ran || !takes_part {
            return false;
        }
        hot.remaining = (hot.remaining - ran).saturating_add(turns.tick_interrupt);
        hot.cpu += ran;
        hot.state = State::Ready;
        state.busy += ran;
        self.world.now = now;
        self.world.events += 2;
        if S::LISTENS {
            self.cores[core].since = now;
            self.show(core);
            self.sink.left(core);
            self.sink.event(Event::Leave, now, core, self.world.tasks.traits[thread as usize].id);
        }
        self.queues[0].enqueue(thread, Why::SliceEnded, context!(self));
        self.queues[0].pick(context!(self), |_| true);
        self.switches += 1;
        let mut overhead = turns.context_switch;
        if from != core as u16 && from != NO_CORE {
            overhead += self.migrate(core, from as usize, next);
        }
        let starts = now + overhead;
        let hot = &mut self.world.tasks.hot[next as usize];
        hot.state = State::Running;
        hot.last_core = core as u16;
        hot.switches += 1;
        self.world.note_first_run(next, starts);
        let slice = self.queues[0].slice(next, &Context { now: starts, tasks: &self.world.tasks });
        let state = &mut self.cores[core];
        state.last = thread;
        state.thread = next;
        state.shown = next;
        state.since = starts;
        state.shown_since = starts;
        state.idle_since = now;
        state.switching = state.switching.saturating_add(overhead);
        state.slice_ends = starts.saturating_add(slice);
        self.timers.set(core, starts.saturating_add(left).min(self.cores[core].slice_ends));
        if S::LISTENS {
            self.sink.event(Event::Dispatch, starts, core, self.world.tasks.traits[next as usize].id);
        }
        true
    }
}
