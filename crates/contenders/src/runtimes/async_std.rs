//! async-std: discontinued, measured because it is still in use.

use std::future::Future;
use std::io;
use std::time::Duration;

use async_std::io::{ReadExt, WriteExt};
use async_std::net::{TcpListener, TcpStream};

use super::Runtime;
use crate::capability::{Kit, NoPipes, Tasks, Tcp, workers};
use crate::kits::smol::AsyncChannel;
use crate::workloads::{OnTasks, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "async-std",
    version: concat!("async-std ", env!("VERSION_ASYNC_STD")),
    tags: &[],
    // Its pool asks for the CPUs of the affinity mask by itself.
    threads: workers,
    offer: offer::<OnTasks<AsyncStd>>,
};

struct AsyncStd;

impl Tasks for AsyncStd {
    type Handle<T: Send + 'static> = async_std::task::JoinHandle<T>;
    type Kit = AsyncStdKit;
    const NO_SHUTDOWN: Option<&'static str> =
        Some("its executor and its pool for blocking calls live as long as the process: nothing waits");

    fn start() -> io::Result<Self> {
        Ok(Self)
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        async_std::task::block_on(Self::spawn(root))
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Self::Handle<T> {
        async_std::task::spawn(task)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        async_std::task::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        async_std::task::sleep(time)
    }
    fn detach<T: Send + 'static>(handle: Self::Handle<T>) {
        drop(handle);
    }

    async fn cancel<T: Send + 'static>(handle: Self::Handle<T>) {
        handle.cancel().await;
    }

    fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64> + Send {
        async_std::task::spawn_blocking(call)
    }
}

/// Its channel and lock are smol's under another name; its sockets are its own.
struct AsyncStdKit;

impl Kit for AsyncStdKit {
    type Channel = AsyncChannel;
    type Lock = async_std::sync::Mutex<u64>;
    type Pipe = NoPipes;
    type Tcp = TcpStream;
}

impl Tcp for TcpStream {
    type Listener = TcpListener;

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener::from(socket))
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<Self> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        (ReadExt::read(self, &mut buffer).await, buffer)
    }

    async fn write(&mut self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        (self.write_all(&buffer).await, buffer)
    }
}
