//! Whether a program speaks the contender protocol and does the work: each workload it offers, against the [test vectors](crate::vectors()).
//!
//! Nothing is measured. What would cost the program its cells in a comparison, or make them lie, is found here in seconds, and said in
//! a sentence.

use std::num::NonZeroUsize;
use std::time::Duration;

use bench_harness::host::{Child, ChildError, Interrupt, Launch, Limits, Stamps, server_address};
use bench_harness::load::Client;
use bench_harness::protocol::{Hello, Params, Prepare, RefusalKind, Run, checksum_text};
use bench_harness::rest::Rests;

use crate::vectors::{SEED, Vector, vectors};
use crate::{allocators, memory};

/// Iterations asked for, one block after the other: the checksum has to be that of one iteration, the operations those of all.
const ITERS: [u64; 2] = [1, 3];
/// How long a contender may take for a block, and an echo server for all its answers. Nothing is measured here: beside a build all takes several times
/// as long, and one whose operation is to run other programs takes seconds alone.
const ANSWER: Duration = Duration::from_mins(2);
/// While it has nothing to do a contender may use so much of a CPU.
const IDLE_SHARE: f64 = 0.1;
/// For so long it is watched.
const IDLE: Duration = Duration::from_millis(200);
/// How long it rests between two blocks: long enough to be judged by it.
const BETWEEN: Duration = Duration::from_millis(110);
/// So often, if need be: after its first block a compiler or a collector may have some work left.
const RESTS: u32 = 3;
/// A workload that nobody has.
const NO_SUCH_WORKLOAD: &str = "no-such-workload";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What: `hello`, `idle`, `bye`, a workload's name, ...
    pub about: String,
    /// What was seen.
    pub outcome: Outcome,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is as the protocol asks; with what was found.
    Right(String),
    /// It is not; with what is wrong.
    Wrong(String),
    /// It could not be looked at; with the reason.
    Skipped(String),
}

/// All that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Who the program says it is; `None` if it did not say so.
    pub hello: Option<Hello>,
    /// What was looked at, in order.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Whether nothing was wrong.
    pub fn is_right(&self) -> bool {
        !self.findings.iter().any(|finding| matches!(finding.outcome, Outcome::Wrong(_)))
    }
}

/// Starts the program, over and over, and looks at all it has to do. `found` is told of each finding as it comes.
///
/// # Errors
/// When a person interrupts. What the program does wrong is no error but a finding.
pub fn check(
    launch: &Launch,
    cpus: &[usize],
    interrupt: &Interrupt,
    found: &mut dyn FnMut(&Finding),
) -> Result<Checked, ChildError> {
    let mut checker = Checker { launch, cpus, interrupt, findings: Vec::new(), found };
    let hello = checker.hello()?;
    if let Some(hello) = &hello {
        let known = [vectors(), memory::vectors(), allocators::vectors()].concat();
        for vector in known.iter().filter(|vector| hello.workloads.iter().any(|name| name == vector.workload)) {
            checker.look(vector.workload, |checker| checker.workload(vector))?;
        }
        for name in hello.workloads.iter().filter(|name| known.iter().all(|vector| vector.workload != **name)) {
            checker.note(
                name,
                Outcome::Skipped("no workload of this lab's: there is nothing to hold it against".to_owned()),
            );
        }
        checker.look("a workload it has not", Checker::unknown_workload)?;
        let sized = |vector: &&Vector| {
            vector.params.0.contains_key("n") && hello.workloads.iter().any(|name| name == vector.workload)
        };
        if let Some(vector) = known.iter().find(sized) {
            checker.look("senseless parameters", |checker| checker.bad_params(vector))?;
        }
        checker.look("idle", Checker::idle)?;
        checker.look("bye", Checker::bye)?;
    }
    Ok(Checked { hello, findings: checker.findings })
}

struct Checker<'a> {
    launch: &'a Launch,
    cpus: &'a [usize],
    interrupt: &'a Interrupt,
    findings: Vec<Finding>,
    found: &'a mut dyn FnMut(&Finding),
}

/// What was right, or what was wrong; and an error of the child's is wrong, too.
type Seen = Result<Result<String, String>, ChildError>;

impl Checker<'_> {
    fn start(&self) -> Result<Child, ChildError> {
        let limits = Limits { prepare: ANSWER, block: ANSWER, ..Limits::default() };
        Child::start(self.launch, self.cpus, limits, self.interrupt)
    }

    fn note(&mut self, about: &str, outcome: Outcome) {
        let finding = Finding { about: about.to_owned(), outcome };
        (self.found)(&finding);
        self.findings.push(finding);
    }

    fn look(&mut self, about: &str, look: impl FnOnce(&Self) -> Seen) -> Result<(), ChildError> {
        let outcome = match look(self) {
            Ok(Ok(right)) => Outcome::Right(right),
            Ok(Err(wrong)) => Outcome::Wrong(wrong),
            Err(ChildError::Interrupted) => return Err(ChildError::Interrupted),
            Err(error) => Outcome::Wrong(error.to_string()),
        };
        self.note(about, outcome);
        Ok(())
    }

    /// The first word. `None` if there is no point in going on.
    fn hello(&mut self) -> Result<Option<Hello>, ChildError> {
        let mut heard = None;
        self.look("hello", |checker| {
            let child = checker.start()?;
            let hello = child.hello().clone();
            child.end();
            let wrong = if hello.name.is_empty() {
                Some("`name` is empty: it is how the contender stands in tables".to_owned())
            } else if hello.clock != "CLOCK_MONOTONIC" {
                Some(format!(
                    "`clock` is {:?}: stamps are compared with the host's, so it has to be CLOCK_MONOTONIC",
                    hello.clock
                ))
            } else if hello.workloads.is_empty() {
                Some("`workloads` is empty: there is nothing it could be compared in".to_owned())
            } else {
                None
            };
            let right = format!(
                "{} ({}), {} workloads, {} threads",
                hello.name,
                hello.runtime,
                hello.workloads.len(),
                hello.threads
            );
            heard = Some(hello);
            Ok(wrong.map_or(Ok(right), Err))
        })?;
        Ok(heard)
    }

    fn workload(&self, vector: &Vector) -> Seen {
        let mut child = self.start()?;
        let request = Prepare { workload: vector.workload.to_owned(), params: vector.params.clone(), seed: SEED };
        let ready = child.prepare(&request)?;
        let is_server = vector.workload.starts_with("tcp-echo/") || vector.workload.starts_with("mixed/");
        if is_server != ready.listen.is_some() {
            let wrong = if is_server {
                "a server has to answer `ready` with the address it listens on"
            } else {
                "it is no server, but answers `ready` with an address"
            };
            return Ok(Err(wrong.to_owned()));
        }
        // Units that wait for ever are made once in a process.
        let iters = if vector.workload.starts_with("memory/") { &ITERS[..1] } else { &ITERS };
        for (block, &iters) in (1..).zip(iters) {
            if block > 1
                && let Some(wrong) = restless(&mut child)
            {
                return Ok(Err(wrong));
            }
            let request = Run { block, iters };
            let ran = match &ready.listen {
                None => child.run(request),
                Some(address) => {
                    let mut client = Client::connect(server_address(address)?, NonZeroUsize::MIN, self.interrupt)?;
                    let load = || Ok(client.closed(iters * vector.ops, SEED, ANSWER)?);
                    child.run_loaded(request, load).map(|(done, stamps, _)| (done, stamps))
                }
            };
            let (done, stamps) = ran?;
            let expected = checksum_text(vector.checksum);
            if let Stamps::Void(why) = stamps {
                return Ok(Err(why));
            }
            if done.ops != iters * vector.ops {
                return Ok(Err(format!(
                    "{} operations in {iters} iterations: it has to be {} in each, with {}",
                    done.ops,
                    vector.ops,
                    with(vector)
                )));
            }
            if done.checksum != expected {
                return Ok(Err(format!(
                    "checksum {} in a block of {iters} iterations, but one iteration comes to {expected}, with {}",
                    done.checksum,
                    with(vector)
                )));
            }
            if matches!(vector.workload, "blocked-loop" | "offload/ticker") {
                let ticks: u64 = done.latency.iter().flatten().map(|(_, count)| count).sum();
                if ticks != done.ops {
                    return Ok(Err(format!("`latency` has {ticks} entries for {} ticks", done.ops)));
                }
                if !done.values.contains_key("worst_lateness_ns") {
                    return Ok(Err("the value `worst_lateness_ns` is missing".to_owned()));
                }
            }
        }
        child.end();
        Ok(Ok(format!("{} operations, checksum {}", vector.ops, checksum_text(vector.checksum))))
    }

    fn unknown_workload(&self) -> Seen {
        let request = Prepare { workload: NO_SUCH_WORKLOAD.to_owned(), params: Params::default(), seed: SEED };
        Ok(refused(self.start()?.prepare(&request).map(|_| ()), RefusalKind::Unsupported))
    }

    fn bad_params(&self, vector: &Vector) -> Seen {
        let mut params = vector.params.clone();
        params.0.insert("n".to_owned(), 0.into());
        let request = Prepare { workload: vector.workload.to_owned(), params, seed: SEED };
        Ok(refused(self.start()?.prepare(&request).map(|_| ()), RefusalKind::BadParams))
    }

    fn idle(&self) -> Seen {
        let mut child = self.start()?;
        child.begin_rest();
        std::thread::sleep(IDLE);
        let Some((_, used)) = child.end_rest() else { return Ok(Err("its CPU time cannot be read".to_owned())) };
        child.end();
        if used > IDLE.mul_f64(IDLE_SHARE) {
            return Ok(Err(format!(
                "it used {used:.1?} of CPU time in {IDLE:?} with nothing to do: it has to block in read"
            )));
        }
        Ok(Ok(format!("blocks: {used:.1?} of CPU time in {IDLE:?}")))
    }

    fn bye(&self) -> Seen {
        self.start()?.bye()?;
        Ok(Ok("ends with exit code 0".to_owned()))
    }
}

/// What it does while it is asked for nothing, if that is not nothing.
fn restless(child: &mut Child) -> Option<String> {
    let mut wrong = None;
    for _ in 0..RESTS {
        let mut rests = Rests::default();
        child.begin_rest();
        std::thread::sleep(BETWEEN);
        if let Some((lasted, used)) = child.end_rest() {
            rests.add(lasted, used);
        }
        wrong = Some(rests.judge().err()?.to_string());
    }
    wrong
}

fn with(vector: &Vector) -> String {
    let params = vector.params.0.iter().map(|(key, value)| format!("{key} = {value}"));
    params.chain([format!("seed = {SEED}")]).collect::<Vec<_>>().join(", ")
}

/// Whether it said no, and of the right kind.
fn refused(answer: Result<(), ChildError>, kind: RefusalKind) -> Result<String, String> {
    match answer {
        Err(ChildError::Refused(refusal)) if refusal.kind == kind => Ok(format!("refused: {}", refusal.message)),
        Err(ChildError::Refused(refusal)) => {
            Err(format!("refused as {:?}, but it has to be {kind:?}: {}", refusal.kind, refusal.message))
        }
        Err(error) => Err(format!("has to be refused as {kind:?}; instead it {error}")),
        Ok(()) => Err(format!("has to be refused as {kind:?}, but it answered `ready`")),
    }
}
