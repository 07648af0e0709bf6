//! The child's side of the protocol: implement [`Contender`], call [`serve`], and the program takes part.
//!
//! ```no_run
//! use bench_harness::child::{BlockClock, Contender, Prepared, Work, serve};
//! use bench_harness::protocol::{Hello, PROTO, Prepare, Refusal};
//!
//! struct Adder;
//!
//! impl Contender for Adder {
//!     fn hello(&self) -> Hello {
//!         Hello {
//!             proto: PROTO,
//!             name: "adder".into(),
//!             lang: "rust".into(),
//!             runtime: "none".into(),
//!             workloads: vec!["sum".into()],
//!             clock: "CLOCK_MONOTONIC".into(),
//!             threads: 1,
//!             tags: vec![],
//!         }
//!     }
//!     fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
//!         let n = request.params.integer("n", 1..=1_000_000)?;
//!         Ok(Box::new(Sum(n)))
//!     }
//! }
//!
//! struct Sum(u64);
//!
//! impl Prepared for Sum {
//!     fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
//!         let mut sum = 0;
//!         for _ in 0..iters {
//!             sum = (0..std::hint::black_box(self.0)).sum();
//!         }
//!         Ok(Work::new(iters * self.0, sum))
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     serve(&mut Adder)
//! }
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use crate::counters::HardwareCounters;
use crate::protocol::{
    ChildMessage, Done, Hello, HostMessage, Prepare, Ready, Refusal, Run, Started, Usage, checksum_text,
};
use crate::usage::{Snapshot, monotonic_ns};

/// A program that takes part in comparisons.
pub trait Contender {
    /// Who we are.
    fn hello(&self) -> Hello;

    /// Sets a workload up; untimed.
    ///
    /// # Errors
    /// `unsupported` where the contender has no such thing, `bad_params` for parameters that make no sense.
    fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal>;
}

/// A workload that is set up and can be run again and again.
pub trait Prepared {
    /// For servers: where they listen. The clock of such a one stands started when [`run`](Self::run) is called, for then the
    /// load is on its way.
    fn listen(&self) -> Option<String> {
        None
    }

    /// Runs `iters` iterations. All of it is timed, unless the workload narrows the stretch with `clock`.
    ///
    /// # Errors
    /// `failed`, when the work could not be done.
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal>;
}

/// What a block did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Work {
    /// Operations: iterations times the operations of one.
    pub ops: u64,
    /// The checksum of one iteration.
    pub checksum: u64,
    /// Latencies, where there are any: (ns, how often).
    pub latency: Option<Vec<(u64, u64)>>,
    /// Other figures by name.
    pub values: BTreeMap<String, f64>,
}

impl Work {
    /// Work that has no figures beyond its time.
    pub fn new(ops: u64, checksum: u64) -> Self {
        Self { ops, checksum, ..Self::default() }
    }
}

/// Stamps a block's begin and end. It runs from before [`Prepared::run`] to after it; a workload whose set-up belongs
/// to the iteration but not to the figure (a thousand threads that first have to stand) calls [`start`](Self::start)
/// when the work begins and [`stop`](Self::stop) when it ends.
#[derive(Debug)]
pub struct BlockClock {
    hardware: HardwareCounters,
    before: Option<Snapshot>,
    t0_ns: u64,
    end: Option<(u64, Usage)>,
}

impl BlockClock {
    /// A clock that counts this thread and those it makes from now on.
    pub(crate) fn for_this_thread() -> Self {
        Self { hardware: HardwareCounters::open(), before: None, t0_ns: 0, end: None }
    }

    /// Begin, end, and what was used in between, of a stretch that was started and stopped.
    pub(crate) fn take(&mut self) -> (u64, u64, Usage) {
        let (t1_ns, usage) = self.end.take().expect("the stretch was started and stopped");
        (self.t0_ns, t1_ns, usage)
    }

    /// The timed stretch begins now; an earlier begin is forgotten.
    pub fn start(&mut self) {
        self.end = None;
        self.before = Some(Snapshot::before());
        self.hardware.start();
        // The stamp is the last thing before the work: what the counters cost is outside.
        self.t0_ns = monotonic_ns();
    }

    /// The timed stretch ended now. Only the first call after [`start`](Self::start) counts.
    pub fn stop(&mut self) {
        let now = monotonic_ns();
        if self.end.is_none()
            && let Some(before) = &self.before
        {
            let hardware = self.hardware.stop();
            let mut usage = before.until(&Snapshot::after());
            hardware.fill(&mut usage);
            self.end = Some((now, usage));
        }
    }
}

/// Speaks the protocol on stdin and stdout until the host says `bye` or closes the pipe.
///
/// # Errors
/// When stdin or stdout fail.
pub fn serve(contender: &mut dyn Contender) -> io::Result<()> {
    converse(contender, io::stdin().lock(), io::stdout().lock())
}

/// [`serve`] over any pair of streams.
fn converse(contender: &mut dyn Contender, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut say = |message: &ChildMessage| -> io::Result<()> {
        serde_json::to_writer(&mut output, message)?;
        output.write_all(b"\n")?;
        output.flush()
    };
    // Opened before the first thread exists: counters are inherited by threads made later, not by those that run already.
    let mut clock = BlockClock::for_this_thread();
    say(&ChildMessage::Hello(contender.hello()))?;
    let mut prepared: Option<Box<dyn Prepared>> = None;
    for line in input.lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(HostMessage::Bye(_)) => return Ok(()),
            Ok(HostMessage::Prepare(request)) => {
                // The old workload ends before the new one stands, so that two never share the process.
                drop(prepared.take());
                contender.prepare(&request).map(|ready| {
                    let listen = ready.listen();
                    prepared = Some(ready);
                    ChildMessage::Ready(Ready { listen })
                })
            }
            Ok(HostMessage::Run(request)) => match prepared.as_deref_mut() {
                Some(workload) => {
                    clock.start();
                    if workload.listen().is_some() {
                        say(&ChildMessage::Started(Started { block: request.block }))?;
                    }
                    run_block(workload, request, &mut clock)
                }
                None => Err(Refusal::failed("`run` came before `prepare`")),
            },
            Err(error) => Err(Refusal::bad_params(format!("not a request: {error}"))),
        };
        say(&answer.unwrap_or_else(ChildMessage::Error))?;
    }
    Ok(())
}

fn run_block(workload: &mut dyn Prepared, request: Run, clock: &mut BlockClock) -> Result<ChildMessage, Refusal> {
    let work = workload.run(request.iters, clock)?;
    clock.stop();
    let (t0_ns, t1_ns, usage) = clock.take();
    Ok(ChildMessage::Done(Done {
        block: request.block,
        iters: request.iters,
        t0_ns,
        t1_ns,
        ops: work.ops,
        checksum: checksum_text(work.checksum),
        usage,
        latency: work.latency,
        values: work.values,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{PROTO, RefusalKind};

    struct Fixture;

    impl Contender for Fixture {
        fn hello(&self) -> Hello {
            Hello {
                proto: PROTO,
                name: "fixture".into(),
                lang: "rust".into(),
                runtime: "none".into(),
                workloads: vec!["sleep".into()],
                clock: "CLOCK_MONOTONIC".into(),
                threads: 1,
                tags: vec![],
            }
        }

        fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
            if request.workload != "sleep" {
                return Err(Refusal::unsupported("only sleep"));
            }
            Ok(Box::new(Sleep))
        }
    }

    /// Has the clock cover only its middle, and says when that was.
    struct Sleep;

    impl Prepared for Sleep {
        fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
            let before = monotonic_ns();
            clock.start();
            std::thread::sleep(std::time::Duration::from_millis(1));
            clock.stop();
            let after = monotonic_ns();
            // A second stop, as `serve` makes one, must not lengthen the stretch.
            clock.stop();
            let values = [("before".to_owned(), before as f64), ("after".to_owned(), after as f64)].into();
            Ok(Work { values, ..Work::new(iters, 7) })
        }
    }

    fn talk(lines: &str) -> Vec<ChildMessage> {
        let mut output = Vec::new();
        converse(&mut Fixture, lines.as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_workload_may_narrow_the_timed_stretch() {
        let answers = talk(
            "{\"prepare\":{\"workload\":\"sleep\",\"seed\":1}}\n{\"run\":{\"block\":3,\"iters\":2}}\n{\"bye\":true}\n",
        );
        let [ChildMessage::Hello(_), ChildMessage::Ready(_), ChildMessage::Done(done)] = answers.as_slice() else {
            panic!("{answers:?}");
        };
        assert_eq!((done.block, done.iters, done.ops), (3, 2, 2));
        assert_eq!(done.checksum, "0000000000000007");
        assert!(done.wall_ns() >= 1_000_000);
        assert!(done.t0_ns as f64 >= done.values["before"] && done.t1_ns as f64 <= done.values["after"], "{done:?}");
    }

    #[test]
    fn nonsense_and_requests_out_of_order_are_answered_not_fatal() {
        let answers = talk(
            "garbage\n{\"run\":{\"block\":1,\"iters\":1}}\n{\"prepare\":{\"workload\":\"no\",\"seed\":1}}\n{\"prepare\":{\"workload\":\"sleep\",\"seed\":1}}\n",
        );
        let kinds: Vec<_> = answers
            .iter()
            .map(|answer| match answer {
                ChildMessage::Error(refusal) => Some(refusal.kind),
                _ => None,
            })
            .collect();
        let expected =
            [None, Some(RefusalKind::BadParams), Some(RefusalKind::Failed), Some(RefusalKind::Unsupported), None];
        assert_eq!(kinds, expected);
    }
}
