//! Bars as lines: each with its estimate, its interval and its verdict.

use bench_harness::Compare;
use bench_harness::report::Comparison;
use bench_harness::stats::{median, signed_rank};

/// Prints one line a bar.
pub(crate) struct Table {
    pub(crate) quick: bool,
}

/// What a round measured of a contender: the median of its blocks, ns an iteration.
fn rounds_of(comparison: &Comparison, contender: &str) -> Vec<f64> {
    let rounds = comparison.valid_rounds();
    let blocks = |round: &bench_harness::report::Round| -> Vec<f64> {
        let done = round.blocks.iter().filter_map(|block| block.done.get(contender));
        done.map(|done| (done.t1_ns - done.t0_ns) as f64 / done.ops as f64).collect()
    };
    rounds.filter_map(|round| median(&blocks(round))).collect()
}

impl Table {
    pub(crate) fn compare<'a>(&self, name: &str) -> Compare<'a> {
        let compare = Compare::new(name).watch(!self.quick);
        if self.quick { compare.block(std::time::Duration::from_micros(50)) } else { compare }
    }

    /// Decides whether what `value` makes of each round's figures is at most `bar`.
    pub(crate) fn bar(
        &self,
        what: &str,
        unit: &str,
        bar: f64,
        comparison: &Comparison,
        of: &[&str],
        value: impl Fn(&[f64]) -> f64,
    ) {
        let columns: Vec<Vec<f64>> = of.iter().map(|contender| rounds_of(comparison, contender)).collect();
        let rounds = columns.iter().map(Vec::len).min().unwrap_or(0);
        let values: Vec<f64> =
            (0..rounds).map(|round| value(&columns.iter().map(|c| c[round]).collect::<Vec<_>>())).collect();
        self.line(what, unit, bar, &values);
    }

    /// Decides whether `ours` is within `bar` of the better of its peers: the one that is it by the medians of the whole run. Whoever is ahead in each
    /// round by chance would be a faster peer than there is.
    #[allow(dead_code, reason = "not every bench has two peers")]
    pub(crate) fn beside_better(&self, what: &str, bar: f64, comparison: &Comparison, ours: &str, peers: [&str; 2]) {
        let typical = |peer: &str| median(&rounds_of(comparison, peer)).unwrap_or(f64::INFINITY);
        let better = if typical(peers[0]) <= typical(peers[1]) { peers[0] } else { peers[1] };
        self.bar(&format!("{what} ({better})"), "times", bar, comparison, &[ours, better], |f| f[0] / f[1]);
    }

    pub(crate) fn line(&self, what: &str, unit: &str, bar: f64, values: &[f64]) {
        let (Some(estimate), Some(interval)) =
            (signed_rank::hodges_lehmann(values), signed_rank::interval(values, 0.95))
        else {
            println!("{what:<72} too few rounds");
            return;
        };
        let verdict = match (interval.high <= bar, interval.low > bar) {
            (true, _) => "met",
            (_, true) => "MISSED",
            _ => "open",
        };
        let verdict = if self.quick { "-" } else { verdict };
        println!(
            "{what:<72} {estimate:>7.2} [{:.2}, {:.2}] {unit:<5} bar {bar:>6.2}  {verdict}",
            interval.low, interval.high
        );
    }

    pub(crate) fn just(what: &str, comparison: &Comparison, contender: &str) {
        let estimate = median(&rounds_of(comparison, contender)).unwrap_or(f64::NAN);
        println!("{what:<72} {estimate:>7.2} ns");
    }
}
