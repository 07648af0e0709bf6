//! The pairs of `pairs.c` with dhat-rs as the allocator, built by `pairs.sh`: `dhat THREADS PAIRS` prints nanoseconds per pair.

use std::hint::black_box;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const LIVE: usize = 1000;

#[inline(never)]
fn deep(depth: u64, size: usize) -> Vec<u8> {
    if depth == 0 {
        let mut block = Vec::with_capacity(size);
        block.push(1);
        return block;
    }
    black_box(deep(depth - 1, size))
}

fn work(thread: u64, pairs: u64) -> f64 {
    let mut state = 88_172_645_463_325_252 + thread;
    let mut live: Vec<Vec<u8>> = (0..LIVE).map(|_| Vec::new()).collect();
    let begin = Instant::now();
    for _ in 0..pairs {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let slot = (state >> 40) as usize % LIVE;
        drop(std::mem::take(&mut live[slot]));
        live[slot] = deep(9 + (state & 3), 16 + (state >> 8) as usize % 497);
    }
    begin.elapsed().as_nanos() as f64 / pairs as f64
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>().expect("a number"));
    let (threads, pairs) = (arguments.next().expect("THREADS"), arguments.next().expect("PAIRS"));
    let _profiler = dhat::Profiler::builder().file_name(std::env::var("DHAT_FILE").expect("DHAT_FILE")).build();
    let threads: Vec<_> = (0..threads).map(|thread| std::thread::spawn(move || work(thread, pairs))).collect();
    let count = threads.len() as f64;
    let sum: f64 = threads.into_iter().map(|thread| thread.join().expect("a thread's figure")).sum();
    println!("{:.1}", sum / count);
}
