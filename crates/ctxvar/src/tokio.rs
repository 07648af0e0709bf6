//! [tokio](https://docs.rs/tokio)'s ways to spawn, each as a child of the current context.

use std::ops::{Deref, DerefMut};

use ::tokio::runtime::Handle;
use ::tokio::task::{self, LocalSet};
pub use ::tokio::task::{AbortHandle, JoinError, JoinHandle};

use crate::{ContextExt, in_context};

/// `tokio::spawn`, as a child of the current context.
///
/// ```
/// use ctxvar::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// USER.set("ada");
/// assert_eq!(ctxvar::tokio::spawn(async { USER.get() }).await.unwrap(), "ada");
/// # });
/// ```
///
/// # Panics
/// Outside of a tokio runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    task::spawn(future.in_context())
}

/// `tokio::task::spawn_local`, as a child of the current context.
///
/// # Panics
/// Outside of a `LocalSet`.
#[track_caller]
pub fn spawn_local<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    task::spawn_local(future.in_context())
}

/// `tokio::task::spawn_blocking`, as a child of the current context.
///
/// # Panics
/// Outside of a tokio runtime.
#[track_caller]
pub fn spawn_blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    task::spawn_blocking(in_context(work))
}

/// `tokio::task::JoinSet`, whose tasks are children of the context in which they are spawned. What it doesn't have itself it has
/// from there.
#[derive(Debug)]
pub struct JoinSet<T>(task::JoinSet<T>);

impl<T> JoinSet<T> {
    /// A set without tasks.
    pub fn new() -> Self {
        Self(task::JoinSet::new())
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// Spawns a task of the set.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn(&mut self, future: impl Future<Output = T> + Send + 'static) -> AbortHandle {
        self.0.spawn(future.in_context())
    }

    /// Runs a closure that blocks, as a task of the set.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn_blocking(&mut self, work: impl FnOnce() -> T + Send + 'static) -> AbortHandle {
        self.0.spawn_blocking(in_context(work))
    }

    /// Spawns a task of the set on that runtime.
    #[track_caller]
    pub fn spawn_on(&mut self, future: impl Future<Output = T> + Send + 'static, handle: &Handle) -> AbortHandle {
        self.0.spawn_on(future.in_context(), handle)
    }

    /// Runs a closure that blocks on that runtime, as a task of the set.
    #[track_caller]
    pub fn spawn_blocking_on(&mut self, work: impl FnOnce() -> T + Send + 'static, handle: &Handle) -> AbortHandle {
        self.0.spawn_blocking_on(in_context(work), handle)
    }

    /// All results, in the order in which the tasks ended.
    ///
    /// # Panics
    /// If a task did, or was aborted.
    pub async fn join_all(self) -> Vec<T> {
        self.0.join_all().await
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task of the set that stays on this thread.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    #[track_caller]
    pub fn spawn_local(&mut self, future: impl Future<Output = T> + 'static) -> AbortHandle {
        self.0.spawn_local(future.in_context())
    }

    /// Spawns a task of the set on that `LocalSet`.
    #[track_caller]
    pub fn spawn_local_on(&mut self, future: impl Future<Output = T> + 'static, local_set: &LocalSet) -> AbortHandle {
        self.0.spawn_local_on(future.in_context(), local_set)
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for JoinSet<T> {
    type Target = task::JoinSet<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
