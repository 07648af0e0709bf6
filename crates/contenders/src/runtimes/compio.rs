//! compio: completions instead of readiness, over `io_uring` here.

use std::future::Future;
use std::io;
use std::net::TcpListener as Socket;
use std::time::Duration;

use compio::buf::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{JoinHandle, Runtime as Compio};
use send_wrapper::SendWrapper;

use super::{Runtime, one};
use crate::capability::{Kit, NoPipes, Tasks, Tcp};
use crate::kits::tokio::Mpsc;
use crate::workloads::{OnTasks, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "compio",
    version: concat!("compio ", env!("VERSION_COMPIO")),
    tags: &[],
    threads: one,
    offer: offer::<OnTasks<OnCompio>>,
};

struct OnCompio(Compio);

/// Joins a task; never leaves its thread.
struct Handle<T>(SendWrapper<JoinHandle<T>>);

impl<T> Future for Handle<T> {
    type Output = T;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<T> {
        std::pin::Pin::new(&mut *self.0).poll(context).map(|joined| joined.expect("the task ends without a panic"))
    }
}

impl Tasks for OnCompio {
    type Handle<T: Send + 'static> = Handle<T>;
    type Kit = CompioKit;

    fn start() -> io::Result<Self> {
        Ok(Self(Compio::new()?))
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        self.0.block_on(async { Self::spawn(root).await })
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Handle<T> {
        Handle(SendWrapper::new(compio::runtime::spawn(task)))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        futures_lite::future::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        SendWrapper::new(compio::time::sleep(time))
    }

    fn detach<T: Send + 'static>(handle: Handle<T>) {
        handle.0.take().detach();
    }

    fn cancel<T: Send + 'static>(handle: Handle<T>) -> impl Future<Output = ()> + Send {
        let handle = handle.0.take();
        SendWrapper::new(async move {
            let _ = handle.cancel().await;
        })
    }

    fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64> + Send {
        Handle(SendWrapper::new(compio::runtime::spawn_blocking(call)))
    }
}

/// It brings no channels and no lock.
struct CompioKit;

impl Kit for CompioKit {
    type Channel = Mpsc;
    type Lock = tokio::sync::Mutex<u64>;
    type Pipe = NoPipes;
    type Tcp = Stream;
}

struct Stream(SendWrapper<TcpStream>);

impl Tcp for Stream {
    type Listener = SendWrapper<TcpListener>;

    fn listen(socket: Socket) -> io::Result<Self::Listener> {
        Ok(SendWrapper::new(TcpListener::from_std(socket)?))
    }

    fn accept(listener: &mut Self::Listener) -> impl Future<Output = io::Result<Self>> + Send {
        SendWrapper::new(async {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Self(SendWrapper::new(stream)))
        })
    }

    fn read(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> + Send {
        SendWrapper::new(async {
            let BufResult(read, buffer) = self.0.read(buffer).await;
            (read, buffer)
        })
    }

    fn write(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> + Send {
        SendWrapper::new(async {
            let BufResult(written, buffer) = self.0.write_all(buffer).await;
            (written, buffer)
        })
    }
}
