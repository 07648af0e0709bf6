//! A list of all tasks of an executor: where each was spawned, where it awaits, how old it is. For whoever asks why nothing goes on.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::home::Home;
use crate::hub::Hub;
use crate::task::{TaskRef, local_phase, shared_phase};

/// The tasks of an executor at one moment, in no particular order.
///
/// Its [`Display`](fmt::Display) is a list for people. Tasks that do the same share a line, and those that have waited longest come first:
///
/// ```text
/// 1002 tasks
///     "listener", spawned at src/main.rs:12:14, awaits at src/main.rs:30:41, 61.2s old, polls: 4
///     1000 times a task, spawned at src/main.rs:33:18, awaits at src/main.rs:52:40, 1.2s to 60.0s old, polls: 2 to 9
///     a task, spawned at src/main.rs:14:14, running, 61.2s old, polls: 61003
/// ```
///
/// ```
/// use mini_executor::{LocalExecutor, Phase};
///
/// let executor = LocalExecutor::new();
/// let task = executor.spawn_named("worker", std::future::pending::<()>());
/// let dump = executor.dump();
/// assert_eq!(dump.tasks.len(), 1);
/// assert_eq!(dump.tasks[0].name.as_deref(), Some("worker"));
/// assert_eq!(dump.tasks[0].spawned.file(), file!());
/// assert_eq!((dump.tasks[0].polls, dump.tasks[0].phase), (0, Phase::Ready));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Dump {
    /// One report a task.
    pub tasks: Vec<TaskReport>,
}

/// What is known of a task. See [`Dump`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskReport {
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// Where it was spawned.
    pub spawned: &'static Location<'static>,
    /// Where it awaits: the `.await` at which its last poll came to an end. `None` if it awaits nothing of this crate, or awaits it behind
    /// a box or a reference.
    pub awaits: Option<&'static Location<'static>>,
    /// How old it is. That may be wrong by an eighth, by 20 ms, or by the length of eight turns (of 61 polls) of the thread that spawned it. In
    /// real time, in a deterministic runtime, too.
    pub age: Duration,
    /// How often it was polled. It stops counting at `u32::MAX`.
    pub polls: u32,
    /// For how long it was polled, in all: of a task with a name, once [`set_busy_times`](crate::set_busy_times) has asked for it.
    pub busy: Option<Duration>,
    /// What it does.
    pub phase: Phase,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// It waits to be woken.
    Waiting,
    /// It was woken, and waits for its turn.
    Ready,
    /// It is being polled, or its future dropped.
    Running,
}

impl TaskReport {
    fn new(task: TaskRef, age: Duration, phase: Phase) -> Self {
        Self {
            name: task.name().map(str::to_owned),
            spawned: task.spawned(),
            awaits: task.record.awaited(),
            age,
            polls: task.record.polls(),
            busy: task.busy(),
            phase,
        }
    }

    /// What tasks that share a line have in common.
    fn kind(&self) -> String {
        let name = self.name.as_ref().map_or_else(|| "a task".to_owned(), |name| format!("{name:?}"));
        let does = match (self.phase, self.awaits) {
            (Phase::Running, _) => "running".to_owned(),
            (Phase::Ready, None) => "ready".to_owned(),
            (Phase::Ready, Some(place)) => format!("ready at {place}"),
            (Phase::Waiting, None) => "waiting".to_owned(),
            (Phase::Waiting, Some(place)) => format!("awaits at {place}"),
        };
        format!("{name}, spawned at {}, {does}", self.spawned)
    }
}

impl Dump {
    /// Of a local executor, on its thread.
    pub(crate) fn of_home(home: &Home) -> Self {
        let mut tasks = Vec::new();
        home.tasks.each(|task, age| tasks.push(TaskReport::new(task, age, local_phase(task))));
        Self { tasks }
    }

    /// Of an executor of several threads.
    pub(crate) fn of_hub(hub: &Hub) -> Self {
        let mut tasks = Vec::new();
        hub.each(|task, age| tasks.push(TaskReport::new(task, age, shared_phase(task))));
        Self { tasks }
    }
}

/// Lines at most, in a list for people.
const MOST_LINES: usize = 40;

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<String, Vec<&TaskReport>> = BTreeMap::new();
        for task in &self.tasks {
            kinds.entry(task.kind()).or_default().push(task);
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        let oldest = |tasks: &[&TaskReport]| tasks.iter().map(|task| task.age).max();
        kinds.sort_by_key(|(_, tasks)| Reverse((tasks[0].phase == Phase::Waiting, oldest(tasks))));
        let total = self.tasks.len();
        write!(f, "{total} {}", if total == 1 { "task" } else { "tasks" })?;
        for (kind, tasks) in kinds.iter().take(MOST_LINES) {
            let times = if tasks.len() == 1 { String::new() } else { format!("{} times ", tasks.len()) };
            let (ages, polls) = (span(tasks, |task| task.age), span(tasks, |task| task.polls));
            write!(f, "\n    {times}{kind}, {ages} old, polls: {polls}")?;
            let busy: Duration = tasks.iter().filter_map(|task| task.busy).sum();
            if !busy.is_zero() {
                write!(f, ", busy for {busy:.1?}")?;
            }
        }
        let rest: usize = kinds.iter().skip(MOST_LINES).map(|(_, tasks)| tasks.len()).sum();
        if rest > 0 {
            write!(f, "\n    and {rest} more, of {} kinds", kinds.len() - MOST_LINES)?;
        }
        Ok(())
    }
}

/// The least and the most of something that tasks have.
fn span<T: Ord + fmt::Debug>(tasks: &[&TaskReport], value: impl Fn(&TaskReport) -> T) -> String {
    let [least, most] = [tasks.iter().map(|task| value(task)).min(), tasks.iter().map(|task| value(task)).max()]
        .map(|value| value.map_or_else(String::new, |value| format!("{value:.1?}")));
    if least == most { least } else { format!("{least} to {most}") }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_do_the_same_share_a_line_and_those_that_wait_longest_come_first() {
        let (here, there) = (Location::caller(), crate::places::SOMEWHERE);
        let task = |seconds: u64, polls, phase| TaskReport {
            name: None,
            spawned: here,
            awaits: Some(there),
            age: Duration::from_secs(seconds),
            polls,
            busy: None,
            phase,
        };
        let mut tasks: Vec<_> =
            (0..1_000).map(|number| task(2 + number % 9, 4 + number as u32 % 6, Phase::Waiting)).collect();
        tasks.push(task(140, 1, Phase::Running));
        tasks.push(TaskReport {
            name: Some("old".to_owned()),
            awaits: None,
            busy: Some(Duration::from_millis(30)),
            ..task(60, 1, Phase::Waiting)
        });
        let expected = format!(
            "1002 tasks\n    \"old\", spawned at {here}, waiting, 60.0s old, polls: 1, busy for 30.0ms\n    \
             1000 times a task, spawned at {here}, awaits at {there}, 2.0s to 10.0s old, polls: 4 to 9\n    \
             a task, spawned at {here}, running, 140.0s old, polls: 1"
        );
        assert_eq!(Dump { tasks }.to_string(), expected);
    }

    #[test]
    fn a_long_list_is_cut() {
        let task = |number: usize| TaskReport {
            name: Some(number.to_string()),
            spawned: Location::caller(),
            awaits: None,
            age: Duration::ZERO,
            polls: 0,
            busy: None,
            phase: Phase::Ready,
        };
        let text = Dump { tasks: (0..50).map(task).collect() }.to_string();
        assert_eq!(text.lines().count(), 1 + MOST_LINES + 1);
        assert!(text.ends_with("\n    and 10 more, of 10 kinds"));
    }
}
