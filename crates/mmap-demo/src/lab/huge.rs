//! What a huge page costs: one fault for 2 MiB, beside 512 for as many small pages.

use std::time::{Duration, Instant};

use mmap_demo::{Detail, Figure, MemorySnapshot, Process};
use rustix::mm::{Advice, MapFlags};

use super::memory::Mapping;
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::{Failure, Trying};

const HUGE: usize = 2 << 20;
/// So often it is tried again where the kernel had no huge page.
const TRIES: usize = 16;
const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

pub(super) fn comparison() -> Comparison {
    Comparison {
        name: "huge",
        question: "What does a huge page cost, and what do the small ones that it stands for?",
        operation: "2 MiB",
        ways: vec![
            Way { name: "huge-page", prepare: || huge(true) },
            Way { name: "huge-small-pages", prepare: || huge(false) },
        ],
        claims: vec![Claim {
            text: "one fault for 2 MiB costs less than 512 for as many small pages",
            way: "huge-page",
            versus: Some("huge-small-pages"),
            at_least: 0.0,
            at_most: 0.8,
        }],
    }
}

/// 2 MiB, each small page of it written to.
struct Pages {
    huge: bool,
    own: Process,
}

fn huge(huge: bool) -> Result<Box<dyn Subject>, Failure> {
    let mut pages = Pages { huge, own: Process::own()? };
    // Where there are none that is said now.
    pages.one()?;
    Ok(Box::new(pages))
}

impl Pages {
    /// Memory in huge pages by `smaps_rollup`, bytes.
    fn in_huge_pages(&self) -> Result<u64, Failure> {
        Ok(MemorySnapshot::of(&self.own, Detail::Sharing)?.get(Figure::HugeAnonymous).unwrap_or(0))
    }

    /// Faults 2 MiB in, and sees to it that they came as they were to.
    fn one(&mut self) -> Result<Duration, Failure> {
        for _ in 0..TRIES {
            // Twice as much, so that a huge page fits where it is aligned.
            let mapping = Mapping::anonymous(2 * HUGE, MapFlags::empty()).trying("to map memory")?;
            if self.huge {
                let asked = mapping.advise(Advice::LinuxHugepage);
                asked.map_err(|error| no_huge_pages(&format!("the kernel has none: {error}")))?;
            } else {
                let _ = mapping.advise(Advice::LinuxNoHugepage);
            }
            let first = mapping.first_aligned(HUGE);
            let before = self.in_huge_pages()?;
            let begin = Instant::now();
            mapping.touch(first..first + HUGE);
            let took = begin.elapsed();
            let came = self.in_huge_pages()?.saturating_sub(before) >= HUGE as u64;
            if came == self.huge {
                return Ok(took);
            }
        }
        let enabled = std::fs::read_to_string(ENABLED).unwrap_or_else(|error| error.to_string());
        Err(no_huge_pages(&format!(
            "small pages came {TRIES} times where huge ones were asked for, by AnonHugePages in smaps_rollup; {ENABLED}: {}",
            enabled.trim()
        )))
    }
}

fn no_huge_pages(why: &str) -> Failure {
    Failure::NotHere { reason: "no_huge_pages", why: why.to_owned() }
}

impl Subject for Pages {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let mut spent = Duration::ZERO;
        for _ in 0..iterations {
            spent += self.one()?;
        }
        Ok(Timed { operations: iterations, spent })
    }
}
