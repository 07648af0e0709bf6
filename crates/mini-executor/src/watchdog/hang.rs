//! The report of a hang, and where it goes.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::Activity;
use crate::strangers::Hook;

/// A poll that lasts too long: everything else on its thread waits for it.
///
/// Its [`Display`](fmt::Display) is what is printed where no hook was set:
///
/// ```text
/// the task "report", spawned at src/main.rs:14:10, has held its thread for 101.2ms
///     thread "main" (4711), in the system call clock_nanosleep
///     at std::thread::sleep, /rustc/…/library/std/src/thread/functions.rs:312
///     at app::summarize, src/main.rs:31
///     at app::main::{closure#0}, src/main.rs:15
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Hang<'a> {
    /// What is being polled.
    pub polled: Polled,
    /// The task's name, if it was given one. Cut off after 128 bytes.
    pub name: Option<&'a str>,
    /// Where the task was spawned, or `block_on` called. `None` if the thread did not answer.
    pub spawned: Option<&'static Location<'static>>,
    /// For how long it has been polled, at least: what the watchdog has not seen it does not count.
    pub lasted: Duration,
    /// Whether this poll was reported before.
    pub is_repeated: bool,
    /// The thread's name.
    pub thread: Option<&'a str>,
    /// The kernel's number of the thread, by which tools such as `top -H` and `strace -p` know it.
    pub thread_id: i32,
    /// What the thread is doing.
    pub activity: Activity,
    /// The thread's stack, the innermost function first. Ends where the executor begins. Empty without the feature `stacks`.
    pub stack: &'a [Frame],
    /// Why the thread could not be asked for the task and the stack, if it could not.
    pub silence: Option<Silence>,
}

/// What a thread polls.
///
/// ```
/// use mini_executor::watchdog::Polled;
///
/// mini_executor::set_hang_hook(|hang| match hang.polled {
///     Polled::Task => eprintln!("a task: {hang}"),
///     _ => eprintln!("{hang}"),
/// });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Polled {
    /// A task.
    Task,
    /// The future that was given to [`block_on`](crate::block_on), or what was called by it that is no task.
    BlockOn,
}

/// Why a thread did not say what it is doing.
///
/// ```
/// use mini_executor::watchdog::Silence;
///
/// mini_executor::set_hang_hook(|hang| {
///     if hang.silence == Some(Silence::SignalTaken) {
///         eprintln!("the signal is somebody else's: name another with set_hang_signal");
///     }
/// });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Silence {
    /// It blocks the signal, or is not scheduled, or is where no signal reaches.
    NoAnswer,
    /// [`set_hang_signal`](crate::set_hang_signal) was called with `None`.
    SignalsOff,
    /// The signal has a handler of the program's own, or all have.
    SignalTaken,
    /// The system would not send the signal or install its handler.
    Refused,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => {
                "it did not answer: it blocks the signal, is not scheduled, or is where no signal reaches"
            }
            Self::SignalsOff => "it is not asked for its task and stack: set_hang_signal says so",
            Self::SignalTaken => {
                "its task and stack are not known, for the signal has a handler: name another with set_hang_signal"
            }
            Self::Refused => "its task and stack are not known, for the system refuses the signal",
        })
    }
}

/// A function on a stack. One that was inlined is a frame of its own.
///
/// ```
/// mini_executor::set_hang_hook(|hang| {
///     let innermost = hang.stack.first().and_then(|frame| frame.function.as_deref());
///     eprintln!("held for {:?}, in {}", hang.lasted, innermost.unwrap_or("a function without a name"));
/// });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The address in the code: of the instruction that runs, or that is returned to.
    pub address: u64,
    /// The function's name, if the program has symbols.
    pub function: Option<String>,
    /// The source file, if the program has line tables (`debug = "line-tables-only"` in the profile), and the line in it.
    pub file: Option<String>,
    /// See `file`.
    pub line: Option<u32>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => f.write_str(function)?,
            None => write!(f, "{:#x}", self.address)?,
        }
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, ", {file}:{line}"),
            (Some(file), None) => write!(f, ", {file}"),
            (None, _) => Ok(()),
        }
    }
}

impl fmt::Display for Hang<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.polled, self.name) {
            (Polled::BlockOn, _) => f.write_str("the future of block_on")?,
            (Polled::Task, Some(name)) => write!(f, "the task {name:?}")?,
            (Polled::Task, None) => f.write_str("a task")?,
        }
        if let Some(place) = self.spawned {
            let verb = if self.polled == Polled::BlockOn { "called" } else { "spawned" };
            write!(f, ", {verb} at {place},")?;
        }
        let verb = if self.is_repeated { "still holds its thread, for" } else { "has held its thread for" };
        writeln!(f, " {verb} {:.1?}", self.lasted)?;
        let thread = self.thread.unwrap_or("without a name");
        write!(f, "    thread {thread:?} ({}), {}", self.thread_id, self.activity)?;
        if let Some(silence) = self.silence {
            write!(f, "\n    {silence}")?;
        }
        self.stack.iter().try_for_each(|frame| write!(f, "\n    at {frame}"))
    }
}

static HOOK: Hook<dyn Fn(&Hang<'_>) + Send + Sync> = Hook::new();

/// Has `hook` called for each hang that is found, in place of the lines on stderr. It runs on a thread of the
/// watchdog's, one call at a time; while it lasts the watchdog looks on, and keeps up to 16 reports. A hook that panics is called for
/// the next hang all the same.
///
/// ```
/// mini_executor::set_hang_hook(|hang| eprintln!("{hang}"));
/// ```
pub fn set_hang_hook(hook: impl Fn(&Hang<'_>) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Tells the hook. Never panics: the watchdog goes on.
pub(super) fn report(hang: &Hang<'_>) {
    HOOK.call(|hook| match hook {
        Some(hook) => hook(hang),
        None => print(&format!("{hang}\n")),
    });
}

/// Writes to stderr, past the lock that `eprintln` takes: the thread that hangs may hold it.
pub(super) fn print(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stderr(), rest) {
            Ok(written) if written > 0 => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_like_one() {
        let spawned = Location::caller();
        let frame = |function: &str| Frame {
            address: 16,
            function: Some(function.to_owned()),
            file: Some("src/main.rs".to_owned()),
            line: Some(31),
        };
        let mut hang = Hang {
            polled: Polled::Task,
            name: Some("report"),
            spawned: Some(spawned),
            lasted: Duration::from_millis(101),
            is_repeated: false,
            thread: Some("main"),
            thread_id: 4711,
            activity: Activity::Computing,
            stack: &[frame("app::summarize")],
            silence: None,
        };
        let expected = format!(
            "the task \"report\", spawned at {spawned}, has held its thread for 101.0ms\n    \
             thread \"main\" (4711), computing\n    at app::summarize, src/main.rs:31"
        );
        assert_eq!(hang.to_string(), expected);
        (hang.stack, hang.silence, hang.spawned, hang.name) = (&[], Some(Silence::NoAnswer), None, None);
        (hang.is_repeated, hang.activity) = (true, Activity::SystemCall { number: 7, name: Some("poll") });
        let expected = "a task still holds its thread, for 101.0ms\n    thread \"main\" (4711), in the system call poll\n    \
                        it did not answer: it blocks the signal, is not scheduled, or is where no signal reaches";
        assert_eq!(hang.to_string(), expected);
    }
}
