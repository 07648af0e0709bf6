//! Random sequences of operations, against the simplest thing that has the same rules.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;

use mini_executor::sync::mpsc::{self, SendError, TrySendError};
use mini_executor::sync::{Acquiring, Notified, Notify, Permit, Semaphore};
use proptest::prelude::*;

use crate::poll_once;

#[derive(Clone, Debug)]
enum ChannelStep {
    TrySend,
    /// Begins a send, and polls it once.
    Send,
    /// Polls one of the sends that were begun.
    Poll(usize),
    /// Drops one.
    Cancel(usize),
    TryRecv,
    DropReceiver,
}

fn channel_step() -> impl Strategy<Value = ChannelStep> {
    prop_oneof![
        4 => Just(ChannelStep::TrySend),
        6 => Just(ChannelStep::Send),
        6 => any::<usize>().prop_map(ChannelStep::Poll),
        3 => any::<usize>().prop_map(ChannelStep::Cancel),
        8 => Just(ChannelStep::TryRecv),
        1 => Just(ChannelStep::DropReceiver),
    ]
}

/// The rules of a bounded channel: who waits stands in one line, and the front of it has the free places.
#[derive(Default)]
struct ChannelModel {
    queue: VecDeque<u32>,
    /// Unsent messages of those that wait, in the order they came.
    line: Vec<u32>,
    is_closed: bool,
}

impl ChannelModel {
    /// Whether the sender at this place in the line may send now.
    fn may_send(&self, place: usize, capacity: usize) -> bool {
        !self.is_closed && self.queue.len() + place < capacity
    }
}

proptest! {
    #[test]
    fn a_channel_does_what_its_model_does(
        capacity in 1_usize..5,
        is_bounded in any::<bool>(),
        steps in prop::collection::vec(channel_step(), 0..120),
    ) {
        let (sender, receiver) = if is_bounded { mpsc::bounded(capacity) } else { mpsc::unbounded() };
        let capacity = if is_bounded { capacity } else { usize::MAX };
        let mut receiver = Some(receiver);
        let mut model = ChannelModel::default();
        // Beside the model's line, in the same order.
        let mut sending = Vec::new();
        for (number, step) in (0_u32..).zip(steps) {
            match step {
                ChannelStep::TrySend => {
                    let expected = if model.is_closed {
                        Err(TrySendError::Disconnected(number))
                    } else if model.may_send(model.line.len(), capacity) {
                        model.queue.push_back(number);
                        Ok(())
                    } else {
                        Err(TrySendError::Full(number))
                    };
                    prop_assert_eq!(sender.try_send(number), expected);
                }
                ChannelStep::Send => {
                    let mut future = sender.send(number);
                    let polled = poll_once(&mut future);
                    if model.is_closed {
                        prop_assert_eq!(polled, Poll::Ready(Err(SendError(number))));
                    } else if model.may_send(model.line.len(), capacity) {
                        prop_assert_eq!(polled, Poll::Ready(Ok(())));
                        model.queue.push_back(number);
                    } else {
                        prop_assert_eq!(polled, Poll::Pending);
                        model.line.push(number);
                        sending.push(future);
                    }
                }
                ChannelStep::Poll(place) if !sending.is_empty() => {
                    let place = place % sending.len();
                    let polled = poll_once(&mut sending[place]);
                    if model.is_closed {
                        prop_assert_eq!(polled, Poll::Ready(Err(SendError(model.line.remove(place)))));
                        drop(sending.remove(place));
                    } else if model.may_send(place, capacity) {
                        prop_assert_eq!(polled, Poll::Ready(Ok(())));
                        model.queue.push_back(model.line.remove(place));
                        drop(sending.remove(place));
                    } else {
                        prop_assert_eq!(polled, Poll::Pending);
                    }
                }
                ChannelStep::Cancel(place) if !sending.is_empty() => {
                    let place = place % sending.len();
                    drop(sending.remove(place));
                    model.line.remove(place);
                }
                ChannelStep::Poll(_) | ChannelStep::Cancel(_) => {}
                ChannelStep::TryRecv => {
                    let message = receiver.as_mut().and_then(|receiver| receiver.try_recv().ok());
                    prop_assert_eq!(message, model.queue.pop_front());
                }
                ChannelStep::DropReceiver => {
                    receiver = None;
                    model.queue.clear();
                    model.is_closed = true;
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum PermitStep {
    TryAcquire,
    /// Begins to acquire, and polls once.
    Acquire,
    Poll(usize),
    Cancel(usize),
    /// Drops a permit that was acquired.
    Release(usize),
}

fn permit_step() -> impl Strategy<Value = PermitStep> {
    prop_oneof![
        4 => Just(PermitStep::TryAcquire),
        8 => Just(PermitStep::Acquire),
        6 => any::<usize>().prop_map(PermitStep::Poll),
        4 => any::<usize>().prop_map(PermitStep::Cancel),
        8 => any::<usize>().prop_map(PermitStep::Release),
    ]
}

/// Another way to say it than the code's: a permit is handed to the first in the line, and is its own from then on.
#[derive(Default)]
struct PermitModel {
    free: usize,
    /// Those who asked, in order: whether they have theirs.
    line: Vec<bool>,
}

impl PermitModel {
    fn give(&mut self) {
        match self.line.iter_mut().find(|has_permit| !**has_permit) {
            Some(has_permit) => *has_permit = true,
            None => self.free += 1,
        }
    }

    fn try_take(&mut self) -> bool {
        let is_free = self.free > 0;
        self.free -= usize::from(is_free);
        is_free
    }
}

proptest! {
    #[test]
    fn a_semaphore_does_what_its_model_does(
        permits in 0_usize..5,
        steps in prop::collection::vec(permit_step(), 0..120),
    ) {
        let semaphore = Semaphore::new(permits);
        let mut model = PermitModel { free: permits, ..PermitModel::default() };
        let mut acquiring: Vec<Pin<Box<Acquiring<'_>>>> = Vec::new();
        let mut acquired: Vec<Permit<'_>> = Vec::new();
        for step in steps {
            match step {
                PermitStep::TryAcquire => {
                    let permit = semaphore.try_acquire();
                    prop_assert_eq!(permit.is_some(), model.try_take());
                    acquired.extend(permit);
                }
                PermitStep::Acquire => {
                    let mut future = Box::pin(semaphore.acquire());
                    let polled = poll_once(&mut future);
                    prop_assert_eq!(polled.is_ready(), model.try_take());
                    match polled {
                        Poll::Ready(permit) => acquired.push(permit),
                        Poll::Pending => {
                            acquiring.push(future);
                            model.line.push(false);
                        }
                    }
                }
                PermitStep::Poll(place) if !acquiring.is_empty() => {
                    let place = place % acquiring.len();
                    let polled = poll_once(&mut acquiring[place]);
                    prop_assert_eq!(polled.is_ready(), model.line[place]);
                    if let Poll::Ready(permit) = polled {
                        acquired.push(permit);
                        drop(acquiring.remove(place));
                        model.line.remove(place);
                    }
                }
                PermitStep::Cancel(place) if !acquiring.is_empty() => {
                    let place = place % acquiring.len();
                    drop(acquiring.remove(place));
                    if model.line.remove(place) {
                        model.give();
                    }
                }
                PermitStep::Release(place) if !acquired.is_empty() => {
                    drop(acquired.remove(place % acquired.len()));
                    model.give();
                }
                PermitStep::Poll(_) | PermitStep::Cancel(_) | PermitStep::Release(_) => {}
            }
            prop_assert_eq!(semaphore.available_permits(), model.free);
        }
    }
}

#[derive(Clone, Debug)]
enum NotifyStep {
    Ask,
    Poll(usize),
    Cancel(usize),
    NotifyOne,
    NotifyWaiters,
}

fn notify_step() -> impl Strategy<Value = NotifyStep> {
    prop_oneof![
        6 => Just(NotifyStep::Ask),
        8 => any::<usize>().prop_map(NotifyStep::Poll),
        3 => any::<usize>().prop_map(NotifyStep::Cancel),
        4 => Just(NotifyStep::NotifyOne),
        1 => Just(NotifyStep::NotifyWaiters),
    ]
}

/// What a future of the model has come to.
#[derive(Clone, Copy, PartialEq)]
enum Notice {
    /// Not polled yet.
    None,
    /// It waits, since this step.
    Waits(usize),
    /// By `notify_one`: passed on when the future is dropped.
    One,
    All,
}

#[derive(Default)]
struct NotifyModel {
    has_permit: bool,
    futures: Vec<Notice>,
}

impl NotifyModel {
    fn notify_one(&mut self) {
        let since = |notice: &Notice| if let Notice::Waits(since) = notice { Some(*since) } else { None };
        match self.futures.iter_mut().filter(|notice| since(notice).is_some()).min_by_key(|notice| since(notice)) {
            Some(longest) => *longest = Notice::One,
            None => self.has_permit = true,
        }
    }
}

proptest! {
    #[test]
    fn a_notify_does_what_its_model_does(steps in prop::collection::vec(notify_step(), 0..120)) {
        let notify = Notify::new();
        let mut model = NotifyModel::default();
        // Beside the model's, in the same order.
        let mut futures: Vec<Pin<Box<Notified<'_>>>> = Vec::new();
        for (now, step) in steps.into_iter().enumerate() {
            match step {
                NotifyStep::Ask => {
                    futures.push(Box::pin(notify.notified()));
                    model.futures.push(Notice::None);
                }
                NotifyStep::Poll(place) if !futures.is_empty() => {
                    let place = place % futures.len();
                    let is_ready = match model.futures[place] {
                        Notice::None if model.has_permit => {
                            model.has_permit = false;
                            true
                        }
                        Notice::None => {
                            model.futures[place] = Notice::Waits(now);
                            false
                        }
                        Notice::Waits(_) => false,
                        Notice::One | Notice::All => true,
                    };
                    prop_assert_eq!(poll_once(&mut futures[place]).is_ready(), is_ready);
                    if is_ready {
                        drop(futures.remove(place));
                        model.futures.remove(place);
                    }
                }
                NotifyStep::Cancel(place) if !futures.is_empty() => {
                    let place = place % futures.len();
                    drop(futures.remove(place));
                    if model.futures.remove(place) == Notice::One {
                        model.notify_one();
                    }
                }
                NotifyStep::Poll(_) | NotifyStep::Cancel(_) => {}
                NotifyStep::NotifyOne => {
                    notify.notify_one();
                    model.notify_one();
                }
                NotifyStep::NotifyWaiters => {
                    notify.notify_waiters();
                    let unnotified = model.futures.iter_mut().filter(|notice| **notice != Notice::One);
                    unnotified.for_each(|notice| *notice = Notice::All);
                }
            }
        }
    }
}
