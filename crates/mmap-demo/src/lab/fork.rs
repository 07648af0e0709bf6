//! What fork costs, and what a child's first write to a page.

use std::time::Instant;

use rustix::mm::{Advice, MapFlags};

use super::memory::{Mapping, in_a_child, page};
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::{Failure, Trying};

const LARGE: usize = 256 << 20;

pub(super) fn comparison() -> Comparison {
    Comparison {
        name: "fork",
        question: "Does fork copy the memory?",
        operation: "child, begun and ended",
        ways: vec![
            Way { name: "fork-small", prepare: || Ok(Box::new(Forks { length: 0, touched: 0 })) },
            Way { name: "fork-256m-untouched", prepare: || Ok(Box::new(Forks { length: LARGE, touched: 0 })) },
            Way { name: "fork-256m", prepare: || Ok(Box::new(Forks { length: LARGE, touched: LARGE })) },
        ],
        claims: vec![
            Claim {
                text: "fork copies no memory: 256 MiB take less than a memcpy of them, 25 ms at 10 GB/s",
                way: "fork-256m",
                versus: None,
                at_least: 0.0,
                at_most: 25e6,
            },
            Claim {
                text: "but its cost grows with what is resident, for the page tables are copied",
                way: "fork-256m",
                versus: Some("fork-small"),
                at_least: 3.0,
                at_most: f64::INFINITY,
            },
            Claim {
                text: "and not with what is only mapped",
                way: "fork-256m-untouched",
                versus: Some("fork-small"),
                at_least: 0.67,
                at_most: 1.5,
            },
        ],
    }
}

struct Forks {
    length: usize,
    touched: usize,
}

/// The memory is there for the turn alone, so that it is in nobody else's figure.
impl Subject for Forks {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let memory = Mapping::anonymous(self.length.max(page()), MapFlags::empty()).trying("to map memory")?;
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
