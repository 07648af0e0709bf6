//! Panics nobody would hear of: of tasks whose handle was dropped or detached.
//!
//! A task that is joined hands its panic to whoever joins it. One that is not would end in silence: the line that Rust's own hook prints
//! names neither the task nor the place it was spawned at, and no program can react to it. So each such panic is [`report`]ed, once,
//! to a hook that the program may replace.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::strangers::{Hook, discard, message};

/// A panic of a task that nobody joins.
#[derive(Debug)]
pub struct Unhandled<'a> {
    /// The task's name, if it was given one.
    pub name: Option<&'a str>,
    /// Where it was spawned.
    pub spawned: &'static Location<'static>,
    /// What it panicked with.
    pub payload: Box<dyn Any + Send>,
}

impl Unhandled<'_> {
    /// The message, if the panic had one: `panic!` makes a string.
    ///
    /// `None` for what was thrown by `std::panic::panic_any` and is no string.
    ///
    /// ```
    /// mini_executor::set_unhandled_hook(|panic| match panic.message() {
    ///     Some(message) => eprintln!("{}: {message}", panic.spawned),
    ///     None => eprintln!("{}: something that is no text", panic.spawned),
    /// });
    /// ```
    pub fn message(&self) -> Option<&str> {
        message(&*self.payload)
    }
}

impl fmt::Display for Unhandled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task that nobody joins has panicked: ")?;
        if let Some(name) = self.name {
            write!(f, "{name:?}, ")?;
        }
        write!(f, "spawned at {}: {}", self.spawned, self.message().unwrap_or("(no message)"))
    }
}

static HOOK: Hook<dyn Fn(Unhandled<'_>) + Send + Sync> = Hook::new();

/// Has `hook` called for each panic of a task that nobody joins, in place of the line on stderr. It runs where the panic was found: on
/// the thread that ran the task, or that dropped its handle. A hook that panics is not called again for that.
///
/// ```
/// use mini_executor::{LocalExecutor, block_on, set_unhandled_hook, yield_now};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static LOST: AtomicU32 = AtomicU32::new(0);
/// set_unhandled_hook(|panic| {
///     assert_eq!(panic.message(), Some("out of luck"));
///     LOST.fetch_add(1, Ordering::Relaxed);
/// });
///
/// let executor = LocalExecutor::new();
/// executor.spawn(async { panic!("out of luck") }).detach();
/// block_on(executor.run(yield_now()));
/// assert_eq!(LOST.load(Ordering::Relaxed), 1);
/// ```
pub fn set_unhandled_hook(hook: impl Fn(Unhandled<'_>) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

thread_local! {
    /// The task that panicked last: its address.
    static CAUGHT: Cell<usize> = const { Cell::new(0) };
    /// What was heard of here, instead of by the hook, while somebody [listens](Listener).
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Hears, in place of the hook, of the panics of this thread's tasks.
pub(crate) struct Listener {
    former: Option<Vec<String>>,
}

impl Listener {
    pub(crate) fn new() -> Self {
        Self { former: HEARD.replace(Some(Vec::new())) }
    }

    /// Listens no more: the first that was heard of.
    pub(crate) fn end(mut self) -> Option<String> {
        HEARD.replace(self.former.take()).and_then(|heard| heard.into_iter().next())
    }

    /// Whether there is one on this thread that has heard of any.
    pub(crate) fn has_heard() -> bool {
        HEARD.with_borrow(|heard| heard.as_ref().is_some_and(|heard| !heard.is_empty()))
    }
}

/// The task at `address` has panicked, and that is its outcome.
pub(crate) fn is_caught(address: usize) {
    // On a thread that ends nobody asks.
    let _ = CAUGHT.try_with(|caught| caught.set(address));
}

/// The task that panicked last on this thread since this was last asked; 0 for none.
pub(crate) fn last_caught() -> usize {
    CAUGHT.take()
}

/// Tells the hook. Never panics: it is called from destructors.
pub(crate) fn report(name: Option<&str>, spawned: &'static Location<'static>, payload: Box<dyn Any + Send>) {
    let unhandled = Unhandled { name, spawned, payload };
    // A thread that ends has no listener any more.
    let is_heard = HEARD.try_with(|heard| {
        let mut heard = heard.borrow_mut();
        heard.as_mut().map(|heard| heard.push(unhandled.to_string())).is_some()
    });
    if is_heard == Ok(true) {
        return discard(unhandled.payload);
    }
    HOOK.call(|hook| match hook {
        Some(hook) => hook(unhandled),
        None => eprintln!("{unhandled}"),
    });
}
