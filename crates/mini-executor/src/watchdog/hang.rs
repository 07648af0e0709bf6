//! The report of a hang, and where it goes.
//!
//! Reports are made on a thread of their own: reading a large program's symbols takes a second, a hook may take any time, and the
//! watchdog would be blind as long. It hands over what it found, and looks on.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::panic::Location;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread::Builder;
use std::time::Duration;

use super::{Activity, Captured, frames};
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
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Hang {
    /// Whether a task is polled; else it is the future that was given to [`block_on`](crate::block_on), or what was called by it that is
    /// no task.
    pub is_task: bool,
    /// The task's name, if it was given one. Cut off after 128 bytes.
    pub name: Option<String>,
    /// Where the task was spawned, or `block_on` called. `None` if the thread did not answer: then name and stack are not known either.
    pub spawned: Option<&'static Location<'static>>,
    /// For how long it has been polled, at least: what the watchdog has not seen it does not count. The same poll is reported again each
    /// time that this has doubled.
    pub lasted: Duration,
    /// The thread's name.
    pub thread: Option<String>,
    /// The kernel's number of the thread, by which tools such as `top -H` and `strace -p` know it.
    pub thread_id: i32,
    /// What the thread is doing.
    pub activity: Activity,
    /// The functions on the thread's stack, the innermost first, those that were inlined, too: `app::summarize, src/main.rs:31`. An
    /// address stands for one without a name; the file is told if the program has line tables (`debug = "line-tables-only"` in the
    /// profile). Ends where the executor begins. Empty without the feature `stacks`.
    pub stack: Vec<String>,
}

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            _ if !self.is_task => f.write_str("the future of block_on")?,
            Some(name) => write!(f, "the task {name:?}")?,
            None => f.write_str("a task")?,
        }
        if let Some(place) = self.spawned {
            write!(f, ", {} at {place},", if self.is_task { "spawned" } else { "called" })?;
        }
        writeln!(f, " has held its thread for {:.1?}", self.lasted)?;
        let thread = self.thread.as_deref().unwrap_or("without a name");
        write!(f, "    thread {thread:?} ({}), {}", self.thread_id, self.activity)?;
        if self.spawned.is_none() {
            f.write_str(
                "\n    it did not answer: it blocks the signal, is not scheduled, or is where no signal reaches",
            )?;
        }
        self.stack.iter().try_for_each(|frame| write!(f, "\n    at {frame}"))
    }
}

static HOOK: Hook<dyn Fn(&Hang) + Send + Sync> = Hook::new();

/// Has `hook` called for each hang that is found, in place of the lines on stderr. It runs on a thread of the
/// watchdog's, one call at a time; while it lasts the watchdog looks on, and keeps up to 16 reports. A hook that panics is called for
/// the next hang all the same.
///
/// ```
/// mini_executor::set_hang_hook(|hang| eprintln!("{hang}"));
/// ```
pub fn set_hang_hook(hook: impl Fn(&Hang) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Reports that wait to be made, each with up to 64 KiB of stack.
const MOST_WAITING: usize = 16;

/// To the thread that makes the reports, which starts with the first.
static REPORTS: LazyLock<SyncSender<(Hang, Option<Captured>)>> = LazyLock::new(|| {
    let (sender, receiver) = sync_channel::<(Hang, Option<Captured>)>(MOST_WAITING);
    let work = move || {
        for (mut hang, captured) in receiver {
            hang.stack = captured.as_ref().map_or_else(Vec::new, frames);
            HOOK.call(|hook| match hook {
                Some(hook) => hook(&hang),
                None => print(&format!("{hang}\n")),
            });
        }
    };
    // A program that may have no more threads runs on without reports.
    let _ = Builder::new().name("mini-hangs".to_owned()).spawn(work);
    sender
});

/// Has a hang reported, with the stack that was captured.
pub(super) fn send(hang: Hang, captured: Option<Captured>) {
    // Never `send`, which waits: a hook that hangs would have the watchdog hang. Full: the program hangs faster than can be told,
    // and has been told so.
    let _ = REPORTS.try_send((hang, captured));
}

/// Writes to stderr, past the lock that `eprintln` takes: the thread that hangs may hold it.
pub(super) fn print(text: &str) {
    if let Ok(stderr) = rustix::stdio::stderr().try_clone_to_owned() {
        let _ = File::from(stderr).write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_like_one() {
        let spawned = Location::caller();
        let mut hang = Hang {
            is_task: true,
            name: Some("report".to_owned()),
            spawned: Some(spawned),
            lasted: Duration::from_millis(101),
            thread: Some("main".to_owned()),
            thread_id: 4711,
            activity: Activity::Computing,
            stack: vec!["app::summarize, src/main.rs:31".to_owned()],
        };
        let expected = format!(
            "the task \"report\", spawned at {spawned}, has held its thread for 101.0ms\n    \
             thread \"main\" (4711), computing\n    at app::summarize, src/main.rs:31"
        );
        assert_eq!(hang.to_string(), expected);
        (hang.stack, hang.spawned, hang.name) = (Vec::new(), None, None);
        hang.activity = Activity::SystemCall { number: libc::SYS_ppoll };
        let expected = "a task has held its thread for 101.0ms\n    thread \"main\" (4711), in the system call ppoll\n    \
                        it did not answer: it blocks the signal, is not scheduled, or is where no signal reaches";
        assert_eq!(hang.to_string(), expected);
    }
}
