//! Several threads do what they like with one another's tasks: everything is dropped once, nothing hangs.
//!
//! What is done is drawn from a seed; how the threads fall in step is not. `MINI_STRESS=n` multiplies the number of steps.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
#[cfg(not(tsan))]
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};

use mini_executor::{LocalExecutor, Task, set_unhandled_hook, yield_now};

#[cfg(tsan)]
#[path = "../src/spin.rs"]
mod spin;
#[cfg(tsan)]
use spin::Mutex;

/// A stream of numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// How many of a kind were made and not dropped.
#[derive(Default)]
struct Ledger {
    futures: AtomicI64,
    outputs: AtomicI64,
}

/// What is thrown on purpose: the hooks keep quiet about it.
struct OnPurpose;

/// Part of each future and each output. Dropped twice it would touch freed memory, and spoil the count.
struct Guard {
    ledger: Arc<Ledger>,
    kind: fn(&Ledger) -> &AtomicI64,
    is_grenade: bool,
    alive: Box<bool>,
}

impl Guard {
    fn new(ledger: &Arc<Ledger>, kind: fn(&Ledger) -> &AtomicI64, dice: &mut Dice) -> Self {
        kind(ledger).fetch_add(1, Ordering::Relaxed);
        Self { ledger: ledger.clone(), kind, is_grenade: dice.roll(50) == 0, alive: Box::new(true) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        assert!(std::mem::replace(&mut *self.alive, false));
        (self.kind)(&self.ledger).fetch_sub(1, Ordering::Relaxed);
        if self.is_grenade && !std::thread::panicking() {
            panic_any(OnPurpose);
        }
    }
}

/// What the threads hand to one another.
enum Thing {
    Waker(Waker),
    Task(Task<Guard>),
}

type Exchange = Arc<Mutex<Vec<Thing>>>;

fn give(exchange: &Exchange, thing: Thing) {
    let mut things = exchange.lock().unwrap();
    let former = if things.len() > 100 { Some(things.swap_remove(0)) } else { None };
    things.push(thing);
    drop(things);
    drop_carefully(former);
}

fn take(exchange: &Exchange, dice: &mut Dice) -> Option<Thing> {
    let mut things = exchange.lock().unwrap();
    let at = dice.roll(things.len().max(1) as u64) as usize;
    (at < things.len()).then(|| things.swap_remove(at))
}

/// Strangers' destructors may panic: on purpose, or the test has failed.
fn drop_carefully<T>(thing: T) {
    carefully(|| drop(thing));
}

fn carefully<R>(act: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(act)).inspect_err(|panic| assert!(panic.is::<OnPurpose>())).ok()
}

/// A waker of no task.
struct Stranger;

impl Wake for Stranger {
    fn wake(self: Arc<Self>) {}
}

fn future(ledger: &Arc<Ledger>, exchange: &Exchange, dice: &mut Dice) -> impl Future<Output = Guard> + 'static {
    let guard = Guard::new(ledger, |ledger| &ledger.futures, dice);
    let output = Guard::new(ledger, |ledger| &ledger.outputs, dice);
    let mut dice = Dice(dice.roll(u64::MAX));
    let exchange = exchange.clone();
    async move {
        for _ in 0..dice.roll(5) {
            match dice.roll(8) {
                0..3 => yield_now().await,
                3..5 => {
                    let mut has_given = false;
                    poll_fn(|context| {
                        if std::mem::replace(&mut has_given, true) {
                            return Poll::Ready(());
                        }
                        for _ in 0..=dice.roll(3) {
                            give(&exchange, Thing::Waker(context.waker().clone()));
                        }
                        Poll::Pending
                    })
                    .await;
                }
                5 => {
                    if let Some(Thing::Task(task)) = take(&exchange, &mut dice) {
                        drop(task.fallible().await);
                    }
                }
                6 if dice.roll(4) == 0 => panic_any(OnPurpose),
                _ => drop(take(&exchange, &mut dice)),
            }
        }
        // Not left to the end of the block: where a local's destructor panics there, the compiler forgets the block's value
        // (rust-lang/rust#47949).
        drop(guard);
        output
    }
}

fn meddle(thing: Thing, exchange: &Exchange, dice: &mut Dice) {
    match thing {
        Thing::Waker(waker) => match dice.roll(5) {
            0 => waker.wake(),
            1 => {
                waker.wake_by_ref();
                give(exchange, Thing::Waker(waker));
            }
            2 => give(exchange, Thing::Waker(waker.clone())),
            3 => {
                let copy = waker.clone();
                drop(waker);
                copy.wake();
            }
            _ => drop(waker),
        },
        Thing::Task(mut task) => match dice.roll(7) {
            0 => drop(task),
            1 => task.detach(),
            2 => {
                let mut cancelled = Box::pin(task.cancel());
                let _ = cancelled.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            3 => {
                assert!(!task.is_finished() || task.is_finished());
                give(exchange, Thing::Task(task));
            }
            sides => {
                let stranger = Waker::from(Arc::new(Stranger));
                let waker = if sides == 4 { Waker::noop() } else { &stranger };
                if Pin::new(&mut task).poll(&mut Context::from_waker(waker)).is_pending() {
                    give(exchange, Thing::Task(task));
                }
            }
        },
    }
}

fn thread(steps: u64, ledger: &Arc<Ledger>, exchange: &Exchange, mut dice: Dice) {
    let dice = &mut dice;
    let mut executor = LocalExecutor::new();
    let mut nested = LocalExecutor::new();
    for _ in 0..steps {
        match dice.roll(20) {
            0..6 => {
                let on = if dice.roll(4) == 0 { &nested } else { &executor };
                let task = on.spawn(future(ledger, exchange, dice));
                if dice.roll(3) == 0 {
                    meddle_carefully(Thing::Task(task), exchange, dice);
                } else {
                    give(exchange, Thing::Task(task));
                }
            }
            6..13 => {
                for _ in 0..dice.roll(8) {
                    carefully(|| executor.try_tick());
                }
            }
            13 => {
                carefully(|| nested.try_tick());
            }
            19 if dice.roll(10) == 0 => {
                drop_carefully(std::mem::take(if dice.roll(2) == 0 { &mut nested } else { &mut executor }));
            }
            _ => {
                if let Some(thing) = take(exchange, dice) {
                    meddle_carefully(thing, exchange, dice);
                }
            }
        }
    }
    drop_carefully(executor);
    drop_carefully(nested);
}

/// A handle that is polled panics as its task did, or because there will be no result.
fn meddle_carefully(thing: Thing, exchange: &Exchange, dice: &mut Dice) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| meddle(thing, exchange, dice))) {
        let has_no_result = panic.downcast_ref::<String>().is_some_and(|message| message.contains("it has no result"));
        assert!(panic.is::<OnPurpose>() || has_no_result, "{:?}", panic.downcast_ref::<String>());
    }
}

fn be_quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        set_unhandled_hook(|panic| assert!(panic.payload.is::<OnPurpose>(), "{panic}"));
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let is_known = payload.downcast_ref::<String>().is_some_and(|message| message.contains("it has no result"));
            if !payload.is::<OnPurpose>() && !is_known {
                loud(info);
            }
        }));
    });
}

fn factor() -> u64 {
    std::env::var("MINI_STRESS").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

#[test]
fn threads_meddle_with_one_anothers_tasks_and_everything_is_dropped_once() {
    be_quiet();
    for seed in 0..30 * factor() {
        let (ledger, exchange) = (Arc::<Ledger>::default(), Exchange::default());
        let mut dice = Dice(seed);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (ledger, exchange, dice) = (ledger.clone(), exchange.clone(), Dice(dice.roll(u64::MAX)));
                std::thread::spawn(move || thread(4_000, &ledger, &exchange, dice))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        // What is left belongs to executors that are gone: wakers of done tasks, handles whose results nobody took.
        loop {
            let Some(thing) = exchange.lock().unwrap().pop() else { break };
            drop_carefully(thing);
        }
        assert_eq!(ledger.futures.load(Ordering::Relaxed), 0, "seed {seed}: futures");
        assert_eq!(ledger.outputs.load(Ordering::Relaxed), 0, "seed {seed}: outputs");
    }
}
