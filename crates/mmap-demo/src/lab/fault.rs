//! What the first touch of a page costs, by kind of page.

use std::fs::File;
use std::time::Instant;

use rustix::mm::{Advice, MapFlags};

use super::file;
use super::memory::{Mapping, page};
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::{Failure, Trying};

/// What a fault is measured on.
const FAULTS: usize = 4 << 20;

pub(super) fn comparison() -> Comparison {
    let about = |text, way, versus, at_least, at_most| Claim { text, way, versus, at_least, at_most };
    Comparison {
        name: "fault",
        question: "What does the first touch of a page cost?",
        operation: "4 KiB page",
        ways: vec![
            Way {
                name: "fault-anonymous",
                prepare: || Ok(Box::new(Fresh { flags: MapFlags::empty(), touch: Touch::Write })),
            },
            Way {
                name: "fault-zero-page",
                prepare: || Ok(Box::new(Fresh { flags: MapFlags::empty(), touch: Touch::Read })),
            },
            Way {
                name: "fault-shared",
                prepare: || Ok(Box::new(Fresh { flags: MapFlags::SHARED, touch: Touch::Write })),
            },
            Way {
                name: "fault-populate",
                prepare: || Ok(Box::new(Fresh { flags: MapFlags::POPULATE, touch: Touch::Mapping })),
            },
            Way { name: "fault-dev-zero", prepare: || Ok(Box::new(OfDevice(zeros()?))) },
            Way { name: "fault-file", prepare: file_faults },
            Way { name: "fault-file-major", prepare: major_faults },
            Way {
                name: "fault-none",
                prepare: || Ok(Box::new(Fresh { flags: MapFlags::POPULATE, touch: Touch::Write })),
            },
        ],
        claims: vec![
            about("a page fault costs about a microsecond", "fault-anonymous", None, 333.0, 3_000.0),
            about(
                "reading costs less than writing: all untouched pages are one page of zeros",
                "fault-zero-page",
                Some("fault-anonymous"),
                0.0,
                0.8,
            ),
            about("MAP_POPULATE saves the faults, not the pages", "fault-populate", Some("fault-anonymous"), 0.3, 1.2),
            about(
                "a page fault means that the page was read from disk: a file in the page cache costs as much as that",
                "fault-file",
                None,
                20_000.0,
                f64::INFINITY,
            ),
            about(
                "a private page of /dev/zero is an anonymous one",
                "fault-dev-zero",
                Some("fault-anonymous"),
                0.8,
                1.25,
            ),
            about(
                "a fault that waits for the disk is many times as dear",
                "fault-file-major",
                Some("fault-file"),
                5.0,
                f64::INFINITY,
            ),
        ],
    }
}

#[derive(Debug, Clone, Copy)]
enum Touch {
    Write,
    Read,
    /// The mapping itself is what is timed.
    Mapping,
}

struct Fresh {
    flags: MapFlags,
    touch: Touch,
}

impl Subject for Fresh {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let mut timed = Timed::default();
        for _ in 0..iterations {
            let before = Instant::now();
            let mapping = Mapping::anonymous(FAULTS, self.flags).trying("to map memory")?;
            // Or the kernel may give huge ones to all.
            let _ = mapping.advise(Advice::LinuxNoHugepage);
            let begin = Instant::now();
            match self.touch {
                Touch::Write => mapping.touch(0..FAULTS),
                Touch::Read => drop(std::hint::black_box(mapping.look(0..FAULTS))),
                Touch::Mapping => {}
            }
            timed.spent += if matches!(self.touch, Touch::Mapping) { before.elapsed() } else { begin.elapsed() };
            timed.operations += (FAULTS / page()) as u64;
        }
        Ok(timed)
    }
}

struct FileFaults(File);

fn file_faults() -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(FileFaults(file::warm(FAULTS)?)))
}

impl Subject for FileFaults {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let mut timed = Timed::default();
        for _ in 0..iterations {
            let mapping = Mapping::of_file(&self.0, FAULTS, false, MapFlags::empty()).trying("to map a file")?;
            // The kernel maps up to 16 neighbours that are in the page cache along with a page: one fault for all of them.
            let begin = Instant::now();
            std::hint::black_box(mapping.look(0..FAULTS));
            timed.spent += begin.elapsed();
            timed.operations += (FAULTS / page()) as u64;
        }
        Ok(timed)
    }
}

fn zeros() -> Result<File, Failure> {
    File::open("/dev/zero").trying("to open /dev/zero")
}

struct OfDevice(File);

impl Subject for OfDevice {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let mut timed = Timed::default();
        for _ in 0..iterations {
            let mapping = Mapping::of_file(&self.0, FAULTS, true, MapFlags::empty()).trying("to map /dev/zero")?;
            let _ = mapping.advise(Advice::LinuxNoHugepage);
            let begin = Instant::now();
            mapping.touch(0..FAULTS);
            timed.spent += begin.elapsed();
            timed.operations += (FAULTS / page()) as u64;
        }
        Ok(timed)
    }
}

struct MajorFaults(File);

fn major_faults() -> Result<Box<dyn Subject>, Failure> {
    let file = file::warm(FAULTS)?;
    file::make_cold(&file)?;
    Ok(Box::new(MajorFaults(file)))
}

impl Subject for MajorFaults {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let mut timed = Timed::default();
        for _ in 0..iterations {
            file::make_cold(&self.0)?;
            let mapping = Mapping::of_file(&self.0, FAULTS, false, MapFlags::empty()).trying("to map a file")?;
            // Nothing read ahead: each page is waited for.
            mapping.advise(Advice::Random).trying("to have nothing read ahead")?;
            let begin = Instant::now();
            std::hint::black_box(mapping.look(0..FAULTS));
            timed.spent += begin.elapsed();
            timed.operations += (FAULTS / page()) as u64;
        }
        Ok(timed)
    }
}
