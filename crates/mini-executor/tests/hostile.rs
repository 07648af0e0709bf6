//! What strangers' code may do where a task calls it: destructors that panic, wakers that panic or run the executor themselves.
//!
//! None of it is polite, all of it is allowed, and nothing may be dropped twice, lost or hang for it.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

use mini_executor::{LocalExecutor, Task, block_on, yield_now};

/// Counts how often it is dropped, and panics each time.
struct Grenade(Arc<AtomicU32>);

impl Drop for Grenade {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("a destructor panics");
    }
}

/// Ends, or panics with something that panics when it is dropped; and panics when it is dropped itself, by its field.
struct Minefield {
    ends: bool,
    /// Dropped with it.
    _future: Grenade,
    output: Arc<AtomicU32>,
}

impl Future for Minefield {
    type Output = Grenade;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Grenade> {
        let grenade = Grenade(self.output.clone());
        if self.ends { Poll::Ready(grenade) } else { panic_any(grenade) }
    }
}

#[test]
fn a_future_and_its_output_that_panic_when_dropped_are_dropped_once() {
    for ends in [true, false] {
        for detached in [true, false] {
            let (future, output) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let executor = LocalExecutor::new();
            let mine = Minefield { ends, _future: Grenade(future.clone()), output: output.clone() };
            let task = executor.spawn(mine);
            let handle = if detached {
                task.detach();
                None
            } else {
                Some(task)
            };
            let _ = catch_unwind(AssertUnwindSafe(|| executor.try_tick()));
            assert!(executor.is_empty(), "the task is done, whatever its destructors threw");
            drop(executor);
            let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
            assert_eq!(future.load(Ordering::Relaxed), 1, "ends: {ends}, detached: {detached}");
            assert_eq!(output.load(Ordering::Relaxed), 1, "ends: {ends}, detached: {detached}");
        }
    }
}

/// A future whose poll panics, and whose destructor throws something whose destructor panics.
struct Thrower(Arc<AtomicU32>);

impl Future for Thrower {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        panic!("the first of three");
    }
}

impl Drop for Thrower {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic_any(Grenade(Arc::default()));
    }
}

#[test]
fn a_panic_while_a_panic_is_dropped_leaves_no_task_half_done() {
    let drops = Arc::new(AtomicU32::new(0));
    let executor = LocalExecutor::new();
    let task = executor.spawn(Thrower(drops.clone()));
    let _ = catch_unwind(AssertUnwindSafe(|| executor.try_tick()));
    assert!(task.is_finished());
    drop(executor);
    let caught = catch_unwind(AssertUnwindSafe(|| block_on(task)));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"the first of three"));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

thread_local! {
    /// What the waker of [`meddling`] does when it is cloned.
    static ON_CLONE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    static METERS: Cell<(i32, u32)> = const { Cell::new((0, 0)) };
}

/// A waker that, when it is cloned, does what it was told, once. Counts itself and its wakes.
fn meddling() -> Waker {
    fn count(alive: i32, woken: u32) {
        let (was_alive, were_woken) = METERS.get();
        METERS.set((was_alive + alive, were_woken + woken));
    }
    unsafe fn clone(data: *const ()) -> RawWaker {
        count(1, 0);
        let told = ON_CLONE.with_borrow_mut(Option::take);
        if let Some(told) = told {
            told();
        }
        RawWaker::new(data, &TABLE)
    }
    unsafe fn wake(_: *const ()) {
        count(-1, 1);
    }
    unsafe fn wake_by_ref(_: *const ()) {
        count(0, 1);
    }
    unsafe fn drop(_: *const ()) {
        count(-1, 0);
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);
    count(1, 0);
    // SAFETY: the table's functions use no data. (They are used on one thread alone.)
    unsafe { Waker::new(std::ptr::null(), &TABLE) }
}

#[test]
fn a_waker_that_runs_the_executor_while_it_is_cloned_by_a_join() {
    let executor = Rc::new(LocalExecutor::new());
    let mut task = pin!(executor.spawn(async { 7 }));
    let first = meddling();
    assert!(task.as_mut().poll(&mut Context::from_waker(&first)).is_pending());
    // A second waker, of the same table, that would not wake the same.
    let second = Waker::from(Arc::new(Nothing));
    assert!(task.as_mut().poll(&mut Context::from_waker(&second)).is_pending());
    // The third join clones its waker, and that runs the task to its end.
    let executing = executor.clone();
    ON_CLONE.set(Some(Box::new(move || assert!(executing.try_tick()))));
    assert_eq!(task.as_mut().poll(&mut Context::from_waker(&first)), Poll::Ready(7));
    drop((first, second));
    assert_eq!(METERS.get().0, 0, "every copy of the waker was dropped, and none twice");
}

struct Nothing;

impl Wake for Nothing {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_runs_the_executor_while_it_is_cloned_by_the_executor() {
    let executor = Rc::new(LocalExecutor::new());
    executor.spawn(yield_now()).detach();
    let waker = meddling();
    let executing = executor.clone();
    ON_CLONE.set(Some(Box::new(move || block_on(executing.tick()))));
    let mut running = Box::pin(executor.run(pending::<()>()));
    assert!(running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(executor.is_empty());
    drop((running, waker));
    assert_eq!(METERS.get().0, 0);
}

#[test]
fn a_waker_that_panics_when_a_join_on_another_thread_clones_it() {
    let executor = LocalExecutor::new();
    let mut task = executor.spawn(async {
        yield_now().await;
        7
    });
    // Polled over there with a waker that cannot be cloned; then it comes back, and is awaited here.
    let mut task = std::thread::spawn(move || {
        ON_CLONE.set(Some(Box::new(|| panic!("no copies"))));
        let waker = meddling();
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut task).poll(&mut Context::from_waker(&waker))));
        assert!(polled.is_err());
        task
    })
    .join()
    .unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    while executor.try_tick() {}
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "who joins is woken");
    assert_eq!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)), Poll::Ready(7));
}

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Panics when it is woken.
struct Moody;

impl Wake for Moody {
    fn wake(self: Arc<Self>) {
        panic!("do not wake me");
    }
}

/// A task that waits for ever, and its waker.
fn waiting<'a>(executor: &LocalExecutor<'a>, guard: impl Sized + 'a) -> (Task<()>, Waker) {
    let (sender, receiver) = mpsc::channel();
    let task = executor.spawn(async move {
        let _guard = guard;
        poll_fn(|context| {
            let _ = sender.send(context.waker().clone());
            Poll::<()>::Pending
        })
        .await;
    });
    while executor.try_tick() {}
    (task, receiver.recv().unwrap())
}

#[test]
fn arrivals_are_not_lost_when_the_runner_panics() {
    let executor = LocalExecutor::new();
    let drops = Arc::new(());
    let (tasks, wakers): (Vec<_>, Vec<_>) = (0..3).map(|_| waiting(&executor, drops.clone())).unzip();
    std::thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
    // Registered without collecting the mail: the future panics first.
    let waker = Waker::from(Arc::new(Moody));
    let mut running = Box::pin(executor.run(poll_fn(|_| -> Poll<()> { panic!("first") })));
    assert!(catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(&mut Context::from_waker(&waker)))).is_err());
    forget(running);
    let _ = catch_unwind(AssertUnwindSafe(|| executor.try_tick()));
    drop(executor);
    assert!(tasks.iter().all(Task::is_finished));
    assert_eq!(Arc::strong_count(&drops), 1);
}

#[test]
fn an_executor_drops_all_futures_though_wakers_panic() {
    let executor = LocalExecutor::new();
    let drops = Arc::new(());
    let (mut tasks, wakers): (Vec<_>, Vec<_>) = (0..4).map(|_| waiting(&executor, drops.clone())).unzip();
    let waker = Waker::from(Arc::new(Moody));
    for task in &mut tasks {
        assert!(Pin::new(task).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(executor))).is_err(), "the panic is not kept secret");
    assert_eq!(Arc::strong_count(&drops), 1);
    assert!(tasks.iter().all(Task::is_finished));
    drop((tasks, wakers));
    // And the next executor finds everything in order.
    let executor = LocalExecutor::new();
    assert_eq!(block_on(executor.run(executor.spawn(async { 1 }))), 1);
}

/// Forgets a future, but where it is: leak checkers are to find what the executor leaks, not what the test does.
fn forget<T>(future: Pin<Box<T>>) {
    static FORGOTTEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    // SAFETY: it is neither moved nor dropped.
    let future = Box::into_raw(unsafe { Pin::into_inner_unchecked(future) });
    FORGOTTEN.lock().unwrap().push(future.expose_provenance());
}

/// Does something when it is dropped.
struct OnDrop(Box<dyn Fn() + Send + Sync>);

impl Wake for OnDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_runner_whose_waker_wakes_tasks_when_it_is_dropped() {
    let executor = LocalExecutor::new();
    let (task, waker) = waiting(&executor, ());
    for _ in 0..2 {
        let waker = waker.clone();
        let runner = Waker::from(Arc::new(OnDrop(Box::new(move || waker.wake_by_ref()))));
        let mut running = Box::pin(executor.run(pending::<()>()));
        assert!(running.as_mut().poll(&mut Context::from_waker(&runner)).is_pending());
        // The executor has the last copy now, and drops it when it is dropped itself, or is given another one.
        drop(runner);
        forget(running);
    }
    drop(executor);
    drop(task);
}

#[test]
fn wakers_that_are_cloned_here_and_dropped_there_and_the_other_way_round() {
    const ROUNDS: u32 = 12;
    const BATCH: u32 = 1 << 19;
    let executor = LocalExecutor::new();
    let (task, waker) = waiting(&executor, ());
    for _ in 0..ROUNDS {
        let wakers: Vec<Waker> = (0..BATCH).map(|_| waker.clone()).collect();
        std::thread::spawn(move || drop(wakers)).join().unwrap();
    }
    let there = waker.clone();
    let (sender, receiver) = mpsc::sync_channel(0);
    let cloning = std::thread::spawn(move || {
        for _ in 0..2 * ROUNDS {
            sender.send((0..BATCH).map(|_| there.clone()).collect::<Vec<Waker>>()).unwrap();
        }
    });
    receiver.into_iter().for_each(drop);
    cloning.join().unwrap();
    drop(waker);
    drop(executor);
    assert!(task.is_finished());
}

#[test]
fn two_who_run_one_executor_from_different_tasks() {
    let inner = LocalExecutor::new();
    let outer = LocalExecutor::new();
    let (task, waker) = waiting(&inner, ());
    // One waits for the task's end; the other comes later, and goes without having run what it was woken for.
    let waits = outer.spawn(inner.run(task));
    while outer.try_tick() {}
    let passes = outer.spawn(inner.run(pending::<()>()));
    while outer.try_tick() {}
    waker.wake_by_ref();
    drop(passes);
    while outer.try_tick() {}
    // Now only the first is left to run the inner executor.
    let (done, task) = (Rc::new(Cell::new(false)), inner.spawn(yield_now()));
    let set = done.clone();
    inner
        .spawn(async move {
            task.await;
            set.set(true);
        })
        .detach();
    while outer.try_tick() {}
    assert!(done.get(), "who is left is woken");
    drop(waits);
}

#[test]
fn tasks_that_a_runner_leaves_behind_are_for_the_others() {
    let inner = LocalExecutor::new();
    let outer = LocalExecutor::new();
    let waits = outer.spawn(inner.run(pending::<()>()));
    while outer.try_tick() {}
    let ran = Rc::new(Cell::new(false));
    // It queues a task while it runs, when nobody has to be woken; and then it ends.
    let set = ran.clone();
    let queues = outer.spawn(inner.run(async {
        inner.spawn(async move { set.set(true) }).detach();
    }));
    while outer.try_tick() {}
    assert!(queues.is_finished() && ran.get());
    drop(waits);
}
