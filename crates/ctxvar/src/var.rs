//! The variables.

use std::any::type_name;
use std::fmt::{self, Debug};
use std::mem::needs_drop;

use crate::id::{Key, const_fn};
use crate::print;
use crate::raw::{self, Value};
use crate::token::{Guard, Token};

/// A variable whose value depends on the context in which it is read.
///
/// Usually a `static` (not a `const`, of which every use is a variable of its own). It may be a field or a local variable, too: then
/// its number is used again once it is dropped.
///
/// ```
/// use ctxvar::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::with_default("user", "nobody");
///
/// assert_eq!(USER.get(), "nobody");
/// USER.scope("ada", || assert_eq!(USER.get(), "ada"));
/// assert_eq!(USER.get(), "nobody");
/// ```
pub struct ContextVar<T: 'static> {
    key: Key<T>,
    about: About<T>,
    default: Option<T>,
}

/// What becomes of a variable's value in the context of a child: of a task or a thread that is started with
/// [`Context::capture`](crate::Context::capture), as all of this crate's ways to spawn do.
///
/// ```
/// use ctxvar::{ContextVar, Context, Inherit};
///
/// static REQUEST: ContextVar<u64> = ContextVar::new("request");
/// static TRANSACTION: ContextVar<u64> = ContextVar::new("transaction").inherit(Inherit::Never);
/// static SPANS: ContextVar<Vec<&str>> = ContextVar::new("spans").inherit(Inherit::Fork(|spans| spans[spans.len() - 1..].to_vec()));
///
/// REQUEST.set(7);
/// TRANSACTION.set(1);
/// SPANS.set(vec!["serve", "query"]);
/// Context::capture().run(|| {
///     assert_eq!(REQUEST.get(), 7);
///     assert_eq!(TRANSACTION.try_get(), None);
///     assert_eq!(SPANS.get(), ["query"]);
/// });
/// ```
#[derive(Default)]
pub enum Inherit<T> {
    /// The child sees the value. So it is if nothing else is said.
    #[default]
    Always,
    /// The child sees none, but the default.
    Never,
    /// The child sees what the function makes of the value. It is called in the parent.
    Fork(fn(&T) -> T),
}

impl<T> Clone for Inherit<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Inherit<T> {}

impl<T> Debug for Inherit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "Always",
            Self::Never => "Never",
            Self::Fork(_) => "Fork",
        })
    }
}

/// What a value takes along of its variable, which it may outlive.
pub(crate) struct About<T> {
    pub(crate) name: &'static str,
    pub(crate) inherit: Inherit<T>,
    debug: Option<fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result>,
}

impl<T> Clone for About<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for About<T> {}

impl<T: 'static> About<T> {
    pub(crate) fn print(&self, value: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(debug) = self.debug else {
            return print::common(value, f).unwrap_or_else(|| write!(f, "<{}>", type_name::<T>()));
        };
        debug(value, f)
    }

    #[cfg(all(test, loom))]
    pub(crate) const fn nameless() -> Self {
        Self { name: "", inherit: Inherit::Always, debug: None }
    }

    const fn is_selective(&self) -> bool {
        !matches!(self.inherit, Inherit::Always)
    }
}

impl<T: Send + Sync + 'static> ContextVar<T> {
    const_fn! {
        /// A variable without a default. The name is for messages and need not be unique.
        pub fn new(name: &'static str) -> Self {
            Self { key: Key::new(), about: About { name, inherit: Inherit::Always, debug: None }, default: None }
        }
    }

    const_fn! {
        /// A variable that has this value where no other is set.
        pub fn with_default(name: &'static str, value: T) -> Self {
            Self { key: Key::new(), about: About { name, inherit: Inherit::Always, debug: None }, default: Some(value) }
        }
    }

    /// What children see of it; [`Inherit::Always`] if nothing is said.
    #[must_use]
    pub const fn inherit(mut self, policy: Inherit<T>) -> Self {
        self.about.inherit = policy;
        self
    }

    /// Lets [`Context`](crate::Context)'s `Debug` print the variable's values. Those of common types (numbers, strings, times, addresses)
    /// it prints anyway, unless they are [`hidden`](Self::hidden); of others it gives the type.
    #[must_use]
    pub const fn debug(mut self) -> Self
    where
        T: Debug,
    {
        self.about.debug = Some(T::fmt);
        self
    }

    /// Keeps the variable's values out of what [`Context`](crate::Context)'s `Debug` prints: of a password, say.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.about.debug = Some(|_, f| f.write_str("<hidden>"));
        self
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.about.name
    }

    /// The value in the current context, or the default.
    ///
    /// # Panics
    /// If there is neither. The message names the variable.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        match self.try_get() {
            Some(value) => value,
            None => unset(&self.about.name),
        }
    }

    /// The value in the current context, or the default, or `None`.
    #[inline]
    pub fn try_get(&self) -> Option<T>
    where
        T: Clone,
    {
        let clone = |value: Option<&T>| match value {
            // Two calls, for the compiler to make two paths of.
            Some(value) => Some(value.clone()),
            None => self.default.clone(),
        };
        // Beside the clone of what has a destructor, to keep the context costs little.
        if needs_drop::<T>() { raw::read(&self.key, clone) } else { raw::glance(&self.key, clone) }
    }

    /// Shows the value in the current context, or the default, or `None`, without cloning it.
    ///
    /// `access` may set this variable: what it was shown stays until it returns.
    #[inline]
    pub fn with<R>(&self, access: impl FnOnce(Option<&T>) -> R) -> R {
        raw::read(&self.key, |value| match value {
            Some(value) => access(Some(value)),
            None => access(self.default.as_ref()),
        })
    }

    /// Sets the value in the current context, until it is set again or the context ends. The [`Token`] can take that back.
    ///
    /// The context is the one that was entered last on this thread: the task's, where tasks have one ([`ContextExt`](crate::ContextExt)),
    /// what [`Context::run`](crate::Context::run) was called on, or the thread's own.
    #[inline]
    pub fn set(&self, value: T) -> Token<'_, T> {
        let (old, context) = self.put(Some(self.value(value)));
        Token::new(self, old, context)
    }

    /// Calls `work` while the variable has this value.
    ///
    /// For a future take [`with_var`](crate::ContextExt::with_var): `work` has to return before anything else runs.
    #[inline]
    pub fn scope<R>(&self, value: T, work: impl FnOnce() -> R) -> R {
        let _guard = self.set_guard(value);
        work()
    }

    /// Sets the value until the guard is dropped.
    ///
    /// Give it a name: `let _ = VAR.set_guard(..)` drops it at once. [`scope`](Self::scope) has no such trap.
    #[inline]
    pub fn set_guard(&self, value: T) -> Guard<'_, T> {
        Guard::new(self.set(value))
    }

    pub(crate) const fn key(&self) -> &Key<T> {
        &self.key
    }

    pub(crate) const fn is_selective(&self) -> bool {
        self.about.is_selective()
    }

    pub(crate) fn value(&self, value: T) -> Value {
        self.key.register();
        Value::new(&self.key, self.about, value)
    }

    /// Puts a value in the place of the current one, which it returns, with the name of the context. What it returns may be what a variable
    /// that was dropped has left in our slot.
    #[inline]
    pub(crate) fn put(&self, value: Option<Value>) -> (Option<Value>, u64) {
        let (replaced, context) = raw::set(self.key.register(), value, self.is_selective());
        (replaced.old, context)
    }
}

#[cold]
#[track_caller]
#[allow(clippy::trivially_copy_pass_by_ref, reason = "who calls it need not even load the name")]
fn unset(name: &&str) -> ! {
    panic!(
        "the context variable `{name}` has neither a value in this context nor a default: set it before, start this work with a \
         context that has it (`in_context`), give it a default (`ContextVar::with_default`), or ask with `try_get`"
    )
}

impl<T> Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar")
            .field("name", &self.about.name)
            .field("inherit", &self.about.inherit)
            .finish_non_exhaustive()
    }
}
