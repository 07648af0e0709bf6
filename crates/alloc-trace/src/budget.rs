//! How much a piece of work may allocate.

use std::fmt;
use std::panic::Location;

use crate::future::Budgeted;
use crate::measure::require_installed;
use crate::process::Watch;
use crate::scope::{Scope, Tally};
use crate::sites::{SiteUse, Sites};
use crate::stats::Stats;

/// How much a call or a future may allocate: in tests, mostly.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);
/// use alloc_trace::Budget;
///
/// let mut numbers = Vec::with_capacity(10);
/// Budget::new().max_allocs(0).check(|| numbers.push(1));
///
/// let exceeded = Budget::new().max_bytes(100).try_check(|| numbers.reserve_exact(1000)).unwrap_err();
/// assert_eq!((exceeded.stats.allocations, exceeded.stats.bytes), (1, 1001 * 4));
/// println!("{exceeded}"); // says which lines allocated
/// ```
///
/// What counts is what the thread allocates in the call, and what is carried elsewhere by [`Handle::current`](crate::Handle::current): a budget is
/// a [`Scope`]. Other threads, and other tests beside this one, have no part in it.
///
/// The functions that allocated are found while the budget is watched: the first 10,000 allocations take some microseconds more each (feature
/// `sites`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a budget does nothing until something is checked"]
pub struct Budget {
    max_allocs: Option<u64>,
    max_bytes: Option<u64>,
    max_peak: Option<u64>,
    whole_process: bool,
}

impl Budget {
    /// A budget without limits.
    pub const fn new() -> Self {
        Self { max_allocs: None, max_bytes: None, max_peak: None, whole_process: false }
    }

    /// At most so many allocations ([`Stats::allocations`]), reallocations included.
    pub const fn max_allocs(mut self, allocations: u64) -> Self {
        self.max_allocs = Some(allocations);
        self
    }

    /// At most so many bytes in all allocations together ([`Stats::bytes`]).
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// At most so many bytes more in use at any time than at the beginning ([`Stats::peak`]).
    pub const fn max_peak(mut self, bytes: u64) -> Self {
        self.max_peak = Some(bytes);
        self
    }

    /// For all threads of the process, as [`measure_process`](crate::measure_process) does: what they do meanwhile counts, too. For test
    /// programs with a single test. Not for futures: between its polls others run.
    pub const fn whole_process(mut self) -> Self {
        self.whole_process = true;
        self
    }

    /// Calls, and says what was allocated.
    ///
    /// # Panics
    /// If it was more than the budget: the message has the figures, and the lines that allocated. If the call does; its panic is the one that
    /// is reported. If no [`Tracked`](crate::Tracked) is installed.
    #[track_caller]
    pub fn check<R>(self, work: impl FnOnce() -> R) -> R {
        match self.try_check(work) {
            Ok((result, _)) => result,
            Err(exceeded) => panic!("{exceeded}"),
        }
    }

    /// The same, for those who don't want to panic.
    ///
    /// # Errors
    /// If it was more than the budget; what the call returned is dropped.
    ///
    /// # Panics
    /// If the call does, or if no [`Tracked`](crate::Tracked) is installed.
    #[track_caller]
    pub fn try_check<R>(self, work: impl FnOnce() -> R) -> Result<(R, Stats), Box<Exceeded>> {
        let scope = self.scope();
        let result = if self.whole_process {
            let _watch = Watch::begin(scope.tally().clone());
            work()
        } else {
            scope.enter(work)
        };
        self.judge(&scope, Location::caller()).map(|stats| (result, stats))
    }

    /// A future under this budget: over all its polls, on whatever threads. It is judged when it is ready.
    ///
    /// # Panics
    /// If no [`Tracked`](crate::Tracked) is installed, or if the budget is for the whole process. The future does as
    /// [`check`](Self::check) does.
    #[track_caller]
    pub fn wrap<F: Future>(self, future: F) -> Budgeted<F> {
        assert!(
            !self.whole_process,
            "a budget for the whole process is for calls, not for futures: between its polls others run"
        );
        let scope = self.scope();
        Budgeted::new(future, scope, self, Location::caller())
    }

    #[track_caller]
    fn scope(self) -> Scope {
        require_installed();
        let tally = if self.whole_process { Tally::part_of(None) } else { Tally::new() };
        Scope::of(tally.with_sites(Sites::new()))
    }

    pub(crate) fn judge(self, scope: &Scope, place: &'static Location<'static>) -> Result<Stats, Box<Exceeded>> {
        let stats = scope.stats();
        let above = |limit: Option<u64>, found| limit.is_some_and(|limit| found > limit);
        if above(self.max_allocs, stats.allocations)
            || above(self.max_bytes, stats.bytes)
            || above(self.max_peak, stats.peak)
        {
            let sites = scope.tally().sites().map(Sites::uses).unwrap_or_default();
            return Err(Box::new(Exceeded { budget: self, stats, place, sites }));
        }
        Ok(stats)
    }
}

/// More was allocated than the budget has. Its text says how much, how much there was to be, and which lines allocated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exceeded {
    /// What was to be.
    pub budget: Budget,
    /// What was allocated.
    pub stats: Stats,
    /// Where the budget was set.
    pub place: &'static Location<'static>,
    /// Who allocated, the most frequent first. Empty without feature `sites`.
    pub sites: Vec<SiteUse>,
}

impl std::error::Error for Exceeded {}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget, stats, place, sites } = self;
        writeln!(f, "more was allocated than the budget at {place} has")?;
        let lines = [
            ("allocations", budget.max_allocs, stats.allocations),
            ("bytes", budget.max_bytes, stats.bytes),
            ("bytes at the peak", budget.max_peak, stats.peak),
        ];
        for (what, limit, found) in lines {
            match limit {
                Some(limit) if found > limit => writeln!(f, "  {what}: {found}, at most {limit} allowed")?,
                Some(limit) => writeln!(f, "  {what}: {found}, within {limit}")?,
                None => writeln!(f, "  {what}: {found}")?,
            }
        }
        crate::sites::write_uses(f, sites, stats.allocations)
    }
}

/// Says that a block of code doesn't allocate, and panics if it does: with the lines that did.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);
/// use alloc_trace::assert_no_alloc;
///
/// let mut numbers = Vec::with_capacity(10);
/// assert_no_alloc! {
///     numbers.push(1);
///     numbers.push(2);
/// }
/// let sum = assert_no_alloc!(numbers.iter().sum::<i32>());
/// assert_eq!(sum, 3);
/// ```
///
/// It has the value that the block has. The block is a closure's: `return` and `?` leave it and not the function around. Frees are allowed.
#[macro_export]
macro_rules! assert_no_alloc {
    ($($work:tt)*) => {
        $crate::Budget::new().max_allocs(0).check(|| { $($work)* })
    };
}
