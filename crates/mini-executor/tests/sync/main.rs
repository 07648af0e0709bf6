//! What channels, locks, permits and notifications promise.
// With loom there is `sync_loom`.
#![cfg(not(loom))]

mod channels;
mod locks;
mod model;
mod threads;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled by hand, and counts how often it was woken.
struct Polled<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn by_hand<F: Future>(future: F) -> Polled<F> {
    Polled { future: Box::pin(future), wakes: Arc::default() }
}

impl<F: Future> Polled<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_pending(&mut self) -> bool {
        self.poll().is_pending()
    }

    fn wakes(&self) -> u32 {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts how often it is dropped.
#[derive(Debug)]
struct Dropped<'a>(&'a Cell<u32>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Wakes by calling a function: one that uses what it is woken by, for example.
struct Calling<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calling<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

/// A waker that calls a function when it is dropped.
struct CallingWhenDropped<F: Fn()>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for CallingWhenDropped<F> {
    fn wake(self: Arc<Self>) {}
}

impl<F: Fn()> Drop for CallingWhenDropped<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Lets a future that waits drop wakers in every way there is: replaced by another's, by being cancelled, by having been called.
/// `touch` uses what it waits for, and `call` ends its wait.
fn drop_wakers_of<F: Future + Unpin>(
    make: impl Fn() -> F,
    touch: impl Fn() + Send + Sync + Copy + 'static,
    call: impl FnOnce(),
) {
    let drops = Arc::new(AtomicU32::new(0));
    let waker = || {
        let drops = drops.clone();
        Waker::from(Arc::new(CallingWhenDropped(move || {
            drops.fetch_add(1, Ordering::Relaxed);
            touch();
        })))
    };
    let poll = |future: &mut F, waker: &Waker| Pin::new(future).poll(&mut Context::from_waker(waker)).is_pending();
    let mut future = make();
    for round in 0..3 {
        assert!(poll(&mut future, &waker()));
        assert_eq!(drops.load(Ordering::Relaxed), round);
    }
    drop(future);
    assert_eq!(drops.load(Ordering::Relaxed), 3);
    let mut future = make();
    assert!(poll(&mut future, &waker()));
    call();
    assert_eq!(drops.load(Ordering::Relaxed), 4);
}

#[test]
fn wakers_are_dropped_without_a_lock() {
    use mini_executor::sync::{Notify, Semaphore, mpsc};
    use std::sync::{LazyLock, Mutex};

    type Ends = (mpsc::Sender<u32>, Mutex<mpsc::Receiver<u32>>);

    static SEMAPHORE: Semaphore = Semaphore::new(1);
    static NOTIFY: Notify = Notify::new();
    static CHANNEL: LazyLock<Ends> = LazyLock::new(|| {
        let (sender, receiver) = mpsc::bounded(1);
        sender.try_send(0).unwrap();
        (sender, Mutex::new(receiver))
    });

    let permit = SEMAPHORE.try_acquire();
    let touch = || assert!(poll_once(&mut SEMAPHORE.acquire()).is_pending());
    drop_wakers_of(|| SEMAPHORE.acquire(), touch, || drop(permit));

    let touch = || assert!(poll_once(&mut NOTIFY.notified()).is_pending());
    drop_wakers_of(|| NOTIFY.notified(), touch, || NOTIFY.notify_one());

    let take = || assert!(CHANNEL.1.lock().unwrap().try_recv().is_ok());
    drop_wakers_of(|| CHANNEL.0.send(1), || assert!(CHANNEL.0.try_send(2).is_err()), take);
}

fn is_shared_by_threads<T: Send + Sync>() {}

#[test]
fn everything_may_go_to_other_threads() {
    use mini_executor::sync::{self, mpsc, oneshot};
    is_shared_by_threads::<mpsc::Sender<Cell<u8>>>();
    is_shared_by_threads::<mpsc::Receiver<u8>>();
    is_shared_by_threads::<mpsc::Sending<'_, u8>>();
    is_shared_by_threads::<oneshot::Sender<Cell<u8>>>();
    is_shared_by_threads::<oneshot::Receiver<Cell<u8>>>();
    is_shared_by_threads::<sync::Mutex<Cell<u8>>>();
    is_shared_by_threads::<sync::MutexGuard<'_, u8>>();
    is_shared_by_threads::<sync::Locking<'_, u8>>();
    is_shared_by_threads::<sync::Permit<'_>>();
    is_shared_by_threads::<sync::Acquiring<'_>>();
    is_shared_by_threads::<sync::Notified<'_>>();
}
