//! What all threads allocate, while somebody asks.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{PoisonError, RwLock};

use crate::counters::Call;
use crate::measure::require_installed;
use crate::scope::Tally;
use crate::stats::Stats;
use crate::system_arc::SystemArc;

/// So many may ask at the same time.
const MOST: usize = 16;

/// Those who ask. Whoever counts holds it for reading, so that nobody counts to one who has heard already.
static ASKERS: RwLock<[Option<SystemArc<Tally>>; MOST]> = RwLock::new([const { None }; MOST]);

/// How many they are. Read by every call of the allocator, written only when somebody begins or ends to ask.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

#[allow(clippy::inline_always, reason = "each call of the allocator passes through")]
#[inline(always)]
pub(crate) fn is_watched() -> bool {
    WATCHERS.load(Relaxed) != 0
}

/// Counts a call to all who ask.
pub(crate) fn count(call: Call) {
    if is_watched() {
        for tally in ASKERS.read().unwrap_or_else(PoisonError::into_inner).iter().flatten() {
            tally.count(call);
        }
    }
}

/// What all threads of the process allocate during a call.
///
/// For programs that have the process to themselves: whatever other threads do counts as well, the test harness's and other tests' included.
/// While it is open, all allocations of all threads write the same counters, and take tens of nanoseconds more. The [`peak`](Stats::peak)
/// is exact. Sums without a peak are there at any time and cost nothing: [`process_totals`](crate::process_totals).
///
/// # Panics
/// If the call does, if no [`Tracked`](crate::Tracked) is installed, or if 16 others measure the process already.
#[track_caller]
pub fn measure_process<R>(work: impl FnOnce() -> R) -> Stats {
    require_installed();
    let watch = Watch::begin(SystemArc::new(Tally::part_of(None)));
    let result = work();
    let stats = watch.tally().stats();
    drop(watch);
    drop(result);
    stats
}

/// While it is there, all calls are counted to a tally.
#[derive(Debug)]
pub(crate) struct Watch {
    place: usize,
    tally: SystemArc<Tally>,
}

impl Watch {
    #[track_caller]
    pub(crate) fn begin(tally: SystemArc<Tally>) -> Self {
        let place = {
            let mut askers = ASKERS.write().unwrap_or_else(PoisonError::into_inner);
            let place = askers.iter().position(Option::is_none);
            if let Some(place) = place {
                askers[place] = Some(tally.clone());
                WATCHERS.fetch_add(1, Relaxed);
            }
            place
        };
        let place = place.unwrap_or_else(|| panic!("{MOST} others measure the process already"));
        Self { place, tally }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        ASKERS.write().unwrap_or_else(PoisonError::into_inner)[self.place] = None;
        WATCHERS.fetch_sub(1, Relaxed);
    }
}
