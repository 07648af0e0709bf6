//! Futures in scopes.

use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::budget::Budget;
use crate::scope::{Handle, Scope};
use crate::stats::Stats;

/// What a future allocates: the sum over its polls, on whatever threads they happen, and over what it drops at its end. What other tasks do
/// between its polls has no part in it.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_trace::Tracked = alloc_trace::Tracked::new(std::alloc::System);
/// # futures::executor::block_on(async {
/// let (length, stats) = alloc_trace::count(async {
///     let buffer = vec![0_u8; 100];
///     std::future::ready(()).await;
///     buffer.len()
/// })
/// .await;
/// assert_eq!((length, stats.allocations, stats.bytes), (100, 1, 100));
/// # });
/// ```
///
/// What the future spawns is a task of its own, and counts if it was wrapped: `spawn(Handle::current().wrap(future))`.
///
/// # Panics
/// If no [`Tracked`](crate::Tracked) is installed.
#[track_caller]
pub fn count<F: Future>(future: F) -> Counted<F> {
    let scope = Scope::new();
    Counted { future: scope.wrap(future), scope }
}

/// A future that says what it has allocated; made by [`count`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Counted<F> {
    future: InScope<F>,
    scope: Scope,
}

impl<F> Counted<F> {
    /// What it has allocated until now.
    pub fn stats(&self) -> Stats {
        self.scope.stats()
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = (F::Output, Stats);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: of what is pinned nothing is moved. It has no `Drop` of its own, and is `Unpin` only if the future is.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the same.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        future.poll(context).map(|output| (output, this.scope.stats()))
    }
}

/// A future under a budget; made by [`Budget::wrap`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Budgeted<F> {
    future: InScope<F>,
    scope: Scope,
    budget: Budget,
    place: &'static Location<'static>,
}

impl<F> Budgeted<F> {
    pub(crate) fn new(future: F, scope: Scope, budget: Budget, place: &'static Location<'static>) -> Self {
        Self { future: scope.wrap(future), scope, budget, place }
    }
}

impl<F: Future> Future for Budgeted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: of what is pinned nothing is moved. It has no `Drop` of its own, and is `Unpin` only if the future is.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the same.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        let Poll::Ready(output) = future.poll(context) else { return Poll::Pending };
        match this.budget.judge(&this.scope, this.place) {
            Ok(_) => Poll::Ready(output),
            Err(exceeded) => panic!("{exceeded}"),
        }
    }
}

/// A future that is polled and dropped in a scope; made by [`Scope::wrap`] and [`Handle::wrap`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct InScope<F> {
    scope: Handle,
    future: ManuallyDrop<F>,
}

impl<F> InScope<F> {
    pub(crate) fn new(scope: Handle, future: F) -> Self {
        Self { scope, future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Future for InScope<F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future stays where it is: it is dropped there, in `drop`, and never moved. `ManuallyDrop` is `Unpin` only if what it
        // holds is.
        let this = unsafe { self.get_unchecked_mut() };
        let _entered = this.scope.entered();
        // SAFETY: the same.
        unsafe { Pin::new_unchecked(&mut *this.future) }.poll(context)
    }
}

impl<F> Drop for InScope<F> {
    fn drop(&mut self) {
        let _entered = self.scope.entered();
        // SAFETY: nobody uses it after this.
        unsafe { ManuallyDrop::drop(&mut self.future) };
    }
}
