//! A group whose future may move to another thread: for scopes inside tasks of an executor of several.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Weak};

use super::Scope;
use super::failure::{GroupError, Record};
use super::member::{Child, Member};
use super::set::Set;
use crate::awaits;
use crate::heritage::heir;

/// As [`group`](crate::group), with a future that is `Send`: it may be part of a task that several threads run. So body and children
/// have to be `Send`, too.
///
/// The children move with it: they are polled by whichever thread polls the group, one after the other, and not in parallel.
///
/// ```
/// use mini_executor::{block_on, send_group, yield_now};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let count = AtomicU32::new(0);
/// let counting = send_group(async |group| {
///     for _ in 0..10 {
///         group.spawn(async {
///             yield_now().await;
///             count.fetch_add(1, Ordering::Relaxed);
///         });
///     }
/// });
/// // It borrows, and runs on another thread.
/// std::thread::scope(|threads| {
///     threads.spawn(|| block_on(counting));
/// });
/// assert_eq!(count.into_inner(), 10);
/// ```
///
/// ```compile_fail,E0277
/// use mini_executor::send_group;
///
/// let shared = std::rc::Rc::new(1_u32);
/// let _ = send_group(async |group| {
///     group.spawn(async { shared.count_ones() });
/// });
/// ```
#[track_caller]
pub fn send_group<'env, T: Send, B: Future<Output = T> + Send>(
    body: impl FnOnce(SendTaskGroup<'env>) -> B + Send,
) -> impl Future<Output = T> + Send {
    let made = Location::caller();
    async move {
        let Ok(result) = run(body, Ok, made).await.map_err(|error| error.first);
        result
    }
}

/// As [`try_group`](crate::try_group), with a future that is `Send`; see [`send_group`].
///
/// # Errors
/// [`GroupError`], with the first error, and whatever failed while the rest was cancelled beside it.
///
/// ```
/// use mini_executor::{block_on, try_send_group};
///
/// let outcome = block_on(try_send_group(async |group| {
///     group.try_spawn(async { Err("refused") as Result<(), _> });
///     Ok(())
/// }));
/// assert_eq!(outcome.unwrap_err().first, "refused");
/// ```
#[track_caller]
pub fn try_send_group<'env, T: Send, E: Send + 'env, B: Future<Output = Result<T, E>> + Send>(
    body: impl FnOnce(SendTaskGroup<'env, E>) -> B + Send,
) -> impl Future<Output = Result<T, GroupError<E>>> + Send {
    run(body, std::convert::identity, Location::caller())
}

/// Closes the set at the end of the scope, whatever ends it. Handles may keep the set itself for longer.
struct Closing<'env>(Arc<Set<'env>>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn run<'env, T: Send, E: Send + 'env, B: Future + Send>(
    body: impl FnOnce(SendTaskGroup<'env, E>) -> B + Send,
    judge: fn(B::Output) -> Result<T, E>,
    made: &'static Location<'static>,
) -> Result<T, GroupError<E>> {
    // Made first, so that children are dropped after the body, as in a `TaskGroup`.
    let children = Closing(Arc::new(Set::new()));
    let record = Arc::new(Record::new());
    let group = SendTaskGroup { children: Arc::downgrade(&children.0), record: record.clone() };
    let mut scope = Scope::new(record, body(group), judge, made);
    awaits::or_from(made, children.0.run(|context| scope.poll(context))).await;
    scope.conclude(|| drop(children)).await
}

/// A [`TaskGroup`](crate::TaskGroup) of children that are `Send`, made by [`send_group`] and [`try_send_group`].
///
/// ```
/// use mini_executor::{block_on, send_group};
///
/// let sum = block_on(send_group(async |group| {
///     let inner = group.clone();
///     let child = group.spawn(async move { inner.spawn(async { 1 }).await + 1 });
///     child.await + 1
/// }));
/// assert_eq!(sum, 3);
/// ```
pub struct SendTaskGroup<'env, E = Infallible> {
    /// As in a `TaskGroup`: children must not keep themselves.
    children: Weak<Set<'env>>,
    record: Arc<Record<E>>,
}

impl<'env, E: Send + 'env> SendTaskGroup<'env, E> {
    /// Spawns a child: see [`TaskGroup::spawn`](crate::TaskGroup::spawn).
    ///
    /// ```
    /// use mini_executor::{block_on, send_group};
    ///
    /// let answer = block_on(send_group(async |group| group.spawn(async { 6 * 7 }).await));
    /// assert_eq!(answer, 42);
    /// ```
    #[track_caller]
    pub fn spawn<T: Send + 'env>(&self, future: impl Future<Output = T> + Send + 'env) -> Child<T> {
        self.spawn_with(future, Ok)
    }

    /// Spawns a child that may return an error: see [`TaskGroup::try_spawn`](crate::TaskGroup::try_spawn).
    ///
    /// ```
    /// use mini_executor::{block_on, try_send_group};
    ///
    /// let length = block_on(try_send_group(async |group| {
    ///     Ok::<_, std::io::Error>(group.try_spawn(async { std::fs::read("Cargo.toml") }).await.len())
    /// }));
    /// assert!(length.unwrap() > 0);
    /// ```
    #[track_caller]
    pub fn try_spawn<T: Send + 'env>(&self, future: impl Future<Output = Result<T, E>> + Send + 'env) -> Child<T> {
        self.spawn_with(future, std::convert::identity)
    }

    #[track_caller]
    fn spawn_with<T, F>(&self, future: F, judge: fn(F::Output) -> Result<T, E>) -> Child<T>
    where
        T: Send + 'env,
        F: Future + Send + 'env,
    {
        let (member, child) = Member::new(&self.record, future, judge, Location::caller());
        // After the end there is nobody to poll it, and dropping it is what ends it.
        if let Some(children) = self.children.upgrade() {
            children.add(heir(member), Location::caller());
        }
        child
    }
}

impl<E> Clone for SendTaskGroup<'_, E> {
    fn clone(&self) -> Self {
        Self { children: self.children.clone(), record: self.record.clone() }
    }
}

impl<E> fmt::Debug for SendTaskGroup<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendTaskGroup").field("has_failed", &self.record.has_failed()).finish_non_exhaustive()
    }
}
