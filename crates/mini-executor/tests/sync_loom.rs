//! Every order in which threads can come by the locks and atomics of `sync`, for small programmes.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test -p mini-executor --release --test sync_loom --target-dir target/loom
//! ```
//! loom fails a model when all its threads sleep, which is what a lost wake-up comes to, and when a cell is used by two of them without
//! one's use having happened before the other's.
#![cfg(loom)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread::spawn;
use mini_executor::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};

/// A thread that sleeps, in loom's way.
struct Sleeper(loom::sync::Notify);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let sleeper = Arc::new(Sleeper(loom::sync::Notify::new()));
    let waker = Waker::from(sleeper.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        sleeper.0.wait();
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What no two threads may touch at once.
struct Guarded(UnsafeCell<u32>);

// SAFETY: this is what the models test: loom fails where two threads use the cell without an order between them.
unsafe impl Sync for Guarded {}
// SAFETY: a number may go anywhere.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn add_one(&self) {
        // SAFETY: loom checks that nobody else uses the cell.
        self.0.with_mut(|number| unsafe { *number += 1 });
    }

    fn get(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|number| unsafe { *number })
    }
}

#[test]
fn a_mutex_is_one_thread_s_at_a_time_and_passes_on_what_was_done() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(()), Guarded::new()));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                spawn(move || {
                    let _guard = block_on(shared.0.lock());
                    shared.1.add_one();
                })
            })
            .collect();
        {
            let _guard = block_on(shared.0.lock());
            shared.1.add_one();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(shared.1.get(), 3);
    });
}

#[test]
fn a_cancelled_waiter_passes_its_turn_on() {
    loom::model(|| {
        let shared = Arc::new((Semaphore::new(1), Guarded::new()));
        let permit = shared.0.try_acquire().unwrap();
        let cancelling = spawn({
            let shared = shared.clone();
            move || drop(poll_once(&mut shared.0.acquire()))
        });
        let waiting = spawn({
            let shared = shared.clone();
            move || {
                let _permit = block_on(shared.0.acquire());
                shared.1.add_one();
            }
        });
        shared.1.add_one();
        drop(permit);
        cancelling.join().unwrap();
        waiting.join().unwrap();
        assert_eq!((shared.1.get(), shared.0.available_permits()), (2, 1));
    });
}

#[test]
fn a_receiver_that_goes_ends_every_send() {
    loom::model(|| {
        let (sender, receiver) = mpsc::bounded(1);
        sender.try_send(1).unwrap();
        let waiting = spawn(move || block_on(sender.send(2)).is_err());
        drop(receiver);
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_notification_is_not_lost_to_one_who_stops_waiting() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let cancelling = spawn({
            let notify = notify.clone();
            move || {
                if poll_once(&mut notify.notified()).is_ready() {
                    // It was first. Another for the one that waits.
                    notify.notify_one();
                }
            }
        });
        let waiting = spawn({
            let notify = notify.clone();
            move || block_on(notify.notified())
        });
        notify.notify_one();
        cancelling.join().unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn who_is_notified_sees_what_was_done_before() {
    loom::model(|| {
        let shared = Arc::new((Notify::new(), Guarded::new()));
        let waiting = spawn({
            let shared = shared.clone();
            move || {
                block_on(shared.0.notified());
                shared.1.get()
            }
        });
        shared.1.add_one();
        shared.0.notify_one();
        assert_eq!(waiting.join().unwrap(), 1);
    });
}

#[test]
fn asking_looking_waiting_misses_no_round() {
    loom::model(|| {
        let shared = Arc::new((Notify::new(), AtomicBool::new(false)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                spawn(move || {
                    let notified = shared.0.notified();
                    if !shared.1.load(Ordering::Acquire) {
                        block_on(notified);
                        assert!(shared.1.load(Ordering::Acquire));
                    }
                })
            })
            .collect();
        shared.1.store(true, Ordering::Release);
        shared.0.notify_waiters();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_round_that_comes_with_a_permit_wakes_who_has_asked_and_leaves_the_permit() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let mut before = notify.notified();
        let round = spawn({
            let notify = notify.clone();
            move || notify.notify_waiters()
        });
        notify.notify_one();
        round.join().unwrap();
        // Whichever came first: it was asked for before the round, and needs no permit.
        assert!(poll_once(&mut before).is_ready());
        assert!(poll_once(&mut notify.notified()).is_ready());
        assert!(poll_once(&mut notify.notified()).is_pending());
    });
}

#[test]
fn a_round_that_comes_with_a_permit_leaves_nobody_asleep() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let waiting = spawn({
            let notify = notify.clone();
            // In the line when they come, or behind either.
            move || block_on(notify.notified())
        });
        let round = spawn({
            let notify = notify.clone();
            move || notify.notify_waiters()
        });
        notify.notify_one();
        waiting.join().unwrap();
        round.join().unwrap();
        let is_kept = poll_once(&mut notify.notified()).is_ready();
        assert!(!is_kept || poll_once(&mut notify.notified()).is_pending(), "there was one permit");
    });
}

#[test]
fn an_answer_or_its_absence_arrives() {
    for sends in [true, false] {
        loom::model(move || {
            let (sender, receiver) = oneshot::channel();
            let answering = spawn(move || {
                if sends {
                    sender.send(7).unwrap();
                }
            });
            assert_eq!(block_on(receiver).ok(), sends.then_some(7));
            answering.join().unwrap();
        });
    }
}

#[test]
fn messages_arrive_whoever_waits_or_gives_up() {
    loom::model(|| {
        let (sender, mut receiver) = mpsc::bounded(1);
        let cancelling = spawn({
            let sender = sender.clone();
            move || poll_once(&mut sender.send(1)).is_ready()
        });
        let sending = spawn(move || {
            block_on(sender.send(2)).unwrap();
        });
        let mut received = 0;
        while let Some(message) = block_on(receiver.recv()) {
            received += message;
        }
        sending.join().unwrap();
        assert_eq!(received, 2 + u32::from(cancelling.join().unwrap()));
    });
}
