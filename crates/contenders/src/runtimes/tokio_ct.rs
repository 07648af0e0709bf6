//! tokio, current-thread flavour.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bench_harness::protocol::Refusal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender, pipe};
use tokio::runtime::{Builder, Runtime as Tokio};

use super::{Runtime, one};
use crate::capability::{Pipe, Tasks};
use crate::workloads::{OnTasks, offer};

pub(super) const VERSION: &str = concat!("tokio ", env!("VERSION_TOKIO"));
pub(super) const RUNTIME: Runtime =
    Runtime { name: "tokio-ct", version: VERSION, threads: one, offer: offer::<OnTasks<TokioCt>> };

pub(crate) struct TokioCt(Tokio);

impl Tasks for TokioCt {
    type Handle<T: Send + 'static> = Joined<T>;
    type Pipe = TokioPipe;

    fn start() -> io::Result<Self> {
        Ok(Self(Builder::new_current_thread().enable_all().build()?))
    }

    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> T {
        // Not `block_on(root)`: every wake of the future that it drives itself writes to the driver's eventfd, which no task's does.
        self.0.block_on(async { Self::spawn(root).await })
    }

    fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Joined<T> {
        Joined(tokio::spawn(task))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }
}

/// A join handle that passes a task's panic on.
pub(crate) struct Joined<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context).map(|joined| joined.expect("the task ends without a panic"))
    }
}

/// An end of a pipe, registered with tokio's reactor.
pub(crate) enum TokioPipe {
    Read(Receiver),
    Write(Sender),
}

impl Pipe for TokioPipe {
    fn open() -> Result<(Self, Self), Refusal> {
        let (writer, reader) = pipe().map_err(|error| Refusal::failed(format!("pipe: {error}")))?;
        Ok((Self::Read(reader), Self::Write(writer)))
    }

    async fn read(&mut self) -> io::Result<u8> {
        match self {
            Self::Read(reader) => reader.read_u8().await,
            Self::Write(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    async fn write(&mut self, byte: u8) -> io::Result<()> {
        match self {
            Self::Write(writer) => writer.write_u8(byte).await,
            Self::Read(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
