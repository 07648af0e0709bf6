//! Random sequences of everything that one thread can do with either executor, beside a model that says what has to come of it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Once};
use std::task::{Context, Poll, Waker};

use mini_executor::{Executor, FallibleTask, LocalExecutor, Task, set_unhandled_hook};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a task does when it is polled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Yield,
    /// Leaves a waker, and waits.
    Wait,
    /// Drops its own handle, if that is still there, and waits.
    DropOwnHandle,
    Panic,
}

#[derive(Debug, Clone)]
enum Act {
    Spawn(Vec<Step>),
    Tick,
    Wake(usize),
    CloneWaker(usize),
    DropWaker(usize),
    Poll(usize),
    Cancel(usize),
    DropHandle(usize),
    Detach(usize),
    DropExecutor,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let step = prop_oneof![4 => Just(Step::Yield), 4 => Just(Step::Wait), 1 => Just(Step::DropOwnHandle), 1 => Just(Step::Panic)];
    let which = 0..30_usize;
    vec(
        prop_oneof![
            6 => vec(step, 0..4).prop_map(Act::Spawn),
            12 => Just(Act::Tick),
            6 => which.clone().prop_map(Act::Wake),
            2 => which.clone().prop_map(Act::CloneWaker),
            2 => which.clone().prop_map(Act::DropWaker),
            4 => which.clone().prop_map(Act::Poll),
            2 => which.clone().prop_map(Act::Cancel),
            2 => which.clone().prop_map(Act::DropHandle),
            2 => which.prop_map(Act::Detach),
            1 => Just(Act::DropExecutor),
        ],
        0..80,
    )
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Output,
    Panic,
    Stopped,
}

/// A task as the model sees it.
struct Modelled {
    steps: VecDeque<Step>,
    is_queued: bool,
    is_closed: bool,
    end: Option<End>,
    /// Its executor's number.
    executor: usize,
    has_handle: bool,
    polls: u32,
    outputs_dropped: u32,
}

/// What the real task leaves behind.
#[derive(Default)]
struct Observed {
    polls: AtomicU32,
    futures_dropped: AtomicU32,
    outputs_dropped: AtomicU32,
    wakers: Mutex<Vec<Waker>>,
    handle: Mutex<Option<Handle>>,
}

enum Handle {
    Task(Task<Output>),
    Cancelled(Pin<Box<dyn Future<Output = Option<Output>> + Send>>),
    Fallible(FallibleTask<Output>),
}

struct Output(Arc<Observed>);

impl Drop for Output {
    fn drop(&mut self) {
        self.0.outputs_dropped.fetch_add(1, Relaxed);
    }
}

struct FutureGuard(Arc<Observed>);

impl Drop for FutureGuard {
    fn drop(&mut self) {
        self.0.futures_dropped.fetch_add(1, Relaxed);
    }
}

struct OnPurpose;

thread_local! {
    static UNHANDLED: Cell<u32> = const { Cell::new(0) };
}

fn future(steps: Vec<Step>, observed: Arc<Observed>) -> impl Future<Output = Output> + Send {
    let guard = FutureGuard(observed);
    let mut steps = VecDeque::from(steps);
    poll_fn(move |context| {
        let observed = &guard.0;
        observed.polls.fetch_add(1, Relaxed);
        match steps.pop_front() {
            None => return Poll::Ready(Output(observed.clone())),
            Some(Step::Panic) => panic_any(OnPurpose),
            Some(Step::Yield) => context.waker().wake_by_ref(),
            Some(Step::Wait) => observed.wakers.lock().unwrap().push(context.waker().clone()),
            Some(Step::DropOwnHandle) => {
                let handle = observed.handle.lock().unwrap().take();
                drop(handle);
            }
        }
        Poll::Pending
    })
}

#[derive(Default)]
struct Model {
    tasks: Vec<Modelled>,
    queue: VecDeque<usize>,
    executor: usize,
    unhandled: u32,
}

impl Model {
    fn wake(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        if task.end.is_none() && !task.is_queued {
            task.is_queued = true;
            if task.executor == self.executor {
                self.queue.push_back(at);
            }
        }
    }

    fn close(&mut self, at: usize) {
        if self.tasks[at].end.is_none() {
            self.tasks[at].is_closed = true;
            self.wake(at);
        }
    }

    fn leave(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        task.has_handle = false;
        match task.end {
            Some(End::Output) => task.outputs_dropped += 1,
            Some(End::Panic) => self.unhandled += 1,
            _ => {}
        }
    }

    fn tick(&mut self) -> bool {
        let Some(at) = self.queue.pop_front() else { return false };
        let task = &mut self.tasks[at];
        task.is_queued = false;
        if task.is_closed {
            task.end = Some(End::Stopped);
            return true;
        }
        task.polls += 1;
        match task.steps.pop_front() {
            None => task.end = Some(End::Output),
            Some(Step::Panic) => task.end = Some(End::Panic),
            Some(Step::Yield) => self.wake(at),
            Some(Step::Wait) => {}
            Some(Step::DropOwnHandle) => {
                if task.has_handle {
                    task.has_handle = false;
                    // Noticed right after the poll.
                    task.end = Some(End::Stopped);
                }
            }
        }
        let task = &mut self.tasks[at];
        if !task.has_handle {
            match task.end {
                Some(End::Output) => task.outputs_dropped += 1,
                Some(End::Panic) => self.unhandled += 1,
                _ => {}
            }
        }
        true
    }
}

/// What both executors have.
trait Kind {
    fn new() -> Self;
    fn spawn(&self, future: impl Future<Output = Output> + Send + 'static) -> Task<Output>;
    fn try_tick(&self) -> bool;
    fn is_empty(&self) -> bool;
}

macro_rules! kind {
    ($executor:ty) => {
        impl Kind for $executor {
            fn new() -> Self {
                Self::new()
            }

            fn spawn(&self, future: impl Future<Output = Output> + Send + 'static) -> Task<Output> {
                self.spawn(future)
            }

            fn try_tick(&self) -> bool {
                self.try_tick()
            }

            fn is_empty(&self) -> bool {
                self.is_empty()
            }
        }
    };
}

kind!(LocalExecutor<'static>);
kind!(Executor<'static>);

// One act after the other: in pieces it would not be easier to follow.
#[expect(clippy::too_many_lines)]
fn check<K: Kind>(acts: Vec<Act>) {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        set_unhandled_hook(|_| UNHANDLED.set(UNHANDLED.get() + 1));
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_ours = info.payload().is::<OnPurpose>()
                || info.payload_as_str().is_some_and(|text| text.contains("no result"));
            if !is_ours {
                loud(info);
            }
        }));
    });
    UNHANDLED.set(0);
    let mut model = Model::default();
    let mut seen: Vec<Arc<Observed>> = Vec::new();
    let mut executor = K::new();
    for act in acts {
        let about = |which: usize, model: &Model| (!model.tasks.is_empty()).then(|| which % model.tasks.len());
        match act {
            Act::Spawn(steps) => {
                let observed = Arc::<Observed>::default();
                let task = executor.spawn(future(steps.clone(), observed.clone()));
                *observed.handle.lock().unwrap() = Some(Handle::Task(task));
                seen.push(observed);
                model.tasks.push(Modelled {
                    steps: steps.into(),
                    is_queued: false,
                    is_closed: false,
                    end: None,
                    executor: model.executor,
                    has_handle: true,
                    polls: 0,
                    outputs_dropped: 0,
                });
                model.wake(model.tasks.len() - 1);
            }
            Act::Tick => assert_eq!(executor.try_tick(), model.tick()),
            Act::Wake(which) => {
                if let Some(at) = about(which, &model)
                    && let Some(waker) = seen[at].wakers.lock().unwrap().first()
                {
                    waker.wake_by_ref();
                    model.wake(at);
                }
            }
            Act::CloneWaker(which) => {
                if let Some(at) = about(which, &model) {
                    let copy = seen[at].wakers.lock().unwrap().first().cloned();
                    seen[at].wakers.lock().unwrap().extend(copy);
                }
            }
            Act::DropWaker(which) => {
                if let Some(at) = about(which, &model) {
                    drop(seen[at].wakers.lock().unwrap().pop());
                }
            }
            Act::Poll(which) => {
                let Some(at) = about(which, &model) else { continue };
                let Some(mut handle) = seen[at].handle.lock().unwrap().take() else { continue };
                let mut context = Context::from_waker(Waker::noop());
                let polled = catch_unwind(AssertUnwindSafe(|| match &mut handle {
                    Handle::Task(task) => Pin::new(task).poll(&mut context).map(Some),
                    Handle::Fallible(task) => Pin::new(task).poll(&mut context),
                    Handle::Cancelled(cancelled) => cancelled.as_mut().poll(&mut context),
                }));
                let is_plain = matches!(handle, Handle::Task(_));
                let end = match polled {
                    Ok(Poll::Pending) => None,
                    Ok(Poll::Ready(Some(_output))) => Some(End::Output),
                    Ok(Poll::Ready(None)) => Some(End::Stopped),
                    Err(panic) if panic.is::<OnPurpose>() => Some(End::Panic),
                    Err(_) => Some(End::Stopped).filter(|_| is_plain),
                };
                assert_eq!(end, model.tasks[at].end);
                match end {
                    None => *seen[at].handle.lock().unwrap() = Some(handle),
                    Some(end) => {
                        model.tasks[at].has_handle = false;
                        model.tasks[at].outputs_dropped += u32::from(end == End::Output);
                    }
                }
            }
            Act::Cancel(which) => {
                let Some(at) = about(which, &model) else { continue };
                let Some(handle) = seen[at].handle.lock().unwrap().take() else { continue };
                let handle = match handle {
                    Handle::Task(task) if which % 2 == 0 => {
                        let mut cancelled: Pin<Box<dyn Future<Output = Option<Output>> + Send>> =
                            Box::pin(task.cancel());
                        if model.tasks[at].end.is_none() {
                            assert!(cancelled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                            model.close(at);
                        }
                        Handle::Cancelled(cancelled)
                    }
                    Handle::Task(task) => Handle::Fallible(task.fallible()),
                    other => other,
                };
                *seen[at].handle.lock().unwrap() = Some(handle);
            }
            Act::DropHandle(which) => {
                let Some(at) = about(which, &model) else { continue };
                let Some(handle) = seen[at].handle.lock().unwrap().take() else { continue };
                drop(handle);
                model.close(at);
                model.leave(at);
            }
            Act::Detach(which) => {
                let Some(at) = about(which, &model) else { continue };
                let Some(handle) = seen[at].handle.lock().unwrap().take() else { continue };
                match handle {
                    Handle::Task(task) => task.detach(),
                    Handle::Fallible(task) => task.detach(),
                    Handle::Cancelled(cancelled) => {
                        drop(cancelled);
                        model.close(at);
                    }
                }
                model.leave(at);
            }
            Act::DropExecutor => {
                executor = K::new();
                for task in model.tasks.iter_mut().filter(|task| task.executor == model.executor) {
                    task.end = task.end.or(Some(End::Stopped));
                }
                model.queue.clear();
                model.executor += 1;
            }
        }
        let is_empty = model.tasks.iter().all(|task| task.end.is_some());
        assert_eq!(executor.is_empty(), is_empty);
        assert_eq!(UNHANDLED.get(), model.unhandled);
        for (task, observed) in model.tasks.iter().zip(&seen) {
            assert_eq!(observed.polls.load(Relaxed), task.polls);
            assert_eq!(observed.futures_dropped.load(Relaxed), u32::from(task.end.is_some()));
            assert_eq!(observed.outputs_dropped.load(Relaxed), task.outputs_dropped);
            let handle = observed.handle.lock().unwrap();
            assert_eq!(handle.is_some(), task.has_handle);
            if let Some(Handle::Task(task_handle)) = &*handle {
                assert_eq!(task_handle.is_finished(), task.end.is_some());
            }
        }
    }
    drop(executor);
    for (task, observed) in model.tasks.iter().zip(&seen) {
        assert_eq!(observed.futures_dropped.load(Relaxed), 1);
        drop(observed.handle.lock().unwrap().take());
        drop(std::mem::take(&mut *observed.wakers.lock().unwrap()));
        let ended = u32::from(task.end == Some(End::Output));
        assert_eq!(observed.outputs_dropped.load(Relaxed), ended);
        assert_eq!(Arc::strong_count(observed), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_local_executor_does_what_its_model_does(acts in acts()) {
        check::<LocalExecutor<'static>>(acts);
    }

    #[test]
    fn an_executor_does_what_its_model_does(acts in acts()) {
        check::<Executor<'static>>(acts);
    }
}
