//! [smol](https://docs.rs/smol)'s ways to spawn, each as a child of the current context.

pub use ::smol::Task;

use crate::{ContextExt, in_context};

/// `smol::spawn`, as a child of the current context. For an executor of your own: `executor.spawn(future.in_context())`.
///
/// ```
/// use ctxvar::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// assert_eq!(smol::block_on(ctxvar::smol::spawn(async { USER.get() })), "ada");
/// ```
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    ::smol::spawn(future.in_context())
}

/// `smol::unblock`, as a child of the current context.
pub fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    ::smol::unblock(in_context(work))
}
