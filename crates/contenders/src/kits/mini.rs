//! What mini-executor's tasks talk through: its own channels, lock, pipes and sockets.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream};

use bench_harness::protocol::Refusal;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use mini_executor::Async;
use mini_executor::sync::{Mutex, MutexGuard, mpsc};

use crate::capability::{Channel, Kit, Lock, Pipe, Tcp};

pub(crate) struct MiniKit;

impl Kit for MiniKit {
    type Channel = MiniChannel;
    type Lock = Mutex<u64>;
    type Pipe = MiniPipe;
    type Tcp = Async<TcpStream>;
}

/// Its `mpsc`.
pub(crate) struct MiniChannel;

impl Channel for MiniChannel {
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        capacity.map_or_else(mpsc::unbounded, mpsc::bounded)
    }

    async fn send(sender: &mut Self::Sender, message: u64) {
        // Nobody receives any more only where a workload has ended.
        let _ = sender.send(message).await;
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }
}

impl Lock for Mutex<u64> {
    type Guard<'a> = MutexGuard<'a, u64>;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    async fn lock(&self) -> MutexGuard<'_, u64> {
        self.lock().await
    }
}

/// An end of a pipe, watched by the thread's driver.
pub(crate) enum MiniPipe {
    Read(Async<PipeReader>),
    Write(Async<PipeWriter>),
}

impl Pipe for MiniPipe {
    fn open() -> Result<(Self, Self), Refusal> {
        let open = || {
            let (reader, writer) = io::pipe()?;
            Ok((Self::Read(Async::new(reader)?), Self::Write(Async::new(writer)?)))
        };
        open().map_err(|error: io::Error| Refusal::failed(format!("pipe: {error}")))
    }

    async fn read(&mut self) -> io::Result<u8> {
        let Self::Read(reader) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        let mut byte = [0];
        let count = reader.read_with(|mut end| end.read(&mut byte)).await?;
        if count == 1 { Ok(byte[0]) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    async fn write(&mut self, byte: u8) -> io::Result<()> {
        let Self::Write(writer) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        writer.write_with(|mut end| end.write(&[byte])).await?;
        Ok(())
    }
}

impl Tcp for Async<TcpStream> {
    type Listener = Async<TcpListener>;

    fn listen(socket: TcpListener) -> io::Result<Self::Listener> {
        Async::new(socket)
    }

    async fn accept(listener: &mut Self::Listener) -> io::Result<Self> {
        let (stream, _) = listener.accept().await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        (AsyncReadExt::read(self, &mut buffer).await, buffer)
    }

    async fn write(&mut self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        (self.write_all(&buffer).await, buffer)
    }
}
