//! Stackful coroutines by corosensei, taking turns on one thread: a queue, and nothing else around them.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::{Runtime, one};
use crate::capability::{BlockingChannel, BlockingLock, Jobs, NoTcp, Threads};
use crate::workloads::{OnThreads, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "coroutine",
    version: concat!("corosensei ", env!("VERSION_COROSENSEI")),
    tags: &["stackful", "no_timers"],
    threads: one,
    offer: offer::<OnThreads<Coroutines>>,
};

/// A coroutine's stack, bytes. Only pages that are touched are there.
const STACK: usize = 64 << 10;

type Body = Coroutine<(), (), (), DefaultStack>;

/// A coroutine with what its scheduler has to know of it.
struct Fiber {
    body: RefCell<Option<Body>>,
    /// While it runs: how to leave it.
    yielder: Cell<*const Yielder<(), ()>>,
    /// Whether it stands in the queue.
    queued: Cell<bool>,
    parked: Cell<bool>,
    /// A wake that came while it was not parked: its next park returns at once.
    woken: Cell<bool>,
    result: Cell<Option<std::thread::Result<u64>>>,
    joiner: RefCell<Option<Rc<Fiber>>>,
}

thread_local! {
    static QUEUE: RefCell<VecDeque<Rc<Fiber>>> = const { RefCell::new(VecDeque::new()) };
    static CURRENT: RefCell<Option<Rc<Fiber>>> = const { RefCell::new(None) };
    /// Stacks of ended coroutines: mapping a new one costs two system calls, and page faults.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// Names a fiber.
#[derive(Clone)]
struct Unit(Rc<Fiber>);

// SAFETY: this contender has one thread while coroutines exist, so nothing is ever sent or shared. The bounds are there because
// the units of others are.
unsafe impl Send for Unit {}
// SAFETY: as above.
unsafe impl Sync for Unit {}

impl Fiber {
    fn new(job: impl FnOnce() -> u64 + 'static) -> io::Result<Rc<Self>> {
        let reused = STACKS.with_borrow_mut(Vec::pop);
        let stack = reused.map_or_else(|| DefaultStack::new(STACK), Ok)?;
        let body = Coroutine::with_stack(stack, |yielder: &Yielder<(), ()>, ()| {
            let fiber = this();
            fiber.yielder.set(yielder);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            fiber.result.set(Some(result));
        });
        let fiber = Rc::new(Self {
            body: RefCell::new(Some(body)),
            yielder: Cell::new(std::ptr::null()),
            queued: Cell::new(true),
            parked: Cell::new(false),
            woken: Cell::new(false),
            result: Cell::new(None),
            joiner: RefCell::new(None),
        });
        QUEUE.with_borrow_mut(|queue| queue.push_back(Rc::clone(&fiber)));
        Ok(fiber)
    }

    /// Runs it until it leaves or ends.
    fn turn(self: &Rc<Self>) {
        self.queued.set(false);
        CURRENT.with_borrow_mut(|current| *current = Some(Rc::clone(self)));
        let mut body = self.body.borrow_mut();
        let Some(coroutine) = body.as_mut() else { return };
        if let CoroutineResult::Return(()) = coroutine.resume(()) {
            let stack = body.take().expect("it just ran").into_stack();
            STACKS.with_borrow_mut(|stacks| stacks.push(stack));
            if let Some(joiner) = self.joiner.borrow_mut().take() {
                joiner.wake();
            }
        }
    }

    fn wake(self: &Rc<Self>) {
        if self.queued.replace(true) {
            return;
        }
        QUEUE.with_borrow_mut(|queue| queue.push_back(Rc::clone(self)));
    }

    /// Leaves the running coroutine; comes back when it has its next turn.
    fn leave(&self) {
        // SAFETY: the yielder was stored by this very coroutine when it began, lives on its stack until it ends, and only
        // the coroutine itself comes here.
        unsafe { &*self.yielder.get() }.suspend(());
    }
}

fn this() -> Rc<Fiber> {
    CURRENT.with_borrow(Clone::clone).expect("called from inside a coroutine")
}

struct Coroutines;

/// How many stacks a process can have here: a stack and its guard are two mappings.
pub(super) fn most_stacks() -> (u64, &'static str) {
    let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    ((maps.trim().parse::<u64>().unwrap_or(65_530) / 2).saturating_sub(500), "vm.max_map_count")
}

/// Joins a coroutine; never sent, see [`Unit`].
struct Handle(Unit);

impl Jobs for Coroutines {
    type Handle = Handle;

    fn start() -> io::Result<()> {
        Ok(())
    }

    fn at_once() -> Option<usize> {
        None
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> Handle {
        Handle(Unit(Fiber::new(job).expect("a stack can be mapped")))
    }

    fn join(handle: Handle) -> u64 {
        let Handle(Unit(fiber)) = handle;
        loop {
            if let Some(result) = fiber.result.take() {
                return result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
            *fiber.joiner.borrow_mut() = Some(this());
            this().leave();
        }
    }
}

impl Threads for Coroutines {
    type Unit = Unit;
    type Channel = Channel;
    type Lock = Lock;
    type Tcp = NoTcp;
    const NO_SLEEP: Option<&'static str> = Some("a coroutine is a stack and a switch: it has no timers");
    const NO_FOREIGN_WAKE: Option<&'static str> =
        Some("its coroutines never leave their thread, and nothing waits there to be woken");

    fn run(root: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        let root = Fiber::new(root).expect("a stack can be mapped");
        while let Some(fiber) = QUEUE.with_borrow_mut(VecDeque::pop_front) {
            fiber.turn();
        }
        let result =
            root.result.take().expect("when nobody is queued, the root has ended: no coroutine waits for a stranger");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn yield_now() {
        let fiber = this();
        fiber.wake();
        fiber.leave();
    }

    fn sleep(time: Duration) {
        std::thread::sleep(time);
    }

    fn this() -> Unit {
        Unit(this())
    }

    fn park() {
        let fiber = this();
        if !fiber.woken.replace(false) {
            fiber.parked.set(true);
            fiber.leave();
        }
    }

    fn unpark(unit: &Unit) {
        if unit.0.parked.replace(false) {
            unit.0.wake();
        } else {
            unit.0.woken.set(true);
        }
    }

    fn most() -> (u64, &'static str) {
        most_stacks()
    }
}

/// corosensei has no channels and no locks; these are the least that takes turns.
struct Channel;

#[derive(Default)]
struct Queue {
    messages: RefCell<VecDeque<u64>>,
    capacity: usize,
    senders: Cell<usize>,
    waiting: RefCell<VecDeque<Unit>>,
}

/// Both ends of a channel; never sent, see [`Unit`].
struct End {
    queue: Rc<Queue>,
    sends: bool,
}

// SAFETY: see `Unit`.
unsafe impl Send for End {}

impl Queue {
    fn wake_all(&self) {
        for unit in self.waiting.take() {
            Coroutines::unpark(&unit);
        }
    }

    fn wait(&self) {
        self.waiting.borrow_mut().push_back(Coroutines::this());
        Coroutines::park();
    }
}

impl Clone for End {
    fn clone(&self) -> Self {
        self.queue.senders.set(self.queue.senders.get() + 1);
        Self { queue: Rc::clone(&self.queue), sends: true }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.sends {
            self.queue.senders.set(self.queue.senders.get() - 1);
            self.queue.wake_all();
        }
    }
}

impl BlockingChannel for Channel {
    type Sender = End;
    type Receiver = End;

    fn open(capacity: Option<usize>) -> (End, End) {
        let queue = Queue { capacity: capacity.unwrap_or(usize::MAX), senders: Cell::new(1), ..Queue::default() };
        let queue = Rc::new(queue);
        (End { queue: Rc::clone(&queue), sends: true }, End { queue, sends: false })
    }

    fn send(sender: &End, message: u64) {
        while sender.queue.messages.borrow().len() >= sender.queue.capacity {
            sender.queue.wait();
        }
        sender.queue.messages.borrow_mut().push_back(message);
        sender.queue.wake_all();
    }

    fn receive(receiver: &End) -> Option<u64> {
        loop {
            if let Some(message) = receiver.queue.messages.borrow_mut().pop_front() {
                receiver.queue.wake_all();
                return Some(message);
            }
            if receiver.queue.senders.get() == 0 {
                return None;
            }
            receiver.queue.wait();
        }
    }
}

struct Lock {
    number: Cell<u64>,
    held: Cell<bool>,
    waiting: RefCell<VecDeque<Unit>>,
}

// SAFETY: see `Unit`.
unsafe impl Send for Lock {}
// SAFETY: see `Unit`.
unsafe impl Sync for Lock {}

impl BlockingLock for Lock {
    fn new(value: u64) -> Self {
        Self { number: Cell::new(value), held: Cell::new(false), waiting: RefCell::default() }
    }

    fn with(&self, change: impl FnOnce(&mut u64)) -> u64 {
        while self.held.replace(true) {
            self.waiting.borrow_mut().push_back(Coroutines::this());
            Coroutines::park();
        }
        let mut number = self.number.get();
        change(&mut number);
        self.number.set(number);
        self.held.set(false);
        let next = self.waiting.borrow_mut().pop_front();
        next.iter().for_each(Coroutines::unpark);
        number
    }
}
