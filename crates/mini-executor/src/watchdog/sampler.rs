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

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::hang::Polled;
use super::kernel::{Activity, Usage};
use super::reporter::{self, Found};
use super::signal;
use super::watch::{self, Watch, Word};

/// How often in a threshold the watchdog looks.
const LOOKS: u32 = 10;
/// However short or long the threshold is.
const SHORTEST_STEP: Duration = Duration::from_millis(1);
const LONGEST_STEP: Duration = Duration::from_millis(100);
/// Looks that find every thread asleep, before the watchdog goes to sleep itself.
const IDLE_LOOKS: u32 = 3;

const DEFAULT: Duration = Duration::from_millis(100);
const VARIABLE: &str = "MINI_EXECUTOR_HANG_MS";

/// In nanoseconds.
static THRESHOLD: AtomicU64 = AtomicU64::new(UNSET);
const UNSET: u64 = u64::MAX;
const OFF: u64 = 0;

static THREAD: OnceLock<Option<Thread>> = OnceLock::new();

/// The watchdog sleeps, or will unless it is woken.
static IS_ASLEEP: AtomicBool = AtomicBool::new(false);

/// How long a poll may last before it is reported; `None` for ever. 100 ms unless it is set, here or, in milliseconds, by the environment
/// variable `MINI_EXECUTOR_HANG_MS` (0 for never).
///
/// ```
/// mini_executor::set_hang_threshold(Some(std::time::Duration::from_millis(20)));
/// ```
pub fn set_hang_threshold(threshold: Option<Duration>) {
    let nanos = threshold.map_or(OFF, |threshold| (threshold.as_nanos().min(u128::from(UNSET - 1)) as u64).max(1));
    THRESHOLD.store(nanos, Relaxed);
    IS_ASLEEP.store(false, Relaxed);
    if let Some(Some(thread)) = THREAD.get() {
        thread.unpark();
    }
}

fn threshold() -> Option<Duration> {
    match THRESHOLD.load(Relaxed) {
        OFF => None,
        UNSET => from_environment(std::env::var(VARIABLE).ok().as_deref()),
        nanos => Some(Duration::from_nanos(nanos)),
    }
}

/// Whether threads are looked at.
pub(super) fn is_on() -> bool {
    threshold().is_some()
}

fn from_environment(variable: Option<&str>) -> Option<Duration> {
    let Some(text) = variable else { return Some(DEFAULT) };
    match text.trim().parse() {
        Ok(0) => None,
        Ok(milliseconds) => Some(Duration::from_millis(milliseconds)),
        Err(_) => Some(DEFAULT),
    }
}

/// Starts the watchdog, once.
pub(super) fn start() {
    THREAD.get_or_init(|| {
        let variable = std::env::var(VARIABLE).ok();
        if THRESHOLD.load(Relaxed) == UNSET {
            if let Some(text) = &variable
                && text.trim().parse::<u64>().is_err()
            {
                super::hang::print(&format!("{VARIABLE}={text:?} is no number of milliseconds, so it stays at 100\n"));
            }
            let nanos = from_environment(variable.as_deref()).map_or(OFF, |threshold| threshold.as_nanos() as u64);
            // Unless it was set meanwhile.
            let _ = THRESHOLD.compare_exchange(UNSET, nanos, Relaxed, Relaxed);
        }
        let spawned = std::thread::Builder::new().name("mini-watchdog".to_owned()).spawn(|| Watchdog::default().run());
        // A program that may have no more threads runs on without.
        spawned.ok().map(|handle| handle.thread().clone())
    });
}

/// This thread begins to run something: the watchdog is to look at it.
#[inline]
pub(super) fn look() {
    if IS_ASLEEP.load(Relaxed) {
        wake();
    }
}

#[cold]
fn wake() {
    if IS_ASLEEP.swap(false, Relaxed)
        && let Some(Some(thread)) = THREAD.get()
    {
        thread.unpark();
    }
}

/// What the watchdog knows.
#[derive(Default)]
struct Watchdog {
    threads: Vec<Observed>,
    idle_looks: u32,
}

/// What it knows of one thread.
struct Observed {
    watch: &'static Watch,
    word: Word,
    /// For how long the word has been the same.
    unchanged: Duration,
    /// When to report next, and how often it was done.
    next: Duration,
    reports: u32,
    /// From the middle of the first threshold on.
    usage: Option<Usage>,
}

impl Watchdog {
    fn run(mut self) {
        loop {
            let Some(threshold) = threshold() else {
                self.threads.clear();
                std::thread::park();
                continue;
            };
            let step = (threshold / LOOKS).clamp(SHORTEST_STEP, LONGEST_STEP);
            let begin = Instant::now();
            std::thread::park_timeout(step);
            // A process that was stopped, or hardly scheduled, did not hang for as long as that.
            let slept = begin.elapsed().min(2 * step);
            let is_any_awake = self.look(slept, threshold);
            self.idle_looks = if is_any_awake { 0 } else { self.idle_looks + 1 };
            if self.idle_looks == IDLE_LOOKS {
                // A thread that wakes from now on sees this. One that woke just before, and did not see it, is
                // seen at the next look: what it stored is visible long before. So neither side needs a fence, which would cost
                // the threads more than the rest.
                IS_ASLEEP.store(true, Relaxed);
            } else if self.idle_looks > IDLE_LOOKS {
                while IS_ASLEEP.load(Relaxed) {
                    std::thread::park();
                }
                self.idle_looks = 0;
            }
        }
    }

    /// Looks at all threads, `slept` after it looked before; tells whether any was awake since.
    fn look(&mut self, slept: Duration, threshold: Duration) -> bool {
        for watch in watch::since(self.threads.len()) {
            let word = watch.word();
            self.threads.push(Observed {
                watch,
                word,
                unchanged: Duration::ZERO,
                next: threshold,
                reports: 0,
                usage: None,
            });
        }
        let mut is_any_awake = false;
        for thread in &mut self.threads {
            let word = thread.watch.word();
            let is_same = word == thread.word;
            is_any_awake |= word.is_polling() || !is_same;
            if is_same && word.is_polling() {
                thread.unchanged += slept;
                thread.judge(threshold);
            } else if !is_same {
                *thread = Observed {
                    watch: thread.watch,
                    word,
                    unchanged: Duration::ZERO,
                    next: threshold,
                    reports: 0,
                    usage: None,
                };
            }
        }
        is_any_awake
    }
}

impl Observed {
    /// The same poll goes on.
    fn judge(&mut self, threshold: Duration) {
        if self.usage.is_none() && self.unchanged * 2 >= threshold {
            self.usage = self.watch.who().as_ref().and_then(|who| Usage::of(who.id));
        }
        // A threshold may have been set meanwhile.
        if self.reports == 0 {
            self.next = threshold;
        }
        if self.unchanged >= self.next {
            self.explain();
            self.reports += 1;
            self.next = self.unchanged * 2;
        }
    }

    /// Finds out what the thread does, and has it reported.
    fn explain(&self) {
        // The thread does not end while this is held.
        let who = self.watch.who();
        let Some(known) = who.as_ref() else { return };
        // Asked before the signal comes, which changes the answer.
        let activity = Activity::of(known.id, self.usage);
        let captured = signal::capture(self.watch, known);
        let now = known.word();
        let (thread, thread_id) = (known.thread.clone(), known.id);
        drop(who);
        let is_over = match &captured {
            Ok(captured) => captured.word != self.word,
            Err(_) => now != self.word,
        };
        if is_over {
            return;
        }
        reporter::send(Found {
            polled: if self.word.is_block_on() { Polled::BlockOn } else { Polled::Task },
            lasted: self.unchanged,
            is_repeated: self.reports > 0,
            thread,
            thread_id,
            activity,
            captured,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_sets_the_threshold_in_milliseconds() {
        assert_eq!(from_environment(None), Some(DEFAULT));
        assert_eq!(from_environment(Some("250")), Some(Duration::from_millis(250)));
        assert_eq!(from_environment(Some("0")), None);
        assert_eq!(from_environment(Some("soon")), Some(DEFAULT));
    }
}
