//! The loop of a deterministic runtime: collects what is ready, has the schedule pick one, runs it; with nothing ready, the next timer is due.
//!
//! Whoever is ready stands in one queue, in the order in which they were woken: tasks, calls that block, and the future given to
//! `block_on`. That order depends on nothing but what ran before. Addresses, maps and threads, which differ from run to run, have no say in it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use super::root::Root;
use super::schedule::Schedule;
use super::trace::{Outcome, Trace, Who};
use crate::block_on::Entered;
use crate::blocking::Job;
use crate::clock;
use crate::driver::Driver;
use crate::executor::Executor;
use crate::task::{Row, Scheduled, Task};
use crate::unhandled::{self, Listener};
use crate::watchdog;

/// What a deterministic runtime has in place of workers.
#[derive(Debug)]
pub(crate) struct Simulation {
    state: Mutex<State>,
    /// A thread is in [`drive`](Self::drive).
    is_driven: AtomicBool,
}

struct State {
    schedule: Schedule,
    ready: VecDeque<Ready>,
    /// Calls that came since it was last looked.
    calls: Vec<(Job, Arc<Who>)>,
    /// The tasks that are not done, by their addresses.
    tasks: HashMap<usize, Arc<Who>>,
    /// Tasks and calls so far.
    spawned: u64,
    /// Virtual time, in nanoseconds.
    now: u64,
    /// The number of who has his turn.
    current: u64,
    trace: Trace,
}

enum Ready {
    Root(Arc<Who>),
    Task(Scheduled, Arc<Who>),
    Call(Job, Arc<Who>),
}

impl Ready {
    fn who(&self) -> &Arc<Who> {
        let (Self::Root(who) | Self::Task(_, who) | Self::Call(_, who)) = self;
        who
    }
}

/// When to stop before the future has its result.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits<'a> {
    /// After so many steps.
    pub(crate) steps: Option<u64>,
    /// When this says so.
    pub(crate) is_over: Option<&'a dyn Fn() -> bool>,
}

/// Why it stopped before the future had its result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody is ready, and no timer is armed. Who there is.
    Deadlock(Vec<Arc<Who>>),
    TooManySteps(u64),
    /// A task panicked that nobody joins, while somebody listens for that.
    Unhandled,
    /// As was asked for.
    Over,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock(waiting) => {
                f.write_str("a deadlock: nobody is ready, no timer is armed, and these wait:")?;
                waiting.iter().try_for_each(|who| write!(f, "\n  {who}"))
            }
            Self::TooManySteps(steps) => write!(
                f,
                "no end after {steps} steps: tasks wake themselves or one another for ever (time does not pass while anybody is ready), \
                 or the limit is too low"
            ),
            Self::Unhandled => f.write_str("a task that nobody joins has panicked"),
            Self::Over => f.write_str("over"),
        }
    }
}

thread_local! {
    /// The one that this thread drives.
    static CURRENT: RefCell<Option<Arc<Simulation>>> = const { RefCell::new(None) };
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            schedule: Schedule::new(seed),
            ready: VecDeque::new(),
            calls: Vec::new(),
            tasks: HashMap::new(),
            spawned: 0,
            now: 0,
            current: 0,
            trace: Trace::default(),
        };
        Self { state: Mutex::new(state), is_driven: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    /// A task was spawned.
    pub(crate) fn has_spawned<T>(&self, task: &Task<T>) {
        let mut state = self.state();
        let who = state.number(task.name().map(str::to_owned), task.spawned());
        state.tasks.insert(task.address(), who);
    }

    /// Has a call run as one step.
    pub(crate) fn call(&self, job: Job) {
        let mut state = self.state();
        let who = state.number(None, job.spawned);
        state.calls.push((job, who));
    }

    /// Inside a task that runs tasks of its own: who goes on of those that are ready. The first, or, half as likely, the one behind, and so on;
    /// those that were passed over are put back.
    pub(crate) fn draw<T>(pop: impl Fn() -> Option<T>, put_back: impl Fn(T)) -> Option<T> {
        let mut drawn = pop()?;
        while CURRENT
            .with_borrow(|simulation| simulation.as_ref().is_some_and(|this| this.state().schedule.passes_over()))
            && let Some(next) = pop()
        {
            put_back(drawn);
            drawn = next;
        }
        Some(drawn)
    }

    /// Inside a task that runs tasks of its own: whose turn it is.
    pub(crate) fn is_polled(name: Option<&str>, spawned: &'static Location<'static>) {
        if let Some(simulation) = CURRENT.with_borrow(Clone::clone) {
            let number = simulation.state().current;
            let who = Who { number, is_inner: true, name: name.map(str::to_owned), spawned };
            simulation.note(Arc::new(who), Outcome::IsPolled);
        }
    }

    /// Whether there are calls that have not begun.
    pub(crate) fn has_calls(&self) -> bool {
        let state = self.state();
        !state.calls.is_empty() || state.ready.iter().any(|ready| matches!(ready, Ready::Call(..)))
    }

    /// As [`call`](Self::call), for a call that was given to no runtime, if this thread drives one; else it is given back.
    pub(crate) fn adopt(job: Job) -> Result<(), Job> {
        match CURRENT.with_borrow(Clone::clone) {
            Some(simulation) => {
                simulation.call(job);
                Ok(())
            }
            None => Err(job),
        }
    }

    /// Runs everybody until `future` has its result.
    #[track_caller]
    pub(crate) fn drive<T>(
        self: &Arc<Self>,
        executor: &Executor<'static>,
        driver: &Arc<Driver>,
        future: impl Future<Output = T>,
        caller: &'static Location<'static>,
        limits: Limits<'_>,
    ) -> Result<T, Stop> {
        let _entered = Entered::enter(driver.clone());
        let _driving = Driving::begin(self, executor);
        let _inside = Inside::enter(self);
        let _watched = watchdog::Entry::new(caller);
        let future = pin!(future);
        let mut root = Root::new(future, caller);
        let mut steps = 0;
        loop {
            self.collect(executor, &mut root);
            let Some(next) = self.state().pick() else {
                match driver.next_due() {
                    None => return Err(Stop::Deadlock(self.waiting(&root.who))),
                    Some(due) => self.wait_until(due),
                }
                driver.serve();
                continue;
            };
            if limits.steps == Some(steps) {
                self.state().ready.push_front(next);
                return Err(Stop::TooManySteps(steps));
            }
            steps += 1;
            self.state().current = next.who().number;
            match next {
                Ready::Root(who) => match root.poll() {
                    Ok(Poll::Ready(result)) => {
                        self.note(who, Outcome::Ends);
                        return Ok(result);
                    }
                    Ok(Poll::Pending) => self.note(who, root.outcome()),
                    Err(panic) => {
                        self.note(who, Outcome::Panics);
                        resume_unwind(panic);
                    }
                },
                Ready::Task(task, who) => {
                    let address = task.address();
                    unhandled::last_caught();
                    let mut outcome = task.run().into();
                    if outcome == Outcome::Ends && unhandled::last_caught() == address {
                        outcome = Outcome::Panics;
                    }
                    if !matches!(outcome, Outcome::Waits | Outcome::Yields) {
                        self.state().forget(address, &who);
                    }
                    self.note(who, outcome);
                }
                Ready::Call(job, who) => {
                    (job.call)();
                    self.note(who, Outcome::Ends);
                }
            }
            if Listener::has_heard() {
                return Err(Stop::Unhandled);
            }
            if limits.is_over.is_some_and(|is_over| is_over()) {
                return Err(Stop::Over);
            }
        }
    }

    /// Those who have become ready go to the end of the queue.
    fn collect<F: Future>(&self, executor: &Executor<'static>, root: &mut Root<'_, F>) {
        let mut queued = executor.take_queued();
        let mut state = self.state();
        while let Some(task) = queued.pop() {
            let who = match state.tasks.get(&task.address()) {
                Some(who) => who.clone(),
                // Spawned by another thread that has yet to say so: there is no order to keep.
                None => state.number(None, task.spawned()),
            };
            state.ready.push_back(Ready::Task(task, who));
        }
        let calls = std::mem::take(&mut state.calls);
        state.ready.extend(calls.into_iter().map(|(job, who)| Ready::Call(job, who)));
        if root.take_wake() {
            state.ready.push_back(Ready::Root(root.who.clone()));
        }
    }

    fn wait_until(&self, due: u64) {
        let mut state = self.state();
        state.now = state.now.max(due);
        clock::pretend(Some(state.now));
    }

    fn note(&self, who: Arc<Who>, outcome: Outcome) {
        let mut state = self.state();
        let now = Duration::from_nanos(state.now);
        state.trace.push(now, who, outcome);
    }

    /// Everybody who is not done.
    fn waiting(&self, root: &Arc<Who>) -> Vec<Arc<Who>> {
        let mut waiting: Vec<_> = self.state().tasks.values().chain([root]).cloned().collect();
        waiting.sort_unstable_by_key(|who| who.number);
        waiting
    }

    /// Drops the futures that are left: of those who are ready in the order in which they were woken, of the others in that of spawn.
    pub(crate) fn close(self: &Arc<Self>, executor: &Executor<'static>) {
        let _inside = Inside::enter(self);
        loop {
            let calls = std::mem::take(&mut self.state().calls);
            drop(calls);
            let mut queued = executor.take_queued();
            while let Some(task) = queued.pop() {
                task.close();
            }
            let Some(address) = self.state().take_first() else { break };
            executor.close_at(address);
        }
        executor.close_all();
    }
}

impl State {
    fn number(&mut self, name: Option<String>, spawned: &'static Location<'static>) -> Arc<Who> {
        self.spawned += 1;
        Arc::new(Who { number: self.spawned, is_inner: false, name, spawned })
    }

    /// Forgets the task that was spawned first of those that are not done.
    fn take_first(&mut self) -> Option<usize> {
        let (address, _) = self.tasks.iter().min_by_key(|(_, who)| who.number)?;
        let address = *address;
        self.tasks.remove(&address);
        Some(address)
    }

    fn pick(&mut self) -> Option<Ready> {
        self.schedule.pick(&mut self.ready, |ready| ready.who().number)
    }

    /// A task is done. Another one may lie where it did.
    fn forget(&mut self, address: usize, who: &Arc<Who>) {
        if self.tasks.get(&address).is_some_and(|other| Arc::ptr_eq(other, who)) {
            self.tasks.remove(&address);
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("schedule", &self.schedule).field("now", &self.now).finish_non_exhaustive()
    }
}

/// A thread runs the tasks. At the end, whatever it comes by, those that are ready go back to where they came from.
struct Driving<'a> {
    simulation: &'a Simulation,
    executor: &'a Executor<'static>,
}

impl<'a> Driving<'a> {
    #[track_caller]
    fn begin(simulation: &'a Simulation, executor: &'a Executor<'static>) -> Self {
        assert!(
            !simulation.is_driven.swap(true, Ordering::Acquire),
            "block_on of a deterministic runtime on two threads at once: no seed decides which of them is faster"
        );
        Self { simulation, executor }
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        let mut row = Row::default();
        let mut state = self.simulation.state();
        for ready in std::mem::take(&mut state.ready) {
            match ready {
                Ready::Task(task, _) => row.push(task),
                Ready::Call(job, who) => state.calls.push((job, who)),
                Ready::Root(_) => {}
            }
        }
        drop(state);
        self.executor.queue(row);
        self.simulation.is_driven.store(false, Ordering::Release);
    }
}

/// On this thread time is virtual, and calls that block are this simulation's.
struct Inside {
    time: Option<u64>,
    simulation: Option<Arc<Simulation>>,
}

impl Inside {
    fn enter(simulation: &Arc<Simulation>) -> Self {
        let time = clock::pretend(Some(simulation.state().now));
        Self { time, simulation: CURRENT.replace(Some(simulation.clone())) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        clock::pretend(self.time);
        CURRENT.set(self.simulation.take());
    }
}
