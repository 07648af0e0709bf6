//! A write beside one that is on the disk.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::{Failure, Trying, file};

pub(super) fn comparison() -> Comparison {
    Comparison {
        name: "durable",
        question: "What does it cost to have what was written on the disk?",
        operation: "4 KiB write",
        ways: vec![
            Way { name: "durable-write", prepare: || writes(false) },
            Way { name: "durable-fsync", prepare: || writes(true) },
        ],
        claims: vec![Claim {
            text: "what is written is safe: a write is on the disk when it returns, and so costs what fsync costs",
            way: "durable-fsync",
            versus: Some("durable-write"),
            at_least: 0.0,
            at_most: 1.5,
        }],
    }
}

struct Writes {
    file: File,
    sync: bool,
}

fn writes(sync: bool) -> Result<Box<dyn Subject>, Failure> {
    let file = file::warm(1 << 20)?;
    // What lies in memory alone is never on a disk, and to have it there costs nothing: that would be another question.
    file::make_cold(&file)?;
    Ok(Box::new(Writes { file, sync }))
}

impl Subject for Writes {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let piece = [7; 4096];
        let mut spent = Duration::ZERO;
        for iteration in 0..iterations {
            let at = iteration % 256 * 4096;
            let begin = Instant::now();
            self.file.write_all_at(&piece, at).trying("to write to a file")?;
            if self.sync {
                self.file.sync_data().trying("to have a file on the disk")?;
            }
            spent += begin.elapsed();
        }
        self.file.flush().trying("to write to a file")?;
        Ok(Timed { operations: iterations, spent })
    }
}
