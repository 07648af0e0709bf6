//! A file that is not in the page cache: read, mapped, past the cache, many reads at once.
//!
//! Before each turn the file is dropped from the page cache, and `mincore` is asked whether it is. What the disk or its host has cached is
//! beyond our reach.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::mm::{Advice, MapFlags};

use super::memory::Mapping;
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::uring::Ring;
use super::{Failure, Trying, file};

/// What is read from one end to the other.
const SEQUENTIAL: usize = 16 << 20;
/// What is read here and there, and how often.
const RANDOM: usize = 128 << 20;
const PLACES: usize = 64;
const PAGE: usize = 4096;

pub(super) fn sequential() -> Comparison {
    Comparison {
        name: "cold-sequential",
        question: "A file on the disk from one end to the other: read or mapped?",
        operation: "MiB",
        ways: vec![
            Way { name: "cold-sequential-read-64k", prepare: || cold(SEQUENTIAL, Means::Read(64 << 10)) },
            Way { name: "cold-sequential-map", prepare: || cold(SEQUENTIAL, Means::Map(None)) },
            Way {
                name: "cold-sequential-map-advised",
                prepare: || cold(SEQUENTIAL, Means::Map(Some(Advice::Sequential))),
            },
            Way { name: "cold-sequential-direct-1m", prepare: || direct(SEQUENTIAL, 1 << 20) },
            Way { name: "cold-sequential-uring-64k", prepare: || uring(SEQUENTIAL, 64 << 10) },
        ],
        claims: vec![Claim {
            text: "of a cold file it makes no difference: the disk decides",
            way: "cold-sequential-map",
            versus: Some("cold-sequential-read-64k"),
            at_least: 0.67,
            at_most: 1.5,
        }],
    }
}

pub(super) fn random() -> Comparison {
    let about =
        |text, way, at_least, at_most| Claim { text, way, versus: Some("cold-random-pread"), at_least, at_most };
    Comparison {
        name: "cold-random",
        question: "4 KiB here and there of a file on the disk: read or mapped?",
        operation: "access",
        ways: vec![
            Way { name: "cold-random-pread", prepare: || cold(RANDOM, Means::Read(PAGE)) },
            Way { name: "cold-random-map", prepare: || cold(RANDOM, Means::Map(None)) },
            Way { name: "cold-random-map-advised", prepare: || cold(RANDOM, Means::Map(Some(Advice::Random))) },
            Way { name: "cold-random-direct", prepare: || direct(RANDOM, PAGE) },
            Way { name: "cold-random-uring-16", prepare: || uring(RANDOM, PAGE) },
        ],
        claims: vec![
            about("of a cold file it makes no difference: the disk decides", "cold-random-map-advised", 0.67, 1.5),
            about("many reads at once: a disk does them side by side", "cold-random-uring-16", 0.0, 0.67),
        ],
    }
}

enum Means {
    /// `pread`, so many bytes each.
    Read(usize),
    Map(Option<Advice>),
    /// Past the cache, so many bytes each.
    Direct(File, Mapping, usize),
    Uring(Box<Ring>, usize),
}

struct Cold {
    file: File,
    length: usize,
    means: Means,
    state: u64,
}

fn cold(length: usize, means: Means) -> Result<Box<dyn Subject>, Failure> {
    let file = file::warm(length)?;
    // Where it can't be had that is said now.
    file::make_cold(&file)?;
    Ok(Box::new(Cold { file, length, means, state: 1 }))
}

fn direct(length: usize, piece: usize) -> Result<Box<dyn Subject>, Failure> {
    let file = file::warm(length)?;
    let (past, buffer) = file::direct(&file, piece)?;
    file::make_cold(&file)?;
    Ok(Box::new(Cold { file, length, means: Means::Direct(past, buffer, piece), state: 1 }))
}

fn uring(length: usize, piece: usize) -> Result<Box<dyn Subject>, Failure> {
    cold(length, Means::Uring(Box::new(Ring::new(16, piece)?), piece))
}

impl Cold {
    /// All of it, or places of pages.
    fn places(&mut self, piece: usize) -> Vec<u64> {
        if self.length == SEQUENTIAL {
            return (0..SEQUENTIAL).step_by(piece).map(|at| at as u64).collect();
        }
        let mut place = || {
            // Knuth's MMIX.
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.state >> 33) % (RANDOM / PAGE) as u64 * PAGE as u64
        };
        (0..PLACES).map(|_| place()).collect()
    }

    fn pass(&mut self) -> Result<(), Failure> {
        let piece = match self.means {
            Means::Read(piece) | Means::Direct(_, _, piece) | Means::Uring(_, piece) => piece,
            Means::Map(_) => PAGE,
        };
        let places = self.places(piece);
        match &mut self.means {
            Means::Read(piece) => {
                let mut buffer = vec![0; *piece];
                for place in places {
                    self.file.read_exact_at(&mut buffer, place).trying("to read a file")?;
                    black_box(lines(&buffer));
                }
            }
            Means::Map(advice) => {
                let map = Mapping::of_file(&self.file, self.length, false, MapFlags::empty());
                let map = map.trying("to map a file")?;
                if let Some(advice) = *advice {
                    map.advise(advice).trying("to advise the kernel")?;
                }
                for place in places {
                    let place = place as usize;
                    black_box((place..place + PAGE).step_by(64).map(|at| u64::from(map.read(at))).sum::<u64>());
                }
            }
            Means::Direct(file, buffer, piece) => {
                for place in places {
                    buffer.fill(file, place, *piece).trying("to read past the page cache (O_DIRECT)")?;
                    black_box((0..*piece).step_by(64).map(|at| u64::from(buffer.read(at))).sum::<u64>());
                }
            }
            Means::Uring(ring, _) => {
                for places in places.chunks(ring.depth()) {
                    ring.read(&self.file, places)?.for_each(|bytes| _ = black_box(lines(bytes)));
                }
            }
        }
        Ok(())
    }
}

/// Looks at every 64th byte: each cache line once.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(64).map(|&byte| u64::from(byte)).sum()
}

impl Subject for Cold {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let mut spent = Duration::ZERO;
        for _ in 0..iterations {
            file::make_cold(&self.file)?;
            let begin = Instant::now();
            self.pass()?;
            spent += begin.elapsed();
        }
        let operations = if self.length == SEQUENTIAL { (SEQUENTIAL >> 20) as u64 } else { PLACES as u64 };
        Ok(Timed { operations: iterations * operations, spent })
    }
}
