//! Where tasks await: the place of the `.await` in the user's code, told by the futures that are awaited.
//!
//! An `.await` calls `Future::poll`, and the call has the place of the `.await`. So a future of ours whose `poll` is `#[track_caller]` knows
//! where it is awaited, and [says so](here) when it has to wait. That costs nothing but a few instructions in those polls: no backtrace, and
//! nobody is polled to be asked. Where another future stands in between, the place is that of its call: in a library's source for
//! one of its combinators, in Rust's own for a future behind a box or a reference, which [tells nobody anything](is_telling).
//!
//! What is `async` here would show our own files. So such functions take the caller's place when they are called, and put it in the place of
//! what the futures within said ([`from`]) or, where they poll what the user gave them, only if that said nothing ([`or`]).

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

use crate::places::Place;
use crate::task;

/// The task that this thread polls has to wait, for the future that calls this from its `#[track_caller] fn poll`.
#[track_caller]
#[inline]
pub(crate) fn here() {
    record(Location::caller());
}

/// The same, if what was polled is pending.
#[track_caller]
#[inline]
pub(crate) fn pending<T>(polled: Poll<T>) -> Poll<T> {
    if polled.is_pending() {
        here();
    }
    polled
}

/// The task that this thread polls has to wait at `place`.
#[inline]
pub(crate) fn record(place: &'static Location<'static>) {
    task::awaits(Place::of(place));
}

/// Whether a place is worth being shown: not the line in Rust's own library by which all boxes call what they hold, nor the one in ours by
/// which all tasks are polled.
pub(crate) fn is_telling(place: &Location<'_>) -> bool {
    let ours = file!().trim_end_matches("awaits.rs");
    let is_of_rust = ["/library/core/src/", "/library/alloc/src/"].iter().any(|library| place.file().contains(library));
    !is_of_rust && !place.file().starts_with(ours)
}

/// A future of ours that is awaited in `place`, whatever awaits in it.
pub(crate) async fn from<F: Future>(place: &'static Location<'static>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            record(place);
        }
        polled
    })
    .await
}

/// Polls a future of ours that is not what the task awaits.
pub(crate) fn quietly<T>(poll: impl FnOnce() -> T) -> T {
    let before = task::awaited();
    let polled = poll();
    task::awaits(before);
    polled
}

/// As [`or`], for a whole future.
pub(crate) async fn or_from<F: Future>(place: &'static Location<'static>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| or(place, || future.as_mut().poll(context))).await
}

/// Polls what is strangers' code, inside a future of ours that is awaited in `place`: that is what is said if the strangers say nothing.
#[inline]
pub(crate) fn or<T>(place: &'static Location<'static>, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
    let polled = poll();
    if polled.is_pending() && task::awaited() == Place::UNKNOWN {
        record(place);
    }
    polled
}
