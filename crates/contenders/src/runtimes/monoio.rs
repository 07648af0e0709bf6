//! monoio over `io_uring`: a thread a core, nothing is sent between them. Where there is no `io_uring` it does not start, and says so.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::TcpListener as Socket;
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, Runtime as Monoio, RuntimeBuilder};
use send_wrapper::SendWrapper;

use super::{Runtime, one};
use crate::capability::{Kit, NoPipes, Tasks, Tcp};
use crate::kits::tokio::Mpsc;
use crate::workloads::{OnTasks, offer};

pub(super) const RUNTIME: Runtime = Runtime {
    name: "monoio",
    version: concat!("monoio ", env!("VERSION_MONOIO")),
    tags: &[],
    threads: one,
    offer: offer::<OnTasks<OnMonoio>>,
};

struct OnMonoio(RefCell<Monoio<TimeDriver<IoUringDriver>>>);

impl Tasks for OnMonoio {
    type Handle<T: Send + 'static> = monoio::task::JoinHandle<T>;
    type Kit = MonoioKit;
    const NO_BLOCKING: Option<&'static str> =
        Some("its runtime has no pool for blocking calls unless one is attached by hand");
    // scheduler.rs of monoio 0.2.4: `yield_now` pushes to the front of the queue.
    const YIELDS_STARVE: Option<&'static str> =
        Some("a task that yields has the next turn itself: nobody else runs, see fairness");
    const NO_CANCEL: Option<&'static str> = Some("its join handles can't end a task");

    fn start() -> io::Result<Self> {
        Ok(Self(RefCell::new(RuntimeBuilder::<IoUringDriver>::new().enable_timer().build()?)))
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        self.0.borrow_mut().block_on(async { monoio::spawn(root).await })
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Self::Handle<T> {
        monoio::spawn(task)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        futures_lite::future::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        // Never leaves the thread that made it.
        SendWrapper::new(monoio::time::sleep(time))
    }

    fn detach<T: Send + 'static>(handle: Self::Handle<T>) {
        drop(handle);
    }

    async fn cancel<T: Send + 'static>(handle: Self::Handle<T>) {
        // Nobody asks where NO_CANCEL says so.
        drop(handle);
    }
}

/// It brings no channels and no lock; its documentation uses those of others.
struct MonoioKit;

impl Kit for MonoioKit {
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
        // It fills a buffer's capacity.
        SendWrapper::new(self.0.read(buffer))
    }

    fn write(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> + Send {
        SendWrapper::new(async {
            let (written, buffer) = self.0.write_all(buffer).await;
            (written.map(|_| ()), buffer)
        })
    }
}
