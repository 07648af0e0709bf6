//! A session runs plans: first every comparison to its first look, then, while the budget lasts, whichever is least decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use crate::analysis;
use crate::claim::{Claim, judge_all};
use crate::entrants::entrants;
use crate::host::Interrupt;
use crate::machine::Machine;
use crate::plan::{Effort, Plan};
use crate::report::{Comparison, ContenderResult, Kind, Report, SCHEMA, Status, Verdict};
use crate::rng::SplitMix64;
use crate::round::{Entrant, Lane, SameWork, Shape, Stop, run_round};

/// Runs of a behaviour workload; all must agree.
const BEHAVIOUR_RUNS: u32 = 3;
/// What it adds to a comparison's doubt that a claim hangs on it.
const CLAIMED: f64 = 4.0;
/// Rounds of a memory workload: its figure is a slope over sizes and hardly varies, so as few as an interval takes.
const MEMORY_ROUNDS: u32 = 6;

/// What the observer is shown, between rounds and never while something is timed.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The comparison that just had a round.
    pub comparison: &'a Comparison,
    /// Workload and placement.
    pub title: &'a str,
    /// Its valid rounds so far.
    pub rounds: u32,
    /// The rounds of its next look.
    pub target: u32,
    /// Comparisons that had their first look.
    pub looked_at: usize,
    /// Comparisons in all.
    pub comparisons: usize,
    /// Time spent measuring so far.
    pub measured: Duration,
    /// The time there is, if there is a limit.
    pub budget: Option<Duration>,
    /// About how long it will still take, when that can be said.
    pub left: Option<Duration>,
}

/// A run of several comparisons.
pub struct Session {
    plans: Vec<Plan>,
    effort: Effort,
    interrupt: Interrupt,
    states: Vec<State>,
    report: Report,
    before: Duration,
    /// Which comparisons claims are about.
    claimed: BTreeSet<usize>,
    /// Which contenders of which comparisons an undecided claim hangs on.
    wanted: BTreeSet<(usize, String)>,
}

/// What is known of a comparison beyond its report.
struct State {
    lanes: BTreeMap<String, Lane>,
    same: SameWork,
    /// Nothing more can come of it.
    over: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("plans", &self.plans.len())
            .field("effort", &self.effort.name)
            .finish_non_exhaustive()
    }
}

/// Why a report can't be gone on with.
#[derive(Debug, thiserror::Error)]
#[error("can't go on with that report: {0}")]
pub struct ResumeError(String);

impl Session {
    /// A session that has measured nothing yet. `command` is what a person types to run it again.
    pub fn new(plans: Vec<Plan>, effort: Effort, seed: u64, command: String, interrupt: Interrupt) -> Self {
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let comparisons: Vec<Comparison> = plans.iter().map(|plan| empty(plan, &effort)).collect();
        let report = Report {
            schema: SCHEMA.to_owned(),
            partial: true,
            seed,
            effort: effort.name.clone(),
            began_unix: began.as_secs(),
            measured_s: 0.0,
            command,
            machine: Machine::read(),
            noise: analysis::noise(&[]),
            comparisons,
            claims: Vec::new(),
        };
        let states = plans.iter().map(State::new).collect();
        Self {
            plans,
            effort,
            interrupt,
            states,
            report,
            before: Duration::ZERO,
            claimed: BTreeSet::new(),
            wanted: BTreeSet::new(),
        }
    }

    /// Goes on with the rounds of `old`, which has to come from the same machine, seed, effort and plans.
    ///
    /// # Errors
    /// With what is not the same.
    pub fn resume(mut self, old: Report) -> Result<Self, ResumeError> {
        let refuse = |what: &str, was: &str, is: &str| Err(ResumeError(format!("{what} was {was}, now it is {is}")));
        if !old.partial {
            return Err(ResumeError("it is complete; --compare says what has changed since".to_owned()));
        }
        if old.effort != self.report.effort {
            return refuse("the effort", &old.effort, &self.report.effort);
        }
        if old.seed != self.report.seed {
            return refuse("the seed", &old.seed.to_string(), &self.report.seed.to_string());
        }
        let mut machine = old.machine.clone();
        machine.hardware_counters_missing = None;
        if machine != self.report.machine {
            return refuse(
                "the machine",
                &machine.line(),
                &format!("{} (or its settings differ)", self.report.machine.line()),
            );
        }
        for (index, plan) in self.plans.iter().enumerate() {
            let Some(comparison) = old.comparison(&plan.workload, plan.placement) else {
                return Err(ResumeError(format!("it does not have {}", plan.title())));
            };
            if (comparison.params != plan.params) || comparison.reference != plan.reference {
                return Err(ResumeError(format!("{} had other parameters or another reference", plan.title())));
            }
            let names: Vec<&str> = comparison.contenders.iter().map(|row| row.name.as_str()).collect();
            if names != plan.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>() {
                return Err(ResumeError(format!("{} had other contenders", plan.title())));
            }
            self.states[index] = State::resumed(plan, comparison);
        }
        if old.comparisons.len() != self.plans.len() {
            return Err(ResumeError("it has comparisons that are not asked for now".to_owned()));
        }
        self.before = Duration::try_from_secs_f64(old.measured_s)
            .map_err(|error| ResumeError(format!("it claims to have measured for {} s: {error}", old.measured_s)))?;
        self.report.began_unix = old.began_unix;
        self.report.measured_s = old.measured_s;
        self.report.machine = old.machine;
        self.report.comparisons = old.comparisons;
        analysis::analyse_all(&mut self.report);
        for index in 0..self.plans.len() {
            if self.valid_rounds(index) >= self.first_target(index) {
                self.settle(index);
            }
        }
        Ok(self)
    }

    /// Measures until everything is decided, the budget is spent, or a person interrupts. The report is marked partial in
    /// the last case alone.
    pub fn run(mut self, claims: &[Claim], observe: &mut dyn FnMut(&Progress<'_>)) -> Report {
        let begin = Instant::now();
        let mut interrupted = false;
        let legs = || claims.iter().flat_map(|claim| &claim.legs);
        self.claimed =
            (0..self.plans.len()).filter(|&index| legs().any(|leg| leg.is_about(&self.plans[index]))).collect();
        while let Some((index, target)) = self.next(self.before + begin.elapsed()) {
            let ran = self.run_to_look(index, target, begin, observe);
            analysis::analyse(&mut self.report.comparisons[index]);
            self.settle(index);
            self.want(claims);
            self.report.noise = analysis::noise(&self.report.comparisons);
            if let Err(Stop::Interrupted) = ran {
                interrupted = true;
                break;
            }
        }
        self.report.measured_s = (self.before + begin.elapsed()).as_secs_f64();
        self.report.partial = interrupted;
        for (comparison, state) in self.report.comparisons.iter_mut().zip(&self.states) {
            state.write_rows(comparison);
            let unmeasured = comparison.rounds.is_empty() && comparison.error.is_none();
            comparison.note = match (unmeasured, interrupted) {
                (true, true) => Some("not measured: interrupted before its turn".to_owned()),
                (true, false) => Some("not measured: the time was up before its turn".to_owned()),
                (false, _) => None,
            };
            analysis::analyse(comparison);
        }
        self.report.noise = analysis::noise(&self.report.comparisons);
        self.report.claims = judge_all(claims, &self.report);
        self.report
    }

    /// Which comparison to go on with, and to how many valid rounds; `None` when there is nothing to do or no time to do it in.
    fn next(&self, spent: Duration) -> Option<(usize, u32)> {
        if self.effort.budget.is_some_and(|budget| spent >= budget) {
            return None;
        }
        let open = || (0..self.plans.len()).filter(|&index| !self.states[index].over);
        // Should time run out before all were looked at, it is variants of what takes long that are missing, and nothing that is claimed.
        let cheapest_first =
            |index: &usize| (self.plans[*index].kind == Kind::Event, !self.claimed.contains(index), *index);
        let not_looked_at = open().filter(|&index| self.valid_rounds(index) < self.first_target(index));
        if let Some(index) = not_looked_at.min_by_key(cheapest_first) {
            return Some((index, self.first_target(index)));
        }
        let candidate = |index: usize| {
            let target = (self.plans[index].kind == Kind::Rate)
                .then(|| self.effort.looks.next_after(self.valid_rounds(index)))
                .flatten()?;
            let claimed = self.wanted.iter().any(|(of, _)| *of == index);
            let doubt = doubt(&self.report.comparisons[index], &self.states[index]);
            // What people say and ask about comes before what merely is not told apart.
            let doubt = if claimed { doubt.unwrap_or(0.0) + CLAIMED } else { doubt? };
            Some((index, target, doubt))
        };
        let most = open().filter_map(candidate).max_by(|left, right| left.2.total_cmp(&right.2))?;
        Some((most.0, most.1))
    }

    fn valid_rounds(&self, index: usize) -> u32 {
        self.report.comparisons[index].valid_rounds().count() as u32
    }

    fn first_target(&self, index: usize) -> u32 {
        match self.plans[index].kind {
            Kind::Rate => self.effort.looks.next_after(0).unwrap_or(1),
            Kind::Event => self.effort.trials,
            Kind::Behaviour => BEHAVIOUR_RUNS,
            Kind::Memory => MEMORY_ROUNDS,
        }
    }

    /// Runs rounds until `target` of them count. The budget is looked at between looks only: one that has begun is finished.
    fn run_to_look(
        &mut self,
        index: usize,
        target: u32,
        begin: Instant,
        observe: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<(), Stop> {
        let plan = &self.plans[index];
        let title = plan.title();
        let shape = self.shape(plan);
        let mut entrants: Vec<Box<dyn Entrant>> =
            entrants(plan, self.report.seed, &self.effort, &self.interrupt, &self.report.machine.allowed);
        // Void rounds are made up for, but not without end: on a machine that is never quiet the rest says so.
        let mut allowance = target + 4;
        while self.valid_rounds(index) < target {
            let number = self.report.comparisons[index].rounds.len() as u32 + 1;
            let mut rng = SplitMix64::new(order_seed(self.report.seed, &title, number));
            let state = &mut self.states[index];
            let ran = run_round(number, &mut entrants, &mut state.lanes, &mut state.same, &shape, &mut rng);
            let mut round = match ran {
                Ok(round) => round,
                Err(Stop::Disagree(why)) => {
                    let comparison = &mut self.report.comparisons[index];
                    comparison.error = Some(why.clone());
                    state.over = true;
                    state.write_rows(comparison);
                    return Err(Stop::Disagree(why));
                }
                Err(Stop::Interrupted) => return Err(Stop::Interrupted),
            };
            for done in round.blocks.iter_mut().flat_map(|block| block.done.values_mut()) {
                // The same in every block of a machine: kept once, beside the machine.
                if let Some(reason) = done.usage.hardware_missing.take() {
                    self.report.machine.hardware_counters_missing = Some(reason);
                }
            }
            let is_void = round.void.is_some();
            let comparison = &mut self.report.comparisons[index];
            comparison.rounds.push(round);
            state.write_rows(comparison);
            self.observe(index, &title, target, begin, observe);
            if self.states[index].stuck(&self.plans[index]) {
                self.states[index].over = true;
                break;
            }
            if is_void {
                allowance -= 1;
                if allowance == 0 {
                    self.states[index].over = true;
                    break;
                }
            }
            if self.interrupt.is_set() {
                return Err(Stop::Interrupted);
            }
        }
        Ok(())
    }

    fn observe(&self, index: usize, title: &str, target: u32, begin: Instant, observe: &mut dyn FnMut(&Progress<'_>)) {
        let measured = self.before + begin.elapsed();
        let looked_at =
            (0..self.plans.len()).filter(|&other| self.valid_rounds(other) >= self.first_target(other)).count();
        let left_by_budget = self.effort.budget.map(|budget| budget.saturating_sub(measured));
        observe(&Progress {
            comparison: &self.report.comparisons[index],
            title,
            rounds: self.valid_rounds(index),
            target,
            looked_at,
            comparisons: self.plans.len(),
            measured,
            budget: self.effort.budget,
            left: left_by_budget,
        });
    }

    fn shape(&self, plan: &Plan) -> Shape {
        let steady = plan.kind == Kind::Rate;
        Shape {
            block: self.effort.block,
            blocks: if steady { self.effort.blocks } else { 1 },
            steady,
            sizes: plan.sizes.clone(),
            iteration_limit: if steady { self.effort.iteration_limit } else { None },
            watch: self.effort.watch,
        }
    }

    /// Which comparisons have to go on for the claims' sake: asked once all had their first look.
    fn want(&mut self, claims: &[Claim]) {
        let unseen = (0..self.plans.len())
            .any(|index| !self.states[index].over && self.valid_rounds(index) < self.first_target(index));
        if unseen {
            return;
        }
        self.wanted.clear();
        let results = judge_all(claims, &self.report);
        let open = claims.iter().zip(&results).filter(|(_, result)| result.verdict == Verdict::Inconclusive);
        for leg in open.flat_map(|(claim, _)| &claim.legs) {
            if let Some(index) = self.plans.iter().position(|plan| leg.is_about(plan)) {
                let names = std::iter::once(&leg.contender).chain(&leg.versus);
                self.wanted.extend(names.map(|name| (index, name.clone())));
            }
        }
        (0..self.plans.len()).for_each(|index| self.settle(index));
    }

    /// After a look: who is decided need not run on, and runs that have to agree are held to it.
    fn settle(&mut self, index: usize) {
        let (comparison, state) = (&mut self.report.comparisons[index], &mut self.states[index]);
        if comparison.kind == Kind::Behaviour {
            disagreement(comparison, &mut state.lanes);
            state.write_rows(comparison);
        }
        if comparison.kind != Kind::Rate {
            return;
        }
        for row in &comparison.contenders {
            // Whoever the headline hangs on runs on, be its ratio to the reference as clear as it may.
            let in_headline = comparison.headline.as_ref().is_some_and(|headline| {
                !headline.open.is_empty() && (headline.leader == row.name || headline.open.contains(&row.name))
            });
            let decided = row.ratio.get(&comparison.metric).is_some_and(|ratio| ratio.decided);
            if let Some(lane) = state.lanes.get_mut(&row.name) {
                lane.decided = decided && !in_headline && !self.wanted.contains(&(index, row.name.clone()));
            }
        }
    }
}

/// How much a comparison would gain from more rounds: the contenders not decided, and how far they are from it. `None` when all
/// is decided, the headline too.
fn doubt(comparison: &Comparison, state: &State) -> Option<f64> {
    let open = comparison
        .contenders
        .iter()
        .filter(|row| row.name != comparison.reference && state.lanes.get(&row.name).is_some_and(Lane::active));
    let doubts: Vec<f64> = open
        .filter_map(|row| row.ratio.get(&comparison.metric))
        .filter(|ratio| !ratio.decided)
        .map(|ratio| {
            // A ratio that the last look could not decide is worth less time than one that it could.
            let needed = f64::from(ratio.needs_rounds.unwrap_or(u32::MAX).max(1));
            1.0 + 8.0 / needed
        })
        .collect();
    let headline_open = comparison.headline.as_ref().is_some_and(|headline| !headline.open.is_empty());
    if doubts.is_empty() && !headline_open {
        return None;
    }
    Some(doubts.iter().sum::<f64>() + f64::from(u8::from(headline_open)))
}

/// The runs of a behaviour workload have to agree, contender by contender.
fn disagreement(comparison: &Comparison, lanes: &mut BTreeMap<String, Lane>) {
    for (name, lane) in lanes {
        let of_contender =
            comparison.valid_rounds().flat_map(|round| &round.blocks).filter_map(|block| block.done.get(name));
        let values: Vec<_> = of_contender.map(|done| &done.values).collect();
        if let Some(other) = values.iter().find(|value| **value != values[0]) {
            let reason = format!("its runs don't agree: {:?}, then {other:?}", values[0]);
            lane.out = Some((Status::Failed, reason));
        }
    }
}

impl State {
    fn new(plan: &Plan) -> Self {
        let mut names: Vec<String> = plan.entries.iter().map(|entry| entry.name.clone()).collect();
        names.extend(plan.with_twin.then(|| plan.twin()));
        let lanes = names.into_iter().map(|name| (name, Lane::default())).collect();
        Self { lanes, same: SameWork::default(), over: false }
    }

    /// What the rounds of a report tell of the lanes.
    fn resumed(plan: &Plan, comparison: &Comparison) -> Self {
        let mut state = Self::new(plan);
        state.over = comparison.error.is_some();
        let blocks = comparison.rounds.iter().flat_map(|round| &round.blocks);
        for (name, done) in blocks.flat_map(|block| &block.done) {
            if let Some(lane) = state.lanes.get_mut(name) {
                lane.iters = done.iters;
            }
            let size = (!plan.sizes.is_empty()).then_some(done.ops);
            let _ = state.same.check(size, name, done);
        }
        for row in &comparison.contenders {
            let Some(lane) = state.lanes.get_mut(&row.name) else { continue };
            lane.version.clone_from(&row.version);
            lane.tags.clone_from(&row.tags);
            if row.status == Status::Ok {
                let sizes = plan.sizes.iter().copied();
                lane.limit = row.reason.clone().and_then(|why| Some((sizes.max()?, why)));
            }
            lane.out = (row.status != Status::Ok).then(|| (row.status, row.reason.clone().unwrap_or_default()));
        }
        state
    }

    /// Whether there is nothing left to compare: no contender is in.
    fn stuck(&self, plan: &Plan) -> bool {
        self.lanes.iter().all(|(name, lane)| lane.out.is_some() || *name == plan.twin())
    }

    fn write_rows(&self, comparison: &mut Comparison) {
        for row in &mut comparison.contenders {
            let lane = &self.lanes[&row.name];
            row.version.clone_from(&lane.version);
            row.tags.clone_from(&lane.tags);
            row.iters = lane.iters;
            (row.status, row.reason) = match &lane.out {
                Some((status, reason)) => (*status, Some(reason.clone())),
                None => (Status::Ok, lane.limit.as_ref().map(|(_, why)| why.clone())),
            };
        }
    }
}

fn empty(plan: &Plan, effort: &Effort) -> Comparison {
    Comparison {
        workload: plan.workload.clone(),
        summary: plan.summary.clone(),
        topic: plan.topic.clone(),
        kind: plan.kind,
        params: plan.params.clone(),
        placement: plan.placement,
        operation: plan.operation.clone(),
        metric: plan.metric.clone(),
        reference: plan.reference.clone(),
        margin: plan.margin,
        looks: (plan.kind == Kind::Rate).then(|| effort.looks.clone()),
        error: None,
        between_round_share: None,
        twin: None,
        headline: None,
        note: None,
        contenders: plan.entries.iter().map(|entry| ContenderResult::unmeasured(&entry.name)).collect(),
        rounds: Vec::new(),
    }
}

/// The seed of one round's orders: from the session's, so that a resumed session goes on as the whole one would have.
fn order_seed(seed: u64, title: &str, round: u32) -> u64 {
    // FNV-1a spreads the title over 64 bits (Fowler, Noll, Vo).
    let hash = title
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    SplitMix64::new(seed ^ hash ^ u64::from(round).rotate_left(32)).next_u64()
}
