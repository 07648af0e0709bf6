//! Compares programs that speak the contender protocol, here two copies of this one: `cargo run --release --example programs`.
//!
//! Called with a word it is a contender, without one it is the host.
#![allow(clippy::print_stdout, reason = "an example prints")]

use bench_harness::child::{BlockClock, Contender, Prepared, Work, serve};
use bench_harness::host::{Interrupt, Launch};
use bench_harness::placement::Placement;
use bench_harness::plan::{Effort, Entry, Plan, WALL};
use bench_harness::protocol::{Hello, PROTO, Params, Prepare, Refusal};
use bench_harness::report::Kind;
use bench_harness::session::Session;

/// Sorts numbers, stably or not.
struct Sorter {
    stable: bool,
}

impl Contender for Sorter {
    fn hello(&self) -> Hello {
        Hello {
            proto: PROTO,
            name: if self.stable { "stable" } else { "unstable" }.to_owned(),
            lang: "rust".to_owned(),
            runtime: "std".to_owned(),
            workloads: vec!["sort".to_owned()],
            clock: "CLOCK_MONOTONIC".to_owned(),
            threads: 1,
            tags: Vec::new(),
        }
    }

    fn prepare(&mut self, request: &Prepare) -> Result<Box<dyn Prepared>, Refusal> {
        let n = request.params.integer("n", 1..=10_000_000)?;
        let mut rng = bench_harness::rng::SplitMix64::new(request.seed);
        let numbers = (0..n).map(|_| rng.next_u64()).collect();
        Ok(Box::new(Sort { stable: self.stable, numbers }))
    }
}

struct Sort {
    stable: bool,
    numbers: Vec<u64>,
}

impl Prepared for Sort {
    fn run(&mut self, iters: u64, _: &mut BlockClock) -> Result<Work, Refusal> {
        let mut middle = 0;
        for _ in 0..iters {
            let mut numbers = self.numbers.clone();
            if self.stable {
                // A key keeps the stable sort, whose equals would else be told apart by nobody.
                numbers.sort_by_key(|number| *number);
            } else {
                numbers.sort_unstable();
            }
            middle = numbers[numbers.len() / 2];
        }
        // The median proves that the numbers were sorted.
        Ok(Work::new(iters * self.numbers.len() as u64, middle))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(word) = std::env::args().nth(1) {
        serve(&mut Sorter { stable: word == "stable" })?;
        return Ok(());
    }
    let entry = |word: &str| -> std::io::Result<Entry> {
        let launch = Launch { program: std::env::current_exe()?, args: vec![word.to_owned()] };
        Ok(Entry { name: word.to_owned(), launch, params: Vec::new() })
    };
    let plan = Plan {
        workload: "sort".to_owned(),
        summary: "sort the same numbers".to_owned(),
        topic: String::new(),
        kind: Kind::Rate,
        params: Params::from([("n", 10_000)]),
        placement: Placement::Pinned,
        operation: "number".to_owned(),
        metric: WALL.to_owned(),
        reference: "stable".to_owned(),
        with_twin: true,
        margin: 0.01,
        sizes: Vec::new(),
        entries: vec![entry("stable")?, entry("unstable")?],
    };
    let session =
        Session::new(vec![plan], Effort::standard(), 1, "the example `programs`".to_owned(), Interrupt::default());
    let report = session.run(&[], &mut |progress| eprintln!("round {} of {}", progress.rounds, progress.target));
    println!("{}", serde_json::to_string_pretty(&report.comparisons[0].contenders)?);
    Ok(())
}
