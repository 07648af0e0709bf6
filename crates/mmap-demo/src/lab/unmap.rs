//! What munmap, mprotect and madvise cost, alone and with a thread on another core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::mm::{Advice, MapFlags};

use super::memory::{Mapping, page};
use super::paired::{Claim, Comparison, Subject, Timed, Way};
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
    /// Map, touch, unmap one page.
    Unmap,
    /// Forbid writing, allow it, write.
    Protect,
    /// Touch, give up.
    DontNeed,
}

struct Calls {
    call: Call,
    with_thread: bool,
    mapping: Mapping,
}

fn calls(with_thread: bool, call: Call) -> Result<Box<dyn Subject>, Failure> {
    if with_thread && std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(Failure::File("there is one core".to_owned()));
    }
    let mapping = Mapping::anonymous(page(), MapFlags::empty()).trying("to map a page")?;
    Ok(Box::new(Calls { call, with_thread, mapping }))
}

/// A thread that computes until it is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(AtomicBool::new(false));
        let (stopped, beginning) = (Arc::clone(&stop), Arc::clone(&begun));
        let thread = std::thread::spawn(move || {
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

impl Subject for Calls {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let _busy = self.with_thread.then(Busy::start);
        let begin = Instant::now();
        for _ in 0..iterations {
            match self.call {
                Call::Unmap => {
                    let fresh = Mapping::anonymous(page(), MapFlags::empty()).trying("to map a page")?;
                    fresh.write(0, 1);
                }
                Call::Protect => {
                    self.mapping.protect(false).trying("to forbid writing")?;
                    self.mapping.protect(true).trying("to allow writing")?;
                    self.mapping.write(0, 1);
                }
                Call::DontNeed => {
                    self.mapping.write(0, 1);
                    self.mapping.advise(Advice::LinuxDontNeed).trying("to give a page up")?;
                }
            }
        }
        Ok(Timed { operations: iterations, spent: begin.elapsed() })
    }
}
