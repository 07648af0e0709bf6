//! may: stackful coroutines on a pool of workers, which steal from one another.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::sync::{Once, PoisonError};
use std::time::Duration;

use may::coroutine::{self, Coroutine, JoinHandle};
use may::net::{TcpListener, TcpStream};
use may::sync::{Mutex, mpsc};

use super::Runtime;
use super::coroutine::most_stacks;
use crate::capability::{BlockingChannel, BlockingLock, BlockingTcp, Jobs, Threads, workers};
use crate::workloads::{OnThreads, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "may",
    version: concat!("may ", env!("VERSION_MAY")),
    tags: &["stackful"],
    threads: workers,
    offer: offer::<OnThreads<May>>,
};

struct May;

impl Jobs for May {
    type Handle = JoinHandle<u64>;

    fn start() -> io::Result<()> {
        static ONCE: Once = Once::new();
        // Its scheduler starts with the first coroutine; it would have as many workers as the machine has CPUs, allowed or not.
        ONCE.call_once(|| {
            may::config().set_workers(workers());
        });
        Ok(())
    }

    fn at_once() -> Option<usize> {
        None
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> JoinHandle<u64> {
        // SAFETY: may asks that a coroutine keeps within its stack, and uses no thread-local storage across a switch. The
        // workloads' units are a few frames deep in code of ours and of the standard library's, whose largest part, printing a
        // panic's line without a backtrace, fits the stack of 32 KiB; their thread-local storage is what the allocator and the
        // standard library touch between two switches.
        unsafe { coroutine::spawn(job) }
    }

    fn join(handle: JoinHandle<u64>) -> u64 {
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Threads for May {
    type Unit = Coroutine;
    type Channel = Mpsc;
    type Lock = Mutex<u64>;
    type Tcp = TcpStream;
    // scheduler.rs of may 0.3.51: `run_queued_tasks` goes on until the worker's own queue is empty, and only then are new
    // coroutines collected and sockets looked at.
    const YIELDS_STARVE: Option<&'static str> = Some(
        "a unit that yields keeps its worker's queue from ever being empty: new ones don't start, sockets are not looked at",
    );

    fn run(root: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        Self::join(Self::spawn(root))
    }

    fn yield_now() {
        coroutine::yield_now();
    }

    fn sleep(time: Duration) {
        coroutine::sleep(time);
    }

    fn this() -> Coroutine {
        coroutine::current()
    }

    fn park() {
        coroutine::park();
    }

    fn unpark(unit: &Coroutine) {
        unit.unpark();
    }

    fn most() -> (u64, &'static str) {
        most_stacks()
    }
}

/// `may::sync::mpsc`, which is unbounded.
struct Mpsc;

impl BlockingChannel for Mpsc {
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    const NO_BOUND: Option<&'static str> = Some("its channels hold any number of messages");

    fn open(_: Option<usize>) -> (Self::Sender, Self::Receiver) {
        mpsc::channel()
    }

    fn send(sender: &Self::Sender, message: u64) {
        // Nobody receives any more only where a workload has ended.
        let _ = sender.send(message);
    }

    fn receive(receiver: &Self::Receiver) -> Option<u64> {
        receiver.recv().ok()
    }
}

impl BlockingLock for Mutex<u64> {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn with(&self, change: impl FnOnce(&mut u64)) -> u64 {
        let mut number = self.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut number);
        *number
    }
}

impl BlockingTcp for TcpStream {
    type Listener = TcpListener;

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        // It takes no listening socket over: it opens its own, at the same address, once that one is closed.
        let address = socket.local_addr()?;
        drop(socket);
        TcpListener::bind(address)
    }

    fn accept(listener: &mut TcpListener) -> io::Result<Self> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        self.write_all(buffer)
    }
}
