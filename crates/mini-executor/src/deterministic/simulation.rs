//! The loop of a deterministic runtime: collects what is ready, has the schedule pick one, runs it; with nothing ready, the next timer is due.
//!
//! Whoever is ready stands in one queue, in the order in which they were woken: tasks, calls that block, and the future given to
//! `block_on`. That order depends on nothing but what ran before. Addresses, maps and threads, which differ from run to run, have no say in it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use super::root::Root;
use super::schedule::Schedule;
use super::trace::{Trace, Who, YIELDS};
use crate::block_on::Entered;
use crate::blocking::Job;
use crate::clock;
use crate::driver::Driver;
use crate::executor::Executor;
use crate::primitives::{Mutex, MutexGuard, lock};
use crate::task::{Row, Scheduled, Task, Turn};
use crate::unhandled;
use crate::watchdog;

/// What a deterministic runtime has in place of workers.
pub(crate) struct Simulation {
    state: Mutex<State>,
    /// A thread is in [`drive`](Self::drive).
    is_driven: AtomicBool,
    /// Calls that block: each is a task here, of one step.
    calls: Executor<'static>,
}

struct State {
    schedule: Schedule,
    ready: VecDeque<Ready>,
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

struct Ready {
    who: Arc<Who>,
    /// `None` for the future given to `block_on`.
    task: Option<Scheduled>,
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
            tasks: HashMap::new(),
            spawned: 0,
            now: 0,
            current: 0,
            trace: Trace::default(),
        };
        Self { state: Mutex::new(state), is_driven: AtomicBool::new(false), calls: Executor::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
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
        let spawned = job.spawned;
        let task = self.calls.spawn_with(async move { (job.call)() }, (), spawned);
        self.has_spawned(&task);
        task.detach();
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
            simulation.note(Arc::new(who), "is polled");
        }
    }

    /// Whether there are calls that have not begun.
    pub(crate) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
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

    /// Runs everybody until `future` has its result; or `stop`, which is asked after each step, says why not to go on, or nobody can.
    #[track_caller]
    pub(crate) fn drive<T>(
        self: &Arc<Self>,
        executor: &Executor<'static>,
        driver: &Arc<Driver>,
        future: impl Future<Output = T>,
        caller: &'static Location<'static>,
        stop: impl Fn(u64) -> Option<String>,
    ) -> Result<T, String> {
        let _entered = Entered::enter(driver.clone());
        let _driving = Driving::begin(self, executor);
        let _inside = Inside::enter(self);
        let _watched = watchdog::Entry::new(caller);
        let future = pin!(future);
        let mut root = Root::new(future, caller);
        let mut steps = 0;
        loop {
            self.collect(executor, &root);
            let Some(Ready { who, task }) = self.state().pick() else {
                let Some(due) = driver.next_due() else { return Err(self.deadlock(&root.who)) };
                self.wait_until(due);
                driver.serve();
                continue;
            };
            steps += 1;
            self.state().current = who.number;
            let outcome = match task {
                Some(task) => self.run(task, &who),
                None => match root.poll() {
                    Ok(Poll::Ready(result)) => {
                        self.note(who, "ends");
                        return Ok(result);
                    }
                    Ok(Poll::Pending) => root.outcome(),
                    Err(panic) => {
                        self.note(who, "panics");
                        resume_unwind(panic);
                    }
                },
            };
            self.note(who, outcome);
            if let Some(why) = stop(steps) {
                return Err(why);
            }
        }
    }

    /// A task's turn, and what it came to.
    fn run(&self, task: Scheduled, who: &Arc<Who>) -> &'static str {
        let address = task.address();
        unhandled::last_caught();
        let outcome = match task.run() {
            Turn::Waits => return "waits",
            Turn::IsReady => return YIELDS,
            Turn::Ended if unhandled::last_caught() == address => "panics",
            Turn::Ended => "ends",
            Turn::Cancelled => "is cancelled",
        };
        self.state().forget(address, who);
        outcome
    }

    /// Those who have become ready go to the end of the queue.
    fn collect<F: Future>(&self, executor: &Executor<'static>, root: &Root<'_, F>) {
        let mut queued = self.take_queued(executor);
        let mut state = self.state();
        while let Some(task) = queued.pop() {
            let who = match state.tasks.get(&task.address()) {
                Some(who) => who.clone(),
                // Spawned by another thread that has yet to say so: there is no order to keep.
                None => state.number(None, task.spawned()),
            };
            state.ready.push_back(Ready { who, task: Some(task) });
        }
        if root.take_wake() {
            state.ready.push_back(Ready { who: root.who.clone(), task: None });
        }
    }

    fn take_queued(&self, executor: &Executor<'static>) -> Row {
        let mut queued = executor.take_queued();
        queued.append(&mut self.calls.take_queued());
        queued
    }

    fn wait_until(&self, due: u64) {
        let mut state = self.state();
        state.now = state.now.max(due);
        clock::pretend(Some(state.now));
    }

    fn note(&self, who: Arc<Who>, outcome: &'static str) {
        let mut state = self.state();
        let now = Duration::from_nanos(state.now);
        state.trace.push(now, who, outcome);
    }

    /// Nobody is ready, and no timer is armed: who there is.
    fn deadlock(&self, root: &Arc<Who>) -> String {
        let state = self.state();
        let mut waiting: Vec<_> = state.tasks.values().chain([root]).collect();
        waiting.sort_unstable_by_key(|who| who.number);
        let mut told = "a deadlock: nobody is ready, no timer is armed, and these wait:".to_owned();
        for who in waiting {
            // To a string it can't fail.
            let _ = write!(told, "\n  {who}");
        }
        told
    }

    /// Drops the futures that are left: of those who are ready in the order in which they were woken, of the others in that of spawn.
    pub(crate) fn close(self: &Arc<Self>, executor: &Executor<'static>) {
        let _inside = Inside::enter(self);
        loop {
            let mut queued = self.take_queued(executor);
            while let Some(task) = queued.pop() {
                task.close();
            }
            let Some(address) = self.state().take_first() else { break };
            executor.close_at(address);
            self.calls.close_at(address);
        }
        executor.close_all();
        self.calls.close_all();
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
        self.schedule.pick(&mut self.ready, |ready| ready.who.number)
    }

    /// A task is done. Another one may lie where it did.
    fn forget(&mut self, address: usize, who: &Arc<Who>) {
        if self.tasks.get(&address).is_some_and(|other| Arc::ptr_eq(other, who)) {
            self.tasks.remove(&address);
        }
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
            ready.task.into_iter().for_each(|task| row.push(task));
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
