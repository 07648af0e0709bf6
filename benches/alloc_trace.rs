//! What it costs to count, by paired rounds: alloc-trace's allocator beside the bare one and beside one with counters that threads share.
//!
//!     cargo bench --package benches --bench alloc_trace
//!
//! Takes a minute; nothing else should run meanwhile. Each allocator is called itself, as `GlobalAlloc`, so that one program has them all.
//! `allocation-counter` can't take part: whoever links it has it as the program's allocator, and no other.
#![allow(clippy::print_stdout, reason = "it prints its result")]

mod table;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use alloc_trace::{Scope, Tracked};
use stats_alloc::StatsAlloc;
use table::Table;

/// So that scopes and measures can be opened.
#[global_allocator]
static INSTALLED: Tracked<System> = Tracked::new(System);

static TRACKED: Tracked<System> = Tracked::new(System);
static SHARED: StatsAlloc<System> = StatsAlloc::system();

/// Live blocks, 16 to 511 bytes; a pair frees the oldest and allocates another.
struct Ring<A: 'static> {
    allocator: &'static A,
    blocks: Vec<(*mut u8, Layout)>,
    at: usize,
    seed: u32,
}

impl<A: GlobalAlloc> Ring<A> {
    fn new(allocator: &'static A) -> Self {
        let empty = (null_mut(), Layout::new::<u8>());
        let mut ring = Self { allocator, blocks: vec![empty; 1000], at: 0, seed: 1 };
        (0..1000).for_each(|_| ring.pair());
        ring
    }

    #[inline]
    fn pair(&mut self) {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let layout = Layout::from_size_align(16 + (self.seed >> 16) as usize % 496, 8).expect("a layout");
        self.at = if self.at + 1 == self.blocks.len() { 0 } else { self.at + 1 };
        let place = &mut self.blocks[self.at];
        // SAFETY: blocks come from this allocator, with the layout beside them, and the size is not zero.
        unsafe {
            if !place.0.is_null() {
                self.allocator.dealloc(place.0, place.1);
            }
            *place = (black_box(self.allocator.alloc(layout)), layout);
        }
    }
}

/// Whose pairs the second thread makes.
static WHOSE: AtomicUsize = AtomicUsize::new(BARE);
const BARE: usize = 0;
const OF_TRACKED: usize = 1;
const OF_SHARED: usize = 2;
const NOBODY: usize = 3;

/// The second thread: does what the first one does.
fn beside() {
    let (mut bare, mut tracked, mut shared) = (Ring::new(&System), Ring::new(&TRACKED), Ring::new(&SHARED));
    loop {
        match WHOSE.load(Relaxed) {
            BARE => (0..16).for_each(|_| bare.pair()),
            OF_TRACKED => (0..16).for_each(|_| tracked.pair()),
            OF_SHARED => (0..16).for_each(|_| shared.pair()),
            _ => return,
        }
    }
}

/// A pair, while the second thread makes pairs with the same allocator.
fn together<A: GlobalAlloc>(whose: usize, ring: &mut Ring<A>) -> impl FnMut() {
    move || {
        if WHOSE.load(Relaxed) != whose {
            WHOSE.store(whose, Relaxed);
        }
        ring.pair();
    }
}

fn threads(table: &Table, name: &str, two: bool) {
    let (mut bare, mut tracked, mut shared) = (Ring::new(&System), Ring::new(&TRACKED), Ring::new(&SHARED));
    WHOSE.store(BARE, Relaxed);
    let comparison = std::thread::scope(|scope| {
        if two {
            scope.spawn(beside);
        }
        let comparison = table
            .compare(name)
            .contender("bare", together(BARE, &mut bare))
            .contender("tracked", together(OF_TRACKED, &mut tracked))
            .contender("shared", together(OF_SHARED, &mut shared))
            .run();
        WHOSE.store(NOBODY, Relaxed);
        comparison.expect("three contenders")
    });
    Table::just(&format!("{name}: a pair with the system's allocator"), &comparison, "bare");
    let over = |f: &[f64]| f[0] - f[1];
    table.bar(&format!("{name}: tracked, over that"), "ns", 2.0, &comparison, &["tracked", "bare"], over);
    Table::just(&format!("{name}: a pair with stats_alloc"), &comparison, "shared");
}

fn in_a_scope(table: &Table) {
    let (mut bare, mut tracked) = (Ring::new(&System), Ring::new(&TRACKED));
    let comparison = Scope::new().enter(|| {
        let contenders = table.compare("in a scope").contender("bare", || bare.pair());
        contenders.contender("tracked", || tracked.pair()).run().expect("two contenders")
    });
    Table::just("in a scope: a pair with the system's allocator", &comparison, "bare");
    Table::just("in a scope: tracked, counted to the scope, too", &comparison, "tracked");
}

fn main() {
    let table = Table { quick: std::env::args().any(|argument| argument == "--test") };
    threads(&table, "one thread", false);
    threads(&table, "two threads", true);
    in_a_scope(&table);
}
