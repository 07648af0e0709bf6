//! Messages: in order, no more than there is room for, none lost, none twice.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use mini_executor::sync::mpsc::{self, SendError, TryRecvError, TrySendError};
use mini_executor::sync::oneshot;
use mini_executor::{LocalExecutor, block_on};

use crate::{Calling, Dropped, Polled, by_hand, poll_once};

#[test]
fn an_answer_arrives_whether_it_is_awaited_before_or_after() {
    let (sender, receiver) = oneshot::channel();
    let mut awaited = by_hand(receiver);
    assert!(awaited.is_pending());
    sender.send(1).unwrap();
    assert_eq!((awaited.wakes(), awaited.poll()), (1, Poll::Ready(Ok(1))));

    let (sender, mut receiver) = oneshot::channel();
    sender.send(2).unwrap();
    assert_eq!(poll_once(&mut receiver), Poll::Ready(Ok(2)));
}

#[test]
fn an_answer_that_will_not_come_is_an_error() {
    let (sender, receiver) = oneshot::channel::<u32>();
    let mut awaited = by_hand(receiver);
    assert!(awaited.is_pending());
    drop(sender);
    assert_eq!((awaited.wakes(), awaited.poll()), (1, Poll::Ready(Err(oneshot::RecvError))));
}

#[test]
fn an_answer_to_nobody_comes_back_and_one_nobody_takes_is_dropped_once() {
    let drops = Cell::new(0);
    let (sender, receiver) = oneshot::channel();
    drop(receiver);
    let back = sender.send(Dropped(&drops)).unwrap_err();
    assert_eq!(drops.get(), 0);
    drop(back);
    assert_eq!(drops.get(), 1);

    let (sender, receiver) = oneshot::channel();
    assert!(sender.send(Dropped(&drops)).is_ok());
    drop(receiver);
    assert_eq!(drops.get(), 2);
}

#[test]
fn an_answer_is_given_once() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    assert_eq!(poll_once(&mut receiver), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(&mut receiver), Poll::Ready(Err(oneshot::RecvError)));
}

#[test]
fn messages_arrive_in_the_order_they_were_sent() {
    for (sender, mut receiver) in [mpsc::bounded(7), mpsc::unbounded()] {
        let executor = LocalExecutor::new();
        executor
            .spawn(async move {
                for number in 0..1000 {
                    sender.send(number).await.unwrap();
                }
            })
            .detach();
        block_on(executor.run(async {
            for number in 0..1000 {
                assert_eq!(receiver.recv().await, Some(number));
            }
            assert_eq!(receiver.recv().await, None);
        }));
    }
}

#[test]
fn a_full_channel_has_senders_wait_until_a_message_is_taken() {
    let (sender, mut receiver) = mpsc::bounded(2);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    let mut sending = by_hand(sender.send(3));
    assert!(sending.is_pending());
    assert_eq!((receiver.try_recv(), sending.wakes()), (Ok(1), 1));
    // The place is promised: nobody else has it meanwhile.
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
    assert_eq!(sending.poll(), Poll::Ready(Ok(())));
    assert_eq!(
        [receiver.try_recv(), receiver.try_recv(), receiver.try_recv()],
        [Ok(2), Ok(3), Err(TryRecvError::Empty)]
    );
}

#[test]
fn waiting_senders_are_served_in_the_order_they_came() {
    let (sender, mut receiver) = mpsc::bounded(1);
    sender.try_send(0).unwrap();
    let mut waiting: Vec<_> = (1..5).map(|number| by_hand(sender.send(number))).collect();
    assert!(waiting.iter_mut().all(Polled::is_pending));
    for number in 0..5 {
        assert_eq!(receiver.try_recv(), Ok(number));
        let ready: Vec<_> = waiting.iter_mut().map(|sending| sending.poll().is_ready()).collect();
        assert_eq!(ready.iter().position(|ready| *ready), (!waiting.is_empty()).then_some(0));
        waiting = waiting.into_iter().skip(1).collect();
    }
}

#[test]
fn a_cancelled_sender_leaves_its_place_to_the_next_and_sends_nothing() {
    let (sender, mut receiver) = mpsc::bounded(1);
    sender.try_send(0).unwrap();
    let mut first = by_hand(sender.send(1));
    let mut second = by_hand(sender.send(2));
    let mut third = by_hand(sender.send(3));
    assert!(first.is_pending() && second.is_pending() && third.is_pending());
    // One that still waits, and one that has just been promised the place.
    drop(second);
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!((first.wakes(), third.wakes()), (1, 0));
    drop(first);
    assert_eq!((third.wakes(), third.poll()), (1, Poll::Ready(Ok(()))));
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(3), Err(TryRecvError::Empty)));

    // With nobody behind, the place is free again.
    sender.try_send(4).unwrap();
    let mut fifth = by_hand(sender.send(5));
    assert!(fifth.is_pending());
    assert_eq!(receiver.try_recv(), Ok(4));
    drop(fifth);
    assert_eq!(sender.try_send(6), Ok(()));
}

#[test]
fn a_cancelled_receive_loses_nothing() {
    for (sender, mut receiver) in [mpsc::bounded(4), mpsc::unbounded()] {
        let mut receiving = by_hand(receiver.recv());
        assert!(receiving.is_pending());
        sender.try_send(1).unwrap();
        assert_eq!(receiving.wakes(), 1);
        drop(receiving);
        assert_eq!(receiver.try_recv(), Ok(1));
    }
}

#[test]
fn a_receiver_that_is_dropped_gives_waiting_messages_back() {
    let (sender, mut receiver) = mpsc::bounded(2);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    let (mut called, mut waiting) = (by_hand(sender.send(3)), by_hand(sender.send(4)));
    assert!(called.is_pending() && waiting.is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    drop(receiver);
    assert!(called.wakes() == 1 && waiting.wakes() == 1);
    assert_eq!(called.poll(), Poll::Ready(Err(SendError(3))));
    assert_eq!(waiting.poll(), Poll::Ready(Err(SendError(4))));
    assert_eq!(sender.try_send(5), Err(TrySendError::Disconnected(5)));
}

#[test]
fn what_was_sent_before_the_last_sender_went_still_arrives() {
    for (sender, mut receiver) in [mpsc::bounded(2), mpsc::unbounded()] {
        sender.try_send(1).unwrap();
        drop(sender);
        assert_eq!(poll_once(&mut receiver.recv()), Poll::Ready(Some(1)));
        assert_eq!(poll_once(&mut receiver.recv()), Poll::Ready(None));
    }
}

#[test]
fn the_last_sender_ends_the_wait_for_messages() {
    for (sender, mut receiver) in [mpsc::bounded::<u32>(1), mpsc::unbounded()] {
        let another = sender.clone();
        let mut receiving = by_hand(receiver.recv());
        assert!(receiving.is_pending());
        drop(sender);
        assert!(receiving.wakes() == 0 && receiving.is_pending());
        drop(another);
        assert_eq!((receiving.wakes(), receiving.poll()), (1, Poll::Ready(None)));
    }
}

#[test]
fn every_message_is_dropped_once_wherever_it_is() {
    let drops = Cell::new(0);
    for (sender, mut receiver) in [mpsc::bounded(4), mpsc::unbounded()] {
        drops.set(0);
        for _ in 0..4 {
            sender.try_send(Dropped(&drops)).unwrap();
        }
        drop(receiver.try_recv());
        assert_eq!(drops.get(), 1);
        sender.try_send(Dropped(&drops)).unwrap();
        let mut waiting = by_hand(sender.send(Dropped(&drops)));
        let is_waiting = waiting.is_pending();
        drop(waiting);
        assert_eq!(drops.get(), if is_waiting { 2 } else { 1 });
        drop(receiver);
        drop(sender);
        assert_eq!(drops.get(), 6);
    }
}

#[test]
fn a_message_may_hold_a_sender_and_use_it_when_it_is_dropped() {
    struct Nosy(mpsc::Sender<Option<Nosy>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            assert!(matches!(self.0.try_send(None), Err(TrySendError::Disconnected(None))));
        }
    }
    for (sender, receiver) in [mpsc::bounded(4), mpsc::unbounded()] {
        sender.try_send(Some(Nosy(sender.clone()))).unwrap();
        drop(receiver);
        assert!(sender.try_send(None).is_err());
    }
}

#[test]
fn wakers_are_called_without_a_lock() {
    let wakes = Arc::new(AtomicU32::new(0));
    let (sender, mut receiver) = mpsc::bounded::<u32>(2);
    let waker = Waker::from(Arc::new(Calling({
        let (wakes, sender) = (wakes.clone(), sender.clone());
        move || {
            wakes.fetch_add(1, Ordering::Relaxed);
            sender.try_send(2).unwrap();
        }
    })));
    {
        let mut receiving = receiver.recv();
        assert!(Pin::new(&mut receiving).poll_with(&waker).is_pending());
    }
    drop(waker);
    sender.try_send(1).unwrap();
    assert_eq!((receiver.try_recv(), receiver.try_recv(), wakes.load(Ordering::Relaxed)), (Ok(1), Ok(2), 1));
}

/// Polling with a waker at hand.
trait PollWith: Future {
    fn poll_with(self: Pin<&mut Self>, waker: &Waker) -> Poll<Self::Output> {
        self.poll(&mut Context::from_waker(waker))
    }
}

impl<F: Future> PollWith for F {}

#[test]
#[should_panic(expected = "capacity 0 would never take a message")]
fn a_channel_without_room_is_refused() {
    let _ = mpsc::bounded::<u32>(0);
}

#[test]
fn bursts_of_any_size_keep_every_message() {
    // The queue grows with the first, and gives the memory back with those that follow.
    let (sender, mut receiver) = mpsc::unbounded();
    for burst in [1, 20_000, 1, 1, 300, 1, 1, 5000, 2, 1, 1, 1, 1, 1, 1, 1, 1] {
        for number in 0..burst {
            sender.try_send(number).unwrap();
        }
        for number in 0..burst {
            assert_eq!(receiver.try_recv(), Ok(number));
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}
