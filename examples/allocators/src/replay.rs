//! What a program asked malloc for, as it was recorded, once more.
//!
//! A replay keeps the order of the calls, the sizes, which blocks live how long, and what is resized. It doesn't keep what the program does in
//! between: of its memory a number at the beginning of each block is written, a byte in each page, and the number read again when it is freed. All calls
//! come from one thread, those of several threads in one row. `calloc` and calls that ask for an alignment are those of `malloc`. A block has at least
//! 8 bytes.
//!
//! Blocks that the program never freed are freed in the end, the oldest first, and that is part of the replay: an operation is a malloc and its
//! free, with what resizing there was. Beside the time stand `peak_resident_over_live`, by how much the process has grown since before the first
//! replay, at most, over the most bytes that were live at a time; and `left_resident_percent`, what of that is still resident right after a replay,
//! when all is freed. `first_faults_per_1k` is how many page faults a thousand operations take when the process replays for the first time: later
//! ones find the memory that allocators have kept.
//!
//! # The recordings
//!
//! Debian 12 on x86-64, Python 3.11.7 and gcc 12.2, in the workspace; gcc's trace is that of cc1, which it starts (`gcc.trace.PID`).
//!
//! ```sh
//! alias alloc-trace='cargo run --release --package alloc-trace --bin alloc-trace --'
//! PYTHONMALLOC=malloc PYTHONHASHSEED=0 alloc-trace run -o python.trace -- python3 -m json.tool crates/sched-sim/tests/oracles/queueing.json /dev/null
//! alloc-trace run -o gcc.trace -- gcc -O3 -g -c crates/alloc-trace/tests/programs/wanders.c -o /dev/null
//! cargo run --release --package allocators --bin trace-to-replay -- python.trace examples/allocators/recordings/python
//! ```
//!
//! # Yours
//!
//! ```sh
//! cargo xtask trace -o app.trace -- ./app
//! cargo xtask compare-allocators --replay app.trace
//! ```
//!
//! The first 2,000,000 blocks of a trace are replayed. It may be that of a program that was killed, but not a sampled one. A block that is freed right
//! before `realloc(NULL, ..)` is taken for one that is resized.

pub(crate) mod code;
pub mod recording;
pub mod traced;

use std::path::Path;

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::protocol::{Params, Refusal};

use crate::block::{Block, numbers};
use crate::footprint::{Footprint, percent};
use recording::{Sequence, Step, Unusable};

/// `alloc/replay-python`: Python reads a JSON document and prints it, each object by malloc.
pub(crate) fn python(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    prepare(include_bytes!("../recordings/python"), params, seed)
}

/// `alloc/replay-gcc`: the C compiler compiles a file of 183 lines.
pub(crate) fn gcc(params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    prepare(include_bytes!("../recordings/gcc"), params, seed)
}

/// `alloc/replay`: what is in this file.
pub(crate) fn of(file: &Path, params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::failed(format!("{}: {error}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| failed(&error))?;
    // It stays where it is, for memory that was freed already would be there for the replay.
    prepare(bytes.leak(), params, seed).map_err(|refusal| Refusal { message: failed(&refusal).message, ..refusal })
}

fn prepare(recording: &'static [u8], params: &Params, seed: u64) -> Result<Box<dyn Prepared>, Refusal> {
    let n = params.integer("n", 1..=u64::from(u32::MAX))?;
    let sequence = recording::read(recording, n).map_err(|error: Unusable| Refusal::failed(error.to_string()))?;
    if sequence.blocks < n {
        let blocks = sequence.blocks;
        return Err(Refusal::bad_params(format!("`n` is {n}: the recording has {blocks} blocks")));
    }
    let table = (0..sequence.places).map(|_| Block::none()).collect();
    let mut replay = Replay { sequence, table, seed, before: Footprint::now()?, faults: 0 };
    // Once more, for looking takes some memory, too, the first time.
    replay.before = Footprint::now()?;
    replay.once();
    replay.faults = Footprint::now()?.faults.saturating_sub(replay.before.faults);
    Ok(Box::new(replay))
}

struct Replay {
    sequence: Sequence,
    table: Vec<Block>,
    seed: u64,
    /// What the process had before the first replay.
    before: Footprint,
    /// Page faults in the first replay.
    faults: u64,
}

impl Replay {
    /// All steps once, and the sum of the numbers of what was freed.
    fn once(&mut self) -> u64 {
        let mut sum = 0_u64;
        let mut numbers = numbers(self.seed);
        for step in &self.sequence.steps {
            match *step {
                Step::Allocate { place, bytes } => {
                    let block = Block::new(bytes as usize, numbers.next().unwrap_or(0));
                    self.table[place as usize] = if block.has_pages() { block.touched() } else { block };
                }
                Step::Resize { place, bytes } => self.table[place as usize].resize(bytes as usize),
                Step::Free { place } => {
                    let block = std::mem::replace(&mut self.table[place as usize], Block::none());
                    sum = sum.wrapping_add(block.number());
                }
            }
        }
        sum
    }
}

impl Prepared for Replay {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        clock.start();
        let sum = (0..iters).fold(0, |_, _| self.once());
        clock.stop();
        let (before, now, live) = (self.before, Footprint::now()?, self.sequence.most_live as usize);
        let blocks = self.sequence.blocks;
        let values = [
            ("first_faults_per_1k", self.faults as f64 / blocks as f64 * 1_000.0),
            ("peak_resident_over_live", now.peak.saturating_sub(before.resident) as f64 / live as f64),
            ("left_resident_percent", percent(now.resident, before.resident, live)),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Work { values, ..Work::new(iters * blocks, sum) })
    }
}
