//! The future given to `block_on`: ready like a task, but it borrows, and stays on this thread.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::trace::{Who, YIELDS};
use crate::watchdog;

/// See the module.
pub(super) struct Root<'a, F> {
    future: Pin<&'a mut F>,
    pub(super) who: Arc<Who>,
    waker: Arc<RootWaker>,
}

struct RootWaker {
    is_woken: AtomicBool,
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
    }
}

impl<'a, F: Future> Root<'a, F> {
    pub(super) fn new(future: Pin<&'a mut F>, caller: &'static Location<'static>) -> Self {
        let who = Arc::new(Who { number: 0, is_inner: false, name: None, spawned: caller });
        Self { future, who, waker: Arc::new(RootWaker { is_woken: AtomicBool::new(true) }) }
    }

    pub(super) fn poll(&mut self) -> std::thread::Result<Poll<F::Output>> {
        let waker = Waker::from(self.waker.clone());
        let mut context = Context::from_waker(&waker);
        let poll = watchdog::Entry::begin_poll();
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(&mut context)));
        poll.end();
        polled
    }

    /// Whether it was woken since this was last asked.
    pub(super) fn take_wake(&self) -> bool {
        self.waker.is_woken.swap(false, Ordering::Relaxed)
    }

    /// What a poll came to that gave no result.
    pub(super) fn outcome(&self) -> &'static str {
        if self.waker.is_woken.load(Ordering::Relaxed) { YIELDS } else { "waits" }
    }
}
