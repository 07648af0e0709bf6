//! What takes back a `set`.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::marker::PhantomData;

use crate::raw::{self, Value};
use crate::var::ContextVar;

/// What a variable was before it was set, and the way back there.
///
/// It belongs to one variable and one context, and is used once. Dropped, it changes nothing. It may be held across an await and
/// travel with its task to other threads.
///
/// ```
/// # use ctxvar::ContextVar;
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// let token = USER.set("ada");
/// let inner = USER.set("grace");
/// assert_eq!(inner.old(), Some(&"ada"));
/// inner.reset()?;
/// assert_eq!(USER.get(), "ada");
/// token.reset()?;
/// assert_eq!(USER.try_get(), None);
/// # Ok::<(), ctxvar::ResetError<'static, &str>>(())
/// ```
///
/// Using it twice is not a mistake that one can make:
///
/// ```compile_fail,E0382
/// # use ctxvar::ContextVar;
/// # static USER: ContextVar<&str> = ContextVar::new("user");
/// let token = USER.set("ada");
/// token.reset();
/// token.reset();
/// ```
///
/// Nor is using it with another variable: there is no place to name one.
///
/// ```compile_fail,E0061
/// # use ctxvar::ContextVar;
/// # static USER: ContextVar<&str> = ContextVar::new("user");
/// # static OTHER: ContextVar<&str> = ContextVar::new("other");
/// USER.set("ada").reset(&OTHER);
/// ```
pub struct Token<'v, T: 'static> {
    variable: &'v ContextVar<T>,
    old: Option<Value>,
    context: u64,
}

impl<'v, T: Send + Sync + 'static> Token<'v, T> {
    #[inline]
    pub(crate) const fn new(variable: &'v ContextVar<T>, old: Option<Value>, context: u64) -> Self {
        Self { variable, old, context }
    }

    /// Makes the variable what it was before the `set` that returned this token; whatever was set in between is forgotten.
    ///
    /// # Errors
    /// In another context than the one in which it was set. The token comes back with the error.
    #[inline]
    pub fn reset(self) -> Result<(), ResetError<'v, T>> {
        if raw::current_name() != self.context {
            return Err(ResetError(self));
        }
        // What a variable that was dropped had left in the slot is not to come back.
        let (old, stale) = if self.old().is_some() { (self.old, None) } else { (None, self.old) };
        self.variable.put(old);
        drop(stale);
        Ok(())
    }

    /// The value that was replaced; `None` if the variable had none, or just its default.
    pub fn old(&self) -> Option<&T> {
        self.old.as_ref()?.get(self.variable.key())
    }

    /// Whose token it is.
    pub const fn variable(&self) -> &'v ContextVar<T> {
        self.variable
    }
}

impl<T> Debug for Token<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("variable", &self.variable).finish_non_exhaustive()
    }
}

/// A token was to be reset in another context than its own. Nothing has changed.
pub struct ResetError<'v, T: 'static>(Token<'v, T>);

impl<'v, T> ResetError<'v, T> {
    /// Which variable was to be reset.
    pub const fn variable(&self) -> &'v ContextVar<T> {
        self.0.variable
    }

    /// The token, still good in the context that it came from.
    pub fn into_token(self) -> Token<'v, T> {
        self.0
    }
}

impl<T> Debug for ResetError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResetError").field(&self.0).finish()
    }
}

impl<T: Send + Sync + 'static> Display for ResetError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.variable.name();
        write!(
            f,
            "the context variable `{name}` was set in another context than this one: only there can its token reset it"
        )
    }
}

impl<T: Send + Sync + 'static> Error for ResetError<'_, T> {}

/// A value that stays set until this is dropped; see [`ContextVar::set_guard`].
///
/// It can't leave its thread, so that a future which holds it across an await can't be spawned on a runtime of several threads. In a
/// task with a context of its own ([`ContextExt`](crate::ContextExt)) it would be right all the same; there take
/// [`with_var`](crate::ContextExt::with_var) or a [`Token`].
///
/// ```compile_fail,E0277
/// # use ctxvar::ContextVar;
/// # static USER: ContextVar<&str> = ContextVar::new("user");
/// fn spawn(future: impl Future + Send) {}
///
/// spawn(async {
///     let _guard = USER.set_guard("ada");
///     std::future::ready(()).await;
/// });
/// ```
///
/// Dropped in another context than the one it was made in, it changes nothing. Guards of one variable are to be dropped in the reverse of
/// the order in which they were made, as the compiler does with local variables: each brings back what it found.
#[must_use = "dropped at once, it takes the value back at once"]
pub struct Guard<'v, T: Send + Sync + 'static> {
    token: Option<Token<'v, T>>,
    not_send: PhantomData<*mut ()>,
}

impl<'v, T: Send + Sync + 'static> Guard<'v, T> {
    #[inline]
    pub(crate) const fn new(token: Token<'v, T>) -> Self {
        Self { token: Some(token), not_send: PhantomData }
    }
}

impl<T: Send + Sync + 'static> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            // In another context there is nothing of ours to take back.
            let _ = token.reset();
        }
    }
}

impl<T: Send + Sync + 'static> Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("token", &self.token).finish()
    }
}
