//! What is spawned has of its spawner: the values of [ctxvar](https://docs.rs/ctxvar)'s context variables, with the feature of that name.
//!
//! Every task and every call that is handed over passes through here once, in the thread that spawns it.

#[cfg(feature = "ctxvar")]
mod with_variables {
    use ctxvar::ContextExt;

    /// The future, in a context of its own: a child of the current one.
    #[inline]
    pub(crate) fn heir<F: Future>(future: F) -> ctxvar::InContext<F> {
        future.in_context()
    }
}

#[cfg(not(feature = "ctxvar"))]
mod without {
    /// The future as it is: there are no variables to take along.
    #[inline]
    pub(crate) const fn heir<F: Future>(future: F) -> F {
        future
    }
}

#[cfg(feature = "ctxvar")]
pub(crate) use with_variables::heir;
#[cfg(not(feature = "ctxvar"))]
pub(crate) use without::heir;
