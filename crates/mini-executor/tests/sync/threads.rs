//! The same across threads: nothing is lost, nobody sleeps for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, scope, spawn, yield_now as yield_thread};

use mini_executor::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use mini_executor::{LocalExecutor, block_on, yield_now};

use crate::poll_once;

const THREADS: u32 = 4;
const ROUNDS: u32 = 2_000;

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn every_sender_thread_s_messages_arrive_in_its_order() {
    for (sender, mut receiver) in [mpsc::bounded(3), mpsc::unbounded()] {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let sender = sender.clone();
                spawn(move || {
                    block_on(async {
                        for number in 0..ROUNDS {
                            sender.send((thread, number)).await.unwrap();
                        }
                    });
                })
            })
            .collect();
        drop(sender);
        let mut next = [0; THREADS as usize];
        block_on(async {
            while let Some((thread, number)) = receiver.recv().await {
                assert_eq!(number, next[thread as usize]);
                next[thread as usize] += 1;
            }
        });
        assert_eq!(next, [ROUNDS; THREADS as usize]);
        join(threads);
    }
}

#[test]
fn a_message_is_sent_if_and_only_if_its_send_came_to_an_end() {
    let (sender, mut receiver) = mpsc::bounded(1);
    let sent = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (sender, sent) = (sender.clone(), sent.clone());
            spawn(move || {
                for number in 0..ROUNDS {
                    let mut sending = sender.send(());
                    let mut is_sent = poll_once(&mut sending).is_ready();
                    if !is_sent && (number + thread) % 3 == 0 {
                        yield_thread();
                        is_sent = poll_once(&mut sending).is_ready();
                    }
                    sent.fetch_add(u32::from(is_sent), Ordering::Relaxed);
                    drop(sending);
                    // Now and then one that has to come through, whatever the cancelled ones did.
                    if number % 16 == 0 {
                        block_on(sender.send(())).unwrap();
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let mut received = 0;
    while block_on(receiver.recv()).is_some() {
        received += 1;
    }
    join(threads);
    assert_eq!(received, sent.load(Ordering::Relaxed));
}

#[test]
fn a_receiver_that_goes_gives_every_message_an_end() {
    for round in 0..200 {
        let (sender, mut receiver) = mpsc::bounded(2);
        let message = Arc::new(());
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (sender, message) = (sender.clone(), message.clone());
                spawn(move || while block_on(sender.send(message.clone())).is_ok() {})
            })
            .collect();
        for _ in 0..round % 8 {
            assert!(block_on(receiver.recv()).is_some());
        }
        drop(receiver);
        join(threads);
        assert_eq!(Arc::strong_count(&message), 1);
    }
}

#[test]
fn answers_come_from_other_threads() {
    let (sender, mut receiver) = mpsc::unbounded::<(u32, oneshot::Sender<u32>)>();
    let server = spawn(move || {
        block_on(async {
            while let Some((number, answer)) = receiver.recv().await {
                match number % 5 {
                    0 => drop(answer),
                    _ => answer.send(number + 1).unwrap_or_default(),
                }
            }
        });
    });
    block_on(async {
        for number in 0..ROUNDS {
            let (answer, mut answered) = oneshot::channel();
            sender.try_send((number, answer)).unwrap();
            if number % 3 == 0 {
                // Given up after one look.
                let _ = poll_once(&mut answered);
            } else {
                assert_eq!(answered.await.ok(), (number % 5 != 0).then_some(number + 1));
            }
        }
    });
    drop(sender);
    server.join().unwrap();
}

#[test]
fn the_mutex_keeps_threads_and_tasks_apart() {
    let counter = Mutex::new(0);
    scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let executor = LocalExecutor::new();
                let mut tasks = Vec::new();
                let unit = async || {
                    for round in 0..ROUNDS / 4 {
                        // Some give up as soon as they have to wait, be it that they get their turn in this moment.
                        if round % 4 == 0 {
                            drop(poll_once(&mut counter.lock()));
                        }
                        let mut counter = counter.lock().await;
                        let before = *counter;
                        if round % 64 == 0 {
                            yield_now().await;
                        }
                        *counter = before + 1;
                    }
                };
                executor.spawn_many((0..4).map(|_| unit()), &mut tasks);
                block_on(executor.run(async {
                    for task in tasks {
                        task.await;
                    }
                }));
            });
        }
    });
    assert_eq!(counter.into_inner(), THREADS * ROUNDS);
}

#[test]
fn permits_are_neither_lost_nor_made() {
    let semaphore = Semaphore::new(3);
    let inside = AtomicU32::new(0);
    scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    if round % 3 == 0 {
                        drop(poll_once(&mut semaphore.acquire()));
                    }
                    let permit = block_on(semaphore.acquire());
                    assert!(inside.fetch_add(1, Ordering::Relaxed) < 3);
                    inside.fetch_sub(1, Ordering::Relaxed);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn no_notification_is_lost_between_threads() {
    // Two threads hand a turn to one another, through `notify_one`; a third looks on, through `notify_waiters`.
    let (ping, pong, all) = (Notify::new(), Notify::new(), Notify::new());
    let (turn, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                for round in 0..ROUNDS {
                    turn.store(2 * round + 1, Ordering::Relaxed);
                    ping.notify_one();
                    pong.notified().await;
                    assert_eq!(turn.load(Ordering::Relaxed), 2 * round + 2);
                    all.notify_waiters();
                }
                is_over.store(true, Ordering::Relaxed);
                all.notify_waiters();
            });
        });
        scope.spawn(|| {
            block_on(async {
                for round in 0..ROUNDS {
                    ping.notified().await;
                    assert_eq!(turn.load(Ordering::Relaxed), 2 * round + 1);
                    turn.store(2 * round + 2, Ordering::Relaxed);
                    pong.notify_one();
                }
            });
        });
        scope.spawn(|| {
            block_on(async {
                loop {
                    let notified = all.notified();
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    notified.await;
                }
            });
        });
    });
}

#[test]
fn a_dropped_waiter_on_one_thread_does_not_swallow_a_notification() {
    let notify = Notify::new();
    let (taken, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let mut notified = notify.notified();
                if poll_once(&mut notified).is_ready() {
                    taken.fetch_add(1, Ordering::Release);
                }
            }
        });
        scope.spawn(|| {
            for round in 0..ROUNDS {
                notify.notify_one();
                while taken.load(Ordering::Acquire) == round {
                    yield_thread();
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
    });
    assert_eq!(taken.into_inner(), ROUNDS);
}
