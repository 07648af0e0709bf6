//! Descriptors that are waited for: an epoll instance, edge-triggered.
//!
//! Each descriptor is registered once, for reading and writing alike, and epoll reports every change from "not ready" to "ready".
//! What it reported is remembered in the descriptor's [`Source`], until a read or write finds that it is so no longer. So an operation
//! costs its own system call and nothing else, where registering anew for every wait (one-shot mode) would cost a second one.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use crate::primitives::unpoisoned;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

/// Events that one look at epoll brings.
const EVENTS: usize = 256;
/// Names that are no source's.
const NOTIFY: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// What is waited for: to read, or to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Read = 0,
    Write = 1,
}

/// An epoll instance, what is registered with it, and what else ends a wait.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    /// An eventfd: written to by a thread that has something for the one that waits. Never read, for each write is an edge.
    notify: OwnedFd,
    /// A timerfd: the time-out of epoll itself is late by up to 50 us, the default slack of the kernel's timers.
    timer: OwnedFd,
    /// When it goes off, 0 if it does not. Used by the one thread that waits.
    timer_due: AtomicU64,
    sources: Mutex<Sources>,
    /// How many there are.
    watched: AtomicUsize,
}

/// Registered sources by their keys. A key is given anew while an event of its former source may still be on the way: the events that
/// are for a source are those that bear its entry's generation.
#[derive(Debug, Default)]
struct Sources {
    list: Vec<Entry>,
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Entry {
    /// How many sources had the key before.
    generation: u32,
    source: Option<Arc<Source>>,
}

impl Sources {
    /// What events of the source with that key bear: its generation in the upper half, and the key, of which there are fewer than 2^31,
    /// as there are descriptors.
    fn name(&self, key: usize) -> u64 {
        u64::from(self.list[key].generation) << 32 | key as u64
    }

    /// The source that an event is for, if it is still there.
    fn get(&self, name: u64) -> Option<&Source> {
        let key = name as u32 as usize;
        let entry = self.list.get(key)?;
        entry.source.as_deref().filter(|_| self.name(key) == name)
    }
}

/// Until when to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Not at all.
    Now,
    /// A number of nanoseconds, rounded up to milliseconds.
    About(u64),
    /// Nanoseconds from `now` to `due`, as exactly as the kernel can.
    Exactly { now: u64, due: u64 },
    /// Something happens.
    Ever,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let notify = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &notify, epoll::EventData::new_u64(NOTIFY), edge)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), edge)?;
        let timer_due = AtomicU64::new(0);
        Ok(Self { epoll, notify, timer, timer_due, sources: Mutex::default(), watched: AtomicUsize::new(0) })
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        unpoisoned(self.sources.lock())
    }

    /// Registers a descriptor; its events go to `source` from now on. The key to deregister it by.
    pub(crate) fn register(&self, descriptor: BorrowedFd<'_>, source: &Arc<Source>) -> io::Result<usize> {
        let mut sources = self.sources();
        let key = sources.free.pop().unwrap_or_else(|| {
            sources.list.push(Entry::default());
            sources.list.len() - 1
        });
        let interest = {
            use epoll::EventFlags as Flags;
            Flags::IN | Flags::OUT | Flags::RDHUP | Flags::PRI | Flags::ET
        };
        let data = epoll::EventData::new_u64(sources.name(key));
        if let Err(error) = epoll::add(&self.epoll, descriptor, data, interest) {
            sources.free.push(key);
            return Err(error.into());
        }
        sources.list[key].source = Some(source.clone());
        self.watched.fetch_add(1, Relaxed);
        Ok(key)
    }

    /// Forgets a descriptor.
    pub(crate) fn deregister(&self, descriptor: BorrowedFd<'_>, key: usize) {
        // It may be closed already, and then the kernel has forgotten it by itself.
        let _ = epoll::delete(&self.epoll, descriptor);
        let mut sources = self.sources();
        let entry = &mut sources.list[key];
        let forgotten = entry.source.take();
        entry.generation = entry.generation.wrapping_add(1);
        sources.free.push(key);
        self.watched.fetch_sub(1, Relaxed);
        drop(sources);
        drop(forgotten);
    }

    /// Whether anything is registered.
    pub(crate) fn is_watching(&self) -> bool {
        self.watched.load(Relaxed) > 0
    }

    /// Ends a wait of another thread, or its next one.
    pub(crate) fn notify(&self) {
        // The counter can only be full after 2^64 notifications.
        let _ = rustix::io::write(&self.notify, &1_u64.to_ne_bytes());
    }

    /// Waits for events, and remembers them; who waits for them is added to `wakers`. One thread at a time.
    pub(crate) fn wait(&self, until: Until, wakers: &mut Vec<Waker>) -> io::Result<()> {
        let timeout = match until {
            Until::Now => Some(Timespec { tv_sec: 0, tv_nsec: 0 }),
            // Two weeks, of which the wait may well be the first: old kernels take milliseconds in 31 bits.
            Until::About(nanos) => Some(timespec(nanos.min(1 << 50))),
            Until::Ever => None,
            Until::Exactly { now, due } => {
                if self.timer_due.load(Relaxed) != due {
                    let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
                    // 0 would disarm it.
                    let value = timespec(due.saturating_sub(now).max(1));
                    let times = Itimerspec { it_interval: interval, it_value: value };
                    timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times)?;
                    self.timer_due.store(due, Relaxed);
                }
                None
            }
        };
        // 3 KiB of the stack, which nobody has to fill first.
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let events = match epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            Ok((events, _)) => &*events,
            Err(Errno::INTR) => &[],
            Err(error) => return Err(error.into()),
        };
        if events.is_empty() {
            return Ok(());
        }
        let sources = self.sources();
        for event in events {
            let name = event.data.u64();
            if name == TIMER {
                self.timer_due.store(0, Relaxed);
            } else if let Some(source) = sources.get(name) {
                source.is_reported(event.flags, wakers);
            }
        }
        Ok(())
    }
}

fn timespec(nanos: u64) -> Timespec {
    let duration = Duration::from_nanos(nanos);
    // At most 584 years of seconds.
    Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}

/// A descriptor's readiness, as far as it is known.
///
/// Reports are numbered, and an attempt that finds an interest not ready notes the report as of which that is so. Both are plain stores: a
/// report's is made under the lock, and of two attempts that note something the one that comes too late costs another attempt.
#[derive(Debug)]
pub(crate) struct Source {
    /// The latest report of each interest: [`REPORT`] more than the one before it, and perhaps [`MORE`].
    reported: [AtomicU64; 2],
    /// As of which report it was found not ready. If that is the latest, an attempt is not worth it.
    exhausted: [AtomicU64; 2],
    waiting: Mutex<Waiting>,
    /// Which driver watches the descriptor: its address, 0 for none yet.
    watcher: AtomicUsize,
}

/// There may be more than the next attempt brings, be that less than it could: the other side has closed or there is an error, which are found
/// only then; or there is urgent data, at which a read stops.
const MORE: u64 = 1;
/// One report. As many as there can be: a number that came back would be taken for one that nothing came after.
const REPORT: u64 = 2;

/// Who waits for each interest, by the number of the wait.
#[derive(Debug, Default)]
struct Waiting {
    lists: [Vec<(Wait, Waker)>; 2],
    /// The last number.
    last: Wait,
}

/// The number of a wait, by which it is [given up](Source::forget): while a descriptor stays silent, those that came and went would else
/// pile up there.
pub(crate) type Wait = u64;
/// The wait of those who poll and keep no number, for they may never come back.
pub(crate) const POLLED: Wait = 0;
/// So many of them are woken, the last who polled. The contract of polling is that the last one is.
const MOST_POLLED: usize = 16;

impl Source {
    pub(crate) fn new() -> Self {
        // Both are worth an attempt, to begin with.
        let reported = [const { AtomicU64::new(REPORT) }; 2];
        Self { reported, exhausted: Default::default(), waiting: Mutex::default(), watcher: AtomicUsize::new(0) }
    }

    /// Whether that driver watches it.
    pub(crate) fn is_watched_by(&self, driver: usize) -> bool {
        self.watcher.load(Relaxed) == driver
    }

    /// That driver does from now on.
    pub(crate) fn set_watcher(&self, driver: usize) {
        self.watcher.store(driver, Relaxed);
    }

    /// What is known of an interest: an attempt is worth it, as of a report. Without, `None`.
    #[inline]
    pub(crate) fn ready(&self, interest: Interest) -> Option<Report> {
        let which = interest as usize;
        let reported = self.reported[which].load(Acquire);
        (reported != self.exhausted[which].load(Relaxed)).then_some(Report(reported))
    }

    /// An attempt found that the interest is not ready any more. What has been reported since stands.
    #[inline]
    pub(crate) fn is_not_ready(&self, interest: Interest, seen: Report) {
        self.exhausted[interest as usize].store(seen.0, Relaxed);
    }

    /// Has `waker` woken when the interest is reported. Tells whether it was meanwhile, and then nobody is woken. A wait that has no number
    /// yet gets one.
    pub(crate) fn wait(&self, interest: Interest, wait: &mut Option<Wait>, waker: &Waker) -> bool {
        // Cloned, woken and dropped without the lock: a waker may do anything.
        let waker = waker.clone();
        let mut waiting = unpoisoned(self.waiting.lock());
        // Looked at under the lock under which reports take wakers: it is either here already, or comes later and finds the waker.
        if self.ready(interest).is_some() {
            drop(waiting);
            return true;
        }
        let number = *wait.get_or_insert_with(|| {
            waiting.last += 1;
            waiting.last
        });
        let list = &mut waiting.lists[interest as usize];
        let is_same = |known: &(Wait, Waker)| known.0 == number && (number != POLLED || known.1.will_wake(&waker));
        let mut former = list.iter().position(is_same);
        if former.is_none() && number == POLLED && list.iter().filter(|known| known.0 == POLLED).count() == MOST_POLLED
        {
            former = list.iter().position(|known| known.0 == POLLED);
        }
        let former = former.map(|index| list.remove(index));
        list.push((number, waker));
        drop(waiting);
        drop(former);
        false
    }

    /// A wait ends, be it that nothing was reported.
    pub(crate) fn forget(&self, interest: Interest, wait: Wait) {
        let mut waiting = unpoisoned(self.waiting.lock());
        let list = &mut waiting.lists[interest as usize];
        let forgotten = list.iter().position(|(known, _)| *known == wait).map(|index| list.remove(index));
        drop(waiting);
        drop(forgotten);
    }

    /// Events came.
    fn is_reported(&self, flags: epoll::EventFlags, wakers: &mut Vec<Waker>) {
        use epoll::EventFlags as Flags;
        let both = flags.intersects(Flags::HUP | Flags::ERR);
        let more = [both || flags.intersects(Flags::RDHUP | Flags::PRI), both];
        let ready = [more[0] || flags.contains(Flags::IN), more[1] || flags.contains(Flags::OUT)];
        let mut waiting = unpoisoned(self.waiting.lock());
        for (which, list) in waiting.lists.iter_mut().enumerate() {
            if ready[which] {
                let before = self.reported[which].load(Relaxed);
                let report = before.wrapping_add(REPORT) | if more[which] { MORE } else { 0 };
                // What the reporter saw happen is seen by who attempts for its report.
                self.reported[which].store(report, Release);
                wakers.extend(list.drain(..).map(|(_, waker)| waker));
            }
        }
    }

    /// Everything may have changed: the descriptor is watched elsewhere from now on.
    pub(crate) fn is_moved(&self, wakers: &mut Vec<Waker>) {
        self.is_reported(epoll::EventFlags::IN | epoll::EventFlags::OUT, wakers);
    }
}

/// The number of a report: what was seen then may have changed by a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report(u64);

impl Report {
    /// Whether there may be more than the next attempt brings.
    pub(crate) fn is_of_more(self) -> bool {
        self.0 & MORE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_edge_is_reported_and_remembered_until_an_attempt_fails() {
        let reactor = Reactor::new().unwrap();
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let source = Arc::new(Source::new());
        let key = reactor.register(here.as_fd(), &source).unwrap();
        let mut wakers = Vec::new();
        reactor.wait(Until::Now, &mut wakers).unwrap();
        let seen = source.ready(Interest::Read).unwrap();
        source.is_not_ready(Interest::Read, seen);
        assert!(!source.wait(Interest::Read, &mut None, Waker::noop()));
        there.write_all(b"x").unwrap();
        reactor.wait(Until::Ever, &mut wakers).unwrap();
        assert_eq!(wakers.len(), 1);
        let seen_later = source.ready(Interest::Read).unwrap();
        assert_ne!(seen, seen_later);
        source.is_not_ready(Interest::Read, seen);
        assert!(source.ready(Interest::Read).is_some(), "an old attempt does not undo a new report");
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 1);
        source.is_not_ready(Interest::Read, seen_later);
        drop(there);
        reactor.wait(Until::Ever, &mut wakers).unwrap();
        assert!(source.ready(Interest::Read).unwrap().is_of_more());
        reactor.deregister(here.as_fd(), key);
        assert!(!reactor.is_watching());
    }

    #[test]
    fn an_event_of_the_former_source_of_a_key_is_not_for_the_next() {
        let reactor = Reactor::new().unwrap();
        let (here, _there) = UnixStream::pair().unwrap();
        let source = Arc::new(Source::new());
        let key = reactor.register(here.as_fd(), &source).unwrap();
        let name = reactor.sources().name(key);
        assert!(reactor.sources().get(name).is_some());
        reactor.deregister(here.as_fd(), key);
        assert!(reactor.sources().get(name).is_none());
        assert_eq!(reactor.register(here.as_fd(), &source).unwrap(), key);
        let sources = reactor.sources();
        assert!(sources.get(name).is_none(), "it was on the way when the source went");
        assert!(sources.get(sources.name(key)).is_some());
        assert!(sources.get(NOTIFY).is_none() && sources.get(TIMER).is_none());
    }

    #[test]
    fn a_wait_ends_by_its_timer_and_by_a_notification() {
        let reactor = Reactor::new().unwrap();
        let mut wakers = Vec::new();
        for _ in 0..3 {
            let begin = std::time::Instant::now();
            reactor.wait(Until::Exactly { now: 0, due: 2_000_000 }, &mut wakers).unwrap();
            assert!(begin.elapsed() >= Duration::from_millis(2));
            reactor.notify();
            reactor.wait(Until::Ever, &mut wakers).unwrap();
        }
    }
}
