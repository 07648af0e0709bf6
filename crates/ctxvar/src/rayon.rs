//! [rayon](https://docs.rs/rayon)'s ways to spawn and to join, each as children of the current context.
//!
//! A parallel iterator calls one closure many times, on any thread of the pool. It needs a copy of the context for each call, or what one
//! item sets the next one finds:
//!
//! ```
//! use ctxvar::{Context, ContextVar};
//! use rayon::prelude::*;
//!
//! static FACTOR: ContextVar<u64> = ContextVar::new("factor");
//!
//! FACTOR.set(3);
//! let context = Context::capture();
//! let products: Vec<u64> = (1..=4_u64)
//!     .into_par_iter()
//!     .map(|x| context.clone().run(|| x * FACTOR.get()))
//!     .collect();
//! assert_eq!(products, [3, 6, 9, 12]);
//! ```

use ::rayon::ThreadPool;

use crate::context::Context;
use crate::in_context;

/// `rayon::spawn`, as a child of the current context.
pub fn spawn(work: impl FnOnce() + Send + 'static) {
    ::rayon::spawn(in_context(work));
}

/// `rayon::join`, both as children of the current context: they may run at once, so what is not to be inherited is not there.
///
/// ```
/// use ctxvar::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// assert_eq!(ctxvar::rayon::join(|| USER.get(), || USER.get().len()), ("ada", 3));
/// ```
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    ::rayon::join(in_context(a), in_context(b))
}

/// `rayon::ThreadPool::install`, in a copy of the current context: the caller waits, so nothing is forked and nothing left out.
pub fn install<R: Send>(pool: &ThreadPool, work: impl FnOnce() -> R + Send) -> R {
    let mut context = Context::current();
    pool.install(move || context.run(work))
}

/// `rayon::scope`, whose tasks are children of the context in which they are spawned. `work` itself runs in a copy of the current one.
///
/// ```
/// use ctxvar::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let mut lengths = [0; 2];
/// ctxvar::rayon::scope(|scope| {
///     for length in &mut lengths {
///         scope.spawn(|_| *length = USER.get().len());
///     }
/// });
/// assert_eq!(lengths, [3, 3]);
/// ```
pub fn scope<'scope, R: Send>(work: impl FnOnce(Scope<'_, 'scope>) -> R + Send) -> R {
    let mut context = Context::current();
    ::rayon::scope(move |scope| context.run(|| work(Scope(scope))))
}

/// Starts tasks that end with it; see [`scope`].
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a, 'scope>(&'a ::rayon::Scope<'scope>);

impl<'scope> Scope<'_, 'scope> {
    /// `rayon::Scope::spawn`, as a child of the current context.
    pub fn spawn(&self, work: impl for<'a> FnOnce(Scope<'a, 'scope>) + Send + 'scope) {
        let mut context = Context::capture();
        self.0.spawn(move |scope| context.run(|| work(Scope(scope))));
    }
}
