//! Futures that are polled by one other, and may move to another thread with it: each as often as it was woken.
//!
//! [`LocalExecutor`](crate::LocalExecutor) does the same for one thread, with tasks of one allocation and plain flags. This one has to
//! follow its scope from thread to thread, and is made of safe parts: a future in a box, a ticket that stands in a queue when it is
//! woken, and locks around both. A wake takes two locks and an atomic flag, where the other's takes none.
//!
//! Lifetimes hold it together. What wakers reach ([`Ready`]) owns no future and may live as long as anybody likes; the futures are in the
//! set, which has the lifetime of what they borrow. A waker that is kept for too long finds the queue closed, and that is all.
//!
//! ```text
//!   waker ---> Ticket: place 7, is it queued? ---> Ready: a queue of tickets, and who polls the set
//!                          |
//!   Set: places [ | | | | | | |*| ]  the future itself, which only who polls the set touches
//! ```
//!
//! No lock is held while a future is polled or dropped, or a waker called: a child may spawn into the set that polls it, and a
//! destructor may wake its siblings.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};

use crate::deterministic::Simulation;
use crate::primitives::{AtomicBool, Mutex, MutexGuard, lock};
use crate::strangers::WakerSlot;
use crate::turn::{Pace, Turn};

type Boxed<'env> = Pin<Box<dyn Future<Output = ()> + Send + 'env>>;

/// See the module.
pub(super) struct Set<'env> {
    members: Mutex<Members<'env>>,
    ready: Arc<Ready>,
}

struct Members<'env> {
    /// `None` for a place that is free, or whose future is being polled.
    places: Vec<Option<Boxed<'env>>>,
    free: Vec<usize>,
    /// The scope has ended: nobody polls what would come now.
    is_closed: bool,
}

/// What wakers reach: it lives as long as any of them.
struct Ready {
    /// `None` once the set is closed: a ticket that came in late would keep the queue, and so itself, for ever.
    queue: Mutex<Option<VecDeque<Arc<Ticket>>>>,
    /// Who polls the set.
    waiter: WakerSlot,
}

/// What wakes one future. The place may belong to another one by the time it is used: that is then polled once in vain.
struct Ticket {
    place: usize,
    spawned: &'static Location<'static>,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl<'env> Set<'env> {
    pub(super) fn new() -> Self {
        let members = Members { places: Vec::new(), free: Vec::new(), is_closed: false };
        let ready = Ready { queue: Mutex::new(Some(VecDeque::new())), waiter: WakerSlot::default() };
        Self { members: Mutex::new(members), ready: Arc::new(ready) }
    }

    fn members(&self) -> MutexGuard<'_, Members<'env>> {
        lock(&self.members)
    }

    /// Takes a future in, and has it polled soon. After [`close`](Self::close) it is dropped at once.
    pub(super) fn add(&self, future: impl Future<Output = ()> + Send + 'env, spawned: &'static Location<'static>) {
        let future = Box::pin(future);
        let mut members = self.members();
        if members.is_closed {
            // Without the lock: it is a stranger's.
            drop(members);
            drop(future);
            return;
        }
        let place = members.free.pop().unwrap_or(members.places.len());
        if place == members.places.len() {
            members.places.push(Some(future));
        } else {
            members.places[place] = Some(future);
        }
        drop(members);
        Ticket { place, spawned, is_queued: AtomicBool::new(false), ready: self.ready.clone() }.into_waker().wake();
    }

    /// Polls `wait`, and in between who was woken, until `wait` is ready.
    pub(super) async fn run(&self, mut wait: impl FnMut(&mut Context<'_>) -> Poll<()> + Send) {
        let mut pace = Pace::new();
        poll_fn(|context| {
            self.ready.waiter.set(context.waker());
            if wait(context).is_ready() {
                return Poll::Ready(());
            }
            // The same turns as a local executor's.
            let mut turn = Turn::begin(&mut pace);
            if turn.is_drawn() {
                return self.take_drawn_turn(context);
            }
            loop {
                let Some(ticket) = self.ready.pop() else { return Poll::Pending };
                self.poll(ticket);
                if turn.is_over(&mut pace) {
                    break;
                }
            }
            // There may be more, but others are to have their turn.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// As a local executor's in a deterministic runtime.
    #[cold]
    fn take_drawn_turn(&self, context: &Context<'_>) -> Poll<()> {
        let Some(mut ticket) = self.ready.pop() else { return Poll::Pending };
        while Simulation::passes_over()
            && let Some(next) = self.ready.pop()
        {
            self.ready.push(ticket);
            ticket = next;
        }
        Simulation::is_polled(None, ticket.spawned);
        self.poll(ticket);
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll(&self, ticket: Arc<Ticket>) {
        let place = ticket.place;
        let Some(mut future) = self.members().places[place].take() else { return };
        // Before the poll: a wake from here on is for the next one. Acquire: what the one before has done is seen by this one.
        ticket.is_queued.swap(false, Ordering::AcqRel);
        let waker = Waker::from(ticket);
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.members().places[place] = Some(future);
        } else {
            drop(future);
            self.members().free.push(place);
        }
    }

    /// Drops all that is left, and whatever comes.
    pub(super) fn close(&self) {
        let mut members = self.members();
        members.is_closed = true;
        let places = std::mem::take(&mut members.places);
        drop(members);
        // Each of them is dropped without its lock: tickets may be the last to hold what they wake.
        let tickets = self.ready.queue().take();
        let waiter = self.ready.waiter.take();
        drop((places, tickets, waiter));
    }
}

impl Ready {
    fn queue(&self) -> MutexGuard<'_, Option<VecDeque<Arc<Ticket>>>> {
        lock(&self.queue)
    }

    fn pop(&self) -> Option<Arc<Ticket>> {
        self.queue().as_mut()?.pop_front()
    }

    /// Queues a ticket; `false` once the set is closed.
    fn push(&self, ticket: Arc<Ticket>) -> bool {
        match &mut *self.queue() {
            Some(queue) => queue.push_back(ticket),
            None => return false,
        }
        true
    }
}

impl Ticket {
    fn into_waker(self) -> Waker {
        Waker::from(Arc::new(self))
    }
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        if !self.ready.push(self.clone()) {
            return;
        }
        if let Some(waiter) = self.ready.waiter.take() {
            waiter.wake();
        }
    }
}
