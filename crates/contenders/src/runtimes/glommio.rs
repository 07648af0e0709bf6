//! glommio: a thread a core over `io_uring`, made for storage.

use std::future::Future;
use std::io;
use std::net::TcpListener as Socket;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutor, LocalExecutorBuilder, Task};
use send_wrapper::SendWrapper;

use super::{Runtime, one};
use crate::capability::{Kit, NoPipes, Tasks, Tcp};
use crate::kits::tokio::Mpsc;
use crate::workloads::{OnTasks, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "glommio",
    version: concat!("glommio ", env!("VERSION_GLOMMIO")),
    tags: &[],
    threads: one,
    offer: offer::<OnTasks<OnGlommio>>,
};

struct OnGlommio(LocalExecutor);

impl Tasks for OnGlommio {
    /// Never leaves its thread.
    type Handle<T: Send + 'static> = SendWrapper<Task<T>>;
    type Kit = GlommioKit;

    fn start() -> io::Result<Self> {
        LocalExecutorBuilder::default().make().map(Self).map_err(|error| io::Error::other(error.to_string()))
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        self.0.run(async { Self::spawn(root).await })
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Self::Handle<T> {
        SendWrapper::new(glommio::spawn_local(task))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        futures_lite::future::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        SendWrapper::new(async move {
            glommio::timer::sleep(time).await;
        })
    }

    fn detach<T: Send + 'static>(handle: Self::Handle<T>) {
        drop(handle.take().detach());
    }

    fn cancel<T: Send + 'static>(handle: Self::Handle<T>) -> impl Future<Output = ()> + Send {
        let handle = handle.take();
        SendWrapper::new(async move {
            let _ = handle.cancel().await;
        })
    }

    fn blocking(call: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64> + Send {
        SendWrapper::new(async { glommio::executor().spawn_blocking(call).await })
    }
}

/// Its channels are for one thread; the workloads' units may be sent.
struct GlommioKit;

impl Kit for GlommioKit {
    type Channel = Mpsc;
    type Lock = tokio::sync::Mutex<u64>;
    type Pipe = NoPipes;
    type Tcp = Stream;
}

struct Stream(SendWrapper<TcpStream>);

impl Tcp for Stream {
    type Listener = SendWrapper<TcpListener>;

    fn listen(socket: Socket) -> io::Result<Self::Listener> {
        let address = socket.local_addr()?;
        drop(socket);
        // It takes no listening socket over: it opens its own, at the same address, once that one is closed.
        TcpListener::bind(address).map(SendWrapper::new).map_err(|error| io::Error::other(error.to_string()))
    }

    fn accept(listener: &mut Self::Listener) -> impl Future<Output = io::Result<Self>> + Send {
        SendWrapper::new(async {
            let stream = listener.accept().await.map_err(|error| io::Error::other(error.to_string()))?;
            stream.set_nodelay(true).map_err(|error| io::Error::other(error.to_string()))?;
            Ok(Self(SendWrapper::new(stream)))
        })
    }

    fn read(&mut self, mut buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> + Send {
        SendWrapper::new(async move { (self.0.read(&mut buffer).await, buffer) })
    }

    fn write(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> + Send {
        SendWrapper::new(async move { (self.0.write_all(&buffer).await, buffer) })
    }
}
