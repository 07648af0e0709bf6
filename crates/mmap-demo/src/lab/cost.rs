//! What touching, unmapping, reading and writing cost.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::mm::{Advice, MapFlags};

use super::memory::{Mapping, page};
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::{Failure, Trying};

/// What a fault is measured on: 2 MiB, so that a huge page fits where it is aligned.
const FAULTS: usize = 4 << 20;
/// What is read from one end to the other.
const SEQUENTIAL: usize = 64 << 20;
/// What is read here and there: larger than any cache.
const RANDOM: usize = 256 << 20;

pub(super) fn comparisons() -> Vec<Comparison> {
    vec![fault(), unmap(), sequential(), random(), durable()]
}

fn fault() -> Comparison {
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
            Way {
                name: "fault-huge",
                prepare: || Ok(Box::new(Fresh { flags: MapFlags::empty(), touch: Touch::Huge })),
            },
            Way { name: "fault-file", prepare: file_faults },
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
        ],
    }
}

#[derive(Debug, Clone, Copy)]
enum Touch {
    Write,
    Read,
    /// The mapping itself is what is timed.
    Mapping,
    Huge,
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
            match self.touch {
                Touch::Huge => mapping.advise(Advice::LinuxHugepage).trying("to ask for huge pages")?,
                // Or the kernel may give huge ones to all.
                _ => drop(mapping.advise(Advice::LinuxNoHugepage)),
            }
            let begin = Instant::now();
            match self.touch {
                Touch::Write | Touch::Huge => mapping.touch(0..FAULTS),
                Touch::Read => drop(std::hint::black_box(mapping.look(0..FAULTS))),
                Touch::Mapping => {}
            }
            timed.spent += if matches!(self.touch, Touch::Mapping) { before.elapsed() } else { begin.elapsed() };
            timed.operations += (FAULTS / page()) as u64;
        }
        Ok(timed)
    }
}

/// A file of our own, in the page cache, that has no name.
fn warm_file(length: usize) -> Result<File, Failure> {
    let mut path = std::env::temp_dir();
    path.push(format!("mmap-demo-{}-{length}", std::process::id()));
    let file =
        File::options().read(true).write(true).create_new(true).open(&path).trying("to make a temporary file")?;
    std::fs::remove_file(&path).trying("to remove a temporary file's name")?;
    let piece: Vec<u8> = (0..1 << 20).map(|index| (index % 251) as u8 + 1).collect();
    for at in (0..length).step_by(piece.len()) {
        file.write_all_at(&piece[..piece.len().min(length - at)], at as u64).trying("to fill a temporary file")?;
    }
    Ok(file)
}

struct FileFaults(File);

fn file_faults() -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(FileFaults(warm_file(FAULTS)?)))
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

fn unmap() -> Comparison {
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

fn sequential() -> Comparison {
    Comparison {
        name: "sequential",
        question: "A file in the page cache from one end to the other: read or mapped?",
        operation: "MiB",
        ways: vec![
            Way { name: "sequential-read-4k", prepare: || by_read(4 << 10) },
            Way { name: "sequential-read-64k", prepare: || by_read(64 << 10) },
            Way { name: "sequential-read-1m", prepare: || by_read(1 << 20) },
            Way { name: "sequential-map", prepare: || by_map(MapFlags::empty()) },
            Way { name: "sequential-map-populate", prepare: || by_map(MapFlags::POPULATE) },
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
    Ok(Box::new(ByRead { file: warm_file(SEQUENTIAL)?, buffer: vec![0; piece] }))
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

struct ByMap {
    file: File,
    flags: MapFlags,
}

fn by_map(flags: MapFlags) -> Result<Box<dyn Subject>, Failure> {
    Ok(Box::new(ByMap { file: warm_file(SEQUENTIAL)?, flags }))
}

/// With the mapping and the unmapping: who maps a file pays for both.
impl Subject for ByMap {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let begin = Instant::now();
        for _ in 0..iterations {
            let mapping = Mapping::of_file(&self.file, SEQUENTIAL, false, self.flags).trying("to map a file")?;
            let sum: u64 = (0..SEQUENTIAL).step_by(64).map(|at| u64::from(mapping.read(at))).sum();
            std::hint::black_box(sum);
        }
        Ok(Timed { operations: iterations * (SEQUENTIAL >> 20) as u64, spent: begin.elapsed() })
    }
}

fn random() -> Comparison {
    Comparison {
        name: "random",
        question: "8 bytes here and there of a file in the page cache: read or mapped?",
        operation: "access",
        ways: vec![
            Way { name: "random-pread", prepare: || accesses(8, false) },
            Way { name: "random-pread-4k", prepare: || accesses(4096, false) },
            Way { name: "random-map", prepare: || accesses(8, true) },
        ],
        claims: vec![Claim {
            text: "for small pieces a call to the kernel each is many times as dear as a load",
            way: "random-pread",
            versus: Some("random-map"),
            at_least: 5.0,
            at_most: f64::INFINITY,
        }],
    }
}

struct Accesses {
    file: File,
    mapping: Option<Mapping>,
    buffer: Vec<u8>,
    state: u64,
}

fn accesses(piece: usize, mapped: bool) -> Result<Box<dyn Subject>, Failure> {
    let file = warm_file(RANDOM)?;
    let mapping = mapped.then(|| Mapping::of_file(&file, RANDOM, false, MapFlags::POPULATE));
    let mapping = mapping.transpose().trying("to map a file")?;
    // The first touch of each page is another experiment.
    let _ = mapping.as_ref().map(|mapping| mapping.look(0..RANDOM));
    Ok(Box::new(Accesses { file, mapping, buffer: vec![0; piece], state: 1 }))
}

impl Subject for Accesses {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        let begin = Instant::now();
        for _ in 0..iterations {
            // Knuth's MMIX.
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (self.state >> 33) as usize % (RANDOM / 4096) * 4096 + (self.state >> 24) as usize % 512 * 8;
            let at = at.min(RANDOM - self.buffer.len());
            match &self.mapping {
                Some(mapping) => mapping.copy(at, &mut self.buffer),
                None => self.file.read_exact_at(&mut self.buffer, at as u64).trying("to read a file")?,
            }
            std::hint::black_box(&self.buffer);
        }
        Ok(Timed { operations: iterations, spent: begin.elapsed() })
    }
}

fn durable() -> Comparison {
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
    Ok(Box::new(Writes { file: warm_file(1 << 20)?, sync }))
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
