//! What tokio's tasks talk through: tokio's own channels, lock, pipes and sockets.

use std::io;

use bench_harness::protocol::Refusal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{self, pipe};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::capability::{Channel, Kit, Pipe, Tcp};

pub(crate) struct TokioKit;

impl Kit for TokioKit {
    type Channel = Mpsc;
    type Lock = Mutex<u64>;
    type Pipe = TokioPipe;
    type Tcp = TcpStream;
}

/// `tokio::sync::mpsc`; works on any executor.
pub(crate) struct Mpsc;

#[derive(Clone)]
pub(crate) enum Sender {
    Bounded(mpsc::Sender<u64>),
    Unbounded(mpsc::UnboundedSender<u64>),
}

pub(crate) enum Receiver {
    Bounded(mpsc::Receiver<u64>),
    Unbounded(mpsc::UnboundedReceiver<u64>),
}

impl Channel for Mpsc {
    type Sender = Sender;
    type Receiver = Receiver;

    fn open(capacity: Option<usize>) -> (Sender, Receiver) {
        if let Some(capacity) = capacity {
            let (sender, receiver) = mpsc::channel(capacity);
            return (Sender::Bounded(sender), Receiver::Bounded(receiver));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        (Sender::Unbounded(sender), Receiver::Unbounded(receiver))
    }

    async fn send(sender: &mut Sender, message: u64) {
        // Nobody receives any more only where a workload has ended.
        let _ = match sender {
            Sender::Bounded(sender) => sender.send(message).await,
            Sender::Unbounded(sender) => sender.send(message),
        };
    }

    async fn receive(receiver: &mut Receiver) -> Option<u64> {
        match receiver {
            Receiver::Bounded(receiver) => receiver.recv().await,
            Receiver::Unbounded(receiver) => receiver.recv().await,
        }
    }
}

impl_lock!(Mutex, MutexGuard);

/// An end of a pipe, registered with tokio's reactor.
pub(crate) enum TokioPipe {
    Read(pipe::Receiver),
    Write(pipe::Sender),
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

impl Tcp for TcpStream {
    type Listener = TcpListener;

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<Self> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        (AsyncReadExt::read(self, &mut buffer).await, buffer)
    }

    async fn write(&mut self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        (self.write_all(&buffer).await, buffer)
    }
}
