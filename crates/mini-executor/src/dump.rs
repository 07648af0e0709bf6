//! A list of all tasks of an executor: where each was spawned, where it awaits, how old it is. For whoever asks why nothing goes on.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::Location;
use std::time::Duration;

use crate::clock;
use crate::home::Home;
use crate::hub::Hub;
use crate::task::{TaskRef, local_phase, shared_phase};

/// The tasks of an executor at one moment, in no particular order.
///
/// Its [`Display`](fmt::Display) is a list for people. Tasks that do the same share a line, and those that have waited longest come first:
///
/// ```text
/// 1,002 tasks
///     "listener", spawned at src/main.rs:12:14, awaits at src/main.rs:30:41, 61 s old, 4 polls
///     1,000 tasks spawned at src/main.rs:33:18, await at src/main.rs:52:40, 1.2 s to 60 s old, 2 to 9 polls
///     1 task spawned at src/main.rs:14:14, running, 61 s old, 61,003 polls
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
    /// How old it is: at least and at most. The two lie a quarter of the age apart or less, or 0.1 ms; more for the last 256 tasks that a thread has spawned
    /// since it last slept, and for executors that run in another library's `block_on`. In real time, in a deterministic runtime, too.
    pub age: RangeInclusive<Duration>,
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
    fn new(task: TaskRef, (since, by): (u64, u64), now: u64, phase: Phase) -> Self {
        let age = |born: u64| Duration::from_nanos(now.saturating_sub(born));
        Self {
            name: task.name().map(str::to_owned),
            spawned: task.spawned(),
            awaits: task.record.awaited(),
            age: age(by)..=age(since),
            polls: task.record.polls(),
            busy: task.busy(),
            phase,
        }
    }
}

impl Dump {
    /// Of a local executor, on its thread.
    pub(crate) fn of_home(home: &Home) -> Self {
        let now = clock::real();
        let mut tasks = Vec::new();
        home.each(|task, born| tasks.push(TaskReport::new(task, born, now, local_phase(task))));
        Self { tasks }
    }

    /// Of an executor of several threads.
    pub(crate) fn of_hub(hub: &Hub) -> Self {
        let now = clock::real();
        let mut tasks = Vec::new();
        hub.each(|task, born| tasks.push(TaskReport::new(task, born, now, shared_phase(task))));
        Self { tasks }
    }
}

/// Lines at most, in a list for people.
const MOST_LINES: usize = 40;

/// What tasks have in common that share a line. Places are compared by what they say.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kind<'a> {
    name: Option<&'a str>,
    spawned: (&'a str, u32, u32),
    awaits: Option<(&'a str, u32, u32)>,
    phase: Phase,
}

fn place<'a>(location: &'a Location<'a>) -> (&'a str, u32, u32) {
    (location.file(), location.line(), location.column())
}

/// What tasks of one line differ in.
struct Group<'a> {
    first: &'a TaskReport,
    count: usize,
    least_age: Duration,
    most_age: Duration,
    polls: RangeInclusive<u32>,
    busy: Duration,
}

impl<'a> Group<'a> {
    fn new(first: &'a TaskReport) -> Self {
        let (least_age, most_age) = (*first.age.start(), *first.age.end());
        Self { first, count: 0, least_age, most_age, polls: first.polls..=first.polls, busy: Duration::ZERO }
    }

    fn add(&mut self, task: &TaskReport) {
        self.count += 1;
        self.least_age = self.least_age.min(*task.age.start());
        self.most_age = self.most_age.max(*task.age.end());
        self.busy += task.busy.unwrap_or_default();
        self.polls = task.polls.min(*self.polls.start())..=task.polls.max(*self.polls.end());
    }
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_one = self.count == 1;
        match (&self.first.name, is_one) {
            (Some(name), true) => write!(f, "{name:?},")?,
            (Some(name), false) => write!(f, "{} tasks {name:?},", Number(self.count))?,
            (None, true) => f.write_str("1 task")?,
            (None, false) => write!(f, "{} tasks", Number(self.count))?,
        }
        write!(f, " spawned at {}, ", self.first.spawned)?;
        match (self.first.phase, self.first.awaits) {
            (Phase::Running, _) => f.write_str("running")?,
            (Phase::Ready, None) => f.write_str("ready")?,
            (Phase::Ready, Some(place)) => write!(f, "ready at {place}")?,
            (Phase::Waiting, None) => f.write_str("waiting")?,
            (Phase::Waiting, Some(place)) => write!(f, "{} at {place}", if is_one { "awaits" } else { "await" })?,
        }
        let (least, most) = (Rounded(self.least_age).to_string(), Rounded(self.most_age).to_string());
        write!(f, ", {least}")?;
        if least != most {
            write!(f, " to {most}")?;
        }
        let (least, most) = (*self.polls.start() as usize, *self.polls.end() as usize);
        write!(f, " old, {}", Number(least))?;
        if least != most {
            write!(f, " to {}", Number(most))?;
        }
        f.write_str(if most == 1 { " poll" } else { " polls" })?;
        if self.busy.is_zero() { Ok(()) } else { write!(f, " that took {}", Rounded(self.busy)) }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = BTreeMap::new();
        for task in &self.tasks {
            let kind = Kind {
                name: task.name.as_deref(),
                spawned: place(task.spawned),
                awaits: task.awaits.map(|location| place(location)),
                phase: task.phase,
            };
            groups.entry(kind).or_insert_with(|| Group::new(task)).add(task);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| Reverse((group.first.phase == Phase::Waiting, group.most_age)));
        let total = self.tasks.len();
        write!(f, "{} {}", Number(total), if total == 1 { "task" } else { "tasks" })?;
        for group in groups.iter().take(MOST_LINES) {
            write!(f, "\n    {group}")?;
        }
        let rest: usize = groups.iter().skip(MOST_LINES).map(|group| group.count).sum();
        if rest > 0 {
            write!(f, "\n    and {} more, of {} kinds", Number(rest), groups.len() - MOST_LINES)?;
        }
        Ok(())
    }
}

/// A number with commas between the thousands.
struct Number(usize);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000 {
            return write!(f, "{}", self.0);
        }
        write!(f, "{},{:03}", Self(self.0 / 1_000), self.0 % 1_000)
    }
}

/// A duration with two digits, which is as many as are known.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = |value: f64| usize::from(value < 9.95);
        let seconds = self.0.as_secs_f64();
        match seconds {
            0.001..0.9995 => write!(f, "{:.*} ms", digits(seconds * 1e3), seconds * 1e3),
            ..0.001 => write!(f, "{:.0} us", seconds * 1e6),
            ..99.5 => write!(f, "{:.*} s", digits(seconds), seconds),
            ..5970.0 => write!(f, "{:.0} min", seconds / 60.0),
            ..345_600.0 => write!(f, "{:.0} h", seconds / 3_600.0),
            _ => write!(f, "{:.0} days", seconds / 86_400.0),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_and_numbers_grouped() {
        let texts = [
            (250, "0 us"),
            (12_300, "12 us"),
            (1_230_000, "1.2 ms"),
            (45_600_000, "46 ms"),
            (999_900_000, "1.0 s"),
            (61_000_000_000, "61 s"),
            (600_000_000_000, "10 min"),
            (36_000_000_000_000, "10 h"),
            (864_000_000_000_000, "10 days"),
        ];
        for (nanos, text) in texts {
            assert_eq!(Rounded(Duration::from_nanos(nanos)).to_string(), text);
        }
        assert_eq!(
            [0, 999, 1_000, 1_002_003].map(|number| Number(number).to_string()),
            ["0", "999", "1,000", "1,002,003"]
        );
    }

    #[test]
    fn tasks_that_do_the_same_share_a_line_and_those_that_wait_longest_come_first() {
        let (here, there) = (Location::caller(), crate::places::SOMEWHERE);
        let task = |seconds: u64, polls, phase| TaskReport {
            name: None,
            spawned: here,
            awaits: Some(there),
            age: Duration::from_secs(seconds)..=Duration::from_secs(seconds + 1),
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
            "1,002 tasks\n    \"old\", spawned at {here}, waiting, 60 s to 61 s old, 1 poll that took 30 ms\n    \
             1,000 tasks spawned at {here}, await at {there}, 2.0 s to 11 s old, 4 to 9 polls\n    \
             1 task spawned at {here}, running, 2 min old, 1 poll"
        );
        assert_eq!(Dump { tasks }.to_string(), expected);
    }

    #[test]
    fn a_long_list_is_cut() {
        let task = |number: usize| TaskReport {
            name: Some(number.to_string()),
            spawned: Location::caller(),
            awaits: None,
            age: Duration::ZERO..=Duration::ZERO,
            polls: 0,
            busy: None,
            phase: Phase::Ready,
        };
        let text = Dump { tasks: (0..50).map(task).collect() }.to_string();
        assert_eq!(text.lines().count(), 1 + MOST_LINES + 1);
        assert!(text.ends_with("\n    and 10 more, of 10 kinds"));
    }
}
