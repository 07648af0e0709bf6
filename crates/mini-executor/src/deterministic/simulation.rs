//! The loop of a deterministic runtime: collects what is ready, has the schedule pick one, runs it; with nothing ready, the next timer is due.
//!
//! Whoever is ready stands in one queue. Those who have become ready in a step come behind the others: tasks in the order in which they were
//! woken, then calls that block, then the future given to `block_on`. That order depends on nothing but what ran before. Addresses, maps and threads, which differ from run to run, have no say in it.

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
use crate::births;
use crate::block_on::Entered;
use crate::clock;
use crate::driver::Driver;
use crate::executor::Executor;
use crate::primitives::{Mutex, MutexGuard, lock};
use crate::strangers::ToTheLast;
use crate::task::{Row, Scheduled, Task, Turn};
use crate::unhandled;
use crate::watchdog;

/// What a deterministic runtime has in place of workers.
pub(crate) struct Simulation {
    state: Mutex<State>,
    /// A thread is [`Inside`].
    is_driven: AtomicBool,
    /// Calls that block: each is a task here, of one step.
    calls: Executor<'static>,
}

struct State {
    schedule: Schedule,
    ready: VecDeque<Ready>,
    /// The tasks that were ready once and are not done, by their addresses.
    tasks: HashMap<usize, Arc<Who>>,
    /// Tasks and calls so far.
    spawned: u64,
    /// Virtual time, in nanoseconds, while nobody is inside.
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

    /// The one that this thread drives.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Has a call run as one step.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
        spawned: &'static Location<'static>,
    ) -> Task<T> {
        self.calls.spawn_with(async { call() }, (), spawned)
    }

    /// Drops the calls that have not begun: nobody runs them any more.
    pub(crate) fn close_calls(&self) {
        self.calls.close_all();
    }

    /// Inside a task that runs tasks of its own: who goes on of those that are ready. The first, or, half as likely, the one behind, and so on;
    /// those that were passed over are put back.
    pub(crate) fn draw<T>(pop: impl Fn() -> Option<T>, put_back: impl Fn(T)) -> Option<T> {
        let (mut drawn, mut passed) = (pop()?, 0_u64);
        while CURRENT
            .with_borrow(|simulation| simulation.as_ref().is_some_and(|this| this.state().schedule.passes_over()))
            && let Some(next) = pop()
        {
            put_back(drawn);
            drawn = next;
            passed += 1;
        }
        // Those that were spawned in one place are told apart by nothing else.
        if let Some(this) = Self::current() {
            this.state().trace.mix(passed);
        }
        Some(drawn)
    }

    /// Inside a task that runs tasks of its own: whose turn it is.
    pub(crate) fn is_polled(name: Option<&str>, spawned: &'static Location<'static>) {
        if let Some(simulation) = Self::current() {
            let number = simulation.state().current;
            let who = Who { number, is_inner: true, name: name.map(str::to_owned), spawned };
            simulation.note(Arc::new(who), "is polled");
        }
    }

    /// Whether there are calls that have not begun.
    pub(crate) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
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
        let _inside = Inside::enter(self);
        let _watched = watchdog::Entry::new(caller);
        let future = pin!(future);
        let mut root = Root::new(future, caller);
        let mut steps = 0;
        // Another future, whose end was not waited for, may have been ready.
        self.state().ready.retain(|ready| ready.task.is_some());
        loop {
            self.collect(executor, &root);
            let Some(Ready { who, task }) = self.state().pick() else {
                let Some(due) = driver.next_due() else { return Err(self.deadlock(&root.who)) };
                clock::pretend(Some(due.max(clock::now())));
                driver.serve();
                continue;
            };
            steps += 1;
            births::begin_turn();
            self.state().current = who.number;
            let outcome = match task {
                Some(task) => self.run(task),
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
    fn run(&self, task: Scheduled) -> &'static str {
        let address = task.address();
        unhandled::last_caught();
        let outcome = match task.run() {
            Turn::Waits => return "waits",
            Turn::IsReady => return YIELDS,
            Turn::Ended if unhandled::last_caught() == address => "panics",
            Turn::Ended => "ends",
            Turn::Cancelled => "is cancelled",
        };
        self.state().tasks.remove(&address);
        outcome
    }

    /// Those who have become ready go to the end of the queue.
    fn collect<F: Future>(&self, executor: &Executor<'static>, root: &Root<'_, F>) {
        let mut queued = self.take_queued(executor);
        let mut state = self.state();
        while let Some(task) = queued.pop() {
            let who = state.who(&task);
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

    fn note(&self, who: Arc<Who>, outcome: &'static str) {
        self.state().trace.push(Duration::from_nanos(clock::now()), who, outcome);
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
        let ready = std::mem::take(&mut self.state().ready);
        // Those who await them may be strangers, and panic: the others are closed all the same.
        let mut strangers = ToTheLast::default();
        for task in ready.into_iter().filter_map(|ready| ready.task) {
            strangers.call(|| task.close());
        }
        loop {
            let mut queued = self.take_queued(executor);
            while let Some(task) = queued.pop() {
                strangers.call(|| task.close());
            }
            let Some(address) = self.state().take_first() else { break };
            strangers.call(|| executor.close_at(address));
            strangers.call(|| self.calls.close_at(address));
        }
        strangers.call(|| executor.close_all());
        strangers.call(|| self.calls.close_all());
        strangers.end();
    }
}

impl State {
    /// Whose task it is. New ones are queued as they are spawned, so that is the order of their numbers.
    fn who(&mut self, task: &Scheduled) -> Arc<Who> {
        let new = || {
            self.spawned += 1;
            let name = task.name().map(str::to_owned);
            Arc::new(Who { number: self.spawned, is_inner: false, name, spawned: task.spawned() })
        };
        self.tasks.entry(task.address()).or_insert_with(new).clone()
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
}

/// A thread runs the tasks: its time is virtual, and calls that block are this simulation's.
struct Inside<'a> {
    simulation: &'a Simulation,
    /// What the thread had before.
    former: Option<Arc<Simulation>>,
    time: Option<u64>,
}

impl<'a> Inside<'a> {
    #[track_caller]
    fn enter(simulation: &'a Arc<Simulation>) -> Self {
        assert!(
            !simulation.is_driven.swap(true, Ordering::Acquire),
            "block_on of a deterministic runtime on two threads at once: no seed decides which of them is faster"
        );
        let time = clock::pretend(Some(simulation.state().now));
        Self { simulation, former: CURRENT.replace(Some(simulation.clone())), time }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.simulation.state().now = clock::now();
        clock::pretend(self.time);
        CURRENT.set(self.former.take());
        self.simulation.is_driven.store(false, Ordering::Release);
    }
}
