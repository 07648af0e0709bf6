//! What runtimes can do, as traits: a workload is written once against a capability and runs on everything that has it.
//!
//! [`Tasks`] are units that await, [`Threads`] units that block (threads of the operating system and stackful coroutines),
//! [`Jobs`] closures that run to their end. What units talk through (channels, locks, sockets, pipes) are traits of their own,
//! with a type for "has none" where a runtime may lack it.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::ops::DerefMut;
use std::time::Duration;

use bench_harness::protocol::Refusal;

/// Runs asynchronous tasks. Tasks are spawned from inside tasks, on whatever executor runs them.
pub trait Tasks: Sized + 'static {
    /// Awaits a task's result.
    type Handle<T: Send + 'static>: Future<Output = T> + Send + 'static;
    /// What its tasks talk through.
    type Kit: Kit;
    /// Why it has no pool for calls that block, if it has none.
    const NO_BLOCKING: Option<&'static str> = None;
    /// Why nobody else runs while a task yields and yields, if so.
    const YIELDS_STARVE: Option<&'static str> = None;
    /// Why there is nothing to shut down, if so.
    const NO_SHUTDOWN: Option<&'static str> = None;
    /// Why its tasks can't be ended from outside, if they can't.
    const NO_CANCEL: Option<&'static str> = None;

    /// Starts the runtime with as many workers as there are CPUs in the affinity mask, if it has workers at all.
    ///
    /// # Errors
    /// When the runtime can't be started.
    fn start() -> io::Result<Self>;

    /// Runs a future to its end, *as a task of the runtime*: not beside it on the calling thread, which would turn every
    /// spawn of a multi-threaded runtime into a message between threads. Handing the root to a worker and its result back is
    /// in a block's time, once: two wake-ups in about 5 ms.
    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T;

    /// Spawns a task, from inside another.
    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Self::Handle<T>;

    /// Lets others run.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Sleeps without holding the thread.
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;

    /// Sleeps, and may be late by up to 1 ms: where the runtime offers that, or does so anyway.
    fn sleep_late(time: Duration) -> impl Future<Output = ()> + Send {
        Self::sleep(time)
    }

    /// Lets a task run on with nobody to wait for it.
    fn detach<T: Send + 'static>(handle: Self::Handle<T>);

    /// Asks for a task's end before its time, and waits as long as the runtime offers to.
    fn cancel<T: Send + 'static>(handle: Self::Handle<T>) -> impl Future<Output = ()> + Send;

    /// Runs a call that blocks where it does not hold the loop.
    fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64> + Send {
        // Nobody asks where NO_BLOCKING says so.
        async move { call() }
    }
}

/// What tasks talk through.
pub trait Kit: 'static {
    /// Its own channels.
    type Channel: Channel;
    /// Its own lock.
    type Lock: Lock;
    /// Its pipes; [`NoPipes`] where it has none.
    type Pipe: Pipe;
    /// Its sockets; [`NoTcp`] where it has none.
    type Tcp: Tcp;
}

/// Channels from any number of senders to one receiver.
pub trait Channel: 'static {
    /// Sends; a clone sends into the same channel.
    type Sender: Clone + Send + 'static;
    /// Receives.
    type Receiver: Send + 'static;

    /// Holds at most `capacity` messages; without one, as many as are sent.
    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver);

    /// Sends; waits where the channel is full.
    fn send(sender: &mut Self::Sender, message: u64) -> impl Future<Output = ()> + Send;

    /// The next message; `None` when the channel is empty and all senders are gone.
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = Option<u64>> + Send;
}

/// A lock around a number.
pub trait Lock: Send + Sync + 'static {
    /// Holds it.
    type Guard<'a>: DerefMut<Target = u64> + Send;

    /// A free lock.
    fn new(value: u64) -> Self;

    /// Waits for it and takes it.
    fn lock(&self) -> impl Future<Output = Self::Guard<'_>> + Send;
}

/// One end of a pipe of the operating system, read and written without holding the thread.
pub trait Pipe: Sized + Send + 'static {
    /// Why there are none, if there are none.
    const MISSING: Option<&'static str> = None;

    /// A pipe: the end to read from and the end to write to.
    ///
    /// # Errors
    /// `unsupported` where the runtime has no pipes, `failed` when the system refuses.
    fn open() -> Result<(Self, Self), Refusal>;

    /// Reads one byte.
    fn read(&mut self) -> impl Future<Output = io::Result<u8>> + Send;

    /// Writes one byte.
    fn write(&mut self, byte: u8) -> impl Future<Output = io::Result<()>> + Send;
}

/// For runtimes without pipes.
#[derive(Debug)]
pub enum NoPipes {}

impl Pipe for NoPipes {
    const MISSING: Option<&'static str> = Some("it has no type for pipes");

    fn open() -> Result<(Self, Self), Refusal> {
        Err(Refusal::unsupported("it has no type for pipes"))
    }

    async fn read(&mut self) -> io::Result<u8> {
        match *self {}
    }

    async fn write(&mut self, _: u8) -> io::Result<()> {
        match *self {}
    }
}

/// Sockets, as a server needs them. Buffers go in and come back: some runtimes lend them to the kernel meanwhile.
pub trait Tcp: Send + Sized + 'static {
    /// Why there are none, if there are none.
    const MISSING: Option<&'static str> = None;
    /// Accepts connections.
    type Listener: Send + 'static;

    /// Takes a listening socket over; called from inside a task.
    ///
    /// # Errors
    /// When the runtime can't register it.
    fn listen(socket: TcpListener) -> io::Result<Self::Listener>;

    /// The next connection.
    fn accept(listener: &mut Self::Listener) -> impl Future<Output = io::Result<Self>> + Send;

    /// Reads into the buffer, from its start: how many bytes came; 0 at the end. The buffer may come back cut to what was read.
    fn read(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> + Send;

    /// Writes the whole buffer.
    fn write(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> + Send;
}

/// For runtimes without sockets.
#[derive(Debug)]
pub enum NoTcp {}

impl Tcp for NoTcp {
    const MISSING: Option<&'static str> = Some("it has no sockets");
    type Listener = Self;

    fn listen(_: TcpListener) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept(listener: &mut Self) -> io::Result<Self> {
        match *listener {}
    }

    async fn read(&mut self, _: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        match *self {}
    }

    async fn write(&mut self, _: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        match *self {}
    }
}

/// Runs closures, each to its end.
pub trait Jobs: 'static {
    /// Joins a job.
    type Handle: Send;

    /// Starts what has to stand before the first job.
    ///
    /// # Errors
    /// When it can't be started.
    fn start() -> io::Result<()>;

    /// How many jobs can run at once, if there is a limit: jobs that wait for one another need as many.
    fn at_once() -> Option<usize>;

    /// Starts a job.
    fn spawn(job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle;

    /// Waits for a job's result.
    ///
    /// # Panics
    /// When the job did, if it can tell.
    fn join(handle: Self::Handle) -> u64;
}

/// Units that block: threads of the operating system and stackful coroutines. All but [`run`](Self::run) is called from
/// inside a unit.
pub trait Threads: Jobs {
    /// Names a unit, to wake it.
    type Unit: Clone + Send + Sync + 'static;
    /// Its own channels.
    type Channel: BlockingChannel;
    /// Its own lock.
    type Lock: BlockingLock;
    /// Its sockets; [`NoTcp`] where it has none.
    type Tcp: BlockingTcp;
    /// Why its units can't sleep, if they can't.
    const NO_SLEEP: Option<&'static str> = None;
    /// Whether each unit has a thread of the operating system to itself, so that it may block in system calls.
    const OS_THREADS: bool = false;
    /// Why new units never start and sockets are never looked at while a unit yields and yields, if so.
    const YIELDS_STARVE: Option<&'static str> = None;
    /// Why no thread but its own can wake a unit, if so.
    const NO_FOREIGN_WAKE: Option<&'static str> = None;

    /// Runs a unit to its end and waits for it.
    fn run(root: impl FnOnce() -> u64 + Send + 'static) -> u64;

    /// Lets others run.
    fn yield_now();

    /// Sleeps.
    fn sleep(time: Duration);

    /// The running unit.
    fn this() -> Self::Unit;

    /// Waits to be woken; may return without.
    fn park();

    /// Wakes a unit, or keeps its next [`park`](Self::park) from waiting.
    fn unpark(unit: &Self::Unit);

    /// How many units there can be at once here, and the limits that say so.
    fn most() -> (u64, &'static str);
}

/// Channels from any number of senders to one receiver, for units that block.
pub trait BlockingChannel: 'static {
    /// Sends; a clone sends into the same channel.
    type Sender: Clone + Send + 'static;
    /// Receives.
    type Receiver: Send + 'static;

    /// Why there is none that holds a limited number, if there is none.
    const NO_BOUND: Option<&'static str> = None;

    /// Holds at most `capacity` messages; without one, as many as are sent.
    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver);

    /// Sends; waits where the channel is full.
    fn send(sender: &Self::Sender, message: u64);

    /// The next message; `None` when the channel is empty and all senders are gone.
    fn receive(receiver: &Self::Receiver) -> Option<u64>;
}

/// A lock around a number, for units that block.
pub trait BlockingLock: Send + Sync + 'static {
    /// A free lock.
    fn new(value: u64) -> Self;

    /// Waits for it, has the number changed, and lets it go.
    fn with(&self, change: impl FnOnce(&mut u64)) -> u64;
}

/// Sockets, as a server of blocking units needs them.
pub trait BlockingTcp: Send + Sized + 'static {
    /// Why there are none, if there are none.
    const MISSING: Option<&'static str> = None;
    /// Accepts connections.
    type Listener: Send + 'static;

    /// Takes a listening socket over.
    ///
    /// # Errors
    /// When the runtime can't register it.
    fn listen(socket: TcpListener) -> io::Result<Self::Listener>;

    /// The next connection.
    ///
    /// # Errors
    /// When the system refuses.
    fn accept(listener: &mut Self::Listener) -> io::Result<Self>;

    /// Reads what there is: how many bytes came; 0 at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes the whole buffer.
    ///
    /// # Errors
    /// When the connection breaks.
    fn write(&mut self, buffer: &[u8]) -> io::Result<()>;
}

impl BlockingTcp for NoTcp {
    const MISSING: Option<&'static str> = Some("it has no sockets");
    type Listener = Self;

    fn listen(_: TcpListener) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn accept(listener: &mut Self) -> io::Result<Self> {
        match *listener {}
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }
}

/// How many CPUs the affinity mask has: the number of workers of every pool.
pub fn workers() -> usize {
    bench_harness::placement::allowed_cpus().map_or(1, |cpus| cpus.len().max(1))
}
