//! What ran, in which order: the interleaving, for people to read.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// So many lines are kept: the last.
const KEPT: usize = 200;

/// What a turn came to that left the task ready again: it was woken during it, as by [`yield_now`](crate::yield_now).
pub(super) const YIELDS: &str = "yields";

/// A task of a deterministic runtime, or what is given to `block_on`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// 0 for the future given to `block_on`; tasks and calls that block are counted from 1, as they come to be ready.
    pub(super) number: u64,
    /// It is one of those that the task of this number runs itself: a child of a group, a task of a `LocalExecutor`.
    pub(super) is_inner: bool,
    pub(super) name: Option<String>,
    pub(super) spawned: &'static Location<'static>,
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

/// Turns of one task in a row, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Numbers of the first turn and the last, counted from 1.
    turns: (u64, u64),
    /// Virtual time since the runtime was made.
    at: Duration,
    who: Arc<Who>,
    /// What the last came to.
    outcome: &'static str,
}

/// The turns of a [deterministic runtime](crate::Runtime::deterministic)'s tasks, in order, as text: a line for each, or for several of one task
/// in a row. The last 200 lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    lines: VecDeque<Line>,
    turns: u64,
    hash: u64,
}

impl Trace {
    /// What tells an order of turns from others.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Tells this order from others by a number more.
    pub(super) fn mix(&mut self, number: u64) {
        let mut hasher = DefaultHasher::new();
        (self.hash, number).hash(&mut hasher);
        self.hash = hasher.finish();
    }

    pub(super) fn push(&mut self, at: Duration, who: Arc<Who>, outcome: &'static str) {
        self.turns += 1;
        let place = who.is_inner.then(|| (who.spawned.line(), who.spawned.column()));
        let mut hasher = DefaultHasher::new();
        (self.hash, who.number, place, outcome).hash(&mut hasher);
        self.hash = hasher.finish();
        match self.lines.back_mut() {
            Some(line) if line.who == who && line.at == at && line.outcome == YIELDS => {
                line.turns.1 = self.turns;
                line.outcome = outcome;
            }
            // That somebody inside has had a turn is said.
            Some(line) if line.who.is_inner && line.who.number == who.number && outcome == YIELDS => {}
            _ => self.lines.push_back(Line { turns: (self.turns, self.turns), at, who, outcome }),
        }
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>15}  {:>11}  {:<12}  who", "turns", "time", "the last")?;
        let before = self.lines.front().map_or(0, |line| line.turns.0 - 1);
        if before > 0 {
            writeln!(f, "… the first {before} turns are not kept")?;
        }
        for Line { turns: (first, last), at, who, outcome } in &self.lines {
            let turns = if first == last { first.to_string() } else { format!("{first}-{last}") };
            let time = format!("{:.6} s", at.as_secs_f64());
            writeln!(f, "{turns:>15}  {time:>11}  {outcome:<12}  {who}")?;
        }
        Ok(())
    }
}
