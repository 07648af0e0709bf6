//! The state of a task that moves between threads: one atomic word.
//!
//! A task of an [`Executor`](crate::Executor) is polled now by this worker and now by that one, so no thread can have a word of its own,
//! as in [`state`](super::state): all that is known of the task is in the header's `shared` word, and every change of it is one atomic
//! operation. What the flags grant is *exclusion*: at any time at most one party may touch the future ([`SCHEDULED`] or [`RUNNING`]),
//! one the outcome, and one the awaiter ([`AWAITED`]).
//!
//! ```text
//!            wake                    taken out of a queue
//!   idle ───────────▶ SCHEDULED ───────────────────────────▶ RUNNING ─────────▶ DONE
//!    ▲                    ▲                                   │  │  ▲    ready
//!    │                    └───────────────────────────────────┘  │  │ wake
//!    │                      pending, and woken meanwhile         │  ▼
//!    └───────────────────────────────────────────────────────────┘ RUNNING | SCHEDULED
//!                           pending
//! ```
//!
//! References are held as those of a local task: by the executor until the task is done, by the handle, and by every waker. The right to
//! poll needs none of its own, for while it is held the task isn't done.
//!
//! Three flags and the count stand where [`state::shared`](super::state::shared) has its own of the same meaning: an ended task is
//! let go of by the same code.

use super::state::shared;

/// There is no future any more: it came to its end, or panicked, or was dropped. Set once, by who had the right to poll it, together
/// with clearing [`SCHEDULED`] and [`RUNNING`], which are never set again: a done task stands in no queue.
pub(super) const DONE: u32 = shared::DONE;

/// The task is to be polled. Set by whoever wakes it. Who finds it neither set nor the task [`RUNNING`] has thereby got the *right to
/// poll*, a [`Scheduled`](super::Scheduled), and has to put it into a queue; who takes it out there has the right then. Set on a running
/// task it is a note to its worker, who queues the task when the poll is over. Cleared as the poll begins, by the same step that
/// sets [`RUNNING`].
pub(super) const SCHEDULED: u32 = shared::QUEUED;

/// The future is to be dropped instead of being polled again. Set together with [`SCHEDULED`], when the handle is dropped or cancelled,
/// so that somebody comes by to do it.
pub(super) const CLOSED: u32 = shared::CLOSED;

/// The handle was dropped or detached: nobody will come for the outcome.
pub(super) const ABANDONED: u32 = shared::ABANDONED;

/// The awaiter is a waker, and belongs to who ends the task. While this is not set the awaiter belongs to the handle, which writes it
/// first and sets the flag then; to write anew, it clears the flag first. Each of the two steps fails where the task is done meanwhile, and
/// then there is no more need to wait. (So it is the awaiter's lock as well. tokio's join handles use the same idea.)
pub(super) const AWAITED: u32 = 1 << 4;

/// The task is being polled, or its future dropped. Set and cleared by who has the right to poll it.
pub(super) const RUNNING: u32 = 1 << 5;

/// A result lies where the future was. Set together with [`DONE`]; from then on the result is the handle's.
pub(super) const OUTPUT: u32 = 1 << 6;

/// One reference.
pub(super) const ONE: u32 = shared::ONE;

/// From [`SCHEDULED`] to [`RUNNING`], for a single addition: the one is known to be set and the other not to be.
pub(super) const BEGIN: u32 = RUNNING - SCHEDULED;

/// Whether nobody has the right to poll the task: who then sets [`SCHEDULED`] has it.
pub(super) const fn is_idle(word: u32) -> bool {
    word & (SCHEDULED | RUNNING | DONE) == 0
}
