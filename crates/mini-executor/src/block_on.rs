//! Waiting for a future on the thread that calls.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::thread::token;

/// Polls `future` on this thread until it has its result, and sleeps in between.
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
    let _entered = Entered::enter();
    let sleeper =
        Arc::new(Sleeper { owner: token(), thread: std::thread::current(), is_woken: AtomicBool::new(false) });
    let waker = Waker::from(sleeper.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        while !sleeper.is_woken.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    }
}

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

struct Entered;

impl Entered {
    #[track_caller]
    fn enter() -> Self {
        assert!(
            !ENTERED.replace(true),
            "block_on inside block_on: the thread would sleep, and every other task on it would wait. \
             Await the future instead, or call block_on on another thread"
        );
        Self
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.set(false);
    }
}

/// A thread in `block_on`.
struct Sleeper {
    owner: u32,
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Itself it need not rouse.
        if self.owner == token() {
            self.is_woken.store(true, Ordering::Relaxed);
        } else if !self.is_woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}
