//! Waiting for a future on the thread that calls.

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::driver::Driver;
use crate::sleeper::Sleeper;
use crate::watchdog;

/// This thread's own, be it that it is not in use.
pub(crate) fn own_driver() -> Option<Arc<Driver>> {
    DRIVER.try_with(Clone::clone).ok()
}

thread_local! {
    /// This thread's timers and descriptors. Kept from one call to the next: making an epoll instance takes system calls.
    static DRIVER: Arc<Driver> = Arc::new(Driver::new());
    static IS_ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// Polls `future` on this thread until it has its result. In between it serves the timers and descriptors that are awaited on this
/// thread, and sleeps.
///
/// # Panics
/// When it is called inside another `block_on` on the same thread: inside a task, for instance. The thread would sleep, and every
/// other task on it would wait. Await the future there instead, or hand the call to another thread.
///
/// ```
/// assert_eq!(mini_executor::block_on(async { 6 * 7 }), 42);
/// ```
#[track_caller]
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    block_on_with(Sleeper::new(DRIVER.with(Clone::clone)), future)
}

/// The same, with a driver that other threads may share.
#[track_caller]
pub(crate) fn block_on_with<T>(sleeper: Sleeper, future: impl Future<Output = T>) -> T {
    let _entered = Entered::enter(sleeper.driver().clone());
    let sleeper = Arc::new(sleeper);
    let waker = Waker::from(sleeper.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let _watched = watchdog::Entry::new(Location::caller());
    loop {
        let poll = watchdog::Entry::begin_poll();
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        poll.end();
        sleeper.rest();
    }
}

/// The thread is in `block_on`.
pub(crate) struct Entered(Arc<Driver>);

impl Entered {
    #[track_caller]
    pub(crate) fn enter(driver: Arc<Driver>) -> Self {
        assert!(
            !IS_ENTERED.replace(true),
            "block_on inside block_on: the thread would sleep, and every other task on it would wait. \
             Await the future instead, or call block_on on another thread"
        );
        if let Some(steward) = driver.steward() {
            steward.rises();
        }
        Driver::enter(Some(driver.clone()));
        Self(driver)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        Driver::enter(None);
        if let Some(steward) = self.0.steward() {
            steward.rests();
        }
        IS_ENTERED.set(false);
    }
}
