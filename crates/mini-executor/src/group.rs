//! Structured concurrency: children that end before the scope that spawned them.
//!
//! A task that was spawned on an executor goes its own way: it may outlive whoever spawned it, its error is an error nobody reads
//! unless somebody joins it, and it can't borrow from its parent. A group turns that round: [`group`] is a future that is not
//! ready before all its children are, so they may borrow, and whatever goes wrong in one of them goes wrong in the group.
//!
//! # Why children run inside the future of their scope
//!
//! The scope is a future, and a future may be dropped at any time, or leaked by [`std::mem::forget`], so that nothing of it ever runs
//! again, not even its destructor. Children that borrow and run elsewhere, as tasks of an executor, would still be running then, on a
//! stack frame that is gone. Threads have no such problem: [`std::thread::scope`] blocks, and can't be forgotten. So children here
//! are kept and polled by the scope's own future: a leaked scope is one that polls nobody any more. No line of this module is `unsafe`.
//!
//! The price is that a group is *concurrent, not parallel*: its children share the thread of the task that awaits it, as the branches of
//! a `join!` do. For parallel work spawn tasks on an executor of several threads, and join their handles in the children: the group
//! then cancels the tasks by dropping the handles.
//!
//! # How a group ends
//! - *All is well*: the body has its result, and then the last child is gone. Nothing is left to drop.
//! - *Somebody failed*: whoever awaits the group is woken, and nobody is polled any more. Body and children are
//!   dropped, before anybody is told; what their destructors throw is listed. Then the first failure goes out.
//! - *The future is dropped*, before it was ready: body and children are dropped as its locals are. There is nobody to tell, and what
//!   destructors throw goes to the [hook](crate::set_unhandled_hook).
//!
//! | file | its one subject |
//! |---|---|
//! | `failure` | what failed, and what a caller is told of it |
//! | `member` | a child from both ends: the future that is polled, and the handle |
//! | `send` | the group whose future may move to another thread |
//! | `set` | what that one keeps its children in; [`TaskGroup`] uses a [`LocalExecutor`] |

mod failure;
mod member;
mod send;
mod set;

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::LocalExecutor;
use crate::strangers::reported;
use failure::Record;
pub use failure::{GroupError, Panicked};
pub use member::Child;
use member::Member;
pub use send::{SendTaskGroup, send_group, try_send_group};

/// Runs `body`, and waits for all children it spawns into its group. The result is the body's.
///
/// Children may borrow what outlives the group, the locals of whoever makes it too. If one of them panics, or the body does, the others
/// are dropped where they stand, and the panic goes on here. If this future is dropped, body and children are: no child outlives it.
///
/// Children run on the task that awaits the group: concurrently, not in parallel. The future is not `Send`; see [`send_group`].
///
/// ```
/// use mini_executor::{block_on, group, sleep};
/// use std::time::Duration;
///
/// let pages = ["index", "about", "contact"];
/// let fetch = async |page: &str| {
///     sleep(Duration::from_millis(1)).await;
///     page.len()
/// };
/// let total = block_on(async {
///     group(async |group| {
///         let lengths: Vec<_> = pages.iter().map(|page| group.spawn(fetch(page))).collect();
///         let mut total = 0;
///         for length in lengths {
///             total += length.await;
///         }
///         total
///     })
///     .await
/// });
/// assert_eq!(total, 17);
/// ```
///
/// What is local to the body ends before the children do, and can't be borrowed by them:
///
/// ```compile_fail,E0597
/// use mini_executor::{block_on, group};
///
/// block_on(group(async |group| {
///     let local = String::from("short-lived");
///     let borrowed = &local;
///     group.spawn(async move { borrowed.len() });
/// }));
/// ```
///
/// nor can what they borrow be dropped, or taken back, while the group lives:
///
/// ```compile_fail,E0505
/// use mini_executor::{block_on, group};
///
/// let data = vec![1, 2, 3];
/// let scope = group(async |group| {
///     group.spawn(async { data.len() });
/// });
/// drop(data);
/// block_on(scope);
/// ```
///
/// And nothing of the body's own goes out but by value:
///
/// ```compile_fail,E0515
/// use mini_executor::{block_on, group};
///
/// let borrowed = block_on(group(async |group| {
///     let local = group.spawn(async { String::from("short-lived") }).await;
///     local.as_str()
/// }));
/// ```
#[track_caller]
pub fn group<'env, T, B: Future<Output = T>>(body: impl FnOnce(TaskGroup<'env>) -> B) -> impl Future<Output = T> {
    let made = Location::caller();
    async move {
        let Ok(result) = run(body, Ok, made).await.map_err(|error| error.first);
        result
    }
}

/// As [`group`], for a body and children that may return errors: the first error ends the group and is returned.
///
/// # Errors
/// [`GroupError`], with the first error, and whatever failed while the rest was cancelled beside it.
///
/// ```
/// use mini_executor::{block_on, sleep, try_group};
/// use std::time::Duration;
///
/// let outcome = block_on(try_group(async |group| {
///     group.spawn(async { sleep(Duration::from_hours(1)).await });
///     group.try_spawn(async { Err("refused") as Result<(), _> });
///     Ok("nobody gets to see this")
/// }));
/// assert_eq!(outcome.unwrap_err().first, "refused");
/// ```
#[track_caller]
pub fn try_group<'env, T, E: 'env, B: Future<Output = Result<T, E>>>(
    body: impl FnOnce(TaskGroup<'env, E>) -> B,
) -> impl Future<Output = Result<T, GroupError<E>>> {
    run(body, std::convert::identity, Location::caller())
}

async fn run<'env, T, E: 'env, B: Future>(
    body: impl FnOnce(TaskGroup<'env, E>) -> B,
    judge: fn(B::Output) -> Result<T, E>,
    made: &'static Location<'static>,
) -> Result<T, GroupError<E>> {
    // Made first, so that children are dropped after the body: the same order as after a failure.
    let executor = Rc::new(LocalExecutor::new());
    let record = Arc::new(Record::new());
    let group = TaskGroup { executor: Rc::downgrade(&executor), record: record.clone() };
    let mut scope = Scope::new(record, body(group), judge, made);
    executor.run_at(poll_fn(|context| scope.poll(context)), made).await;
    scope.conclude(|| drop(executor)).await
}

/// The part of a group that is the same wherever its children are kept: the body on its way, and how it all ends.
struct Scope<B: Future, T, E> {
    /// Until it came to its end.
    body: Option<Member<B, T, E>>,
    result: Option<Child<T>>,
    record: Arc<Record<E>>,
    made: &'static Location<'static>,
}

impl<B: Future, T, E> Scope<B, T, E> {
    fn new(
        record: Arc<Record<E>>,
        body: B,
        judge: fn(B::Output) -> Result<T, E>,
        made: &'static Location<'static>,
    ) -> Self {
        let (body, result) = Member::new(&record, body, judge, made);
        Self { body: Some(body), result: Some(result), record, made }
    }

    /// Gives the body its turn; ready when body and children have ended, or one of them failed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.record.wait(context.waker());
        self.body.take_if(|body| Pin::new(body).poll(context).is_ready());
        if self.record.has_ended() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// What the group came to, once [`poll`](Self::poll) was ready. `drop_children` drops those that are left.
    async fn conclude(mut self, drop_children: impl FnOnce()) -> Result<T, GroupError<E>> {
        self.body = None;
        self.record.attempt(self.made, drop_children);
        if !self.record.has_failed() {
            return Ok(self.result.take().expect("it is taken once").await);
        }
        // Nobody gets it: a type of strangers, as all that is dropped here.
        self.record.attempt(self.made, || self.result = None);
        Err(self.record.conclude())
    }
}

impl<B: Future, T, E> Drop for Scope<B, T, E> {
    /// Where the group was dropped before its end nobody is told what it came to: what failed goes to the hook.
    fn drop(&mut self) {
        self.body = None;
        self.record.abandon();
        let result = self.result.take();
        reported(self.made, || drop(result));
    }
}

/// A group that children are spawned into. Its clones are the same group: a child that is to spawn others takes one with it.
///
/// It is made by [`group`] and [`try_group`]. Once the group has ended, what is spawned is dropped at once.
///
/// ```
/// use mini_executor::{TaskGroup, block_on, group};
/// use std::cell::Cell;
///
/// /// Visits a tree of which every node has two children.
/// async fn visit<'env>(group: TaskGroup<'env>, depth: u32, visited: &'env Cell<u32>) {
///     visited.set(visited.get() + 1);
///     if depth > 0 {
///         group.spawn(visit(group.clone(), depth - 1, visited));
///         group.spawn(visit(group.clone(), depth - 1, visited));
///     }
/// }
///
/// let visited = Cell::new(0);
/// block_on(group(|group| visit(group, 4, &visited)));
/// assert_eq!(visited.get(), 31);
/// ```
pub struct TaskGroup<'env, E = Infallible> {
    /// The scope's future holds the executor: children hold clones of the group, and would keep it, and so themselves, for ever.
    executor: Weak<LocalExecutor<'env>>,
    record: Arc<Record<E>>,
}

impl<'env, E: 'env> TaskGroup<'env, E> {
    /// Spawns a child. It has its first turn when the body waits.
    ///
    /// It fails by panicking, and the group with it.
    ///
    /// ```
    /// use mini_executor::{block_on, group};
    ///
    /// let answer = block_on(group(async |group| group.spawn(async { 6 * 7 }).await));
    /// assert_eq!(answer, 42);
    /// ```
    #[track_caller]
    pub fn spawn<T: 'env>(&self, future: impl Future<Output = T> + 'env) -> Child<T> {
        self.spawn_with(future, Ok)
    }

    /// Spawns a child that may return an error. If it does, it fails, and the group with it; its handle gives what is in the `Ok`.
    ///
    /// ```
    /// use mini_executor::{block_on, try_group};
    /// use std::num::ParseIntError;
    ///
    /// let parsed = block_on(try_group(async |group| {
    ///     let (one, two) = (group.try_spawn(async { "1".parse::<u32>() }), group.try_spawn(async { "2".parse::<u32>() }));
    ///     Ok::<_, ParseIntError>(one.await + two.await)
    /// }));
    /// assert_eq!(parsed.unwrap(), 3);
    /// ```
    #[track_caller]
    pub fn try_spawn<T: 'env>(&self, future: impl Future<Output = Result<T, E>> + 'env) -> Child<T> {
        self.spawn_with(future, std::convert::identity)
    }

    #[track_caller]
    fn spawn_with<T: 'env, F: Future + 'env>(&self, future: F, judge: fn(F::Output) -> Result<T, E>) -> Child<T> {
        let (member, child) = Member::new(&self.record, future, judge, Location::caller());
        // After the end there is nobody to run it, and dropping it is what ends it.
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(member).detach();
        }
        child
    }
}

impl<E> Clone for TaskGroup<'_, E> {
    fn clone(&self) -> Self {
        Self { executor: self.executor.clone(), record: self.record.clone() }
    }
}

impl<E> fmt::Debug for TaskGroup<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup").field("has_failed", &self.record.has_failed()).finish_non_exhaustive()
    }
}
