//! probe: work of a known size, for the harness to test itself on. A slowdown of `p` thousandths does exactly that much more
//! of the same work and reports the same operations, so that the true ratio is known.

use std::hint::black_box;
use std::io::{PipeReader, PipeWriter, Read, Write};

use bench_harness::child::{BlockClock, Prepared, Work};
use bench_harness::monotonic_ns;
use bench_harness::protocol::Refusal;

use super::{Answer, Workload, chain, mix};
use crate::capability::{Jobs, Tasks};

pub(super) struct Probe;

const ELSEWHERE: &str = "it is the self-test's own; ask the contender `probe`";
/// The loop of `probe/cpu`, once in the block and once more after it, timed by bare stamps: the value `again_ns`.
const OVERHEAD: &str = "probe/overhead";
/// Units of work in an iteration: thousandths of them can be added exactly.
const UNITS: u64 = 1_000;

impl Workload for Probe {
    const NAMES: &'static [&'static str] = &["probe/cpu", "probe/alloc", "probe/thread", "probe/pipe", OVERHEAD];

    fn on_tasks<R: Tasks>(_: &str) -> Answer {
        Err(Refusal::unsupported(ELSEWHERE))
    }

    fn on_jobs<R: Jobs>(_: &str) -> Answer {
        Err(Refusal::unsupported(ELSEWHERE))
    }

    fn on_rayon(_: &str) -> Answer {
        Err(Refusal::unsupported(ELSEWHERE))
    }

    fn on_probe(name: &str) -> Answer {
        let name = name.to_owned();
        Ok(Box::new(move |params, seed| {
            let slowdown = params.integer("slowdown_permille", 0..=1_000)?;
            let (iteration, units): (Iteration, u64) = match name.as_str() {
                "probe/cpu" | OVERHEAD => (Box::new(cpu), UNITS),
                "probe/alloc" => (Box::new(alloc), UNITS),
                // A thread is a thousand times as dear as a unit of the others: thousandths are kept over iterations.
                "probe/thread" => (Box::new(thread), 10),
                _ => {
                    let mut game = PipeGame::new().map_err(|error| Refusal::failed(format!("pipe: {error}")))?;
                    (Box::new(move |units, extra| game.play(units, extra)), 100)
                }
            };
            let again = name == OVERHEAD;
            Ok(Box::new(Repeat { iteration, units, slowdown, seed, owed: 0, again }))
        }))
    }
}

/// Does units of work and so many more, and gives the checksum of the first ones.
type Iteration = Box<dyn FnMut(u64, u64) -> u64>;

struct Repeat {
    iteration: Iteration,
    units: u64,
    slowdown: u64,
    seed: u64,
    /// Thousandths of a unit that are still to be done.
    owed: u64,
    /// Whether to do the work once more when the block is over, without the harness.
    again: bool,
}

impl Repeat {
    fn iterations(&mut self, iters: u64) -> u64 {
        let mut result = 0;
        for _ in 0..iters {
            self.owed += self.units * self.slowdown;
            let extra = self.owed / 1_000;
            self.owed %= 1_000;
            result = (self.iteration)(black_box(self.units), black_box(extra));
        }
        result
    }
}

impl Prepared for Repeat {
    fn run(&mut self, iters: u64, clock: &mut BlockClock) -> Result<Work, Refusal> {
        let result = self.iterations(iters);
        let mut work = Work::new(iters * self.units, result.wrapping_add(self.seed));
        if self.again {
            clock.stop();
            let begin = monotonic_ns();
            black_box(self.iterations(iters));
            work.values.insert("again_ns".to_owned(), (monotonic_ns() - begin) as f64);
        }
        Ok(work)
    }
}

/// `units + extra` times 20 dependent steps in registers.
pub fn cpu(units: u64, extra: u64) -> u64 {
    let result = chain(1, units * 20);
    black_box(chain(result, extra * 20));
    result
}

/// `units + extra` allocations of 16 to 2,063 bytes, each freed 32 allocations later.
pub fn alloc(units: u64, extra: u64) -> u64 {
    let mut live: [Vec<u8>; 32] = std::array::from_fn(|_| Vec::new());
    let mut bytes = 0;
    for unit in 0..units + extra {
        let size = 16 + (mix(7, unit) % 2_048) as usize;
        let mut block = Vec::with_capacity(size);
        block.push(unit as u8);
        bytes += if unit < units { size as u64 } else { 0 };
        live[unit as usize % 32] = black_box(block);
    }
    bytes
}

/// `units + extra` threads, made and joined one by one.
///
/// # Panics
/// When the system makes no more threads.
pub fn thread(units: u64, extra: u64) -> u64 {
    (0..units + extra).fold(0, |sum: u64, unit| {
        let result = std::thread::spawn(move || mix(7, unit)).join().expect("the thread does not panic");
        if unit < units { sum.wrapping_add(result) } else { sum }
    })
}

/// Two threads that bounce a byte over two pipes.
#[derive(Debug)]
pub struct PipeGame {
    ping: PipeWriter,
    pongs: PipeReader,
}

impl PipeGame {
    /// Opens the pipes and starts the other thread, which ends when the game is dropped.
    ///
    /// # Errors
    /// When the system has no more pipes or threads.
    pub fn new() -> std::io::Result<Self> {
        let (mut pings, ping) = std::io::pipe()?;
        let (pongs, mut pong) = std::io::pipe()?;
        std::thread::Builder::new().spawn(move || {
            let mut byte = [0];
            while pings.read_exact(&mut byte).is_ok() && pong.write_all(&byte).is_ok() {}
        })?;
        Ok(Self { ping, pongs })
    }

    /// Makes `trips + extra` round trips.
    ///
    /// # Panics
    /// When a pipe breaks, which it does not while the game lives.
    pub fn play(&mut self, trips: u64, extra: u64) -> u64 {
        let mut sum = 0;
        for trip in 0..trips + extra {
            let mut byte = [trip as u8];
            self.ping.write_all(&byte).expect("the other thread reads");
            self.pongs.read_exact(&mut byte).expect("the other thread writes");
            sum += if trip < trips { u64::from(byte[0]) } else { 0 };
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Units done in 200 iterations of 100 units each, and the thousandths of a unit that are owed after them.
    fn done(slowdown: u64) -> (u64, u64) {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let iteration: Iteration = Box::new(move |units, extra| counted.fetch_add(units + extra, Ordering::Relaxed));
        let mut repeat = Repeat { iteration, units: 100, slowdown, seed: 0, owed: 0, again: false };
        repeat.iterations(200);
        (count.load(Ordering::Relaxed), repeat.owed)
    }

    #[test]
    fn a_slowdown_is_so_many_thousandths_more_of_the_same_work() {
        assert_eq!(done(0), (20_000, 0));
        assert_eq!(done(30), (20_600, 0));
        assert_eq!(done(1_000), (40_000, 0));
        // 0.1 of a unit an iteration is kept over iterations.
        assert_eq!(done(1), (20_020, 0));
    }

    #[test]
    fn the_extra_work_leaves_the_checksum_as_it_is() {
        assert_eq!(cpu(100, 50), cpu(100, 0));
        assert_eq!(alloc(100, 50), alloc(100, 0));
        assert_eq!(thread(3, 2), thread(3, 0));
        let mut game = PipeGame::new().unwrap();
        assert_eq!(game.play(100, 50), game.play(100, 0));
    }
}
