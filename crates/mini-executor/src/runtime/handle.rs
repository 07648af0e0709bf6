//! What tasks spawn tasks with.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use super::Shared;
use crate::dump::Dump;
use crate::task::{Named, Task};

/// Spawns tasks on a [`Runtime`](crate::Runtime), from wherever it was sent to. Tasks that are spawned after the runtime's end are dropped at
/// once; unless a worker was stuck at its end, which leaves all tasks as they are.
///
/// ```
/// use mini_executor::Runtime;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new(1)?;
/// let handle = runtime.handle();
/// let outer = runtime.spawn(async move { handle.spawn(async { "inner" }).await });
/// assert_eq!(runtime.block_on(outer), "inner");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// As [`Runtime::spawn`](crate::Runtime::spawn).
    #[track_caller]
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        self.shared.spawn(future, (), Location::caller())
    }

    /// As [`Runtime::spawn_named`](crate::Runtime::spawn_named).
    #[track_caller]
    pub fn spawn_named<T: Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.shared.spawn(future, Named::new(name), Location::caller())
    }

    /// As [`Runtime::dump`](crate::Runtime::dump).
    pub fn dump(&self) -> Dump {
        self.shared.executor.dump()
    }

    /// As [`Runtime::spawn_blocking`](crate::Runtime::spawn_blocking).
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = mini_executor::Runtime::new(1)?;
    /// let handle = runtime.handle();
    /// let outer = runtime.spawn(async move { handle.spawn_blocking(|| "a call from a task").await });
    /// assert_eq!(runtime.block_on(outer), "a call from a task");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        self.shared.spawn_blocking(call, Location::caller())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
