//! Time as a number: nanoseconds since this process first asked, 584 years of them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Now.
pub(crate) fn now() -> u64 {
    at(Instant::now())
}

/// A point in time; 0 for all before the first call.
pub(crate) fn at(instant: Instant) -> u64 {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let since = instant.saturating_duration_since(*BEGINNING.get_or_init(Instant::now));
    nanos(since)
}

/// A duration; centuries are cut.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
