//! Asks a thread what it is at, for those who cannot wait for it any longer: the end of a runtime.

use std::panic::Location;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::signal::Captured;
use super::watch::{self, Watch};
use super::{Frame, reporter, sampler, signal};

/// What a thread said.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The name of the task that it polls, cut off after 128 bytes.
    pub(crate) name: Option<String>,
    /// Where that was spawned. `None` for a thread that polls no task.
    pub(crate) spawned: Option<&'static Location<'static>>,
    pub(crate) stack: Vec<Frame>,
}

/// Has others know of this thread, which is not in `block_on`.
pub(crate) fn register() {
    Watch::mine();
}

/// Asks a thread, and tells how long it was waited for. `None` where it is not known or does not answer, or the watchdog is off.
pub(crate) fn ask(thread: ThreadId) -> (Option<Answer>, Duration) {
    let begin = Instant::now();
    let captured = capture(thread);
    let waited = begin.elapsed();
    let answer = captured.map(|captured| {
        let is_task = captured.word.task().is_some();
        let stack = reporter::frames(&captured);
        Answer { name: captured.name, spawned: captured.spawned.filter(|_| is_task), stack }
    });
    (answer, waited)
}

fn capture(thread: ThreadId) -> Option<Captured> {
    if !sampler::is_on() {
        return None;
    }
    for watch in watch::since(0) {
        // It does not end while this is held.
        let who = watch.who();
        if let Some(known) = who.as_ref().filter(|known| known.thread.id() == thread) {
            return signal::capture(watch, known).ok();
        }
    }
    None
}
