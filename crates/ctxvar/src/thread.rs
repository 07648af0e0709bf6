//! [`std::thread`]'s ways to start a thread, each as a child of the current context.

use std::thread;
pub use std::thread::{JoinHandle, ScopedJoinHandle};

use crate::in_context;

/// [`std::thread::spawn`], as a child of the current context.
///
/// ```
/// use ctxvar::{ContextVar, thread};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// assert_eq!(thread::spawn(|| USER.get()).join().unwrap(), "ada");
/// ```
///
/// # Panics
/// If the operating system refuses the thread.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(in_context(work))
}

/// [`std::thread::scope`], whose threads are children of the context in which they are spawned.
///
/// ```
/// use ctxvar::{ContextVar, thread};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// let names = ["ada".to_string(), "grace".to_string()];
/// thread::scope(|scope| {
///     USER.set("edith");
///     for name in &names {
///         scope.spawn(move || assert_eq!((USER.get(), name.len() > 2), ("edith", true)));
///     }
/// });
/// ```
///
/// # Panics
/// If one of its threads panicked and was not joined.
pub fn scope<'env, R>(work: impl for<'scope> FnOnce(Scope<'scope, 'env>) -> R) -> R {
    thread::scope(|scope| work(Scope(scope)))
}

/// Starts threads that end with it; see [`scope`]. A copy of it does as well: a thread that starts others takes one (`move ||`).
#[derive(Clone, Copy, Debug)]
pub struct Scope<'scope, 'env: 'scope>(&'scope thread::Scope<'scope, 'env>);

impl<'scope> Scope<'scope, '_> {
    /// [`std::thread::Scope::spawn`], as a child of the current context.
    ///
    /// # Panics
    /// If the operating system refuses the thread.
    pub fn spawn<T: Send + 'scope>(&self, work: impl FnOnce() -> T + Send + 'scope) -> ScopedJoinHandle<'scope, T> {
        self.0.spawn(in_context(work))
    }
}
