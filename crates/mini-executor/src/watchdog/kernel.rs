//! What the kernel says about a thread: `/proc/self/task/<thread>`, see proc(5).

use std::fmt;
use std::time::Duration;

/// What a thread was doing when it was found to hang.
///
/// ```
/// use mini_executor::watchdog::Activity;
///
/// let slept = Activity::SystemCall { number: 1_000_000 };
/// assert_eq!(slept.to_string(), "in the system call 1000000"); // those in which threads mostly wait have names
///
/// mini_executor::set_hang_hook(|hang| {
///     // A busy machine is no mistake of the task's.
///     if !matches!(hang.activity, Activity::NotScheduled) {
///         eprintln!("{hang}");
///     }
/// });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// It runs, and does not come to an end: a long computation, or a loop.
    Computing,
    /// It is asleep in a system call.
    SystemCall {
        /// The call's number on this architecture, as in `libc::SYS_futex`.
        number: i64,
    },
    /// It could run, and has spent more time waiting for a CPU than on one since about the middle of the threshold: not its own fault.
    NotScheduled,
    /// The kernel does not tell, or it is asleep in no call: a page that is fetched from a disk, for instance.
    Unknown,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Computing => f.write_str("computing"),
            Self::SystemCall { number } => {
                let name = name(*number).map_or_else(|| number.to_string(), str::to_owned);
                write!(f, "in the system call {name}")
            }
            Self::NotScheduled => f.write_str("able to run, but not scheduled"),
            Self::Unknown => f.write_str("asleep in no system call, or doing what the kernel does not tell"),
        }
    }
}

/// What a thread has had of the CPUs so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    on_cpu: Duration,
    waited: Duration,
}

impl Usage {
    pub(super) fn of(thread: i32) -> Option<Self> {
        Self::parse(&read(thread, "schedstat")?)
    }

    /// Nanoseconds on a CPU, nanoseconds waiting for one, and a count of turns.
    fn parse(schedstat: &str) -> Option<Self> {
        let mut numbers = schedstat.split_whitespace().map(|number| number.parse().ok().map(Duration::from_nanos));
        Some(Self { on_cpu: numbers.next()??, waited: numbers.next()?? })
    }
}

fn read(thread: i32, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).ok()
}

impl Activity {
    /// What the thread is doing, with what it had of the CPUs some time before.
    pub(super) fn of(thread: i32, before: Option<Usage>) -> Self {
        // Some kernels are built without the file, or forbid it.
        match Self::parse(&read(thread, "syscall").unwrap_or_default()) {
            Self::Computing if has_waited(before, Usage::of(thread)) => Self::NotScheduled,
            activity => activity,
        }
    }

    /// "running", or the number of a call and its arguments, or -1 outside of any.
    fn parse(syscall: &str) -> Self {
        let what = syscall.split_whitespace().next().unwrap_or_default();
        match what.parse() {
            Ok(number @ 0..) => Self::SystemCall { number },
            Err(_) if what == "running" => Self::Computing,
            _ => Self::Unknown,
        }
    }
}

/// Whether a thread was in the queue for a CPU rather than on one, between the two.
fn has_waited(before: Option<Usage>, after: Option<Usage>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    after.waited.saturating_sub(before.waited) > after.on_cpu.saturating_sub(before.on_cpu)
}

/// The name of a system call in which threads wait: for time, for others, for sockets and pipes, for disks.
fn name(number: i64) -> Option<&'static str> {
    Some(match number {
        libc::SYS_futex => "futex",
        libc::SYS_clock_nanosleep => "clock_nanosleep",
        libc::SYS_wait4 => "wait4",
        libc::SYS_waitid => "waitid",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll => "poll",
        libc::SYS_ppoll => "ppoll",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait => "epoll_wait",
        libc::SYS_epoll_pwait => "epoll_pwait",
        libc::SYS_connect => "connect",
        libc::SYS_accept4 => "accept4",
        libc::SYS_recvfrom => "recvfrom",
        libc::SYS_recvmsg => "recvmsg",
        libc::SYS_sendto => "sendto",
        libc::SYS_sendmsg => "sendmsg",
        libc::SYS_read => "read",
        libc::SYS_write => "write",
        libc::SYS_pread64 => "pread64",
        libc::SYS_pwrite64 => "pwrite64",
        libc::SYS_openat => "openat",
        libc::SYS_fsync => "fsync",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_flock => "flock",
        libc::SYS_fcntl => "fcntl",
        libc::SYS_ioctl => "ioctl",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_understood() {
        assert_eq!(Activity::parse("running\n"), Activity::Computing);
        assert_eq!(Activity::parse("-1 0x7ffd80ffda98 0x7f46e976c2ad\n"), Activity::Unknown);
        assert_eq!(Activity::parse(""), Activity::Unknown);
        let call = |number| Activity::parse(&format!("{number} 0x7f 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x7f46\n"));
        let number = libc::SYS_clock_nanosleep;
        assert_eq!(call(number), Activity::SystemCall { number });
        assert_eq!(call(number).to_string(), "in the system call clock_nanosleep");
        assert_eq!(call(100_000).to_string(), "in the system call 100000");
    }

    #[test]
    fn who_waits_longer_than_it_runs_is_not_scheduled() {
        let usage = |text| Usage::parse(text);
        let before = usage("1000000 500 3\n");
        assert!(before.is_some());
        assert!(!has_waited(before, usage("91000000 20000500 4")));
        assert!(has_waited(before, usage("11000000 90000500 4")));
        assert!(!has_waited(None, before));
    }
}
