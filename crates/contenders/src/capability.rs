//! What runtimes can do, as traits: a workload is written once against a capability and runs on everything that has it.

use std::future::Future;
use std::io;
use std::time::Duration;

use bench_harness::protocol::Refusal;

/// Runs asynchronous tasks. Tasks are spawned from inside tasks, on whatever executor runs them.
pub trait Tasks: Sized + 'static {
    /// Awaits a task's result.
    type Handle<T: Send + 'static>: Future<Output = T> + Send + 'static;
    /// Its pipes; [`NoPipes`] where it has none.
    type Pipe: Pipe;

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
}

/// One end of a pipe of the operating system, read and written without holding the thread.
pub trait Pipe: Sized + Send + 'static {
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

/// Runs closures that may block, each to its end.
pub trait Jobs: 'static {
    /// Joins a job.
    type Handle;

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
    fn join(handle: Self::Handle) -> u64;
}

/// How many CPUs the affinity mask has: the number of workers of every pool.
pub fn workers() -> usize {
    bench_harness::placement::allowed_cpus().map_or(1, |cpus| cpus.len().max(1))
}
