//! A thread of the operating system per unit, with what the standard library has for threads to talk through.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use super::Runtime;
use crate::capability::{BlockingChannel, BlockingLock, BlockingTcp, Jobs, Threads, workers};
use crate::workloads::{OnThreads, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "thread",
    version: concat!("std ", env!("VERSION_RUST")),
    tags: &[],
    threads: workers,
    offer: offer::<OnThreads<OsThreads>>,
};

struct OsThreads;

impl Jobs for OsThreads {
    type Handle = JoinHandle<u64>;

    fn start() -> io::Result<()> {
        Ok(())
    }

    fn at_once() -> Option<usize> {
        None
    }

    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> JoinHandle<u64> {
        std::thread::spawn(job)
    }

    fn join(handle: JoinHandle<u64>) -> u64 {
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Threads for OsThreads {
    type Unit = Thread;
    type Channel = Mpsc;
    type Lock = Mutex<u64>;
    type Tcp = TcpStream;
    const OS_THREADS: bool = true;

    fn run(root: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        // The calling thread is as good as any other.
        root()
    }

    fn yield_now() {
        std::thread::yield_now();
    }

    fn sleep(time: Duration) {
        std::thread::sleep(time);
    }

    fn this() -> Thread {
        std::thread::current()
    }

    fn park() {
        std::thread::park();
    }

    fn unpark(unit: &Thread) {
        unit.unpark();
    }

    fn most() -> (u64, &'static str) {
        (most_threads(), "threads-max, pid_max, max_map_count, pids.max")
    }
}

/// How many threads a process can have here, with some left to the rest of the machine.
fn most_threads() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let own_group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = own_group.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    let limits = [
        read("/proc/sys/kernel/threads-max"),
        read("/proc/sys/kernel/pid_max"),
        // A thread has a mapping for its stack and one for its guard page.
        read("/proc/sys/vm/max_map_count").map(|maps| maps / 2),
        read(&format!("/sys/fs/cgroup{group}/pids.max")),
    ];
    limits.into_iter().flatten().min().unwrap_or(1_000).saturating_sub(1_000)
}

/// `std::sync::mpsc`.
pub(super) struct Mpsc;

#[derive(Clone)]
pub(super) enum Sender {
    Bounded(mpsc::SyncSender<u64>),
    Unbounded(mpsc::Sender<u64>),
}

impl BlockingChannel for Mpsc {
    type Sender = Sender;
    type Receiver = mpsc::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Sender, Self::Receiver) {
        if let Some(capacity) = capacity {
            let (sender, receiver) = mpsc::sync_channel(capacity);
            return (Sender::Bounded(sender), receiver);
        }
        let (sender, receiver) = mpsc::channel();
        (Sender::Unbounded(sender), receiver)
    }

    fn send(sender: &Sender, message: u64) {
        // Nobody receives any more only where a workload has ended.
        let _ = match sender {
            Sender::Bounded(sender) => sender.send(message),
            Sender::Unbounded(sender) => sender.send(message),
        };
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

    fn listen(socket: TcpListener) -> io::Result<TcpListener> {
        Ok(socket)
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
