//! What munmap, mprotect and madvise cost, alone and with a thread on another core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::mm::{Advice, MapFlags};

use super::memory::{Mapping, page};
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::pinned::{self, Pinned};
use super::{Failure, Trying};

pub(super) fn comparison() -> Comparison {
    Comparison {
        name: "unmap",
        question: "What do munmap and mprotect cost, alone and with a thread on another core?",
        operation: "call",
        ways: vec![
            Way { name: "unmap-alone", prepare: || calls(false, Call::Unmap) },
            Way { name: "unmap-with-thread", prepare: || calls(true, Call::Unmap) },
            Way { name: "protect-alone", prepare: || calls(false, Call::Protect) },
            Way { name: "protect-with-thread", prepare: || calls(true, Call::Protect) },
            Way { name: "dontneed-alone", prepare: || calls(false, Call::DontNeed) },
            Way { name: "dontneed-with-thread", prepare: || calls(true, Call::DontNeed) },
        ],
        claims: vec![
            Claim {
                text: "a thread on another core makes munmap dearer: its TLB has to be told",
                way: "unmap-with-thread",
                versus: Some("unmap-alone"),
                at_least: 1.3,
                at_most: f64::INFINITY,
            },
            Claim {
                text: "and mprotect",
                way: "protect-with-thread",
                versus: Some("protect-alone"),
                at_least: 1.3,
                at_most: f64::INFINITY,
            },
        ],
    }
}

#[derive(Debug, Clone, Copy)]
enum Call {
    /// Unmap a page that was touched.
    Unmap,
    /// Forbid writing to a page that was written to.
    Protect,
    /// Give up a page that was touched.
    DontNeed,
}

struct Calls {
    call: Call,
    /// Where it is timed, and where the other thread is, if there is one.
    cores: (usize, Option<usize>),
    mapping: Mapping,
}

fn calls(with_thread: bool, call: Call) -> Result<Box<dyn Subject>, Failure> {
    let cores = match pinned::cores()?[..] {
        [first, ..] if !with_thread => (first, None),
        [first, second, ..] => (first, Some(second)),
        _ => return Err(Failure::NotHere { reason: "one_core", why: "there is one core".to_owned() }),
    };
    let mapping = Mapping::anonymous(page(), MapFlags::empty()).trying("to map a page")?;
    Ok(Box::new(Calls { call, cores, mapping }))
}

/// A thread that computes on a core of its own until it is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn start(core: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(AtomicBool::new(false));
        let (stopped, beginning) = (Arc::clone(&stop), Arc::clone(&begun));
        let thread = std::thread::spawn(move || {
            // Where it may not be kept on one core it still runs beside us, if less surely.
            let _pinned = Pinned::to(core);
            beginning.store(true, Ordering::Release);
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        while !begun.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Only the call itself is timed: the map, the first touch and the write that it takes to have something to be told to other cores about are not.
impl Subject for Calls {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let (ours, others) = self.cores;
        let _pinned = Pinned::to(ours)?;
        let _busy = others.map(Busy::start);
        let mut spent = Duration::ZERO;
        for _ in 0..iterations {
            let begin;
            match self.call {
                Call::Unmap => {
                    let fresh = Mapping::anonymous(page(), MapFlags::empty()).trying("to map a page")?;
                    fresh.write(0, 1);
                    begin = Instant::now();
                    drop(fresh);
                }
                Call::Protect => {
                    self.mapping.protect(true).trying("to allow writing")?;
                    self.mapping.write(0, 1);
                    begin = Instant::now();
                    self.mapping.protect(false).trying("to forbid writing")?;
                }
                Call::DontNeed => {
                    self.mapping.write(0, 1);
                    begin = Instant::now();
                    self.mapping.advise(Advice::LinuxDontNeed).trying("to give a page up")?;
                }
            }
            spent += begin.elapsed();
        }
        Ok(Timed { operations: iterations, spent })
    }
}
