//! A file in the page cache: read or mapped, from one end to the other and here and there.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use rustix::mm::{Advice, MapFlags};

use super::memory::Mapping;
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::uring::Ring;
use super::{Failure, Trying, file};

/// What is read from one end to the other.
const SEQUENTIAL: usize = 64 << 20;
/// What is read here and there: larger than any cache.
const RANDOM: usize = 256 << 20;

pub(super) fn sequential() -> Comparison {
    Comparison {
        name: "sequential",
        question: "A file in the page cache from one end to the other: read or mapped?",
        operation: "MiB",
        ways: vec![
            Way { name: "sequential-read-4k", prepare: || by_read(4 << 10) },
            Way { name: "sequential-read-64k", prepare: || by_read(64 << 10) },
            Way { name: "sequential-read-1m", prepare: || by_read(1 << 20) },
            Way { name: "sequential-stream-64k", prepare: by_stream },
            Way { name: "sequential-direct-1m", prepare: by_direct },
            Way { name: "sequential-uring-64k", prepare: by_uring },
            Way { name: "sequential-map", prepare: || by_map(MapFlags::empty(), None) },
            Way { name: "sequential-map-advised", prepare: || by_map(MapFlags::empty(), Some(Advice::Sequential)) },
            Way { name: "sequential-map-populate", prepare: || by_map(MapFlags::POPULATE, None) },
        ],
        claims: vec![Claim {
            text: "mapping a file saves a copy: to look at its bytes where they lie is faster than to have them copied",
            way: "sequential-map",
            versus: Some("sequential-read-64k"),
            at_least: 0.0,
            at_most: 0.95,
        }],
    }
}

struct ByRead {
    file: File,
    buffer: Vec<u8>,
}

fn by_read(piece: usize) -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(ByRead { file: file::warm(SEQUENTIAL)?, buffer: vec![0; piece] }))
}

/// Looks at every 64th byte: each cache line once, so that memory is read and no arithmetic is timed.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(64).map(|&byte| u64::from(byte)).sum()
}

impl Subject for ByRead {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let begin = Instant::now();
        for _ in 0..iterations {
            for at in (0..SEQUENTIAL).step_by(self.buffer.len()) {
                self.file.read_exact_at(&mut self.buffer, at as u64).trying("to read a file")?;
                std::hint::black_box(lines(&self.buffer));
            }
        }
        Ok(Timed { operations: iterations * (SEQUENTIAL >> 20) as u64, spent: begin.elapsed() })
    }
}

/// `read`, which goes on where it was; all others say where.
struct ByStream {
    file: File,
    buffer: Vec<u8>,
}

fn by_stream() -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(ByStream { file: file::warm(SEQUENTIAL)?, buffer: vec![0; 64 << 10] }))
}

impl Subject for ByStream {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let begin = Instant::now();
        for _ in 0..iterations {
            self.file.rewind().trying("to go back in a file")?;
            for _ in 0..SEQUENTIAL / self.buffer.len() {
                self.file.read_exact(&mut self.buffer).trying("to read a file")?;
                std::hint::black_box(lines(&self.buffer));
            }
        }
        Ok(Timed { operations: iterations * (SEQUENTIAL >> 20) as u64, spent: begin.elapsed() })
    }
}

/// Past the page cache, which has the file and isn't asked.
struct ByDirect {
    file: File,
    buffer: Mapping,
    piece: usize,
    length: usize,
    state: u64,
}

fn past_the_cache(length: usize, piece: usize) -> Result<Box<dyn Subject>, Failure> {
    let cached = file::warm(length)?;
    // What is not on the disk yet would be written first.
    cached.sync_data().trying("to have a file on the disk")?;
    let (file, buffer) = file::direct(&cached, piece)?;
    Ok(Box::new(ByDirect { file, buffer, piece, length, state: 1 }))
}

fn by_direct() -> Result<Box<dyn Subject>, Failure> {
    past_the_cache(SEQUENTIAL, 1 << 20)
}

impl Subject for ByDirect {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let whole = self.length == SEQUENTIAL;
        let begin = Instant::now();
        for _ in 0..iterations {
            let pieces = if whole { SEQUENTIAL / self.piece } else { 1 };
            for index in 0..pieces {
                let at = if whole { index * self.piece } else { place(&mut self.state, 4096) / 4096 * 4096 };
                self.buffer.fill(&self.file, at as u64, self.piece).trying("to read past the page cache (O_DIRECT)")?;
                let sum: u64 = (0..self.piece).step_by(64).map(|at| u64::from(self.buffer.read(at))).sum();
                std::hint::black_box(sum);
            }
        }
        let operations = if whole { (SEQUENTIAL >> 20) as u64 } else { 1 };
        Ok(Timed { operations: iterations * operations, spent: begin.elapsed() })
    }
}

struct ByUring {
    file: File,
    ring: Ring,
}

fn by_uring() -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(ByUring { file: file::warm(SEQUENTIAL)?, ring: Ring::new(8, 64 << 10)? }))
}

impl Subject for ByUring {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let places: Vec<u64> = (0..SEQUENTIAL).step_by(64 << 10).map(|at| at as u64).collect();
        let begin = Instant::now();
        for _ in 0..iterations {
            for places in places.chunks(self.ring.depth()) {
                self.ring.read(&self.file, places)?.for_each(|bytes| _ = std::hint::black_box(lines(bytes)));
            }
        }
        Ok(Timed { operations: iterations * (SEQUENTIAL >> 20) as u64, spent: begin.elapsed() })
    }
}

struct ByMap {
    file: File,
    flags: MapFlags,
    advice: Option<Advice>,
}

fn by_map(flags: MapFlags, advice: Option<Advice>) -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(ByMap { file: file::warm(SEQUENTIAL)?, flags, advice }))
}

/// With the mapping and the unmapping: who maps a file pays for both.
impl Subject for ByMap {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let begin = Instant::now();
        for _ in 0..iterations {
            let mapping = Mapping::of_file(&self.file, SEQUENTIAL, false, self.flags).trying("to map a file")?;
            if let Some(advice) = self.advice {
                mapping.advise(advice).trying("to advise the kernel")?;
            }
            let sum: u64 = (0..SEQUENTIAL).step_by(64).map(|at| u64::from(mapping.read(at))).sum();
            std::hint::black_box(sum);
        }
        Ok(Timed { operations: iterations * (SEQUENTIAL >> 20) as u64, spent: begin.elapsed() })
    }
}

pub(super) fn random() -> Comparison {
    Comparison {
        name: "random",
        question: "8 bytes or 4 KiB here and there of a file in the page cache: read or mapped?",
        operation: "access",
        ways: vec![
            Way { name: "random-pread", prepare: || accesses(8, None) },
            Way { name: "random-pread-4k", prepare: || accesses(4096, None) },
            Way { name: "random-map", prepare: || accesses(8, Some(Advice::Normal)) },
            Way { name: "random-map-4k", prepare: || accesses(4096, Some(Advice::Normal)) },
            Way { name: "random-map-advised", prepare: || accesses(8, Some(Advice::Random)) },
            Way { name: "random-map-advised-4k", prepare: || accesses(4096, Some(Advice::Random)) },
            Way { name: "random-direct-4k", prepare: || past_the_cache(RANDOM, 4096) },
            Way { name: "random-uring-16", prepare: many_accesses },
        ],
        claims: vec![
            Claim {
                text: "for small pieces a call to the kernel each is many times as dear as a load",
                way: "random-pread",
                versus: Some("random-map"),
                at_least: 5.0,
                at_most: f64::INFINITY,
            },
            Claim {
                text: "of a file in the page cache it makes no difference what the kernel is told about what comes next",
                way: "random-map-advised",
                versus: Some("random-map"),
                at_least: 0.8,
                at_most: 1.25,
            },
        ],
    }
}

struct Accesses {
    file: File,
    mapping: Option<Mapping>,
    buffer: Vec<u8>,
    state: u64,
}

/// Mapped if there is advice, and so advised.
fn accesses(piece: usize, mapped: Option<Advice>) -> Result<Box<dyn Subject>, Failure> {
    let file = file::warm(RANDOM)?;
    let map = |advice| {
        let mapping = Mapping::of_file(&file, RANDOM, false, MapFlags::POPULATE).trying("to map a file")?;
        mapping.advise(advice).trying("to advise the kernel")?;
        Ok::<Mapping, Failure>(mapping)
    };
    let mapping = mapped.map(map).transpose()?;
    // The first touch of each page is another experiment.
    let _ = mapping.as_ref().map(|mapping| mapping.look(0..RANDOM));
    Ok(Box::new(Accesses { file, mapping, buffer: vec![0; piece], state: 1 }))
}

/// Where so many bytes are read next.
fn place(state: &mut u64, length: usize) -> usize {
    // Knuth's MMIX.
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let at = (*state >> 33) as usize % (RANDOM / 4096) * 4096 + (*state >> 24) as usize % 512 * 8;
    at.min(RANDOM - length)
}

/// 4 KiB each, 16 at once.
struct ManyAccesses {
    file: File,
    ring: Ring,
    state: u64,
}

fn many_accesses() -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(ManyAccesses { file: file::warm(RANDOM)?, ring: Ring::new(16, 4096)?, state: 1 }))
}

impl Subject for ManyAccesses {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let begin = Instant::now();
        let mut left = iterations as usize;
        while left > 0 {
            let now = left.min(self.ring.depth());
            let places: Vec<u64> = (0..now).map(|_| place(&mut self.state, 4096) as u64).collect();
            self.ring.read(&self.file, &places)?.for_each(|bytes| _ = std::hint::black_box(bytes));
            left -= now;
        }
        Ok(Timed { operations: iterations, spent: begin.elapsed() })
    }
}

impl Subject for Accesses {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let begin = Instant::now();
        for _ in 0..iterations {
            let at = place(&mut self.state, self.buffer.len());
            match &self.mapping {
                Some(mapping) => mapping.copy(at, &mut self.buffer),
                None => self.file.read_exact_at(&mut self.buffer, at as u64).trying("to read a file")?,
            }
            std::hint::black_box(&self.buffer);
        }
        Ok(Timed { operations: iterations, spent: begin.elapsed() })
    }
}
