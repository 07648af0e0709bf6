//! What a stretch of work cost the process that did it, read from inside.
//!
//! The host can't read these from outside: threads that come and go between two looks take their counters with
//! them, and `/proc` shows only those that survive. `getrusage(RUSAGE_SELF)` and `RUSAGE_CHILDREN` keep the dead ones' sums.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

use crate::protocol::Usage;

/// Above so many threads the run-queue wait is left out: reading one file a thread would disturb what is measured.
const MAX_THREADS_READ: usize = 64;

/// `CLOCK_MONOTONIC`, ns: the protocol's clock, the same for every process of the machine.
///
/// # Panics
/// Where the kernel lacks the clock, which no Linux does.
pub fn monotonic_ns() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

fn clock_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).expect("every Linux has the monotonic and the process clock");
    now.tv_sec().cast_unsigned() * 1_000_000_000 + now.tv_nsec().cast_unsigned()
}

/// Counters of this process and its ended children at one moment. Two of them make a [`Usage`].
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    user_ns: u64,
    /// CPU time to the nanosecond: the process clock for ourselves, rusage (to the microsecond) for ended children.
    cpu_ns: u64,
    voluntary: u64,
    involuntary: u64,
    minor: u64,
    major: u64,
    /// Per living thread: its id and how long it has waited for a core, ns. `None` when there are too many threads.
    waits: Option<Vec<(u32, u64)>>,
}

impl Snapshot {
    /// Read before a block: the CPU clock last, so that reading the rest is not charged to the block.
    pub(crate) fn before() -> Self {
        let waits = thread_waits();
        let mut snapshot = Self::of_rusage();
        snapshot.waits = waits;
        snapshot.cpu_ns += clock_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID);
        snapshot
    }

    /// Read after a block, for the same reason in the opposite order.
    pub(crate) fn after() -> Self {
        let own_cpu_ns = clock_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID);
        let mut snapshot = Self::of_rusage();
        snapshot.cpu_ns += own_cpu_ns;
        snapshot.waits = thread_waits();
        snapshot
    }

    /// What rusage tells; the own CPU time and the waits are still to come.
    fn of_rusage() -> Self {
        let mut snapshot =
            Self { user_ns: 0, cpu_ns: 0, voluntary: 0, involuntary: 0, minor: 0, major: 0, waits: None };
        for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
            // Fails only for an unknown `who`.
            let Ok(usage) = getrusage(who) else { continue };
            let nanoseconds = |time: nix::sys::time::TimeVal| {
                time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_usec().cast_unsigned() * 1_000
            };
            snapshot.user_ns += nanoseconds(usage.user_time());
            if who == UsageWho::RUSAGE_CHILDREN {
                snapshot.cpu_ns += nanoseconds(usage.user_time()) + nanoseconds(usage.system_time());
            }
            snapshot.voluntary += usage.voluntary_context_switches().cast_unsigned();
            snapshot.involuntary += usage.involuntary_context_switches().cast_unsigned();
            snapshot.minor += usage.minor_page_faults().cast_unsigned();
            snapshot.major += usage.major_page_faults().cast_unsigned();
        }
        snapshot
    }

    /// What was used between `self` and `later`.
    pub(crate) fn until(&self, later: &Snapshot) -> Usage {
        let cpu = later.cpu_ns.saturating_sub(self.cpu_ns);
        // The kernel splits CPU time into user and system by sampling; the sum is exact, so the split is fitted to it.
        let user = later.user_ns.saturating_sub(self.user_ns).min(cpu);
        Usage {
            user_ns: Some(user),
            system_ns: Some(cpu - user),
            voluntary_switches: Some(later.voluntary.saturating_sub(self.voluntary)),
            involuntary_switches: Some(later.involuntary.saturating_sub(self.involuntary)),
            minor_faults: Some(later.minor.saturating_sub(self.minor)),
            major_faults: Some(later.major.saturating_sub(self.major)),
            peak_rss_bytes: peak_rss_bytes(),
            run_queue_wait_ns: self.wait_until(later),
            ..Usage::default()
        }
    }

    /// Sums the waits, if the same threads live at both ends; else nobody can say.
    fn wait_until(&self, later: &Snapshot) -> Option<u64> {
        let (before, after) = (self.waits.as_ref()?, later.waits.as_ref()?);
        if before.len() != after.len() {
            return None;
        }
        before.iter().zip(after).try_fold(0, |sum, ((thread, start), (same, end))| {
            (thread == same).then(|| sum + end.saturating_sub(*start))
        })
    }
}

/// Per living thread its id and its run-queue wait, from the second field of `/proc/self/task/*/schedstat`
/// (Documentation/scheduler/sched-stats.rst), in id order.
fn thread_waits() -> Option<Vec<(u32, u64)>> {
    let mut waits = Vec::new();
    for entry in fs::read_dir("/proc/self/task").ok()? {
        let entry = entry.ok()?;
        let thread = entry.file_name().to_str()?.parse().ok()?;
        if waits.len() == MAX_THREADS_READ {
            return None;
        }
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        waits.push((thread, text.split_whitespace().nth(1)?.parse().ok()?));
    }
    waits.sort_unstable();
    Some(waits)
}

/// `VmHWM`. Not rusage's `maxrss`: that one is inherited over exec and would show the size of whoever started us.
fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn cpu_time_of_a_thread_that_has_ended_is_counted() {
        let before = Snapshot::before();
        std::thread::spawn(|| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
        })
        .join()
        .unwrap();
        let usage = before.until(&Snapshot::after());
        // The spin lasts 20 ms of wall time; even on a busy machine it gets some CPU, and without the dead thread's share it would get none.
        assert!(usage.user_ns.unwrap() + usage.system_ns.unwrap() > 1_000_000, "{usage:?}");
    }

    #[test]
    fn a_touched_page_is_a_minor_fault() {
        let before = Snapshot::before();
        let mut pages = vec![0_u8; 8 << 20];
        for page in pages.chunks_mut(4096) {
            page[0] = 1;
        }
        std::hint::black_box(&pages);
        let usage = before.until(&Snapshot::after());
        assert!(usage.minor_faults.unwrap() > 0, "{usage:?}");
        assert!(usage.peak_rss_bytes.unwrap() > 8 << 20, "{usage:?}");
    }

    #[test]
    fn waits_are_unknown_when_the_set_of_threads_changed() {
        let with = |waits: &[(u32, u64)]| Snapshot { waits: Some(waits.to_vec()), ..Snapshot::after() };
        assert_eq!(with(&[(1, 5), (2, 7)]).wait_until(&with(&[(1, 6), (2, 10)])), Some(4));
        assert_eq!(with(&[(1, 5)]).wait_until(&with(&[(1, 6), (2, 10)])), None);
        assert_eq!(with(&[(1, 5), (2, 7)]).wait_until(&with(&[(1, 6), (3, 10)])), None);
    }
}
