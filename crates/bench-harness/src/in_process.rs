//! The same design for closures in one process: interleaved, in random order, paired, looked at without fooling oneself.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use crate::analysis::{analyse, log_ratios, ratio_of};
use crate::child::BlockClock;
use crate::host::{ChildError, Stamps};
use crate::placement::Placement;
use crate::plan::{Effort, WALL, twin_of};
use crate::protocol::{Done, Run, checksum_text};
use crate::report::{Comparison, ContenderResult, Kind, Ratio};
use crate::rng::SplitMix64;
use crate::round::{Entered, Entrant, Lane, SameWork, Shape, Station, run_round};

/// Compares closures. The first one is the reference.
///
/// ```
/// use bench_harness::Compare;
/// use std::time::Duration;
///
/// let numbers: Vec<u64> = (0..1000).collect();
/// let result = Compare::new("sum")
///     .contender("iterator", || numbers.iter().sum::<u64>())
///     .contender("twice", || numbers.iter().sum::<u64>() + numbers.iter().sum::<u64>())
///     .block(Duration::from_micros(200))
///     .watch(false) // this example runs beside others
///     .run()?;
/// let ratio = result.contender("twice").unwrap().ratio["wall_ns"];
/// println!("{:.2}x [{:.2}, {:.2}]", ratio.estimate, ratio.low, ratio.high);
/// # Ok::<(), bench_harness::CompareError>(())
/// ```
///
/// One process can't show what differs from process to process (where code and stacks lie, the allocator's state);
/// where that matters, compare processes with a [`Session`](crate::session::Session).
#[derive(Debug)]
pub struct Compare<'a> {
    name: String,
    closures: Vec<Closure<'a>>,
    effort: Effort,
    seed: u64,
    margin: f64,
}

/// Why closures can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// It takes a reference and somebody to compare it with.
    #[error("a comparison takes at least two contenders, {0} was given")]
    TooFew(usize),
    /// Two of the same name.
    #[error("two contenders are named {0:?}")]
    SameName(String),
}

struct Closure<'a> {
    name: String,
    run: std::rc::Rc<std::cell::RefCell<dyn FnMut(u64) + 'a>>,
}

impl std::fmt::Debug for Closure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Closure").field(&self.name).finish()
    }
}

impl<'a> Compare<'a> {
    /// A comparison without contenders.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), closures: Vec::new(), effort: Effort::standard(), seed: 1, margin: 0.01 }
    }

    /// Adds a contender: `work` is one iteration. What it returns is kept from being optimised away.
    #[must_use]
    pub fn contender<T>(mut self, name: impl Into<String>, mut work: impl FnMut() -> T + 'a) -> Self {
        let run = move |iters: u64| {
            for _ in 0..iters {
                black_box(work());
            }
        };
        self.closures.push(Closure { name: name.into(), run: std::rc::Rc::new(std::cell::RefCell::new(run)) });
        self
    }

    /// How long a block should take; 5 ms if not said.
    #[must_use]
    pub fn block(mut self, block: Duration) -> Self {
        self.effort.block = block;
        self
    }

    /// Seeds the order; the same seed gives the same order.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether rounds that other programs disturbed are void and made up for; they are if not said.
    #[must_use]
    pub fn watch(mut self, watch: bool) -> Self {
        self.effort.watch = watch;
        self
    }

    /// Ratios this close to 1 count as equal; 0.01 if not said.
    #[must_use]
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// Runs rounds until every ratio is decided or the last look is reached.
    ///
    /// # Errors
    /// When there are fewer than two contenders or two have the same name.
    ///
    /// # Panics
    /// Where a closure does.
    pub fn run(self) -> Result<Comparison, CompareError> {
        if self.closures.len() < 2 {
            return Err(CompareError::TooFew(self.closures.len()));
        }
        let reference = self.closures[0].name.clone();
        let mut lanes = BTreeMap::new();
        let mut entrants: Vec<Box<dyn Entrant + '_>> = Vec::new();
        for closure in &self.closures {
            if lanes.insert(closure.name.clone(), Lane::default()).is_some() {
                return Err(CompareError::SameName(closure.name.clone()));
            }
            entrants.push(Box::new(ClosureEntrant { name: closure.name.clone(), closure }));
        }
        // The reference takes part twice, as ever.
        lanes.insert(twin_of(&reference), Lane::default());
        entrants.push(Box::new(ClosureEntrant { name: twin_of(&reference), closure: &self.closures[0] }));
        let mut comparison = self.empty(&reference);
        let shape = Shape {
            block: self.effort.block,
            blocks: self.effort.blocks,
            steady: true,
            sizes: Vec::new(),
            iteration_limit: None,
            watch: self.effort.watch,
        };
        let mut rng = SplitMix64::new(self.seed);
        let mut same = SameWork::default();
        let last = self.effort.looks.rounds.last().copied().unwrap_or(8);
        // Closures have no checksums to disagree on and no child that could be interrupted; a void round is made up for.
        for number in 1..=2 * last {
            if let Ok(round) = run_round(number, &mut entrants, &mut lanes, &mut same, &shape, &mut rng) {
                comparison.rounds.push(round);
            }
            let valid = comparison.valid_rounds().count() as u32;
            let looked_at = self.effort.looks.rounds.contains(&valid);
            if looked_at {
                analyse(&mut comparison);
            }
            if valid >= last || (looked_at && all_decided(&comparison)) {
                break;
            }
        }
        for row in &mut comparison.contenders {
            row.iters = lanes[&row.name].iters;
        }
        analyse(&mut comparison);
        Ok(comparison)
    }

    fn empty(&self, reference: &str) -> Comparison {
        Comparison {
            workload: self.name.clone(),
            summary: String::new(),
            topic: String::new(),
            kind: Kind::Rate,
            params: crate::protocol::Params::default(),
            placement: Placement::Free,
            operation: "iteration".to_owned(),
            metric: WALL.to_owned(),
            reference: reference.to_owned(),
            margin: self.margin,
            looks: Some(self.effort.looks.clone()),
            error: None,
            between_round_share: None,
            twin: None,
            headline: None,
            note: None,
            contenders: self.closures.iter().map(|closure| ContenderResult::unmeasured(&closure.name)).collect(),
            rounds: Vec::new(),
        }
    }
}

impl Comparison {
    /// The ratio of any two contenders' wall times per operation. `None` below six common rounds.
    pub fn ratio_between(&self, contender: &str, versus: &str) -> Option<Ratio> {
        Some(ratio_of(self, &log_ratios(self, contender, versus, WALL))?.0)
    }
}

fn all_decided(comparison: &Comparison) -> bool {
    let others = comparison.contenders.iter().filter(|row| row.name != comparison.reference);
    others.into_iter().all(|row| row.ratio.get(WALL).is_some_and(|ratio| ratio.decided))
}

struct ClosureEntrant<'c, 'a> {
    name: String,
    closure: &'c Closure<'a>,
}

struct ClosureStation<'c, 'a> {
    closure: &'c Closure<'a>,
    clock: BlockClock,
}

impl Entrant for ClosureEntrant<'_, '_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn enter(&mut self, _: Option<u64>) -> Result<Entered<'_>, ChildError> {
        let station = ClosureStation { closure: self.closure, clock: BlockClock::for_this_thread() };
        Ok(Entered { station: Box::new(station), hello: None, startup: Duration::ZERO })
    }
}

impl Station for ClosureStation<'_, '_> {
    fn run(&mut self, request: Run) -> Result<(Done, Stamps), ChildError> {
        let mut work = self.closure.run.borrow_mut();
        self.clock.start();
        work(request.iters);
        self.clock.stop();
        let (t0_ns, t1_ns, usage) = self.clock.take();
        let done = Done {
            block: request.block,
            iters: request.iters,
            t0_ns,
            // A closure of nothing can end within the clock's grain.
            t1_ns: t1_ns.max(t0_ns + 1),
            ops: request.iters,
            checksum: checksum_text(0),
            usage,
            latency: None,
            values: BTreeMap::new(),
        };
        Ok((done, Stamps::Fit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(units: u64) -> u64 {
        (0..black_box(units)).fold(1_u64, |sum, unit| (sum ^ unit).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7))
    }

    #[test]
    fn every_contender_is_measured_beside_the_first_and_beside_itself() {
        let result = Compare::new("spin")
            .contender("once", || spin(2_000))
            .contender("twice", || spin(4_000))
            .block(Duration::from_micros(500))
            .watch(false)
            .run()
            .unwrap();
        // Whether it comes out near two is not asked here, for other work on the machine has a say in that: `cargo xtask self-test` does.
        let ratio = result.contender("twice").unwrap().ratio[WALL];
        assert!(ratio.rounds > 0 && ratio.low <= ratio.estimate && ratio.estimate <= ratio.high, "{ratio:?}");
        assert!(result.contender("once").unwrap().ratio.is_empty());
        assert!(result.twin.is_some());
        let mut done = result.rounds.iter().flat_map(|round| &round.blocks).flat_map(|block| block.done.values());
        assert!(done.all(|done| done.ops > 0));
    }

    #[test]
    fn one_contender_or_two_of_a_name_are_refused() {
        assert!(matches!(Compare::new("x").contender("a", || 1).run(), Err(CompareError::TooFew(1))));
        let twice = Compare::new("x").contender("a", || 1).contender("a", || 2).run();
        assert!(matches!(twice, Err(CompareError::SameName(_))));
    }
}
