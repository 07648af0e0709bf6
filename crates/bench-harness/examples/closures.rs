//! Compares closures in one process: `cargo run --release --example closures`.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::collections::{BTreeMap, HashMap};

use bench_harness::Compare;

fn main() -> Result<(), bench_harness::CompareError> {
    let keys: Vec<u64> = (0..1_000).map(|key| key * 7_919 % 100_003).collect();
    let tree: BTreeMap<u64, u64> = keys.iter().map(|&key| (key, key)).collect();
    let hash: HashMap<u64, u64> = keys.iter().map(|&key| (key, key)).collect();
    let result = Compare::new("1,000 look-ups")
        .contender("BTreeMap", || keys.iter().filter_map(|key| tree.get(key)).sum::<u64>())
        .contender("HashMap", || keys.iter().filter_map(|key| hash.get(key)).sum::<u64>())
        .run()?;
    for row in &result.contenders {
        let per_op = row.per_op.as_ref().map_or(f64::NAN, |per_op| per_op.wall_ns);
        let versus = row.ratio.get("wall_ns").map_or_else(
            || "the reference".to_owned(),
            |ratio| format!("{:.3}x [{:.3}, {:.3}], {} rounds", ratio.estimate, ratio.low, ratio.high, ratio.rounds),
        );
        println!("{:<10} {per_op:>10.0} ns   {versus}", row.name);
    }
    if let Some(twin) = result.twin {
        println!("BTreeMap's twin: {:.3}x [{:.3}, {:.3}]", twin.estimate, twin.low, twin.high);
    }
    Ok(())
}
