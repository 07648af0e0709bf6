//! The part of a group that is the same wherever its children are kept: the body, and how it all ends.
//!
//! A group ends in one of three ways:
//!
//! - *All is well*: the body has its result, and then the last child is gone. Nothing is left to drop.
//! - *Somebody failed*: the body's turn comes, for the failure has woken it, and it is not polled any more. Body and children are
//!   dropped here, before anybody is told; what their destructors throw is listed. Then the first failure goes out.
//! - *The future is dropped*, before it was ready: body and children are dropped as its locals are. There is nobody to tell, and what
//!   destructors throw goes to the [hook](crate::set_unhandled_hook).

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::failure::{Cause, GroupError, Record};

/// A group's body on its way.
pub(super) struct Scope<'b, B, T, E> {
    /// Until it came to its end.
    body: Pin<&'b mut Option<B>>,
    result: Option<T>,
    record: Arc<Record<E>>,
    /// Where the group was made.
    made: &'static Location<'static>,
}

impl<'b, T, E, B: Future<Output = Result<T, E>>> Scope<'b, B, T, E> {
    pub(super) fn new(body: Pin<&'b mut Option<B>>, record: Arc<Record<E>>, made: &'static Location<'static>) -> Self {
        Self { body, result: None, record, made }
    }

    /// Gives the body its turn; ready when body and children have ended, or one of them failed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.record.wait(context.waker());
        if !self.record.has_failed()
            && let Some(body) = self.body.as_mut().as_pin_mut()
        {
            match catch_unwind(AssertUnwindSafe(|| body.poll(context))) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(Ok(result))) => {
                    self.result = Some(result);
                    self.drop_body();
                }
                Ok(Poll::Ready(Err(error))) => self.record.fail(self.made, Cause::Error(error)),
                Err(panic) => self.record.fail_by(self.made, panic),
            }
        }
        let has_ended = self.body.is_none() && self.record.is_deserted();
        if has_ended || self.record.has_failed() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn drop_body(&mut self) {
        self.attempt(|this| this.body.set(None));
    }

    /// Strangers' destructors: one that panics has failed, and the others are run all the same.
    fn attempt(&mut self, strangers: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| strangers(self))) {
            self.record.fail_by(self.made, panic);
        }
    }

    /// What the group came to, once [`poll`](Self::poll) was ready. `drop_children` drops those that are left.
    pub(super) fn conclude(mut self, drop_children: impl FnOnce()) -> Result<T, GroupError<E>> {
        self.drop_body();
        self.attempt(|_| drop_children());
        if self.record.has_failed() {
            self.attempt(|this| drop(this.result.take()));
        }
        self.record.conclude()?;
        Ok(self.result.expect("a body without a result has failed"))
    }
}
