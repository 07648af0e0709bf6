//! Futures, streams and closures with a context of their own.

use std::fmt::{self, Debug};
use std::pin::Pin;
use std::task;

use crate::context::{Context, insert};
pub use crate::raw::InContext;
use crate::var::ContextVar;

/// Gives futures and streams a context of their own: the thread's becomes it for each poll, and is back when the poll ends. So it is
/// while the future is dropped.
///
/// ```
/// use ctxvar::{ContextExt, ContextVar};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// async fn greet(name: &'static str) -> String {
///     USER.set(name); // nobody else sees it, though others run on this thread at every await
///     std::future::ready(()).await;
///     format!("hello {}", USER.get())
/// }
///
/// # futures::executor::block_on(async {
/// let both = futures::future::join(greet("ada").in_context(), greet("grace").in_context());
/// assert_eq!(both.await, ("hello ada".to_string(), "hello grace".to_string()));
/// # });
/// ```
///
/// The branches of one `join!` or `select!` are one task, and so one context, unless each has its own, as above.
pub trait ContextExt: Sized {
    /// As a child of the current context, which is captured now ([`Context::capture`]): for what is spawned.
    fn in_context(self) -> InContext<Self> {
        self.in_context_of(Context::capture())
    }

    /// In that context.
    fn in_context_of(self, context: Context) -> InContext<Self> {
        InContext::new(self, context.into_snapshot())
    }

    /// In an exact copy of the current context, but for this variable: for what is awaited in place, as
    /// [`scope`](ContextVar::scope) is for what is called.
    ///
    /// What is to be spawned needs a child's context, or it takes along what is not to be inherited:
    /// `spawn(future.in_context().with_var(..))`. For of contexts one around the other the innermost counts.
    ///
    /// ```
    /// # use ctxvar::{ContextExt, ContextVar};
    /// # futures::executor::block_on(async {
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// async { assert_eq!(USER.get(), "ada") }.with_var(&USER, "ada").await;
    /// # });
    /// ```
    fn with_var<T: Send + Sync + 'static>(self, variable: &ContextVar<T>, value: T) -> InContext<Self> {
        self.in_context_of(Context::current()).with_var(variable, value)
    }
}

impl<F> ContextExt for F {}

impl<F> InContext<F> {
    /// Sets one more variable in its context.
    pub fn with_var<T: Send + Sync + 'static>(mut self, variable: &ContextVar<T>, value: T) -> Self {
        insert(self.snapshot_mut(), variable, value);
        self
    }

    /// A copy of its context, as it is now.
    pub fn context(&self) -> Context {
        Context::of(self.snapshot().clone())
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    /// Who asks for the place of the `.await` (`Location::caller`) gets it as if we were not there.
    #[inline]
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let (snapshot, future) = self.project();
        let _entered = snapshot.enter();
        future.poll(cx)
    }
}

#[cfg(feature = "stream")]
impl<S: futures_core::Stream> futures_core::Stream for InContext<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Option<S::Item>> {
        let (snapshot, stream) = self.project();
        let _entered = snapshot.enter();
        stream.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner().size_hint()
    }
}

impl<F> Debug for InContext<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InContext").field("context", &self.context()).finish_non_exhaustive()
    }
}

/// A closure that does its work as a child of the current context, whichever thread calls it: for what takes a closure and starts it
/// elsewhere. For a future see [`ContextExt::in_context`].
///
/// ```
/// use ctxvar::{ContextVar, in_context};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let elsewhere = std::thread::spawn(in_context(|| USER.get()));
/// assert_eq!(elsewhere.join().unwrap(), "ada");
/// ```
///
/// What takes an `Fn`, to be called many times over, needs a context for each call:
///
/// ```
/// # use ctxvar::{Context, ContextVar};
/// # static USER: ContextVar<&str> = ContextVar::new("user");
/// # USER.set("ada");
/// let context = Context::capture();
/// let greet = |greeting: &str| context.clone().run(|| format!("{greeting} {}", USER.get()));
/// assert_eq!(greet("hello"), "hello ada");
/// ```
pub fn in_context<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let work = work.in_context();
    move || work.call()
}
