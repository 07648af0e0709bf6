//! What ran, in which order: the interleaving, for people to read.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::task::Turn;

/// So many steps are kept: the last.
const KEPT: usize = 10_000;
/// A listing that is longer is cut in the middle: so many lines of its beginning are left, and of its end.
const SHOWN: (usize, usize) = (40, 80);

/// A task of a deterministic runtime, or what is given to `block_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Who {
    /// 0 for the future given to `block_on`; tasks and calls that block are counted from 1, in the order in which they were spawned.
    pub number: u64,
    /// It is one of those that the task of this number runs itself: a child of a group, a task of a `LocalExecutor`.
    pub is_inner: bool,
    /// The task's name, if it was given one.
    pub name: Option<String>,
    /// Where it was spawned.
    pub spawned: &'static Location<'static>,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, is_inner, name, spawned } = self;
        match (number, is_inner) {
            (0, false) => return write!(f, "block_on at {spawned}"),
            (0, true) => f.write_str("  in block_on: one")?,
            (number, false) => write!(f, "task {number}")?,
            (number, true) => write!(f, "  in task {number}: one")?,
        }
        if let Some(name) = name {
            write!(f, " {name:?}")?;
        }
        write!(f, ", spawned at {spawned}")
    }
}

/// What a task's turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It waits for something.
    Waits,
    /// It was woken during its own turn, as by [`yield_now`](crate::yield_now), and is ready again.
    Yields,
    /// It came to its end.
    Ends,
    /// It panicked.
    Panics,
    /// It has a turn inside the task that runs it. What that came to is not known.
    IsPolled,
    /// It was cancelled before: its future was dropped.
    IsCancelled,
}

impl From<Turn> for Outcome {
    fn from(turn: Turn) -> Self {
        match turn {
            Turn::Waits => Self::Waits,
            Turn::IsReady => Self::Yields,
            Turn::Ended => Self::Ends,
            Turn::Cancelled => Self::IsCancelled,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waits => "waits",
            Self::Yields => "yields",
            Self::Ends => "ends",
            Self::Panics => "panics",
            Self::IsPolled => "is polled",
            Self::IsCancelled => "is cancelled",
        })
    }
}

/// One turn of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Counted from 1.
    pub number: u64,
    /// Virtual time since the runtime was made.
    pub at: Duration,
    /// Whose turn it was.
    pub who: Arc<Who>,
    /// What it came to.
    pub outcome: Outcome,
}

/// The turns of a [deterministic runtime](crate::Runtime::deterministic)'s tasks, in order: the last 10,000.
///
/// As text it is one line for each; turns of one task in a row are one line, and a long listing is cut in the middle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    steps: VecDeque<Step>,
    count: u64,
    hash: u64,
}

impl Trace {
    /// The turns that are kept.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    /// How many turns there were, with those that are not kept any more.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What tells an order of turns from others.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn push(&mut self, at: Duration, who: Arc<Who>, outcome: Outcome) {
        self.count += 1;
        // FNV-1a, on whole words.
        let place = u64::from(who.is_inner) * (u64::from(who.spawned.line()) << 32 | u64::from(who.spawned.column()));
        for word in [who.number << 3 | outcome as u64, place] {
            self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01B3).rotate_left(23);
        }
        if self.steps.len() == KEPT {
            self.steps.pop_front();
        }
        self.steps.push_back(Step { number: self.count, at, who, outcome });
    }

    /// The lines of the listing: runs of turns of one task at one time, as the first and the last.
    fn lines(&self) -> Vec<(&Step, &Step)> {
        let mut lines: Vec<(&Step, &Step)> = Vec::new();
        for step in &self.steps {
            match lines.last_mut() {
                Some((first, last))
                    if first.who == step.who && first.at == step.at && last.outcome == Outcome::Yields =>
                {
                    *last = step;
                }
                // That somebody inside has had a turn is said.
                Some((first, last))
                    if first.who.is_inner && first.who.number == step.who.number && step.outcome == Outcome::Yields =>
                {
                    *last = first;
                }
                _ => lines.push((step, step)),
            }
        }
        lines
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let left_out = lines.len().saturating_sub(SHOWN.0 + SHOWN.1);
        let cut = if left_out > 1 { SHOWN.0..SHOWN.0 + left_out } else { 0..0 };
        let before = self.count - self.steps.len() as u64;
        let width = self.count.to_string().len();
        writeln!(f, "{:>width$}  {:>11}  {:<12}  who", "step", "time", "its turn", width = 2 * width + 1)?;
        if before > 0 {
            writeln!(f, "… the first {before} steps are not kept")?;
        }
        for (at, (first, last)) in lines.iter().enumerate() {
            if at == cut.start && !cut.is_empty() {
                writeln!(f, "… {left_out} lines are left out")?;
            }
            if cut.contains(&at) {
                continue;
            }
            let numbers = if first.number == last.number {
                first.number.to_string()
            } else {
                format!("{}-{}", first.number, last.number)
            };
            let time = format!("{:.6} s", first.at.as_secs_f64());
            writeln!(f, "{numbers:>width$}  {time:>11}  {:<12}  {}", last.outcome, first.who, width = 2 * width + 1)?;
        }
        Ok(())
    }
}
