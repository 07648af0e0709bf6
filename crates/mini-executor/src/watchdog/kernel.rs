//! What the kernel says about a thread: `/proc/self/task/<thread>`, see proc(5).

use std::fmt;
use std::time::Duration;

use super::syscalls;

/// What a thread was doing when it was found to hang.
///
/// ```
/// use mini_executor::watchdog::Activity;
///
/// let slept = Activity::SystemCall { number: 230, name: Some("clock_nanosleep") };
/// assert_eq!(slept.to_string(), "in the system call clock_nanosleep");
///
/// mini_executor::set_hang_hook(|hang| {
///     // A busy machine is no mistake of the task's.
///     if !matches!(hang.activity, Activity::NotScheduled { .. }) {
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
        /// The call's number on this architecture.
        number: i64,
        /// Its name, if it is one of the common ones.
        name: Option<&'static str>,
    },
    /// It could run, and has spent more time waiting for a CPU than on one: not its own fault.
    NotScheduled {
        /// How long it has waited since about the middle of the threshold.
        waited: Duration,
    },
    /// It is asleep in the kernel, not in a call, or nobody may know in which: a page that is fetched from a disk, for instance.
    Asleep {
        /// The kernel's function, where the kernel tells.
        function: Option<String>,
    },
    /// The kernel does not tell.
    Unknown,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Computing => f.write_str("computing"),
            Self::SystemCall { name: Some(name), .. } => write!(f, "in the system call {name}"),
            Self::SystemCall { number, name: None } => write!(f, "in system call number {number}"),
            Self::NotScheduled { waited } => {
                write!(f, "able to run, but not scheduled: it waited {waited:.1?} for a CPU")
            }
            Self::Asleep { function: Some(function) } => write!(f, "asleep in the kernel, in {function}"),
            Self::Asleep { function: None } => f.write_str("asleep in the kernel"),
            Self::Unknown => f.write_str("doing what the kernel does not tell"),
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
        let call = read(thread, "syscall").and_then(|text| Call::parse(&text));
        // Some kernels are built without the one, or forbid it.
        let call = call.or_else(|| read(thread, "stat").and_then(|text| Call::from_state(&text)));
        match call {
            Some(Call::Running) => Self::of_running(before, Usage::of(thread)),
            Some(Call::In(number)) => Self::SystemCall { number, name: syscalls::name(number) },
            Some(Call::Asleep) => {
                let function = read(thread, "wchan").filter(|function| !matches!(function.trim(), "" | "0"));
                Self::Asleep { function }
            }
            None => Self::Unknown,
        }
    }

    /// On a CPU, or in the queue for one.
    fn of_running(before: Option<Usage>, after: Option<Usage>) -> Self {
        let (Some(before), Some(after)) = (before, after) else { return Self::Computing };
        let waited = after.waited.saturating_sub(before.waited);
        if waited > after.on_cpu.saturating_sub(before.on_cpu) {
            Self::NotScheduled { waited }
        } else {
            Self::Computing
        }
    }
}

/// Where a thread is, in the kernel's eyes.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Running,
    In(i64),
    Asleep,
}

impl Call {
    /// "running", or the number of a call and its arguments, or -1 outside of any.
    fn parse(syscall: &str) -> Option<Self> {
        match syscall.split_whitespace().next()? {
            "running" => Some(Self::Running),
            number => match number.parse().ok()? {
                -1 => Some(Self::Asleep),
                number => Some(Self::In(number)),
            },
        }
    }

    /// The state is the letter behind the name, which is in parentheses and may have any in it.
    fn from_state(stat: &str) -> Option<Self> {
        let (_, behind) = stat.rsplit_once(") ")?;
        Some(if behind.starts_with('R') { Self::Running } else { Self::Asleep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_understood() {
        assert_eq!(Call::parse("running\n"), Some(Call::Running));
        assert_eq!(Call::parse("-1 0x7ffd80ffda98 0x7f46e976c2ad\n"), Some(Call::Asleep));
        assert_eq!(Call::parse("35 0x7f 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x7f46\n"), Some(Call::In(35)));
        assert_eq!(Call::from_state("12 (a) R (b) S 1 2"), Some(Call::Asleep));
        assert_eq!(Call::from_state("12 (a) S) R 1 2"), Some(Call::Running));
        assert_eq!(Call::from_state(""), None);
    }

    #[test]
    fn who_waits_longer_than_it_runs_is_not_scheduled() {
        let usage = |text| Usage::parse(text);
        let before = usage("1000000 500 3\n");
        assert!(before.is_some());
        assert_eq!(Activity::of_running(before, usage("91000000 20000500 4")), Activity::Computing);
        let waited = Duration::from_millis(90);
        assert_eq!(Activity::of_running(before, usage("11000000 90000500 4")), Activity::NotScheduled { waited });
        assert_eq!(Activity::of_running(None, before), Activity::Computing);
    }
}
