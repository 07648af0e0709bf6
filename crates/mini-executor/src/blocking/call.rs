//! A call on its way through the pool, and the handle to it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Job;
use crate::heritage::heir_call;
use crate::strangers::wake;
use crate::{awaits, unhandled};

/// A call, and the handle to it.
pub(crate) fn prepare<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
    spawned: &'static Location<'static>,
) -> (Job, Blocking<T>) {
    let slot = Arc::new(Slot { place: Mutex::new(Place::Queued), spawned });
    let promise = Promise(slot.clone());
    let call = heir_call(call);
    let job = move || promise.0.run(call);
    (Job { call: Box::new(job), spawned }, Blocking { slot: Some(slot) })
}

/// Where a call's result will be. The call and its handle each hold it, and each leaves a word for the other:
///
/// ```text
///   Queued, Awaited --- the call ends ---------> Done ----- awaited again -----> Taken
///                   --- the handle is dropped -> Dropped    a call that has not begun never does
///                   --- it is detached --------> Detached   a panic goes to the hook
///                   --- the pool is closed ----> Cancelled  awaiting it panics, and says why
/// ```
struct Slot<T> {
    place: Mutex<Place<T>>,
    spawned: &'static Location<'static>,
}

enum Place<T> {
    /// Nobody awaits it yet.
    Queued,
    Awaited(Waker),
    /// The handle was dropped: the call is not to begin.
    Dropped,
    /// The handle was detached: the call runs, and its result is for nobody.
    Detached,
    Done(Result<T, Box<dyn Any + Send>>),
    /// The pool was closed before the call began.
    Cancelled,
    Taken,
}

/// A call's word that its handle will hear of it, be it that it never begins.
struct Promise<T>(Arc<Slot<T>>);

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let mut place = self.0.place();
        if matches!(*place, Place::Queued | Place::Awaited(_)) {
            let former = std::mem::replace(&mut *place, Place::Cancelled);
            drop(place);
            if let Place::Awaited(waker) = former {
                wake(waker, self.0.spawned);
            }
        }
    }
}

impl<T> Slot<T> {
    fn place(&self) -> MutexGuard<'_, Place<T>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, call: impl FnOnce() -> T) {
        if matches!(*self.place(), Place::Dropped) {
            // Its captures are strangers' types.
            return self.settle(catch_unwind(AssertUnwindSafe(|| drop(call))));
        }
        let done = catch_unwind(AssertUnwindSafe(call));
        let mut place = self.place();
        if matches!(*place, Place::Dropped | Place::Detached) {
            drop(place);
            return self.settle(done.and_then(|output| catch_unwind(AssertUnwindSafe(|| drop(output)))));
        }
        let former = std::mem::replace(&mut *place, Place::Done(done));
        // The waker is a stranger's: it is called without the lock, and what it throws must not end this thread.
        drop(place);
        if let Place::Awaited(waker) = former {
            wake(waker, self.spawned);
        }
    }

    /// Nobody awaits it: a panic is reported.
    fn settle(&self, done: Result<(), Box<dyn Any + Send>>) {
        if let Err(panic) = done {
            unhandled::report(None, self.spawned, panic);
        }
    }
}

/// A handle to a call that was handed to [`spawn_blocking`](crate::spawn_blocking): a future of its result.
#[must_use = "a call that has not begun is dropped with its handle: await it, or `detach` it"]
pub struct Blocking<T> {
    /// `None` once it was detached or has given its result.
    slot: Option<Arc<Slot<T>>>,
}

impl<T> Blocking<T> {
    /// Lets the call run with nobody waiting for it. If it panics, the [hook](crate::set_unhandled_hook) is told.
    ///
    /// ```
    /// use mini_executor::spawn_blocking;
    /// use std::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// spawn_blocking(move || sender.send("done")).detach();
    /// assert_eq!(receiver.recv(), Ok("done"));
    /// ```
    pub fn detach(mut self) {
        self.leave(Place::Detached);
    }

    fn leave(&mut self, place: Place<T>) {
        let Some(slot) = self.slot.take() else { return };
        let mut held = slot.place();
        if let Place::Done(_) = *held {
            let done = std::mem::replace(&mut *held, Place::Taken);
            drop(held);
            if let Place::Done(Err(panic)) = done {
                slot.settle(Err(panic));
            }
        } else {
            let former = std::mem::replace(&mut *held, place);
            drop(held);
            // A stranger's waker, maybe.
            drop(former);
        }
    }
}

impl<T> Future for Blocking<T> {
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let slot = self.slot.as_ref().expect("a call's handle was polled after it had given its result");
        // Wakers are cloned and dropped without the lock, for they are strangers' code: so the place is looked at twice.
        let mut ours = None;
        let mut place = slot.place();
        loop {
            match (&*place, ours.take()) {
                (Place::Done(_), _) => break,
                (Place::Cancelled, _) => {
                    panic!("the runtime was shut down before the call spawned at {} began", slot.spawned)
                }
                (Place::Awaited(waker), None) if waker.will_wake(context.waker()) => {
                    awaits::here();
                    return Poll::Pending;
                }
                (_, Some(waker)) => {
                    let former = std::mem::replace(&mut *place, Place::Awaited(waker));
                    drop(place);
                    drop(former);
                    awaits::here();
                    return Poll::Pending;
                }
                (_, None) => {
                    drop(place);
                    ours = Some(context.waker().clone());
                    place = slot.place();
                }
            }
        }
        let done = std::mem::replace(&mut *place, Place::Taken);
        drop(place);
        self.slot = None;
        match done {
            Place::Done(Ok(output)) => Poll::Ready(output),
            Place::Done(Err(panic)) => resume_unwind(panic),
            _ => unreachable!("it was looked at under the lock"),
        }
    }
}

impl<T> Drop for Blocking<T> {
    fn drop(&mut self) {
        self.leave(Place::Dropped);
    }
}

impl<T> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spawned = self.slot.as_ref().map(|slot| slot.spawned.to_string());
        f.debug_struct("Blocking").field("spawned", &spawned).finish_non_exhaustive()
    }
}
