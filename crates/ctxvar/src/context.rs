//! All variables' values at once.

use std::any::Any;
use std::fmt::{self, Debug};

use crate::raw::{self, Heir, Snapshot};
use crate::var::ContextVar;

/// The values of all variables that are set in one flow of work.
///
/// To take one, to clone it and to drop it cost one atomic operation each, however many variables there are; to [`capture`](Self::capture) one
/// takes longer where some of them are not simply inherited. It may go to other threads.
///
/// ```
/// use ctxvar::{Context, ContextVar};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let mut context = Context::current();
/// USER.set("grace");
/// context.run(|| {
///     assert_eq!(USER.get(), "ada");
///     USER.set("edith"); // in there
/// });
/// assert_eq!(USER.get(), "grace");
/// assert_eq!(context.get(&USER), Some(&"edith"));
/// ```
pub struct Context {
    snapshot: Snapshot,
}

impl Context {
    /// A context in which nothing is set.
    pub const fn new() -> Self {
        Self::of(Snapshot::EMPTY)
    }

    pub(crate) const fn of(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }

    /// An exact copy of the current context. What is set in either of them from now on is not seen in the other.
    #[inline]
    pub fn current() -> Self {
        Self::of(raw::current())
    }

    /// What a child of the current context begins with: as [`current`](Self::current), but for variables that say otherwise
    /// ([`Inherit`](crate::Inherit)).
    #[inline]
    pub fn capture() -> Self {
        let current = raw::current();
        if current.is_selective() { Self::of(heir(&current)) } else { Self::of(current) }
    }

    /// Calls `work` in this context, and keeps what it sets.
    ///
    /// A context that is being run can't be run again from inside:
    ///
    /// ```compile_fail,E0499
    /// # use ctxvar::Context;
    /// let mut context = Context::current();
    /// context.run(|| context.run(|| ()));
    /// ```
    #[inline]
    pub fn run<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let _entered = self.snapshot.enter();
        work()
    }

    /// The variable's value in this context. A default is not in a context: see [`ContextVar::try_get`].
    pub fn get<T: Send + Sync + 'static>(&self, variable: &ContextVar<T>) -> Option<&T> {
        self.snapshot.find(variable.key().id())?.get(variable.key())
    }

    /// A copy of this context in which the variable has that value.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(&self, variable: &ContextVar<T>, value: T) -> Self {
        let mut changed = self.clone();
        changed.insert(variable, value);
        changed
    }

    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, variable: &ContextVar<T>, value: T) {
        insert(&mut self.snapshot, variable, value);
    }

    /// Every value that is set, with its variable's name, in no particular order.
    ///
    /// A variable that was dropped is still listed, until its number is used again.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &dyn Any)> {
        self.snapshot.iter().map(|(_, value)| (value.name(), value.any()))
    }

    /// How many variables are set. It counts them.
    pub fn len(&self) -> usize {
        self.snapshot.iter().count()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.snapshot.iter().next().is_none()
    }

    /// Whether both are one and the same copy still: nothing was set in either since.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.snapshot.same(&other.snapshot)
    }

    pub(crate) fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }
}

pub(crate) fn insert<T: Send + Sync + 'static>(snapshot: &mut Snapshot, variable: &ContextVar<T>, value: T) {
    let value = variable.value(value);
    drop(snapshot.replace(variable.key().id(), Some(value), variable.is_selective()));
}

/// What a child sees, where some variables are not simply inherited.
#[cold]
fn heir(parent: &Snapshot) -> Snapshot {
    let mut child = parent.clone();
    let mut has_forks = false;
    for (id, value) in parent.iter() {
        match value.heir() {
            Heir::Same => {}
            Heir::Nothing => drop(child.replace(id, None, true)),
            Heir::Fork(fork) => {
                has_forks = true;
                drop(child.replace(id, Some(fork), true));
            }
        }
    }
    if !has_forks {
        child.clear_selective();
    }
    child
}

/// A copy is another context: tokens of the one are not good in the other.
impl Clone for Context {
    #[inline]
    fn clone(&self) -> Self {
        Self::of(self.snapshot.clone())
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

/// Names and values. See [`ContextVar::debug`] for whose.
impl Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Text<'a>(&'a raw::Value);

        impl Debug for Text<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.print(f)
            }
        }

        f.write_str("Context ")?;
        f.debug_map().entries(self.snapshot.iter().map(|(_, value)| (value.name(), Text(value)))).finish()
    }
}
