//! Letting others run.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::awaits;

/// Lets every other task that is ready have a turn before this one goes on: it goes to the end of the run queue, and behind those that
/// timers and sockets wake at the next opportunity.
///
/// ```
/// use mini_executor::{LocalExecutor, block_on, yield_now};
/// use std::cell::RefCell;
///
/// let order = RefCell::new(Vec::new());
/// let executor = LocalExecutor::new();
/// let first = executor.spawn(async {
///     order.borrow_mut().push("first");
///     yield_now().await;
///     order.borrow_mut().push("first again");
/// });
/// let second = executor.spawn(async { order.borrow_mut().push("second") });
/// block_on(executor.run(async { (first.await, second.await) }));
/// assert_eq!(*order.borrow(), ["first", "second", "first again"]);
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { has_yielded: false }
}

/// What [`yield_now`] gives.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct YieldNow {
    has_yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[track_caller]
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.has_yielded {
            return Poll::Ready(());
        }
        self.has_yielded = true;
        awaits::here();
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
