//! Snapshots at an interval, as plain data.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::process::{Process, ProcessError};
use crate::snapshot::{Detail, MemorySnapshot};

/// A process's figures over time.
///
/// ```
/// use std::time::Duration;
/// use mmap_demo::{Detail, Figure, Process, Timeline};
///
/// let recorder = Timeline::record(Process::own()?, Detail::Sizes, Duration::from_millis(1));
/// let block = vec![1_u8; 16 << 20];
/// let timeline = recorder.stop();
/// let peak = timeline.values(Figure::Resident).map(|(_, bytes)| bytes).max();
/// # drop(block);
/// # assert!(peak.is_some());
/// # Ok::<(), mmap_demo::ProcessError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// The samples, in order; the first is taken at once, the last when it is stopped.
    pub samples: Vec<Sample>,
    /// Why it ended before it was stopped: the process is gone, as a rule, or at its end and nobody has waited for it yet.
    pub ended: Option<String>,
}

/// One moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Since the beginning, ns.
    pub at_ns: u64,
    /// The figures.
    pub snapshot: MemorySnapshot,
}

impl Timeline {
    /// Begins to take snapshots in a thread of its own.
    ///
    /// A snapshot that takes longer than the interval delays the next: there is never more than one at a time, and what was missed is
    /// not made up for. The thread belongs to this process: to watch another costs that other nothing but what
    /// `smaps_rollup` holds its lock for.
    pub fn record(process: Process, detail: Detail, interval: Duration) -> Recorder {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let begin = Instant::now();
            let mut timeline = Self::default();
            while timeline.take(&process, detail, begin) {
                match stopped.recv_timeout(interval) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                        timeline.take(&process, detail, begin);
                        break;
                    }
                }
            }
            timeline
        });
        Recorder { stop, thread }
    }

    /// A figure over time: (ns since the beginning, value).
    pub fn values(&self, figure: Figure) -> impl Iterator<Item = (u64, u64)> {
        self.samples.iter().filter_map(move |sample| Some((sample.at_ns, sample.snapshot.get(figure)?)))
    }

    /// Whether it can go on.
    fn take(&mut self, process: &Process, detail: Detail, begin: Instant) -> bool {
        let at_ns = begin.elapsed().as_nanos() as u64;
        let taken: Result<MemorySnapshot, ProcessError> = MemorySnapshot::of(process, detail);
        match taken {
            Ok(snapshot) => {
                if snapshot.has_ended() {
                    self.ended = Some(format!("process {} has ended", process.pid()));
                }
                self.samples.push(Sample { at_ns, snapshot });
            }
            Err(error) => self.ended = Some(error.to_string()),
        }
        self.ended.is_none()
    }
}

/// A timeline that is being recorded. Dropped, it ends and is lost.
#[derive(Debug)]
pub struct Recorder {
    stop: Sender<()>,
    thread: JoinHandle<Timeline>,
}

impl Recorder {
    /// Whether it has ended by itself, with its process.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Takes one more snapshot and ends.
    ///
    /// # Panics
    /// When the recording thread has panicked, which nothing in it does.
    pub fn stop(self) -> Timeline {
        // It may have ended by itself, with its process.
        let _ = self.stop.send(());
        self.thread.join().expect("the recording thread doesn't panic")
    }
}
