//! The floor: the least that the work itself costs, by hand.
//!
//! For tasks it is an executor for one thread: one allocation a task, a queue, counts that are not atomic. It reaches nobody
//! else's thread, has no reactor and catches no panic, so no runtime can come down to it. A yardstick, no proposal.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use super::{Runtime, one};
use crate::capability::Tasks;
use crate::kits::floor::FloorKit;
use crate::workloads::{OnFloor, offer};

pub(super) const RUNTIME: Runtime =
    Runtime { name: "floor", version: "by hand", tags: &["no_timers"], threads: one, offer: offer::<OnFloor<Floor>> };

thread_local! {
    static QUEUE: RefCell<VecDeque<Rc<dyn Runnable>>> = RefCell::new(VecDeque::with_capacity(1 << 14));
}

/// The executor.
struct Floor;

impl Tasks for Floor {
    type Handle<T: Send + 'static> = Handle<T>;
    type Kit = FloorKit;
    const NO_BLOCKING: Option<&'static str> = Some("it has one thread");

    fn start() -> io::Result<Self> {
        Ok(Self)
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        let mut handle = pin!(Self::spawn(root));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            while let Some(task) = QUEUE.with_borrow_mut(VecDeque::pop_front) {
                task.run();
            }
            if let Poll::Ready(value) = handle.as_mut().poll(&mut context) {
                return value;
            }
        }
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Handle<T> {
        let task = Rc::new(Task {
            queued: Cell::new(true),
            joiner: Cell::new(None),
            stage: RefCell::new(Stage::Running(task)),
        });
        QUEUE.with_borrow_mut(|queue| queue.push_back(task.clone()));
        Handle(task)
    }

    async fn yield_now() {
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Holds the thread: there is nobody else to run.
    async fn sleep(time: Duration) {
        std::thread::sleep(time);
    }

    fn detach<T: Send + 'static>(handle: Handle<T>) {
        drop(handle);
    }

    async fn cancel<T: Send + 'static>(handle: Handle<T>) {
        handle.0.cancel();
    }
}

/// A task: its future, then its result.
struct Task<F: Future> {
    /// Whether it stands in the queue, so that two wakes queue it once.
    queued: Cell<bool>,
    joiner: Cell<Option<Waker>>,
    stage: RefCell<Stage<F>>,
}

enum Stage<F: Future> {
    Running(F),
    Done(F::Output),
    Taken,
}

/// What the queue needs of a task, whatever its future.
trait Runnable {
    fn run(self: Rc<Self>);
    fn wake(self: Rc<Self>);
}

impl<F: Future + 'static> Runnable for Task<F> {
    fn run(self: Rc<Self>) {
        self.queued.set(false);
        let waker = waker(self.clone());
        let mut stage = self.stage.borrow_mut();
        let Stage::Running(future) = &mut *stage else { return };
        // SAFETY: the future lies in the task's allocation and never leaves it: it is polled and dropped in place.
        let future = unsafe { Pin::new_unchecked(future) };
        if let Poll::Ready(value) = future.poll(&mut Context::from_waker(&waker)) {
            *stage = Stage::Done(value);
            drop(stage);
            if let Some(joiner) = self.joiner.take() {
                joiner.wake();
            }
        }
    }

    fn wake(self: Rc<Self>) {
        if !self.queued.replace(true) {
            QUEUE.with_borrow_mut(|queue| queue.push_back(self));
        }
    }
}

/// What a handle needs of a task, whatever its future.
trait Joinable<T> {
    fn poll_join(&self, waker: &Waker) -> Poll<T>;
    fn cancel(&self);
}

impl<F: Future> Joinable<F::Output> for Task<F> {
    fn poll_join(&self, waker: &Waker) -> Poll<F::Output> {
        let mut stage = self.stage.borrow_mut();
        if let Stage::Running(_) = *stage {
            self.joiner.set(Some(waker.clone()));
            return Poll::Pending;
        }
        match std::mem::replace(&mut *stage, Stage::Taken) {
            Stage::Done(value) => Poll::Ready(value),
            _ => unreachable!("a handle is not polled after its result was taken"),
        }
    }

    fn cancel(&self) {
        // A pinned future may be dropped in place; replacing it does that.
        *self.stage.borrow_mut() = Stage::Taken;
    }
}

/// Awaits a task.
struct Handle<T>(Rc<dyn Joinable<T>>);

// SAFETY: the floor's process makes no thread while tasks exist, so nothing is ever sent. The bound is there because tasks
// of other runtimes are.
unsafe impl<T> Send for Handle<T> {}

impl<T> Future for Handle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.0.poll_join(context.waker())
    }
}

/// A waker over a counted pointer whose count is not atomic.
fn waker<F: Future + 'static>(task: Rc<Task<F>>) -> Waker {
    let raw = RawWaker::new(Rc::into_raw(task).cast(), &const { vtable::<F>() });
    // SAFETY: the vtable keeps RawWaker's contract on one thread, and no waker leaves it: the floor's process has one thread
    // while tasks exist.
    unsafe { Waker::from_raw(raw) }
}

const fn vtable<F: Future + 'static>() -> RawWakerVTable {
    /// The task behind a waker's pointer, with the count that the waker holds.
    ///
    /// # Safety
    /// `data` comes from `Rc::into_raw` of a `Task<F>` and the count is given up by the caller.
    unsafe fn owned<F: Future>(data: *const ()) -> Rc<Task<F>> {
        // SAFETY: as the caller promises.
        unsafe { Rc::from_raw(data.cast()) }
    }
    unsafe fn clone<F: Future + 'static>(data: *const ()) -> RawWaker {
        // SAFETY: `data` is the pointer of a living waker, which keeps its own count.
        unsafe { Rc::increment_strong_count(data.cast::<Task<F>>()) };
        RawWaker::new(data, &const { vtable::<F>() })
    }
    unsafe fn wake<F: Future + 'static>(data: *const ()) {
        // SAFETY: waking by value gives the waker's count up.
        unsafe { owned::<F>(data) }.wake();
    }
    unsafe fn wake_by_ref<F: Future + 'static>(data: *const ()) {
        // SAFETY: the count stays with the waker; the one made here goes to the queue or ends.
        unsafe { Rc::increment_strong_count(data.cast::<Task<F>>()) };
        // SAFETY: the count just made.
        unsafe { owned::<F>(data) }.wake();
    }
    unsafe fn drop_waker<F: Future>(data: *const ()) {
        // SAFETY: dropping gives the waker's count up.
        drop(unsafe { owned::<F>(data) });
    }
    RawWakerVTable::new(clone::<F>, wake::<F>, wake_by_ref::<F>, drop_waker::<F>)
}
