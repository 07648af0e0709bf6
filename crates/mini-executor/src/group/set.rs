//! Futures that are polled by one other, and may move to another thread with it: each as often as it was woken.
//!
//! [`LocalExecutor`](crate::LocalExecutor) does the same for one thread, with tasks of one allocation and plain flags. This one has to
//! follow its scope from thread to thread, and is made of safe parts: a future in a box, a ticket that stands in a queue when it is
//! woken, and locks around both. A wake takes two locks and an atomic flag, where the other's takes none.
//!
//! Lifetimes hold it together. What wakers reach ([`Ready`]) owns no future and may live as long as anybody likes; the futures are in the
//! set, which has the lifetime of what they borrow. A waker that is kept for too long finds the queue gone, and that is all.
//!
//! ```text
//!   waker ---> Ticket: number 7, is it queued? - - -> Ready: a queue of tickets, and who polls the set
//!                             |
//!   Set: 3, 4, 7, 9: the futures themselves, which only who polls the set touches
//! ```
//!
//! No lock is held while a future is polled or dropped, or a waker called: a child may spawn into the set that polls it, and a
//! destructor may wake its siblings.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use crate::deterministic::Simulation;
use crate::primitives::{AtomicBool, Mutex, lock};
use crate::strangers::WakerSlot;
use crate::turn::Turn;

type Boxed<'env> = Pin<Box<dyn Future<Output = ()> + Send + 'env>>;

/// See the module.
pub(super) struct Set<'env> {
    members: Mutex<Members<'env>>,
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Members<'env> {
    /// In the order they came. `None` for the one that is being polled.
    futures: BTreeMap<u64, Option<Boxed<'env>>>,
    /// How many came so far.
    count: u64,
    /// The scope has ended: nobody polls what would come now.
    is_closed: bool,
}

/// What wakers reach, as long as the set is there.
#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<Arc<Ticket>>>,
    /// Who polls the set.
    waiter: WakerSlot,
}

/// What wakes one future.
struct Ticket {
    number: u64,
    spawned: &'static Location<'static>,
    is_queued: AtomicBool,
    ready: Weak<Ready>,
}

impl<'env> Set<'env> {
    pub(super) fn new() -> Self {
        Self { members: Mutex::new(Members::default()), ready: Arc::default() }
    }

    /// Takes a future in, and has it polled soon. After [`close`](Self::close) it is dropped at once.
    pub(super) fn add(&self, future: impl Future<Output = ()> + Send + 'env, spawned: &'static Location<'static>) {
        let future = Box::pin(future);
        let mut members = lock(&self.members);
        if members.is_closed {
            // Without the lock: it is a stranger's.
            drop(members);
            drop(future);
            return;
        }
        let number = members.count;
        members.count += 1;
        members.futures.insert(number, Some(future));
        drop(members);
        let ready = Arc::downgrade(&self.ready);
        Arc::new(Ticket { number, spawned, is_queued: AtomicBool::new(false), ready }).wake();
    }

    /// Polls `wait`, and in between who was woken, until `wait` is ready.
    pub(super) async fn run(&self, mut wait: impl FnMut(&mut Context<'_>) -> Poll<()> + Send) {
        poll_fn(|context| {
            self.ready.waiter.set(context.waker());
            if wait(context).is_ready() {
                return Poll::Ready(());
            }
            // The same turns as a local executor's.
            let mut turn = Turn::begin();
            loop {
                let Some(ticket) = self.ready.next(&turn) else { return Poll::Pending };
                self.poll(ticket);
                if turn.is_over() {
                    break;
                }
            }
            // There may be more, but others are to have their turn.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn poll(&self, ticket: Arc<Ticket>) {
        let number = ticket.number;
        let taken = lock(&self.members).futures.get_mut(&number).and_then(Option::take);
        // It may have ended since.
        let Some(mut future) = taken else { return };
        // Before the poll: a wake from here on is for the next one. Acquire: what the one before has done is seen by this one.
        ticket.is_queued.swap(false, Ordering::AcqRel);
        let waker = Waker::from(ticket);
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            lock(&self.members).futures.insert(number, Some(future));
        } else {
            drop(future);
            lock(&self.members).futures.remove(&number);
        }
    }

    /// Drops all that is left, and whatever comes.
    pub(super) fn close(&self) {
        let mut members = lock(&self.members);
        members.is_closed = true;
        let futures = std::mem::take(&mut members.futures);
        drop(members);
        drop(futures);
    }
}

impl Ready {
    /// Who goes on: the first in the queue, or in a deterministic runtime any.
    fn next(&self, turn: &Turn) -> Option<Arc<Ticket>> {
        let pop = || lock(&self.queue).pop_front();
        if !turn.is_drawn() {
            return pop();
        }
        let drawn = Simulation::draw(pop, |ticket| lock(&self.queue).push_back(ticket))?;
        Simulation::is_polled(None, drawn.spawned);
        Some(drawn)
    }
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(ready) = self.ready.upgrade()
            && !self.is_queued.swap(true, Ordering::AcqRel)
        {
            lock(&ready.queue).push_back(self.clone());
            if let Some(waiter) = ready.waiter.take() {
                waiter.wake();
            }
        }
    }
}
