//! Contenders that are processes: set up afresh, pinned or free, round after round. Those that serve are loaded meanwhile.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::host::{Child, ChildError, Interrupt, Launch, Limits, Stamps, server_address};
use crate::load::{Client, Served};
use crate::placement::starting_on;
use crate::plan::{Effort, Plan};
use crate::protocol::{Done, Params, Prepare, Refusal, Run};
use crate::rest::Rests;
use crate::round::{Entered, Entrant, Station};

/// How many requests tell what a server can do, and how many come before, for the first are slow.
const BURST: u64 = 4_000;
const FIRST_BURST: u64 = 1_000;

/// A contender that is a process.
struct ProcessEntrant {
    name: String,
    launch: Launch,
    cpus: Vec<usize>,
    /// The CPUs it may not use: the load generator's.
    others: Vec<usize>,
    limits: Limits,
    interrupt: Interrupt,
    request: Prepare,
    rests: Rests,
}

/// A child of this round.
struct ProcessStation<'a> {
    child: Child,
    /// If it serves.
    load: Option<Load>,
    rests: &'a mut Rests,
}

impl ProcessStation<'_> {
    fn end_rest(&mut self) -> Result<(), ChildError> {
        if let Some((lasted, used)) = self.child.end_rest() {
            self.rests.add(lasted, used);
        }
        self.rests.judge()
    }
}

impl Station for ProcessStation<'_> {
    fn run(&mut self, request: Run) -> Result<(Done, Stamps), ChildError> {
        self.end_rest()?;
        let ran = match &mut self.load {
            None => self.child.run(request)?,
            Some(load) => load.run(&mut self.child, request)?,
        };
        self.child.begin_rest();
        Ok(ran)
    }

    fn leave(mut self: Box<Self>) -> Result<(), ChildError> {
        let rested = self.end_rest();
        // The connections go first: a server that is told to end has nobody left to answer.
        drop(self.load);
        self.child.end();
        rested
    }
}

impl Entrant for ProcessEntrant {
    fn name(&self) -> &str {
        &self.name
    }

    fn enter(&mut self, size: Option<u64>) -> Result<Entered<'_>, ChildError> {
        let mut child = Child::start(&self.launch, &self.cpus, self.limits, &self.interrupt)?;
        let mut request = self.request.clone();
        if let Some(size) = size {
            request.params.0.insert("n".to_owned(), size.into());
        }
        let ready = child.prepare(&request)?;
        let (hello, startup) = (child.hello().clone(), child.startup());
        let load = ready.listen.map(|address| self.connect(&address, &request)).transpose()?;
        child.begin_rest();
        let station = Box::new(ProcessStation { child, load, rests: &mut self.rests });
        Ok(Entered { station, hello: Some(hello), startup })
    }
}

impl ProcessEntrant {
    /// Connects to a child that serves.
    fn connect(&self, address: &str, request: &Prepare) -> Result<Load, ChildError> {
        if self.others.is_empty() {
            let why = "the client that loads a server needs a core of its own, and there is no second one";
            return Err(Refusal::unsupported(why).into());
        }
        let address = server_address(address)?;
        let connections = request.params.integer("connections", 1..=1_000_000)? as usize;
        let per_iteration = request.params.integer("n", 1..=1 << 40)?;
        let connections = NonZeroUsize::new(connections).unwrap_or(NonZeroUsize::MIN);
        let client = on(&self.others, || Ok(Client::connect(address, connections, &self.interrupt)?))?;
        let mut load = Load {
            client,
            cpus: self.others.clone(),
            per_iteration,
            seed: request.seed,
            limit: self.limits.block,
            pace: None,
        };
        load.pace = load.pace_of(&request.params)?;
        Ok(load)
    }
}

/// The client that loads a child that serves.
struct Load {
    client: Client,
    /// Where the client runs.
    cpus: Vec<usize>,
    per_iteration: u64,
    seed: u64,
    limit: Duration,
    /// Requests a second on a schedule; without one, as many as the answers allow.
    pace: Option<NonZeroU64>,
}

impl Load {
    /// At which rate requests are to come: a given one, or a share of what this server can do, which is found out first.
    fn pace_of(&mut self, params: &Params) -> Result<Option<NonZeroU64>, ChildError> {
        if params.0.contains_key("rate_per_s") {
            return Ok(NonZeroU64::new(params.integer("rate_per_s", 1..=100_000_000)?));
        }
        if !params.0.contains_key("capacity_permille") {
            return Ok(None);
        }
        let share = params.integer("capacity_permille", 1..=2_000)?;
        let (cpus, seed, limit, client) = (&self.cpus, self.seed, self.limit, &mut self.client);
        let mut burst = |requests| on(cpus, || client.capacity(requests, seed, limit).map_err(ChildError::from));
        burst(FIRST_BURST)?;
        let rate = burst(BURST)? * share as f64 / 1_000.0;
        Ok(Some(NonZeroU64::new(rate as u64).unwrap_or(NonZeroU64::MIN)))
    }

    fn run(&mut self, child: &mut Child, request: Run) -> Result<(Done, Stamps), ChildError> {
        let requests = request.iters * self.per_iteration;
        let (seed, limit, pace, cpus, client) = (self.seed, self.limit, self.pace, &self.cpus, &mut self.client);
        let load = || {
            on(cpus, || {
                let served = match pace {
                    None => client.closed(requests, seed, limit),
                    Some(rate) => client.open(requests, rate, seed, limit),
                };
                served.map_err(ChildError::from)
            })
        };
        let (mut done, stamps, served) = child.run_loaded(request, load)?;
        fill(&mut done, &served, pace);
        Ok((done, stamps))
    }
}

/// The client's stamps are the block's: the server's clock runs while it waits for the first request, too.
fn fill(done: &mut Done, served: &Served, pace: Option<NonZeroU64>) {
    (done.t0_ns, done.t1_ns) = (served.begin_ns, served.end_ns);
    done.latency = Some(served.latency.pairs());
    let late = served.lateness.quantile(0.99).filter(|_| pace.is_some());
    // On the log scale there is no 0; the clock's grain is 1 ns.
    let figures = [("window_p99_ns", served.window_p99_ns), ("client_late_p99_ns", late)];
    done.values.extend(figures.into_iter().filter_map(|(name, ns)| Some((name.to_owned(), ns?.max(1) as f64))));
    if let Some(pace) = pace {
        done.values.insert("requests_per_s".to_owned(), pace.get() as f64);
    }
}

/// Runs this thread's part on `cpus`.
fn on<T>(cpus: &[usize], work: impl FnOnce() -> Result<T, ChildError>) -> Result<T, ChildError> {
    starting_on(cpus, work).map_err(ChildError::Start)?
}

/// A plan's contenders, and its reference once more.
pub(crate) fn entrants(
    plan: &Plan,
    seed: u64,
    effort: &Effort,
    interrupt: &Interrupt,
    allowed: &[usize],
) -> Vec<Box<dyn Entrant>> {
    let reference = plan.entries.iter().find(|entry| entry.name == plan.reference);
    let twin = reference.filter(|_| plan.with_twin).map(|entry| (plan.twin(), entry));
    let all = plan.entries.iter().map(|entry| (entry.name.clone(), entry)).chain(twin);
    all.map(|(name, entry)| {
        let Params(mut params) = plan.params.clone();
        params.extend(entry.params.iter().map(|(key, value)| (key.clone(), (*value).into())));
        let request = Prepare { workload: plan.workload.clone(), params: Params(params), seed };
        let cpus = plan.placement.cpus(allowed);
        let entrant = ProcessEntrant {
            name,
            launch: entry.launch.clone(),
            others: allowed.iter().copied().filter(|cpu| !cpus.contains(cpu)).collect(),
            cpus,
            limits: effort.limits,
            interrupt: interrupt.clone(),
            request,
            rests: Rests::default(),
        };
        Box::new(entrant) as Box<dyn Entrant>
    })
    .collect()
}
