//! What fork costs, what a child's first write to a page, and what of the memory is copied when.

use std::time::{Duration, Instant};

use mmap_demo::{Detail, Figure, MemorySnapshot, Process};
use rustix::mm::{Advice, MapFlags};

use super::memory::{Mapping, found_by_a_child, in_a_child, page};
use super::outcome::{Findings, Outcome, Step, Verdict, bytes, percent};
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::reserve::within;
use super::{Failure, Trying};

const MIB: usize = 1 << 20;
const LARGE: usize = 256 * MIB;

pub(super) fn comparison() -> Comparison {
    let about = |text, way, versus, at_least, at_most| Claim { text, way, versus, at_least, at_most };
    Comparison {
        name: "fork",
        question: "Does fork copy the memory?",
        operation: "child, begun and ended",
        ways: vec![
            Way {
                name: "fork-small",
                prepare: || Ok(Box::new(Forks { length: 0, touched: 0, flags: MapFlags::empty() })),
            },
            Way {
                name: "fork-256m-untouched",
                prepare: || Ok(Box::new(Forks { length: LARGE, touched: 0, flags: MapFlags::empty() })),
            },
            Way {
                name: "fork-256m",
                prepare: || Ok(Box::new(Forks { length: LARGE, touched: LARGE, flags: MapFlags::empty() })),
            },
            Way {
                name: "fork-256m-shared",
                prepare: || Ok(Box::new(Forks { length: LARGE, touched: LARGE, flags: MapFlags::SHARED })),
            },
        ],
        claims: vec![
            about(
                "fork copies no memory: 256 MiB take less than a memcpy of them, 25 ms at 10 GB/s",
                "fork-256m",
                None,
                0.0,
                25e6,
            ),
            about(
                "but its cost grows with what is resident, for the page tables are copied",
                "fork-256m",
                Some("fork-small"),
                3.0,
                f64::INFINITY,
            ),
            about("and not with what is only mapped", "fork-256m-untouched", Some("fork-small"), 0.67, 1.5),
            about(
                "nor with shared memory: its page tables are made again when they are needed",
                "fork-256m-shared",
                Some("fork-small"),
                0.67,
                1.5,
            ),
        ],
    }
}

struct Forks {
    length: usize,
    touched: usize,
    flags: MapFlags,
}

/// The memory is there for the turn alone, so that it is in nobody else's figure.
impl Subject for Forks {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let memory = Mapping::anonymous(self.length.max(page()), self.flags).trying("to map memory")?;
        // A huge page has one entry in the page tables: what is asked is what 4 KiB pages cost.
        let _ = memory.advise(Advice::LinuxNoHugepage);
        memory.touch(0..self.touched);
        let begin = Instant::now();
        for _ in 0..iterations {
            in_a_child(|| {}).trying("to fork")?;
        }
        Ok(Timed { operations: iterations, spent: begin.elapsed() })
    }
}

/// What a child writes to, for the cost of a page.
const WRITTEN: usize = 8 * MIB;

pub(super) fn first_writes() -> Comparison {
    Comparison {
        name: "cow-cost",
        question: "What does a child's first write to a page cost?",
        operation: "4 KiB page",
        ways: vec![
            Way { name: "cow-copied", prepare: || Ok(Box::new(FirstWrites(Kind::Copied))) },
            Way { name: "cow-shared", prepare: || Ok(Box::new(FirstWrites(Kind::Shared))) },
            Way { name: "cow-fresh", prepare: || Ok(Box::new(FirstWrites(Kind::Fresh))) },
        ],
        claims: vec![
            Claim {
                text: "to copy a page costs more than to have a fresh one",
                way: "cow-copied",
                versus: Some("cow-fresh"),
                at_least: 1.1,
                at_most: f64::INFINITY,
            },
            Claim {
                text: "shared memory is not copied: that costs less",
                way: "cow-shared",
                versus: Some("cow-copied"),
                at_least: 0.0,
                at_most: 0.8,
            },
        ],
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// The parent's, written to before.
    Copied,
    /// Shared with the parent.
    Shared,
    /// Nobody's yet.
    Fresh,
}

struct FirstWrites(Kind);

impl Subject for FirstWrites {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let flags = if matches!(self.0, Kind::Shared) { MapFlags::SHARED } else { MapFlags::empty() };
        let mut timed = Timed::default();
        for _ in 0..iterations {
            let memory = Mapping::anonymous(WRITTEN, flags).trying("to map memory")?;
            let _ = memory.advise(Advice::LinuxNoHugepage);
            if !matches!(self.0, Kind::Fresh) {
                memory.touch(0..WRITTEN);
            }
            let found = found_by_a_child(|| {
                let begin = Instant::now();
                memory.touch(0..WRITTEN);
                vec![begin.elapsed().as_nanos() as u64]
            });
            let [ns] = found.trying("to fork")?[..] else {
                return Err(Failure::File("a child ended without its figure".to_owned()));
            };
            timed.spent += Duration::from_nanos(ns);
            timed.operations += (WRITTEN / page()) as u64;
        }
        Ok(timed)
    }
}

/// What is mapped of each kind in the walk.
const MAPPED: usize = 64 * MIB;
/// And of it written to by the child.
const PART: usize = 16 * MIB;
/// What the child tells of itself after each step.
const FIGURES: [Figure; 4] = [Figure::Virtual, Figure::ResidentExact, Figure::PrivateDirty, Figure::PrivateClean];

/// A child's memory step by step, told by the child.
pub(super) fn walk() -> Result<Outcome, Failure> {
    let [private, shared] = [MapFlags::empty(), MapFlags::SHARED].map(|flags| Mapping::anonymous(MAPPED, flags));
    let (private, shared) = (private.trying("to map memory")?, shared.trying("to map memory")?);
    for memory in [&private, &shared] {
        let _ = memory.advise(Advice::LinuxNoHugepage);
        memory.touch(0..MAPPED);
    }
    let figures = found_by_a_child(|| {
        let mut told = Vec::new();
        let mut tell = || {
            let own = Process::own().and_then(|own| MemorySnapshot::of(&own, Detail::Sharing));
            // What is missing is missed by the parent.
            told.extend(own.iter().flat_map(|own| FIGURES.map(|figure| own.get(figure).unwrap_or(0))));
        };
        tell();
        (0..PART).step_by(page()).for_each(|at| private.write(at, 2));
        tell();
        (0..PART).step_by(page()).for_each(|at| shared.write(at, 2));
        tell();
        told
    })
    .trying("to fork")?;
    let (steps, rest) = figures.as_chunks::<4>();
    let (&[first, second, third], []) = (steps, rest) else {
        return Err(Failure::File("the child ended before it had told all".to_owned()));
    };
    let own = |step: [u64; 4]| step[2] + step[3];
    // What is copied is dirty. A clean page of a library becomes the child's own when another program that has it mapped comes to its end.
    let grown = |before: [u64; 4], after: [u64; 4]| after[2].cast_signed() - before[2].cast_signed();
    let (copied, of_shared) = (grown(first, second), grown(second, third));
    let step = |what: &str, step: [u64; 4]| Step {
        what: what.to_owned(),
        mapped: step[0],
        resident: step[1],
        note: format!("its own alone: {}", bytes(own(step))),
    };
    let steps = vec![
        step("a child of a process with 64 MiB private, 64 MiB shared", first),
        step("the child has written to 16 MiB of the private", second),
        step("the child has written to 16 MiB of the shared", third),
    ];
    let seen = [&private, &shared].map(|memory| memory.read(0));
    let verdicts = vec![
        Verdict::of(
            "fork copies little memory",
            own(first) < MAPPED as u64 / 10,
            format!("of 128 MiB that are written to, the child has {} for its own", bytes(own(first))),
        ),
        Verdict::of(
            "private memory is copied page by page, when it is written to",
            within(copied, PART) && seen[0] == 1,
            format!(
                "16 MiB written to: {} more of its own; the parent reads what it had",
                bytes(copied.unsigned_abs())
            ),
        ),
        Verdict::of(
            "shared memory is not copied",
            of_shared.abs() < PART.cast_signed() as i64 / 50 && seen[1] == 2,
            format!(
                "16 MiB written to: {} more of its own; the parent reads what the child wrote",
                bytes(of_shared.unsigned_abs())
            ),
        ),
    ];
    let values = [
        ("fork_copied_percent", percent(own(first).cast_signed(), 2 * MAPPED)),
        ("private_copied_percent", percent(copied, PART)),
        ("shared_copied_percent", percent(of_shared, PART)),
    ];
    let question = "What of the memory is copied by a fork, and when?";
    Ok(Outcome::new("cow", question, Findings::Steps(steps), verdicts).with_values(values))
}
