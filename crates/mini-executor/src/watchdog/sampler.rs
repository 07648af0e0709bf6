//! The watchdog's own thread.
//!
//! It keeps all of the time that there is to keep: threads only say *what* they poll, and it counts for how long it has found the same. With
//! a threshold of 100 ms it looks every 10:
//!
//! ```text
//!   looks at    10     20     ...    70     ...    120     ...    220     ...    420 ms
//!   finds       a      b             b             b              b              b
//!   counts             0             50            100            200            400 ms
//!                      it is new     notes what    reports it     again, for     and again
//!                                    it has had                   it has
//!                                    of the CPUs                  doubled
//! ```
//!
//! While no thread polls anything it sleeps, and wakes nobody's laptop: the first that polls again finds the flag and wakes it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{LazyLock, OnceLock};
use std::thread::{Builder, Thread, ThreadId};
use std::time::{Duration, Instant};

use super::hang::{self, Hang};
use super::kernel::{Activity, Usage};
use super::signal::{self, Captured};
use super::watch::{Current, Watch, Word, watches};
use crate::clock;

/// How often in a threshold the watchdog looks.
const LOOKS: u32 = 10;
/// However short the threshold is.
const SHORTEST_STEP: Duration = Duration::from_millis(1);
/// Looks that find every thread asleep, before the watchdog goes to sleep itself.
const IDLE_LOOKS: u32 = 3;

const DEFAULT: Duration = Duration::from_millis(100);
const VARIABLE: &str = "MINI_EXECUTOR_HANG_MS";

/// In nanoseconds; 0 for off.
static THRESHOLD: LazyLock<AtomicU64> = LazyLock::new(|| {
    let milliseconds = std::env::var(VARIABLE).ok().and_then(|text| text.trim().parse().ok());
    AtomicU64::new(clock::nanos(milliseconds.map_or(DEFAULT, Duration::from_millis)))
});

static THREAD: OnceLock<Option<Thread>> = OnceLock::new();

/// The watchdog sleeps, or will unless it is woken.
static IS_ASLEEP: AtomicBool = AtomicBool::new(false);

/// How long a poll may last before it is reported; `None` for ever. 100 ms unless it is set, here or, in milliseconds, by the environment
/// variable `MINI_EXECUTOR_HANG_MS` (0 for never; what is no number does not count).
///
/// ```
/// mini_executor::set_hang_threshold(Some(std::time::Duration::from_millis(20)));
/// ```
pub fn set_hang_threshold(threshold: Option<Duration>) {
    THRESHOLD.store(threshold.map_or(0, |threshold| clock::nanos(threshold).max(1)), Relaxed);
    // First, for who is to be woken has to be there.
    start_if_on();
    wake();
}

fn threshold() -> Option<Duration> {
    Some(THRESHOLD.load(Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// Starts the watchdog, once, unless it is off.
pub(super) fn start_if_on() {
    if threshold().is_none() {
        return;
    }
    // A program that may have no more threads runs on without.
    let spawn =
        || Builder::new().name("mini-watchdog".to_owned()).spawn(run).ok().map(|handle| handle.thread().clone());
    THREAD.get_or_init(spawn);
}

/// This thread begins to run something: the watchdog is to look at it.
#[inline]
pub(super) fn rouse() {
    if IS_ASLEEP.load(Relaxed) {
        wake();
    }
}

#[cold]
fn wake() {
    IS_ASLEEP.store(false, Relaxed);
    THREAD.get().into_iter().flatten().for_each(Thread::unpark);
}

fn run() {
    let mut idle_looks = 0;
    loop {
        let Some(threshold) = threshold() else {
            std::thread::park();
            continue;
        };
        let step = (threshold / LOOKS).max(SHORTEST_STEP);
        let begin = Instant::now();
        std::thread::park_timeout(step);
        // A process that was stopped, or hardly scheduled, did not hang for as long as that.
        let slept = begin.elapsed().min(2 * step);
        let awake = watches().iter().filter(|watch| look(watch, slept, threshold)).count();
        idle_looks = if awake > 0 { 0 } else { idle_looks + 1 };
        if idle_looks == IDLE_LOOKS {
            // A thread that wakes from now on sees this. One that woke just before, and did not see it, is
            // seen at the next look: what it stored is visible long before. So neither side needs a fence, which would cost
            // the threads more than the rest.
            IS_ASLEEP.store(true, Relaxed);
        } else if idle_looks > IDLE_LOOKS {
            while IS_ASLEEP.load(Relaxed) {
                std::thread::park();
            }
            idle_looks = 0;
        }
    }
}

/// What the watchdog knows of a thread.
#[derive(Debug, Default)]
pub(super) struct Seen {
    word: Word,
    /// For how long the word has been the same.
    unchanged: Duration,
    /// When to report it again.
    next: Duration,
    /// From the middle of the first threshold on.
    usage: Option<Usage>,
}

/// Looks at a thread, `slept` after it looked before; tells whether it was awake since.
fn look(watch: &Watch, slept: Duration, threshold: Duration) -> bool {
    let looked = watch.look(|word| {
        let mut seen = watch.seen();
        let now = word();
        if now != seen.word {
            *seen = Seen { word: now, ..Seen::default() };
            return true;
        }
        if now.current() == Current::Nothing {
            return false;
        }
        seen.unchanged += slept;
        if seen.usage.is_none() && seen.unchanged * 2 >= threshold {
            seen.usage = Usage::of(watch.id);
        }
        if seen.unchanged >= threshold.max(seen.next) {
            explain(watch, &seen, word);
            seen.next = seen.unchanged * 2;
        }
        true
    });
    looked.unwrap_or(false)
}

/// Finds out what a thread does that does not end meanwhile, and has it reported.
fn explain(watch: &Watch, seen: &Seen, word: &dyn Fn() -> Word) {
    // Asked before the signal comes, which changes the answer.
    let activity = Activity::of(watch.id, seen.usage);
    let captured = signal::capture(watch.id);
    if captured.as_ref().map_or_else(word, |captured| captured.word) != seen.word {
        // It is over.
        return;
    }
    let (name, spawned) = captured.as_ref().map_or((None, None), |captured| (captured.name.clone(), captured.spawned));
    let hang = Hang {
        is_task: seen.word.current() != Current::BlockOn,
        name,
        spawned,
        lasted: seen.unchanged,
        thread: watch.thread.name().map(str::to_owned),
        thread_id: watch.id,
        activity,
        stack: Vec::new(),
    };
    hang::send(hang, captured);
}

/// Asks a thread what it is at, for those who cannot wait for it any longer: the end of a runtime. `None` where it is not known or does
/// not answer, or the watchdog is off.
pub(crate) fn ask(thread: ThreadId) -> Option<Captured> {
    threshold()?;
    let watch = watches().into_iter().find(|watch| watch.thread.id() == thread)?;
    watch.look(|_| signal::capture(watch.id))?
}
