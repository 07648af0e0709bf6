//! A round: one fresh child per contender, warmed up, then blocks in which every contender runs once, in random order.
//!
//! The round is the unit of the statistics: what differs from process to process (where code and stacks come to lie,
//! the allocator's state) differs between rounds, so only fresh children show it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::host::{ChildError, Stamps};
use crate::noise::Guard;
use crate::protocol::{Done, Hello, RefusalKind, Run};
use crate::report::{Block, Round, Status};
use crate::rng::SplitMix64;

/// Warm-up ends after this many blocks' worth of time, flat or not.
const WARM_UP_BLOCKS: u32 = 4;
/// A warm-up block is this part of a measured one.
const WARM_UP_PART: u64 = 4;
/// Warm-up is flat when three blocks in a row lie within this much of one another.
const FLAT: f64 = 0.05;

/// A contender in one round.
pub(crate) trait Station {
    /// Runs one block.
    fn run(&mut self, request: Run) -> Result<(Done, Stamps), ChildError>;
    /// The round is over.
    fn leave(self: Box<Self>) -> Result<(), ChildError> {
        Ok(())
    }
}

/// A contender that can be set up afresh, round after round.
pub(crate) trait Entrant {
    /// Its name in the comparison.
    fn name(&self) -> &str;
    /// Sets it up; `size` replaces the parameter `n` where a workload is run over sizes.
    fn enter(&mut self, size: Option<u64>) -> Result<Entered<'_>, ChildError>;
}

/// A contender that stands ready.
pub(crate) struct Entered<'a> {
    pub(crate) station: Box<dyn Station + 'a>,
    pub(crate) hello: Option<Hello>,
    pub(crate) startup: Duration,
}

/// What is known of a contender over the rounds of a comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lane {
    /// Iterations in a block; 0 before calibration.
    pub(crate) iters: u64,
    /// Runtime and version.
    pub(crate) version: String,
    /// Tags from `hello`.
    pub(crate) tags: Vec<String>,
    /// Out of the comparison, with the reason.
    pub(crate) out: Option<(Status, String)>,
    /// The size it does not reach, where a workload is run over sizes, and why.
    pub(crate) limit: Option<(u64, String)>,
    /// Its ratio is decided: it need not run further rounds.
    pub(crate) decided: bool,
    /// Void blocks in a row.
    voids: u32,
}

impl Lane {
    pub(crate) fn active(&self) -> bool {
        self.out.is_none() && !self.decided
    }

    /// Whether it takes part at this size.
    fn reaches(&self, size: Option<u64>) -> bool {
        self.active() && self.limit.as_ref().is_none_or(|(limit, _)| size.is_none_or(|size| size < *limit))
    }

    /// It can't do this size: out, if it can't do any; else it keeps what it has shown at the smaller ones.
    fn stumble(&mut self, size: Option<u64>, smallest: bool, error: &ChildError) {
        match size {
            Some(size) if !smallest => self.limit = Some((size, error.to_string())),
            _ => self.fail(error),
        }
    }

    fn fail(&mut self, error: &ChildError) {
        let status = match error {
            ChildError::Refused(refusal) if refusal.kind == RefusalKind::Unsupported => Status::Unsupported,
            _ => Status::Failed,
        };
        self.out = Some((status, error.to_string()));
    }
}

/// How a round is run.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// How long a block should take.
    pub(crate) block: Duration,
    /// Blocks in a round.
    pub(crate) blocks: u32,
    /// Whether to calibrate and warm up; else one iteration, once.
    pub(crate) steady: bool,
    /// Sizes to run over, one fresh child each; empty for none.
    pub(crate) sizes: Vec<u64>,
    /// A contender whose single iteration takes longer is out.
    pub(crate) iteration_limit: Option<Duration>,
    /// Whether to void rounds that others disturbed.
    pub(crate) watch: bool,
}

/// Why a comparison can't go on.
#[derive(Debug, PartialEq)]
pub(crate) enum Stop {
    /// A person wants it to end.
    Interrupted,
    /// The contenders did not do the same work.
    Disagree(String),
}

/// What one iteration of a workload comes to, at each size it is run at: operations and checksum, and who said so first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SameWork(BTreeMap<Option<u64>, (u64, String, String)>);

impl SameWork {
    /// Holds `done` against what the others did.
    pub(crate) fn check(&mut self, size: Option<u64>, name: &str, done: &Done) -> Result<(), Stop> {
        let ops = done.ops / done.iters;
        match self.0.get(&size) {
            None => {
                self.0.insert(size, (ops, done.checksum.clone(), name.to_owned()));
            }
            Some((first_ops, _, first)) if *first_ops != ops => {
                return Err(Stop::Disagree(format!(
                    "{first} did {first_ops} operations in an iteration, {name} did {ops}: not the same work, not compared"
                )));
            }
            Some((_, checksum, first)) if *checksum != done.checksum => {
                return Err(Stop::Disagree(format!(
                    "{first} came to checksum {checksum}, {name} to {}: not the same work, not compared",
                    done.checksum
                )));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// One contender while a round runs.
struct Runner<'a> {
    name: String,
    station: Box<dyn Station + 'a>,
}

/// Runs a round of all active contenders. Those that fail are marked in `lanes` and the rest goes on.
pub(crate) fn run_round(
    number: u32,
    entrants: &mut [Box<dyn Entrant + '_>],
    lanes: &mut BTreeMap<String, Lane>,
    same: &mut SameWork,
    shape: &Shape,
    rng: &mut SplitMix64,
) -> Result<Round, Stop> {
    let guard = Guard::begin();
    let mut round =
        Round { round: number, void: None, startup_ns: BTreeMap::new(), not_flat: Vec::new(), blocks: Vec::new() };
    let sizes: Vec<Option<u64>> =
        if shape.sizes.is_empty() { vec![None] } else { shape.sizes.iter().copied().map(Some).collect() };
    for size in sizes {
        let smallest = size.is_none_or(|size| shape.sizes.iter().all(|&other| other >= size));
        let mut runners = start_all(entrants, lanes, size, smallest, &mut round, rng)?;
        if shape.steady {
            warm_up_all(&mut runners, lanes, same, shape, &mut round)?;
        }
        for _ in 0..shape.blocks {
            let block = run_block(&mut runners, lanes, same, (round.blocks.len() as u64 + 1, size, smallest), rng)?;
            round.blocks.push(block);
        }
        for runner in runners {
            if let Err(error) = runner.station.leave() {
                lanes.get_mut(&runner.name).expect("every runner has a lane").fail(&error);
            }
        }
    }
    round.void = if shape.watch { guard.void() } else { None };
    Ok(round)
}

/// Starts every active contender, in random order.
fn start_all<'a>(
    entrants: &'a mut [Box<dyn Entrant + '_>],
    lanes: &mut BTreeMap<String, Lane>,
    size: Option<u64>,
    smallest: bool,
    round: &mut Round,
    rng: &mut SplitMix64,
) -> Result<Vec<Runner<'a>>, Stop> {
    let mut order: Vec<_> = entrants.iter_mut().filter(|entrant| lanes[entrant.name()].reaches(size)).collect();
    rng.shuffle(&mut order);
    let mut runners = Vec::new();
    for entrant in order {
        let name = entrant.name().to_owned();
        let lane = lanes.get_mut(&name).expect("every entrant has a lane");
        match entrant.enter(size) {
            Ok(entered) => {
                if let Some(hello) = entered.hello {
                    lane.version = hello.runtime;
                    lane.tags = hello.tags;
                    round.startup_ns.insert(name.clone(), entered.startup.as_nanos() as u64);
                }
                runners.push(Runner { name, station: entered.station });
            }
            Err(ChildError::Interrupted) => return Err(Stop::Interrupted),
            Err(error) => lane.stumble(size, smallest, &error),
        }
    }
    Ok(runners)
}

/// Brings every contender to a steady state, and in its first round finds out how many iterations make a block.
fn warm_up_all(
    runners: &mut Vec<Runner<'_>>,
    lanes: &mut BTreeMap<String, Lane>,
    same: &mut SameWork,
    shape: &Shape,
    round: &mut Round,
) -> Result<(), Stop> {
    let mut still_in = Vec::new();
    for mut runner in runners.drain(..) {
        let lane = lanes.get_mut(&runner.name).expect("every runner has a lane");
        let mut attempt = || -> Result<bool, Trouble> {
            let mut probe = |iters| {
                let (done, _) = runner.station.run(Run { block: 0, iters })?;
                same.check(None, &runner.name, &done)?;
                Ok::<_, Trouble>(done.wall_ns().max(1) as f64 / 1e9)
            };
            if lane.iters == 0 {
                lane.iters = calibrate(&mut probe, shape)?;
            }
            warm_up(&mut probe, lane.iters, shape.block)
        };
        match attempt() {
            Ok(flat) => {
                if !flat {
                    round.not_flat.push(runner.name.clone());
                }
                still_in.push(runner);
            }
            Err(Trouble::Child(ChildError::Interrupted)) => return Err(Stop::Interrupted),
            Err(Trouble::Stop(stop)) => return Err(stop),
            Err(Trouble::Child(error)) => lane.fail(&error),
            Err(Trouble::TooSlow(seconds)) => {
                let limit = shape.iteration_limit.unwrap_or_default().as_secs_f64();
                let reason = format!(
                    "left out: one iteration takes {seconds:.2} s, the limit at this effort is {limit:.2} s (--full has none)"
                );
                lane.out = Some((Status::Unsupported, reason));
            }
        }
    }
    *runners = still_in;
    Ok(())
}

enum Trouble {
    Child(ChildError),
    Stop(Stop),
    TooSlow(f64),
}

impl From<ChildError> for Trouble {
    fn from(error: ChildError) -> Self {
        Self::Child(error)
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Finds the iterations that fill a block, going up by at most a factor of 16 from one iteration, for the first runs are
/// slow and mislead.
fn calibrate(probe: &mut impl FnMut(u64) -> Result<f64, Trouble>, shape: &Shape) -> Result<u64, Trouble> {
    let target = shape.block.as_secs_f64();
    let mut iters = 1_u64;
    loop {
        let mut seconds = probe(iters)?;
        if iters == 1 && shape.iteration_limit.is_some_and(|limit| seconds > limit.as_secs_f64()) {
            // Once more: the first iteration pays for what later ones find ready.
            seconds = probe(1)?;
            if shape.iteration_limit.is_some_and(|limit| seconds > limit.as_secs_f64()) {
                return Err(Trouble::TooSlow(seconds));
            }
        }
        let fitting = (iters as f64 * target / seconds).round().max(1.0);
        if seconds >= target / 2.0 {
            return Ok(fitting as u64);
        }
        iters = (fitting as u64).clamp(iters + 1, iters.saturating_mul(16));
    }
}

/// Runs small blocks until three in a row agree, or the time for it is up. Tells whether it was flat, or at least no longer
/// falling.
fn warm_up(probe: &mut impl FnMut(u64) -> Result<f64, Trouble>, iters: u64, block: Duration) -> Result<bool, Trouble> {
    let begin = Instant::now();
    let part = (iters / WARM_UP_PART).max(1);
    let mut times: Vec<f64> = Vec::new();
    loop {
        times.push(probe(part)?);
        if let [.., first, second, third] = times[..] {
            let (low, high) = (first.min(second).min(third), first.max(second).max(third));
            if high <= low * (1.0 + FLAT) {
                return Ok(true);
            }
        }
        if begin.elapsed() >= block * WARM_UP_BLOCKS {
            return Ok(!matches!(times[..], [.., before, last] if last < before * (1.0 - FLAT)));
        }
    }
}

/// One block: every contender once, in random order.
fn run_block(
    runners: &mut Vec<Runner<'_>>,
    lanes: &mut BTreeMap<String, Lane>,
    same: &mut SameWork,
    (number, size, smallest): (u64, Option<u64>, bool),
    rng: &mut SplitMix64,
) -> Result<Block, Stop> {
    rng.shuffle(runners);
    let mut block = Block::default();
    let mut failed = Vec::new();
    for (index, runner) in runners.iter_mut().enumerate() {
        let lane = lanes.get_mut(&runner.name).expect("every runner has a lane");
        let request = Run { block: number, iters: lane.iters.max(1) };
        block.order.push(runner.name.clone());
        match runner.station.run(request) {
            Ok((done, Stamps::Fit)) => {
                same.check(size, &runner.name, &done)?;
                lane.voids = 0;
                block.done.insert(runner.name.clone(), done);
            }
            Ok((_, Stamps::Void(why))) => {
                lane.voids += 1;
                // One such block may be a mishap; a whole round of them is a child whose clock can't be trusted.
                if lane.voids >= 4 {
                    lane.out = Some((Status::Failed, format!("its time stamps can't be trusted: {why}")));
                    failed.push(index);
                }
                block.void.insert(runner.name.clone(), why);
            }
            Err(ChildError::Interrupted) => return Err(Stop::Interrupted),
            Err(error) => {
                lane.stumble(size, smallest, &error);
                failed.push(index);
            }
        }
    }
    for index in failed.into_iter().rev() {
        drop(runners.remove(index));
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A contender made of arithmetic: it takes `ns` an iteration by its own word.
    struct Fake {
        name: String,
        ns: u64,
        checksum: &'static str,
        log: Rc<RefCell<Vec<String>>>,
        fail_in_block: Option<u64>,
        fail_at_the_end: bool,
    }

    struct FakeStation<'a>(&'a mut Fake);

    impl Entrant for Fake {
        fn name(&self) -> &str {
            &self.name
        }

        fn enter(&mut self, _: Option<u64>) -> Result<Entered<'_>, ChildError> {
            self.log.borrow_mut().push(format!("start {}", self.name));
            Ok(Entered { station: Box::new(FakeStation(self)), hello: None, startup: Duration::ZERO })
        }
    }

    impl Station for FakeStation<'_> {
        fn run(&mut self, request: Run) -> Result<(Done, Stamps), ChildError> {
            let fake = &*self.0;
            if fake.fail_in_block == Some(request.block) {
                return Err(ChildError::Lied("broke".to_owned()));
            }
            if request.block > 0 {
                fake.log.borrow_mut().push(format!("{} {}", request.block, fake.name));
            }
            let done = Done {
                block: request.block,
                iters: request.iters,
                t0_ns: 1,
                t1_ns: 1 + fake.ns * request.iters,
                ops: request.iters,
                checksum: fake.checksum.to_owned(),
                usage: crate::protocol::Usage::default(),
                latency: None,
                values: BTreeMap::new(),
            };
            Ok((done, Stamps::Fit))
        }

        fn leave(self: Box<Self>) -> Result<(), ChildError> {
            if self.0.fail_at_the_end { Err(ChildError::Lied("was restless".to_owned())) } else { Ok(()) }
        }
    }

    fn shape() -> Shape {
        Shape {
            block: Duration::from_millis(5),
            blocks: 4,
            steady: true,
            sizes: Vec::new(),
            iteration_limit: None,
            watch: false,
        }
    }

    fn run(fakes: Vec<Fake>, shape: &Shape, seed: u64) -> (Result<Round, Stop>, BTreeMap<String, Lane>) {
        let mut lanes: BTreeMap<_, _> = fakes.iter().map(|fake| (fake.name.clone(), Lane::default())).collect();
        let mut entrants: Vec<Box<dyn Entrant>> = fakes.into_iter().map(|fake| Box::new(fake) as _).collect();
        let mut rng = SplitMix64::new(seed);
        let round = run_round(1, &mut entrants, &mut lanes, &mut SameWork::default(), shape, &mut rng);
        (round, lanes)
    }

    fn fakes(log: &Rc<RefCell<Vec<String>>>, count: usize) -> Vec<Fake> {
        let fake = |index: usize| Fake {
            name: format!("c{index}"),
            ns: 1000 * (index as u64 + 1),
            checksum: "00000000000000aa",
            log: Rc::clone(log),
            fail_in_block: None,
            fail_at_the_end: false,
        };
        (0..count).map(fake).collect()
    }

    #[test]
    fn every_block_runs_every_contender_once_and_records_the_order() {
        let log = Rc::default();
        let (round, _) = run(fakes(&log, 3), &shape(), 11);
        let round = round.unwrap();
        assert_eq!(round.blocks.len(), 4);
        let ran: Vec<String> = log.borrow().iter().filter(|entry| !entry.starts_with("start")).cloned().collect();
        let recorded: Vec<String> = round
            .blocks
            .iter()
            .enumerate()
            .flat_map(|(index, block)| block.order.iter().map(move |name| format!("{} {name}", index + 1)))
            .collect();
        assert_eq!(ran, recorded);
        for block in &round.blocks {
            let mut order = block.order.clone();
            order.sort_unstable();
            assert_eq!(order, ["c0", "c1", "c2"]);
        }
    }

    #[test]
    fn order_is_a_function_of_the_seed_and_gives_nobody_a_place() {
        let order = |seed| {
            let log = Rc::default();
            let (round, _) = run(fakes(&log, 3), &shape(), seed);
            let starts: Vec<String> = log.borrow().iter().filter(|entry| entry.starts_with("start")).cloned().collect();
            (starts, round.unwrap().blocks.into_iter().map(|block| block.order).collect::<Vec<_>>())
        };
        assert_eq!(order(5), order(5));
        let mut first_of_block = BTreeMap::new();
        let mut first_started = BTreeMap::new();
        for seed in 0..300 {
            let (starts, blocks) = order(seed);
            *first_started.entry(starts[0].clone()).or_insert(0) += 1;
            for block in blocks {
                *first_of_block.entry(block[0].clone()).or_insert(0) += 1;
            }
        }
        // 100 and 400 expected each; these limits are five standard deviations away.
        assert!(first_started.values().all(|&count| (60..=140).contains(&count)), "{first_started:?}");
        assert!(first_of_block.values().all(|&count| (320..=480).contains(&count)), "{first_of_block:?}");
    }

    #[test]
    fn iterations_are_calibrated_per_contender_to_the_blocks_length() {
        let log = Rc::default();
        let (_, lanes) = run(fakes(&log, 2), &shape(), 1);
        assert_eq!((lanes["c0"].iters, lanes["c1"].iters), (5000, 2500));
    }

    #[test]
    fn a_contender_that_breaks_is_marked_and_the_rest_goes_on() {
        let log = Rc::default();
        let mut contenders = fakes(&log, 3);
        contenders[1].fail_in_block = Some(2);
        let (round, lanes) = run(contenders, &shape(), 3);
        let round = round.unwrap();
        assert_eq!(lanes["c1"].out, Some((Status::Failed, "broke".to_owned())));
        assert_eq!(round.blocks.iter().map(|block| block.done.len()).collect::<Vec<_>>(), [3, 2, 2, 2]);
    }

    #[test]
    fn what_shows_at_a_rounds_end_marks_the_contender_too() {
        let log = Rc::default();
        let mut contenders = fakes(&log, 2);
        contenders[1].fail_at_the_end = true;
        let (_, lanes) = run(contenders, &shape(), 3);
        assert_eq!(lanes["c1"].out, Some((Status::Failed, "was restless".to_owned())));
        assert_eq!(lanes["c0"].out, None);
    }

    #[test]
    fn different_checksums_stop_the_comparison_and_name_both() {
        let log = Rc::default();
        let mut contenders = fakes(&log, 2);
        contenders[1].checksum = "00000000000000bb";
        let (round, _) = run(contenders, &shape(), 3);
        let Err(Stop::Disagree(why)) = round else { panic!("{round:?}") };
        assert!(why.contains("c0") && why.contains("c1") && why.contains("00000000000000bb"), "{why}");
    }

    #[test]
    fn an_iteration_beyond_the_limit_leaves_the_contender_out_with_the_reason() {
        let log = Rc::default();
        let mut contenders = fakes(&log, 2);
        contenders[1].ns = 700_000_000;
        let limited = Shape { iteration_limit: Some(Duration::from_millis(100)), ..shape() };
        let (_, lanes) = run(contenders, &limited, 3);
        let (status, why) = lanes["c1"].out.clone().unwrap();
        assert_eq!(status, Status::Unsupported);
        assert!(why.contains("0.70 s") && why.contains("--full"), "{why}");
    }

    #[test]
    fn sizes_get_a_fresh_child_each() {
        let log = Rc::default();
        let sizes = Shape { sizes: vec![10, 20, 30], steady: false, blocks: 1, ..shape() };
        let (round, _) = run(fakes(&log, 2), &sizes, 3);
        assert_eq!(round.unwrap().blocks.len(), 3);
        assert_eq!(log.borrow().iter().filter(|entry| entry.starts_with("start")).count(), 6);
    }
}
