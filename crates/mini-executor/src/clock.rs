//! Time as a number: nanoseconds since this process first asked, 584 years of them.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

thread_local! {
    /// What time it is on this thread, if that is not what time it is: see [`deterministic`](crate::deterministic).
    static VIRTUAL: Cell<u64> = const { Cell::new(REAL) };
}

const REAL: u64 = u64::MAX;

/// Now.
pub(crate) fn now() -> u64 {
    match VIRTUAL.get() {
        REAL => real(),
        now => now,
    }
}

/// Now, whatever this thread takes it for: for what threads tell one another.
pub(crate) fn real() -> u64 {
    at(Instant::now())
}

/// Sets this thread's time, or gives it the real one back. What it was before.
pub(crate) fn pretend(now: Option<u64>) -> Option<u64> {
    let former = VIRTUAL.replace(now.unwrap_or(REAL));
    (former != REAL).then_some(former)
}

/// Now, for others.
pub(crate) fn instant() -> Instant {
    match VIRTUAL.get() {
        REAL => Instant::now(),
        now => beginning() + Duration::from_nanos(now),
    }
}

/// When this process first asked.
fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

/// A point in time; 0 for all before the first call.
pub(crate) fn at(instant: Instant) -> u64 {
    nanos(instant.saturating_duration_since(beginning()))
}

/// A duration; centuries are cut.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
