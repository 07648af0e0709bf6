//! What is kept of a run as it goes: a digest of its events, and the timeline.
//!
//! The engine is compiled once with [`Nothing`], for which every call is empty, and once with [`Recorder`]. So what is not recorded costs nothing: of the
//! 163 instructions an event of `speed "100000 tasks, switch" once` under `valgrind --tool=callgrind` none is of this file, where with the digest 87 more
//! are executed for recording (2026-11-22).

use crate::random::mix;

/// What happens to a task on a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Dispatch = 1,
    Leave,
    Arrive,
}

/// Listens to a run.
pub(crate) trait Sink {
    /// Does it keep anything? If not, nothing is looked up for it.
    const LISTENS: bool = true;

    /// A task (by the scenario's number) gets a core, leaves it, arrives.
    fn event(&mut self, event: Event, time: u64, core: usize, id: u32);
    /// A task ran on a core from one time to another, with no change in between.
    fn ran(&mut self, run: Run);
    /// A task left its core: what it was dispatched for is over.
    fn left(&mut self, core: usize);
    /// So many tasks are ready.
    fn depth(&mut self, time: u64, ready: usize);
}

/// Keeps nothing.
#[derive(Debug, Default)]
pub(crate) struct Nothing;

impl Sink for Nothing {
    const LISTENS: bool = false;

    #[inline]
    fn event(&mut self, _: Event, _: u64, _: usize, _: u32) {}
    #[inline]
    fn ran(&mut self, _: Run) {}
    #[inline]
    fn left(&mut self, _: usize) {}
    #[inline]
    fn depth(&mut self, _: u64, _: usize) {}
}

/// A piece of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) core: u32,
    /// The task's id: its place can be another's before the run is over.
    pub(crate) task: u32,
    pub(crate) level: Option<u32>,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Keeps a digest and, as asked, the timeline.
#[allow(clippy::struct_excessive_bools)] // what is kept
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) digest: u64,
    keep_dispatches: bool,
    keep_segments: bool,
    keep_depth: bool,
    most: usize,
    pub(crate) truncated: bool,
    pub(crate) dispatches: Vec<Run>,
    pub(crate) segments: Vec<Run>,
    pub(crate) depths: Vec<(u64, u32)>,
    /// The open dispatch and the open segment of each core.
    open: Vec<(Option<Run>, Option<Run>)>,
}

impl Recorder {
    pub(crate) fn new(cores: usize, keep: (bool, bool, bool), most: u64) -> Self {
        Self {
            digest: 0x5ced_51b0,
            keep_dispatches: keep.0,
            keep_segments: keep.1,
            keep_depth: keep.2,
            most: most as usize,
            truncated: false,
            dispatches: Vec::new(),
            segments: Vec::new(),
            depths: Vec::new(),
            open: vec![(None, None); cores],
        }
    }

    /// Ends what is open, and brings all into its order.
    pub(crate) fn close(&mut self) {
        for core in 0..self.open.len() {
            self.left(core);
            if let Some(segment) = self.open[core].1.take() {
                push(&mut self.segments, segment, self.most, &mut self.truncated);
            }
        }
        self.segments.sort_by_key(|run| (run.core, run.from));
        self.dispatches.sort_by_key(|run| (run.from, run.core));
    }
}

fn push<T>(list: &mut Vec<T>, item: T, most: usize, truncated: &mut bool) {
    if list.len() < most { list.push(item) } else { *truncated = true }
}

impl Sink for Recorder {
    #[inline]
    fn event(&mut self, event: Event, time: u64, core: usize, id: u32) {
        let what = (u64::from(id) << 32) | ((core as u64 & 0xff_ffff) << 8) | event as u64;
        self.digest = mix(self.digest.rotate_left(17) ^ mix(time ^ what.rotate_left(29)).wrapping_add(what));
    }

    fn ran(&mut self, run: Run) {
        let core = run.core as usize;
        if self.keep_dispatches {
            match &mut self.open[core].0 {
                Some(open) if open.task == run.task => open.to = run.to,
                other => {
                    if let Some(done) = other.replace(run) {
                        push(&mut self.dispatches, done, self.most, &mut self.truncated);
                    }
                }
            }
        }
        if self.keep_segments && run.to > run.from {
            match &mut self.open[core].1 {
                Some(open) if open.task == run.task && open.level == run.level && open.to == run.from => {
                    open.to = run.to;
                }
                other => {
                    if let Some(done) = other.replace(run) {
                        push(&mut self.segments, done, self.most, &mut self.truncated);
                    }
                }
            }
        }
    }

    fn left(&mut self, core: usize) {
        if let Some(done) = self.open[core].0.take() {
            push(&mut self.dispatches, done, self.most, &mut self.truncated);
        }
    }

    #[inline]
    fn depth(&mut self, time: u64, ready: usize) {
        if self.keep_depth && self.depths.last().is_none_or(|(_, last)| *last != ready as u32) {
            match self.depths.last_mut() {
                Some(last) if last.0 == time => last.1 = ready as u32,
                _ => push(&mut self.depths, (time, ready as u32), self.most, &mut self.truncated),
            }
        }
    }
}
